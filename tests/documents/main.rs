//! The documents say what is true: their links, their commands and their tables.
//!
//! A binary of its own: it checks what is written and not what the elements do.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod links;
mod readme;
mod reference;
mod service;
#[path = "../elements/support/mod.rs"]
mod support;
mod tools;
