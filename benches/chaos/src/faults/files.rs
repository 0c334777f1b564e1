//! Names taken away, and files truncated, in use and while nobody uses them.

use std::fs::OpenOptions;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::Scene;
use super::scribble::Crowd;
use crate::Result;
use crate::bystanders::{Bystanders, NEAR, Near};
use crate::outcome::Outcome;
use crate::place::Place;
use crate::process::until;
use crate::visit::{Visit, must_go, visit};

/// The files of a topic, as their names say.
pub(super) const PARTS: [&str; 3] = ["peers", "ring", "holds"];

pub(super) fn remove_peers(scene: &Scene<'_>) -> Result<Outcome> {
    remove(scene, |place| unlink(place, &["peers"]))
}

pub(super) fn remove_ring(scene: &Scene<'_>) -> Result<Outcome> {
    remove(scene, |place| unlink(place, &["ring"]))
}

pub(super) fn remove_holds(scene: &Scene<'_>) -> Result<Outcome> {
    remove(scene, |place| unlink(place, &["holds"]))
}

pub(super) fn remove_all(scene: &Scene<'_>) -> Result<Outcome> {
    remove(scene, |place| unlink(place, &PARTS))
}

pub(super) fn remove_asked(scene: &Scene<'_>) -> Result<Outcome> {
    remove(scene, |place| Ok(shmflow::remove(NEAR, Some(place.path()), true).map(drop)?))
}

fn unlink(place: &Place, parts: &[&str]) -> Result<()> {
    for part in parts {
        std::fs::remove_file(place.file(NEAR, part)?)?;
    }
    Ok(())
}

/// The topic's current ring, if it has one.
fn ring(place: &Place) -> Option<u64> {
    let whole = PARTS.iter().all(|part| place.file(NEAR, part).is_ok());
    place.file(NEAR, "ring").ok().filter(|_| whole)?.metadata().ok().map(|data| data.ino())
}

/// Takes names away again and again. Those who use the topic notice, and open the new one.
fn remove(scene: &Scene<'_>, take: impl Fn(&Place) -> Result<()>) -> Result<Outcome> {
    let place = Place::new()?;
    let exe = &scene.programs.exe;
    let mut outcome = Outcome::default();
    let mut bystanders = Bystanders::start(exe, place.path(), Near::Removed, 2000)?;
    let begin = Instant::now();
    while begin.elapsed() < scene.time || outcome.tried == 0 {
        let before = ring(&place);
        take(&place)?;
        outcome.tried += 1;
        let again =
            until("the topic is made again", || ring(&place).is_some_and(|ring| Some(ring) != before))?;
        outcome.recovered_in(again);
        must_go(exe, place.path(), NEAR, &["--receive"], &mut outcome)?;
        bystanders.check()?;
        std::thread::sleep(Duration::from_millis(100));
    }
    outcome.tell("producers made the topic again, and consumers found it, each by itself");
    bystanders.finish(&mut outcome)?;
    Ok(outcome)
}

/// Truncates files of a topic that is in use: those who have it mapped may die of it, and nobody else may.
pub(super) fn truncate(scene: &Scene<'_>) -> Result<Outcome> {
    let place = Place::new()?;
    let exe = &scene.programs.exe;
    let mut outcome = Outcome::default();
    let mut bystanders = Bystanders::start(exe, place.path(), Near::Nobody, 2000)?;
    let mut dice = scene.dice();
    let mut crowd = Crowd::start(scene, &place, &mut outcome)?;
    let mut died = 0;
    let begin = Instant::now();
    while begin.elapsed() < scene.time || outcome.tried < 3 {
        let part = PARTS[usize::try_from(outcome.tried % 3)?];
        let file = OpenOptions::new().write(true).open(place.file(NEAR, part)?)?;
        let len = file.metadata()?.len();
        file.set_len(if dice.below(2) == 0 { 0 } else { len / 2 / 4096 * 4096 })?;
        outcome.tried += 1;
        std::thread::sleep(Duration::from_millis(200));
        bystanders.check()?;
        died += crowd.ends(&mut outcome, &["SIGBUS"])?;
        renew(exe, &place, &mut outcome)?;
        crowd = Crowd::start(scene, &place, &mut outcome)?;
    }
    crowd.ends(&mut outcome, &[])?;
    outcome.tell(format!(
        "{died} who had the file mapped were killed by SIGBUS, which no check can prevent; nobody else was"
    ));
    bystanders.finish(&mut outcome)?;
    Ok(outcome)
}

/// After a fault that leaves a topic unusable: one who comes can use it, or is told, and then it can be removed.
pub(super) fn renew(exe: &Path, place: &Place, outcome: &mut Outcome) -> Result<()> {
    match visit(exe, place.path(), NEAR, &[])? {
        Visit::Went(time) => outcome.recovered_in(time),
        Visit::Crashed(how) => outcome.broke(how),
        Visit::Told(_) => {}
    }
    if let Err(error) = shmflow::remove(NEAR, Some(place.path()), true)
        && !matches!(error, shmflow::Error::TopicNotFound { .. })
    {
        outcome.broke(format!("the topic could not be removed: {error}"));
    }
    must_go(exe, place.path(), NEAR, &[], outcome)
}

/// A topic that nobody uses, each of its files with other lengths, or with its bytes taken out: whoever opens it can use it,
/// or is told why not.
pub(super) fn truncate_idle(scene: &Scene<'_>) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut told = 0;
    let place = Place::new()?;
    let exe = &scene.programs.exe;
    let bystanders = Bystanders::start(exe, place.path(), Near::Nobody, 2000)?;
    for part in PARTS {
        for cut in 0..if scene.settings.quick { 3 } else { 9 } {
            must_go(exe, place.path(), NEAR, &["--persistent"], &mut outcome)?;
            let file = OpenOptions::new().write(true).open(place.file(NEAR, part)?)?;
            let len = file.metadata()?.len();
            match cut {
                // All of it is a hole, at the length that it had.
                0 => file.set_len(0).and_then(|()| file.set_len(len))?,
                1 => file.set_len(0)?,
                2 => file.set_len(len - 1)?,
                3 => file.set_len(1)?,
                4 => file.set_len(100)?,
                5 => file.set_len(4095)?,
                6 => file.set_len(4096)?,
                7 => file.set_len(len / 2)?,
                // Longer than it says.
                _ => file.set_len(len + 4096)?,
            }
            outcome.tried += 1;
            told += ask_all(exe, &place, &mut outcome)?;
            renew(exe, &place, &mut outcome)?;
        }
    }
    outcome
        .tell(format!("{told} times somebody was told that the topic is damaged, the others could use it"));
    bystanders.finish(&mut outcome)?;
    Ok(outcome)
}

/// Consumers of both kinds, and `inspect`, look at a topic; how many were told that they cannot.
pub(super) fn ask_all(exe: &Path, place: &Place, outcome: &mut Outcome) -> Result<u64> {
    let mut told = 0;
    // Reads by `pread` only, so that it can be done here.
    told += u64::from(shmflow::inspect(NEAR, Some(place.path())).is_err());
    for words in [&["--receive"][..], &["--receive", "--read-only"]] {
        match visit(exe, place.path(), NEAR, words)? {
            Visit::Crashed(how) => outcome.broke(how),
            Visit::Told(_) => told += 1,
            Visit::Went(_) => {}
        }
    }
    Ok(told)
}
