//! Leaving: the last one out removes the files.

use std::sync::atomic::Ordering::SeqCst;

use nix::sys::stat::fstat;

use super::CLOSING_PATIENCE;
use crate::error::{Error, Result};
use crate::layout::peers::flags;
use crate::layout::words::PARTICIPANTS;
use crate::protocol::Step;
use crate::protocol::step::reached;
use crate::shm::member::Member;
use crate::sys::files::{may_unlink, same_file, unlink};

/// Frees the participant's entry, and removes the topic if nobody else is left. Never blocks for long: what it cannot do
/// now, the next to open the topic does, or `gc`.
pub(crate) fn leave(member: &Member) {
    // One that never became active was not part of the topic: its byte goes with the descriptor.
    if member.id().is_none() || member.generation() == 0 {
        return;
    }
    let locked = member.peers.lock(CLOSING_PATIENCE, "close");
    if let Some(entry) = member.entry() {
        entry.cursor.store(u64::MAX, SeqCst);
        entry.generation.store(0, SeqCst);
        reached(Step::LeaveEntry);
    }
    if locked.is_ok() && is_last(member) {
        // Not permitted (another user's directory entry): it stays, and can be adopted.
        let _ = remove(member);
    }
}

fn is_last(member: &Member) -> bool {
    let persistent = member.peers.header().flags.load(SeqCst) & flags::PERSISTENT != 0;
    !persistent
        && (0..PARTICIPANTS).filter(|id| Some(*id) != member.id()).all(|id| !member.peers.is_alive(id))
}

/// Removes the topic's files. Under the lifecycle lock.
pub(crate) fn remove(member: &Member) -> Result<()> {
    let topic = member.peers.topic();
    let io = |e| Error::io(topic.name(), "remove its files", e);
    if !same_file(member.peers.fd()?, &topic.peers_path()).map_err(io)? {
        return Ok(());
    }
    let owner = fstat(member.peers.fd()?).map_err(|e| io(e.into()))?.st_uid;
    if !may_unlink(topic.dir(), owner).map_err(io)? {
        // Unmarked, it can be adopted.
        return Ok(());
    }
    member.peers.header().removed.store(1, SeqCst);
    reached(Step::RemoveMark);
    super::repair::remove_but_peers(member)?;
    unlink(&topic.peers_path()).map_err(io)?;
    reached(Step::RemovePeers);
    member.peers.notify();
    Ok(())
}
