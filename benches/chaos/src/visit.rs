//! One who comes after a fault: opens the topic, publishes, receives, leaves; or is told why not.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::Result;
use crate::outcome::Outcome;
use crate::process::{Process, crash};
use crate::programs::role;

/// What became of it.
#[derive(Debug)]
pub(crate) enum Visit {
    Went(Duration),
    /// It was refused, with this sentence.
    Told(String),
    /// It was killed, or panicked.
    Crashed(String),
}

/// Visits a topic in a process of its own. `words` are for the role.
pub(crate) fn visit(exe: &Path, dir: &Path, topic: &str, words: &[&str]) -> Result<Visit> {
    let mut command = role(exe, "visit", dir, topic);
    run("a newcomer", command.args(words))
}

/// Runs a command to its end, and says what came of it. One that hangs is an error.
pub(crate) fn run(what: &str, command: &mut Command) -> Result<Visit> {
    let mut process = Process::start(what, command)?;
    let status = process.wait()?;
    let words = process.last_words();
    if let Some(crash) = crash(status, &words) {
        return Ok(Visit::Crashed(format!("{what} {crash}: {words}")));
    }
    if !status.success() {
        let said = words.strip_prefix("shmflow-chaos: ").unwrap_or(&words);
        return Ok(Visit::Told(said.into()));
    }
    let last = process.printed();
    let ms = last.lines().rev().find(|line| line.starts_with('{'));
    let ms =
        ms.and_then(|line| serde_json::from_str::<Value>(line).ok()?.get("ms")?.as_f64()).unwrap_or_default();
    Ok(Visit::Went(Duration::from_secs_f64(ms / 1000.0)))
}

/// A newcomer has to get on with the topic as it is.
pub(crate) fn must_go(
    exe: &Path,
    dir: &Path,
    topic: &str,
    words: &[&str],
    outcome: &mut Outcome,
) -> Result<()> {
    match visit(exe, dir, topic, words)? {
        Visit::Went(time) => outcome.recovered_in(time),
        Visit::Told(why) | Visit::Crashed(why) => {
            outcome.broke(format!("a newcomer could not use the topic: {why}"))
        }
    }
    Ok(())
}
