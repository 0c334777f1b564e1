//! The budget: consumers that hoard never take the slots that producers need.

use super::engine::{Role, Scenario, prove, refute};
use super::world::{Seat, Setup, World};
use crate::layout::words::CONSUMER_BITS;
use crate::protocol::lease::{self, Lease};
use crate::protocol::{FailPoint, Fence, Memory, Mutant, Word};

/// The models of this file.
pub(super) const ALL: &[&Scenario] = &[&BUDGET, &BUDGET_CLAIM];

const RESERVE: u32 = 2;

/// Leases frame `n` and keeps it if the budget allows, else copies it out and releases the lease.
fn hoard(c: &Seat, n: u64) {
    if let Lease::Taken { slot, .. } = c.lease(n) {
        c.world.oracle.received(c.role(), n, c.read(slot));
        if lease::over_budget(c, slot, RESERVE) {
            c.release(slot);
        }
    }
}

/// As many slots as are spare are free of consumers, but for one of each that ended on its way.
fn enough_left(world: &World) {
    let m = world.snapshot(0);
    let held = (0..m.slots())
        .filter(|&slot| m.holders(slot).load(std::sync::atomic::Ordering::Relaxed) & CONSUMER_BITS != 0);
    let unheld = usize::from(m.slots()) - held.count();
    let ended = usize::from(world.oracle.any_gone());
    assert!(unheld + ended >= RESERVE as usize, "consumers took what producers need: {m:?}");
}

/// Two consumers take the last slot that may be taken.
static BUDGET: Scenario = Scenario {
    name: "budget",
    setup: || Setup { slots: 3, index_len: 8, frames: &[(1, 0), (2, 1), (3, 2)], ..Setup::default() },
    roles: &[Role::new(8, |c| hoard(c, 1)), Role::new(9, |c| hoard(c, 2))],
    verdict: enough_left,
    preemptions: None,
    preemptions_ending: None,
};

#[test]
fn two_consumers_never_take_the_last_spare_slots() {
    prove(&BUDGET, 50, &[FailPoint::LeaseHold, FailPoint::LeaseTaken, FailPoint::Release]);
}

#[test]
fn without_a_fence_two_consumers_take_the_last_spare_slots() {
    refute(&BUDGET, Mutant::Without(Fence::Budget));
}

/// The same, with a producer that overwrites meanwhile.
static BUDGET_CLAIM: Scenario = Scenario {
    name: "budget and claim",
    setup: || Setup { slots: 3, index_len: 8, frames: &[(1, 0), (2, 1), (3, 2)], ..Setup::default() },
    roles: &[
        Role::new(8, |c| hoard(c, 1)),
        Role::new(9, |c| hoard(c, 2)),
        Role::new(0, |p| {
            p.produce();
        }),
    ],
    verdict: |world| {
        enough_left(world);
        assert!(
            world.oracle.any_gone() || world.oracle.count_published() == 1,
            "hoarders stalled a producer"
        );
    },
    preemptions: Some(2),
    preemptions_ending: Some(1),
};

#[test]
fn hoarding_consumers_never_stall_a_producer() {
    prove(&BUDGET_CLAIM, 200, &[FailPoint::LeaseHold, FailPoint::ClaimState, FailPoint::PublishIndex]);
}
