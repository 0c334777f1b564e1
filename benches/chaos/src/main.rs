//! Every fault that shmflow is to bear, tried in real processes, in one report: `make chaos`.
//!
//! Each fault has a stage of its own: a directory for topics, and honest *bystanders* (a producer and consumers on the
//! topic that suffers, and on another one) that check every byte of every frame, every sequence number, and how long they
//! had to wait. Victims are pipelines, C, Python and Rust programs. The bystanders are processes, too: what kills a
//! process must not take the report with it.

#![deny(unsafe_code)]

mod bystanders;
mod cli;
mod dice;
mod faults;
mod outcome;
mod payload;
mod place;
mod process;
mod programs;
mod report;
mod role;
mod run;
mod stop;
mod victim;
mod visit;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

/// Errors of this program are text for the person in front of it.
pub(crate) type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let done = match cli.role {
        None => run::all(&cli.settings),
        Some(role) => role::play(&role).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain(&format!("shmflow-chaos: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Writes a line to the standard output.
pub(crate) fn say(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// Writes a line to the standard error; there is nobody to tell when that fails.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
