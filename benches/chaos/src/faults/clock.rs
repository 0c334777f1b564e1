//! Clocks: the wall clock jumps, and processes are in time namespaces whose monotonic clocks are far apart.
//!
//! The machine's own clock is left alone: a library that is loaded first makes the processes here see it jump.

use std::path::Path;
use std::process::Command;
use std::time::{Instant, SystemTime};

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
        Err(why) => return Ok(Outcome::only_absent(why.clone())),
    };
    let hours = jump(library)?;
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
            outcome.absent(why);
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
    if hours == 0 {
        outcome.broke("nothing was tried: the clock did not jump");
    }
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
    outcome.tell("frames' times were right on each one's own monotonic clock");
    outcome
        .tell("producers and consumers with such clocks worked with each other, and with those beside them");
    bystanders.finish(&mut outcome)?;
    Ok(outcome)
}

/// By how many hours the first look at the clock is wrong in a program that starts with the library. (A library that cannot be
/// loaded is no error of the program's.)
fn jump(library: &Path) -> Result<u64> {
    let output = Command::new("date").arg("+%s").env("LD_PRELOAD", library).output()?;
    let seen: u64 = String::from_utf8_lossy(&output.stdout).trim().parse()?;
    Ok(seen.abs_diff(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs()) / 3600)
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
