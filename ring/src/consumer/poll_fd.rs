//! A file descriptor that says when a consumer is worth asking: for `poll`, `epoll` and event loops.
//!
//! A futex cannot be polled. So a thread of this process, the *watcher*, sleeps on the topic's futex in the consumer's
//! place, exactly as the consumer would, and writes to an eventfd when there is something to fetch. It touches shared
//! memory only by what a sleeping consumer does, so that nothing new can be left behind by its death.
//!
//! The two agree by one word:
//!
//! - `IDLE`: the eventfd is readable; the watcher sleeps until it is given something to do.
//! - `ARMED`: the eventfd is not readable; the watcher sleeps until there is news at the cursor that it was given.
//! - `QUIT`: the watcher ends.
//!
//! **The descriptor is readable exactly in `IDLE`** as seen by the thread that holds the mutex: the change of the word and the write
//! or read of the eventfd are made together under it. From this follows:
//!
//! - *No wake-up is lost.* The consumer goes from `IDLE` to `ARMED` only after it has looked and found nothing, and gives
//!   the watcher the cursor at which it found nothing. The watcher's first look comes after that (it takes the order under
//!   the mutex) and after its sleeper bit is set. What was published before that look is seen by it; what is published later
//!   wakes it, as it does every sleeper (`protocol/sleep.rs`). In both cases it goes to `IDLE`.
//! - *The level holds.* While frames are fetched the word is `IDLE`, readable, or it is `ARMED` with a cursor that is not
//!   beyond the consumer's own (it only rises): then the watcher has news too, and is on its way to `IDLE`.
//! - *No false level stays.* Readable without a frame costs the consumer one look, and that look makes it `ARMED`.
//!
//! The sleeper bit is one per participant. Once there is a watcher it is the only one who sets and clears it: the
//! consumer itself then waits on the eventfd.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

use super::Consumer;
use super::arrival::ArrivalTimer;
use super::wait_condition::WaitCondition;
use crate::error::{Error, Result};
use crate::protocol::poll_fd::{self, ARMED, IDLE, Level};
use crate::shm::epoch::Epoch;
use crate::shm::participants::End;
use crate::sys::cancel::CancelToken;
use crate::sys::clock::Deadline;
use crate::sys::fork::GuardedFd;
use crate::sys::futex::{self, Woken};
use crate::sys::thread;

/// How long the watcher sleeps if the kernel refuses to let it wait; nothing else can be done.
const REFUSED: Duration = Duration::from_millis(20);

/// The longest time between two calls of a cancel token's check.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// The consumer's end: the descriptor and the watcher.
#[derive(Debug)]
pub(super) struct ReadyFd {
    shared: Arc<Shared>,
    /// Taken when it is dropped.
    watcher: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    /// What the watcher is to do. It sleeps on this word too.
    word: AtomicU32,
    /// Readable in `IDLE`.
    event: GuardedFd,
    /// Held while `word` and `event` change; what the watcher is to take up next.
    order: Mutex<Option<WatchRequest>>,
    /// The watcher found that the topic's files are gone.
    gone: AtomicBool,
    cancel_token: CancelToken,
}

/// Where the consumer stood when it found nothing.
#[derive(Debug)]
struct WatchRequest {
    epoch: Arc<Epoch>,
    cursor: u64,
    known_end: Option<End>,
    known_absence: Option<u64>,
}

impl ReadyFd {
    /// Begins in `IDLE`: readable until the consumer has looked for the first time.
    fn start(topic: &str, cancel_token: &CancelToken, pace: ArrivalTimer) -> Result<Self> {
        let io = |e| Error::io(topic, "make a descriptor that can be polled", e);
        let made = || Ok(eventfd(1, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let shared = Arc::new(Shared {
            word: AtomicU32::new(IDLE),
            event: GuardedFd::open(made).map_err(io)?,
            order: Mutex::default(),
            gone: AtomicBool::new(false),
            cancel_token: cancel_token.clone(),
        });
        let watcher = Arc::clone(&shared);
        let spawned = thread::spawn("shmflow-watch", move || watcher.watch(pace));
        Ok(Self { shared, watcher: Some(spawned.map_err(io)?) })
    }

    fn fd(&self, topic: &str) -> Result<BorrowedFd<'_>> {
        self.shared.event.get().ok_or_else(|| Error::Forked { topic: topic.into() })
    }

    /// Whether the watcher rests, as it then does until the consumer wants it to watch.
    pub(super) fn rests(&self) -> bool {
        self.shared.word.load(Acquire) == IDLE
    }

    /// Whether the watcher saw that the topic is gone.
    pub(super) fn is_gone(&self) -> bool {
        self.shared.gone.load(Relaxed)
    }

    /// The consumer found nothing: makes the descriptor unreadable until there is something. No system call if it is so
    /// already.
    fn rearm(&self, order: impl FnOnce() -> WatchRequest) {
        poll_fd::rearm(&*self.shared, order);
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
        let watcher = self.watcher.take();
        if self.shared.event.get().is_none() {
            // A forked child has neither the thread nor a right to its mutex.
            std::mem::forget(watcher);
            return;
        }
        poll_fd::quit(&*self.shared);
        // It does nothing for long but wait for that word. From here on nobody else uses the mapping, or the sleeper bit.
        // (A panic over there was reported there.)
        let _ = watcher.map(JoinHandle::join);
    }
}

impl Shared {
    /// The watcher's life.
    fn watch(&self, mut pace: ArrivalTimer) {
        poll_fd::watch(self, |order| self.watch_until_ready(order, &mut pace));
    }

    /// Until there is news, or the consumer goes.
    fn watch_until_ready(&self, order: WatchRequest, pace: &mut ArrivalTimer) {
        let WatchRequest { epoch, cursor, known_end, known_absence } = &order;
        let awaited = WaitCondition {
            epoch,
            cursor: *cursor,
            known_end: *known_end,
            known_absence: *known_absence,
            cancel_token: &self.cancel_token,
        };
        while self.word.load(Acquire) == ARMED && !awaited.is_ready() {
            match awaited.sleep(Some((&self.word, ARMED)), pace.tick()) {
                Ok(Woken::TimedOut) if awaited.new_absence(true).is_some() => break,
                Ok(Woken::TimedOut) if pace.on_timeout() => {
                    if matches!(awaited.check_peers(), Err(Error::Removed { .. })) {
                        self.gone.store(true, Relaxed);
                        break;
                    }
                }
                Ok(Woken::TimedOut) => {}
                Ok(_) => pace.arrived(),
                Err(_) => std::thread::sleep(REFUSED),
            }
        }
    }
}

impl Level for Shared {
    type WatchRequest = WatchRequest;

    fn word(&self) -> u32 {
        self.word.load(Acquire)
    }
    fn set_word(&self, word: u32) {
        self.word.store(word, Release);
    }
    fn wake(&self) {
        // Waking a word of our own memory does not fail.
        let _ = futex::wake_all_private(&self.word);
    }
    fn locked<R>(&self, change: impl FnOnce(&mut Option<WatchRequest>) -> R) -> R {
        change(&mut self.order.lock().unwrap_or_else(PoisonError::into_inner))
    }
    fn raise(&self) {
        // It fails only if the counter were full, and then it is readable.
        let _ = self.event.get().map(|fd| rustix::io::write(fd, &1u64.to_ne_bytes()));
    }
    fn lower(&self) {
        // It cannot fail: it is readable.
        let _ = self.event.get().map(|fd| rustix::io::read(fd, &mut [0u8; 8]));
    }
    fn rest(&self) {
        // Why it returns does not matter.
        drop(futex::wait_private(&self.word, IDLE, None));
    }
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
    /// The first call starts a thread, which sleeps as [`recv`](Self::recv) would and ends with the consumer; the
    /// descriptor is always the same one, and closed with the consumer. From then on a wait costs one more wake-up of a
    /// thread. Idle, it wakes once a second.
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
            let pace = std::mem::take(&mut self.pace);
            self.poll_fd = Some(ReadyFd::start(self.epoch.member.topic_name(), &self.cancel_token, pace)?);
        }
        match &self.poll_fd {
            Some(poll_fd) => poll_fd.fd(self.epoch.member.topic_name()),
            None => Err(Error::Forked { topic: self.topic().into() }),
        }
    }

    /// Nothing was found: the descriptor is to become readable when there is something.
    pub(super) fn rearm(&self) {
        let Some(poll_fd) = &self.poll_fd else { return };
        poll_fd.rearm(|| WatchRequest {
            epoch: Arc::clone(&self.epoch),
            cursor: self.cursor,
            known_end: self.known_end,
            known_absence: self.known_absence,
        });
    }
}

#[cfg(test)]
#[path = "poll_fd_tests.rs"]
mod tests;
