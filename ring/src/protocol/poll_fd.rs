//! A descriptor that polls as readable when a consumer has something to fetch, kept so by a *watcher* thread: how the two
//! agree. `consumer/poll_fd.rs` has the argument.

use super::Mutant;

/// The descriptor is readable; nothing is watched for it.
pub(crate) const IDLE: u32 = 0;
/// The descriptor is not readable; the watcher watches for news at the cursor that it was given.
pub(crate) const ARMED: u32 = 1;
/// The watcher is to forget it.
pub(crate) const QUIT: u32 = 2;

/// What consumer and watcher share.
pub(crate) trait Level {
    /// Where the consumer stood when it found nothing.
    type WatchRequest;

    /// What the watcher is to do, with Acquire.
    fn word(&self) -> u32;
    /// Changes the word, with Release.
    fn set_word(&self, word: u32);
    /// The word has changed: the watcher looks at it again before it sleeps, and if it sleeps it wakes.
    fn ring(&self);
    /// Runs `change` under the mutex that is held while word and level change. It has the order that is to be taken next.
    fn locked<R>(&self, change: impl FnOnce(&mut Option<Self::WatchRequest>) -> R) -> R;
    /// Makes the descriptor readable.
    fn raise(&self);
    /// Makes it unreadable.
    fn lower(&self);

    /// Whether a wrong variant is asked for; constant false outside the models.
    #[inline(always)]
    fn mutant(&self, _which: Mutant) -> bool {
        false
    }
}

/// The consumer has looked, and found nothing: the descriptor is to become readable when there is something.
pub(crate) fn rearm<P: Level>(p: &P, order: impl FnOnce() -> P::WatchRequest) {
    if p.word() != IDLE {
        // The cursor given then is not beyond the present one: whatever is news now was, or will be, to the watcher.
        return;
    }
    p.locked(|next| {
        *next = Some(order());
        // Nobody but us leaves `IDLE`, so it still is.
        p.lower();
        p.set_word(ARMED);
    });
    p.ring();
}

/// The consumer goes.
pub(crate) fn quit<P: Level>(p: &P) {
    // Under the mutex, since the watcher could be about to store `IDLE` over it.
    p.locked(|_| p.set_word(QUIT));
    p.ring();
}

/// What the watcher has to do for a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing until it is told.
    Rest,
    /// To sleep until there is news.
    Watch,
    /// To forget it.
    Quit,
}

/// The watcher looks at a descriptor, each time before it sleeps: after it has taken note of the value of what [`Level::ring`]
/// changes, and of the topic's futex word. `watched` is what it watches; it is dropped before the consumer is told, which counts
/// the epochs that are still in use.
pub(crate) fn look<P: Level>(
    p: &P,
    watched: &mut Option<P::WatchRequest>,
    is_ready: impl FnOnce(&P::WatchRequest) -> bool,
) -> Turn {
    match p.word() {
        QUIT => Turn::Quit,
        ARMED => {
            if let Some(order) = p.locked(Option::take) {
                *watched = Some(order);
            }
            if watched.as_ref().is_some_and(|order| !is_ready(order)) {
                return Turn::Watch;
            }
            *watched = None;
            if p.mutant(Mutant::LevelUnlocked) {
                go_to_rest(p);
            } else {
                p.locked(|_| go_to_rest(p));
            }
            Turn::Rest
        }
        _ => Turn::Rest,
    }
}

/// There is something to fetch, unless the consumer goes.
fn go_to_rest<P: Level>(p: &P) {
    if p.word() == ARMED {
        p.set_word(IDLE);
        p.raise();
    }
}
