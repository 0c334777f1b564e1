//! What the tests of this tree do more thoroughly than could be done here: they are run, and what they count is told.

use std::process::Command;
use std::time::{Duration, Instant};

use super::Scene;
use crate::Result;
use crate::bystanders::{Bystanders, Near};
use crate::outcome::Outcome;
use crate::place::Place;
use crate::process::Process;

/// `docs/kill-matrix.md`.
pub(super) fn kill_points(scene: &Scene<'_>) -> Result<Outcome> {
    run(scene, &[("-p shmflow --features failpoints --test kill_matrix --test kill_points", "")])
}

pub(super) fn tests(scene: &Scene<'_>) -> Result<Outcome> {
    run(
        scene,
        &[
            ("-p shmflow --test torture", ""),
            (
                "-p shmflow --test security --test mutations --test fuzz_corpus --test races --test lifecycle",
                "",
            ),
            ("-p gst-plugin-shmflow --test elements", "faults::"),
        ],
    )
}

fn run(scene: &Scene<'_>, suites: &[(&str, &str)]) -> Result<Outcome> {
    if scene.settings.quick {
        return Ok(Outcome::left_out("not in a quick run"));
    }
    let mut outcome = Outcome::default();
    let place = Place::new()?;
    let mut bystanders = Bystanders::start(&scene.programs.exe, place.path(), Near::Nobody, 2000)?;
    for (words, filter) in suites {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command
            .args(["test", "--locked", "--no-fail-fast"])
            .args(words.split(' '))
            .current_dir(&scene.programs.root);
        command.args(["--", "--nocapture"]).args((!filter.is_empty()).then_some(filter));
        let mut tests = Process::start(&format!("cargo test {words} {filter}"), &mut command)?;
        let begin = Instant::now();
        let status = loop {
            match tests.ended()? {
                Some(status) => break status,
                None if begin.elapsed() > Duration::from_secs(3600) => {
                    return Err(format!("{} hangs: {}", tests.what(), tests.last_words()).into());
                }
                None => std::thread::sleep(Duration::from_millis(100)),
            }
            bystanders.check()?;
        };
        if count(&tests.printed(), words, &mut outcome) == 0 {
            outcome.broke(format!("{} ran no test that passed", tests.what()));
        }
        if !status.success() {
            outcome.broke(format!("{} failed: {}", tests.what(), tests.last_words()));
        }
    }
    bystanders.finish(&mut outcome)?;
    Ok(outcome)
}

/// Takes numbers out of what tests print; how many tests passed.
fn count(printed: &str, words: &str, outcome: &mut Outcome) -> u64 {
    let mut passed = 0;
    for line in printed.lines() {
        if let Some((_, rest)) = line.split_once("test result: ") {
            let number = rest.split(". ").nth(1).and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
            passed += number.unwrap_or_default();
        }
        if let Some((_, rest)) = line.split_once("kill matrix: ") {
            outcome.tried +=
                rest.split(' ').next().and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
            outcome.tell(rest.split(" in ").next().unwrap_or(rest));
        }
        if let Some((_, rest)) = line.split_once("torture of ") {
            // How many processes there were is not a number of faults.
            let numbers = rest.split_once(": ").map_or(rest, |(_, numbers)| numbers);
            outcome.tried += numbers
                .split(", ")
                .take(2)
                .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
                .sum::<u64>();
            outcome.tell(format!("torture: {numbers}"));
        }
    }
    outcome.tried = outcome.tried.max(passed);
    outcome.tell(format!("`cargo test {words}`: {passed} tests passed"));
    passed
}
