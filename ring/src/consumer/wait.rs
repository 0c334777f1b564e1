//! Waiting for the next frame, for the end, or for the topic to go away.

use std::io;
use std::sync::atomic::Ordering::Acquire;
use std::time::Duration;

use super::{Consumer, Frame};
use crate::error::{Error, Result};
use crate::layout::view::LoadAcquire;
use crate::layout::words::{Entry, PRODUCERS, bit};
use crate::lifecycle::reap;
use crate::protocol::{Fence, Memory, Word, sleep};
use crate::shm::epoch::Epoch;
use crate::shm::participants::End;
use crate::sys::cancel::CancelToken;
use crate::sys::clock::{Deadline, monotonic_coarse_ns};
use crate::sys::futex::{self, Private, Woken};

/// The longest sleep: the death of a peer wakes no futex, so a sleeper checks its peers at intervals.
const TICK: Duration = Duration::from_secs(1);
/// The shortest, when frames are overdue.
const SHORTEST_TICK: Duration = Duration::from_millis(50);

/// So often an idle consumer looks whether its peers are alive and its topic is there.
const PEER_CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// How far the coarse clock may be behind.
const COARSE: Duration = Duration::from_millis(10);
/// Of attempts that found nothing, every so manyth asks the clock.
const EMPTY_HANDED: u32 = 16;

/// How frames have come so far, to know when they are overdue.
#[derive(Debug)]
pub(super) struct ArrivalTimer {
    last: u64,
    interval: u64,
    /// It was looked already since anything came: there is no hurry.
    idle: bool,
    /// When it was looked, or something came.
    looked: u64,
    /// Attempts without waiting that found nothing.
    empty: u32,
    /// The longest tick.
    longest: Duration,
}

impl Default for ArrivalTimer {
    fn default() -> Self {
        Self { last: 0, interval: 0, idle: false, looked: monotonic_coarse_ns(), empty: 0, longest: TICK }
    }
}

impl ArrivalTimer {
    /// Without ticks, which would hide a wake-up that was lost.
    #[cfg(test)]
    pub(super) fn without_ticks() -> Self {
        Self { idle: true, longest: Duration::from_secs(3600), ..Self::default() }
    }

    /// A frame was waited for, and came.
    pub(super) fn arrived(&mut self) {
        let now = monotonic_coarse_ns();
        if self.last != 0 {
            let gap = now.saturating_sub(self.last);
            self.interval = (self.interval.saturating_mul(7).saturating_add(gap)) / 8;
        }
        (self.last, self.looked, self.idle) = (now, now, false);
    }

    /// How long to sleep before checking the peers: four frame intervals once, then the whole interval.
    pub(super) fn tick(&self) -> Duration {
        if self.idle || self.longest > TICK {
            self.longest
        } else {
            Duration::from_nanos(self.interval.saturating_mul(4)).clamp(SHORTEST_TICK, self.longest)
        }
    }

    /// Nothing came, for a tick or for as long as was to be waited. Whether it is time to look whether somebody is dead, or
    /// the topic gone: that costs system calls, and is done when frames are overdue and seldom afterwards. (A frame that
    /// a producer did not live to wake us for is seen in any case.)
    pub(super) fn on_timeout(&mut self) -> bool {
        let pause = if self.idle { PEER_CHECK_INTERVAL } else { self.tick().min(PEER_CHECK_INTERVAL) };
        let due = self.has_been(pause);
        self.idle |= due;
        due
    }

    /// The same for a consumer that does not wait, and finds nothing.
    pub(super) fn on_empty_poll(&mut self) -> bool {
        self.empty = self.empty.wrapping_add(1);
        self.empty.is_multiple_of(EMPTY_HANDED) && self.has_been(PEER_CHECK_INTERVAL)
    }

    fn has_been(&mut self, pause: Duration) -> bool {
        let now = monotonic_coarse_ns();
        let since = Duration::from_nanos(now.saturating_sub(self.looked));
        let due = since.saturating_add(COARSE) >= pause;
        if due {
            self.looked = now;
        }
        due
    }
}

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

impl Consumer {
    pub(super) fn recv_until(&mut self, deadline: Option<Deadline>) -> Result<Frame> {
        let mut slept = false;
        loop {
            self.epoch.member.check_fork()?;
            if self.cancel_token.is_cancelled() {
                return Err(Error::Cancelled { topic: self.topic_shared() });
            }
            if let Some(frame) = self.poll()? {
                if slept {
                    self.pace.arrived();
                }
                return Ok(frame);
            }
            self.check_removed()?;
            let awaited = self.awaited();
            if let Some(end) = awaited.new_end().filter(|_| !awaited.has_frame()) {
                self.known_end = Some(end);
                // A producer that has ended the stream is not missed.
                if self.known_absence.is_some() {
                    self.known_absence = Some(end.generation);
                }
                self.rearm();
                return Err(Error::Ended { topic: self.topic_shared() });
            }
            if self.known_absence.is_some() {
                let probe = slept || self.poll_fd.is_some() || self.pace.on_empty_poll();
                let awaited = self.awaited();
                if let Some(newest) = awaited.new_absence(probe).filter(|_| !awaited.has_frame()) {
                    self.known_absence = Some(newest);
                    self.rearm();
                    return Err(Error::NoProducer { topic: self.topic_shared() });
                }
            }
            self.rearm();
            if deadline.is_some_and(|deadline| deadline.has_passed()) {
                return Err(Error::Timeout {
                    topic: self.topic_shared(),
                    what: "no frame arrived; check that its producer is running",
                });
            }
            slept = true;
            match &self.poll_fd {
                Some(poll_fd) => poll_fd.wait(deadline, self.topic())?,
                None => self.sleep(deadline)?,
            }
        }
    }

    /// Sleeps until there may be something new, the deadline, or the next tick.
    fn sleep(&mut self, deadline: Option<Deadline>) -> Result<()> {
        let tick = self.pace.tick();
        let limit = deadline.map_or(tick, |deadline| deadline.remaining().min(tick));
        let woken = self.awaited().sleep(None, limit);
        if matches!(woken, Ok(Woken::Interrupted | Woken::TimedOut)) && self.cancel_token.check() {
            return Err(Error::Cancelled { topic: self.topic_shared() });
        }
        match woken {
            Ok(Woken::TimedOut) if self.pace.on_timeout() => self.awaited().check_peers(),
            Ok(_) => Ok(()),
            Err(e) => Err(Error::io(self.topic(), "wait for a frame", e)),
        }
    }

    pub(super) fn awaited(&self) -> WaitCondition<'_> {
        WaitCondition {
            epoch: &self.epoch,
            cursor: self.cursor,
            known_end: self.known_end,
            known_absence: self.known_absence,
            cancel_token: &self.cancel_token,
        }
    }

    /// When every frame was read: whether there will never be another.
    pub(super) fn check_removed(&self) -> Result<()> {
        let gone = self.poll_fd.as_ref().is_some_and(super::poll_fd::ReadyFd::is_gone);
        if gone || self.awaited().is_removed() {
            return Err(Error::Removed { topic: self.topic_shared() });
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "wait_tests.rs"]
mod tests;
