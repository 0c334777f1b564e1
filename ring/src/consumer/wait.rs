//! Waiting for the next frame, for the end, or for the topic to go away.

use std::borrow::Cow;

use super::busy_wait::{self, Expected};
use super::selection::LONGEST_REST;
use super::wait_condition::WaitCondition;
use super::{Consumer, Frame};
use crate::error::{Error, Result};
use crate::sys::clock::{Deadline, monotonic_ns};
use crate::sys::futex::{self, Woken};

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
                self.rearm_after_frame();
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
                return Err(Error::Timeout { topic: self.topic_shared(), what: self.why_nothing() });
            }
            slept = true;
            match &self.poll_fd {
                Some(poll_fd) => poll_fd.wait(deadline, self.topic())?,
                None => self.sleep(deadline)?,
            }
        }
    }

    /// Why no frame came in time.
    fn why_nothing(&self) -> Cow<'static, str> {
        let due = self.selection.rests_until();
        if due != 0 {
            let ms = due.saturating_sub(monotonic_ns()).div_ceil(1_000_000);
            return format!(
                "its max_rate allows the next frame in {ms} ms; wait that long, or raise the rate"
            )
            .into();
        }
        if self.stream_status().producers == 0 {
            "no frame arrived: it has no producer now; start one".into()
        } else {
            "no frame arrived, though it has a producer; check that its frames flow".into()
        }
    }

    /// Sleeps until there may be something new, the deadline, or the next tick.
    fn sleep(&mut self, deadline: Option<Deadline>) -> Result<()> {
        let rest = self.selection.rests_until();
        if rest != 0 {
            return self.rest(deadline, rest);
        }
        if self.busy_wait.is_on() && self.expect(deadline)? {
            return Ok(());
        }
        let tick = self.pace.tick();
        let limit = deadline.map_or(tick, |deadline| deadline.remaining().min(tick));
        let woken = self.awaited().sleep(limit);
        if matches!(woken, Ok(Woken::Interrupted | Woken::TimedOut)) && self.cancel_token.check() {
            return Err(Error::Cancelled { topic: self.topic_shared() });
        }
        match woken {
            Ok(Woken::TimedOut) if self.pace.on_timeout() => self.awaited().check_peers(),
            Ok(_) => Ok(()),
            Err(e) => Err(Error::io(self.topic(), "wait for a frame", e)),
        }
    }

    /// Where it is known when the next frame is due: sleeps until then, or looks for it, until the deadline at most. Whether it
    /// did.
    fn expect(&mut self, deadline: Option<Deadline>) -> Result<bool> {
        let next = self.selection.next(self.cursor);
        match self.busy_wait.expected(next, monotonic_ns()) {
            Expected::Later(wake) if deadline.is_none_or(|deadline| Deadline::at(wake) < deadline) => {
                busy_wait::sleep_exactly();
                let woken = self.awaited().sleep(Deadline::at(wake).remaining());
                match woken {
                    Ok(Woken::TimedOut) => self.busy_wait.woke(wake, monotonic_ns()),
                    Ok(Woken::Interrupted) if self.cancel_token.check() => {
                        return Err(Error::Cancelled { topic: self.topic_shared() });
                    }
                    Ok(_) => {}
                    Err(e) => return Err(Error::io(self.topic(), "wait for a frame", e)),
                }
                Ok(true)
            }
            Expected::Now(until) => {
                let until = deadline.map_or(until, |deadline| until.min(deadline.ns()));
                let awaited = self.awaited();
                let outcome = busy_wait::look(|| awaited.is_ready(), until);
                // An end, or a cancelled wait, is no frame.
                self.stats.expected += u64::from(outcome.found && awaited.has_frame());
                self.busy_wait.looked(outcome);
                Ok(true)
            }
            Expected::Later(_) | Expected::Unknown => Ok(false),
        }
    }

    /// Sleeps until a frame may be taken again; those that are published meanwhile wake nobody.
    fn rest(&self, deadline: Option<Deadline>, until: u64) -> Result<()> {
        let until = Deadline::at(until).min(Deadline::after(LONGEST_REST));
        let until = deadline.map_or(until, |deadline| deadline.min(until));
        match futex::wait_private(self.cancel_token.word(), 0, Some(until)) {
            Ok(Woken::Interrupted | Woken::TimedOut) if self.cancel_token.check() => {
                Err(Error::Cancelled { topic: self.topic_shared() })
            }
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
        if (gone || self.awaited().is_removed()) && !self.rests_before_a_frame() {
            return Err(Error::Removed { topic: self.topic_shared() });
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "wait_tests.rs"]
mod tests;
