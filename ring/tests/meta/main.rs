//! The frame metadata block, seen from outside: any bytes, golden files, the document, other languages.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test's way to fail"
)]

mod any_bytes;
mod attached;
#[path = "../../../fuzz/checks/meta.rs"]
mod check;
#[path = "../common/mod.rs"]
mod common;
mod document;
mod formats;
mod frames;
mod golden;
mod layout;
mod modules;
mod round_trip;
mod samples;
mod strategies;
