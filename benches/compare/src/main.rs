//! Compares shmflow's elements with GStreamer's own inter-process elements.
//!
//! Each measurement runs one producer and some consumers, every one of them a process of its own (this program,
//! started again in another role). All peers take turns within each round, so that what the machine does meanwhile
//! hits all of them alike; the tables show medians over the rounds and, in brackets, the least and the greatest.
//!
//! Every frame carries the time at which its producer pushed it, its number and the phase of the measurement; the
//! consumer reads the clock when the frame reaches the pad behind its source. Nothing is pinned to a core.

#![deny(unsafe_code)]

mod calls;
mod cli;
mod consumer;
mod due;
mod faults;
mod figure;
mod floor;
mod frame;
mod futex;
mod histogram;
mod line;
mod maker;
mod measure;
mod order;
mod packets;
mod peer;
mod pipewire;
mod process;
mod producer;
mod report;
mod row;
mod run;
mod spread;
mod targets;
mod usage;

use clap::Parser;

/// Errors of a measuring program are text for the person in front of it.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> std::process::ExitCode {
    let outcome = match cli::Cli::parse().role {
        None => order::all(&cli::Cli::parse().settings),
        Some(cli::Role::Due(due)) => due::all(&due),
        Some(cli::Role::Report(report)) => report::again(&report),
        Some(cli::Role::Producer(setup)) => producer::run(&setup),
        Some(cli::Role::Consumer(setup)) => consumer::run(&setup),
        Some(cli::Role::Waker { path }) => futex::run_waker(&path),
        Some(cli::Role::Waiter { path }) => futex::run_waiter(&path),
    };
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            line::complain(&format!("shmflow-compare: {error}"));
            std::process::ExitCode::FAILURE
        }
    }
}
