//! The real command, run as people and scripts run it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's way to fail"
)]

mod basics;
mod browser;
mod doctor;
mod document;
mod elements;
mod foreign;
mod health;
mod measure;
mod pictures;
mod pipes;
mod recordings;
mod screen;
mod serve;
mod support;
mod view;
mod viewers;
mod web;
mod what;
