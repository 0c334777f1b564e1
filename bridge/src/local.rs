//! The topics of this host that are worth sending.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use shmflow::{Liveness, TopicInfo};

/// Begins the name of every producer that a bridge is: what it writes comes from another host, and is never sent.
pub const MIRROR: &str = "shmflow-bridge";

/// The time between two looks without an event: for what events do not tell.
const LOOK: Duration = Duration::from_secs(5);
/// And at least, with however many.
const PAUSE: Duration = Duration::from_millis(20);

/// A topic of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalTopic {
    /// Its name.
    pub(crate) name: String,
    /// Frames that its ring holds.
    pub(crate) depth: u32,
    /// What it shows, for people.
    pub(crate) description: Option<String>,
    /// Some other than a bridge produces it, or did.
    pub(crate) is_own: bool,
    /// A bridge writes it.
    pub(crate) is_mirror: bool,
    /// A process that lives produces it.
    pub(crate) has_producer: bool,
    /// It is raw video, as far as is known.
    pub(crate) is_raw_video: bool,
}

impl LocalTopic {
    /// What an inspection says of it; `None` if it is no more.
    #[must_use]
    pub(crate) fn of(info: &TopicInfo) -> Option<Self> {
        if info.removed {
            return None;
        }
        let mut live = info.producers().filter(|one| one.active && one.liveness != Liveness::Dead).peekable();
        let has_producer = live.peek().is_some();
        let is_mirror = live.any(|one| one.name.starts_with(MIRROR));
        // What was left on purpose is there for those who come later. Bridges leave nothing.
        let was_left = info.persistent && !has_producer && info.published() != 0;
        let caps = info
            .newest
            .as_ref()
            .map(|frame| frame.meta().ok().and_then(|meta| meta.caps()).unwrap_or_default());
        Some(Self {
            name: info.topic.clone(),
            depth: info.geometry.map_or(8, |geometry| geometry.depth),
            description: info.description.clone(),
            is_own: !is_mirror && (has_producer || was_left),
            is_mirror,
            has_producer,
            is_raw_video: caps.is_none_or(|caps| caps.starts_with("video/x-raw")),
        })
    }
}

/// The topics of a directory.
///
/// # Errors
/// Why it cannot be read, for people.
pub(crate) fn topics(dir: Option<&Path>) -> Result<Vec<LocalTopic>, String> {
    let found = match shmflow::inspect_all(dir) {
        Ok(found) => found,
        // There are none yet.
        Err(shmflow::Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error.to_string()),
    };
    Ok(found.iter().filter_map(|(_, info)| LocalTopic::of(info.as_ref().ok()?)).collect())
}

/// Which host this is, and which of its directories: the same after a restart of either, and another on every other host.
pub(crate) fn home(dir: Option<&Path>) -> u64 {
    let read = |path| std::fs::read(path).unwrap_or_default();
    let dir = shmflow::Topic::new("x", dir).map(|topic| topic.dir().to_path_buf()).unwrap_or_default();
    let mut hasher = DefaultHasher::new();
    (read("/etc/machine-id"), read("/proc/sys/kernel/hostname")).hash(&mut hasher);
    std::fs::canonicalize(&dir).unwrap_or(dir).hash(&mut hasher);
    hasher.finish()
}

/// A number that a later topic of this name does not have: its file's, and when that was made.
pub(crate) fn identity(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    if let Ok(data) = std::fs::metadata(path) {
        (data.dev(), data.ino(), data.created().ok()).hash(&mut hasher);
    }
    boot_id().hash(&mut hasher);
    hasher.finish()
}

/// Another one after each start of the machine.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// Waits until topics have come or gone.
#[derive(Debug)]
pub(crate) struct Watch {
    dir: PathBuf,
    /// None while there is no directory, or no watch to be had: then there are looks alone.
    inotify: Option<Inotify>,
}

impl Watch {
    /// Begins to watch: what happens from now on is not missed.
    #[must_use]
    pub(crate) fn new(dir: Option<&Path>) -> Self {
        // Where the ring looks for topics, it tells.
        let dir = shmflow::Topic::new("x", dir).map(|topic| topic.dir().to_path_buf()).unwrap_or_default();
        let mut watch = Self { dir, inotify: None };
        watch.attach();
        watch
    }

    fn attach(&mut self) {
        // No IN_OPEN and IN_CLOSE_NOWRITE: looking at a topic makes these. IN_CLOSE_WRITE is also the death of a producer.
        let events = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        self.inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)
            .and_then(|inotify| inotify.add_watch(&self.dir, events).map(|_| inotify))
            .ok();
    }

    /// Waits until it is worth looking again.
    pub(crate) fn wait(&mut self) {
        std::thread::sleep(PAUSE);
        let Some(inotify) = &self.inotify else {
            std::thread::sleep(LOOK / 10);
            self.attach();
            return;
        };
        let timeout = PollTimeout::try_from(LOOK).unwrap_or(PollTimeout::ZERO);
        let _ = poll(&mut [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)], timeout);
        let gone = AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_IGNORED
            | AddWatchFlags::IN_UNMOUNT;
        // All that there are: each look sees what all of them tell.
        let is_lost = loop {
            match inotify.read_events() {
                Ok(events) if events.iter().any(|event| event.mask.intersects(gone)) => break true,
                Ok(_) | Err(nix::Error::EINTR) => {}
                Err(nix::Error::EAGAIN) => break false,
                Err(_) => break true,
            }
        };
        if is_lost {
            self.inotify = None;
        }
    }
}
