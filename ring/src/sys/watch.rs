//! Waiting for a file to appear in a directory: without polling, as long as the system has the means for that.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::cancel::CancelToken;
use super::clock::Deadline;
use super::files;
use super::futex::{self, Woken};
use crate::error::{Error, Result, is_refusal};
use crate::topic::Topic;

/// Why waiting for a file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Appeared {
    /// Something happened to the name: try it now.
    Changed,
    /// The time is over.
    TimedOut,
    /// The cancel token was cancelled.
    Cancelled,
}

/// A watch on the directory of a topic. Make it first, then look for the file, then wait: no event is lost.
#[derive(Debug)]
pub(crate) struct Watch {
    topic: Topic,
    /// None if there is none to be had: users have 128 of them, and so do all the programs of a desktop together. And while
    /// there is no directory yet.
    inotify: Option<Inotify>,
    is_to_come: bool,
}

/// How often to look without it.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

impl Watch {
    /// Starts to watch. A directory that does not exist yet is waited for.
    ///
    /// # Errors
    /// If the directory may not be read.
    pub(crate) fn new(topic: &Topic) -> Result<Self> {
        let mut is_to_come = false;
        let inotify = match watch(topic) {
            Ok(inotify) => Some(inotify),
            Err(nix::Error::ENOENT) => {
                is_to_come = true;
                None
            }
            Err(
                nix::Error::EMFILE | nix::Error::ENFILE | nix::Error::ENOSPC | nix::Error::ENOMEM
                // A sandbox that does not know it, or forbids it.
                | nix::Error::ENOSYS | nix::Error::EPERM,
            ) => {
                match fs::metadata(topic.dir()) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => is_to_come = true,
                    Err(error) => return Err(watch_error(topic, error)),
                }
                None
            }
            Err(error) => return Err(watch_error(topic, error.into())),
        };
        Ok(Self { topic: topic.clone(), inotify, is_to_come })
    }

    /// Whether there was no directory to watch: once there is one, another watch hears of its files at once.
    pub(crate) fn is_to_come(&self) -> bool {
        self.is_to_come
    }

    /// A descriptor that is readable when something has happened in the directory; `None` if there is none to be had.
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }

    /// Makes that descriptor unreadable until something else happens.
    ///
    /// # Errors
    /// If the directory has gone away.
    pub(crate) fn drain(&self) -> Result<()> {
        match &self.inotify {
            Some(inotify) => self.read(inotify, OsStr::new("")).map(drop),
            None => Ok(()),
        }
    }

    /// Waits until something happens to the file name.
    ///
    /// # Errors
    /// If the directory goes away.
    pub(crate) fn wait(
        &self,
        file_name: &OsStr,
        deadline: Option<Deadline>,
        cancel_token: &CancelToken,
    ) -> Result<Appeared> {
        let fail = |error: io::Error| Error::io(self.topic.name(), "wait for the topic", error);
        let (Some(inotify), Ok(cancelled)) = (&self.inotify, cancel_token.event()) else {
            return self.wait_a_little(deadline, cancel_token).map_err(fail)?;
        };
        loop {
            if cancel_token.is_cancelled() {
                return Ok(Appeared::Cancelled);
            }
            let directory = inotify.as_fd();
            let mut both = [PollFd::new(&directory, PollFlags::IN), PollFd::new(&cancelled, PollFlags::IN)];
            let left = deadline.map(|deadline| Timespec::try_from(deadline.remaining()).unwrap_or(FOREVER));
            let left = if cancel_token.has_check() { Some(left.unwrap_or(SECOND).min(SECOND)) } else { left };
            match poll(&mut both, left.as_ref()) {
                // A signal, or a second without news.
                Err(Errno::INTR) | Ok(0) if cancel_token.check() => return Ok(Appeared::Cancelled),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(fail(error.into())),
                Ok(_) => {}
            }
            let [directory, cancel] = both;
            if !cancel.revents().is_empty() && cancel_token.confirm() {
                return Ok(Appeared::Cancelled);
            }
            if !directory.revents().is_empty() && self.read(inotify, file_name)? {
                return Ok(Appeared::Changed);
            }
            if deadline.is_some_and(Deadline::has_passed) {
                return Ok(Appeared::TimedOut);
            }
        }
    }

    /// Reads what has happened; whether any of it concerns the file name.
    fn read(&self, inotify: &Inotify, file_name: &OsStr) -> Result<bool> {
        let events = match inotify.read_events() {
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
                return Err(self.no_directory());
            }
            // After an overflow it is not known what was lost.
            concerned |= event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW);
            concerned |= event.name.as_deref() == Some(file_name);
        }
        Ok(concerned)
    }

    /// Without events, and without descriptors: something may have happened every little while.
    fn wait_a_little(
        &self,
        deadline: Option<Deadline>,
        cancel_token: &CancelToken,
    ) -> io::Result<Result<Appeared>> {
        let pause = Deadline::after(LOOK);
        let end = deadline.map_or(pause, |deadline| deadline.min(pause));
        let woken = futex::wait_private(cancel_token.word(), 0, Some(end))?;
        let disturbed = matches!(woken, Woken::Interrupted | Woken::TimedOut);
        Ok(if cancel_token.is_cancelled() || (disturbed && cancel_token.check()) {
            Ok(Appeared::Cancelled)
        } else if deadline.is_some_and(Deadline::has_passed) {
            Ok(Appeared::TimedOut)
        } else if self.is_to_come || self.topic.dir().is_dir() {
            Ok(Appeared::Changed)
        } else {
            Err(self.no_directory())
        })
    }

    fn no_directory(&self) -> Error {
        Error::TopicNotFound {
            topic: self.topic.name().into(),
            dir: self.topic.dir().into(),
            similar: Vec::new(),
        }
    }
}

/// Watches the directory of a topic.
fn watch(topic: &Topic) -> nix::Result<Inotify> {
    let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
    let inotify = Inotify::init(flags)?;
    // Attributes too: a file may come first, and the permission to open it later.
    let events = AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_MOVED_TO
        | AddWatchFlags::IN_ATTRIB
        | AddWatchFlags::IN_DELETE_SELF
        | AddWatchFlags::IN_MOVE_SELF
        | AddWatchFlags::IN_ONLYDIR;
    inotify.add_watch(topic.dir(), events)?;
    Ok(inotify)
}

const FOREVER: Timespec = Timespec { tv_sec: i32::MAX as _, tv_nsec: 0 };

/// The longest time between two calls of the cancel token's check.
const SECOND: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

fn watch_error(topic: &Topic, error: io::Error) -> Error {
    let dir = topic.dir().display();
    let what = format!("watch the directory {dir}");
    if is_refusal(&error) {
        return files::refused(topic, topic.dir(), what);
    }
    Error::Io { topic: topic.name().into(), what, source: error }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Role, TempDir};
    use super::*;
    use std::ffi::OsString;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    const LONG: Duration = Duration::from_secs(20);

    /// Waits until a file of this name exists in the topic's directory.
    fn wait_for_file(
        topic: &Topic,
        file_name: &OsStr,
        deadline: Option<Deadline>,
        cancel_token: &CancelToken,
    ) -> Result<Appeared> {
        let watch = Watch::new(topic)?;
        let path = topic.dir().join(file_name);
        loop {
            if cancel_token.is_cancelled() {
                return Ok(Appeared::Cancelled);
            }
            if exists(topic, &path)? {
                return Ok(Appeared::Changed);
            }
            match watch.wait(file_name, deadline, cancel_token)? {
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

    fn setup() -> (TempDir, Topic, OsString, CancelToken) {
        let dir = TempDir::new();
        let topic = Topic::new("cam", Some(dir.path())).unwrap();
        let name = topic.peers_path().file_name().unwrap().to_owned();
        (dir, topic, name, CancelToken::new())
    }

    fn soon() -> Option<Deadline> {
        Some(Deadline::after(Duration::from_millis(30)))
    }

    #[test]
    fn a_file_that_is_there_is_found_at_once() {
        let (_dir, topic, name, cancel_token) = setup();
        fs::write(topic.peers_path(), "x").unwrap();
        assert_eq!(wait_for_file(&topic, &name, None, &cancel_token).unwrap(), Appeared::Changed);
    }

    #[test]
    fn creating_renaming_linking_and_permitting_all_count() {
        let (dir, topic, name, cancel_token) = setup();
        let path = topic.peers_path();
        let other = dir.path().join("other");
        let watch = Watch::new(&topic).unwrap();
        let changed = |what: &str, change: &dyn Fn()| {
            change();
            assert_eq!(
                watch.wait(&name, Some(Deadline::after(LONG)), &cancel_token).unwrap(),
                Appeared::Changed,
                "{what}"
            );
            assert_eq!(watch.wait(&name, soon(), &cancel_token).unwrap(), Appeared::TimedOut, "{what}");
        };
        changed("create", &|| fs::write(&path, "x").unwrap());
        changed("permit", &|| fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap());
        fs::remove_file(&path).unwrap();
        let _ = watch.wait(&name, soon(), &cancel_token).unwrap();
        changed("rename", &|| {
            fs::write(&other, "x").unwrap();
            fs::rename(&other, &path).unwrap();
        });
        fs::rename(&path, &other).unwrap();
        let _ = watch.wait(&name, soon(), &cancel_token).unwrap();
        changed("link", &|| fs::hard_link(&other, &path).unwrap());
    }

    #[test]
    fn other_files_do_not_count_and_the_time_limit_holds() {
        let (dir, topic, name, cancel_token) = setup();
        let start = std::time::Instant::now();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| wait_for_file(&topic, &name, soon(), &cancel_token).unwrap());
            while !waiter.is_finished() {
                fs::write(dir.path().join("shmflow.other.peers"), "x").unwrap();
            }
            assert_eq!(waiter.join().unwrap(), Appeared::TimedOut);
        });
        assert!(start.elapsed() >= Duration::from_millis(30) && start.elapsed() < LONG);
    }

    #[test]
    fn a_file_that_comes_while_waiting_ends_the_wait() {
        let (_dir, topic, name, cancel_token) = setup();
        std::thread::scope(|scope| {
            let waiter = scope
                .spawn(|| wait_for_file(&topic, &name, Some(Deadline::after(LONG)), &cancel_token).unwrap());
            fs::write(topic.peers_path(), "x").unwrap();
            assert_eq!(waiter.join().unwrap(), Appeared::Changed);
        });
    }

    #[test]
    fn the_cancel_token_ends_the_wait_of_everybody() {
        let (_dir, topic, name, cancel_token) = setup();
        std::thread::scope(|scope| {
            let wait = || wait_for_file(&topic, &name, Some(Deadline::after(LONG)), &cancel_token).unwrap();
            let waiters = [scope.spawn(wait), scope.spawn(wait), scope.spawn(wait)];
            cancel_token.cancel();
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap(), Appeared::Cancelled);
            }
        });
        assert_eq!(wait_for_file(&topic, &name, None, &cancel_token).unwrap(), Appeared::Cancelled);
        cancel_token.reset();
        assert_eq!(wait_for_file(&topic, &name, soon(), &cancel_token).unwrap(), Appeared::TimedOut);
    }

    #[test]
    fn it_waits_as_well_where_the_system_has_no_means_for_it() {
        assert!(Role::start("sys::watch::tests::role_of_one_without_descriptors", Path::new("/")).passes());
    }

    #[test]
    #[ignore = "runs as a process of another test"]
    fn role_of_one_without_descriptors() {
        if Role::argument().is_none() {
            return;
        }
        use rustix::process::{Resource, Rlimit, setrlimit};
        let (dir, topic, name, cancel_token) = setup();
        let other = dir.path().join("other");
        fs::write(&other, "x").unwrap();
        setrlimit(Resource::Nofile, Rlimit { current: Some(0), maximum: Some(1024) }).unwrap();
        let wait = |deadline| wait_for_file(&topic, &name, deadline, &cancel_token).unwrap();
        let start = std::time::Instant::now();
        assert_eq!(wait(soon()), Appeared::TimedOut);
        assert!(start.elapsed() >= Duration::from_millis(30));
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| wait(None));
            fs::rename(&other, topic.peers_path()).unwrap();
            assert_eq!(waiter.join().unwrap(), Appeared::Changed);
            fs::remove_file(topic.peers_path()).unwrap();
            let waiter = scope.spawn(|| wait(None));
            cancel_token.cancel();
            assert_eq!(waiter.join().unwrap(), Appeared::Cancelled);
        });
        cancel_token.reset();
        let watch = Watch::new(&topic).unwrap();
        fs::remove_dir(dir.path()).unwrap();
        assert!(matches!(watch.wait(&name, None, &cancel_token), Err(Error::TopicNotFound { .. })));
        assert!(Watch::new(&topic).unwrap().is_to_come());
        setrlimit(Resource::Nofile, Rlimit { current: Some(1024), maximum: Some(1024) }).unwrap();
    }

    #[test]
    fn a_directory_that_is_missing_is_waited_for_and_one_that_goes_away_is_told() {
        let missing = Topic::new("cam", Some(Path::new("/no/such/dir"))).unwrap();
        let watch = Watch::new(&missing).unwrap();
        assert!(watch.is_to_come());
        let cancel_token = CancelToken::new();
        let soon = Some(Deadline::after(Duration::from_millis(10)));
        let waited = watch.wait(&OsString::from("x"), soon, &cancel_token);
        assert!(matches!(waited, Ok(Appeared::TimedOut)), "{waited:?}");
        let (dir, topic, name, cancel_token) = setup();
        let watch = Watch::new(&topic).unwrap();
        fs::remove_dir(dir.path()).unwrap();
        match watch.wait(&name, Some(Deadline::after(LONG)), &cancel_token) {
            Err(Error::TopicNotFound { dir: gone, .. }) => assert_eq!(gone, dir.path()),
            other => panic!("{other:?}"),
        }
    }
}
