//! Whether a topic has all of its files. A user who cleans up `/dev/shm` by hand may delete one and leave the others: then
//! the topic is not found by new participants, or another one grows beside it under the same name.

use std::fs;
use std::io::ErrorKind::NotFound;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::SeqCst;

use super::files::read_ring_header;
use crate::error::{Error, Result};
use crate::shm::registration::Registration;
use crate::topic::{FileKind, Topic};

/// What there is of a topic besides its list of participants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parts {
    /// All of it.
    Whole,
    /// No ring, and no participant that could have had one: it was never created, or is to be recreated.
    NotMade,
    /// This file was deleted.
    Missing(PathBuf),
}

/// Looks for the parts. Under the lifecycle lock.
pub(crate) fn parts(member: &Registration, allow_foreign: bool) -> Result<Parts> {
    if member.peers.header().epoch.load(SeqCst) == 0 {
        // Whoever makes a ring says so in the list first. What is there is another list's, which somebody deleted: who is
        // in that one may be at work, under ids that are given away here.
        return Ok(Parts::NotMade);
    }
    let topic = member.peers.topic();
    match missing(topic, allow_foreign)? {
        Some(ring) if ring == topic.ring_path() && is_deserted(member) => Ok(Parts::NotMade),
        Some(part) => Ok(Parts::Missing(part)),
        None => Ok(Parts::Whole),
    }
}

/// Whether the topic has no live participant.
pub(crate) fn is_deserted(member: &Registration) -> bool {
    member.peers.alive(member.peers.active()) == 0
}

/// The part of the newest epoch that has no name.
pub(crate) fn missing(topic: &Topic, allow_foreign: bool) -> Result<Option<PathBuf>> {
    let ring = topic.ring_path();
    let (geometry, first) = match read_ring_header(topic, &ring, allow_foreign) {
        Ok((geometry, first, _)) => (geometry, first),
        Err(Error::TopicNotFound { .. }) => return Ok(Some(ring)),
        Err(error) => return Err(error),
    };
    let holds = topic.path(FileKind::Holds(geometry.holds));
    // One that has not started is of no use without the one before, which says where it starts.
    let before = (first == 0).then(|| topic.path(FileKind::OldRing(geometry.epoch.saturating_sub(1))));
    // What else is wrong with them the process that opens them reports.
    let is_gone = |part: &PathBuf| matches!(fs::symlink_metadata(part), Err(e) if e.kind() == NotFound);
    Ok([Some(holds), before].into_iter().flatten().find(is_gone))
}

/// The error of a process that finds no topic.
pub(super) fn no_topic(topic: &Topic) -> Error {
    Error::TopicNotFound { topic: topic.name().into(), dir: topic.dir().into(), similar: Vec::new() }
}

const DELETED: &str = "it was deleted while processes use the topic, whose next frame recreates it";

/// The error of a process that cannot recreate the topic.
pub(crate) fn deleted(topic: &Topic, part: &Path) -> Error {
    Error::NotARing { topic: topic.name().into(), path: part.into(), why: DELETED.into() }
}

/// Whether `error` is that one: a process that waits for a topic continues to wait.
pub(crate) fn is_deleted(error: &Error) -> bool {
    matches!(error, Error::NotARing { why, .. } if why == DELETED)
}
