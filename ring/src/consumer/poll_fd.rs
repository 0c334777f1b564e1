//! A file descriptor that says when a consumer is worth asking: for `poll`, `epoll` and event loops.
//!
//! A futex cannot be polled. So a thread of this process, the *watcher* (`watchers.rs`), sleeps on the topic's futex in the
//! consumer's place, exactly as the consumer would, and writes to an eventfd when there is something to fetch. It touches
//! shared memory only by what a sleeping consumer does, so that nothing new can be left behind by its death. One watcher
//! does this for many consumers.
//!
//! The two agree by one word:
//!
//! - `IDLE`: the eventfd is readable; the watcher does nothing for it until it is given something to do.
//! - `ARMED`: the eventfd is not readable; the watcher sleeps until there is news at the cursor that it was given.
//! - `KEPT`: the eventfd is readable; the watcher sleeps as in `ARMED`, with its sleeper bit set. This is what it makes of `ARMED`
//!   when there is news. If it is woken once more before the consumer has found nothing, it makes `IDLE` of it; so does the consumer
//!   when it goes on to another epoch, in which its watcher's sleep would cost producers calls in vain.
//! - `QUIT`: the watcher is to forget it; then it stores `LEFT`.
//!
//! **The descriptor is readable exactly in `IDLE` and `KEPT`** as seen by the thread that holds the mutex: the change of the word and
//! the write or read of the eventfd are made together under it. From this follows:
//!
//! - *No wake-up is lost.* The consumer goes to `ARMED` only after it has looked and found nothing, and gives the watcher the cursor
//!   at which it found nothing. From `IDLE` the watcher's first look comes after that (it takes the order under the mutex) and
//!   after its sleeper bit is set. What was published before that look is seen by it; what is published later wakes it, as it
//!   does every sleeper (`protocol/sleep.rs`). In both cases it goes to `KEPT`. From `KEPT` the watcher is not told, and need not be:
//!   it sleeps with its bit set, on the value that the futex word had before its last look. What was published before that look
//!   is seen by the consumer, which looks once more after it has taken the mutex; what is published later wakes the watcher,
//!   which then finds `ARMED` and the cursor.
//! - *The level holds.* While frames are fetched the word is `IDLE` or `KEPT`, readable, or it is `ARMED` with a cursor that is not
//!   beyond the consumer's own (it only rises): then the watcher has news too, and is on its way to `KEPT`.
//! - *A frame costs a consumer that keeps up one wake-up of the watcher*, and one that is behind none: `KEPT` ends with the next frame.
//! - *No false level stays.* Readable without a frame costs the consumer one look, and that look makes it `ARMED`. A consumer that
//!   takes a frame looks whether there is another: an event loop wakes once for each frame, and not once more for nothing.
//!
//! The sleeper bit is one per participant. Once there is a watcher it is the only one who sets and clears it: the
//! consumer itself then waits on the eventfd.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, epoll, eventfd, poll};
use rustix::io::Errno;

use super::Consumer;
use super::arrival::ArrivalTimer;
use super::watchers::{Seat, Shared, WatchRequest};
use crate::error::{Error, Result};
use crate::protocol::poll_fd::{self, IDLE, Level};
use crate::sys::cancel::CancelToken;
use crate::sys::clock::Deadline;
use crate::sys::fork::GuardedFd;

/// The longest time between two calls of a cancel token's check.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// The consumer's end: the descriptor, and its place at a watcher.
#[derive(Debug)]
pub(super) struct ReadyFd {
    shared: Arc<Shared>,
    /// The descriptor that the program has, if that is another: one around it, from before there was a topic.
    around: Option<GuardedFd>,
    /// Where the epoch lies that the watcher was last told to watch: no other one does, as long as it does that.
    watches: AtomicUsize,
    /// Taken when it is dropped.
    seat: Option<Seat>,
}

impl ReadyFd {
    /// Begins in `IDLE`: readable until the consumer has looked for the first time.
    pub(super) fn start(
        topic: &str,
        cancel_token: &CancelToken,
        pace: ArrivalTimer,
        around: Option<GuardedFd>,
    ) -> Result<Self> {
        let io = |error| Error::io(topic, "make a descriptor that can be polled", error);
        let made = || Ok(eventfd(1, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let event = GuardedFd::open(made).map_err(io)?;
        if let Some(around) = &around {
            let add = |around, event| {
                epoll::add(around, event, epoll::EventData::new_u64(0), epoll::EventFlags::IN)
            };
            around.fd().and_then(|around| Ok(add(around, event.fd()?)?)).map_err(io)?;
        }
        let seat = Seat::take().map_err(io)?;
        let shared = seat.watch(event, cancel_token.clone(), pace);
        Ok(Self { shared, around, watches: AtomicUsize::new(0), seat: Some(seat) })
    }

    fn fd(&self, topic: &str) -> Result<BorrowedFd<'_>> {
        let fd = self.around.as_ref().unwrap_or(&self.shared.event);
        fd.get().ok_or_else(|| Error::Forked { topic: topic.into() })
    }

    /// The descriptor that the program has, if that is one around this: what was in it is in it no more, and it is as good as new.
    pub(super) fn into_around(mut self) -> Option<GuardedFd> {
        let around = self.around.take()?;
        if let (Some(epoll), Some(event)) = (around.get(), self.shared.event.get()) {
            // It was added at the start. (Closing it would not do where a forked child has it, too.)
            let _ = epoll::delete(epoll, event);
        }
        Some(around)
    }

    /// Whether the consumer is to fetch what there is.
    pub(super) fn is_readable(&self) -> bool {
        poll_fd::is_readable(&*self.shared)
    }

    /// Whether no watcher sleeps in its place.
    pub(super) fn rests(&self) -> bool {
        self.shared.word() == IDLE
    }

    /// Whether the watcher saw that the topic is gone.
    pub(super) fn is_gone(&self) -> bool {
        self.shared.is_gone()
    }

    /// The consumer found nothing: makes the descriptor unreadable until there is something. No system call if it is so
    /// already, and none that wakes if the watcher watches the same epoch still.
    fn rearm(&self, order: WatchRequest, is_ready: impl FnOnce() -> bool) {
        let epoch = Arc::as_ptr(&order.epoch).addr();
        let stays = self.watches.swap(epoch, Relaxed) == epoch && order.rests_until == 0;
        poll_fd::rearm(&*self.shared, stays, order, is_ready);
    }

    /// The consumer goes on in another epoch, before it has found nothing in it.
    pub(super) fn leave_epoch(&self) {
        poll_fd::rest(&*self.shared);
    }

    /// Waits until the descriptor is readable, a signal arrives or the deadline passes.
    pub(super) fn wait(&self, deadline: Option<Deadline>, topic: &str) -> Result<()> {
        let fd = self.fd(topic)?;
        let asks = self.shared.cancel_token.has_check();
        let left = deadline.map(Deadline::remaining);
        let left = if asks { Some(left.unwrap_or(ASK_EVERY).min(ASK_EVERY)) } else { left };
        let left = left.map(|left| rustix::event::Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], left.as_ref()) {
            Ok(0) | Err(Errno::INTR) if asks && self.shared.cancel_token.check() => {
                Err(Error::Cancelled { topic: topic.into() })
            }
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(e) => Err(Error::io(topic, "wait for a frame", e)),
        }
    }
}

impl Drop for ReadyFd {
    fn drop(&mut self) {
        let Some(seat) = self.seat.take() else { return };
        if self.shared.event.get().is_none() {
            // A forked child has neither the thread nor a right to its mutex.
            return std::mem::forget(seat);
        }
        poll_fd::quit(&*self.shared);
        // From here on nobody else uses the mapping, or the sleeper bit.
        seat.leave(&self.shared);
        // Whoever polls it in another thread, or a duplicate of it, looks again, and finds the consumer gone.
        self.shared.raise();
        if let Some(around) = &self.around {
            // Which forgets the other one when that is closed. Without descriptors nobody is told.
            let _ = stays_readable(around);
        }
    }
}

/// Has an epoll descriptor be readable for good, by an event of which the process has one for all.
fn stays_readable(around: &GuardedFd) -> std::io::Result<()> {
    static READY: OnceLock<Option<GuardedFd>> = OnceLock::new();
    let open = || GuardedFd::open(|| Ok(eventfd(1, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)).ok();
    let Some(ready) = READY.get_or_init(open) else { return Ok(()) };
    epoll::add(around.fd()?, ready.fd()?, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
    Ok(())
}

impl Consumer {
    /// A descriptor that is readable when [`recv_timeout`](Self::recv_timeout) has something to say at once: a frame, an
    /// end that was not reported yet, a removal, or the cancel token. For `poll`, `epoll` and event loops.
    ///
    /// It is level-triggered: readable until `try_recv` or `recv_timeout` found nothing, which also makes it unreadable
    /// until there is something. It may be readable without reason (always so at first), never the other way round. Do
    /// not read from it or write to it. After [`try_recv`](Self::try_recv), which does not report the end, an end keeps it
    /// readable: with this descriptor, call `recv_timeout(Duration::ZERO)`. An end that was reported no longer counts; once
    /// the stream continues it is readable again. A removed topic keeps it readable.
    ///
    /// The first call of a process starts a thread, which sleeps as [`recv`](Self::recv) would: one for up to 63 consumers (for
    /// each, where the system has no `futex_waitv`: before Linux 5.16) whose calls came from threads of the same scheduling policy,
    /// priority and processors, which it has, too. It ends with the last of them. The descriptor is always
    /// the same one, and closed with the consumer. From then on a wait costs one more wake-up of a thread. Idle, it wakes once
    /// a second.
    ///
    /// ```
    /// # use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    /// # let dir = std::env::temp_dir().join(format!("shmflow-doc-fd-{}", std::process::id()));
    /// # std::fs::create_dir_all(&dir).unwrap();
    /// # let producer = shmflow::Producer::builder("doc/fd").dir(&dir).open()?;
    /// # let mut consumer = shmflow::Consumer::builder("doc/fd").dir(&dir).open()?;
    /// # producer.write(b"hello")?;
    /// let fd = consumer.poll_fd()?.try_clone_to_owned().unwrap();
    /// let mut watched = [PollFd::new(std::os::fd::AsFd::as_fd(&fd), PollFlags::POLLIN)];
    /// poll(&mut watched, PollTimeout::NONE).unwrap();      // with others, as a rule
    /// match consumer.recv_timeout(std::time::Duration::ZERO) {
    ///     Ok(frame) => assert_eq!(&*frame, b"hello"),
    ///     Err(shmflow::Error::Timeout { .. }) => {}        // readable without reason
    ///     Err(error) => return Err(error),                 // also the end
    /// }
    /// # drop((consumer, producer)); std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok::<(), shmflow::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Forked`] in a forked child, where the parent's descriptor is closed; [`Error::Io`] if there are no more
    /// descriptors or threads.
    pub fn poll_fd(&mut self) -> Result<BorrowedFd<'_>> {
        self.epoch.member.check_fork()?;
        if self.poll_fd.is_none() {
            // One that may be pending again keeps it then.
            let around = self.origin.is_some().then(super::pending::new_epoll).transpose();
            let around = around
                .map_err(|error| Error::io(self.topic(), "make a descriptor that can be polled", error))?;
            self.start_poll_fd(around)?;
        }
        match &self.poll_fd {
            Some(poll_fd) => poll_fd.fd(self.epoch.member.topic_name()),
            None => Err(Error::Forked { topic: self.topic().into() }),
        }
    }

    /// Makes the descriptor; within another one, if the program has that already.
    pub(super) fn start_poll_fd(&mut self, around: Option<GuardedFd>) -> Result<()> {
        let pace = std::mem::take(&mut self.pace);
        let topic = self.epoch.member.topic_name();
        self.poll_fd = Some(ReadyFd::start(topic, &self.cancel_token, pace, around)?);
        Ok(())
    }

    /// Whether [`recv_timeout`](Self::recv_timeout) has something to say at once: what [`poll_fd`](Self::poll_fd) tells an
    /// event loop. If not, that becomes unreadable.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub fn is_ready(&mut self) -> Result<bool> {
        self.epoch.member.check_fork()?;
        let rests = self.selection.rests_until() != 0;
        let awaited = self.awaited();
        let is_ready =
            if rests { self.cancel_token.is_cancelled() || awaited.is_over() } else { awaited.is_ready() };
        let is_ready = is_ready || self.check_removed().is_err();
        if !is_ready {
            self.rearm();
        }
        Ok(is_ready)
    }

    /// A frame was taken. If it was the last one, the descriptor need not wake an event loop again to find that out.
    pub(super) fn rearm_after_frame(&self) {
        if self.poll_fd.as_ref().is_some_and(ReadyFd::is_readable) && !self.awaited().is_ready() {
            self.rearm();
        }
    }

    /// Nothing was found: the descriptor is to become readable when there is something.
    pub(super) fn rearm(&self) {
        let Some(poll_fd) = self.poll_fd.as_ref().filter(|poll_fd| poll_fd.is_readable()) else {
            // The cursor given then is not beyond the present one: whatever is news now was, or will be, to the watcher.
            return;
        };
        let request = WatchRequest {
            epoch: Arc::clone(&self.epoch),
            cursor: self.cursor,
            known_end: self.known_end,
            known_absence: self.known_absence,
            rests_until: self.selection.rests_until(),
        };
        poll_fd.rearm(request, || self.awaited().is_ready());
    }
}

#[cfg(test)]
#[path = "poll_fd_tests.rs"]
mod tests;
