//! A file system that is full, or has no file entries left: one of this fault's own, which needs root rights.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use serde_json::{Value, json};

use super::Scene;
use crate::bystanders::{Bystanders, FAR, GROWING, NEAR, Near};
use crate::cli::Small;
use crate::outcome::Outcome;
use crate::place::{Place, files};
use crate::process::{Process, until};
use crate::programs::role;
use crate::visit::{Visit, must_go, visit};
use crate::{Result, say};

/// What a role says that may not mount.
const REFUSED: &str = "may not mount";

pub(super) fn full(scene: &Scene<'_>) -> Result<Outcome> {
    in_small(scene, false)
}

pub(super) fn entries(scene: &Scene<'_>) -> Result<Outcome> {
    in_small(scene, true)
}

/// Runs the fault in a process that has mounts of its own, and so have those that it starts.
fn in_small(scene: &Scene<'_>, entries: bool) -> Result<Outcome> {
    let place = Place::new()?;
    let mut command = Command::new(&scene.programs.exe);
    command.arg("small").arg("--dir").arg(place.path());
    command.args(["--seconds", &scene.time.as_secs_f64().to_string()]);
    if entries {
        command.arg("--entries");
    }
    let mut process = Process::start("a process with a small file system", &mut command)?;
    let deadline = Instant::now() + scene.time + Duration::from_secs(120);
    let status = loop {
        match process.ended()? {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                return Err(format!("it hangs: {}", process.last_words()).into());
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let words = process.last_words();
    if words.contains(REFUSED) {
        return Ok(Outcome::left_out("a small file system: this user may not mount one"));
    }
    let line = process.printed().lines().rev().find(|line| line.starts_with('{')).map(str::to_owned);
    let line = line.ok_or_else(|| format!("it ended with {status}: {words}"))?;
    Ok(parse(&serde_json::from_str(&line)?))
}

pub(crate) fn run(settings: &Small) -> Result<()> {
    let dir = settings.dir.as_path();
    let mounted = unshare(CloneFlags::CLONE_NEWNS).and_then(|()| {
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
    });
    let options = if settings.entries { "size=64m,nr_inodes=64,mode=0755" } else { "size=64m,mode=0755" };
    if let Err(error) =
        mounted.and_then(|()| mount(Some("tmpfs"), dir, Some("tmpfs"), MsFlags::empty(), Some(options)))
    {
        return Err(format!("{REFUSED}: {error}").into());
    }
    let outcome = if settings.entries { no_entries(dir, settings)? } else { no_room(dir, settings)? };
    say(&told(&outcome).to_string())
}

/// Fills the file system, and empties it again. Rings that are there go on; what does not fit is refused with numbers.
fn no_room(dir: &Path, settings: &Small) -> Result<Outcome> {
    let exe = std::env::current_exe()?;
    let mut outcome = Outcome::default();
    let mut bystanders = Bystanders::start(&exe, dir, Near::Nothing, 2000)?;
    // Asks for a larger ring each so many frames, whether there is room for it or not.
    let mut command = role(&exe, "produce", dir, GROWING);
    let mut grower =
        Process::start("a producer that wants more", command.args(["--tag", "3", "--grow", "50", "--bear"]))?;
    grower.wait_for("ready")?;
    for topic in [NEAR, FAR] {
        // Of a large ring all but the control words gets its memory in the background.
        until("the ring has all of its memory", || is_reserved(dir, topic).unwrap_or(false))?;
    }
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs_f64(settings.seconds) || outcome.tried == 0 {
        fill(&dir.join("filler"))?;
        refused(&exe, dir, &["--len", "1000000"], &mut outcome)?;
        std::thread::sleep(Duration::from_millis(200));
        bystanders.check()?;
        std::fs::remove_file(dir.join("filler"))?;
        must_go(&exe, dir, "new", &["--len", "10000"], &mut outcome)?;
        outcome.tried += 1;
    }
    let found = crate::bystanders::testimony(&mut grower)?;
    let errors = found.get("errors").and_then(Value::as_u64).unwrap_or_default();
    if errors == 0 {
        outcome.broke("a ring grew although there was no room");
    }
    outcome.tell(format!(
        "new topics were refused with numbers, {errors} times a ring was not enlarged; both went on"
    ));
    bystanders.finish(&mut outcome)?;
    Ok(outcome)
}

/// Uses up all file entries.
fn no_entries(dir: &Path, settings: &Small) -> Result<Outcome> {
    let exe = std::env::current_exe()?;
    let mut outcome = Outcome::default();
    let mut bystanders = Bystanders::start(&exe, dir, Near::Nothing, 2000)?;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs_f64(settings.seconds) || outcome.tried == 0 {
        let taken = (0..100).take_while(|n| File::create(dir.join(format!("filler-{n}"))).is_ok()).count();
        if taken == 100 {
            return Ok(Outcome::left_out("file entries: this kernel does not limit them"));
        }
        refused(&exe, dir, &[], &mut outcome)?;
        bystanders.check()?;
        for path in files(dir) {
            if path.to_string_lossy().contains("filler-") {
                std::fs::remove_file(path)?;
            }
        }
        must_go(&exe, dir, "new", &[], &mut outcome)?;
        outcome.tried += 1;
    }
    outcome.tell("new topics were refused, with what is missing");
    bystanders.finish(&mut outcome)?;
    Ok(outcome)
}

/// A new topic must be refused, with a sentence that says what there is too little of, and leave no file.
fn refused(exe: &Path, dir: &Path, words: &[&str], outcome: &mut Outcome) -> Result<()> {
    match visit(exe, dir, "new", words)? {
        Visit::Told(why) if why.contains("free") || why.contains("cannot hold more files") => {}
        other => outcome.broke(format!("a topic that does not fit: {other:?}")),
    }
    if files(dir).iter().any(|path| path.to_string_lossy().contains("shmflow.new.")) {
        outcome.broke("a topic that does not fit left files behind");
    }
    Ok(())
}

/// Whether a ring has all of its memory; see `reserved` in docs/layout.md.
fn is_reserved(dir: &Path, topic: &str) -> Result<bool> {
    let mut word = [0; 8];
    File::open(dir.join(format!("shmflow.{topic}.ring")))?.read_exact_at(&mut word, 136)?;
    Ok(word != [0; 8])
}

fn fill(path: &Path) -> Result<()> {
    let mut file = File::create(path)?;
    for size in [1 << 20, 1 << 12] {
        let block = vec![1; size];
        while file.write_all(&block).is_ok() {}
    }
    Ok(())
}

fn told(outcome: &Outcome) -> Value {
    json!({
        "tried": outcome.tried, "lost": outcome.lost, "happened": outcome.happened, "broken": outcome.broken,
        "left_out": outcome.left_out, "recovered_ms": outcome.recovered.map(|time| time.as_secs_f64() * 1000.0),
    })
}

fn parse(value: &Value) -> Outcome {
    let texts = |key: &str| {
        let texts = value.get(key).and_then(Value::as_array).into_iter().flatten();
        texts.filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let number = |key: &str| value.get(key).and_then(Value::as_u64).unwrap_or_default();
    Outcome {
        tried: number("tried"),
        lost: number("lost"),
        happened: texts("happened"),
        broken: texts("broken"),
        left_out: texts("left_out"),
        absent: Vec::new(),
        recovered: value
            .get("recovered_ms")
            .and_then(Value::as_f64)
            .map(|ms| Duration::from_secs_f64(ms / 1000.0)),
    }
}
