//! Leaving: the last one out removes the files.

use std::fs;
use std::io::ErrorKind::NotFound;
use std::mem::offset_of;
use std::sync::atomic::Ordering::SeqCst;

use rustix::fs::fstat;

use super::{CLOSING_PATIENCE, LAST_PATIENCE};
use crate::error::{Error, Result};
use crate::layout::peers::flags;
use crate::layout::ring::{Header, PAGE};
use crate::layout::words::PARTICIPANTS;
use crate::protocol::fail_points::fail_point;
use crate::protocol::{FailPoint, backlog};
use crate::shm::registration::{Registration, Role};
use crate::sys::files::{may_unlink, open_existing, same_file, unlink};
use crate::sys::futex;
use crate::sys::map::{Access, Mapping};
use crate::trace::{self, Fields, Level};

/// Frees the participant's entry, and removes the topic if no other participant is left. Never blocks for long: what it cannot do
/// now, the next to open the topic does, or `gc`.
pub(crate) fn leave(member: &Registration) {
    // One that never became active was not part of the topic: its byte goes with the descriptor.
    if member.id().is_none() || member.generation() == 0 {
        return;
    }
    let _events = trace::hold();
    let what = match member.id().map(Role::of) {
        Some(Role::Producer) => "producer detached",
        _ => "consumer detached",
    };
    trace::event(Level::Debug, what, member.topic_name(), Fields::of(member.id()));
    let mut locked = member.peers.lock(CLOSING_PATIENCE, "close");
    if let Some(entry) = member.entry() {
        entry.cursor.store(u64::MAX, SeqCst);
        entry.generation.store(0, SeqCst);
        fail_point(FailPoint::LeaveEntry);
    }
    // Here, and not when the descriptor is closed a moment later: of several who leave at the same time, each under the
    // lock, the last must not take the one before for alive.
    member.peers.release_id();
    if is_last(member) {
        // The process that had the lock may have checked when we were still there.
        locked = locked.or_else(|_| member.peers.lock(LAST_PATIENCE, "close"));
        if locked.is_ok() && is_last(member) {
            // Not permitted (another user's directory entry): it stays, and can be adopted.
            let _ = remove(member, "its last participant left");
        }
    }
}

/// After an open that failed: if there is no ring, and no process that could be creating one, `peers` is removed.
/// Under the lifecycle lock.
pub(crate) fn give_up(member: &Registration) {
    member.peers.release_id();
    let no_ring =
        matches!(fs::symlink_metadata(member.peers.topic().ring_path()), Err(e) if e.kind() == NotFound);
    if no_ring && (0..PARTICIPANTS).all(|id| !member.peers.is_alive(id)) {
        // It was an attempt; what is left is adopted by the next to open.
        let _ = remove(member, "its ring could not be made");
    }
}

fn is_last(member: &Registration) -> bool {
    let persistent = member.peers.header().flags.load(SeqCst) & flags::PERSISTENT != 0;
    // Our own id too: released, it may belong to a new participant by now.
    !persistent && (0..PARTICIPANTS).all(|id| !member.peers.is_alive(id))
}

/// Removes the topic's files, and notifies its participants. Under the lifecycle lock. `false` if we may not.
pub(crate) fn remove(member: &Registration, reason: &'static str) -> Result<bool> {
    let topic = member.peers.topic();
    let io = |e| Error::io(topic.name(), "remove its files", e);
    if !same_file(member.peers.fd()?, &topic.peers_path()).map_err(io)? {
        return Ok(true);
    }
    let owner = fstat(member.peers.fd()?).map_err(|e| io(e.into()))?.st_uid;
    if !may_unlink(topic.dir(), owner).map_err(io)? {
        // Unmarked, it can be adopted.
        return Ok(false);
    }
    // Those who only read are not counted, and may sleep on it.
    let ring = open_existing(topic, &topic.ring_path(), false, true).ok();
    let ring =
        ring.as_ref().and_then(|file| Mapping::new(file.get()?, PAGE as usize, Access::ReadOnly, false).ok());
    member.peers.header().removed.store(1, SeqCst);
    fail_point(FailPoint::RemoveMark);
    super::recovery::remove_but_peers(member)?;
    unlink(&topic.peers_path()).map_err(io)?;
    fail_point(FailPoint::RemovePeers);
    member.peers.notify();
    backlog::free(&member.peers, || ());
    if let Some(word) = ring.as_ref().and_then(|ring| ring.u32_at(offset_of!(Header, wake))) {
        // The word itself is not touched. Who is about to sleep finds out at the next look, within a second.
        let _ = futex::wake_all(word);
    }
    let fields = Fields { reason: Some(reason), ..Fields::of(member.id()) };
    trace::event(Level::Info, "topic removed", topic.name(), fields);
    Ok(true)
}
