//! Those to whom things happen: producers and consumers in four languages. All but pipelines check what they receive.

use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::Result;
use crate::bystanders::testimony;
use crate::process::Process;
use crate::programs::{Missing, Programs, role};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Rust,
    C,
    Python,
    Pipeline,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Produce,
    Consume,
}

impl Language {
    pub(crate) const ALL: [Self; 4] = [Self::Rust, Self::C, Self::Python, Self::Pipeline];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::C => "C",
            Self::Python => "Python",
            Self::Pipeline => "pipeline",
        }
    }

    /// Whether programs in it can be started here.
    pub(crate) fn missing(self, programs: &Programs) -> Option<Missing> {
        match self {
            Self::Rust => None,
            Self::C => programs.c().err(),
            Self::Python => programs.python().err(),
            Self::Pipeline => programs.pipeline("").err(),
        }
    }
}

/// The command of a victim; `tag` is the number of a writer. It says "ready" when it has opened the topic, but for a pipeline.
pub(crate) fn command(
    programs: &Programs,
    language: Language,
    part: Part,
    dir: &Path,
    topic: &str,
    tag: u64,
) -> Result<Command> {
    let word = if part == Part::Produce { "produce" } else { "consume" };
    let tag_text = tag.to_string();
    let mut command = match language {
        Language::Rust => {
            let mut command = role(&programs.exe, word, dir, topic);
            match part {
                Part::Produce => command.args(["--tag", &tag_text, "--pause", "1000"]),
                Part::Consume => command.args(["--hold", "4"]),
            };
            return Ok(command);
        }
        Language::C => programs.c()?,
        Language::Python => programs.python()?,
        Language::Pipeline => {
            let place = format!("topic={topic} directory={}", dir.display());
            let text = match part {
                Part::Produce => format!(
                    "multifilesrc location={} loop=true caps=application/octet-stream ! identity sleep-time=1000 ! \
                     shmflowsink sync=false {place}",
                    programs.frame(tag)?.display()
                ),
                Part::Consume => format!(
                    "shmflowsrc {place} caps=application/octet-stream ! \
                     queue min-threshold-buffers=3 max-size-buffers=4 ! fakesink sync=false"
                ),
            };
            return Ok(programs.pipeline(&text)?);
        }
    };
    command.args([word, topic, &tag_text]).env("SHMFLOW_DIR", dir);
    Ok(command)
}

/// Starts one.
pub(crate) fn start(
    programs: &Programs,
    language: Language,
    part: Part,
    dir: &Path,
    topic: &str,
    tag: u64,
) -> Result<Process> {
    Process::start(&name(language, part), &mut command(programs, language, part, dir, topic, tag)?)
}

/// What a report calls one.
pub(crate) fn name(language: Language, part: Part) -> String {
    format!("a {} {}", language.name(), if part == Part::Produce { "producer" } else { "consumer" })
}

/// Has one leave, and says what it did; how it went wrong, if it did.
pub(crate) fn leaves(language: Language, mut process: Process) -> Result<Value> {
    if language != Language::Pipeline {
        return testimony(&mut process);
    }
    process.signal(Signal::SIGINT)?;
    let status = process.wait()?;
    let words = process.last_words();
    if !status.success() || words.contains("ERROR") {
        return Err(format!("{} ended with {status}: {words}", process.what()).into());
    }
    Ok(Value::Null)
}
