//! Publishes frames, each of which says in every word which one it is.

use std::time::{Duration, Instant};

use serde_json::json;
use shmflow::{Error, OverflowPolicy, Producer};

use super::leave::Leave;
use crate::cli::Produce;
use crate::payload::{LEAST, fill, length};
use crate::{Result, say};

#[derive(Default)]
struct Seen {
    frames: u64,
    refused: u64,
    reopened: u64,
    errors: u64,
    last_error: String,
    wait: Duration,
}

pub(crate) fn run(settings: &Produce) -> Result<()> {
    let leave = Leave::watch();
    let mut seen = Seen::default();
    let mut count = 0_u64;
    let mut buffer = vec![0; settings.most.max(LEAST)];
    let mut ready = false;
    // A topic that was removed is made again, and counts from 1.
    let mut made_again = false;
    'open: while !leave.is_due() && (settings.frames == 0 || count < settings.frames) {
        let producer = match open(settings, &leave) {
            Ok(producer) => producer,
            Err(error) if settings.bear || settings.reopen && matches!(error, Error::Busy { .. }) => {
                seen.errors += 1;
                seen.last_error = error.to_string();
                std::thread::sleep(Duration::from_millis(20));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if !std::mem::replace(&mut ready, true) {
            say("ready")?;
        }
        while producer.consumer_count() < settings.consumers && !leave.is_due() {
            std::thread::sleep(Duration::from_millis(1));
        }
        while !leave.is_due() && (settings.frames == 0 || count < settings.frames) {
            count += 1;
            let len = length(count, settings.most);
            let grows = settings.grow > 0 && count.is_multiple_of(settings.grow);
            let bytes = &mut buffer[..len];
            fill(settings.tag, count, bytes);
            let start = Instant::now();
            // A page more each time: another geometry, and no more than that.
            let grown = if grows {
                producer.resize(producer.geometry().slot_capacity + 1, settings.depth)
            } else {
                Ok(())
            };
            let written = grown.and_then(|()| producer.write(bytes));
            seen.wait = seen.wait.max(start.elapsed());
            match written {
                Ok(seq) => {
                    seen.frames += 1;
                    if std::mem::take(&mut made_again) && !settings.bear && seq != 1 {
                        return Err(format!("the topic that was made again begins with {seq}").into());
                    }
                }
                Err(Error::NoSlot { .. }) => seen.refused += 1,
                Err(Error::Cancelled { .. }) if leave.is_due() => break,
                Err(Error::Removed { .. }) if settings.reopen => {
                    seen.reopened += 1;
                    made_again = true;
                    continue 'open;
                }
                Err(error) if settings.bear => {
                    seen.errors += 1;
                    seen.last_error = error.to_string();
                    std::thread::sleep(Duration::from_millis(10));
                    if !matches!(
                        error,
                        Error::NoSpace { .. } | Error::PermissionDenied { .. } | Error::Busy { .. }
                    ) {
                        continue 'open;
                    }
                }
                Err(error) => return Err(error.into()),
            }
            if settings.pause > 0 {
                std::thread::sleep(Duration::from_micros(settings.pause));
            }
        }
        if settings.frames > 0 && count >= settings.frames {
            producer.end();
            // A topic goes with its last participant, and there may be one that reads.
            while producer.consumer_count() > 0 && !leave.is_due() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
    say(&json!({
        "role": "produce", "frames": seen.frames, "refused": seen.refused, "reopened": seen.reopened,
        "errors": seen.errors, "last_error": seen.last_error, "wait_ms": seen.wait.as_secs_f64() * 1000.0,
    })
    .to_string())
}

fn open(settings: &Produce, leave: &Leave) -> shmflow::Result<Producer> {
    let mut builder = Producer::builder(&settings.topic)
        .dir(&settings.dir)
        .depth(settings.depth)
        // One for each producer that may be stopped while it writes.
        .spare_slots(10)
        .slot_capacity(settings.most)
        .perms(0o644)
        .cancel_token(&leave.token);
    if settings.lossless {
        builder = builder.overflow_policy(OverflowPolicy::Lossless).stall_timeout(Duration::ZERO);
    }
    builder.open()
}
