//! The life of a topic: who may open it, what it takes, what becomes of it, and what a process does that is another's
//! child, or another user.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test's way to fail"
)]

mod actor;
#[path = "../common/mod.rs"]
mod common;
mod files;
mod forked;
mod life;
mod lock;
mod modes;
mod permissions;
mod signals;
mod space;
mod time_namespaces;
mod waiting;
