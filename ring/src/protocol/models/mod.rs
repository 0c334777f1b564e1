//! The protocol under loom: every interleaving within the bounds, with deaths and stops at every step.
//!
//! The models run the real functions of `protocol` on loom's atomics. `docs/proof.md`, "Models", has the table of what
//! each shows; each prints its line of it. `LOOM_MAX_PREEMPTIONS` raises the bounds (`make loom` does).

// Tests that say what they found.
#![allow(clippy::print_stdout)]

mod actors;
mod engine;
mod futex;
mod oracle;
mod plain;
mod postconditions;
mod roles;
mod world;

mod accepted_caps;
mod backlog;
mod budget;
mod cancel;
mod claiming;
mod end;
mod events;
mod fork_gate;
mod poll_fd;
mod primary;
mod publishing;
mod reaping;
mod sealing;
mod sequential;
mod sleeping;

use std::collections::BTreeSet;

use crate::protocol::FailPoint;

/// Every point of the protocol at which somebody may die is one at which somebody does, in some model.
#[test]
fn the_models_reach_every_step_of_the_protocol() {
    let scenarios = [
        backlog::ALL,
        budget::ALL,
        claiming::ALL,
        publishing::ALL,
        reaping::ALL,
        sealing::ALL,
        sleeping::ALL,
    ]
    .concat();
    let reached: BTreeSet<FailPoint> = scenarios.into_iter().flat_map(engine::reaches).collect();
    // What the layers above do to the list of participants and to files is the kill matrix's.
    let above = [FailPoint::LeaseLook, FailPoint::ReapMask, FailPoint::ReapEntry, FailPoint::SealWake];
    let parts =
        ["Claim", "Abandon", "Publish", "Lease", "Copy", "Release", "Sleep", "Wait", "Freed", "Reap", "Seal"];
    let of_protocol =
        |step: &FailPoint| parts.iter().any(|part| step.name().starts_with(part)) && !above.contains(step);
    let missing: Vec<_> =
        FailPoint::ALL.iter().filter(|step| of_protocol(step) && !reached.contains(step)).collect();
    assert!(missing.is_empty(), "no model reaches {missing:?}");
}
