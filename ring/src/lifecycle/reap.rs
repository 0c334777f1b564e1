//! Reaping across a topic: finds the dead, keeps their ids from being taken meanwhile, clears what they left.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::SeqCst;

use crate::error::Result;
use crate::layout::words::{PARTICIPANTS, bit};
use crate::protocol::fail_points::fail_point;
use crate::protocol::primary::depose;
use crate::protocol::{FailPoint, backlog, end, publish, reap};
use crate::shm::epoch::Epoch;
use crate::shm::registration::Role;
use crate::sys::files::remove_orphaned_temps;
use crate::sys::lock;
use crate::trace::{self, Fields, Level};

/// Reaps every dead participant that is listed as active, or holds something in this epoch. How many there were.
///
/// No participant is reaped from an epoch that has a successor: its entry may own slots there.
pub(crate) fn reap_dead(epoch: &Epoch) -> Result<usize> {
    let _events = trace::hold();
    let peers = &epoch.member.peers;
    let fd = peers.fd()?;
    if !peers.writable() {
        return Ok(0);
    }
    // One thread at a time: the first to unlock would unlock for all of this handle's threads, and a new participant could
    // take the id that another of them is still clearing away.
    let _one = peers.reaping.lock().unwrap_or_else(PoisonError::into_inner);
    let mine = epoch.member.id().map_or(0, bit);
    let suspects = (peers.active() | reap::holding(epoch)) & !mine;
    let mut reaped = 0;
    for id in (0..PARTICIPANTS).filter(|&id| suspects & bit(id) != 0) {
        // A read lock: refused while the owner lives, shared by those who reap, and no new participant gets the id meanwhile.
        if !matches!(lock::try_read(fd, lock::participant_byte(id)), Ok(true)) {
            continue;
        }
        fail_point(FailPoint::ReapLocked);
        clear_dead(epoch, id);
        reaped += 1;
        // Closing the descriptor does it too.
        let _ = lock::unlock(fd, lock::participant_byte(id));
    }
    if reaped != 0 {
        // What was kept for them is free, and what they held.
        backlog::free(peers, || ());
        if epoch.ring_writable() {
            // What one of them was making, perhaps as large as the ring. What cannot be removed now goes with the topic.
            let _ = remove_orphaned_temps(epoch.topic());
        }
        peers.notify();
        if epoch.ring_writable() {
            publish::wake(epoch, || true);
        } else {
            use crate::protocol::Memory;
            epoch.wake_all();
        }
    }
    Ok(reaped)
}

/// Clears what the dead participant `id` left. Its byte is locked: for reading by those who reap, for writing by a
/// new participant, which must not be taken for the dead one while it fills the entry.
pub(crate) fn clear_dead(epoch: &Epoch, id: u8) {
    let peers = &epoch.member.peers;
    let header = peers.header();
    reap::reap(epoch, id, epoch.ring_writable());
    backlog::clear_dead(peers, id);
    let entry = peers.participant(id);
    // A consumer cannot free the slots that a producer was writing into: its entry stays, for a producer to find.
    let whole = epoch.ring_writable() || Role::of(id) == Role::Consumer;
    if !whole || header.epoch.load(SeqCst) > epoch.geometry.epoch {
        return;
    }
    if Role::of(id) == Role::Producer {
        end::clear_dead(peers, id);
        for word in [&header.primary, &header.exclusive] {
            depose(peers, word, id);
        }
        header.watchers.fetch_and(!bit(id), SeqCst);
    }
    let before = header.active.fetch_and(!bit(id), SeqCst);
    fail_point(FailPoint::ReapMask);
    if before & bit(id) != 0 {
        // By whoever was first.
        let what = match Role::of(id) {
            Role::Producer => "dead producer reaped",
            Role::Consumer => "dead consumer reaped",
        };
        let fields = Fields { reason: Some("its process ended without leaving"), ..Fields::of(Some(id)) };
        trace::event(Level::Warn, what, epoch.member.topic_name(), fields);
    }
    entry.cursor.store(u64::MAX, SeqCst);
    entry.generation.store(0, SeqCst);
    fail_point(FailPoint::ReapEntry);
}
