//! The protocol under loom: every interleaving within the bounds, with deaths and stops at every step.
//!
//! The models run the real functions of `protocol` on loom's atomics. `docs/proof.md`, "Models", has the table of what
//! each shows; each prints its line of it. `LOOM_MAX_PREEMPTIONS` raises the bounds (`make loom` does).

// Tests that say what they found.
#![allow(clippy::print_stdout)]

mod aftermath;
mod book;
mod engine;
mod futex;
mod plain;
mod roles;
mod world;

mod budget;
mod claiming;
mod publishing;
mod reaping;
mod sealing;
mod sequential;
mod sleeping;
