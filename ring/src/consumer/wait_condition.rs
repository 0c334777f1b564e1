//! What is waited for, and the sleep until it may be there: a consumer's own, or that of the watcher of its descriptor.

use std::io;
use std::sync::atomic::Ordering::Acquire;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::layout::view::LoadAcquire;
use crate::layout::words::{Entry, PRODUCERS, bit};
use crate::lifecycle::reap;
use crate::protocol::{Fence, Memory, Word, sleep};
use crate::shm::epoch::Epoch;
use crate::shm::participants::End;
use crate::sys::cancel::CancelToken;
use crate::sys::clock::Deadline;
use crate::sys::futex::{self, Woken};

/// What a consumer waits for: anything at its cursor or beyond it, an end that it has not reported, a removal, or its
/// cancel token.
#[derive(Clone, Copy, Debug)]
pub(super) struct WaitCondition<'a> {
    pub(super) epoch: &'a Epoch,
    pub(super) cursor: u64,
    /// An end that does not count.
    pub(super) known_end: Option<End>,
    /// What is known of producers that left, if that counts.
    pub(super) known_absence: Option<u64>,
    pub(super) cancel_token: &'a CancelToken,
}

impl WaitCondition<'_> {
    /// Sleeps until there may be something new, or the limit.
    pub(super) fn sleep(&self, limit: Duration) -> io::Result<Woken> {
        let word = self.epoch.wake_word();
        // One futex instead of two, if nothing else is waited for: a tenth of what a frame costs a consumer that sleeps for
        // each, and all that kernels before 5.16 can do without checking all the time.
        let alone = self.cancel_token.register_waiter(word);
        let (value, is_ready) = self.announce();
        if is_ready {
            self.retract();
            return Ok(Woken::Changed);
        }
        let woken = match alone {
            Some(_) => futex::wait_until(word, value, Some(Deadline::after(limit))),
            None => futex::wait_any(&[(word, value)], &[(self.cancel_token.word(), 0)], Some(limit)),
        };
        drop(alone);
        self.retract();
        woken
    }

    /// Says that somebody sleeps from now on, until that is [taken back](Self::retract). The value of the futex word to sleep on, and
    /// whether there is a reason not to.
    pub(super) fn announce(&self) -> (u32, bool) {
        match self.epoch.member.id() {
            Some(id) => sleep::prepare(self.epoch, id, || self.is_ready()),
            // Without a bit: the producers wake in any case.
            None => {
                let value = self.epoch.wake_value();
                self.epoch.fence(Fence::Sleep);
                (value, self.is_ready())
            }
        }
    }

    /// Nobody sleeps any more.
    pub(super) fn retract(&self) {
        if let Some(id) = self.epoch.member.id() {
            sleep::awake(self.epoch, id);
        }
    }

    /// Nothing arrived: is a peer dead, or the topic gone?
    pub(super) fn check_peers(&self) -> Result<()> {
        let member = &self.epoch.member;
        if !self.epoch.has_names() {
            return Err(Error::Removed { topic: member.topic_name().into() });
        }
        reap::reap_dead(self.epoch)?;
        Ok(())
    }

    /// Whether there is a reason not to sleep.
    pub(super) fn is_ready(&self) -> bool {
        self.has_frame()
            || self.cancel_token.is_cancelled()
            || self.new_end().is_some()
            || self.new_absence(false).is_some()
            || self.is_removed()
    }

    /// Whether there is something to tell although no frame is there, or may be taken.
    pub(super) fn is_over(&self) -> bool {
        !self.has_frame()
            && (self.new_end().is_some() || self.new_absence(false).is_some() || self.is_removed())
    }

    /// Whether the index has something at the cursor, or beyond it.
    pub(super) fn has_frame(&self) -> bool {
        let word: &std::sync::atomic::AtomicU64 = self.epoch.index(self.cursor);
        Entry::unpack(Word::load(word, Acquire)).seq >= self.cursor
            || self.cursor < self.epoch.first().load_acquire()
    }

    /// The end of the stream, if the producers have said it and it is not the known one.
    pub(super) fn new_end(&self) -> Option<End> {
        let end = self.epoch.member.peers.end()?;
        self.known_end.is_none_or(|known| end.is_after(known)).then_some(end)
    }

    /// The newest producer there was, by its generation, if none is left and it is not the known one. One that was killed
    /// and not reaped counts as left only with `probe`, which asks the system about the locks of those that are listed.
    pub(super) fn new_absence(&self, probe: bool) -> Option<u64> {
        let known = self.known_absence?;
        let peers = &self.epoch.member.peers;
        let listed = peers.active() & (bit(PRODUCERS) - 1);
        if listed != 0 && !(probe && peers.producers() == 0) {
            return None;
        }
        let of = |id| peers.load(&peers.participant(id).generation);
        let newest = (0..PRODUCERS).filter(|&id| listed & bit(id) != 0).map(of).max().unwrap_or(0);
        let newest = newest.max(peers.load(&peers.header().last_producer));
        (newest != known).then_some(newest)
    }

    pub(super) fn is_removed(&self) -> bool {
        let peers = &self.epoch.member.peers;
        peers.load(&peers.header().removed) != 0
    }
}
