//! Sleeping and waking: whoever waits for a frame is woken by the one who publishes it.

use super::engine::{Role, Scenario, prove, refute};
use super::world::{Seat, Setup, World};
use crate::protocol::lease::{self, Lease};
use crate::protocol::{FailPoint, Fence, Mutant, publish, seal};

/// The models of this file.
pub(super) const ALL: &[&Scenario] = &[&SLEEP_WAKE, &SLEEP_TWO, &SLEEP_SEAL, &SLEEP_REAP];

const SLEEP: &[FailPoint] = &[
    FailPoint::SleepBit,
    FailPoint::SleepClear,
    FailPoint::PublishIndex,
    FailPoint::PublishWake,
    FailPoint::PublishWoken,
];

fn empty() -> Setup {
    Setup { slots: 1, index_len: 2, ..Setup::default() }
}

fn produce(p: &Seat) {
    p.produce();
}

fn await_first(c: &Seat) {
    c.wait_for(1);
}

/// Nobody sleeps on although its frame is out, unless the one who would have woken it was cut down before that; then
/// the coarse tick shows the frame.
fn nobody_oversleeps(world: &World) {
    let oracle = &world.oracle;
    let overslept = oracle.notes("overslept");
    assert!(overslept.is_empty() || oracle.any_gone(), "a wake-up was lost: {overslept:?}");
    let out = lease::readable(&world.snapshot(0), 1);
    for (role, _) in overslept {
        assert!(!out || oracle.count(role) == 1, "role {role} never reads its frame");
    }
}

/// A consumer goes to sleep while the frame that it waits for is published.
static SLEEP_WAKE: Scenario = Scenario {
    name: "sleep/wake",
    setup: empty,
    roles: &[Role::waking(0, produce), Role::new(8, await_first)],
    verdict: nobody_oversleeps,
    preemptions: Some(4),
    preemptions_ending: Some(3),
};

#[test]
fn no_wake_up_is_lost() {
    prove(&SLEEP_WAKE, 500, SLEEP);
}

#[test]
fn a_wake_up_is_lost_without_the_publishers_fence() {
    refute(&SLEEP_WAKE, Mutant::Without(Fence::Wake));
}

#[test]
fn a_wake_up_is_lost_without_the_sleepers_fence() {
    refute(&SLEEP_WAKE, Mutant::Without(Fence::Sleep));
}

#[test]
fn a_wake_up_is_lost_if_the_futex_word_orders_nothing() {
    refute(&SLEEP_WAKE, Mutant::RelaxedWakeWord);
}

/// Two consumers wait for the same frame.
static SLEEP_TWO: Scenario = Scenario {
    name: "two sleepers",
    setup: empty,
    roles: &[Role::waking(0, produce), Role::new(8, await_first), Role::new(9, await_first)],
    verdict: nobody_oversleeps,
    preemptions: Some(2),
    preemptions_ending: Some(1),
};

#[test]
fn all_sleepers_are_woken() {
    prove(&SLEEP_TWO, 200, SLEEP);
}

/// A consumer waits for the frame at which the epoch is sealed.
static SLEEP_SEAL: Scenario = Scenario {
    name: "sleep/seal",
    setup: empty,
    roles: &[
        Role::waking(0, |p| {
            assert_eq!(seal::seal(p), Ok(1));
            publish::wake(p, || false);
        }),
        Role::new(8, |c| {
            let got = c.wait_for(1);
            assert!(matches!(got, None | Some(Lease::Sealed)), "{got:?}");
        }),
    ],
    verdict: |world| {
        assert!(world.oracle.notes("overslept").is_empty() || world.oracle.any_gone(), "slept over a seal")
    },
    preemptions: None,
    preemptions_ending: None,
};

#[test]
fn a_seal_wakes_sleepers() {
    prove(&SLEEP_SEAL, 100, &[FailPoint::SleepBit, FailPoint::SleepClear, FailPoint::SealIndex]);
}

/// A producer ends between a frame and the wake-up for it, and another one reaps it.
static SLEEP_REAP: Scenario = Scenario {
    name: "sleep/reap",
    setup: || Setup { locks: &[0], ..empty() },
    roles: &[
        Role::waking(0, produce),
        Role::waking(1, |r| {
            if r.try_reap(0) {
                r.world.oracle.note(r.role(), "reaped", 0);
            }
        }),
        Role::new(8, await_first),
    ],
    verdict: |world| {
        let reaped = !world.oracle.notes("reaped").is_empty();
        let out = lease::readable(&world.snapshot(0), 1);
        let overslept = !world.oracle.notes("overslept").is_empty();
        assert!(!(reaped && out && overslept), "a reaper that knows of a death wakes nobody");
        nobody_oversleeps(world);
    },
    preemptions: Some(2),
    preemptions_ending: Some(1),
};

#[test]
fn a_reaper_wakes_those_whom_the_dead_one_would_have_woken() {
    prove(&SLEEP_REAP, 200, SLEEP);
}
