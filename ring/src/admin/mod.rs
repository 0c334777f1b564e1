//! Administration: list and inspect topics, and remove those that are not needed.
//!
//! Nothing here maps a file that another process may truncate, and nothing judges by process ids.

mod frame_info;
mod gc;
mod inspect;
mod locked_topic;
mod monitor;
mod remove;
mod ring_snapshot;
mod similar;
mod snapshot;
mod state;
mod stopped;
mod types;

pub use frame_info::{FrameInfo, FrameTime};
pub use gc::{GcReport, SkipReason, SkippedTopic, gc};
pub(crate) use gc::{gc_for_room, gc_soon};
pub use inspect::{inspect, inspect_all};
pub use monitor::{Monitor, MonitorLook};
pub use remove::remove;
pub use similar::{similar_names, similar_topics};
pub(crate) use similar::{suggest, with_similar};
pub use state::TopicState;
pub use types::{Liveness, ParticipantInfo, Rate, TopicInfo};

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result, is_refusal};
use crate::topic::{FileKind, directory};

/// The names of all topics in `dir` (`None`: `$SHMFLOW_DIR`, or else `/dev/shm`), sorted.
///
/// A topic is what has a list of participants or a ring; whether it is in order is for [`inspect`] to say.
///
/// ```
/// # let dir = std::env::temp_dir().join(format!("shmflow-doc-topics-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir).unwrap();
/// let producer = shmflow::Producer::builder("robot/cam0").dir(&dir).open()?;
/// assert_eq!(shmflow::topics(Some(&dir))?, ["robot/cam0"]);
/// # drop(producer); std::fs::remove_dir_all(&dir).unwrap();
/// # Ok::<(), shmflow::Error>(())
/// ```
///
/// # Errors
/// [`Error::PermissionDenied`] or [`Error::Io`] if the directory cannot be read; they name no topic.
pub fn topics(dir: Option<&Path>) -> Result<Vec<String>> {
    let found = scan(&directory(dir))?.into_iter();
    let topics = found.filter(|(_, files)| files.iter().any(|(kind, _)| kind.makes_a_topic()));
    Ok(topics.map(|(name, _)| name).collect())
}

/// All files in a directory that belong to topics, by topic.
fn scan(dir: &Path) -> Result<BTreeMap<String, Vec<(FileKind, PathBuf)>>> {
    let failed = |error: std::io::Error| {
        let what = format!("list the topics in {}", dir.display());
        if is_refusal(&error) {
            let (path, mode, owner_uid) = (dir.into(), None, None);
            return Error::PermissionDenied { topic: Arc::default(), path, what, mode, owner_uid };
        }
        Error::Io { topic: Arc::default(), what, source: error }
    };
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if let Some((topic, kind)) = FileKind::parse(&entry.file_name()) {
            found.entry(topic).or_default().push((kind, entry.path()));
        }
    }
    Ok(found)
}
