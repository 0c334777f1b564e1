//! Why a frame is a copy and not a lease.

use std::fmt;

/// Why a consumer gets a private copy of a frame, and no lease on its slot. [`Display`](fmt::Display) says it in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CopyReason {
    /// It holds as many leases as it may: [`max_leases`](crate::ConsumerBuilder::max_leases).
    MaxLeases(u32),
    /// Another lease would leave producers without a slot to write into.
    SlotsNeeded,
    /// Its leases keep two rings of earlier geometries in memory already.
    OldEpochs,
    /// It found no place: 56 other consumers are registered, or their places are locked. It asks for one at intervals.
    NotRegistered,
    /// It is [`read_only`](crate::ConsumerBuilder::read_only).
    ReadOnly,
    /// Part of the slot has no memory behind it, and reading it in place would take some.
    Holes,
    /// It is to be [`copy_on_write`](crate::ConsumerBuilder::copy_on_write), and this process may have no private mapping.
    NotPrivate,
    /// It was asked for: [`always_copy`](crate::ConsumerBuilder::always_copy), or [`Frame::private_copy`](crate::Frame::private_copy).
    Requested,
}

impl CopyReason {
    /// For an event.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::MaxLeases(_) => "it holds as many frames as it may",
            Self::SlotsNeeded => "consumers hold so many frames that the producers need the other slots",
            Self::OldEpochs => "it holds frames of two earlier rings",
            Self::NotRegistered => "as many consumers are registered as can be",
            Self::ReadOnly => "it is read-only",
            Self::Holes => "the ring has holes where its memory should be",
            Self::NotPrivate => "this process may have no private mapping",
            Self::Requested => "copies were asked for",
        }
    }
}

impl fmt::Display for CopyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaxLeases(leases) => write!(f, "this consumer holds as many frames as it may ({leases})"),
            Self::SlotsNeeded => {
                f.write_str("consumers hold so many frames that the producers need the other slots")
            }
            Self::OldEpochs => f.write_str("this consumer holds frames of two earlier rings"),
            Self::NotRegistered => {
                f.write_str("this consumer found no place among the 56 that can hold frames")
            }
            Self::ReadOnly => f.write_str("this consumer is read-only"),
            Self::Holes => f.write_str("part of the slot has no memory yet"),
            Self::Requested => f.write_str("copies were asked for"),
            Self::NotPrivate => f.write_str(
                "this process may have no private mapping of the ring (ulimit -v or -d, or vm.overcommit_memory=2)",
            ),
        }
    }
}
