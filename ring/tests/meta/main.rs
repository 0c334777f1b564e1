//! The frame metadata block, seen from outside: any bytes, golden files, the document, other languages.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test's way to fail"
)]

mod any_bytes;
#[path = "../../../fuzz/checks/meta.rs"]
mod check;
mod document;
mod formats;
mod golden;
mod layout;
mod round_trip;
mod samples;
mod strategies;
