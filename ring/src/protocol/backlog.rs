//! The backlog: frames that registered consumers have yet to read, and how a lossless producer waits for them.
//!
//! A producer owes a consumer every frame from the consumer's cursor on. Cursors only rise, so that what a look finds to be
//! owed to nobody stays so for those who are registered; for those who join meanwhile see [`limits`].

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::{FailPoint, Fence, Memory, Mutant, Shared, Word};
use crate::layout::words::{CONSUMER_BITS, PARTICIPANTS, PRODUCERS, bit};

/// Who is registered, where each consumer is, and which producers wait.
pub(crate) trait Backlog: Shared {
    /// One bit for each active participant.
    fn active(&self) -> &Self::Word;
    /// One bit for each consumer that is owed nothing.
    fn latest(&self) -> &Self::Word;
    /// The sequence that a consumer wants next.
    fn cursor(&self, id: u8) -> &Self::Word;
    /// Whether a lossless producer ever was on this topic. Without one the fences here have nobody to pair with.
    fn has_been_lossless(&self) -> bool;
    /// One bit for each producer that waits for a slot.
    fn waiters(&self) -> &Self::Word;
    /// The futex word on which they sleep, with Acquire.
    fn freed_value(&self) -> u32;
    /// Changes it, with Release.
    fn bump_freed(&self);
    /// Wakes those who sleep on it.
    fn wake_freed(&self);
}

/// Which frames a claim may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The next sequence to be published, or a little behind it.
    pub(crate) head: u64,
    /// Every registered consumer has read all frames below this one.
    pub(crate) unread: u64,
    /// No frame below this one is owed to any consumer.
    pub(crate) owed: u64,
}

/// What may be taken, if the consumers of `passed_over` are owed nothing. Neither limit is beyond `head`.
///
/// A consumer that joins after our look is not in it. What it is owed was published after it was registered, and so is not
/// below a head that was loaded before: a producer that stops here for an hour takes a frame that was there an hour ago.
#[inline]
pub(crate) fn limits<M: Memory, B: Backlog>(m: &M, b: &B, passed_over: u64) -> Limits {
    let early = (!b.mutant(Mutant::HeadAfterConsumers)).then(|| m.head().load(Acquire));
    let (consumers, latest) = registered(b);
    let owed_nothing = latest | passed_over;
    let (mut unread, mut owed) = (u64::MAX, u64::MAX);
    for id in ids(consumers) {
        // Relaxed: a value that is old is lower. The holder bits protect what a consumer still reads below its cursor.
        let cursor = b.cursor(id).load(Relaxed);
        unread = unread.min(cursor);
        if owed_nothing & bit(id) == 0 {
            owed = owed.min(cursor);
        }
    }
    let head = early.unwrap_or_else(|| m.head().load(Acquire));
    Limits { head, unread: unread.min(head), owed: owed.min(head) }
}

/// The registered consumers that are owed frames.
pub(crate) fn owed_to<B: Backlog>(b: &B, passed_over: u64) -> u64 {
    let (consumers, latest) = registered(b);
    consumers & !(latest | passed_over)
}

/// The registered consumers, and those that are owed nothing, registered or not.
fn registered<B: Backlog>(b: &B) -> (u64, u64) {
    // Pairs with the fence in `join`: if we see a frame that is published after somebody joined, we see who joined. And with
    // the one in `free`: either we see what was freed, or who freed it sees that we wait.
    if b.has_been_lossless() {
        b.fence(Fence::Owed);
    }
    // The mask first: it is written last.
    (b.active().load(Acquire) & CONSUMER_BITS, b.latest().load(Acquire))
}

/// The consumers of a mask.
pub(crate) fn ids(consumers: u64) -> impl Iterator<Item = u8> {
    (PRODUCERS..PARTICIPANTS).filter(move |&id| consumers & bit(id) != 0)
}

/// Consumer `id` says where it starts and whether it is owed anything, and is registered from then on.
///
/// Dead before the last store it does not count; its successor writes all of this again.
pub(crate) fn join<B: Backlog>(b: &B, id: u8, latest: bool, cursor: u64) {
    if latest {
        b.latest().or(bit(id), AcqRel);
    } else {
        b.latest().and(!bit(id), AcqRel);
    }
    b.cursor(id).store(cursor, Release);
    b.at(FailPoint::JoinCursor);
    b.active().or(bit(id), AcqRel);
    // Pairs with the fence in `limits`.
    b.fence(Fence::Join);
    b.at(FailPoint::JoinActive);
}

/// Frees something by `free` (a holder bit cleared, a cursor raised, a consumer out of the mask), and wakes the producers that
/// wait for it. Without any it costs two loads, and where there never was a lossless producer one.
///
/// Dead in between, the producers' tick shows what was freed. It also shows what is freed by who has not yet seen the first
/// lossless producer of the topic: that one set its flag when it opened, long before it waits.
#[inline]
pub(crate) fn free<B: Backlog>(b: &B, free: impl FnOnce()) {
    if b.mutant(Mutant::LooksBeforeFreeing) {
        let waiters = b.waiters().load(Acquire);
        free();
        return wake(b, waiters);
    }
    free();
    if !b.has_been_lossless() {
        return;
    }
    // Pairs with the fence in `registered`: either we see who waits, or it sees what is free.
    b.fence(Fence::Freed);
    wake(b, b.waiters().load(Relaxed));
}

#[inline]
fn wake<B: Backlog>(b: &B, waiters: u64) {
    if waiters != 0 {
        // Changed in any case, so that a producer between its look and its sleep does not sleep.
        b.bump_freed();
        b.at(FailPoint::FreedWord);
        b.wake_freed();
    }
}

/// One more thread of producer `me` is about to wait. `threads` counts them under a lock of the process: the participant has
/// one bit for all of them, which the first sets and the last clears.
pub(crate) fn begin<B: Backlog>(b: &B, me: u8, threads: &mut usize) {
    *threads = threads.saturating_add(1);
    b.waiters().or(bit(me), AcqRel);
    b.at(FailPoint::WaitBit);
}

/// One thread less. Under the same lock.
pub(crate) fn finish<B: Backlog>(b: &B, me: u8, threads: &mut usize) {
    *threads = threads.saturating_sub(1);
    if *threads == 0 || b.mutant(Mutant::EachStopsWaiting) {
        b.waiters().and(!bit(me), AcqRel);
        b.at(FailPoint::WaitClear);
    }
}

/// Looks for a slot until `look` or `sleep` gives a result; between [`begin`] and [`finish`]. `look` asks [`limits`] or
/// [`owed_to`], whose fence comes after the bit. `sleep` sleeps as long as the
/// futex word has the value given, and no longer than a tick: a death wakes nobody.
pub(crate) fn wait<B: Backlog, T>(
    b: &B,
    mut look: impl FnMut() -> Option<T>,
    mut sleep: impl FnMut(u32) -> Option<T>,
) -> T {
    loop {
        // Before the look: what is freed after it changes the word.
        let early = (!b.mutant(Mutant::ValueAfterLook)).then(|| b.freed_value());
        if let Some(found) = look() {
            return found;
        }
        if let Some(ended) = sleep(early.unwrap_or_else(|| b.freed_value())) {
            return ended;
        }
    }
}

/// The dead participant `id` waits no more. Its byte is locked.
pub(crate) fn clear_dead<B: Backlog>(b: &B, id: u8) {
    if b.waiters().load(Acquire) & bit(id) != 0 {
        b.waiters().and(!bit(id), AcqRel);
    }
}
