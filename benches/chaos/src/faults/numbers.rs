//! The end of the sequence numbers.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use serde_json::Value;
use shmflow::{Consumer, Error, OnLapped, Producer, StartAt};

use super::Scene;
use crate::Result;
use crate::bystanders::{Bystanders, NEAR, Near, testimony};
use crate::outcome::Outcome;
use crate::payload::{check, fill};
use crate::place::Place;
use crate::process::Process;
use crate::programs::role;
use crate::visit::must_go;

/// The first number that no frame can have; see docs/layout.md.
const END: u64 = (1 << 48) - 1;

/// A topic that is about to run out of numbers: nothing wraps, everybody is told, and a new topic begins at 1.
pub(super) fn near_the_end(scene: &Scene<'_>) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let place = Place::new()?;
    let exe = &scene.programs.exe;
    let bystanders = Bystanders::start(exe, place.path(), Near::Nobody, 2000)?;
    for left in [1_u64, 2, 60, 1000] {
        must_go(exe, place.path(), NEAR, &["--persistent"], &mut outcome)?;
        skip_to(&place, END - left)?;
        // A topic of its own, which nobody else damages: it may be used here.
        let producer = Producer::builder(NEAR).dir(place.path()).open()?;
        let mut consumer = Consumer::builder(NEAR)
            .dir(place.path())
            .start(StartAt::Oldest)
            .on_lapped(OnLapped::Oldest)
            .open()?;
        let mut other = role(exe, "consume", place.path(), NEAR);
        let mut other = Process::start("a consumer at the end of the numbers", other.arg("--bear"))?;
        other.wait_for("ready")?;
        let mut bytes = vec![0; 100];
        for count in 1..=left {
            fill(3, count, &mut bytes);
            let seq = producer.write(&bytes)?;
            let frame = consumer.recv_timeout(Duration::from_secs(10))?;
            if seq != END - left + count - 1 || frame.seq() != seq || check(&frame) != Ok((3, count)) {
                outcome.broke(format!(
                    "frame {count} of the last {left} has number {seq}, received as {frame:?}"
                ));
            }
            outcome.tried += 1;
        }
        for _ in 0..3 {
            match producer.write(&bytes) {
                Err(Error::Corrupt { .. }) => {}
                other => outcome.broke(format!("a frame beyond the last number: {other:?}")),
            }
        }
        let next = consumer.recv_timeout(Duration::from_millis(50));
        if !matches!(next, Err(Error::Timeout { .. } | Error::Corrupt { .. })) {
            outcome.broke(format!("after the last number: {next:?}"));
        }
        // The other one is told, too: whatever it did not read in time is out of reach. It neither hangs nor crashes.
        let found = testimony(&mut other)?;
        if found.get("torn").and_then(Value::as_u64) != Some(0) {
            outcome.broke(format!("another consumer saw {found}"));
        }
        drop((consumer, producer));
        shmflow::remove(NEAR, Some(place.path()), true)?;
        must_go(exe, place.path(), NEAR, &[], &mut outcome)?;
    }
    outcome.tell("the last number is used, then producers are told; nothing wraps around; removed and made again, it begins at 1");
    bystanders.finish(&mut outcome)?;
    Ok(outcome)
}

/// Has the numbers of a topic that nobody uses go on at `seq`, as if so many frames had been.
fn skip_to(place: &Place, seq: u64) -> Result<()> {
    let ring = OpenOptions::new().read(true).write(true).open(place.file(NEAR, "ring")?)?;
    let word = |at: u64| -> Result<u64> {
        let mut bytes = [0; 8];
        ring.read_exact_at(&mut bytes, at)?;
        Ok(u64::from_le_bytes(bytes))
    };
    // As in docs/layout.md: no entry, no frame, and both the first and the next number.
    let (slots, len, index, states) = (word(32)?, word(80)?, word(88)?, word(96)?);
    for n in 0..len {
        ring.write_all_at(&[0; 8], index + 8 * n)?;
    }
    for n in 0..slots {
        ring.write_all_at(&[0; 64], states + 64 * n)?;
    }
    ring.write_all_at(&seq.to_le_bytes(), 128)?;
    ring.write_all_at(&seq.to_le_bytes(), 192)?;
    Ok(())
}
