//! Cancelling waits of one process: a flag, and three places where its threads may sleep.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};

use super::{Fence, Mutant, Shared, Word};

/// The state of one cancel token.
pub(crate) trait Cancel: Shared {
    /// How often `cancel` wakes a waiter that does not get up. It takes one wake-up, or two if the first comes between the
    /// waiter's last look and its sleep.
    const WAKE_UPS: usize = 2000;

    /// Sets the flag, with Release.
    fn set(&self, cancelled: bool);
    /// The flag, with Acquire.
    fn is_cancelled(&self) -> bool;
    /// Where the one waiter sleeps that sleeps on nothing else; 0 if there is none.
    fn waiter(&self) -> &Self::Word;
    /// Makes the event descriptor readable, if there is one.
    fn signal(&self);
    /// Makes it unreadable.
    fn drain(&self);
    /// Wakes those who sleep on the flag.
    fn wake(&self);
    /// Wakes those who sleep at that place; false if the waiter there is not one of this process.
    fn wake_at(&self, place: u64) -> bool;
    /// Gives a waiter time to get up.
    fn pause(&self);
}

/// Ends the waits under way and to come.
pub(crate) fn cancel<C: Cancel>(c: &C) {
    c.set(true);
    // Pairs with the fences in `event_made` and `register`: either we see the descriptor, and where the waiter sleeps, or
    // those who come see the flag.
    c.fence(Fence::Cancel);
    c.signal();
    c.wake();
    for _ in 0..C::WAKE_UPS {
        let place = c.waiter().load(Acquire);
        if place == 0 || !c.wake_at(place) {
            return;
        }
        // It may have been about to fall asleep: nothing changed at its futex, so it did. (A waiter that is not to be woken,
        // because it is this very thread in a signal handler, finds the flag set when it goes on.)
        c.pause();
    }
}

/// A waiter is about to sleep at `place` alone: calls of [`cancel`] after this, and before [`deregister`], wake it there. It
/// has to look at the flag in between. False if there is such a waiter already.
pub(crate) fn register<C: Cancel>(c: &C, place: u64) -> bool {
    let registered = c.waiter().cas(0, place, AcqRel).is_ok();
    c.fence(Fence::Waiter);
    registered
}

/// It sleeps no more.
pub(crate) fn deregister<C: Cancel>(c: &C) {
    c.waiter().store(0, Release);
}

/// The event descriptor has been made: who polls it has to look at the flag after this.
pub(crate) fn event_made<C: Cancel>(c: &C) {
    c.fence(Fence::Event);
}

/// Lets waits go on.
pub(crate) fn reset<C: Cancel>(c: &C) {
    c.set(false);
    clear(c, Mutant::ResetsOnce);
}

/// After the descriptor polled as readable: whether waits are to end. If not, it is a leftover (of a forked child that
/// shares the descriptor, or of a reset at the same moment), which is cleared away.
pub(crate) fn confirm<C: Cancel>(c: &C) -> bool {
    c.is_cancelled() || clear(c, Mutant::ConfirmsOnce)
}

/// Makes the descriptor unreadable, unless the flag is set meanwhile; whether it is.
fn clear<C: Cancel>(c: &C, once: Mutant) -> bool {
    c.drain();
    c.fence(Fence::Event);
    let meant = c.is_cancelled() && !c.mutant(once);
    if meant {
        // What we cleared was meant, and others may be waiting for it.
        c.signal();
    }
    meant
}
