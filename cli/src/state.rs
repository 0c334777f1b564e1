//! The state of a topic, in one word.

use shmflow::{Liveness, TopicInfo};

/// The state of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// A producer is alive.
    Live,
    /// Only consumers are.
    Waiting,
    /// Nobody takes part, and it stays.
    Idle,
    /// All who took part died.
    Dead,
    /// It has no ring yet, or its maker died before.
    Unfinished,
    /// Somebody removed it.
    Removed,
}

impl State {
    pub(crate) fn of(info: &TopicInfo) -> Self {
        let living = |p: &shmflow::ParticipantInfo| p.liveness != Liveness::Dead;
        if info.removed {
            Self::Removed
        } else if info.producers().any(living) {
            Self::Live
        } else if info.consumers().any(living) {
            Self::Waiting
        } else if info.geometry.is_none() {
            Self::Unfinished
        } else if info.persistent {
            Self::Idle
        } else {
            Self::Dead
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Waiting => "waiting",
            Self::Idle => "idle",
            Self::Dead => "dead",
            Self::Unfinished => "unfinished",
            Self::Removed => "removed",
        }
    }
}
