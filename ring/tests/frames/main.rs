//! Frames from producers to consumers within one process.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test's way to fail")]

#[path = "../common/mod.rs"]
mod common;
mod consumers;
mod ends;
mod flow;
mod growth;
#[path = "../common/sleeper.rs"]
mod sleeper;
mod slots;

pub(crate) use sleeper::{sleeper, sleeps};

use common::Dir;
use shmflow::{Consumer, Producer};

pub(crate) fn pair(dir: &Dir) -> (Producer, Consumer) {
    let producer = Producer::builder("t").dir(dir).open().unwrap();
    let consumer = Consumer::builder("t").dir(dir).open().unwrap();
    (producer, consumer)
}
