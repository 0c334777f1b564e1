//! The command line: what a person may choose, and the roles in which the program starts itself again.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::peer::Peer;

#[derive(Debug, Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) settings: Settings,
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// What a run measures.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// How often every pair of row and peer is measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// How long each measurement lasts, in seconds
    #[arg(long, default_value_t = 2.0)]
    pub(crate) seconds: f64,
    /// Two rounds of one second each
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only rows whose name contains this text (may be repeated)
    #[arg(long = "row")]
    pub(crate) rows: Vec<String>,
    /// Only these peers (may be repeated)
    #[arg(long = "peer")]
    pub(crate) peers: Vec<Peer>,
    /// Where the JSON goes
    #[arg(long, default_value = "target/compare.json")]
    pub(crate) json: PathBuf,
    /// Where the Markdown goes, besides the standard output
    #[arg(long, default_value = "target/compare.md")]
    pub(crate) markdown: PathBuf,
    /// The plugin to measure; by default the one built beside this program, else the installed one
    #[arg(long)]
    pub(crate) plugin: Option<PathBuf>,
}

impl Settings {
    pub(crate) fn rounds(&self) -> u32 {
        if self.quick { 2 } else { self.rounds }
    }

    pub(crate) fn seconds(&self) -> f64 {
        if self.quick { 1.0 } else { self.seconds.clamp(0.1, 600.0) }
    }
}

#[derive(Debug, Subcommand)]
#[command(hide = true)]
pub(crate) enum Role {
    /// Push frames into a sink (internal)
    #[command(hide = true)]
    Producer(ProducerSetup),
    /// Take frames from a source (internal)
    #[command(hide = true)]
    Consumer(ConsumerSetup),
    /// Wake the other process through a futex (internal)
    #[command(hide = true)]
    Waker { path: PathBuf },
    /// Sleep on a futex (internal)
    #[command(hide = true)]
    Waiter { path: PathBuf },
}

/// How much of each frame the two sides touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Touch {
    /// The first bytes only
    Little,
    /// The producer writes every byte, the consumer reads every byte
    Whole,
}

/// Where the producer's frames lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Memory {
    /// In what the sink offered in its answer to the ALLOCATION query
    Pool,
    /// In the producer's own system memory
    System,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ProducerSetup {
    #[arg(long)]
    pub(crate) peer: Peer,
    /// Socket path or topic
    #[arg(long)]
    pub(crate) address: String,
    #[arg(long)]
    pub(crate) width: u32,
    #[arg(long)]
    pub(crate) height: u32,
    #[arg(long)]
    pub(crate) touch: Touch,
    #[arg(long)]
    pub(crate) memory: Memory,
    /// Frames per second; 0: as fast as it goes
    #[arg(long)]
    pub(crate) fps: u32,
    #[arg(long)]
    pub(crate) seconds: f64,
    #[arg(long)]
    pub(crate) plugin: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ConsumerSetup {
    #[arg(long)]
    pub(crate) peer: Peer,
    #[arg(long)]
    pub(crate) address: String,
    #[arg(long)]
    pub(crate) touch: Touch,
    #[arg(long)]
    pub(crate) plugin: Option<PathBuf>,
}
