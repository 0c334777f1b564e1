//! Very many: consumers, opens and closes, frames.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::Scene;
use crate::Result;
use crate::bystanders::{Bystanders, NEAR, Near, testimony};
use crate::outcome::Outcome;
use crate::place::Place;
use crate::process::Process;
use crate::programs::role;

fn number(found: &Value, key: &str) -> u64 {
    found.get(key).and_then(Value::as_u64).unwrap_or_default()
}

/// A hundred consumers: 56 have a place of their own, the others receive copies.
pub(super) fn crowd(scene: &Scene<'_>) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let place = Place::new()?;
    let exe = &scene.programs.exe;
    let mut bystanders = Bystanders::start(exe, place.path(), Near::Nothing, 20_000)?;
    let mut consumers = Vec::new();
    for n in 1..=100 {
        let mut command = role(exe, "consume", place.path(), NEAR);
        consumers.push(Process::start(&format!("consumer {n} of 100"), &mut command)?);
    }
    for consumer in &mut consumers {
        consumer.wait_for("ready")?;
    }
    let begin = Instant::now();
    while begin.elapsed() < scene.time {
        std::thread::sleep(Duration::from_millis(50));
        bystanders.check()?;
    }
    let (mut frames, mut copied, mut lost) = (0, 0, 0);
    for consumer in &mut consumers {
        let found = testimony(consumer)?;
        if number(&found, "frames") == 0 {
            outcome.broke(format!("{} had no frame", consumer.what()));
        }
        frames += number(&found, "frames");
        copied += number(&found, "copied");
        lost += number(&found, "lost");
        outcome.tried += 1;
    }
    outcome.lost += lost;
    outcome.tell(format!("{frames} frames checked by the hundred, {copied} of them copies"));
    bystanders.finish(&mut outcome)?;
    Ok(outcome)
}

/// 10,000 opens and closes by four processes: of a topic in use, and of topics that come and go.
pub(super) fn opens(scene: &Scene<'_>) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let place = Place::new()?;
    let exe = &scene.programs.exe;
    let mut bystanders = Bystanders::start(exe, place.path(), Near::Nothing, 2000)?;
    let times = if scene.settings.quick { 100 } else { 2500 };
    let mut processes = Vec::new();
    for n in 1..=4 {
        let mut command = role(exe, "opens", place.path(), NEAR);
        command.args(["--own", &format!("own-{n}"), "--times", &times.to_string()]);
        processes.push(Process::start("one who opens and closes", &mut command)?);
    }
    let begin = Instant::now();
    for process in &mut processes {
        while process.ended()?.is_none() {
            bystanders.check()?;
            if begin.elapsed() > Duration::from_secs(600) {
                return Err(format!("{} hangs", process.what()).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let found = testimony(process)?;
        outcome.tried += number(&found, "frames");
        for key in ["files", "mappings", "threads"] {
            let pair = |at: usize| found.get(key).and_then(|pair| pair.get(at)?.as_u64()).unwrap_or_default();
            if pair(1) > pair(0) + 1 {
                outcome.broke(format!("{key} of a process: {} before, {} after", pair(0), pair(1)));
            }
        }
    }
    if place.files().iter().any(|path| path.to_string_lossy().contains("own-")) {
        outcome.broke("files of topics are left that everybody has closed");
    }
    outcome.tell("no descriptor, mapping, thread or file more than before");
    bystanders.finish(&mut outcome)?;
    Ok(outcome)
}

/// As many frames as a day has at 30 a second, to consumers that are waited for: none may be missing.
pub(super) fn day(scene: &Scene<'_>) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let place = Place::new()?;
    let exe = &scene.programs.exe;
    let mut bystanders = Bystanders::start(exe, place.path(), Near::Nobody, 2000)?;
    let frames: u64 = if scene.settings.quick { 50_000 } else { 24 * 3600 * 30 };
    let mut command = role(exe, "produce", place.path(), NEAR);
    command.args([
        "--tag",
        "3",
        "--pause",
        "0",
        "--lossless",
        "--consumers",
        "2",
        "--most",
        "200",
        "--depth",
        "512",
    ]);
    let mut producer =
        Process::start("the producer of a day", command.args(["--frames", &frames.to_string()]))?;
    let mut consumers = Vec::new();
    for _ in 0..2 {
        consumers.push(Process::start("a consumer of a day", &mut role(exe, "consume", place.path(), NEAR))?);
    }
    let begin = Instant::now();
    for process in consumers.iter_mut().chain([&mut producer]) {
        while process.ended()?.is_none() {
            bystanders.check()?;
            if begin.elapsed() > Duration::from_secs(900) {
                return Err(format!("{} hangs", process.what()).into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let found = testimony(process)?;
        if number(&found, "frames") != frames || number(&found, "lost") != 0 {
            outcome.broke(format!("{} had {} of {frames} frames", process.what(), number(&found, "frames")));
        }
    }
    outcome.tried = frames;
    let rate = frames as f64 / begin.elapsed().as_secs_f64();
    outcome.tell(format!("all {frames} frames arrived at both consumers, {rate:.0} a second"));
    bystanders.finish(&mut outcome)?;
    Ok(outcome)
}
