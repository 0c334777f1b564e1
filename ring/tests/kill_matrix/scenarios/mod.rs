//! How each step is reached.

mod flow;
mod life;

use shmflow::{FailPoint, FailPoint::*, Role};

/// One thing that happens before the victim meets its end. Test process 0 is the victim.
#[derive(Clone, Copy, Debug)]
pub enum Before {
    /// The test process does this, and it works.
    Does(usize, &'static str),
    /// The test process does this, and is killed in the middle of it, where it is armed to.
    Dies(usize, &'static str),
    /// The test process is killed.
    Killed(usize),
    /// The test process does this, and is stopped in the middle of it. `{arm}` is where the victim is to meet its end.
    Stops(usize, &'static str),
    /// The test process starts this, and waits for a slot in the middle of it.
    Waits(usize, &'static str),
    /// The stopped test process goes on, and stops again.
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

/// Steps, and at which of their occurrences.
pub type At = (&'static [u64], &'static [FailPoint]);

/// A way to reach some steps.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub role: Role,
    pub others: Others,
    pub before: &'static [Before],
    pub act: Act,
    at: [At; 4],
    /// Steps at which the victim has the lifecycle lock.
    locked: &'static [&'static [FailPoint]],
}

impl Scenario {
    const fn producer(name: &'static str) -> Self {
        let (role, others, act) = (Role::Producer, Others::Busy, Act::GoesOn);
        Self { name, role, others, before: &[], act, at: [(&[], &[]); 4], locked: &[] }
    }

    const fn consumer(name: &'static str) -> Self {
        Self { role: Role::Consumer, ..Self::producer(name) }
    }

    const fn others(self, others: Others) -> Self {
        Self { others, ..self }
    }

    const fn before(self, before: &'static [Before]) -> Self {
        Self { before, ..self }
    }

    const fn does(self, what: &'static str) -> Self {
        Self { act: Act::Does(what), ..self }
    }

    /// One more group of steps.
    const fn at(mut self, times: &'static [u64], steps: &'static [FailPoint]) -> Self {
        let mut group = 0;
        while !self.at[group].0.is_empty() {
            group += 1;
        }
        self.at[group] = (times, steps);
        self
    }

    const fn locked(self, locked: &'static [&'static [FailPoint]]) -> Self {
        Self { locked, ..self }
    }

    /// Whether the victim has the lifecycle lock at a step.
    pub fn is_locked(&self, step: FailPoint) -> bool {
        self.locked.iter().any(|steps| steps.contains(&step))
    }

    /// The steps, and at which of their occurrences.
    pub fn steps(&self) -> impl Iterator<Item = (FailPoint, &'static [u64])> + use<> {
        self.at.into_iter().flat_map(|(times, steps)| steps.iter().map(move |step| (*step, times)))
    }
}

const MAKING: &[FailPoint] = &[OpenPeersCommit, OpenLocked, OpenHolds, OpenRingTemp, OpenRingCommit];
const JOINING: &[FailPoint] = &[JoinLocked, JoinCleaned, JoinEntry, JoinCursor, JoinActive];
const REPLACING: &[FailPoint] = &[GrowHolds, GrowTemp, GrowKeepOld, GrowCommit];
const COMPLETING: &[FailPoint] = &[SealIndex, SealFirst, SealHead, SealWake, GrowEpoch, GrowPurge];
const LEAVING: &[FailPoint] = &[LeaveMask, LeaveBits, LeaveEntry];
const REMOVING: &[FailPoint] = &[RemoveMark, RemoveRing, RemoveHolds, RemovePeers];

/// What is done under the lifecycle lock.
const OPENING: &[&[FailPoint]] = &[MAKING, JOINING, COMPLETING];
const GROWING: &[&[FailPoint]] = &[REPLACING, COMPLETING];
const CLOSING: &[&[FailPoint]] = &[&[LeaveEntry, RemoveMark, RemoveRing, RemoveHolds]];

/// All scenarios.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    let themes = [
        life::OPENING_A_TOPIC,
        flow::PUBLISHING,
        flow::RECEIVING,
        flow::WAITING,
        life::MAKING_ANEW,
        life::REAPING,
        life::GROWING_A_TOPIC,
        life::RESERVING,
        life::CLOSING_A_TOPIC,
    ];
    themes.into_iter().flatten()
}
