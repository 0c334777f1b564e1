//! Following: from a sealed epoch into the one that comes after it.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use super::files::{self, Mode};
use super::{grow, repair};
use crate::error::{Error, Result};
use crate::protocol::seal;
use crate::shm::epoch::Epoch;
use crate::topic::FileKind;

/// The epoch in which a producer goes on: the newest. `None` if that is the one it has.
///
/// Needs no lock: a seal is set only after the commit of the successor.
pub(crate) fn newest(old: &Arc<Epoch>, allow_foreign: bool) -> Result<Option<Arc<Epoch>>> {
    let topic = old.topic();
    let removed = || Error::Removed { topic: topic.name().into() };
    let (shape, ..) = match files::peek(topic, &topic.ring_path(), allow_foreign) {
        Ok(seen) => seen,
        Err(Error::NoTopic { .. }) => return Err(removed()),
        Err(error) => return Err(error),
    };
    if (shape.epoch, shape.holds) == (old.shape.epoch, old.shape.holds) {
        return Ok(None);
    }
    if shape.epoch <= old.shape.epoch {
        // The topic was removed and made again.
        return Err(removed());
    }
    let new = match files::map(&old.member, &topic.ring_path(), grow::writing(allow_foreign)) {
        Err(Error::NoTopic { .. }) => return Err(removed()),
        other => Arc::new(other?),
    };
    if new.shape.epoch == old.shape.epoch + 1
        && seal::sealed_at(&**old).map_err(|corruption| old.corrupt(corruption))?.is_some()
    {
        repair::succeed(old, &new)?;
    }
    note_epoch(&new);
    Ok(Some(new))
}

/// The epoch in which a consumer goes on after it has read `old` to its seal: the next one if that still has a name.
pub(crate) fn next(old: &Arc<Epoch>, mode: Mode) -> Result<Arc<Epoch>> {
    let topic = old.topic();
    let removed = || Error::Removed { topic: topic.name().into() };
    let kept = topic.path(FileKind::OldRing(old.shape.epoch.saturating_add(1)));
    let new = match files::map(&old.member, &kept, mode) {
        Err(Error::NoTopic { .. }) => match files::map(&old.member, &topic.ring_path(), mode) {
            Err(Error::NoTopic { .. }) => return Err(removed()),
            other => other?,
        },
        other => other?,
    };
    if new.shape.epoch <= old.shape.epoch {
        return Err(removed());
    }
    let new = Arc::new(new);
    note_epoch(&new);
    Ok(new)
}

/// Notes in the participant's entry where it works, so that names are kept as long as it needs them.
fn note_epoch(epoch: &Epoch) {
    if let Some(entry) = epoch.member.entry() {
        entry.epoch.fetch_max(epoch.shape.epoch, SeqCst);
    }
}
