//! The control words of a topic's files as they were at one moment, read and not mapped.
//!
//! Whoever may write a file may also truncate it, and that kills those who have it mapped. Somebody who only looks, or
//! clears away what others left, has no need to risk that: this reads the few pages of control words with `pread`, so
//! that the worst that any content of any file can do is an error.

use std::mem::offset_of;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::uio::pread;
use rustix::fs::{Stat, fstat};

use crate::error::{Error, Result};
use crate::layout::VERSION;
use crate::layout::peers::{
    CAPS_AT, CAPS_BYTES, DESCRIPTION_BYTES, FILE_LEN, Header, MAGIC, NAME_BYTES, PARTICIPANT_STRIDE,
    PARTICIPANTS_AT, Participant,
};
use crate::protocol::accepted_caps;
use crate::sys::files::open_existing;
use crate::sys::fork::GuardedFd;
use crate::sys::holes;
use crate::sys::machine_time::from_machine;
use crate::topic::Topic;

/// A part of a file, as private bytes.
#[derive(Debug)]
pub(super) struct Part(pub(super) Vec<u8>);

impl Part {
    /// Reads `len` bytes at `at`, or as many as there are.
    fn read(fd: BorrowedFd<'_>, at: usize, len: usize) -> std::io::Result<Self> {
        let mut bytes = vec![0; len];
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let offset = libc::off_t::try_from(at.saturating_add(done)).unwrap_or(libc::off_t::MAX);
            match pread(fd, rest, offset) {
                Ok(0) => break,
                Ok(read) => done = done.saturating_add(read),
                Err(nix::Error::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        bytes.truncate(done);
        Ok(Self(bytes))
    }

    /// The word at a byte offset; 0, as in a file that nobody wrote to, behind the end.
    pub(super) fn word(&self, at: usize) -> u64 {
        let bytes = at.checked_add(8).and_then(|end| self.0.get(at..end));
        bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
    }
}

/// An open file of a topic, read-only.
#[derive(Debug)]
pub(super) struct File {
    topic: Topic,
    path: PathBuf,
    fd: GuardedFd,
    pub(super) status: Stat,
}

impl File {
    /// Opens a file to inspect it, with any owner.
    pub(super) fn open(topic: &Topic, path: &Path) -> Result<Self> {
        Self::new(topic, path, open_existing(topic, path, false, true)?)
    }

    pub(super) fn new(topic: &Topic, path: &Path, fd: GuardedFd) -> Result<Self> {
        let io =
            |error: std::io::Error| Error::io(topic.name(), format!("examine {}", path.display()), error);
        let status = fstat(fd.fd().map_err(io)?).map_err(|error| io(error.into()))?;
        Ok(Self { topic: topic.clone(), path: path.into(), fd, status })
    }

    pub(super) fn fd(&self) -> Result<BorrowedFd<'_>> {
        self.fd.get().ok_or_else(|| Error::Forked { topic: self.topic.name().into() })
    }

    pub(super) fn not_a_ring(&self, why: &str) -> Error {
        Error::NotARing { topic: self.topic.name().into(), path: self.path.clone(), why: why.into() }
    }

    pub(super) fn len(&self) -> u64 {
        u64::try_from(self.status.st_size).unwrap_or(0)
    }

    /// Reads `len` bytes at `at`, or as many as there are.
    pub(super) fn part(&self, at: usize, len: usize) -> Result<Part> {
        Part::read(self.fd()?.as_fd(), at, len)
            .map_err(|error| Error::io(self.topic.name(), format!("read {}", self.path.display()), error))
    }

    /// Whether part of a range has no memory.
    pub(super) fn has_hole(&self, at: u64, len: u64) -> Result<bool> {
        Ok(holes::has_hole(self.fd()?, at, len))
    }

    /// Whether the file was removed, or replaced by another.
    pub(super) fn has_lost_its_name(&self) -> bool {
        let here = std::fs::symlink_metadata(&self.path);
        !here.is_ok_and(|here| (here.dev(), here.ino()) == (self.status.st_dev, self.status.st_ino))
    }

    pub(super) fn version(&self, found: u64) -> Error {
        let found = u32::try_from(found).unwrap_or(u32::MAX);
        Error::VersionMismatch { topic: self.topic.name().into(), found, expected: VERSION as u32 }
    }
}

/// `peers` at one moment, but for the accepted caps.
#[derive(Debug)]
pub(super) struct PeersSnapshot {
    part: Part,
}

/// One entry of it.
#[derive(Clone, Debug)]
pub(super) struct ParticipantSnapshot {
    pub(super) generation: u64,
    pub(super) pid: u64,
    /// On this process's `CLOCK_MONOTONIC`.
    pub(super) joined: u64,
    pub(super) name: String,
    pub(super) cursor: u64,
    pub(super) frames: u64,
    pub(super) bytes: u64,
    pub(super) lost: u64,
    pub(super) copied: u64,
    pub(super) epoch: u64,
    pub(super) ended: u64,
}

macro_rules! header_words {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        impl PeersSnapshot {
            $($(#[doc = $doc])+ pub(super) fn $name(&self) -> u64 { self.part.word(offset_of!(Header, $name)) })+
        }
    };
}

header_words! {
    /// See [`Header::flags`].
    flags,
    /// See [`Header::removed`].
    removed,
    /// See [`Header::active`].
    active,
    /// See [`Header::sleepers`].
    sleepers,
    /// See [`Header::ended`].
    ended,
    /// See [`Header::primary`].
    primary,
    /// See [`Header::exclusive`].
    exclusive,
    /// See [`Header::latest`].
    latest,
    /// See [`Header::waiters`].
    waiters,
    /// See [`Header::description_lock`].
    description_lock,
}

impl PeersSnapshot {
    /// Reads and checks an open `peers`.
    pub(super) fn read(file: &File) -> Result<Self> {
        if file.len() < FILE_LEN as u64 {
            return Err(file.not_a_ring(&format!("it has {} bytes instead of {FILE_LEN}", file.len())));
        }
        let part = file.part(0, CAPS_AT)?;
        if part.word(offset_of!(Header, magic)) != MAGIC {
            return Err(file.not_a_ring("it does not start with the magic number of a participant table"));
        }
        let version = part.word(offset_of!(Header, version));
        if version != VERSION { Err(file.version(version)) } else { Ok(Self { part }) }
    }

    /// The entry of a participant.
    pub(super) fn entry(&self, id: u8) -> ParticipantSnapshot {
        let at = PARTICIPANTS_AT + usize::from(id) * PARTICIPANT_STRIDE;
        let word = |offset: usize| self.part.word(at + offset);
        let name: Vec<u8> = (0..NAME_BYTES / 8)
            .flat_map(|i| word(offset_of!(Participant, name) + 8 * i).to_le_bytes())
            .take_while(|byte| *byte != 0)
            .collect();
        ParticipantSnapshot {
            generation: word(offset_of!(Participant, generation)),
            pid: word(offset_of!(Participant, pid)),
            joined: from_machine(word(offset_of!(Participant, joined))),
            name: String::from_utf8_lossy(&name).chars().filter(|c| !c.is_control()).collect(),
            cursor: word(offset_of!(Participant, cursor)),
            frames: word(offset_of!(Participant, frames)),
            bytes: word(offset_of!(Participant, bytes)),
            lost: word(offset_of!(Participant, lost)),
            copied: word(offset_of!(Participant, copied)),
            epoch: word(offset_of!(Participant, epoch)),
            ended: word(offset_of!(Participant, ended)),
        }
    }
}

/// How often a text that is being written is looked at.
const TRIES: usize = 10;

/// A participant's accepted caps; `None` without any, or while it keeps changing.
pub(super) fn accepted_caps(file: &File, id: u8) -> Result<Option<String>> {
    let at = PARTICIPANTS_AT + usize::from(id) * PARTICIPANT_STRIDE;
    let entry = || file.part(at, size_of::<Participant>());
    let look = || {
        let before = entry()?;
        let len = before.word(offset_of!(Participant, caps_len));
        let len = usize::try_from(len).unwrap_or(CAPS_BYTES).min(CAPS_BYTES);
        let text = file.part(CAPS_AT + usize::from(id) * CAPS_BYTES, len)?;
        let lock = |entry: &Part| entry.word(offset_of!(Participant, caps_lock));
        Ok::<_, Error>((lock(&before), text.0, lock(&entry()?)))
    };
    let text = accepted_caps::stable(TRIES, look, std::thread::yield_now)?;
    Ok(text.filter(|text| !text.is_empty()).and_then(|text| String::from_utf8(text).ok()))
}

/// What the topic was described as; `None` if it was not, or while that keeps changing.
pub(super) fn description(file: &File, peers: &PeersSnapshot) -> Result<Option<String>> {
    const AT: usize = offset_of!(Header, description_lock);
    const LEN: usize = offset_of!(Header, description_len) - AT;
    const TEXT: usize = offset_of!(Header, description) - AT;
    if peers.description_lock() == 0 {
        // As a rule; it saves the looks.
        return Ok(None);
    }
    let look = || {
        let found = file.part(AT, TEXT + DESCRIPTION_BYTES)?;
        let len = usize::try_from(found.word(LEN)).unwrap_or(DESCRIPTION_BYTES).min(DESCRIPTION_BYTES);
        let text = found.0.get(TEXT..TEXT + len).unwrap_or_default().to_vec();
        Ok::<_, Error>((found.word(0), text, file.part(AT, size_of::<u64>())?.word(0)))
    };
    let text = accepted_caps::stable(TRIES, look, std::thread::yield_now)?;
    let text = text.and_then(|text| String::from_utf8(text).ok());
    let line: Option<String> = text.map(|text| text.chars().filter(|c| !c.is_control()).collect());
    Ok(line.filter(|line| !line.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_behind_the_end_are_zero() {
        let part = Part(vec![0xff; 12]);
        assert_eq!(part.word(4), u64::MAX);
        for at in [5, 8, 12, usize::MAX - 8, usize::MAX] {
            assert_eq!(part.word(at), 0, "{at}");
        }
    }
}
