//! The documents say what is true: their links, their commands, their tables and the demo.
//!
//! A binary of its own: it checks what is written and not what the elements do, and the demo has to be built for it, as
//! `cargo test` does by itself.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod demo;
mod links;
mod readme;
mod reference;
mod service;
#[path = "../elements/support/mod.rs"]
mod support;
mod tools;
