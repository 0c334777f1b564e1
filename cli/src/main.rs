//! The command `shmflow`: lists, inspects and removes shared-memory topics. `shmflow --help` says how.
#![deny(unsafe_code)]

mod args;
mod caps;
mod closed_output;
mod info;
mod json;
mod ls;
mod near;
mod outcome;
mod plugin;
mod rm_gc;
mod sample;
mod state;
mod table;
mod term;
mod text;
mod what;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use outcome::{Failure, Outcome};

fn main() -> ExitCode {
    let args = Args::parse();
    if closed_output::is_closed() {
        Failure::note("there is no standard output to write to: it was closed");
        return Outcome::Failed.into();
    }
    let terminal = io::stdout().is_terminal();
    let mut out = io::BufWriter::new(io::stdout().lock());
    let result = run(&mut out, &args, terminal)
        .and_then(|outcome| out.flush().map(|()| outcome).map_err(Failure::from));
    // What is left in the buffer was refused already.
    let (_, _) = out.into_parts();
    result.unwrap_or_else(Failure::outcome).into()
}

fn run(out: &mut dyn Write, args: &Args, terminal: bool) -> Result<Outcome, Failure> {
    let dir = args.dir.as_deref();
    match &args.command {
        Command::Ls(args) => ls::run(out, dir, args),
        Command::Info { topic, json, watch, interval } => {
            let style = info::Style { json: *json, watch: *watch, interval: *interval, terminal };
            info::run(out, dir, topic, style)
        }
        Command::Rm { topics, force } => rm_gc::rm(out, dir, topics, *force),
        Command::Gc { json } => rm_gc::gc(out, dir, *json),
        Command::Plugin => plugin::plugin(out),
        Command::Env => plugin::env(out, terminal),
    }
}
