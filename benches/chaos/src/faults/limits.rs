//! Limits of a process (`ulimit`): from where it starts at all to where it needs no more, each is an error or enough.

use std::process::Command;
use std::time::Duration;

use super::Scene;
use crate::Result;
use crate::bystanders::{Bystanders, NEAR, Near};
use crate::outcome::Outcome;
use crate::place::{Place, files as files_in};
use crate::programs::role;
use crate::victim::Language;
use crate::visit::{Visit, run};

pub(super) fn files(scene: &Scene<'_>) -> Result<Outcome> {
    sweep(scene, "n", |step| 3 + step, 64)
}

/// In KiB, as `ulimit` has it.
pub(super) fn memory(scene: &Scene<'_>) -> Result<Outcome> {
    sweep(scene, "v", |step| 2048 * (1 + step), 256)
}

/// In blocks of 512 bytes.
pub(super) fn file_size(scene: &Scene<'_>) -> Result<Outcome> {
    sweep(scene, "f", |step| if step < 8 { step } else { 1 << (step - 5).min(40) }, 36)
}

/// What Rust's and C's own libraries say before they abort, because there is no memory for a few bytes of theirs: nobody can
/// promise to go on without any. A topic, or a copy of a frame, is more than that, and its absence is an error.
fn had_no_heap(words: &str) -> bool {
    let few = words.split_once("memory allocation of ").and_then(|(_, rest)| {
        let number: u64 = rest.split(' ').next()?.parse().ok()?;
        Some(number < FEW)
    });
    few.unwrap_or_else(|| words.contains("Fatal glibc error"))
}

/// Bytes: far fewer than the frames that are sent here have.
const FEW: u64 = 64 << 10;

/// Runs programs with one limit after the other: a new topic, and the honest ones' topic.
fn sweep(scene: &Scene<'_>, limit: &str, value: impl Fn(u64) -> u64, steps: u64) -> Result<Outcome> {
    let place = Place::new()?;
    let exe = &scene.programs.exe;
    let mut outcome = Outcome::default();
    let mut bystanders = Bystanders::start(exe, place.path(), Near::Nothing, 2000)?;
    let (mut told, mut went, mut heapless) = (0_u64, 0_u64, 0_u64);
    // A ring of 16 MB, and one that is there; and, from C, that one too.
    let large = ["--len", "1000000", "--depth", "16"];
    for (topic, language, words) in [
        ("new", Language::Rust, &large[..]),
        (NEAR, Language::Rust, &["--receive"]),
        (NEAR, Language::C, &[]),
    ] {
        if let Some(why) = language.missing(scene.programs) {
            outcome.absent(why);
            continue;
        }
        let mut started = false;
        let mut enough = 0;
        for step in (0..steps).step_by(if scene.settings.quick { 3 } else { 1 }) {
            // What a program needs to start at all is not ours to say.
            let value = value(step);
            started = started || starts(limited(limit, value, exe).arg("--version"));
            if !started {
                continue;
            }
            let command = if language == Language::C {
                let mut command = scene.programs.c()?;
                command
                    .args(["produce", topic, &(100 + outcome.tried).to_string(), "10"])
                    .env("SHMFLOW_DIR", place.path());
                command
            } else {
                let mut command = role(exe, "visit", place.path(), topic);
                command.args(words);
                command
            };
            let mut shell = limited(limit, value, command.get_program());
            shell.args(command.get_args()).env("SHMFLOW_DIR", place.path());
            outcome.tried += 1;
            match run(&format!("{} with ulimit -{limit} {value}", language.name()), &mut shell)? {
                Visit::Went(_) => {
                    went += 1;
                    enough += 1;
                    // It needs no more.
                    if enough == 3 {
                        break;
                    }
                }
                Visit::Told(why) if why.is_empty() => {
                    outcome.broke(format!("ulimit -{limit} {value}: no word of why"))
                }
                // Frames are there, and who has the topic open gets them or is told why not.
                Visit::Told(why) if why.contains("timed out") => {
                    outcome.broke(format!("ulimit -{limit} {value}: {why}"));
                }
                Visit::Told(_) => told += 1,
                Visit::Crashed(how) if limit == "v" && had_no_heap(&how) => heapless += 1,
                Visit::Crashed(how) => outcome.broke(how),
            }
            bystanders.check()?;
        }
        if enough == 0 {
            outcome
                .broke(format!("ulimit -{limit}: it never was enough for {} on `{topic}`", language.name()));
        }
    }
    if told == 0 {
        outcome.broke(format!("ulimit -{limit}: it never was too little"));
    }
    // A process may have died of its limit at any point: its topic must not be left in anybody's way.
    crate::visit::must_go(exe, place.path(), "new", &[], &mut outcome)?;
    std::thread::sleep(Duration::from_millis(10));
    if files_in(place.path()).iter().any(|path| path.to_string_lossy().contains("shmflow.new.")) {
        outcome.broke("files are left behind");
    }
    outcome.tell(format!("{told} were told what is too little, for {went} it was enough"));
    if heapless > 0 {
        outcome.tell(format!("{heapless} had no memory left for a few bytes of their own, and aborted"));
    }
    bystanders.finish(&mut outcome)?;
    Ok(outcome)
}

/// A shell that sets a limit and becomes the program; arguments follow.
fn limited(limit: &str, value: u64, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -{limit} {value} && exec \"$@\""), "sh"]).arg(program);
    shell
}

fn starts(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_few_bytes_are_forgiven() {
        assert!(had_no_heap("killed by SIGABRT: memory allocation of 48 bytes failed"));
        assert!(had_no_heap("killed by SIGABRT: Fatal glibc error: malloc"));
        assert!(!had_no_heap("killed by SIGABRT: memory allocation of 1000000 bytes failed"));
        assert!(!had_no_heap("killed by SIGSEGV"));
    }
}
