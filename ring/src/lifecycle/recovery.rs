//! Recovery: the process that holds the lifecycle lock completes or removes what a dead holder left half done.

use std::sync::Arc;

use super::files::{self, Mode};
use crate::error::{Error, Result};
use crate::layout::words::{PARTICIPANTS, PRODUCERS, bit};
use crate::protocol::fail_points::fail_point;
use crate::protocol::publish::wake;
use crate::protocol::{FailPoint, Memory, seal};
use crate::shm::epoch::Epoch;
use crate::shm::registration::Registration;
use crate::sys::files::{files_of, remove_orphaned_temps};
use crate::topic::FileKind;
use crate::trace::{self, Fields, Level};

/// Names of old epochs that are kept for consumers that have not followed yet; no more, however far a consumer lags.
pub(crate) const KEPT_EPOCHS: u64 = 4;

/// Recovers the topic's files. For processes that may write the ring. What it removes is freed when this returns: the caller may
/// need the room.
pub(crate) fn recover(member: &Arc<Registration>, allow_foreign: bool) -> Result<()> {
    let recovered = complete_or_remove(member, allow_foreign);
    member.peers.free_removed();
    recovered
}

fn complete_or_remove(member: &Arc<Registration>, allow_foreign: bool) -> Result<()> {
    let topic = member.peers.topic();
    let io = |e| Error::io(topic.name(), "remove what a dead process left", e);
    let (geometry, first, head) = match files::read_ring_header(topic, &topic.ring_path(), allow_foreign) {
        Ok(seen) => seen,
        Err(Error::TopicNotFound { .. }) => return remove_but_peers(member),
        Err(error) => return Err(error),
    };
    remove_orphaned_temps(topic).map_err(io)?;
    if first == 0 || head == 0 {
        // A producer died between the commit of this epoch and the seal of the one before.
        let mode = Mode { prefault: false, ..Mode::writing(allow_foreign) };
        let new = files::map(member, &topic.ring_path(), mode)?;
        let old = topic.path(FileKind::OldRing(geometry.epoch.saturating_sub(1)));
        match files::map(member, &old, mode) {
            Ok(old) => {
                let first = start_successor(&old, &new)?;
                let fields = Fields { seq: Some(first), ..Fields::because("whoever made the next one died") };
                let fields = Fields { epoch: Some(old.geometry.epoch), ..fields };
                trace::event(Level::Warn, "epoch sealed", topic.name(), fields);
            }
            Err(Error::TopicNotFound { .. }) if first != 0 => {
                seal::start(&new, first).map_err(|corruption| new.corrupt(corruption))?;
            }
            Err(error) => return Err(error),
        }
    }
    member.peers.header().epoch.store(geometry.epoch, std::sync::atomic::Ordering::SeqCst);
    fail_point(FailPoint::GrowEpoch);
    purge(member, &geometry)
}

/// Ends `old` and starts `new` where it ended. Idempotent; any producer may do it.
pub(crate) fn start_successor(old: &Epoch, new: &Epoch) -> Result<u64> {
    let first = seal::seal(old).map_err(|corruption| old.corrupt(corruption))?;
    seal::start(new, first).map_err(|corruption| new.corrupt(corruption))?;
    wake(old, || true);
    old.at(FailPoint::SealWake);
    Ok(first)
}

/// Removes the names of old epochs that no registered consumer has yet to follow into, and holder words without a ring.
pub(crate) fn purge(member: &Registration, current: &crate::layout::ring::RingGeometry) -> Result<()> {
    let topic = member.peers.topic();
    let io = |e| Error::io(topic.name(), "remove old epochs", e);
    let consumers = member.peers.active() & !(bit(PRODUCERS) - 1);
    let behind = (PRODUCERS..PARTICIPANTS)
        .filter(|&id| consumers & bit(id) != 0)
        .map(|id| member.peers.participant(id).epoch.load(std::sync::atomic::Ordering::SeqCst))
        .min()
        .unwrap_or(u64::MAX);
    let mut holds = vec![current.holds];
    let files = files_of(topic).map_err(io)?;
    for (kind, path) in &files {
        let FileKind::OldRing(epoch) = *kind else { continue };
        let wanted =
            epoch > behind && epoch < current.epoch && epoch.saturating_add(KEPT_EPOCHS) >= current.epoch;
        match files::read_ring_header(topic, path, true) {
            Ok((geometry, ..)) if wanted => holds.push(geometry.holds),
            _ => member.peers.unlink(path).map_err(io)?,
        }
    }
    for (kind, path) in &files {
        if matches!(kind, FileKind::Holds(id) if !holds.contains(id)) {
            member.peers.unlink(path).map_err(io)?;
        }
    }
    fail_point(FailPoint::GrowPurge);
    Ok(())
}

/// Removes everything of the topic but `peers`, and but the files that a live process is creating.
pub(crate) fn remove_but_peers(member: &Registration) -> Result<()> {
    let topic = member.peers.topic();
    let io = |e| Error::io(topic.name(), "remove its files", e);
    // Of a producer that was killed while it enlarged the ring, and that no other producer came after.
    remove_orphaned_temps(topic).map_err(io)?;
    let files = files_of(topic).map_err(io)?;
    for (kind, path) in &files {
        if matches!(kind, FileKind::Ring | FileKind::OldRing(_)) {
            member.peers.unlink(path).map_err(io)?;
        }
    }
    fail_point(FailPoint::RemoveRing);
    for (kind, path) in &files {
        if matches!(kind, FileKind::Holds(_)) {
            member.peers.unlink(path).map_err(io)?;
        }
    }
    fail_point(FailPoint::RemoveHolds);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Producer;
    use crate::lifecycle::leave::leave;
    use crate::shm::participants::ParticipantTable;
    use crate::sys::lock::{self, Probe};
    use crate::sys::map::Access;
    use crate::sys::testing::{TempDir, on_small_tmpfs};
    use crate::topic::Topic;
    use rustix::fs::statvfs;
    use std::path::Path;
    use std::time::Duration;

    /// Removes the ring of a topic in which nobody takes part; what is free in its file system under the lock, and then.
    fn free_under_the_lock_and_after(dir: &Path) -> [u64; 2] {
        let free = || {
            let fs = statvfs(dir).unwrap();
            fs.f_bavail * fs.f_frsize
        };
        // So small that no thread works on it.
        drop(
            Producer::builder("t")
                .dir(dir)
                .slot_capacity(RING as usize / 10)
                .depth(8)
                .persistent(true)
                .open()
                .unwrap(),
        );
        let topic = Topic::new("t", Some(dir)).unwrap();
        let open = || ParticipantTable::open(&topic, Access::ReadWrite, false).unwrap();
        let (member, other) = (Registration::new(open(), leave), open());
        let locked = member.peers.lock(Duration::from_secs(1), "test").unwrap();
        remove_but_peers(&member).unwrap();
        assert!(!topic.ring_path().exists());
        let under_the_lock = free();
        let probe = || lock::probe(other.fd().unwrap(), lock::LIFECYCLE_BYTE).unwrap();
        assert_eq!(probe(), Probe::WriteLocked);
        drop(locked);
        assert_eq!(probe(), Probe::Free);
        [under_the_lock, free()]
    }

    const RING: u64 = 1 << 20;

    #[test]
    fn the_memory_of_a_removed_ring_is_freed_when_the_lock_has_been_given_back() {
        let dir = TempDir::new();
        let seen = on_small_tmpfs(dir.path(), 8 << 20, || free_under_the_lock_and_after(dir.path()));
        // Not everybody may mount.
        let Some([under_the_lock, after]) = seen else { return };
        assert!(after >= under_the_lock + RING * 8 / 10, "{under_the_lock}, {after}");
    }
}
