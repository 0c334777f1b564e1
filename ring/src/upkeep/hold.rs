//! A topic under its lifecycle lock, in the hands of somebody who is no participant.

use std::collections::BTreeMap;
use std::fs;
use std::mem::offset_of;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use nix::sys::uio::{pread, pwrite};

use super::snapshot::{File, PeersSnapshot};
use crate::error::{Error, Result, is_refusal};
use crate::layout::peers::{FILE_LEN, Header};
use crate::layout::ring::{Header as RingHeader, PAGE};
use crate::layout::words::PARTICIPANTS;
use crate::lifecycle::open::create_peers;
use crate::protocol::Step;
use crate::protocol::step::reached;
use crate::sys::files::{files_of, may_unlink, open_existing, refused, same_file, unlink};
use crate::sys::fork::GuardedFd;
use crate::sys::futex;
use crate::sys::lock::{self, Probe};
use crate::sys::map::{Access, Mapping};
use crate::topic::{FileKind, Topic};

/// How often to start again because the topic was removed or made meanwhile.
const ATTEMPTS: usize = 100;

/// A topic whose lifecycle lock we hold: nobody opens, grows or removes it.
#[derive(Debug)]
pub(super) struct Held {
    topic: Topic,
    file: File,
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Removal {
    pub(super) bytes: u64,
}

impl Held {
    /// Takes the lock of a topic, waiting at most so long ([`Error::Busy`]).
    ///
    /// Files of a topic without a list of participants (somebody removed that by hand) have no lock: they get an empty
    /// list first, so that whoever opens the topic at this moment waits for us or we for them.
    pub(super) fn take(topic: &Topic, patience: Duration, what: &str) -> Result<Self> {
        let path = topic.peers_path();
        let io = |error| Error::io(topic.name(), "examine the list of participants", error);
        for _ in 0..ATTEMPTS {
            let fd = match open_existing(topic, &path, true, true) {
                Ok(fd) => fd,
                Err(error @ Error::NoTopic { .. }) => {
                    let files = files_of(topic).map_err(|error| listing(topic, error))?;
                    if files.iter().all(|(kind, _)| matches!(kind, FileKind::Temp(_))) {
                        return Err(error);
                    }
                    create_peers(topic, 0o600, false)?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let file = File::new(topic, &path, fd)?;
            let locked = lock::lock_within(file.fd()?, lock::LIFECYCLE_BYTE, patience)
                .map_err(|error| Error::io(topic.name(), format!("lock, to {what},"), error))?;
            if !locked {
                return Err(Error::Busy { topic: topic.name().into(), waited: patience, what: what.into() });
            }
            if same_file(file.fd()?, &path).map_err(io)? {
                return Ok(Self { topic: topic.clone(), file });
            }
        }
        Err(Error::Busy { topic: topic.name().into(), waited: patience, what: what.into() })
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

    /// Removes all of the topic's files but those being made, and tells those who have it open.
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
        // Before the names are gone.
        let sleepers = Sleepers::of(&self.topic, fd, &files);
        let mark = self.peers().is_ok();
        if mark {
            write_word(fd, offset_of!(Header, removed), 1);
            reached(Step::RemoveMark);
        }
        match remove_files(&self.topic, &files) {
            Ok(removal) => {
                reached(Step::RemovePeers);
                sleepers.wake();
                Ok(removal)
            }
            Err((error, nothing_gone)) => {
                if mark && nothing_gone {
                    write_word(fd, offset_of!(Header, removed), 0);
                } else {
                    sleepers.wake();
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
    let mut freed = BTreeMap::new();
    let mut nothing_gone = true;
    for (_, path) in ordered {
        // The old names of a ring lead to the same file.
        if let Ok(status) = fs::symlink_metadata(path) {
            freed.insert((status.dev(), status.ino()), status.blocks().saturating_mul(512));
        }
        unlink(path).map_err(|error| (removal_error(topic, path, error), nothing_gone))?;
        nothing_gone = false;
    }
    Ok(Removal { bytes: freed.values().copied().fold(0, u64::saturating_add) })
}

pub(super) fn removal_error(topic: &Topic, path: &Path, error: std::io::Error) -> Error {
    let what = format!("remove {}", path.display());
    if is_refusal(&error) { refused(topic, path, "remove") } else { Error::io(topic.name(), what, error) }
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

/// Those who sleep on a topic's futex words.
#[derive(Debug)]
struct Sleepers {
    words: Vec<(GuardedFd, usize)>,
    mappings: Vec<(Mapping, usize)>,
}

impl Sleepers {
    fn of(topic: &Topic, peers: BorrowedFd<'_>, files: &[(FileKind, PathBuf)]) -> Self {
        let mut found = Self { words: Vec::new(), mappings: Vec::new() };
        // What cannot be opened or mapped has sleepers that find out at their next look, within a second.
        let events = offset_of!(Header, events);
        if let Ok(map) = Mapping::new(peers, FILE_LEN.min(PAGE as usize), Access::ReadOnly, false) {
            found.mappings.push((map, events));
        }
        if let Ok(fd) = open_existing(topic, &topic.peers_path(), true, true) {
            found.words.push((fd, events));
        }
        for (kind, path) in files {
            if !matches!(kind, FileKind::Ring | FileKind::OldRing(_)) {
                continue;
            }
            let wake = offset_of!(RingHeader, wake);
            if let Ok(fd) = open_existing(topic, path, false, true)
                && let Ok(fd) = fd.fd()
                && let Ok(map) = Mapping::new(fd.as_fd(), PAGE as usize, Access::ReadOnly, false)
            {
                found.mappings.push((map, wake));
            }
            if let Ok(fd) = open_existing(topic, path, true, true) {
                found.words.push((fd, wake));
            }
        }
        found
    }

    /// Wakes all of them: they find the mark. One that is about to sleep finds the futex word changed.
    fn wake(&self) {
        for (fd, at) in &self.words {
            let Some(fd) = fd.get() else { continue };
            let mut word = [0; size_of::<AtomicU32>()];
            let at = *at as libc::off_t;
            if matches!(pread(fd, &mut word, at), Ok(4)) {
                // Far from what its publications make of it: whoever has loaded it finds another value.
                let changed = u32::from_le_bytes(word) ^ (1 << 31);
                let _ = pwrite(fd, &changed.to_le_bytes(), at);
            }
        }
        for (map, at) in &self.mappings {
            if let Some(word) = map.u32_at(*at) {
                // The word itself is not touched: in a truncated file the call fails, and nobody dies of it.
                let _ = futex::wake_all(word);
            }
        }
    }
}
