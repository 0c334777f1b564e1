//! A topic under its lifecycle lock, held by a process that is not a participant.

use std::collections::BTreeMap;
use std::fs;
use std::mem::offset_of;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use nix::sys::uio::{pread, pwrite};

use super::snapshot::{File, PeersSnapshot};
use crate::error::{Error, Result, is_refusal};
use crate::layout::VERSION;
use crate::layout::peers::{Header, MAGIC};
use crate::layout::ring::{self, PAGE};
use crate::layout::words::PARTICIPANTS;
use crate::lifecycle::open::create_peers;
use crate::protocol::FailPoint;
use crate::protocol::fail_points::fail_point;
use crate::sys::files::{
    READ_ONLY_MOUNT, files_of, may_unlink, open_existing, refused, same_file, unlink_and_keep,
};
use crate::sys::fork::GuardedFd;
use crate::sys::futex;
use crate::sys::lock::{self, Probe};
use crate::sys::map::{Access, Mapping};
use crate::topic::{FileKind, Topic};

/// How often to start again because the topic was removed or made meanwhile.
const ATTEMPTS: usize = 100;

/// A topic whose lifecycle lock we hold: no other process opens, grows or removes it.
#[derive(Debug)]
pub(super) struct LockedTopic {
    topic: Topic,
    file: File,
}

/// What was removed.
#[derive(Debug, Default)]
pub(super) struct Removal {
    pub(super) bytes: u64,
    /// The files: what nobody has open is freed when this is dropped.
    _kept: Vec<GuardedFd>,
}

/// A refusal to open a topic as one to remove it: who removes a topic has no use for advice on how to take part.
pub(super) fn not_ours(error: Error) -> Error {
    let Error::PermissionDenied { topic, path, what, mode, owner_uid } = error else { return error };
    let what = if what.ends_with(READ_ONLY_MOUNT) { removal_from_read_only() } else { "remove it".into() };
    Error::PermissionDenied { topic, path, what, mode, owner_uid }
}

fn removal_from_read_only() -> String {
    format!("remove files {READ_ONLY_MOUNT}")
}

impl LockedTopic {
    /// Takes the lock of a topic, waiting at most so long ([`Error::Busy`]).
    ///
    /// Files of a topic without a `peers` (it was removed by hand) have no lock: they get an empty one first, so that a
    /// process that opens the topic at this moment waits for us or we for it.
    pub(super) fn take(topic: &Topic, timeout: Duration, what: &str) -> Result<Self> {
        let path = topic.peers_path();
        let io = |error| Error::io(topic.name(), "examine the list of participants", error);
        for _ in 0..ATTEMPTS {
            let fd = match open_existing(topic, &path, true, true) {
                Ok(fd) => fd,
                Err(error @ Error::PermissionDenied { .. }) => return Err(not_ours(error)),
                Err(error @ Error::TopicNotFound { .. }) => {
                    let files = files_of(topic).map_err(|error| listing(topic, error))?;
                    if files.iter().all(|(kind, _)| matches!(kind, FileKind::Temp(_))) {
                        return Err(error);
                    }
                    create_peers(topic, 0o600, false).map_err(not_ours)?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let file = File::new(topic, &path, fd)?;
            let locked = lock::lock_within(file.fd()?, lock::LIFECYCLE_BYTE, timeout)
                .map_err(|error| Error::io(topic.name(), format!("lock, to {what},"), error))?;
            if !locked {
                return Err(Error::Busy { topic: topic.name().into(), waited: timeout, what: what.into() });
            }
            if same_file(file.fd()?, &path).map_err(io)? {
                return Ok(Self { topic: topic.clone(), file });
            }
        }
        Err(Error::Busy { topic: topic.name().into(), waited: timeout, what: what.into() })
    }

    /// The list of participants, if that is what the file holds.
    pub(super) fn peers(&self) -> Result<PeersSnapshot> {
        PeersSnapshot::read(&self.file)
    }

    /// The participants that live. One that cannot be probed counts as alive.
    pub(super) fn alive(&self) -> Result<Vec<u8>> {
        let fd = self.file.fd()?;
        let dead =
            |id| matches!(lock::probe(fd, lock::participant_byte(id)), Ok(Probe::Free | Probe::ReadLocked));
        Ok((0..PARTICIPANTS).filter(|&id| !dead(id)).collect())
    }

    /// Whether the topic has a ring.
    pub(super) fn has_ring(&self) -> bool {
        fs::symlink_metadata(self.topic.ring_path()).is_ok()
    }

    /// Removes all of the topic's files but those being created, and notifies its participants.
    ///
    /// Nothing has changed if the first of them may not be removed.
    pub(super) fn remove(self) -> Result<Removal> {
        let fd = self.file.fd()?;
        let owner = self.file.status.st_uid;
        let allowed = may_unlink(self.topic.dir(), owner).map_err(|error| listing(&self.topic, error))?;
        if !allowed {
            return Err(refused(&self.topic, self.topic.dir(), "remove files"));
        }
        let files = files_of(&self.topic).map_err(|error| listing(&self.topic, error))?;
        // Before the names are gone. What is no topic of this version has nobody whom we know how to tell.
        let sleepers = self.peers().is_ok().then(|| Sleepers::of(&self.topic, &files));
        if sleepers.is_some() {
            write_word(fd, offset_of!(Header, removed), 1);
            fail_point(FailPoint::RemoveMark);
        }
        match remove_files(&self.topic, &files) {
            Ok(removal) => {
                fail_point(FailPoint::RemovePeers);
                sleepers.iter().for_each(Sleepers::wake);
                // The lock goes first, and the memory then.
                drop(self.file);
                Ok(removal)
            }
            Err((error, nothing_gone)) => {
                if sleepers.is_some() && nothing_gone {
                    write_word(fd, offset_of!(Header, removed), 0);
                } else {
                    sleepers.iter().for_each(Sleepers::wake);
                }
                Err(error)
            }
        }
    }
}

/// Removes the files, `peers` last: rings first, so that no one finds a ring without holder words. On failure says
/// whether nothing was removed yet.
pub(super) fn remove_files(topic: &Topic, files: &[(FileKind, PathBuf)]) -> Result<Removal, (Error, bool)> {
    let rank = |kind: &FileKind| match kind {
        FileKind::Ring | FileKind::OldRing(_) => 0,
        FileKind::Holds(_) => 1,
        FileKind::Peers | FileKind::Temp(_) => 2,
    };
    let mut ordered: Vec<_> = files.iter().filter(|(kind, _)| !matches!(kind, FileKind::Temp(_))).collect();
    ordered.sort_by_key(|(kind, _)| rank(kind));
    let (mut freed, mut kept) = (BTreeMap::new(), Vec::new());
    let mut nothing_gone = true;
    for (_, path) in ordered {
        // The old names of a ring lead to the same file.
        if let Ok(status) = fs::symlink_metadata(path) {
            freed.insert((status.dev(), status.ino()), status.blocks().saturating_mul(512));
        }
        kept.extend(
            unlink_and_keep(path).map_err(|error| (removal_error(topic, path, error), nothing_gone))?,
        );
        nothing_gone = false;
    }
    Ok(Removal { bytes: freed.values().copied().fold(0, u64::saturating_add), _kept: kept })
}

pub(super) fn removal_error(topic: &Topic, path: &Path, error: std::io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::EROFS) => refused(topic, path, removal_from_read_only()),
        _ if is_refusal(&error) => refused(topic, path, "remove"),
        _ => Error::io(topic.name(), format!("remove {}", path.display()), error),
    }
}

pub(super) fn listing(topic: &Topic, error: std::io::Error) -> Error {
    let what = format!("list the files in {}", topic.dir().display());
    if is_refusal(&error) { refused(topic, topic.dir(), what) } else { Error::io(topic.name(), what, error) }
}

/// Stores a control word without mapping the file. What happens to a word of a file that is truncated at this moment
/// does not matter: its users have other worries.
fn write_word(fd: BorrowedFd<'_>, at: usize, value: u64) {
    let _ = pwrite(fd, &value.to_le_bytes(), at as libc::off_t);
}

/// The futex words on which participants of a topic may sleep.
#[derive(Debug)]
struct Sleepers {
    words: Vec<FutexWord>,
}

/// One of them.
#[derive(Debug)]
struct FutexWord {
    at: usize,
    map: Mapping,
    /// Open for writing, if that is permitted.
    file: Option<GuardedFd>,
}

impl Sleepers {
    /// Those of `peers`, which was found to be one, and of all rings that are some.
    fn of(topic: &Topic, files: &[(FileKind, PathBuf)]) -> Self {
        let mut words = Vec::new();
        // What cannot be opened or mapped has sleepers that find out at their next look, within a second.
        // And not through the descriptor that carries the lock: a child forked now would keep it locked.
        if let Ok(file) = open_existing(topic, &topic.peers_path(), true, true)
            && let Some(fd) = file.get().filter(|fd| begins_with(*fd, MAGIC))
            && let Ok(map) = Mapping::new(fd, PAGE as usize, Access::ReadOnly, false)
        {
            words.push(FutexWord { at: offset_of!(Header, events), map, file: Some(file) });
        }
        let rings = files.iter().filter(|(kind, _)| matches!(kind, FileKind::Ring | FileKind::OldRing(_)));
        for (_, path) in rings {
            let writable = open_existing(topic, path, true, true);
            let is_writable = writable.is_ok();
            let Ok(file) = writable.or_else(|_| open_existing(topic, path, false, true)) else { continue };
            let Some(fd) = file.get() else { continue };
            // Nothing is written into a file that only has the name of a ring.
            if begins_with(fd, ring::MAGIC)
                && let Ok(map) = Mapping::new(fd, PAGE as usize, Access::ReadOnly, false)
            {
                let at = offset_of!(ring::Header, wake);
                words.push(FutexWord { at, map, file: is_writable.then_some(file) });
            }
        }
        Self { words }
    }

    /// Wakes all of them: they find the mark. One that is about to sleep finds the futex word changed.
    fn wake(&self) {
        for FutexWord { at, map, file } in &self.words {
            let mut bytes = [0; size_of::<AtomicU32>()];
            let offset = *at as libc::off_t;
            if let Some(fd) = file.as_ref().and_then(GuardedFd::get)
                && matches!(pread(fd, &mut bytes, offset), Ok(4))
            {
                // Far from the values of publications: a process that has loaded it finds another value.
                let changed = u32::from_le_bytes(bytes) ^ (1 << 31);
                let _ = pwrite(fd, &changed.to_le_bytes(), offset);
            }
            if let Some(word) = map.u32_at(*at) {
                // The word itself is not touched: in a truncated file the call fails, and no process dies of it.
                let _ = futex::wake_all(word);
            }
        }
    }
}

const _: () = {
    assert!(offset_of!(Header, magic) == 0 && offset_of!(Header, version) == 8);
    assert!(offset_of!(ring::Header, magic) == 0 && offset_of!(ring::Header, version) == 8);
};

/// Whether a file has this magic number and our version.
fn begins_with(fd: BorrowedFd<'_>, magic: u64) -> bool {
    let mut words = [0; 16];
    matches!(pread(fd, &mut words, 0), Ok(16))
        && u128::from_le_bytes(words) == u128::from(VERSION) << 64 | u128::from(magic)
}
