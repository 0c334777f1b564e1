//! Waiting for the next frame, for the end, or for the topic to go away.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use super::{Consumer, Frame};
use crate::error::{Error, Result};
use crate::layout::words::Entry;
use crate::lifecycle::reap;
use crate::protocol::{Memory, Word, sleep};
use crate::sys::clock::{Deadline, monotonic_coarse_ns};
use crate::sys::files::same_file;
use crate::sys::futex::{self, Woken};

/// The longest sleep: the death of a peer wakes no futex, so a sleeper looks up at times.
const TICK: Duration = Duration::from_secs(1);
/// The shortest, when frames are overdue.
const SHORTEST_TICK: Duration = Duration::from_millis(50);

/// Every so many ticks of an idle consumer it looks whether its peers are alive and its topic is there.
const LOOK_UP_TICKS: u32 = 5;

/// How frames have come so far, to know when they are overdue.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last: u64,
    interval: u64,
    /// Ticks since anything came: after the first there is no hurry.
    idle: u32,
}

impl Pace {
    /// A frame was waited for, and came.
    fn arrived(&mut self) {
        let now = monotonic_coarse_ns();
        if self.last != 0 {
            let gap = now.saturating_sub(self.last);
            self.interval = (self.interval.saturating_mul(7).saturating_add(gap)) / 8;
        }
        (self.last, self.idle) = (now, 0);
    }

    /// How long to sleep before looking up: four frames' time once, then the whole tick.
    fn tick(&self) -> Duration {
        if self.idle != 0 {
            TICK
        } else {
            Duration::from_nanos(self.interval.saturating_mul(4)).clamp(SHORTEST_TICK, TICK)
        }
    }
}

impl Consumer {
    pub(super) fn recv_until(&mut self, deadline: Option<Deadline>) -> Result<Frame> {
        let mut slept = false;
        loop {
            self.epoch.member.check_fork()?;
            let topic = || self.epoch.member.topic_name().to_owned();
            if self.unblocker.is_set() {
                return Err(Error::Unblocked { topic: topic() });
            }
            if let Some(frame) = self.poll()? {
                if slept {
                    self.pace.arrived();
                }
                return Ok(frame);
            }
            if self.epoch.member.peers.header().removed.load(SeqCst) != 0 {
                return Err(Error::Removed { topic: self.topic().into() });
            }
            if self.has_ended() && !self.something_new() {
                return Err(Error::Ended { topic: self.topic().into() });
            }
            if deadline.is_some_and(|deadline| deadline.has_passed()) {
                return Err(Error::Timeout { topic: self.topic().into() });
            }
            slept = true;
            self.sleep(deadline)?;
        }
    }

    /// Sleeps until there may be something new, the deadline, or the next tick.
    fn sleep(&mut self, deadline: Option<Deadline>) -> Result<()> {
        let epoch = &*self.epoch;
        let id = epoch.member.id();
        let value = match id {
            Some(id) => sleep::prepare(epoch, id, || self.has_news()),
            // Without a bit: the producers wake in any case.
            None => {
                let value = epoch.wake_value();
                crate::protocol::Memory::fence(epoch, crate::protocol::Fence::Sleep);
                (!self.has_news()).then_some(value)
            }
        };
        let Some(value) = value else { return Ok(()) };
        let tick = self.pace.tick();
        let limit = deadline.map_or(tick, |deadline| deadline.remaining().min(tick));
        let woken = futex::wait_two(epoch.wake_word(), value, self.unblocker.word(), 0, Some(limit));
        if let Some(id) = id {
            sleep::awake(epoch, id);
        }
        match woken {
            Ok(Woken::TimedOut) if limit == tick => self.look_up(),
            Ok(_) => Ok(()),
            Err(e) => Err(Error::io(self.topic(), "wait for a frame", e)),
        }
    }

    /// Nothing came for a tick: is somebody dead, or the topic gone? The frame that a producer did not live to wake us
    /// for is seen in any case; this costs system calls, and is done when frames are overdue and seldom afterwards.
    fn look_up(&mut self) -> Result<()> {
        let ticks = self.pace.idle;
        self.pace.idle = ticks.wrapping_add(1);
        if !ticks.is_multiple_of(LOOK_UP_TICKS) {
            return Ok(());
        }
        let member = &self.epoch.member;
        let there = same_file(member.peers.fd()?, &member.peers.topic().peers_path());
        if matches!(there, Ok(false)) {
            return Err(Error::Removed { topic: self.topic().into() });
        }
        reap::reap_dead(&self.epoch)?;
        Ok(())
    }

    /// Whether there is a reason not to sleep.
    fn has_news(&self) -> bool {
        self.something_new()
            || self.unblocker.is_set()
            || self.has_ended()
            || self.epoch.member.peers.header().removed.load(SeqCst) != 0
    }

    /// Whether the index has something at the cursor, or beyond it.
    fn something_new(&self) -> bool {
        let word: &std::sync::atomic::AtomicU64 = self.epoch.index(self.cursor);
        Entry::unpack(Word::load(word, std::sync::atomic::Ordering::Acquire)).seq >= self.cursor
            || self.cursor < self.epoch.first().load(SeqCst)
    }

    /// Whether the producers have ended the stream, other than by an end that was there before we were.
    fn has_ended(&self) -> bool {
        self.epoch
            .member
            .peers
            .end()
            .is_some_and(|end| self.ended_before.is_none_or(|before| end.is_after(before)))
    }
}
