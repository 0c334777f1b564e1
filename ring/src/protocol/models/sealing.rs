//! The end of an epoch and the beginning of the next one.

use super::engine::{Role, Scenario, prove, refute};
use super::world::{Seat, Setup, World};
use crate::protocol::publish::Published;
use crate::protocol::{FailPoint, Mutant, seal};

/// The models of this file.
pub(super) const ALL: &[&Scenario] = &[&SEAL_PUBLISH, &SEAL_SEVERAL, &START_LATE, &SEAL_TWO];

fn two_epochs() -> Setup {
    Setup { slots: 2, index_len: 4, epochs: 2, ..Setup::default() }
}

/// Publishes one frame in the old epoch or, if that is sealed, in the new one.
fn produce_and_follow(p: &Seat) {
    let Some(slot) = p.claim_oldest() else { return };
    if let Published::Sealed(first) = p.publish(slot) {
        p.abandon(slot);
        let new = p.in_epoch(1);
        seal::start(&new, first).unwrap();
        new.produce();
    }
}

/// Seals the old epoch, starts the new one and publishes in it.
fn grow(p: &Seat) {
    let first = seal::seal(p).unwrap();
    p.world.oracle.note(p.role(), "sealed", first);
    let new = p.in_epoch(1);
    seal::start(&new, first).unwrap();
    new.produce();
}

fn both_out(world: &World) {
    assert!(world.oracle.any_gone() || world.oracle.count_published() == 2, "a frame is missing");
    for (_, first) in world.oracle.notes("sealed") {
        assert_eq!(
            seal::sealed_at(&world.snapshot(0)),
            Ok(Some(first)),
            "a frame was published past the seal"
        );
    }
}

const GROW: &[FailPoint] =
    &[FailPoint::SealIndex, FailPoint::SealFirst, FailPoint::SealHead, FailPoint::PublishIndex];

/// One producer publishes while another one ends the epoch.
static SEAL_PUBLISH: Scenario = Scenario {
    name: "seal/publish",
    setup: two_epochs,
    roles: &[Role::new(0, produce_and_follow), Role::new(1, grow)],
    verdict: both_out,
    preemptions: Some(3),
    preemptions_ending: Some(2),
};

#[test]
fn no_frame_is_published_past_a_seal() {
    prove(&SEAL_PUBLISH, 500, GROW);
}

#[test]
fn helping_past_a_seal_publishes_a_sequence_twice() {
    refute(&SEAL_PUBLISH, Mutant::HelpPastSeal);
}

/// Several find the successor of an epoch and complete what is missing.
static SEAL_SEVERAL: Scenario = Scenario {
    name: "seal and start by several",
    setup: || Setup { slots: 2, index_len: 4, epochs: 2, frames: &[(1, 0)], ..Setup::default() },
    roles: &[Role::new(0, grow), Role::new(1, grow)],
    verdict: both_out,
    preemptions: Some(3),
    preemptions_ending: Some(2),
};

#[test]
fn several_end_an_epoch_at_the_same_sequence() {
    prove(&SEAL_SEVERAL, 300, GROW);
}

/// One starts the new epoch late, after another one has published more than its whole index in it.
static START_LATE: Scenario = Scenario {
    name: "late start",
    setup: || Setup { slots: 1, index_len: 2, epochs: 2, frames: &[(1, 0)], ..Setup::default() },
    roles: &[
        Role::new(0, |p| {
            let first = seal::seal(p).unwrap();
            let new = p.in_epoch(1);
            seal::start(&new, first).unwrap();
            for _ in 0..3 {
                new.produce();
            }
        }),
        Role::new(1, |p| {
            let first = seal::seal(p).unwrap();
            seal::start(&p.in_epoch(1), first).unwrap();
        }),
    ],
    verdict: |world| {
        assert!(world.oracle.any_gone() || world.oracle.count_published() == 3, "a frame is missing")
    },
    preemptions: Some(3),
    preemptions_ending: Some(1),
};

#[test]
fn a_late_start_changes_nothing() {
    prove(&START_LATE, 100, GROW);
}

#[test]
fn a_start_that_stores_turns_the_head_back() {
    refute(&START_LATE, Mutant::StartStores);
}

/// Two producers publish while a third one ends the epoch.
static SEAL_TWO: Scenario = Scenario {
    name: "seal and two producers",
    setup: two_epochs,
    roles: &[
        Role::new(0, produce_and_follow),
        Role::new(1, produce_and_follow),
        Role::new(2, |p| {
            seal::seal(p).unwrap();
        }),
    ],
    verdict: both_out,
    preemptions: Some(1),
    preemptions_ending: Some(0),
};

#[test]
fn two_producers_follow_a_seal() {
    prove(&SEAL_TWO, 200, &[FailPoint::SealIndex, FailPoint::SealFirst, FailPoint::PublishIndex]);
}
