//! A consumer of a topic that does not exist yet, for programs that wait for several things at a time.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use rustix::time::{timerfd_create, timerfd_settime};

use super::builder::is_to_come;
use super::{Consumer, ConsumerBuilder};
use crate::error::{Error, Result};
use crate::sys::cancel::CancelToken;
use crate::sys::fork::GuardedFd;
use crate::sys::watch::{LOOK, Watch};
use crate::topic::Topic;

/// Opens a topic when it is there: by [`ConsumerBuilder::open_pending`].
///
/// ```
/// # let dir = std::env::temp_dir().join(format!("shmflow-doc-pending-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir).unwrap();
/// # use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
/// let mut pending = shmflow::Consumer::builder("doc/pending").dir(&dir).open_pending()?;
/// assert!(pending.try_open()?.is_none());
/// let fd = pending.poll_fd()?.try_clone_to_owned().unwrap();
/// let producer = shmflow::Producer::builder("doc/pending").dir(&dir).open()?;
/// producer.write(b"hello")?;
/// let mut consumer = loop {
///     poll(&mut [PollFd::new(std::os::fd::AsFd::as_fd(&fd), PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
///     if let Some(consumer) = pending.try_open()? {
///         break consumer;                          // its descriptor is the same one
///     }
/// };
/// assert_eq!(&*consumer.recv()?, b"hello");
/// # drop((consumer, producer)); std::fs::remove_dir_all(&dir).unwrap();
/// # Ok::<(), shmflow::Error>(())
/// ```
#[derive(Debug)]
pub struct PendingConsumer {
    builder: ConsumerBuilder,
    topic: Topic,
    /// Once there is a descriptor.
    polled: Option<Polled>,
}

/// The descriptor and what makes it readable.
#[derive(Debug)]
struct Polled {
    /// An epoll instance. Later the consumer's descriptor is in it.
    epoll: GuardedFd,
    source: Source,
}

/// What tells that it is worth looking.
#[derive(Debug)]
enum Source {
    Directory(Watch),
    /// Where the directory does not exist, or cannot be watched: users have 128 watches, and so do all their programs.
    Timer(OwnedFd),
}

impl Source {
    fn new(topic: &Topic) -> std::io::Result<Self> {
        match Watch::new(topic) {
            // It may have come before it was watched.
            Ok(watch) if watch.fd().is_some() && !topic.ring_path().exists() => Ok(Self::Directory(watch)),
            _ => Self::timer(),
        }
    }

    fn timer() -> std::io::Result<Self> {
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        let every = Timespec { tv_sec: 0, tv_nsec: LOOK.subsec_nanos().into() };
        timerfd_settime(
            &timer,
            TimerfdTimerFlags::empty(),
            &Itimerspec { it_interval: every, it_value: every },
        )?;
        Ok(Self::Timer(timer))
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Directory(watch) => watch.fd(),
            Self::Timer(timer) => Some(timer.as_fd()),
        }
    }
}

/// An epoll instance, as what the program polls.
pub(super) fn new_epoll() -> std::io::Result<GuardedFd> {
    GuardedFd::open(|| Ok(epoll::create(epoll::CreateFlags::CLOEXEC)?))
}

fn add(epoll: BorrowedFd<'_>, fd: BorrowedFd<'_>) -> std::io::Result<()> {
    Ok(epoll::add(epoll, fd, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?)
}

impl Polled {
    /// In an epoll instance that has nothing in it.
    fn new(epoll: GuardedFd, topic: &Topic, cancel_token: &CancelToken) -> std::io::Result<Self> {
        let this = Self { epoll, source: Source::new(topic)? };
        add(this.epoll.fd()?, cancel_token.event()?)?;
        this.watch()?;
        Ok(this)
    }

    fn watch(&self) -> std::io::Result<()> {
        self.source.fd().map_or(Ok(()), |fd| add(self.epoll.fd()?, fd))
    }

    /// Closing the source would not be enough where a forked child has it too.
    fn ignore(&self) -> std::io::Result<()> {
        if let Some(fd) = self.source.fd() {
            epoll::delete(self.epoll.fd()?, fd)?;
        }
        Ok(())
    }

    /// Makes it unreadable until it is worth looking once more. To be called before looking.
    fn drain(&mut self) -> std::io::Result<()> {
        match &self.source {
            Source::Directory(watch) if watch.drain().is_err() => {
                // It is gone, and may come back.
                self.ignore()?;
                self.source = Source::timer()?;
                self.watch()?;
            }
            Source::Directory(_) => {}
            Source::Timer(timer) => {
                // Nothing to read if it has not run out.
                let _ = rustix::io::read(timer, &mut [0u8; 8]);
            }
        }
        Ok(())
    }
}

impl PendingConsumer {
    pub(super) fn new(builder: ConsumerBuilder, topic: Topic) -> Self {
        Self { builder, topic, polled: None }
    }

    /// The topic's name.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.topic.name()
    }

    /// Cancels waits from other threads, also those of the consumer to come.
    #[must_use]
    pub fn cancel_token(&self) -> CancelToken {
        self.builder.cancel_token.clone()
    }

    /// States the caps that the consumer will accept: as [`Consumer::set_accepted_caps`].
    ///
    /// # Errors
    /// As there.
    pub fn set_accepted_caps(&mut self, caps: &str) -> Result<()> {
        super::check_accepted_caps(caps)?;
        self.builder = self.builder.clone().accepted_caps(caps);
        Ok(())
    }

    /// The consumer, if the topic is there; then this is used up. Its descriptor is the one that [`poll_fd`](Self::poll_fd) gave.
    ///
    /// # Errors
    /// [`Error::Cancelled`], and those of [`ConsumerBuilder::open`] that waiting does not mend.
    pub fn try_open(&mut self) -> Result<Option<Consumer>> {
        self.check()?;
        if let Some(polled) = &mut self.polled {
            polled.drain().map_err(|error| Error::io(self.topic.name(), "wait for the topic", error))?;
        }
        match self.builder.clone().open_topic(&self.topic) {
            Ok(consumer) => self.hand_over(consumer).map(Some),
            Err(error) if is_to_come(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The consumer, as soon as the topic is there; waits for it at most so long, or for ever (`None`).
    ///
    /// # Errors
    /// As [`try_open`](Self::try_open), and [`Error::Timeout`].
    pub fn open(&mut self, timeout: Option<Duration>) -> Result<Consumer> {
        self.check()?;
        let consumer = self.builder.clone().connect_timeout(timeout).open()?;
        self.hand_over(consumer)
    }

    fn check(&self) -> Result<()> {
        if self.polled.as_ref().is_some_and(|polled| !polled.epoll.is_own_process()) {
            return Err(Error::Forked { topic: self.topic.name().into() });
        }
        if self.builder.cancel_token.is_cancelled() {
            return Err(Error::Cancelled { topic: self.topic.name().into() });
        }
        Ok(())
    }

    fn hand_over(&mut self, mut consumer: Consumer) -> Result<Consumer> {
        if let Some(polled) = self.polled.take() {
            let io = |error| Error::io(self.topic.name(), "wait for the topic", error);
            let cancel_token = &self.builder.cancel_token;
            polled.ignore().map_err(io)?;
            // The consumer's own descriptor follows its cancel token.
            let ignore = |epoll| Ok(epoll::delete(epoll, cancel_token.event()?)?);
            polled.epoll.fd().and_then(ignore).map_err(io)?;
            consumer.start_poll_fd(Some(polled.epoll))?;
        }
        consumer.origin = Some(Box::new(Self::new(self.builder.clone(), self.topic.clone())));
        Ok(consumer)
    }

    /// A descriptor that is readable when it is worth calling [`try_open`](Self::try_open), which makes it unreadable: something has
    /// happened in the directory of the topic, or the cancel token was cancelled. It may be readable without reason. Where the
    /// directory does not exist, or cannot be watched, it is readable every 50 ms.
    ///
    /// # Errors
    /// [`Error::Forked`] in a forked child, where the parent's descriptor is closed; [`Error::Io`] if there are no more
    /// descriptors.
    pub fn poll_fd(&mut self) -> Result<BorrowedFd<'_>> {
        let io = |error| Error::io(self.topic.name(), "make a descriptor that can be polled", error);
        if self.polled.is_none() {
            let polled =
                new_epoll().and_then(|epoll| Polled::new(epoll, &self.topic, &self.builder.cancel_token));
            self.polled = Some(polled.map_err(io)?);
        }
        let polled = self.polled.as_ref().and_then(|polled| polled.epoll.get());
        polled.ok_or_else(|| Error::Forked { topic: self.topic.name().into() })
    }
}

impl Consumer {
    /// Whether the topic was removed and every frame of it was read: then [`recv`](Self::recv) gives [`Error::Removed`].
    #[must_use]
    pub fn is_removed(&self) -> bool {
        !self.awaited().has_frame() && self.check_removed().is_err()
    }

    /// Leaves the topic and is pending again, as it was before: with the same settings and cancel token, and with the same
    /// descriptor, if [`poll_fd`](Self::poll_fd) was called. For topics that are removed and made again.
    ///
    /// ```
    /// # let dir = std::env::temp_dir().join(format!("shmflow-doc-again-{}", std::process::id()));
    /// # std::fs::create_dir_all(&dir).unwrap();
    /// # let producer = shmflow::Producer::builder("doc/again").dir(&dir).open()?;
    /// let mut pending = shmflow::Consumer::builder("doc/again").dir(&dir).open_pending()?;
    /// let mut consumer = pending.open(None)?;
    /// shmflow::remove("doc/again", Some(&dir), true)?;
    /// assert!(matches!(consumer.try_recv(), Err(shmflow::Error::Removed { .. })));
    /// let mut pending = consumer.into_pending()?;
    /// assert!(pending.try_open()?.is_none());
    /// # drop((pending, producer)); std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok::<(), shmflow::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if it was not opened by a [`PendingConsumer`]; [`Error::Forked`], [`Error::Io`].
    pub fn into_pending(mut self) -> Result<PendingConsumer> {
        self.epoch.member.check_fork()?;
        let Some(mut pending) = self.origin.take() else {
            let what = "into_pending() of a consumer that was not opened by a pending one".into();
            return Err(Error::InvalidArgument { what });
        };
        if let Some(epoll) = self.poll_fd.take().and_then(super::poll_fd::ReadyFd::into_around) {
            let polled = Polled::new(epoll, &pending.topic, &pending.builder.cancel_token);
            pending.polled =
                Some(polled.map_err(|error| Error::io(pending.topic.name(), "wait for the topic", error))?);
        }
        Ok(*pending)
    }
}
