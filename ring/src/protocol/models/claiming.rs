//! Claims against leases, against other claims, and against claims of other threads of the same participant.

use super::engine::{Role, Scenario, prove, refute, refute_ending, refute_within};
use super::roles::{ALL_PASSED, NONE_PASSED};
use super::world::{End, Fate, Setup, World};
use crate::protocol::lease;
use crate::protocol::publish::Published;
use crate::protocol::{FailPoint, Mutant};

/// The models of this file.
pub(super) const ALL: &[&Scenario] =
    &[&CLAIM_LEASE, &ROLLBACK_LEASE, &CLAIM_CLAIM, &ABANDON, &SAME_PROCESS, &SAME_PROCESS_LEASE, &UNOFFERED];

const CLAIM: &[FailPoint] = &[FailPoint::ClaimState, FailPoint::ClaimHold];
const ROLLBACK: &[FailPoint] = &[FailPoint::ClaimUnhold, FailPoint::ClaimRestore];
const LEASE: &[FailPoint] =
    &[FailPoint::LeaseHold, FailPoint::LeaseBackoff, FailPoint::LeaseTaken, FailPoint::Release];

fn one_frame() -> Setup {
    Setup { slots: 1, index_len: 2, frames: &[(1, 0)], ..Setup::default() }
}

fn nothing_more(_: &World) {}

/// A producer overwrites the frame that a consumer leases.
static CLAIM_LEASE: Scenario = Scenario {
    name: "claim/lease",
    setup: one_frame,
    roles: &[
        Role::new(0, |p| {
            p.produce();
        }),
        Role::new(8, |c| {
            c.consume(1);
            c.consume(2);
        }),
    ],
    verdict: nothing_more,
    preemptions: Some(4),
    preemptions_ending: Some(3),
};

#[test]
fn a_leased_frame_is_not_overwritten() {
    prove(&CLAIM_LEASE, 500, &[CLAIM, ROLLBACK, LEASE].concat());
}

#[test]
fn relaxed_holders_tear_frames() {
    refute(&CLAIM_LEASE, Mutant::RelaxedHolders);
}

#[test]
fn a_lease_without_a_second_look_tears_frames() {
    refute(&CLAIM_LEASE, Mutant::NoSecondLook);
}

#[test]
fn holders_looked_at_before_the_state_tear_frames() {
    refute(&CLAIM_LEASE, Mutant::HoldersBeforeState);
}

#[test]
fn looking_again_for_ever_hangs_on_a_stopped_producer() {
    let stopped = Fate { role: 0, step: FailPoint::ClaimHold, after: 0, end: End::Stop };
    refute_ending(&CLAIM_LEASE, Mutant::LookAgainForEver, stopped);
}

/// Two consumers lease while a producer wants the slot: what it gives back is still there.
static ROLLBACK_LEASE: Scenario = Scenario {
    name: "rollback",
    setup: one_frame,
    roles: &[
        Role::new(0, |p| {
            if let Some(slot) = p.claim_frame(1) {
                p.world.oracle.note(p.role(), "claimed", 1);
                p.abandon(slot);
            }
        }),
        Role::new(8, |c| {
            c.consume(1);
        }),
        Role::new(9, |c| {
            c.consume(1);
        }),
    ],
    verdict: |world| {
        let kept = world.oracle.notes("claimed").is_empty() && !world.oracle.any_gone();
        assert!(!kept || lease::readable(&world.snapshot(0), 1), "a claim that gave way lost the frame");
    },
    preemptions: Some(2),
    preemptions_ending: Some(1),
};

#[test]
fn a_claim_that_gives_way_loses_nothing() {
    prove(&ROLLBACK_LEASE, 500, &[CLAIM, ROLLBACK, LEASE].concat());
}

/// Two producers want the only slot.
static CLAIM_CLAIM: Scenario = Scenario {
    name: "claim/claim",
    setup: one_frame,
    roles: &[
        Role::new(0, |p| {
            p.produce();
        }),
        Role::new(1, |p| {
            if let Some(slot) = p.claim_consumed(ALL_PASSED) {
                p.publish(slot);
            }
        }),
    ],
    verdict: |world| {
        assert!(
            world.oracle.any_gone() || world.oracle.count_published() > 0,
            "neither of two got a free slot"
        );
    },
    preemptions: None,
    preemptions_ending: Some(3),
};

#[test]
fn two_producers_never_own_one_slot() {
    prove(&CLAIM_CLAIM, 500, CLAIM);
}

/// One producer gives its claim back while another wants the slot.
static ABANDON: Scenario = Scenario {
    name: "abandoned claim",
    setup: one_frame,
    roles: &[
        Role::new(0, |p| {
            if let Some(slot) = p.claim_oldest() {
                p.abandon(slot);
            }
        }),
        Role::new(1, |p| {
            p.produce();
        }),
    ],
    verdict: nothing_more,
    preemptions: None,
    preemptions_ending: Some(3),
};

#[test]
fn an_abandoned_claim_is_claimed_again() {
    prove(&ABANDON, 500, &[CLAIM, &[FailPoint::AbandonState, FailPoint::AbandonHold]].concat());
}

/// Two threads of one producer: one gives a claim back and claims again, the other one keeps what it published.
static SAME_PROCESS: Scenario = Scenario {
    name: "two threads of one producer",
    setup: || Setup { slots: 1, index_len: 2, ..Setup::default() },
    roles: &[
        Role::new(0, |p| {
            if let Some(slot) = p.claim_oldest() {
                p.abandon(slot);
            }
            if let Some(slot) = p.claim_oldest() {
                p.abandon(slot);
            }
        }),
        Role::new(0, |p| {
            if let Some(slot) = p.claim_oldest() {
                let payload = p.next_payload();
                p.write(slot, payload);
                assert_ne!(p.publish_written(slot, payload), Published::Sealed(1));
            }
        }),
    ],
    verdict: nothing_more,
    preemptions: Some(4),
    preemptions_ending: Some(2),
};

#[test]
fn two_threads_of_one_producer_never_share_a_slot() {
    prove(&SAME_PROCESS, 300, CLAIM);
}

#[test]
fn a_claimer_that_trusts_its_own_bit_shares_a_slot() {
    refute(&SAME_PROCESS, Mutant::OwnBitIsMine);
}

/// Two threads of one producer want a slot, and a lease makes one of them give way.
static SAME_PROCESS_LEASE: Scenario = Scenario {
    name: "lease and claims of two threads",
    setup: one_frame,
    roles: &[
        Role::new(0, |p| {
            if let Some(slot) = p.claim_frame(1).or_else(|| p.claim_frame(2)) {
                p.abandon(slot);
            }
        }),
        Role::new(0, |p| {
            if let Some(slot) = p.claim_frame(1) {
                let payload = p.next_payload();
                p.write(slot, payload);
                p.publish_written(slot, payload);
            }
        }),
        Role::new(8, |c| {
            c.consume(1);
        }),
    ],
    verdict: nothing_more,
    preemptions: Some(2),
    preemptions_ending: Some(1),
};

#[test]
fn a_lease_and_claims_of_one_process_never_share_a_bit() {
    prove(&SAME_PROCESS_LEASE, 500, &[CLAIM, ROLLBACK].concat());
}

#[test]
fn a_rollback_out_of_order_shares_a_slot() {
    // It takes four switches of thread, where the model above has two.
    refute_within(&SAME_PROCESS_LEASE, Mutant::RollbackOutOfOrder, Some(4));
}

/// A producer publishes and releases the slot while another looks for a slot that is not indexed.
static UNOFFERED: Scenario = Scenario {
    name: "publish/claim of a slot that is not indexed",
    setup: || Setup { slots: 1, index_len: 2, ..Setup::default() },
    roles: &[
        Role::new(0, |p| {
            p.produce();
        }),
        Role::new(1, |p| {
            if let Some(slot) = p.claim_consumed(NONE_PASSED) {
                p.abandon(slot);
            }
        }),
    ],
    verdict: |world| {
        let m = world.snapshot(0);
        let lost = (1..lease::next_seq(&m).unwrap().0).find(|&n| !lease::readable(&m, n));
        assert_eq!(lost, None, "a frame that everybody is owed was taken for a slot that offers nothing");
    },
    preemptions: None,
    preemptions_ending: Some(3),
};

#[test]
fn a_frame_that_is_owed_is_not_taken_for_a_ghost() {
    prove(&UNOFFERED, 100, CLAIM);
}

#[test]
fn an_offer_looked_up_before_the_holders_is_missed() {
    refute(&UNOFFERED, Mutant::OfferBeforeHolders);
}
