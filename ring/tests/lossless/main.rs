//! Lossless delivery: a producer that waits, for whom, for how long, and what ends it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test's way to fail and to tell"
)]

#[path = "../common/mod.rs"]
mod common;
mod ends;
mod owed;
mod processes;
mod stalls;

use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use common::payload::{LEAST, payload};
use common::{Dir, wait_until};
use shmflow::{Consumer, ConsumerBuilder, OverflowPolicy, Producer, ProducerBuilder, StartAt};

/// The machine may have more to do than these tests: what takes longer is stuck.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) fn lossless(dir: &Dir) -> ProducerBuilder {
    Producer::builder("t")
        .dir(dir)
        .depth(4)
        .slot_capacity(256)
        .overflow_policy(OverflowPolicy::Lossless)
        .stall_timeout(Duration::ZERO)
}

pub(crate) fn next(dir: &Dir) -> ConsumerBuilder {
    Consumer::builder("t").dir(dir).start(StartAt::Next)
}

/// Publishes until the ring is full of frames that somebody is owed; how many.
pub(crate) fn fill(producer: &Producer) -> u64 {
    let slots = u64::from(producer.geometry().slots);
    for count in 1..=slots {
        producer.write(&payload(1, count, LEAST)).unwrap();
    }
    slots
}

/// Whether a producer waits. See `waiters` in docs/layout.md.
pub(crate) fn waits(dir: &Dir) -> bool {
    let mut word = [0; 8];
    let peers = std::fs::File::open(dir.path().join("shmflow.t.peers")).unwrap();
    peers.read_exact_at(&mut word, 328).unwrap();
    u64::from_le_bytes(word) != 0
}

/// Publishes one more frame in a thread, and when that waits does `meanwhile`; how long the wait took after that.
pub(crate) fn released_by(dir: &Dir, producer: &Producer, meanwhile: impl FnOnce()) -> Duration {
    std::thread::scope(|scope| {
        let write = scope.spawn(|| {
            producer.write(&payload(1, 1000, LEAST)).unwrap();
            Instant::now()
        });
        wait_until("the producer waits", || waits(dir));
        assert!(!write.is_finished());
        let start = Instant::now();
        meanwhile();
        let waited = write.join().unwrap().saturating_duration_since(start);
        assert!(!waits(dir), "its bit outlives its wait");
        waited
    })
}
