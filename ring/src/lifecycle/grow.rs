//! Growing: a topic moves to a new epoch with another geometry.

use std::io::ErrorKind::NotFound;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use super::files;
use super::recovery::{purge, recover, start_successor};
use super::whole::{self, Parts};
use super::{GROW_TIMEOUT, GeometryRequest, follow};
use crate::error::{Error, Result};
use crate::protocol::fail_points::fail_point;
use crate::protocol::{FailPoint, backlog};
use crate::shm::epoch::Epoch;
use crate::shm::registration::Registration;
use crate::sys::files::{link, random, same_file};
use crate::topic::FileKind;
use crate::trace::{self, Fields, Level};

/// Moves the topic to an epoch that fulfils `want`, unless it has one already; the epoch to continue in.
pub(crate) fn grow(
    mine: &Arc<Epoch>,
    want: impl Fn(&Epoch) -> Option<GeometryRequest>,
    allow_foreign: bool,
) -> Result<Arc<Epoch>> {
    let _events = trace::hold();
    let member = &mine.member;
    let topic = member.peers.topic();
    let locked = member.peers.lock(GROW_TIMEOUT, "enlarge")?;
    check_there(member)?;
    if whole::parts(member, allow_foreign)? != Parts::Whole {
        // It cannot be recovered from here: new participants would not find us.
        return Err(Error::Removed { topic: topic.name().into() });
    }
    recover(member, allow_foreign)?;
    let current = follow::newest(mine, allow_foreign)?.unwrap_or_else(|| Arc::clone(mine));
    let grown = match want(&current) {
        Some(wanted) => replace(&current, &wanted, allow_foreign)?,
        None => current,
    };
    drop(locked);
    if !Arc::ptr_eq(&grown, mine) {
        grown.start_backing(true);
    }
    Ok(grown)
}

/// Whether the list of participants is still the topic's.
fn check_there(member: &Registration) -> Result<()> {
    let topic = member.peers.topic();
    let there = same_file(member.peers.fd()?, &topic.peers_path())
        .map_err(|e| Error::io(topic.name(), "examine the list of participants", e))?;
    if !there || member.peers.header().removed.load(SeqCst) != 0 {
        return Err(Error::Removed { topic: topic.name().into() });
    }
    Ok(())
}

/// Replaces the current epoch. Under the lifecycle lock. [`Error::Removed`] if somebody deletes one of its files meanwhile.
///
/// The new epoch is complete before anything is changed; its name is the commit. Then the old one is sealed through
/// its index. A death in between leaves an epoch that is committed and not started, which [`recover`] starts; until
/// then all participants continue in the old one.
pub(crate) fn replace(
    old: &Arc<Epoch>,
    wanted: &GeometryRequest,
    _allow_foreign: bool,
) -> Result<Arc<Epoch>> {
    let member = &old.member;
    let topic = member.peers.topic();
    let geometry =
        wanted.geometry(old.geometry.epoch.saturating_add(1), random(), files::topic_perms(member)?)?;
    let mut new = files::create(member, geometry, 0, [FailPoint::GrowHolds, FailPoint::GrowTemp])?;
    // Again, since this took a while: what is made here must not take the name of another topic's ring.
    check_there(member)?;
    link(&topic.ring_path(), &topic.path(FileKind::OldRing(old.geometry.epoch))).map_err(|e| {
        match e.kind() {
            // Deleted under our hands.
            NotFound => Error::Removed { topic: topic.name().into() },
            _ => Error::io(topic.name(), "keep the old ring for consumers that still read it", e),
        }
    })?;
    fail_point(FailPoint::GrowKeepOld);
    new.ring.commit_replace(&topic.ring_path())?;
    fail_point(FailPoint::GrowCommit);
    let new = Arc::new(new.into_epoch(Arc::clone(member))?);
    let first = start_successor(old, &new)?;
    let (before, after) = (&old.geometry, &new.geometry);
    let sealed = Fields { epoch: Some(before.epoch), seq: Some(first), ..Fields::default() };
    trace::event(Level::Debug, "epoch sealed", topic.name(), sealed);
    let reason = if after.slot_capacity > before.slot_capacity {
        "larger frames"
    } else if after.meta_capacity > before.meta_capacity {
        "larger metadata"
    } else {
        "another depth"
    };
    let grown = Fields {
        epoch: Some(after.epoch),
        seq: Some(first),
        bytes: Some(after.slot_capacity),
        ..Fields::because(reason)
    };
    trace::event(Level::Info, "topic grown", topic.name(), Fields { participant: member.id(), ..grown });
    member.peers.header().epoch.store(geometry.epoch, SeqCst);
    fail_point(FailPoint::GrowEpoch);
    // Those who wait for a slot of the old epoch find some in this one.
    backlog::free(&member.peers, || ());
    purge(member, &geometry)?;
    Ok(new)
}
