//! The command `shmflow`: lists, inspects and removes shared-memory topics. `shmflow --help` says how.
#![deny(unsafe_code)]

mod args;
mod bench;
mod closed_output;
mod completions;
mod doctor;
mod echo;
mod grab;
mod info;
mod interrupt;
mod json;
mod ls;
mod measure;
mod meta_json;
mod metrics;
mod outcome;
mod picture;
mod plugin;
mod progress;
mod record;
mod recv;
mod replay;
mod rm_gc;
mod sample;
mod screen;
mod send;
mod serve;
mod size;
mod table;
mod term;
mod text;
mod top;
mod view;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Args, Command};
use measure::Quantity;
use outcome::{Failure, Outcome};

fn main() -> ExitCode {
    // The shell asks what could follow; ends the program then.
    clap_complete::CompleteEnv::with_factory(Args::command).var(completions::VARIABLE).complete();
    let parsed = Args::try_parse();
    if let Err(error) = &parsed
        && error.use_stderr()
    {
        error.exit();
    }
    if closed_output::is_closed() {
        Failure::note("there is no standard output to write to: it was closed");
        return Outcome::Failed.into();
    }
    let args = match parsed {
        Ok(args) => args,
        // Help, or the version.
        Err(help) => {
            let printed = help.print().and_then(|()| io::stdout().flush()).map_err(Failure::from);
            return printed.map_or_else(Failure::outcome, |()| Outcome::Done).into();
        }
    };
    let mut out = io::BufWriter::new(io::stdout().lock());
    let result =
        run(&mut out, &args).and_then(|outcome| out.flush().map(|()| outcome).map_err(Failure::from));
    // What is left in the buffer was refused already.
    let (_, _) = out.into_parts();
    result.unwrap_or_else(Failure::outcome).into()
}

fn run(out: &mut dyn Write, args: &Args) -> Result<Outcome, Failure> {
    let dir = args.dir.as_deref();
    match &args.command {
        Command::Ls(args) => ls::run(out, dir, args),
        Command::Info(args) => info::run(out, dir, args),
        Command::Top(args) => top::run(out, dir, args),
        Command::Hz(args) => measure::run(out, dir, args, Quantity::Rate),
        Command::Delay(args) => measure::run(out, dir, args, Quantity::Delay),
        Command::Bw(args) => measure::run(out, dir, args, Quantity::Bandwidth),
        Command::Echo(args) => echo::run(out, dir, args),
        Command::Grab(args) => grab::run(out, dir, args),
        Command::View(args) => view::run(out, dir, args),
        Command::Send(args) => send::run(dir, args),
        Command::Recv(args) => recv::run(out, dir, args),
        Command::Record(args) => record::run(out, dir, args),
        Command::Replay(args) => replay::run(out, dir, args),
        Command::Size(args) => size::run(out, dir, args),
        Command::Doctor(args) => doctor::run(out, dir, args),
        Command::Bench(args) => bench::run(out, dir, args),
        Command::BenchPeer(args) => bench::peer(dir, args),
        Command::Metrics(args) => metrics::run(out, dir, args),
        Command::Serve(args) => serve::run(out, dir, args),
        Command::Rm { topics, force, json } => rm_gc::rm(out, dir, topics, *force, *json),
        Command::Gc { json } => rm_gc::gc(out, dir, *json),
        Command::Plugin => plugin::plugin(out),
        Command::Env => plugin::env(out, io::stdout().is_terminal()),
        Command::Completions(args) => completions::completions(out, args),
        Command::Man(args) => completions::man(args),
    }
}
