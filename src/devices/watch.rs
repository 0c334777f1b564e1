//! Waiting for topics to come and go.
//!
//! A topic comes and goes with its files, and when a producer dies the kernel closes the file that it has open for writing. So
//! events of the directory tell nearly all, at once. What they do not tell (a first frame in a ring that is there, a producer
//! that joins a topic that has one no more) is found by a look every second.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// The time between two looks without an event.
const LOOK: Duration = Duration::from_secs(1);
/// And at least, with however many.
const PAUSE: Duration = Duration::from_millis(100);

/// Ends the waiting of a [`Watch`].
#[derive(Debug, Clone)]
pub(super) struct Stop {
    wakes: Arc<EventFd>,
    stopped: Arc<AtomicBool>,
}

impl Stop {
    fn new() -> nix::Result<Self> {
        let wakes = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self { wakes: Arc::new(wakes), stopped: Arc::default() })
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        // Fails when the counter is full, and then it is set.
        let _ = self.wakes.write(1);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

/// A watch on a directory. Make it first, then look at the topics, then wait: no event is lost.
#[derive(Debug)]
pub(super) struct Watch {
    directory: PathBuf,
    /// None while there is no directory, or no watch to be had: then there are looks alone.
    inotify: Option<Inotify>,
    stop: Stop,
}

impl Watch {
    /// # Errors
    /// Without a descriptor for stopping it.
    pub(super) fn new(directory: PathBuf) -> nix::Result<Self> {
        let mut watch = Self { directory, inotify: None, stop: Stop::new()? };
        watch.attach();
        Ok(watch)
    }

    pub(super) fn directory(&self) -> &std::path::Path {
        &self.directory
    }

    pub(super) fn stopper(&self) -> Stop {
        self.stop.clone()
    }

    fn attach(&mut self) {
        // No IN_OPEN and IN_CLOSE_NOWRITE: looking at a topic makes these.
        let events = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        self.inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)
            .and_then(|inotify| inotify.add_watch(&self.directory, events).map(|_| inotify))
            .ok();
    }

    /// Waits until it is worth looking at the topics again; `false` once it is to stop.
    pub(super) fn wait(&mut self) -> bool {
        if !self.wait_for(PAUSE, false) {
            return false;
        }
        if self.inotify.is_none() {
            self.attach();
        }
        self.wait_for(LOOK, true)
    }

    /// Waits so long, or until something happens to a topic's files; `false` once it is to stop.
    fn wait_for(&mut self, time: Duration, with_events: bool) -> bool {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            // In whole milliseconds, rounded up: else the last one is a busy loop.
            let left = PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::ZERO);
            let inotify = self.inotify.as_ref().filter(|_| with_events);
            let mut fds = vec![PollFd::new(self.stop.wakes.as_fd(), PollFlags::POLLIN)];
            fds.extend(inotify.map(|inotify| PollFd::new(inotify.as_fd(), PollFlags::POLLIN)));
            match poll(&mut fds, left) {
                Err(nix::Error::EINTR) => continue,
                // Not to be expected. Ends rather than spin.
                Err(_) => return false,
                Ok(_) => {}
            }
            let is_set = |fd: Option<&PollFd<'_>>| fd.and_then(PollFd::any).unwrap_or(false);
            if is_set(fds.first()) {
                return false;
            }
            if is_set(fds.get(1)) && self.read() || Instant::now() >= end {
                return true;
            }
        }
    }

    /// Reads what has happened; whether any of it concerns a topic.
    fn read(&mut self) -> bool {
        let Some(inotify) = &self.inotify else { return false };
        let events = match inotify.read_events() {
            Ok(events) => events,
            Err(nix::Error::EAGAIN | nix::Error::EINTR) => return false,
            Err(_) => {
                self.inotify = None;
                return true;
            }
        };
        let gone = AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_IGNORED
            | AddWatchFlags::IN_UNMOUNT;
        if events.iter().any(|event| event.mask.intersects(gone)) {
            self.inotify = None;
            return true;
        }
        events.iter().any(|event| {
            let name = event.name.as_deref().map(std::ffi::OsStr::as_encoded_bytes);
            event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW)
                || name.is_some_and(|name| name.starts_with(b"shmflow."))
        })
    }
}
