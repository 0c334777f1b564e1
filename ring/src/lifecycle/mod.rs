//! The life of a topic: open, adopt, grow, leave, remove. All under the lifecycle lock, none of it in the flow of frames.

pub(crate) mod files;
pub(crate) mod follow;
pub(crate) mod grow;
pub(crate) mod leave;
pub(crate) mod open;
pub(crate) mod reap;
pub(crate) mod repair;
pub(crate) mod whole;

use std::time::Duration;

use crate::error::{Error, Result};
use crate::layout::ring::{MAX_CAPACITY, MAX_META, MAX_SLOTS, Shape, flags};

/// How long open and grow wait for somebody else who opens, grows or closes. Longer means a stopped process.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// How long a growth waits, which happens in the flow of frames.
pub(crate) const GROWING_PATIENCE: Duration = Duration::from_secs(1);
/// How long a close waits: it must not hold up whoever closes; the next to come collects what is left.
pub(crate) const CLOSING_PATIENCE: Duration = Duration::from_millis(40);
/// How much longer it waits if it was the last one, and the files are to be removed.
pub(crate) const LAST_PATIENCE: Duration = Duration::from_millis(200);

/// How a handle is opened.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) name: String,
    /// What a consumer wishes to receive; empty if it does not say.
    pub(crate) wish: String,
    pub(crate) allow_foreign: bool,
    pub(crate) prefault: bool,
    pub(crate) perms: u32,
    pub(crate) persistent: bool,
}

/// What a producer wants of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) depth: u32,
    pub(crate) reserve: u32,
    pub(crate) history: u32,
    pub(crate) capacity: u64,
    pub(crate) meta_capacity: u64,
}

impl Wanted {
    /// The shape of an epoch that fulfils this, or which setting cannot be fulfilled.
    pub(crate) fn shape(&self, epoch: u64, holds: u64, perms: u32) -> Result<Shape> {
        let bad = |what: String| Err(Error::BadSetting { what });
        let slots = self.depth.saturating_add(self.reserve);
        if self.depth == 0 || slots > MAX_SLOTS {
            return bad(format!(
                "a depth of {} with a reserve of {} (at least 1 slot, at most {MAX_SLOTS} together)",
                self.depth, self.reserve
            ));
        }
        if self.reserve == 0 {
            return bad("a reserve of 0 slots (a producer needs one to write into: at least 1)".into());
        }
        if self.capacity > MAX_CAPACITY {
            return bad(format!("a slot capacity of {} bytes (at most {MAX_CAPACITY})", self.capacity));
        }
        if self.meta_capacity > MAX_META {
            return bad(format!("a metadata capacity of {} bytes (at most {MAX_META})", self.meta_capacity));
        }
        let admits = admits_readers(perms);
        let least = if admits { 2 } else { 0 };
        let shape = Shape {
            epoch,
            holds,
            slots: u16::try_from(slots).unwrap_or(u16::MAX),
            depth: self.depth,
            history: self.history.max(least).min(self.depth),
            capacity: self.capacity.max(1),
            meta_capacity: self.meta_capacity.next_multiple_of(64),
            flags: if admits { flags::ADMITS_READERS } else { 0 },
        };
        match shape.check() {
            Ok(()) => Ok(shape),
            Err(why) => bad(format!("the ring's geometry: {why}")),
        }
    }
}

/// Whether file permissions let somebody read who may not write.
pub(crate) const fn admits_readers(perms: u32) -> bool {
    (perms & 0o040 != 0 && perms & 0o020 == 0) || (perms & 0o004 != 0 && perms & 0o002 == 0)
}

/// Permissions of `ring`: those of `peers` without writing for group and others, who never write frames.
pub(crate) const fn ring_perms(perms: u32) -> u32 {
    perms & !0o022
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_tell_whether_there_can_be_readers_without_registration() {
        for (perms, admits) in [
            (0o600, false),
            (0o660, false),
            (0o666, false),
            (0o640, true),
            (0o644, true),
            (0o664, true),
            (0o606, false),
        ] {
            assert_eq!(admits_readers(perms), admits, "{perms:o}");
        }
        assert_eq!(ring_perms(0o666), 0o644);
    }

    #[test]
    fn a_ring_with_readers_keeps_two_frames() {
        let wanted = Wanted { depth: 4, reserve: 2, history: 1, capacity: 10, meta_capacity: 100 };
        assert_eq!(wanted.shape(1, 1, 0o600).unwrap().history, 1);
        let shape = wanted.shape(1, 1, 0o644).unwrap();
        assert_eq!((shape.history, shape.slots, shape.meta_capacity), (2, 6, 128));
    }

    #[test]
    fn impossible_settings_are_named() {
        let wanted = Wanted { depth: 4, reserve: 2, history: 1, capacity: 10, meta_capacity: 100 };
        for bad in [
            Wanted { depth: 0, ..wanted },
            Wanted { depth: u32::MAX, ..wanted },
            Wanted { reserve: 0, ..wanted },
            Wanted { capacity: u64::MAX, ..wanted },
            Wanted { meta_capacity: u64::MAX, ..wanted },
        ] {
            assert!(matches!(bad.shape(1, 1, 0o600), Err(Error::BadSetting { .. })), "{bad:?}");
        }
    }
}
