//! Opens a topic, publishes and receives a frame, and leaves: says how long that took, or why it could not.

use std::time::{Duration, Instant};

use serde_json::json;
use shmflow::{Consumer, Frame, OnLapped, Producer, StartAt};

use crate::cli::Visit;
use crate::payload::{LEAST, VISITORS, check, fill};
use crate::{Result, say};

pub(crate) fn run(settings: &Visit) -> Result<()> {
    let start = Instant::now();
    // A writer's number is its own; those of the others are small.
    let tag = VISITORS.start + u64::from(std::process::id());
    if settings.receive {
        let mut consumer = Consumer::builder(&settings.topic)
            .dir(&settings.dir)
            .read_only(settings.read_only)
            .start(StartAt::Oldest)
            .on_lapped(OnLapped::Oldest)
            .open()?;
        checked(&consumer.recv_timeout(Duration::from_secs(5))?)??;
        return done(start);
    }
    let producer = Producer::builder(&settings.topic)
        .dir(&settings.dir)
        .depth(settings.depth)
        .slot_capacity(settings.len)
        .persistent(settings.persistent)
        .perms(0o644)
        .open()?;
    let mut consumer = Consumer::builder(&settings.topic).dir(&settings.dir).start(StartAt::Oldest).open()?;
    let mut bytes = buffer(settings.len.max(LEAST))?;
    // Twice around: every slot is written to.
    for count in 1..=2 * u64::from(settings.depth) {
        fill(tag, count, &mut bytes);
        producer.write(&bytes)?;
    }
    loop {
        // Others may publish here, too, and what a fault left need not be whole.
        if checked(&consumer.recv_timeout(Duration::from_secs(5))?)?.is_ok_and(|(writer, _)| writer == tag) {
            return done(start);
        }
    }
}

/// Writer and count of a frame, or what is wrong with it; read by copy: others may scribble on it.
fn checked(frame: &Frame) -> Result<Result<(u64, u64), String>> {
    let mut bytes = buffer(frame.len())?;
    frame.copy_to(&mut bytes);
    Ok(check(&bytes))
}

/// Zeros. Too little memory is an error here, as it is in the library.
fn buffer(len: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len)?;
    bytes.resize(len, 0);
    Ok(bytes)
}

fn done(start: Instant) -> Result<()> {
    say(&json!({ "role": "visit", "ms": start.elapsed().as_secs_f64() * 1000.0 }).to_string())
}
