//! The life of a topic: open, adopt, grow, leave, remove. All under the lifecycle lock, none of it in the flow of frames.

pub(crate) mod crowd;
pub(crate) mod files;
pub(crate) mod follow;
pub(crate) mod grow;
pub(crate) mod leave;
pub(crate) mod open;
pub(crate) mod reap;
pub(crate) mod recovery;
pub(crate) mod whole;

use std::time::Duration;

use crate::error::{Error, Result};
use crate::layout::ring::{MAX_CAPACITY, MAX_META, MAX_SLOTS, RingGeometry, flags};

/// How long open and grow wait for another process that opens, grows or closes. Longer means a stopped process.
pub(crate) const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a growth waits, which happens in the flow of frames.
pub(crate) const GROW_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a close waits: it must not block the closing process; the next opener removes what is left.
pub(crate) const CLOSING_PATIENCE: Duration = Duration::from_millis(40);
/// How much longer it waits if it was the last one, and the files are to be removed.
pub(crate) const LAST_PATIENCE: Duration = Duration::from_millis(200);

/// How a handle is opened.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) name: String,
    /// The caps that a consumer accepts, or the type that a producer declares; empty if it does not state any.
    pub(crate) accepted_caps: String,
    pub(crate) allow_foreign: bool,
    pub(crate) prefault: bool,
    /// Of a producer: what the topic shows; `None` leaves what is there.
    pub(crate) description: Option<String>,
    /// Of a consumer: see [`files::Mode`].
    pub(crate) copy_on_write: bool,
    pub(crate) perms: u32,
    pub(crate) persistent: bool,
    /// Of a consumer.
    pub(crate) delivery: open::Delivery,
}

/// What a producer wants of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GeometryRequest {
    pub(crate) depth: u32,
    pub(crate) spare_slots: u32,
    pub(crate) history: u32,
    pub(crate) slot_capacity: u64,
    pub(crate) meta_capacity: u64,
}

impl GeometryRequest {
    /// The geometry of an epoch that fulfils this, or which setting cannot be fulfilled.
    pub(crate) fn geometry(&self, epoch: u64, holds: u64, perms: u32) -> Result<RingGeometry> {
        let bad = |what: String| Err(Error::InvalidArgument { what });
        let slots = self.depth.saturating_add(self.spare_slots);
        if self.depth == 0 || slots > MAX_SLOTS {
            return bad(format!(
                "a depth of {} with {} spare slots (at least 1 slot, at most {MAX_SLOTS} together)",
                self.depth, self.spare_slots
            ));
        }
        if self.spare_slots == 0 {
            return bad("0 spare slots (a producer needs one to write into: at least 1)".into());
        }
        if self.slot_capacity > MAX_CAPACITY {
            return bad(format!("a slot capacity of {} bytes (at most {MAX_CAPACITY})", self.slot_capacity));
        }
        if self.meta_capacity > MAX_META {
            return bad(format!("a metadata capacity of {} bytes (at most {MAX_META})", self.meta_capacity));
        }
        let admits = allows_read_only(perms);
        let least = if admits { 2 } else { 0 };
        let geometry = RingGeometry {
            epoch,
            holds,
            slots: u16::try_from(slots).unwrap_or(u16::MAX),
            depth: self.depth,
            history: self.history.max(least).min(self.depth),
            slot_capacity: self.slot_capacity.max(1),
            meta_capacity: self.meta_capacity.next_multiple_of(64),
            flags: if admits { flags::ADMITS_READERS } else { 0 },
        };
        match geometry.check() {
            Ok(()) => Ok(geometry),
            Err(why) => bad(format!("the ring's geometry: {why}")),
        }
    }
}

/// Whether file permissions let a user read who may not write.
pub(crate) const fn allows_read_only(perms: u32) -> bool {
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
            assert_eq!(allows_read_only(perms), admits, "{perms:o}");
        }
        assert_eq!(ring_perms(0o666), 0o644);
    }

    #[test]
    fn a_ring_with_readers_keeps_two_frames() {
        let wanted =
            GeometryRequest { depth: 4, spare_slots: 2, history: 1, slot_capacity: 10, meta_capacity: 100 };
        assert_eq!(wanted.geometry(1, 1, 0o600).unwrap().history, 1);
        let geometry = wanted.geometry(1, 1, 0o644).unwrap();
        assert_eq!((geometry.history, geometry.slots, geometry.meta_capacity), (2, 6, 128));
    }

    #[test]
    fn impossible_settings_are_named() {
        let wanted =
            GeometryRequest { depth: 4, spare_slots: 2, history: 1, slot_capacity: 10, meta_capacity: 100 };
        for bad in [
            GeometryRequest { depth: 0, ..wanted },
            GeometryRequest { depth: u32::MAX, ..wanted },
            GeometryRequest { spare_slots: 0, ..wanted },
            GeometryRequest { slot_capacity: u64::MAX, ..wanted },
            GeometryRequest { meta_capacity: u64::MAX, ..wanted },
        ] {
            assert!(matches!(bad.geometry(1, 1, 0o600), Err(Error::InvalidArgument { .. })), "{bad:?}");
        }
    }
}
