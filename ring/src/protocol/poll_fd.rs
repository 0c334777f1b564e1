//! A descriptor that polls as readable when a consumer has something to fetch, kept so by a *watcher* thread: how the two
//! agree. `consumer/poll_fd.rs` has the argument.

use super::Mutant;

/// The descriptor is readable; the watcher sleeps until it is given something to do.
pub(crate) const IDLE: u32 = 0;
/// The descriptor is not readable; the watcher sleeps until there is news at the cursor that it was given.
pub(crate) const ARMED: u32 = 1;
/// The watcher ends.
pub(crate) const QUIT: u32 = 2;

/// What consumer and watcher share.
pub(crate) trait Level {
    /// Where the consumer stood when it found nothing.
    type WatchRequest;

    /// What the watcher is to do, with Acquire. It sleeps on this word too.
    fn word(&self) -> u32;
    /// Changes the word, with Release.
    fn set_word(&self, word: u32);
    /// Wakes who sleeps on the word.
    fn wake(&self);
    /// Runs `change` under the mutex that is held while word and level change. It has the order that is to be taken next.
    fn locked<R>(&self, change: impl FnOnce(&mut Option<Self::WatchRequest>) -> R) -> R;
    /// Makes the descriptor readable.
    fn raise(&self);
    /// Makes it unreadable.
    fn lower(&self);
    /// The watcher: sleeps while the word is [`IDLE`].
    fn rest(&self);

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
    p.wake();
}

/// The consumer goes.
pub(crate) fn quit<P: Level>(p: &P) {
    // Under the mutex, since the watcher could be about to store `IDLE` over it.
    p.locked(|_| p.set_word(QUIT));
    p.wake();
}

/// The watcher's life. `watch_until_ready` sleeps until there is news for an order, or the word is no longer [`ARMED`]; it drops the
/// order before the consumer is told, which counts the epochs that are still in use.
pub(crate) fn watch<P: Level>(p: &P, mut watch_until_ready: impl FnMut(P::WatchRequest)) {
    loop {
        match p.word() {
            QUIT => return,
            ARMED => {
                if let Some(order) = p.locked(Option::take) {
                    watch_until_ready(order);
                }
                if p.mutant(Mutant::LevelUnlocked) {
                    go_to_rest(p);
                } else {
                    p.locked(|_| go_to_rest(p));
                }
            }
            _ => p.rest(),
        }
    }
}

/// There is something to fetch, unless the consumer goes.
fn go_to_rest<P: Level>(p: &P) {
    if p.word() == ARMED {
        p.set_word(IDLE);
        p.raise();
    }
}
