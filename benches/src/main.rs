//! Benchmarks of the ring, side by side with iceoryx2 and with the barest means: `cargo run --release -p
//! shmflow-bench -- ring`. Every benchmark runs in processes of its own; the same binary plays all parts.

#![deny(unsafe_code)]

mod child;
mod machine;
mod page;
mod report;
mod ring;
mod role;
mod spec;
mod stats;
mod transport;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Errors here are for the person at the terminal and are never told apart by programs.
type Res<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const HELP: &str = "\
usage: shmflow-bench ring [--quick] [--only NAME] [--out FOLDER]

Measures the ring beside iceoryx2, a bare futex and plain memory, prints Markdown tables and writes
ring.md and ring.json into FOLDER (default: target/bench).

  --quick      about 75 seconds instead of 5 minutes: fewer rounds, wider spread
  --only NAME  one benchmark: latency, messages, publish, syscalls, memory, frames, switch
               or idle (may be given several times)
";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(e) => {
            let _ = writeln!(std::io::stderr(), "shmflow-bench: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Res<ExitCode> {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("child") => {
            let role = args.next().ok_or("no role")?;
            role::run(&role, &spec::Spec::parse(args)?).map_err(|e| format!("{role}: {e}"))?;
            Ok(ExitCode::SUCCESS)
        }
        Some("ring") => ring::run(&options(args)?),
        None | Some("--help" | "-h") => {
            std::io::stdout().write_all(HELP.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Some(other) => Err(format!("unknown command {other}\n\n{HELP}").into()),
    }
}

fn options(mut args: impl Iterator<Item = String>) -> Res<ring::Options> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let mut options = ring::Options { quick: false, only: Vec::new(), out: target.join("bench") };
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--quick" => options.quick = true,
            "--only" => options.only.push(args.next().ok_or("--only needs a name")?),
            "--out" => options.out = args.next().ok_or("--out needs a folder")?.into(),
            other => return Err(format!("unknown option {other}\n\n{HELP}").into()),
        }
    }
    Ok(options)
}
