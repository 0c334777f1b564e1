//! Waiting for a file to appear in a directory, without polling.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::clock::Deadline;
use super::files;
use super::unblock::Unblocker;
use crate::error::{Error, Result, is_refusal};
use crate::topic::Topic;

/// Why waiting for a file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Appeared {
    /// Something happened to the name: try it now.
    Changed,
    /// The time is over.
    TimedOut,
    /// Somebody used the unblocker.
    Unblocked,
}

/// A watch on the directory of a topic. Make it first, then look for the file, then wait: no event is lost.
#[derive(Debug)]
pub(crate) struct Watch {
    topic: Topic,
    inotify: Inotify,
}

impl Watch {
    /// Starts to watch.
    ///
    /// # Errors
    /// If the directory does not exist, may not be read, or the system has no more watches.
    pub(crate) fn new(topic: &Topic) -> Result<Self> {
        let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
        let inotify = Inotify::init(flags).map_err(|error| watch_error(topic, error.into()))?;
        // Attributes too: a file may come first, and the permission to open it later.
        let events = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        inotify.add_watch(topic.dir(), events).map_err(|error| watch_error(topic, error.into()))?;
        Ok(Self { topic: topic.clone(), inotify })
    }

    /// Waits until something happens to the file name.
    ///
    /// # Errors
    /// If the directory goes away.
    pub(crate) fn wait(
        &self,
        file_name: &OsStr,
        deadline: Option<Deadline>,
        unblocker: &Unblocker,
    ) -> Result<Appeared> {
        let fail = |error: io::Error| Error::io(self.topic.name(), "wait for the topic", error);
        let unblocked = unblocker.event().map_err(fail)?;
        loop {
            if unblocker.is_set() {
                return Ok(Appeared::Unblocked);
            }
            let inotify = self.inotify.as_fd();
            let mut both = [PollFd::new(&inotify, PollFlags::IN), PollFd::new(&unblocked, PollFlags::IN)];
            let left = deadline.map(|deadline| Timespec::try_from(deadline.remaining()).unwrap_or(FOREVER));
            match poll(&mut both, left.as_ref()) {
                Err(Errno::INTR) => continue,
                Err(error) => return Err(fail(error.into())),
                Ok(_) => {}
            }
            let [directory, unblock] = both;
            if !unblock.revents().is_empty() && unblocker.confirm() {
                return Ok(Appeared::Unblocked);
            }
            if !directory.revents().is_empty() && self.read(file_name)? {
                return Ok(Appeared::Changed);
            }
            if deadline.is_some_and(Deadline::has_passed) {
                return Ok(Appeared::TimedOut);
            }
        }
    }

    /// Reads what has happened; whether any of it concerns the file name.
    fn read(&self, file_name: &OsStr) -> Result<bool> {
        let events = match self.inotify.read_events() {
            Ok(events) => events,
            Err(nix::Error::EAGAIN | nix::Error::EINTR) => return Ok(false),
            Err(error) => return Err(Error::io(self.topic.name(), "watch the directory", error)),
        };
        let gone = AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_IGNORED
            | AddWatchFlags::IN_UNMOUNT;
        let mut concerned = false;
        for event in events {
            if event.mask.intersects(gone) {
                return Err(Error::NoTopic { topic: self.topic.name().into(), dir: self.topic.dir().into() });
            }
            // After an overflow nobody knows what was lost.
            concerned |= event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW);
            concerned |= event.name.as_deref() == Some(file_name);
        }
        Ok(concerned)
    }
}

const FOREVER: Timespec = Timespec { tv_sec: i32::MAX as _, tv_nsec: 0 };

fn watch_error(topic: &Topic, error: io::Error) -> Error {
    let dir = topic.dir().display();
    let what = match error.raw_os_error() {
        Some(libc::ENOSPC) => {
            format!("watch {dir} (the limit is fs.inotify.max_user_watches, see sysctl)")
        }
        Some(libc::EMFILE) => {
            format!("watch {dir} (the limit is fs.inotify.max_user_instances, or that of open files)")
        }
        _ => format!("watch the directory {dir}"),
    };
    if is_refusal(&error) {
        return files::refused(topic, topic.dir(), what);
    }
    Error::Io { topic: topic.name().into(), what, source: error }
}

/// Waits until a file of this name exists in the topic's directory.
///
/// # Errors
/// If the directory does not exist, cannot be watched or goes away.
pub(crate) fn wait_for_file(
    topic: &Topic,
    file_name: &OsStr,
    deadline: Option<Deadline>,
    unblocker: &Unblocker,
) -> Result<Appeared> {
    let watch = Watch::new(topic)?;
    let path = topic.dir().join(file_name);
    loop {
        if unblocker.is_set() {
            return Ok(Appeared::Unblocked);
        }
        if exists(topic, &path)? {
            return Ok(Appeared::Changed);
        }
        match watch.wait(file_name, deadline, unblocker)? {
            Appeared::Changed => {}
            ended => return Ok(ended),
        }
    }
}

fn exists(topic: &Topic, path: &Path) -> Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io(topic.name(), format!("examine {}", path.display()), error)),
    }
}
