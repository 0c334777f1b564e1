//! A registration: one handle's entry in `peers`, kept alive by everything that still owns a lease or a slot.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};

use super::participants::ParticipantTable;
use super::shared::CapsOf;
use crate::error::{Error, Result};
use crate::layout::peers::Participant;
use crate::layout::words::{PARTICIPANTS, PRODUCERS, bit};
use crate::protocol::fail_points::fail_point;
use crate::protocol::primary::resign;
pub(crate) use crate::protocol::primary::{owner_id, owner_word};
use crate::protocol::{FailPoint, accepted_caps, backlog, end};
use crate::sys::lock;

/// What a participant does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Writes frames.
    Producer,
    /// Reads frames.
    Consumer,
}

impl Role {
    /// The ids of this role.
    pub(crate) const fn ids(self) -> std::ops::Range<u8> {
        match self {
            Self::Producer => 0..PRODUCERS,
            Self::Consumer => PRODUCERS..PARTICIPANTS,
        }
    }

    /// The role of a participant id.
    pub(crate) const fn of(id: u8) -> Self {
        if id < PRODUCERS { Self::Producer } else { Self::Consumer }
    }
}

/// A participant, from the lock on its byte until its descriptor is closed.
#[derive(Debug)]
pub(crate) struct Registration {
    pub(crate) peers: ParticipantTable,
    id: OnceLock<u8>,
    generation: AtomicU64,
    retired: AtomicBool,
    leave: fn(&Self),
}

impl Registration {
    /// `leave` is what is done when its last owner is gone: `lifecycle` knows, which stands on this.
    pub(crate) fn new(peers: ParticipantTable, leave: fn(&Self)) -> Self {
        let generation = AtomicU64::new(0);
        Self { peers, id: OnceLock::new(), generation, retired: AtomicBool::new(false), leave }
    }

    /// The participant id; `None` for read-only consumers.
    pub(crate) fn id(&self) -> Option<u8> {
        self.id.get().copied()
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// The entry in the table.
    pub(crate) fn entry(&self) -> Option<&Participant> {
        self.id().map(|id| self.peers.participant(id))
    }

    pub(crate) fn topic_name(&self) -> &str {
        self.peers.topic().name()
    }

    /// The topic's name, for errors that may come with every frame.
    pub(crate) fn topic_shared(&self) -> Arc<str> {
        self.peers.topic().shared_name()
    }

    /// An error in a forked child, whose copy of a handle is not a participant.
    pub(crate) fn check_fork(&self) -> Result<()> {
        if self.peers.is_own_process() {
            Ok(())
        } else {
            Err(Error::Forked { topic: self.topic_name().into() })
        }
    }

    /// Locks the byte of a free id of `role`; `None` if there is no free one. Under the lifecycle lock.
    pub(crate) fn reserve(&self, role: Role) -> Result<Option<u8>> {
        let fd = self.peers.fd()?;
        for id in role.ids() {
            let locked = lock::try_write(fd, lock::participant_byte(id))
                .map_err(|e| Error::io(self.topic_name(), "lock an entry of the list of participants", e))?;
            if locked {
                fail_point(FailPoint::JoinLocked);
                self.peers.set_own(id);
                return Ok(Some(*self.id.get_or_init(|| id)));
            }
        }
        Ok(None)
    }

    /// Fills the entry and makes it active. Under the lifecycle lock, what a dead owner left being cleaned away.
    /// `latest` consumers are owed nothing.
    pub(crate) fn activate(&self, name: &str, accepted_caps: &str, epoch: u64, cursor: u64, latest: bool) {
        let (Some(id), Some(entry)) = (self.id(), self.entry()) else { return };
        let header = self.peers.header();
        let generation = header.generation.fetch_add(1, SeqCst).wrapping_add(1);
        self.generation.store(generation, Relaxed);
        for counter in [&entry.frames, &entry.bytes, &entry.lost, &entry.copied, &entry.ended, &entry.waits] {
            counter.store(0, Relaxed);
        }
        // Before producers count us: a producer that waits for a consumer goes by what it accepts. Empty caps too, which
        // remove what a dead owner of the entry accepted.
        let caps = CapsOf { peers: &self.peers, id, stops: !accepted_caps.is_empty() };
        accepted_caps::write(&caps, accepted_caps.as_bytes());
        entry.pid.store(std::process::id().into(), Relaxed);
        entry.joined.store(crate::sys::machine_time::machine_ns(), Relaxed);
        self.peers.set_name(id, name);
        entry.epoch.store(epoch, Relaxed);
        entry.generation.store(generation, SeqCst);
        fail_point(FailPoint::JoinEntry);
        if Role::of(id) == Role::Producer {
            end::come(&self.peers);
        }
        backlog::join(&self.peers, id, latest, cursor);
        self.peers.notify();
    }

    /// Leaves the mask of active participants: from here on no frame is kept for it, and it does not count. What it still
    /// holds stays protected until the last lease or slot is dropped.
    pub(crate) fn deactivate(&self) {
        let Some(id) = self.id() else { return };
        // By our own generation: after an open that failed, the entry may be somebody else's by now.
        if !self.peers.is_own_process() || self.retired.swap(true, SeqCst) || self.generation() == 0 {
            return;
        }
        let header = self.peers.header();
        if Role::of(id) == Role::Producer {
            // The last one to go decides: an orderly end, or just gone.
            end::go(&self.peers, id, self.generation());
            let me = owner_word(id, self.generation());
            for word in [&header.primary, &header.exclusive] {
                resign(word, me);
            }
            header.watchers.fetch_and(!bit(id), SeqCst);
            fail_point(FailPoint::LeaveEnded);
        }
        // What was kept for it is free.
        backlog::free(&self.peers, || {
            header.active.fetch_and(!bit(id), SeqCst);
            fail_point(FailPoint::LeaveMask);
        });
        header.sleepers.fetch_and(!bit(id), SeqCst);
        fail_point(FailPoint::LeaveBits);
        self.peers.notify();
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if self.peers.is_own_process() {
            self.deactivate();
            (self.leave)(self);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::leave::leave;
    use crate::sys::map::Access;
    use crate::sys::testing::TempDir;
    use crate::topic::Topic;

    #[test]
    fn an_open_that_failed_does_not_take_out_whoever_got_its_place() {
        let dir = TempDir::new();
        let first = crate::Producer::builder("t").dir(dir.path()).open().unwrap();
        let consumer = crate::Consumer::builder("t").dir(dir.path()).open().unwrap();
        let topic = Topic::new("t", Some(dir.path())).unwrap();
        let failed =
            Registration::new(ParticipantTable::open(&topic, Access::ReadWrite, false).unwrap(), leave);
        assert_eq!(failed.reserve(Role::Producer).unwrap(), Some(1));
        failed.peers.release_id();
        let second = crate::Producer::builder("t").dir(dir.path()).open().unwrap();
        drop(first);
        drop(failed);
        assert_eq!(consumer.stream_status().producers, 1, "the second one is there and counts");
        drop(second);
        assert_eq!(consumer.stream_status().producers, 0);
    }
}
