//! Collecting what dead processes left behind.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use super::locked_topic::{LockedTopic, not_ours, removal_error};
use super::scan;
use crate::error::{Error, Result};
use crate::layout::peers::flags;
use crate::sys::clock::monotonic_ns;
use crate::sys::files::{open_existing, same_file, unlink};
use crate::sys::{lock, thread};
use crate::topic::{FileKind, Topic, directory};
use crate::trace::{self, Fields, Level};

/// A topic whose lifecycle lock a process holds for longer is in use, in any state.
const OPEN_TIMEOUT: Duration = Duration::from_millis(100);

/// What [`gc`] removed.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct GcReport {
    /// Topics that were removed: they had no live participants.
    pub removed: Vec<String>,
    /// Temporary files of dead processes, for any topic.
    pub temp_files: u32,
    /// Bytes of shared memory that were freed.
    pub freed_bytes: u64,
    /// Topics that were not removed, and why.
    pub skipped: Vec<SkippedTopic>,
}

/// A topic that [`gc`] did not remove.
#[derive(Debug)]
#[non_exhaustive]
pub struct SkippedTopic {
    /// Its name.
    pub topic: String,
    /// Why it was not removed.
    pub reason: SkipReason,
}

/// Why [`gc`] did not remove a topic.
#[derive(Debug)]
#[non_exhaustive]
pub enum SkipReason {
    /// The number of live participants; 0 if a process is opening or closing it.
    InUse(u32),
    /// It has no participants, but is persistent.
    Persistent,
    /// It could not be removed, or is not what its name says.
    Failed(Error),
}

/// Removes what dead processes left in `dir` (`None`: `$SHMFLOW_DIR`, or else `/dev/shm`): topics whose participants are
/// all dead, unless they are persistent; topics that were never finished; temporary files of dead processes.
///
/// Producers run it, too: a process does so on a directory a second after it has opened a topic there, once a minute at most,
/// and at once if there is too little room.
///
/// Nothing is removed that a registered participant uses. A consumer that only reads is not registered and does not protect
/// a topic: without producers it would wait in vain.
///
/// A topic that cannot be removed is reported in [`GcReport::skipped`] and does not hinder the others.
///
/// ```
/// # let dir = std::env::temp_dir().join(format!("shmflow-doc-gc-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir).unwrap();
/// let producer = shmflow::Producer::builder("doc/gc").dir(&dir).open()?;
/// let collected = shmflow::gc(Some(&dir))?;
/// assert!(collected.removed.is_empty() && collected.skipped.len() == 1);
/// # drop(producer); std::fs::remove_dir_all(&dir).unwrap();
/// # Ok::<(), shmflow::Error>(())
/// ```
///
/// # Errors
/// Only if the directory cannot be read.
pub fn gc(dir: Option<&Path>) -> Result<GcReport> {
    let dir = directory(dir);
    let mut collected = GcReport::default();
    for (name, files) in scan(&dir)? {
        let Ok(topic) = Topic::new(&name, Some(&dir)) else { continue };
        if let Err(why) = collect_topic(&topic, &files, &mut collected) {
            collected.skipped.push(SkippedTopic { topic: name, reason: why });
        }
    }
    if !collected.removed.is_empty() || collected.temp_files != 0 {
        trace::gc(&dir, collected.removed.len(), collected.temp_files, collected.freed_bytes);
    }
    Ok(collected)
}

/// How long after an open `gc` runs on the directory: a process that has just opened a topic has a stream to start.
const DELAY: Duration = Duration::from_secs(1);
/// A process does it so often at most, on each directory.
const AT_MOST_EVERY: Duration = Duration::from_secs(60);

/// The directories on which `gc` ran a short while ago, and when.
#[derive(Debug)]
struct Collected(Vec<(PathBuf, u64)>);

impl Collected {
    /// Whether it is to run on a directory now: then that is noted.
    fn is_due(&mut self, dir: &Path, now: u64) -> bool {
        self.0.retain(|(_, last)| Duration::from_nanos(now.saturating_sub(*last)) < AT_MOST_EVERY);
        let due = self.0.iter().all(|(collected, _)| collected != dir);
        if due {
            self.0.push((dir.to_path_buf(), now));
        }
        due
    }
}

/// Runs `gc` on a directory a little later, by a thread, unless this process did so a short while ago.
pub(crate) fn gc_soon(dir: &Path) {
    static COLLECTED: Mutex<Collected> = Mutex::new(Collected(Vec::new()));
    // Without waiting: in a forked child, a thread that is not there can have it for ever. Others do it then.
    if COLLECTED.try_lock().is_ok_and(|mut collected| collected.is_due(dir, monotonic_ns())) {
        let dir = dir.to_path_buf();
        // Without a thread the next process that opens a topic does it, or `shmflow gc`.
        let _ = thread::spawn("shmflow-collect", move || {
            std::thread::sleep(DELAY);
            // What could not be removed stays, as it did.
            let _ = gc(Some(&dir));
        });
    }
}

/// Collects a directory that has too little room; whether there is more now.
pub(crate) fn gc_for_room(dir: &Path) -> bool {
    gc(Some(dir)).is_ok_and(|collected| collected.freed_bytes != 0)
}

fn collect_topic(
    topic: &Topic,
    files: &[(FileKind, PathBuf)],
    collected: &mut GcReport,
) -> Result<(), SkipReason> {
    let mut refused = None;
    for (kind, path) in files {
        if matches!(kind, FileKind::Temp(_)) {
            match remove_orphan(topic, path) {
                Ok(None) => {}
                Ok(Some(bytes)) => {
                    collected.temp_files = collected.temp_files.saturating_add(1);
                    collected.freed_bytes = collected.freed_bytes.saturating_add(bytes);
                }
                Err(error) => refused = Some(error),
            }
        }
    }
    if files.iter().any(|(kind, _)| !matches!(kind, FileKind::Temp(_))) {
        let held = match LockedTopic::take(topic, OPEN_TIMEOUT, "collect") {
            Ok(held) => held,
            Err(Error::TopicNotFound { .. }) => return Ok(()), // removed meanwhile
            Err(Error::Busy { .. }) => return Err(SkipReason::InUse(0)),
            Err(error) => return Err(SkipReason::Failed(error)),
        };
        let alive = held.alive().map_err(SkipReason::Failed)?.len();
        if alive != 0 {
            return Err(SkipReason::InUse(u32::try_from(alive).unwrap_or(u32::MAX)));
        }
        let peers = held.peers().map_err(SkipReason::Failed)?;
        let persistent = peers.flags() & flags::PERSISTENT != 0;
        if persistent && held.has_ring() && peers.removed() == 0 {
            return Err(SkipReason::Persistent);
        }
        let removal = held.remove().map_err(SkipReason::Failed)?;
        let fields = Fields { bytes: Some(removal.bytes), ..Fields::because("nobody takes part") };
        trace::event(Level::Info, "topic removed", topic.name(), fields);
        collected.removed.push(topic.name().into());
        collected.freed_bytes = collected.freed_bytes.saturating_add(removal.bytes);
    }
    refused.map_or(Ok(()), |error| Err(SkipReason::Failed(error)))
}

/// Removes a temporary file if no process is creating it; its size.
fn remove_orphan(topic: &Topic, path: &Path) -> Result<Option<u64>> {
    let file = match open_existing(topic, path, true, true) {
        Ok(file) => file,
        Err(Error::TopicNotFound { .. }) => return Ok(None), // it has its real name by now
        Err(error) => return Err(not_ours(error)),
    };
    let io = |error: std::io::Error| Error::io(topic.name(), "examine a temporary file", error);
    let fd = file.fd().map_err(io)?;
    // The name must still lead to what we locked: its maker may have given it its real one meanwhile.
    if lock::try_write(fd, lock::LIFECYCLE_BYTE).map_err(io)? && same_file(fd, path).map_err(io)? {
        let blocks = rustix::fs::fstat(fd).map_err(|error| io(error.into()))?.st_blocks;
        unlink(path).map_err(|error| removal_error(topic, path, error))?;
        return Ok(Some(u64::try_from(blocks).unwrap_or(0).saturating_mul(512)));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_directory_is_collected_once_a_minute_and_then_forgotten() {
        let minute = AT_MOST_EVERY.as_nanos() as u64;
        let (one, two) = (Path::new("/one"), Path::new("/two"));
        let mut collected = Collected(Vec::new());
        assert!(collected.is_due(one, 5) && collected.is_due(two, 6));
        assert!(!collected.is_due(one, minute) && !collected.is_due(two, minute));
        assert!(collected.is_due(one, 5 + minute));
        assert!(collected.is_due(one, 5 + 2 * minute));
        assert_eq!(collected.0.len(), 1);
    }
}
