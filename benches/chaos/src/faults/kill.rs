//! Programs killed and stopped at random, and programs killed whose forked children live on.

use std::path::Path;
use std::time::{Duration, Instant};

use super::Scene;
use crate::Result;
use crate::bystanders::{Bystanders, NEAR, Near};
use crate::dice::Dice;
use crate::outcome::Outcome;
use crate::payload::REPEATING;
use crate::place::Place;
use crate::process::{Process, until};
use crate::victim::{self, Language, Part};

pub(super) fn rust(scene: &Scene<'_>) -> Result<Outcome> {
    rage(scene, Language::Rust)
}

pub(super) fn c(scene: &Scene<'_>) -> Result<Outcome> {
    rage(scene, Language::C)
}

pub(super) fn python(scene: &Scene<'_>) -> Result<Outcome> {
    rage(scene, Language::Python)
}

pub(super) fn pipeline(scene: &Scene<'_>) -> Result<Outcome> {
    rage(scene, Language::Pipeline)
}

/// What one says that cannot open because a stopped one is in the way; that is what it should say.
const BUSY: &str = "has been opening, closing or enlarging it";

/// The number of the first victim.
const FIRST: u64 = 10;

struct Victim {
    process: Process,
    part: Part,
    goes_on: Option<Instant>,
}

fn rage(scene: &Scene<'_>, language: Language) -> Result<Outcome> {
    if let Some(why) = language.missing(scene.programs) {
        return Ok(Outcome::only_absent(why));
    }
    let place = Place::new()?;
    let mut outcome = Outcome::default();
    let mut bystanders = Bystanders::start(&scene.programs.exe, place.path(), Near::Nothing, 2000)?;
    let mut dice = scene.dice();
    let mut tag = FIRST - 1;
    let mut start = |part| -> Result<Victim> {
        tag += 1;
        let process = victim::start(scene.programs, language, part, place.path(), NEAR, tag)?;
        Ok(Victim { process, part, goes_on: None })
    };
    let mut victims = Vec::new();
    for part in [Part::Produce, Part::Consume, Part::Produce, Part::Consume, Part::Consume] {
        victims.push(start(part)?);
    }
    // All of them are at work when it begins: a pipeline needs its time to start.
    let base = if language == Language::Pipeline { REPEATING } else { 0 };
    for (tag, victim) in (base + FIRST..).zip(&victims) {
        if victim.part == Part::Produce {
            bystanders.wait_for_writer(tag)?;
        }
        until(&format!("{} has opened the topic", victim.process.what()), || uses(victim, place.path()))?;
    }
    let (mut killed, mut stopped, mut busy, mut using) = (0_u64, 0_u64, 0_u64, 0_u64);
    let begin = Instant::now();
    while begin.elapsed() < scene.time {
        std::thread::sleep(pace(language, &mut dice));
        bystanders.check()?;
        let now = Instant::now();
        for victim in &mut victims {
            if victim.goes_on.is_some_and(|at| at <= now) {
                victim.process.go_on()?;
                victim.goes_on = None;
            }
            if let Some(status) = victim.process.ended()? {
                let words = victim.process.last_words();
                if words.contains(BUSY) {
                    busy += 1;
                } else {
                    outcome.broke(format!("{} ended with {status}: {words}", victim.process.what()));
                }
                *victim = start(victim.part)?;
            }
        }
        let which = dice.place(victims.len());
        let Some(victim) = victims.get_mut(which) else { continue };
        let kills = dice.below(2) == 0;
        if kills || victim.goes_on.is_none() {
            using += u64::from(uses(victim, place.path()));
        }
        if kills {
            victim.process.kill()?;
            killed += 1;
            *victim = start(victim.part)?;
        } else if victim.goes_on.is_none() {
            victim.process.stop()?;
            stopped += 1;
            // Mostly short; at times longer than those wait who open a topic.
            let ms = if dice.below(40) == 0 { 5500 } else { 1 + dice.below(400) };
            victim.goes_on = Some(now + Duration::from_millis(ms));
        }
    }
    // Half are killed where they are, stopped or not; the others leave.
    for (number, mut victim) in victims.into_iter().enumerate() {
        if number % 2 == 0 {
            victim.process.kill()?;
            killed += 1;
            continue;
        }
        victim.process.go_on()?;
        if language == Language::Pipeline {
            // One that has not begun to play does not know Ctrl-C yet.
            victim.process.kill()?;
            continue;
        }
        match victim::leaves(language, victim.process) {
            Err(error) if !error.to_string().contains(BUSY) => outcome.broke(error.to_string()),
            _ => {}
        }
    }
    outcome.tried = killed + stopped;
    outcome.tell(format!(
        "{killed} killed, {stopped} stopped and continued, {using} of them while they had the topic open"
    ));
    if busy > 0 {
        outcome.tell(format!("{busy} could not open meanwhile, and were told that a process is in the way"));
    }
    let writers = bystanders.finish(&mut outcome)?;
    // Those who only began to start show nothing.
    if using == 0 || writers == 0 {
        outcome.broke(format!(
            "nothing was tried: {using} had the topic open when it happened to them, and {writers} of them published frames"
        ));
    }
    outcome.tell(format!("frames of {writers} of them arrived"));
    Ok(outcome)
}

/// Whether a victim has the topic open: that its files are mapped shows from outside, in every language.
fn uses(victim: &Victim, dir: &Path) -> bool {
    let name = dir.join(format!("shmflow.{NEAR}.ring"));
    victim.process.maps().contains(&*name.to_string_lossy())
}

/// How long until the next one: long enough for most to have begun.
fn pace(language: Language, dice: &mut Dice) -> Duration {
    match language {
        Language::Rust | Language::C => dice.milliseconds(5, 45),
        Language::Python | Language::Pipeline => dice.milliseconds(60, 260),
    }
}

/// Programs that forked, and are killed; their children have inherited everything, and live.
pub(super) fn forked(scene: &Scene<'_>) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let place = Place::new()?;
    let mut bystanders = Bystanders::start(&scene.programs.exe, place.path(), Near::Nothing, 2000)?;
    // Their input stays open, which keeps the children alive.
    let mut dead = Vec::new();
    let begin = Instant::now();
    let mut languages = Vec::new();
    for language in [Language::C, Language::Python] {
        match language.missing(scene.programs) {
            Some(why) => outcome.absent(why),
            None => languages.push(language),
        }
    }
    let mut tag = 9;
    // More producers than a topic has places for: those of the dead must be free again.
    while !languages.is_empty() && (begin.elapsed() < scene.time || outcome.tried < 24) {
        for language in &languages {
            for part in [Part::Produce, Part::Consume] {
                tag += 1;
                let mut command = victim::command(scene.programs, *language, part, place.path(), NEAR, tag)?;
                let mut process = Process::start(&victim::name(*language, part), command.arg("fork"))?;
                process.wait_for("ready")?;
                std::thread::sleep(Duration::from_millis(5));
                process.kill()?;
                dead.push(process);
                outcome.tried += 1;
            }
            bystanders.check()?;
        }
    }
    outcome.tell(format!("{} killed, whose children live on until the end", outcome.tried));
    bystanders.finish(&mut outcome)?;
    Ok(outcome)
}
