//! Interrupted system calls: a signal every 4 ms, as a profiler sends; pipelines are stopped and continued as often.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use shmflow::Producer;

use super::Scene;
use crate::Result;
use crate::bystanders::{Bystanders, NEAR, Near, testimony};
use crate::outcome::Outcome;
use crate::place::Place;
use crate::process::Process;
use crate::victim::{self, Language, Part};

/// A topic without frames.
const SILENT: &str = "silent";
/// How long one waits there.
const WAIT_US: u64 = 300_000;

pub(super) fn every_4_ms(scene: &Scene<'_>) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let place = Place::new()?;
    let mut bystanders = Bystanders::start(&scene.programs.exe, place.path(), Near::Nothing, 2000)?;
    // Nothing is published here.
    let silent = Producer::builder(SILENT).dir(place.path()).open()?;
    let (mut victims, mut waiters) = (Vec::new(), Vec::new());
    for (language, tag) in [(Language::C, 10), (Language::Python, 12), (Language::Pipeline, 14)] {
        if let Some(why) = language.missing(scene.programs) {
            outcome.absent(why);
            continue;
        }
        if language != Language::Pipeline {
            let mut command =
                if language == Language::C { scene.programs.c()? } else { scene.programs.python()? };
            command.args(["wait", SILENT, "0"]).env("SHMFLOW_DIR", place.path());
            let what = format!("a {} consumer of a silent topic", language.name());
            waiters.push(Process::start(&what, &mut command)?);
        }
        for (part, tag) in [(Part::Produce, tag), (Part::Consume, tag + 1)] {
            let mut command = victim::command(scene.programs, language, part, place.path(), NEAR, tag)?;
            if language != Language::Pipeline {
                command.arg("signals");
            }
            victims.push((language, Process::start(&victim::name(language, part), &mut command)?));
        }
    }
    for (language, process) in &mut victims {
        if *language != Language::Pipeline {
            process.wait_for("ready")?;
        }
    }
    for waiter in &mut waiters {
        waiter.wait_for("ready")?;
    }
    let (begin, mut stops) = (Instant::now(), 0_u64);
    while begin.elapsed() < scene.time {
        std::thread::sleep(Duration::from_millis(4));
        for (language, process) in &mut victims {
            if *language == Language::Pipeline {
                process.signal(Signal::SIGSTOP)?;
                process.signal(Signal::SIGCONT)?;
                stops += 1;
            }
        }
        bystanders.check()?;
    }
    outcome.tried = stops;
    let mut interruptions = 0;
    for (language, process) in victims {
        let what = process.what().to_owned();
        match victim::leaves(language, process) {
            Err(error) => outcome.broke(error.to_string()),
            Ok(Value::Null) => {}
            Ok(found) => {
                let number = |key: &str| found.get(key).and_then(Value::as_u64).unwrap_or_default();
                interruptions += number("interruptions");
                if number("frames") == 0 {
                    outcome.broke(format!("{what} got nothing done"));
                }
            }
        }
    }
    let mut waits = 0;
    for mut waiter in waiters {
        let found = testimony(&mut waiter)?;
        let number = |key: &str| found.get(key).and_then(Value::as_u64).unwrap_or_default();
        waits += number("frames");
        if number("least_us") < WAIT_US || number("interruptions") == 0 {
            outcome.broke(format!("{}: {found}", waiter.what()));
        }
        interruptions += number("interruptions");
    }
    drop(silent);
    outcome.tried += interruptions;
    outcome
        .tell(format!("{interruptions} signals, {stops} times stopped and continued; all of them worked on, and {waits} waits for a frame that did not come \
         went on for all of their 300 ms"));
    bystanders.finish(&mut outcome)?;
    Ok(outcome)
}
