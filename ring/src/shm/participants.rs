//! `peers` as mapped by one handle: participants, liveness, the lifecycle lock.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::layout::peers::{CAPS_AT, CAPS_BYTES};
use crate::layout::peers::{
    FILE_LEN, Header, MAGIC, NAME_BYTES, PARTICIPANT_STRIDE, PARTICIPANTS_AT, Participant,
};
use crate::layout::view::{Array, LoadAcquire};
use crate::layout::words::{PARTICIPANTS, PRODUCERS, bit};
use crate::layout::{VERSION, peers};
pub(crate) use crate::protocol::end::End;
use crate::protocol::{end, events};
use crate::sys::files::{OpenedTwice, is_linked, open_to_lock_and_map, unlink_and_keep};
use crate::sys::fork::GuardedFd;
use crate::sys::lock::{self, Probe};
use crate::sys::map::{Access, Mapping};
use crate::topic::Topic;

/// The table of participants, through a descriptor of this handle's own: locks belong to descriptors.
#[derive(Debug)]
pub(crate) struct ParticipantTable {
    header: Array<Header>,
    participants: Array<Participant>,
    accepted_caps: Array<AtomicU64>,
    map: Mapping,
    /// Carries the locks, and is not what `map` is mapped through.
    fd: GuardedFd,
    topic: Topic,
    /// The id whose byte this descriptor locks: its own locks are invisible to it.
    own: AtomicU8,
    /// Held while reaping: the threads of a handle share its descriptor, and with it each other's read locks.
    pub(crate) reaping: Mutex<()>,
    /// Files that have lost their names under the lifecycle lock, and are freed without it.
    removed: Mutex<Vec<GuardedFd>>,
}

impl ParticipantTable {
    /// Opens, maps and checks the `peers` file of a topic. [`Error::TopicNotFound`] if there is none.
    pub(crate) fn open(topic: &Topic, access: Access, allow_foreign: bool) -> Result<Self> {
        let write = access == Access::ReadWrite;
        let OpenedTwice { locks: fd, view } =
            open_to_lock_and_map(topic, &topic.peers_path(), write, allow_foreign)?;
        let view = view.fd().map_err(|e| Error::io(topic.name(), "use", e))?;
        let map = match Mapping::new(view, FILE_LEN, access, true) {
            Ok(map) => map,
            Err(e) if e.kind() == std::io::ErrorKind::InvalidData => {
                return Err(not_a_ring(topic, &e.to_string()));
            }
            Err(e) => return Err(Error::io(topic.name(), "map the list of participants", e)),
        };
        let ids = usize::from(PARTICIPANTS);
        // SAFETY: the views live beside the mapping, in one structure.
        let views = unsafe {
            Array::new(&map, 0, PARTICIPANTS_AT, 1)
                .zip(Array::new(&map, PARTICIPANTS_AT, PARTICIPANT_STRIDE, ids))
                .zip(Array::new(&map, CAPS_AT, 8, ids * CAPS_BYTES / 8))
        };
        let Some(((header, participants), accepted_caps)) = views else {
            return Err(not_a_ring(topic, "it is too short"));
        };
        let peers = Self {
            header,
            participants,
            accepted_caps,
            map,
            fd,
            topic: topic.clone(),
            own: AtomicU8::new(u8::MAX),
            reaping: Mutex::default(),
            removed: Mutex::default(),
        };
        if peers.header().magic.load(Relaxed) != MAGIC {
            return Err(not_a_ring(topic, "it does not start with the magic number of a participant table"));
        }
        let version = peers.header().version.load(Relaxed);
        if version != VERSION {
            let found = u32::try_from(version).unwrap_or(u32::MAX);
            return Err(Error::VersionMismatch {
                topic: topic.name().into(),
                found,
                expected: VERSION as u32,
            });
        }
        Ok(peers)
    }

    /// Fills a new file that has no name yet.
    pub(crate) fn initialise(topic: &Topic, fd: BorrowedFd<'_>, persistent: bool) -> Result<()> {
        let io = |e| Error::io(topic.name(), "map the list of participants", e);
        let map = Mapping::new(fd, FILE_LEN, Access::ReadWrite, true).map_err(io)?;
        // SAFETY: used only within this function.
        let Some(header) = (unsafe { Array::<Header>::new(&map, 0, PARTICIPANTS_AT, 1) }) else {
            return Err(not_a_ring(topic, "it is too short"));
        };
        let header = header.get(0);
        header.flags.store(if persistent { peers::flags::PERSISTENT } else { 0 }, Relaxed);
        header.version.store(VERSION, Relaxed);
        header.magic.store(MAGIC, SeqCst);
        Ok(())
    }

    pub(crate) fn topic(&self) -> &Topic {
        &self.topic
    }

    pub(crate) fn header(&self) -> &Header {
        self.header.get(0)
    }

    pub(crate) fn writable(&self) -> bool {
        self.map.access() == Access::ReadWrite
    }

    /// Loads a word of it in the way that its mapping allows.
    pub(crate) fn load(&self, word: &AtomicU64) -> u64 {
        if self.writable() { word.load(SeqCst) } else { word.load_acquire() }
    }

    pub(crate) fn participant(&self, id: u8) -> &Participant {
        self.participants.get(usize::from(id))
    }

    /// The descriptor, unless this process is a fork of the one that opened it.
    pub(crate) fn fd(&self) -> Result<BorrowedFd<'_>> {
        self.fd.get().ok_or_else(|| Error::Forked { topic: self.topic.name().into() })
    }

    /// Whether the file has a name, as far as can be seen.
    pub(crate) fn has_name(&self) -> bool {
        is_linked(&self.fd)
    }

    pub(crate) fn is_own_process(&self) -> bool {
        self.fd.is_own_process()
    }

    /// Whether participant `id` is alive; one that cannot be probed counts as alive, because taking a living one's
    /// slots is worse than waiting.
    pub(crate) fn is_alive(&self, id: u8) -> bool {
        if id == self.own.load(Relaxed) {
            return true;
        }
        let Ok(fd) = self.fd() else { return true };
        !matches!(lock::probe(fd, lock::participant_byte(id)), Ok(Probe::Free | Probe::ReadLocked))
    }

    /// Notes which id this descriptor locks.
    pub(crate) fn set_own(&self, id: u8) {
        self.own.store(id, Relaxed);
    }

    /// Gives the own id back: from here on others take it for free.
    pub(crate) fn release_id(&self) {
        if let (id @ ..PARTICIPANTS, Ok(fd)) = (self.own.swap(u8::MAX, Relaxed), self.fd()) {
            // Closing the descriptor does it too.
            let _ = lock::unlock(fd, lock::participant_byte(id));
        }
    }

    /// Wakes the producers that watch: a participant joined, left, or changed its accepted caps.
    pub(crate) fn notify(&self) {
        events::notify(self);
    }

    /// Those of `ids` that are alive.
    pub(crate) fn alive(&self, ids: u64) -> u64 {
        (0..PARTICIPANTS)
            .filter(|&id| ids & bit(id) != 0 && self.is_alive(id))
            .fold(0, |set, id| set | bit(id))
    }

    /// Active participants, alive or not.
    pub(crate) fn active(&self) -> u64 {
        self.load(&self.header().active)
    }

    /// Active producers that are alive.
    pub(crate) fn producers(&self) -> u64 {
        self.alive(self.active() & (bit(PRODUCERS) - 1))
    }

    /// Active registered consumers that are alive.
    pub(crate) fn consumers(&self) -> u64 {
        self.alive(self.active() & !(bit(PRODUCERS) - 1))
    }

    /// The end of the stream, if every producer has said so, or the last to go did.
    pub(crate) fn end(&self) -> Option<End> {
        end::end(self)
    }

    /// Takes the lifecycle lock; what is `what`ed may take so long.
    pub(crate) fn lock(&self, timeout: Duration, what: &str) -> Result<Lifecycle<'_>> {
        let fd = self.fd()?;
        match lock::lock_within(fd, lock::LIFECYCLE_BYTE, timeout) {
            Ok(true) => Ok(Lifecycle { peers: self }),
            Ok(false) => {
                Err(Error::Busy { topic: self.topic.name().into(), waited: timeout, what: what.into() })
            }
            Err(e) => Err(Error::io(self.topic.name(), format!("lock, to {what},"), e)),
        }
    }

    /// Removes a name of one of the topic's files. Under the lifecycle lock: what frees memory is left for when that is given
    /// back, or for [`free_removed`](Self::free_removed).
    pub(crate) fn unlink(&self, path: &Path) -> io::Result<()> {
        let kept = unlink_and_keep(path)?;
        self.removed.lock().unwrap_or_else(PoisonError::into_inner).extend(kept);
        Ok(())
    }

    /// Frees what was removed: for a process that needs the memory at once.
    pub(crate) fn free_removed(&self) {
        let removed = std::mem::take(&mut *self.removed.lock().unwrap_or_else(PoisonError::into_inner));
        drop(removed);
    }

    /// The name of a participant as it gave it.
    pub(crate) fn name_of(&self, id: u8) -> String {
        let mut bytes = [0; NAME_BYTES];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(&self.participant(id).name) {
            chunk.copy_from_slice(&word.load(Relaxed).to_le_bytes());
        }
        let len = bytes.iter().position(|&b| b == 0).unwrap_or(NAME_BYTES);
        String::from_utf8_lossy(bytes.get(..len).unwrap_or_default())
            .chars()
            .filter(|c| !c.is_control())
            .collect()
    }

    /// Writes the name of a participant, cut at a character boundary if it is too long.
    pub(crate) fn set_name(&self, id: u8, name: &str) {
        let mut bytes = [0; NAME_BYTES];
        let cut = name.floor_char_boundary(NAME_BYTES);
        if let (Some(to), Some(from)) = (bytes.get_mut(..cut), name.as_bytes().get(..cut)) {
            to.copy_from_slice(from);
        }
        for (chunk, word) in bytes.chunks_exact(8).zip(&self.participant(id).name) {
            word.store(chunk.try_into().map_or(0, u64::from_le_bytes), Relaxed);
        }
    }

    /// Eight bytes of a participant's accepted caps; `i` below [`CAPS_BYTES`] / 8.
    pub(crate) fn caps_word(&self, id: u8, i: usize) -> &AtomicU64 {
        self.accepted_caps.get(usize::from(id) * CAPS_BYTES / 8 + i)
    }
}

/// The lifecycle lock of a topic, held.
#[derive(Debug)]
pub(crate) struct Lifecycle<'a> {
    peers: &'a ParticipantTable,
}

impl Drop for Lifecycle<'_> {
    fn drop(&mut self) {
        if let Ok(fd) = self.peers.fd() {
            // Closing the descriptor does it too; nothing to be done about a failure.
            let _ = lock::unlock(fd, lock::LIFECYCLE_BYTE);
            self.peers.free_removed();
        }
    }
}

fn not_a_ring(topic: &Topic, why: &str) -> Error {
    Error::NotARing { topic: topic.name().into(), path: topic.peers_path(), why: why.into() }
}
