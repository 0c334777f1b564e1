//! The protocol of the ring: pure functions over control words, the same code on shared memory and under loom.
//!
//! Nothing here opens files, locks, maps or sleeps. Each function says what it needs to hold and what a death
//! inside it leaves behind; `docs/architecture.md` has the whole picture.

pub(crate) mod accepted_caps;
pub(crate) mod backlog;
pub(crate) mod cancel;
pub(crate) mod claim;
pub(crate) mod end;
pub(crate) mod events;
#[cfg_attr(
    not(feature = "failpoints"),
    allow(dead_code, unreachable_pub, reason = "public with that feature")
)]
pub(crate) mod fail_points;
pub(crate) mod fork_gate;
pub(crate) mod lease;
pub(crate) mod memory;
#[cfg(test)]
mod models;
pub(crate) mod poll_fd;
pub(crate) mod primary;
pub(crate) mod publish;
pub(crate) mod reap;
pub(crate) mod seal;
pub(crate) mod sleep;

#[cfg_attr(not(feature = "failpoints"), allow(unreachable_pub, reason = "public with that feature"))]
pub use fail_points::FailPoint;
pub(crate) use memory::{Fence, Memory, Mutant, Shared, Word};

/// How often a loop over shared words goes round before it calls them corrupt. Each round of an honest loop
/// means that another participant made progress; this many in a row without ours do not happen.
#[cfg(not(test))]
pub(crate) const LOOPS: usize = 1 << 16;
/// As above; small, so that models end.
#[cfg(test)]
pub(crate) const LOOPS: usize = 1 << 10;

/// How often a consumer looks again at a frame that is being claimed and may be put back.
pub(crate) const LEASE_TRIES: usize = 4;

/// Control words that no honest participant leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Corruption {
    /// `head` is 0 in a started epoch, out of range, or does not move.
    Head,
    /// An index entry is out of range.
    Index,
    /// A slot's state is not what its owner left.
    State,
    /// The first sequence of an epoch contradicts the seal of its predecessor.
    First,
}

impl Corruption {
    /// What is wrong, to be put into a sentence.
    pub(crate) const fn what(self) -> &'static str {
        match self {
            Self::Head => "its head is out of range or does not move",
            Self::Index => "its publish index holds an entry that is out of range",
            Self::State => "a slot's state was changed by a participant that does not own the slot",
            Self::First => "two epochs disagree about where one ends and the next begins",
        }
    }
}
