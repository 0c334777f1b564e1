//! How each step is reached.

mod flow;
mod life;

use shmflow::{Role, Step, Step::*};

/// One thing that happens before the victim meets its end. Puppet 0 is the victim.
#[derive(Clone, Copy, Debug)]
pub enum Before {
    /// The puppet does this, and it works.
    Does(usize, &'static str),
    /// The puppet does this, and is killed in the middle of it, where it is armed to.
    Dies(usize, &'static str),
    /// The puppet is killed.
    Killed(usize),
    /// The puppet does this, and is stopped in the middle of it. `{arm}` is where the victim is to meet its end.
    Stops(usize, &'static str),
    /// The stopped puppet goes on, and stops again.
    GoesOnToStop(usize),
}

/// What the victim does when it meets its end.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// This.
    Does(&'static str),
    /// It was stopped before, and goes on.
    GoesOn,
}

/// Who else is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// The survivors have the topic open, and frames flow while the victim acts.
    Busy,
    /// The survivors have the topic open and rest while the victim acts.
    Resting,
    /// Nobody; the survivors come later.
    Later,
}

/// A way to reach some steps.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub role: Role,
    pub others: Others,
    pub before: &'static [Before],
    pub act: Act,
    /// The steps, and at which of their occurrences.
    pub steps: &'static [(Step, &'static [u64])],
    /// Steps at which the victim has the lifecycle lock.
    pub locked: &'static [Step],
}

pub const OPENING: &[Step] = &[
    OpenPeersCommit,
    OpenLocked,
    OpenHolds,
    OpenRingTemp,
    OpenRingCommit,
    JoinLocked,
    JoinCleaned,
    JoinEntry,
    JoinCursor,
    JoinActive,
    SealIndex,
    SealFirst,
    SealHead,
    SealWake,
    GrowEpoch,
    GrowPurge,
];
pub const GROWING: &[Step] = &[
    GrowHolds,
    GrowTemp,
    GrowKeepOld,
    GrowCommit,
    SealIndex,
    SealFirst,
    SealHead,
    SealWake,
    GrowEpoch,
    GrowPurge,
];
pub const CLOSING: &[Step] = &[LeaveEntry, RemoveMark, RemoveRing, RemoveHolds];

pub const BASE: Scenario = Scenario {
    name: "",
    role: Role::Producer,
    others: Others::Busy,
    before: &[],
    act: Act::GoesOn,
    steps: &[],
    locked: &[],
};

/// All scenarios.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    let themes = [
        life::OPENING_A_TOPIC,
        flow::PUBLISHING,
        flow::RECEIVING,
        life::MAKING_ANEW,
        life::REAPING,
        life::GROWING_A_TOPIC,
        life::CLOSING_A_TOPIC,
    ];
    themes.into_iter().flatten()
}
