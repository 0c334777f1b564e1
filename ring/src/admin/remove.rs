//! Removing one topic by its name.

use std::path::Path;

use super::locked_topic::{LockedTopic, listing, remove_files};
use super::with_similar;
use crate::error::{Error, Result};
use crate::lifecycle::OPEN_TIMEOUT;
use crate::shm::registration::Role;
use crate::sys::files::files_of;
use crate::topic::Topic;
use crate::trace::{self, Fields, Level};

/// Removes a topic's files and frees its memory; returns the bytes freed. `dir` is the directory of its files; `None` for
/// `$SHMFLOW_DIR`, or else `/dev/shm`.
///
/// It refuses while the topic has live participants, unless `force` is set: then consumers that wait get
/// [`Error::Removed`] at once, producers at their next frame, and frames that are still held stay valid until they are
/// dropped. `force` also removes files that are not a ring.
///
/// ```
/// # let dir = std::env::temp_dir().join(format!("shmflow-doc-rm-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir).unwrap();
/// let producer = shmflow::Producer::builder("doc/rm").dir(&dir).open()?;
/// assert!(matches!(shmflow::remove("doc/rm", Some(&dir), false), Err(shmflow::Error::InUse { .. })));
/// shmflow::remove("doc/rm", Some(&dir), true)?;
/// assert!(matches!(producer.write(b"x"), Err(shmflow::Error::Removed { .. })));
/// # drop(producer); std::fs::remove_dir_all(&dir).unwrap();
/// # Ok::<(), shmflow::Error>(())
/// ```
///
/// # Errors
/// [`Error::TopicNotFound`]; [`Error::InUse`] unless `force` is set; [`Error::PermissionDenied`];
/// [`Error::NotARing`] or [`Error::VersionMismatch`] unless `force` is set; [`Error::Busy`] if a stopped process is in the
/// middle of opening or closing it, even if `force` is set: when it continues later, it could damage the next topic of
/// this name.
pub fn remove(topic: &str, dir: Option<&Path>, force: bool) -> Result<u64> {
    let topic = Topic::new(topic, dir)?;
    let held = match LockedTopic::take(&topic, OPEN_TIMEOUT, "remove") {
        Ok(held) => held,
        Err(Error::NotARing { .. }) if force => return remove_anything(&topic),
        Err(error) => return Err(with_similar(&topic, error)),
    };
    if !force {
        let peers = held.peers()?;
        let alive = held.alive()?;
        if let Some((first, others)) = alive.split_first() {
            let entry = peers.entry(*first);
            let role = match Role::of(*first) {
                Role::Producer => "producer",
                Role::Consumer => "consumer",
            };
            let mut by = format!("{role} `{}` (pid {})", entry.name, entry.pid);
            if !others.is_empty() {
                by.push_str(&format!(" and {} more", others.len()));
            }
            return Err(Error::InUse { topic: topic.name().into(), by });
        }
    }
    let bytes = held.remove()?.bytes;
    let fields = Fields { bytes: Some(bytes), ..Fields::because("by request") };
    trace::event(Level::Info, "topic removed", topic.name(), fields);
    Ok(bytes)
}

/// Removes what has the topic's names and is no regular file: a link, say. Nothing of it can be in use.
fn remove_anything(topic: &Topic) -> Result<u64> {
    let files = files_of(topic).map_err(|error| listing(topic, error))?;
    remove_files(topic, &files).map(|removal| removal.bytes).map_err(|(error, _)| error)
}
