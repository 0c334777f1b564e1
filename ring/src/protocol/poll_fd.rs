//! A descriptor that polls as readable when a consumer has something to fetch, kept so by a *watcher* thread: how the two
//! agree. `consumer/poll_fd.rs` has the argument.

use super::Mutant;

/// The descriptor is readable; nothing is watched for it.
pub(crate) const IDLE: u32 = 0;
/// The descriptor is not readable; the watcher watches for news at the cursor that it was given.
pub(crate) const ARMED: u32 = 1;
/// The descriptor is readable, and the watcher sleeps as if it were not: who has taken what there is need not wake it.
pub(crate) const KEPT: u32 = 2;
/// The watcher is to forget it.
pub(crate) const QUIT: u32 = 3;

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

/// What the watcher does for a request.
pub(crate) trait Watch<R> {
    /// Whether there is something to fetch. It says before that somebody sleeps, and does not take that back.
    fn is_ready(&mut self, request: &R) -> bool;
    /// Whether it may go on sleeping although there is something.
    fn may_stay(&self, request: &R) -> bool;
    /// Whether anything has happened since then, of which a sleeper would have been told.
    fn is_stirred(&mut self, request: &R) -> bool;
    /// Another request takes the place of this one.
    fn replaced(&mut self, before: R, after: &R);
    /// Nobody sleeps for it any more.
    fn forget(&mut self, request: R);
}

/// Whether the descriptor is readable.
pub(crate) fn is_readable<P: Level>(p: &P) -> bool {
    matches!(p.word(), IDLE | KEPT)
}

/// The consumer has looked, and found nothing: the descriptor, [readable](is_readable) until now, is to become readable when there is
/// something. With `stays`, the order is for what the last one was for, and the watcher need not be woken to take it up; then
/// `is_ready` looks once more.
pub(crate) fn rearm<P: Level>(p: &P, stays: bool, order: P::WatchRequest, is_ready: impl FnOnce() -> bool) {
    let sleeps_on = p.locked(|next| {
        // Nobody but us leaves `IDLE`; from `KEPT` the watcher goes there.
        let sleeps_on = stays && p.word() == KEPT;
        *next = Some(order);
        p.lower();
        p.set_word(ARMED);
        sleeps_on
    });
    if !sleeps_on {
        p.ring();
        return;
    }
    // What the watcher woke for may have come between our look and its own, and then it will not wake for it again.
    if !p.mutant(Mutant::KeptLooksOnce) && is_ready() {
        p.locked(|next| {
            if p.word() == ARMED {
                *next = None;
                p.set_word(KEPT);
                p.raise();
            }
        });
    }
}

/// What was watched is of no interest any more: the watcher is to forget it.
pub(crate) fn rest<P: Level>(p: &P) {
    let was_kept = p.locked(|next| {
        let is_kept = p.word() == KEPT;
        if is_kept {
            *next = None;
            p.set_word(IDLE);
        }
        is_kept
    });
    if was_kept {
        p.ring();
    }
}

/// The consumer goes.
pub(crate) fn quit<P: Level>(p: &P) {
    // Under the mutex, since the watcher could be about to store `KEPT` over it. What it was to take up goes with the consumer.
    p.locked(|next| {
        *next = None;
        p.set_word(QUIT);
    });
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
/// changes. `watched` is what it watches.
pub(crate) fn look<P: Level>(
    p: &P,
    watched: &mut Option<P::WatchRequest>,
    watch: &mut impl Watch<P::WatchRequest>,
) -> Turn {
    loop {
        match p.word() {
            QUIT => {
                forget(watched, watch);
                return Turn::Quit;
            }
            ARMED => {
                if let Some(next) = p.locked(Option::take) {
                    let before = watched.take();
                    let after = watched.insert(next);
                    if let Some(before) = before {
                        watch.replaced(before, after);
                    }
                }
                let Some(request) = watched.as_ref().filter(|request| watch.is_ready(request)) else {
                    return Turn::Watch;
                };
                let word = if watch.may_stay(request) { KEPT } else { IDLE };
                if p.mutant(Mutant::LevelUnlocked) {
                    raise(p, word);
                } else {
                    p.locked(|_| raise(p, word));
                }
                if word == KEPT {
                    return Turn::Watch;
                }
            }
            KEPT => {
                if watched.as_ref().is_some_and(|request| !watch.is_stirred(request)) {
                    return Turn::Watch;
                }
                // The consumer is behind: no more wake-ups until it has found nothing. (If it just has, it is `ARMED` now.)
                p.locked(|next| {
                    if p.word() == KEPT {
                        *next = None;
                        p.set_word(IDLE);
                    }
                });
            }
            _ => {
                forget(watched, watch);
                return Turn::Rest;
            }
        }
    }
}

fn forget<R>(watched: &mut Option<R>, watch: &mut impl Watch<R>) {
    if let Some(request) = watched.take() {
        watch.forget(request);
    }
}

/// There is something to fetch, unless the consumer goes, or has seen it.
fn raise<P: Level>(p: &P, word: u32) {
    if p.word() == ARMED {
        p.set_word(word);
        p.raise();
    }
}
