//! The program `shmflow-bridge`; `shmflow-bridge --help` says how.
#![deny(unsafe_code)]

mod args;

use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clap::Parser;
use nix::sys::signal::{SigSet, Signal};
use shmflow_bridge::{Bridge, Stats, Stop};

use args::Args;

fn main() -> ExitCode {
    let args = Args::parse();
    zenoh::init_log_from_env_or("error");
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "shmflow-bridge: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    let settings = args.settings()?;
    // Before there are other threads: they inherit that signals do not reach them.
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    signals.thread_block().map_err(|error| format!("cannot wait for signals: {error}"))?;
    let running = Arc::new(OnceLock::<Stop>::new());
    let to_stop = Arc::clone(&running);
    let on_signal = move || {
        if signals.wait().is_ok() {
            match to_stop.get() {
                Some(bridge) => bridge.stop(),
                // It still waits for a network, and has nothing to leave.
                None => std::process::exit(0),
            }
        }
        // The next one ends the program at once.
        let _ = signals.thread_unblock();
        loop {
            std::thread::park();
        }
    };
    spawn("signals", on_signal)?;
    let bridge = Bridge::new(settings)?;
    // Set here alone.
    let _ = running.set(bridge.stopper());
    if let Some(seconds) = args.stats {
        let (stats, stopper) = (bridge.stats(), bridge.stopper());
        spawn("stats", move || report(&stats, Duration::from_secs_f64(seconds), &stopper))?;
    }
    bridge.run()
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let thread = std::thread::Builder::new().name(name.into()).spawn(run);
    thread.map(|_| ()).map_err(|error| format!("no thread for {name}: {error}"))
}

/// Prints what was done, until nobody reads it.
fn report(stats: &Arc<Stats>, every: Duration, stopper: &Stop) {
    loop {
        std::thread::sleep(every);
        let mut out = std::io::stdout().lock();
        if writeln!(out, "{}", stats.json()).and_then(|()| out.flush()).is_err() {
            return stopper.stop();
        }
    }
}
