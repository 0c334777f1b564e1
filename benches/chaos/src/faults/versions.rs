//! Files of another layout version: refused with a sentence that names both versions, in every language.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use super::Scene;
use super::files::PARTS;
use crate::Result;
use crate::bystanders::{Bystanders, NEAR, Near};
use crate::outcome::Outcome;
use crate::place::Place;
use crate::process::Process;
use crate::programs::role;
use crate::victim::{self, Language, Part};
use crate::visit::{Visit, must_go, run};

/// Where each file says its version; see docs/layout.md.
const AT: u64 = 8;

pub(super) fn others(scene: &Scene<'_>) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let place = Place::new()?;
    let exe = &scene.programs.exe;
    let mut bystanders = Bystanders::start(exe, place.path(), Near::Nobody, 2000)?;
    let mut told = 0;
    // `holds` belongs to its ring, which says the version first.
    for parts in [&PARTS[..], &["peers"], &["ring"]] {
        for other in if scene.settings.quick { &[1_u64][..] } else { &[1, 99] } {
            must_go(exe, place.path(), NEAR, &["--persistent"], &mut outcome)?;
            let mut version = [0; 8];
            for part in parts {
                let file = OpenOptions::new().read(true).write(true).open(place.file(NEAR, part)?)?;
                file.read_exact_at(&mut version, AT)?;
                file.write_all_at(&other.to_le_bytes(), AT)?;
            }
            let ours = u64::from_le_bytes(version);
            for (what, mut command) in openers(scene, &place, &mut outcome)? {
                outcome.tried += 1;
                let both = [format!("version {other}"), format!("version {ours}")];
                match run(&what, &mut command)? {
                    Visit::Told(why) if both.iter().all(|version| why.contains(version)) => told += 1,
                    Visit::Told(why) => outcome.broke(format!("version {other} of {parts:?}, {what}: {why}")),
                    other => outcome.broke(format!("{parts:?} of another version, {what}: {other:?}")),
                }
            }
            shmflow::remove(NEAR, Some(place.path()), true)?;
        }
    }
    outcome.tell(format!("{told} sentences that name both versions"));
    if let Some(plugin) = &scene.settings.old_plugin {
        older_build(scene, plugin, &mut outcome)?;
    } else {
        outcome.left_out.push("an older build beside this one: --old-plugin was not given".into());
    }
    bystanders.check()?;
    bystanders.finish(&mut outcome)?;
    Ok(outcome)
}

/// All kinds of programs that open a topic.
fn openers(scene: &Scene<'_>, place: &Place, outcome: &mut Outcome) -> Result<Vec<(String, Command)>> {
    let programs = scene.programs;
    let mut openers = Vec::new();
    for words in [&[][..], &["--receive"], &["--receive", "--read-only"]] {
        let mut command = role(&programs.exe, "visit", place.path(), NEAR);
        command.args(words);
        openers.push((format!("Rust {}", words.join(" ")), command));
    }
    for language in [Language::C, Language::Python] {
        if let Some(why) = language.missing(programs) {
            outcome.absent(why);
            continue;
        }
        for part in [Part::Produce, Part::Consume] {
            let mut command = victim::command(programs, language, part, place.path(), NEAR, 9)?;
            command.arg("once");
            openers.push((victim::name(language, part), command));
        }
    }
    match &programs.command {
        Ok(command) => {
            let mut command = Command::new(command);
            command.args(["info", NEAR, "--dir"]).arg(place.path());
            openers.push(("the command".into(), command));
        }
        Err(why) => outcome.absent(format!("the command: {why}")),
    }
    let place = format!("topic={NEAR} directory={}", place.path().display());
    for text in [
        format!("fakesrc num-buffers=5 sizetype=fixed ! shmflowsink {place}"),
        format!("shmflowsrc {place} ! fakesink"),
    ] {
        match programs.pipeline(&text) {
            Ok(command) => openers.push((format!("gst-launch-1.0 {text}"), command)),
            Err(why) => outcome.absent(why),
        }
    }
    Ok(openers)
}

/// An older build's pipelines and ours on one topic: who comes second is told, and who was first goes on.
fn older_build(scene: &Scene<'_>, plugin: &Path, outcome: &mut Outcome) -> Result<()> {
    let folder = Place::for_programs()?;
    std::os::unix::fs::symlink(std::path::absolute(plugin)?, folder.path().join("libgstshmflow.so"))?;
    for old_first in [true, false] {
        let place = Place::new()?;
        let topic = format!("topic={NEAR} directory={}", place.path().display());
        let source =
            format!("videotestsrc is-live=true ! video/x-raw,width=64,height=48 ! shmflowsink {topic}");
        let viewer = format!("shmflowsrc {topic} ! fakesink");
        let old = |text: &str| scene.programs.pipeline_of(folder.path(), text);
        let new = |text: &str| scene.programs.pipeline(text);
        let (mut first, seconds) = if old_first {
            (old(&source), [new(&viewer)?, new(&source)?])
        } else {
            (new(&source)?, [old(&viewer), old(&source)])
        };
        let mut first = Process::start("the build that came first", &mut first)?;
        crate::process::until("it has made the topic", || place.file(NEAR, "ring").is_ok())?;
        for mut second in seconds {
            outcome.tried += 1;
            let who = if old_first { "this build" } else { "the older build" };
            match run(who, &mut second)? {
                Visit::Told(why) if why.contains("layout version") && why.contains("supports version") => {}
                other => outcome.broke(format!("{who}, beside another: {other:?}")),
            }
        }
        if first.ended()?.is_some() {
            outcome.broke(format!("who was first did not go on: {}", first.last_words()));
        }
    }
    outcome.tell("an older build beside this one: each is told of the other, and who was first goes on");
    Ok(())
}
