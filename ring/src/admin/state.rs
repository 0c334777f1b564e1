//! The state of a topic, in one word.

use std::time::Duration;

use super::types::{Liveness, ParticipantInfo, TopicInfo};

/// The state of a topic at one moment. From [`TopicInfo::state`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TopicState {
    /// A producer is alive.
    Live,
    /// One is, but its newest frame is much older than its frame rate has it.
    Stalled,
    /// All producers that live are stopped processes.
    Stopped,
    /// Only consumers are.
    Waiting,
    /// No process takes part, and it stays.
    Idle,
    /// All participants died.
    Dead,
    /// It has no ring yet, or its maker died before.
    Unfinished,
    /// It was removed while it was in use.
    Removed,
}

/// A stream is stalled after so long at least.
const LEAST: Duration = Duration::from_secs(1);
/// And after so many intervals of its frame rate.
const INTERVALS: u32 = 10;

impl TopicState {
    pub(super) fn of(info: &TopicInfo) -> Self {
        let living = |p: &&ParticipantInfo| p.liveness != Liveness::Dead;
        if info.removed {
            Self::Removed
        } else if info.producers().any(|p| living(&p)) {
            if info.producers().filter(living).all(|p| p.stopped) {
                Self::Stopped
            } else if stalled_for(info).is_some() {
                Self::Stalled
            } else {
                Self::Live
            }
        } else if info.consumers().any(|p| living(&p)) {
            Self::Waiting
        } else if info.geometry.is_none() {
            Self::Unfinished
        } else if info.persistent {
            Self::Idle
        } else {
            Self::Dead
        }
    }

    /// Whether a producer lives.
    #[must_use]
    pub fn has_producer(self) -> bool {
        matches!(self, Self::Live | Self::Stalled | Self::Stopped)
    }

    /// Its name, as `shmflow ls` has it: `live`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Stalled => "stalled",
            Self::Stopped => "stopped",
            Self::Waiting => "waiting",
            Self::Idle => "idle",
            Self::Dead => "dead",
            Self::Unfinished => "unfinished",
            Self::Removed => "removed",
        }
    }
}

/// For how long a stream that says its frame rate has been silent, if that is too long and it has not ended.
fn stalled_for(info: &TopicInfo) -> Option<Duration> {
    let interval = info.content().interval()?;
    let age = info.newest.as_ref()?.age();
    (!info.ended && age > LEAST.max(interval.saturating_mul(INTERVALS))).then_some(age)
}
