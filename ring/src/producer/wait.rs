//! A lossless producer's wait for a slot that it owes to nobody.
//!
//! It holds no lock while it sleeps, and nobody has to live for it to end: what is freed wakes it, and a tick shows what
//! frees itself in silence (a consumer that is killed, one that takes nothing for too long, a topic that is removed).

use std::sync::PoisonError;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::time::Duration;

use super::OverflowPolicy;
use super::inner::{Current, Inner};
use crate::error::{Error, Result};
use crate::layout::words::bit;
use crate::lifecycle::recovery::KEPT_EPOCHS;
use crate::protocol::Memory;
use crate::protocol::backlog::{self, ids, owed_to};
use crate::sys::clock::{Deadline, monotonic_ns};
use crate::sys::futex::{self, Woken};
use crate::trace;

/// A death wakes no futex: as long as a producer waits, and no longer, it looks so often who is alive.
const TICK: Duration = Duration::from_millis(50);

/// A thread that waits, from its bit in `peers` to the end of its wait.
struct Waiter<'a> {
    inner: &'a Inner,
    /// When the wait was last counted.
    since: u64,
    /// For so long no consumer was owed anything, and no slot was free all the same.
    unowed: Duration,
}

impl<'a> Waiter<'a> {
    fn new(inner: &'a Inner) -> Self {
        let mut threads = inner.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        backlog::begin(&inner.member.peers, inner.id, &mut threads);
        drop(threads);
        Self { inner, since: monotonic_ns(), unowed: Duration::ZERO }
    }

    /// Sleeps until something is freed or the tick is over. An error ends the wait.
    fn sleep(&mut self, value: u32, refused: Error) -> Option<Error> {
        let Inner { member, cancel_token, stall_timeout, .. } = self.inner;
        let no_slot = matches!(refused, Error::NoSlot { .. });
        if no_slot && self.inner.holds_all() {
            // Nobody else could free one.
            return Some(refused);
        }
        let word = &member.peers.header().freed;
        let tick = stall_timeout.map_or(TICK, |timeout| timeout.min(TICK));
        let cancelled = || Some(Error::Cancelled { topic: member.topic_shared() });
        // One futex instead of two, if nobody else waits with this token.
        let alone = cancel_token.register_waiter(word);
        if cancel_token.is_cancelled() {
            return cancelled();
        }
        let woken = if alone.is_some() {
            futex::wait_until(word, value, Some(Deadline::after(tick)))
        } else {
            futex::wait_any(&[(word, value)], &[(cancel_token.word(), 0)], Some(tick))
        };
        drop(alone);
        let disturbed = match woken {
            Ok(woken) => matches!(woken, Woken::TimedOut | Woken::Interrupted),
            Err(error) => return Some(Error::io(member.topic_name(), "wait for a slot", error)),
        };
        if cancel_token.is_cancelled() || (disturbed && cancel_token.check()) {
            return cancelled();
        }
        // Stopped ourselves, perhaps together with those whom we wait for, we did not wait.
        let now = monotonic_ns();
        let time = Duration::from_nanos(now.saturating_sub(self.since)).min(2 * TICK);
        self.since = now;
        let epoch = self.inner.epoch();
        let is_new = self.inner.count_wait(epoch.head().load(Acquire), time);
        if disturbed && !is_new {
            self.inner.reap();
        }
        // Every slot is held, and whoever holds them is owed nothing: that has the same limit.
        self.unowed = if no_slot { self.unowed.saturating_add(time) } else { Duration::ZERO };
        stall_timeout.is_some_and(|timeout| self.unowed >= timeout).then_some(refused)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut threads = self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        backlog::finish(&self.inner.member.peers, self.inner.id, &mut threads);
    }
}

impl Inner {
    /// Whether this producer holds every slot itself.
    fn holds_all(&self) -> bool {
        let epoch = self.epoch();
        (0..epoch.slots()).all(|slot| epoch.holders(slot).load(Relaxed) == bit(self.id))
    }

    pub(super) fn is_lossless(&self) -> bool {
        self.overflow_policy == OverflowPolicy::Lossless
    }

    /// Does something that needs room. A lossless producer for which there is none waits for it.
    #[inline]
    pub(super) fn with_room<T>(&self, attempt: impl Fn(&mut Current) -> Result<T>) -> Result<T> {
        match self.try_now(&attempt) {
            Err(Error::Full { .. } | Error::NoSlot { .. }) if self.is_lossless() => {
                self.wait_for_room(attempt)
            }
            done => done,
        }
    }

    /// The same after there was none.
    #[cold]
    fn wait_for_room<T>(&self, attempt: impl Fn(&mut Current) -> Result<T>) -> Result<T> {
        let attempt = || self.try_now(&attempt);
        let mut waiter = Waiter::new(self);
        let refused = std::cell::Cell::new(None);
        let look = || match attempt() {
            Err(error @ (Error::Full { .. } | Error::NoSlot { .. })) => {
                refused.set(Some(error));
                None
            }
            done => Some(done),
        };
        let full = || Error::Full { topic: self.member.topic_shared() };
        let sleep = |value| waiter.sleep(value, refused.take().unwrap_or_else(full)).map(Err);
        backlog::wait(&self.member.peers, look, sleep)
    }

    /// Does something that may need room, and does not wait for it.
    #[inline]
    pub(super) fn try_now<T>(&self, attempt: impl Fn(&mut Current) -> Result<T>) -> Result<T> {
        let _events = trace::hold();
        attempt(&mut self.current())
    }

    /// Whether a growth of `current`, the newest epoch, would drop the name of an epoch of which a consumer is owed frames.
    pub(super) fn owes_dropped_epoch(&self, current: u64, head: u64) -> bool {
        let peers = &self.member.peers;
        ids(owed_to(peers, self.passed_over())).any(|id| {
            let entry = peers.participant(id);
            entry.cursor.load(Acquire) < head
                && entry.epoch.load(Acquire).saturating_add(KEPT_EPOCHS) < current
        })
    }
}
