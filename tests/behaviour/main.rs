//! What users of GStreamer's own inter-process elements expect, and what they suffer from there: behaviour of whole
//! pipelines, in one process and in several.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test says what it leaves out and what it measured"
)]

#[path = "../support/child.rs"]
mod child;
#[path = "../support/mod.rs"]
mod support;

mod common;

mod disconnect;
mod frozen;
mod negotiation;
mod properties;
mod restart;
mod several;
mod states;
mod timing;
