//! Shell completions with the names of topics, and man pages.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValue;
use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};

use crate::outcome::{Failure, Outcome};

/// The environment variable by which the shell's script asks for completions.
pub(crate) const VARIABLE: &str = "SHMFLOW_COMPLETE";

/// Completes names of topics.
pub(crate) fn topics() -> ArgValueCompleter {
    ArgValueCompleter::new(|begun: &OsStr| {
        let begun = begun.to_string_lossy();
        let names = shmflow::topics(typed_dir().as_deref()).unwrap_or_default();
        names.into_iter().filter(|name| name.starts_with(&*begun)).map(CompletionCandidate::new).collect()
    })
}

/// The value of `--dir` in the line that is being completed.
fn typed_dir() -> Option<PathBuf> {
    let mut words = std::env::args_os();
    while let Some(word) = words.next() {
        if word == "--dir" {
            return words.next().map(PathBuf::from);
        }
        if let Some(dir) = word.to_str().and_then(|word| word.strip_prefix("--dir=")) {
            return Some(dir.into());
        }
    }
    None
}

/// Print a script that completes commands, options and names of topics in a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  source <(shmflow completions bash)
  shmflow completions zsh > ~/.local/share/zsh/site-functions/_shmflow
  shmflow completions fish > ~/.config/fish/completions/shmflow.fish")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

#[derive(Clone, Copy, Debug)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl ValueEnum for Shell {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Bash, Self::Zsh, Self::Fish]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }))
    }
}

pub(crate) fn completions(mut out: &mut dyn Write, args: &Completions) -> Result<Outcome, Failure> {
    let shell: &dyn EnvCompleter = match args.shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    shell.write_registration(VARIABLE, "shmflow", "shmflow", "shmflow", &mut out)?;
    Ok(Outcome::Done)
}

/// Write the man pages of this command, one for each subcommand
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// An existing directory, as /usr/local/share/man/man1
    #[arg(value_name = "DIR")]
    to: PathBuf,
}

pub(crate) fn man(args: &Man) -> Result<Outcome, Failure> {
    clap_mangen::generate_to(crate::args::Args::command(), &args.to)
        .map_err(|error| failed(&args.to, &error))?;
    Ok(Outcome::Done)
}

fn failed(dir: &Path, error: &std::io::Error) -> Failure {
    Failure::Other(format!("cannot write man pages to {}: {error}", dir.display()))
}
