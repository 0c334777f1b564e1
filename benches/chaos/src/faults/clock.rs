//! Clocks: the wall clock jumps, and processes are in time namespaces whose monotonic clocks are far apart.
//!
//! The machine's own clock is left alone: a library that is loaded first makes the processes here see it jump.

use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use super::Scene;
use crate::Result;
use crate::bystanders::{Bystanders, NEAR, Near};
use crate::outcome::Outcome;
use crate::place::Place;
use crate::process::Process;
use crate::victim::{self, Language, Part};

pub(super) fn jumps(scene: &Scene<'_>) -> Result<Outcome> {
    let library = match &scene.programs.clock {
        Ok(library) => library,
        Err(why) => return Ok(Outcome::left_out(why.clone())),
    };
    let mut outcome = Outcome::default();
    let place = Place::new()?;
    // 11 days on, as after so much sleep.
    let namespace = ["--time", "--monotonic", "1000000", "--boottime", "1000000", "--fork", "--kill-child"];
    let may =
        Command::new("unshare").args(namespace).arg("true").output().is_ok_and(|done| done.status.success());
    if !may {
        outcome.left_out.push("time namespaces: this user may not make one".into());
    }
    let mut bystanders = Bystanders::start(&scene.programs.exe, place.path(), Near::Nothing, 2000)?;
    let mut victims = Vec::new();
    for (language, tag) in Language::ALL.into_iter().zip([10, 12, 14, 16]) {
        if let Some(why) = language.missing(scene.programs) {
            outcome.left_out.push(why);
            continue;
        }
        for (part, tag) in [(Part::Produce, tag), (Part::Consume, tag + 1)] {
            let mut command = victim::command(scene.programs, language, part, place.path(), NEAR, tag)?;
            // Pipelines are told to leave by a signal, which `unshare` would not pass on.
            if may && language != Language::Pipeline {
                command = inside(&namespace, &command);
            }
            victims.push((
                language,
                Process::start(&victim::name(language, part), command.env("LD_PRELOAD", library))?,
            ));
        }
    }
    let begin = Instant::now();
    while begin.elapsed() < scene.time {
        std::thread::sleep(std::time::Duration::from_millis(20));
        bystanders.check()?;
    }
    outcome.tried = victims.len() as u64;
    for (language, process) in victims {
        let what = process.what().to_owned();
        match victim::leaves(language, process) {
            Err(error) => outcome.broke(error.to_string()),
            Ok(Value::Null) => {}
            Ok(found) if found.get("frames").and_then(Value::as_u64) == Some(0) => {
                outcome.broke(format!("{what} got nothing done"));
            }
            Ok(_) => {}
        }
    }
    outcome
        .tell("producers and consumers with such clocks worked with each other, and with those beside them");
    bystanders.finish(&mut outcome)?;
    Ok(outcome)
}

/// The same command, run by `unshare`.
fn inside(options: &[&str], command: &Command) -> Command {
    let mut outer = Command::new("unshare");
    outer.args(options).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}
