//! Events: producers that watch learn that somebody came, went or accepts other caps, and nobody makes a system call for
//! them while none watches.

use std::sync::atomic::Ordering::{AcqRel, Acquire};

use super::{Fence, Mutant, Shared, Word};
use crate::layout::words::bit;

/// The counter of events and who watches it.
pub(crate) trait Events: Shared {
    /// Counts an event, with Release.
    fn bump(&self);
    /// One bit for each producer that watches.
    fn watchers(&self) -> &Self::Word;
    /// Wakes every watcher.
    fn wake(&self);
}

/// What happened can be seen already. Dead before the end, the watchers' tick shows it.
pub(crate) fn notify<E: Events>(e: &E) {
    e.bump();
    // Pairs with the fence in `begin`: either we see the watcher, or it sees the event.
    e.fence(Fence::Notify);
    if e.watchers().load(Acquire) != 0 {
        e.wake();
    }
}

/// One more thread of producer `me` is about to look at the counter, and to sleep on it. `threads` counts them under a
/// lock of the process: the participant has one bit for all of them, which the first sets and the last clears.
pub(crate) fn begin<E: Events>(e: &E, me: u8, threads: &mut usize) {
    *threads = threads.saturating_add(1);
    e.watchers().or(bit(me), AcqRel);
    e.fence(Fence::Watch);
}

/// One thread less. Under the same lock.
pub(crate) fn finish<E: Events>(e: &E, me: u8, threads: &mut usize) {
    *threads = threads.saturating_sub(1);
    if *threads == 0 || e.mutant(Mutant::EachClearsTheBit) {
        e.watchers().and(!bit(me), AcqRel);
    }
}
