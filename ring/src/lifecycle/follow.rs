//! Following: from a sealed epoch into the one that comes after it.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, SeqCst};

use super::files::{self, Mode};
use super::recovery::KEPT_EPOCHS;
use super::{recovery, whole};
use crate::error::{Error, Result};
use crate::protocol::{Memory, backlog, seal};
use crate::shm::epoch::Epoch;
use crate::sys::files::same_file;
use crate::topic::FileKind;

/// How often names that led to other files a moment before are opened again. Each time the topic has grown meanwhile.
const ATTEMPTS: usize = 16;

/// The epoch in which a producer continues: the newest that has started. `None` if that is the one it has.
///
/// Needs no lock: a seal is set only after the commit of the successor.
pub(crate) fn newest(old: &Arc<Epoch>, allow_foreign: bool) -> Result<Option<Arc<Epoch>>> {
    for _ in 0..ATTEMPTS {
        match look(old, allow_foreign) {
            // A name that was there a moment ago is not: the topic grew under our hands, or is gone.
            Err(Error::TopicNotFound { .. }) | Ok(Found::Unsettled) => check_current(old)?,
            Err(error) => return Err(error),
            Ok(Found::Mine) => return Ok(None),
            Ok(Found::Newer(new)) => {
                note_epoch(&new);
                return Ok(Some(new));
            }
        }
    }
    Err(unsettled(old, allow_foreign))
}

enum Found {
    Mine,
    Newer(Arc<Epoch>),
    Unsettled,
}

fn look(old: &Arc<Epoch>, allow_foreign: bool) -> Result<Found> {
    let topic = old.topic();
    let (geometry, first, _) = files::read_ring_header(topic, &topic.ring_path(), allow_foreign)?;
    if (geometry.epoch, geometry.holds) == (old.geometry.epoch, old.geometry.holds) {
        return Ok(Found::Mine);
    }
    let before = geometry.epoch.saturating_sub(1);
    let next_to_mine = before == old.geometry.epoch;
    let sealed = seal::sealed_at(&**old).map_err(|corruption| old.corrupt(corruption))?.is_some();
    let path = if first != 0 || (next_to_mine && sealed) {
        topic.ring_path()
    } else if next_to_mine {
        // Its creator is stopped, or died, before it sealed ours: the frames flow here until a producer does.
        check_current(old)?;
        return Ok(Found::Mine);
    } else {
        // The same, with the one between: that is where the frames flow.
        topic.path(FileKind::OldRing(before))
    };
    let new = Arc::new(files::map(&old.member, &path, Mode::writing(allow_foreign))?);
    // After the mapping: as long as `peers` has its name there is no other topic of this name whose ring it could be.
    check_current(old)?;
    if new.geometry.epoch <= old.geometry.epoch {
        return Ok(Found::Unsettled);
    }
    if new.geometry.epoch == old.geometry.epoch + 1 && sealed {
        recovery::start_successor(old, &new)?;
    }
    let first = new.first().load(Acquire);
    if first == 0 {
        return Ok(Found::Unsettled);
    }
    // The producer that started it may have died half-way.
    seal::start(&*new, first).map_err(|corruption| new.corrupt(corruption))?;
    Ok(Found::Newer(new))
}

/// The epoch in which a consumer goes on after it has read `old` to its seal: the oldest later one that still has a name.
/// Nothing is noted yet: see [`enter`].
pub(crate) fn next(old: &Arc<Epoch>, mode: Mode) -> Result<Arc<Epoch>> {
    let topic = old.topic();
    for _ in 0..ATTEMPTS {
        let found = match oldest_kept(old, mode) {
            Ok(Some(kept)) => Ok(kept),
            Ok(None) => match files::map(&old.member, &topic.ring_path(), mode) {
                // One that comes before it may have become an old one between our two looks.
                Ok(newer) if newer.geometry.epoch > old.geometry.epoch.saturating_add(1) => {
                    oldest_kept(old, mode).map(|kept| kept.unwrap_or(newer))
                }
                found => found,
            },
            Err(error) => Err(error),
        };
        // After the mapping, as above.
        check_current(old)?;
        match found {
            Err(Error::TopicNotFound { .. }) => {}
            Err(error) => return Err(error),
            Ok(new) if new.geometry.epoch <= old.geometry.epoch => {}
            Ok(new) => return Ok(Arc::new(new)),
        }
    }
    Err(unsettled(old, mode.allow_foreign))
}

/// The oldest epoch after `old` among those whose names are kept.
fn oldest_kept(old: &Arc<Epoch>, mode: Mode) -> Result<Option<Epoch>> {
    // At most one behind: see `recover`. What else it says leads to names that are not there.
    let current = old.member.peers.load(&old.member.peers.header().epoch);
    let oldest = current.saturating_sub(KEPT_EPOCHS).max(old.geometry.epoch.saturating_add(1));
    for epoch in oldest..=current {
        match files::map(&old.member, &old.topic().path(FileKind::OldRing(epoch)), mode) {
            Err(Error::TopicNotFound { .. }) => {}
            found => return found.map(Some),
        }
    }
    Ok(None)
}

/// Notes that a consumer goes on in this epoch.
pub(crate) fn enter(new: &Epoch, mode: Mode) {
    note_epoch(new);
    new.start_backing(mode.prefault);
}

/// Whether the topic is still the one that we take part in, and not removed, nor another of the same name.
fn check_current(old: &Epoch) -> Result<()> {
    let peers = &old.member.peers;
    let there = same_file(peers.fd()?, &old.topic().peers_path())
        .map_err(|e| Error::io(old.topic().name(), "examine the list of participants", e))?;
    if there && peers.load(&peers.header().removed) == 0 {
        Ok(())
    } else {
        Err(Error::Removed { topic: old.topic().name().into() })
    }
}

fn unsettled(old: &Epoch, allow_foreign: bool) -> Error {
    if matches!(whole::missing(old.topic(), allow_foreign), Ok(Some(_))) {
        return Error::Removed { topic: old.topic().name().into() };
    }
    Error::Corrupt {
        topic: old.topic().name().into(),
        what: "an epoch has ended and the next one cannot be found".into(),
    }
}

/// Notes in the participant's entry where it works, so that names are kept as long as it needs them.
fn note_epoch(epoch: &Epoch) {
    if let Some(entry) = epoch.member.entry() {
        // A producer may wait to enlarge the ring until the oldest epoch is not needed any more.
        backlog::free(&epoch.member.peers, || {
            entry.epoch.fetch_max(epoch.geometry.epoch, SeqCst);
        });
    }
}
