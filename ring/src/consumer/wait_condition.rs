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
use crate::sys::futex::{self, Private, Woken};

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
    /// Sleeps until there may be something new, the limit, or until one of the `also` private words changes.
    pub(super) fn sleep(&self, also: Option<Private<'_>>, limit: Duration) -> io::Result<Woken> {
        let epoch = self.epoch;
        let id = epoch.member.id();
        // One futex instead of two, if nothing else is waited for: a tenth of what a frame costs a consumer that sleeps for
        // each, and all that kernels before 5.16 can do without checking all the time.
        let alone = if also.is_none() { self.cancel_token.register_waiter(epoch.wake_word()) } else { None };
        let value = match id {
            Some(id) => sleep::prepare(epoch, id, || self.is_ready()),
            // Without a bit: the producers wake in any case.
            None => {
                let value = epoch.wake_value();
                epoch.fence(Fence::Sleep);
                (!self.is_ready()).then_some(value)
            }
        };
        let Some(value) = value else { return Ok(Woken::Changed) };
        let cancel_token = (self.cancel_token.word(), 0);
        let woken = match also {
            Some(also) => futex::wait_any(epoch.wake_word(), value, &[cancel_token, also], Some(limit)),
            None if alone.is_some() => {
                futex::wait_until(epoch.wake_word(), value, Some(Deadline::after(limit)))
            }
            None => futex::wait_any(epoch.wake_word(), value, &[cancel_token], Some(limit)),
        };
        drop(alone);
        if let Some(id) = id {
            sleep::awake(epoch, id);
        }
        woken
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
