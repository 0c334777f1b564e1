//! Consumers without a place among the participants: more came than there are bits, or somebody held the places' locks for
//! a moment, which permission to read is enough for; or they only read, on a topic whose permissions do not provide for that.
//!
//! Such a consumer has no sleeper bit, so that a flag tells producers to wake always. It gets copies, asks for a place from
//! time to time, and until it has one holds a read lock on a byte that all of its kind share. That lock says whether the
//! flag is still needed, also of those that were killed: whoever publishes looks from time to time, and clears it. Flag and
//! lock change under the lifecycle lock, so that nobody is ever between the two when somebody looks.

use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use super::whole::no_topic;
use super::{OPEN_TIMEOUT, reap};
use crate::error::{Error, Result};
use crate::layout::peers::flags;
use crate::protocol::FailPoint;
use crate::protocol::fail_points::fail_point;
use crate::shm::epoch::Epoch;
use crate::shm::participants::ParticipantTable;
use crate::shm::registration::{Registration, Role};
use crate::sys::files::same_file;
use crate::sys::lock::{self, Probe};
use crate::sys::map::Access;
use crate::trace;

/// A consumer found no place. Under the lifecycle lock.
pub(super) fn enter(member: &Registration) -> Result<()> {
    // Whoever excludes us here may write `peers`, and could clear the flag too.
    set_flag(member, &member.peers)
}

/// Locks the byte, by which others see that the flag is needed, and sets it. Under the lifecycle lock.
fn set_flag(member: &Registration, writable: &ParticipantTable) -> Result<()> {
    lock::try_read(member.peers.fd()?, lock::CROWD_BYTE)
        .map_err(|e| Error::io(member.topic_name(), "lock the list of participants", e))?;
    writable.header().flags.fetch_or(flags::OVERCROWDED, SeqCst);
    fail_point(FailPoint::CrowdFlag);
    Ok(())
}

/// A consumer that only reads found a topic whose producers, by its permissions, expect none and wake none. As long as it is
/// there they are to wake it, so that this one time it writes: the flag, into `peers`, and nothing afterwards. `member` has its
/// descriptor for reading, which is enough for the lock.
pub(super) fn enter_reading(member: &Registration, allow_foreign: bool) -> Result<()> {
    let topic = member.peers.topic();
    let refused = || Error::ReadOnlyNotAllowed { topic: topic.name().into() };
    let writable = match ParticipantTable::open(topic, Access::ReadWrite, allow_foreign) {
        Err(Error::PermissionDenied { .. }) => return Err(refused()),
        opened => opened?,
    };
    let _locked = writable.lock(OPEN_TIMEOUT, "open")?;
    let io = |e| Error::io(topic.name(), "lock the list of participants", e);
    if !same_file(member.peers.fd()?, &topic.peers_path()).map_err(io)?
        || writable.header().removed.load(SeqCst) != 0
    {
        // It was removed since it was opened; what has its name now, if anything, is another topic.
        return Err(no_topic(topic));
    }
    set_flag(member, &writable)
}

/// Takes a place for a consumer that had none, if there is one by now and nobody is opening or closing just then. No thread
/// may be asleep on its behalf: it would sleep without a bit.
pub(crate) fn try_register(
    epoch: &Epoch,
    name: &str,
    accepted_caps: &str,
    cursor: u64,
    latest: bool,
) -> bool {
    let _events = trace::hold();
    let member = &epoch.member;
    let peers = &member.peers;
    // First a look, so that a crowd does not keep the lifecycle lock from others.
    if !Role::Consumer.ids().any(|id| !peers.is_alive(id)) {
        return false;
    }
    let Ok(_locked) = peers.lock(Duration::ZERO, "register") else { return false };
    if !is_current(epoch) || reap::reap_dead(epoch).is_err() {
        return false;
    }
    let Ok(Some(id)) = member.reserve(Role::Consumer) else { return false };
    reap::clear_dead(epoch, id);
    fail_point(FailPoint::JoinCleaned);
    member.activate(name, accepted_caps, epoch.geometry.epoch, cursor, latest);
    if let Ok(fd) = peers.fd() {
        // Left locked by mistake, it costs the producers a system call for each frame until we go.
        let _ = lock::unlock(fd, lock::CROWD_BYTE);
    }
    true
}

/// Whether this is the topic's newest epoch. In another one we would not see what the last owner of our bit left there.
fn is_current(epoch: &Epoch) -> bool {
    let peers = &epoch.member.peers;
    let has_name =
        |fd: Option<BorrowedFd<'_>>, path: &Path| fd.is_some_and(|fd| same_file(fd, path).unwrap_or(false));
    peers.header().removed.load(SeqCst) == 0
        && peers.header().epoch.load(SeqCst) <= epoch.geometry.epoch
        && has_name(peers.fd().ok(), &epoch.topic().peers_path())
        && has_name(epoch.ring.file.get(), &epoch.topic().ring_path())
}

/// Clears the flag if no consumer is without a place. For producers, none of whose threads is opening or growing.
pub(crate) fn disperse(member: &Registration) {
    let peers = &member.peers;
    let Ok(_locked) = peers.lock(Duration::ZERO, "look for consumers") else { return };
    let Ok(fd) = peers.fd() else { return };
    if matches!(lock::probe(fd, lock::CROWD_BYTE), Ok(Probe::Free)) {
        peers.header().flags.fetch_and(!flags::OVERCROWDED, SeqCst);
        fail_point(FailPoint::CrowdClear);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::leave::leave;
    use crate::sys::testing::TempDir;
    use crate::topic::Topic;
    use crate::{Consumer, Producer};
    use std::sync::Arc;

    /// A topic with as many consumers as there are places, and two more.
    fn crowd(dir: &TempDir) -> (Producer, Vec<Consumer>, Consumer, Consumer) {
        let producer = Producer::builder("t").dir(dir.path()).open().unwrap();
        let open = || Consumer::builder("t").dir(dir.path()).accepted_caps("w").open().unwrap();
        let consumers: Vec<_> = Role::Consumer.ids().map(|_| open()).collect();
        assert!(consumers.iter().all(|consumer| consumer.id().is_some()));
        let more = (open(), open());
        assert!(more.0.id().is_none() && more.1.id().is_none());
        (producer, consumers, more.0, more.1)
    }

    fn is_flagged(member: &Registration) -> bool {
        member.peers.header().flags.load(SeqCst) & flags::OVERCROWDED != 0
    }

    #[test]
    fn the_flag_stays_as_long_as_anybody_is_without_a_place_and_no_longer() {
        let dir = TempDir::new();
        let (producer, mut consumers, mut one, two) = crowd(&dir);
        let topic = Topic::new("t", Some(dir.path())).unwrap();
        let member =
            Registration::new(ParticipantTable::open(&topic, Access::ReadWrite, false).unwrap(), leave);
        assert!(is_flagged(&member));
        producer.write(b"x").unwrap();
        assert!(one.recv().unwrap().is_copy());
        consumers.pop();
        one.register_now();
        let id = one.id().unwrap();
        assert_eq!(
            producer.consumers().iter().filter(|c| c.id == id && c.accepted_caps.is_some()).count(),
            1
        );
        producer.write(b"x").unwrap();
        assert!(!one.recv().unwrap().is_copy());
        disperse(&member);
        assert!(is_flagged(&member), "the other one is still there");
        drop(two);
        disperse(&member);
        assert!(!is_flagged(&member));
    }

    #[test]
    fn nobody_registers_in_an_epoch_that_is_not_the_newest() {
        let dir = TempDir::new();
        let (producer, mut consumers, mut one, _two) = crowd(&dir);
        producer.write(b"x").unwrap();
        producer.grow(1 << 20, 8).unwrap();
        producer.write(b"y").unwrap();
        consumers.pop();
        one.register_now();
        assert!(one.id().is_none());
        assert_eq!(one.recv().unwrap().epoch(), 1);
        assert_eq!(one.recv().unwrap().epoch(), 2);
        one.register_now();
        assert!(one.id().is_some());
    }

    #[test]
    fn what_a_dead_one_left_under_the_same_bit_is_cleared() {
        let dir = TempDir::new();
        let (producer, mut consumers, mut one, _two) = crowd(&dir);
        producer.write(b"x").unwrap();
        let frame = consumers[20].recv().unwrap();
        // As the kernel does for a process that is killed with a frame in its hands.
        let dead = consumers.swap_remove(20);
        let (id, member) = (dead.id().unwrap().id, Arc::clone(dead.member()));
        lock::unlock(member.peers.fd().unwrap(), lock::participant_byte(id)).unwrap();
        std::mem::forget((dead, frame));
        one.register_now();
        assert_eq!(one.id().unwrap().id, id);
        let frame = one.recv().unwrap();
        assert!(!frame.is_copy(), "the bit is its own");
    }
}
