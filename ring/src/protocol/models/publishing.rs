//! Publications against each other and against copies.

use super::engine::{Role, Scenario, prove, refute};
use super::world::{Setup, World};
use crate::protocol::{FailPoint, Fence, Mutant};

/// The models of this file.
pub(super) const ALL: &[&Scenario] = &[&PUBLISH_PUBLISH, &LAPPING, &PUBLISH_COPY];

const PUBLISH: &[FailPoint] = &[
    FailPoint::PublishPayload,
    FailPoint::PublishMeta,
    FailPoint::PublishStamp,
    FailPoint::PublishIndex,
    FailPoint::PublishHead,
    FailPoint::PublishWake,
    FailPoint::PublishWoken,
    FailPoint::PublishRelease,
];

fn all_out(world: &World, frames: usize) {
    assert!(world.oracle.any_gone() || world.oracle.count_published() == frames, "a frame is missing");
}

/// Two producers publish at the same time.
static PUBLISH_PUBLISH: Scenario = Scenario {
    name: "publish/publish",
    setup: Setup::default,
    roles: &[
        Role::new(0, |p| {
            let slot = p.claim_oldest().unwrap_or_else(|| panic!("two slots for two"));
            p.publish(slot);
        }),
        Role::new(1, |p| {
            p.produce();
        }),
    ],
    verdict: |world| all_out(world, 2),
    preemptions: Some(3),
    preemptions_ending: Some(2),
};

#[test]
fn two_publications_have_two_sequences() {
    prove(&PUBLISH_PUBLISH, 500, PUBLISH);
}

#[test]
fn a_stored_index_entry_loses_a_frame() {
    refute(&PUBLISH_PUBLISH, Mutant::IndexStores);
}

/// One producer laps the whole index while another publishes, with a consumer that reads what it can.
static LAPPING: Scenario = Scenario {
    name: "lapping",
    setup: || Setup { index_len: 2, ..Setup::default() },
    roles: &[
        Role::new(0, |p| {
            for _ in 0..3 {
                p.produce();
            }
        }),
        Role::new(1, |p| {
            p.produce();
        }),
    ],
    verdict: |world| all_out(world, 4),
    preemptions: Some(2),
    preemptions_ending: Some(0),
};

#[test]
fn a_publisher_that_is_lapped_goes_on_at_the_end() {
    prove(&LAPPING, 500, &[PUBLISH, &[FailPoint::PublishHelp]].concat());
}

/// A frame is overwritten while it is copied out without a hold.
static PUBLISH_COPY: Scenario = Scenario {
    name: "publish/copy",
    setup: || Setup { slots: 1, index_len: 2, frames: &[(1, 0)], copied: true, ..Setup::default() },
    roles: &[
        Role::new(0, |p| {
            p.produce();
        }),
        Role::new(8, |c| {
            c.copy(1);
            c.copy(2);
        }),
    ],
    verdict: |world| all_out(world, 1),
    preemptions: Some(3),
    preemptions_ending: Some(2),
};

#[test]
fn a_copy_is_whole_or_refused() {
    prove(&PUBLISH_COPY, 500, &[PUBLISH, &[FailPoint::CopyHalf]].concat());
}

#[test]
fn a_copy_tears_without_the_claimers_fence() {
    refute(&PUBLISH_COPY, Mutant::Without(Fence::Claim));
}

#[test]
fn a_copy_tears_without_its_own_fence() {
    refute(&PUBLISH_COPY, Mutant::Without(Fence::Copy));
}
