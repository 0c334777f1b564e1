//! Reaping: several may do it at once, half-way ones are completed, and nobody alive is harmed.

use super::engine::{Role, Scenario, prove, prove_ending, refute, refute_ending};
use super::world::{End, Fate, Seat, Setup, World};
use crate::layout::words::State;
use crate::protocol::{FailPoint, Mutant, lease};

/// The models of this file.
pub(super) const ALL: &[&Scenario] =
    &[&REAP_CLAIM, &REAP_LEASE, &REAP_REAP, &REAP_BY_CONSUMER, &REAP_NEWCOMER, &REAP_MISTAKE];

const REAP: &[FailPoint] = &[FailPoint::ReapLocked, FailPoint::ReapState, FailPoint::ReapHold];

/// What a producer leaves that died owning slot 0 and between stamp and index of slot 1.
fn leftovers() -> Setup {
    Setup {
        states: &[(0, State::Writing { owner: 0 }), (1, State::Published { seq: 1, owner: 0 })],
        holders: &[(0, 1), (1, 1)],
        sleepers: 1,
        dead: &[0],
        locks: &[0],
        ..Setup::default()
    }
}

fn reap_and_produce(r: &Seat) {
    r.try_reap(0);
    r.produce();
}

fn nothing_more(_: &World) {}

/// A producer works, and may end anywhere, while another one reaps and claims.
static REAP_CLAIM: Scenario = Scenario {
    name: "reap/claim",
    setup: || Setup { locks: &[0], ..Setup::default() },
    roles: &[
        Role::new(0, |p| {
            p.produce();
        }),
        Role::new(1, reap_and_produce),
    ],
    verdict: nothing_more,
    preemptions: Some(3),
    preemptions_ending: Some(2),
};

#[test]
fn a_producer_that_ends_anywhere_is_reaped() {
    prove(&REAP_CLAIM, 100, &[FailPoint::ClaimState, FailPoint::PublishStamp, FailPoint::PublishIndex]);
}

/// A consumer works, and may end anywhere, while a producer reaps it and overwrites.
static REAP_LEASE: Scenario = Scenario {
    name: "reap/lease",
    setup: || Setup { slots: 1, index_len: 2, frames: &[(1, 0)], locks: &[8], ..Setup::default() },
    roles: &[
        Role::new(8, |c| {
            c.consume(1);
        }),
        Role::new(1, |r| {
            r.try_reap(8);
            r.produce();
        }),
    ],
    verdict: nothing_more,
    preemptions: Some(3),
    preemptions_ending: Some(3),
};

#[test]
fn a_consumer_that_ends_anywhere_is_reaped() {
    prove(&REAP_LEASE, 100, &[FailPoint::LeaseHold, FailPoint::LeaseTaken, FailPoint::Release]);
}

/// Two reap the same dead producer, and one continues to produce; either may end half-way.
static REAP_REAP: Scenario = Scenario {
    name: "reap/reap",
    setup: leftovers,
    roles: &[
        Role::new(1, reap_and_produce),
        Role::new(2, |r| {
            r.try_reap(0);
        }),
    ],
    verdict: |world| {
        assert!(world.oracle.any_gone() || world.oracle.count_published() == 1, "no slot after reaping");
    },
    preemptions: Some(2),
    preemptions_ending: Some(1),
};

#[test]
fn two_reapers_do_no_harm() {
    prove(&REAP_REAP, 500, REAP);
}

/// A consumer, who cannot write the ring, reaps beside a producer.
static REAP_BY_CONSUMER: Scenario = Scenario {
    name: "reap by producer and consumer",
    setup: leftovers,
    roles: &[
        Role::new(1, reap_and_produce),
        Role::new(8, |c| {
            c.try_reap_as(0, false);
            c.consume(1);
        }),
    ],
    verdict: |world| {
        assert!(world.oracle.any_gone() || world.oracle.count_published() == 1, "no slot after reaping");
    },
    preemptions: Some(2),
    preemptions_ending: Some(2),
};

#[test]
fn a_consumer_reaps_what_it_may() {
    prove(&REAP_BY_CONSUMER, 200, REAP);
}

/// A new participant gets the id of the dead one, but never while another one reaps it.
static REAP_NEWCOMER: Scenario = Scenario {
    name: "reap/newcomer",
    setup: leftovers,
    roles: &[
        Role::new(1, |r| {
            r.try_reap(0);
        }),
        Role::newcomer(0, |n| {
            if n.inherit() {
                n.produce();
            }
        }),
    ],
    verdict: nothing_more,
    preemptions: Some(2),
    preemptions_ending: Some(1),
};

#[test]
fn nobody_is_reaped_for_the_one_whose_id_it_got() {
    prove(&REAP_NEWCOMER, 100, &[REAP, &[FailPoint::JoinLocked, FailPoint::JoinCleaned]].concat());
}

#[test]
fn a_reaper_without_a_lock_takes_the_slots_of_a_newcomer() {
    refute(&REAP_NEWCOMER, Mutant::ReapUnlocked);
}

/// A claimer that gives way, and is taken for dead while it does, against one that gets the slot by reaping it.
static REAP_MISTAKE: Scenario = Scenario {
    name: "reaped by mistake while giving way",
    setup: || Setup { slots: 1, index_len: 2, frames: &[(1, 0)], locks: &[0], ..Setup::default() },
    roles: &[
        Role::new(0, |p| {
            if let Some(slot) = p.claim_frame(1) {
                p.abandon(slot);
            }
        }),
        Role::new(1, |r| {
            r.consume(1);
            reap_and_produce(r);
        }),
    ],
    verdict: |world| {
        let published = world.oracle.count_published() == 1;
        assert!(
            !published || lease::readable(&world.snapshot(0), 2),
            "a claimer that gave way broke a frame"
        );
    },
    preemptions: Some(3),
    preemptions_ending: Some(3),
};

const MISTAKE: Fate = Fate { role: 0, step: FailPoint::ClaimUnhold, after: 0, end: End::LostLock };

#[test]
fn a_claimer_that_gives_way_cannot_harm_who_got_its_slot() {
    prove_ending(&REAP_MISTAKE, MISTAKE, 100);
}

#[test]
fn a_rollback_that_stores_takes_a_slot_from_its_owner() {
    refute_ending(&REAP_MISTAKE, Mutant::RollbackStores, MISTAKE);
}
