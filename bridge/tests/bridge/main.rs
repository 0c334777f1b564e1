//! Real bridges between two directories, which stand for two hosts, over loopback.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test's way to fail"
)]

mod demand;
mod failures;
mod frames;
mod hostile;
mod lossless;
mod namespaces;
mod recipes;
mod security;
mod support;
mod time;
