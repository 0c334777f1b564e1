//! `shmflow doctor`: what is wrong with this machine, its limits and its topics, each with its remedy.

mod machine;
mod plugin;
mod topics;
mod versions;

use std::io::Write;
use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use crate::outcome::{Failure, Outcome};
use crate::{ls, text};

/// Find out what is wrong, and say what to do
///
/// Looks at the directory of the topics (its file system, room and permissions), the
/// limits of this process, the kernel, logind's RemoveIPC, the plugin that
/// GStreamer finds, and at each topic: what killed programs left, participants that are
/// stopped, that wait for a producer, that lose frames or accept none of those that are
/// sent, files that cannot be read, libraries that were replaced while they are used, or
/// of which different copies are in use.
///
/// Exits with 5 if there is a problem; notes are none.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  shmflow doctor
  shmflow doctor --json | jq '.[] | select(.level == \"problem\")'"
)]
pub(crate) struct Doctor {
    /// Write a JSON array instead
    #[arg(long)]
    json: bool,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Ok,
    /// Good to know, or wrong for some uses only.
    Note,
    Problem,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Problem => "problem",
        }
    }
}

/// What was found, and what to do.
#[derive(Clone, Debug)]
struct Finding {
    /// What was looked at, in one word.
    about: &'static str,
    level: Level,
    what: String,
    remedy: Option<String>,
}

impl Finding {
    fn ok(about: &'static str, what: impl Into<String>) -> Self {
        Self { about, level: Level::Ok, what: what.into(), remedy: None }
    }

    fn note(about: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { about, level: Level::Note, what: what.into(), remedy: Some(remedy.into()) }
    }

    fn problem(about: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { about, level: Level::Problem, what: what.into(), remedy: Some(remedy.into()) }
    }

    fn json(&self) -> Value {
        json!({ "about": self.about, "level": self.level.name(), "what": self.what, "remedy": self.remedy })
    }
}

pub(crate) fn run(out: &mut dyn Write, dir: Option<&Path>, args: &Doctor) -> Result<Outcome, Failure> {
    let place = ls::place(dir);
    let mut found = machine::directory(Path::new(&place));
    found.extend(machine::limits());
    found.extend(machine::system());
    let (plugin, file) = plugin::found();
    found.push(plugin);
    found.extend(topics::all(dir, file.as_deref()));
    let problems = found.iter().filter(|finding| finding.level == Level::Problem).count();
    if args.json {
        writeln!(out, "{:#}", Value::from(found.iter().map(Finding::json).collect::<Vec<_>>()))?;
    } else {
        for Finding { about, level, what, remedy } in &found {
            writeln!(out, "{:<8}{about}: {}", level.name(), text::safe(what))?;
            if let Some(remedy) = remedy {
                writeln!(out, "{:8}→ {}", "", text::safe(remedy))?;
            }
        }
    }
    Ok(if problems == 0 { Outcome::Done } else { Outcome::Problems })
}
