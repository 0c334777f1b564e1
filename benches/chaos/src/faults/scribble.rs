//! Bytes that no participant writes: anywhere in the files, in use and before, and holes in the ring.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use nix::fcntl::{FallocateFlags, fallocate};

use super::Scene;
use super::files::{PARTS, ask_all, renew};
use crate::Result;
use crate::bystanders::{Bystanders, NEAR, Near};
use crate::dice::Dice;
use crate::outcome::Outcome;
use crate::place::Place;
use crate::process::{Process, crash};
use crate::programs::role;
use crate::role::consume::wrote;
use crate::victim::{self, Language, Part};
use crate::visit::must_go;

/// Those who use a topic that is being damaged. They may be told so, and may see frames that are not whole; they may not
/// crash, and not hang.
pub(super) struct Crowd {
    processes: Vec<(Process, bool)>,
}

impl Crowd {
    pub(super) fn start(scene: &Scene<'_>, place: &Place, outcome: &mut Outcome) -> Result<Self> {
        let programs = scene.programs;
        let mut processes = Vec::new();
        for (part, words) in [
            ("produce", &["--tag", "3", "--pause", "500", "--reopen"][..]),
            ("produce", &["--tag", "4", "--grow", "500", "--reopen"]),
            ("consume", &["--reopen"]),
            ("consume", &["--read-only", "--reopen"]),
        ] {
            let mut command = role(&programs.exe, part, place.path(), NEAR);
            let mut process =
                Process::start(&format!("a {part}r of this topic"), command.args(words).arg("--bear"))?;
            process.wait_for("ready")?;
            processes.push((process, true));
        }
        // Frames flow when the damage begins.
        for (process, _) in &mut processes {
            if process.what().contains("consumer") {
                process.wait_for(&wrote(3))?;
                process.wait_for(&wrote(4))?;
            }
        }
        for language in [Language::C, Language::Pipeline] {
            if let Some(why) = language.missing(programs) {
                outcome.absent(why);
                continue;
            }
            let process = victim::start(programs, language, Part::Consume, place.path(), NEAR, 5)?;
            processes.push((process, false));
        }
        Ok(Self { processes })
    }

    /// All of them leave. None may have crashed, except in a way that is `allowed`; how many did.
    pub(super) fn ends(self, outcome: &mut Outcome, allowed: &[&str]) -> Result<u64> {
        let mut died = 0;
        for (mut process, ours) in self.processes {
            if !ours && process.ended()?.is_none() {
                // A pipeline may not have begun to play, and then does not know Ctrl-C yet.
                process.kill()?;
                continue;
            }
            let status = match process.leave() {
                Ok(status) => status,
                Err(error) => {
                    outcome.broke(error.to_string());
                    continue;
                }
            };
            let words = process.last_words();
            match crash(status, &words) {
                Some(how) if allowed.iter().any(|allowed| how.contains(allowed)) => died += 1,
                Some(how) => outcome.broke(format!("{} was {how}: {words}", process.what())),
                // Ours count errors and go on; the others are told of one, and end.
                None if ours && !status.success() => {
                    outcome.broke(format!("{} ended with {status}: {words}", process.what()));
                }
                None => {}
            }
        }
        Ok(died)
    }

    /// Those of ours that ended by themselves are told of and started again by the next round.
    fn all_there(&mut self) -> Result<bool> {
        let mut there = true;
        for (process, ours) in &mut self.processes {
            there &= !*ours || process.ended()?.is_none();
        }
        Ok(there)
    }
}

/// Scribbles over a topic in use.
pub(super) fn in_use(scene: &Scene<'_>) -> Result<Outcome> {
    let mut dice = scene.dice();
    damage(scene, 60, |place, outcome| {
        for _ in 0..1 + dice.below(20) {
            let part = PARTS[dice.place(PARTS.len())];
            // It may have just been removed by one who found it damaged.
            let Ok(path) = place.file(NEAR, part) else { continue };
            let Ok(file) = OpenOptions::new().write(true).open(path) else { continue };
            scribble(&file, part, &mut dice)?;
            outcome.tried += 1;
        }
        Ok(())
    })
    .map(|mut outcome| {
        outcome.tell("whoever used it got values or errors: no crash, no hang");
        outcome
    })
}

/// One word: mostly where something means something.
fn scribble(file: &File, part: &str, dice: &mut Dice) -> Result<()> {
    let len = file.metadata()?.len();
    let control = if part == "ring" { 16 << 10 } else { 24 << 10 };
    let range = match dice.below(4) {
        0 => len,
        1 => len.min(control),
        // The header.
        _ => len.min(512),
    };
    // A word that is written to a truncated file would make it longer.
    if let Some(at) = dice.below(range).checked_sub(8) {
        file.write_all_at(&dice.word().to_le_bytes(), at / 8 * 8)?;
    }
    Ok(())
}

/// Punches holes into the ring of a topic in use: readers fill them again, with zeros.
pub(super) fn punch(scene: &Scene<'_>) -> Result<Outcome> {
    let mut dice = scene.dice();
    damage(scene, 60, |place, outcome| {
        let Ok(path) = place.file(NEAR, "ring") else { return Ok(()) };
        let Ok(file) = OpenOptions::new().read(true).write(true).open(path) else { return Ok(()) };
        let pages = file.metadata()?.len() / 4096;
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let at = i64::try_from(dice.below(pages) * 4096)?;
        fallocate(&file, flags, at, i64::try_from(4096 * (1 + dice.below(64)))?)?;
        outcome.tried += 1;
        Ok(())
    })
    .map(|mut outcome| {
        outcome.tell("pages are zeros then, in payloads as in control words; nobody crashed or hung");
        outcome
    })
}

/// Damages a topic in use again and again, with a new topic each so many times.
fn damage(
    scene: &Scene<'_>,
    each: u64,
    mut act: impl FnMut(&Place, &mut Outcome) -> Result<()>,
) -> Result<Outcome> {
    let place = Place::new()?;
    let exe = &scene.programs.exe;
    let mut outcome = Outcome::default();
    let mut bystanders = Bystanders::start(exe, place.path(), Near::Nobody, 2000)?;
    let begin = Instant::now();
    let mut topics = 0;
    while begin.elapsed() < scene.time || topics == 0 {
        let mut crowd = Crowd::start(scene, &place, &mut outcome)?;
        for _ in 0..each {
            act(&place, &mut outcome)?;
            std::thread::sleep(Duration::from_millis(5));
            if !crowd.all_there()? {
                break;
            }
        }
        bystanders.check()?;
        crowd.ends(&mut outcome, &[])?;
        renew(exe, &place, &mut outcome)?;
        topics += 1;
    }
    outcome.tell(format!("{topics} topics were used until they were beyond use, removed and made again"));
    bystanders.finish(&mut outcome)?;
    Ok(outcome)
}

/// Scribbles over topics that nobody uses: whoever opens one gets on with it, or is told.
pub(super) fn idle(scene: &Scene<'_>) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let place = Place::new()?;
    let exe = &scene.programs.exe;
    let mut bystanders = Bystanders::start(exe, place.path(), Near::Nobody, 2000)?;
    let mut dice = scene.dice();
    let mut told = 0;
    let begin = Instant::now();
    while begin.elapsed() < scene.time || outcome.tried == 0 {
        must_go(exe, place.path(), NEAR, &["--persistent"], &mut outcome)?;
        for _ in 0..1 + dice.below(4) {
            let part = PARTS[dice.place(PARTS.len())];
            scribble(&OpenOptions::new().write(true).open(place.file(NEAR, part)?)?, part, &mut dice)?;
        }
        outcome.tried += 1;
        told += ask_all(exe, &place, &mut outcome)?;
        renew(exe, &place, &mut outcome)?;
        bystanders.check()?;
    }
    outcome
        .tell(format!("{told} times somebody was told that the topic is damaged, the others could use it"));
    bystanders.finish(&mut outcome)?;
    Ok(outcome)
}
