//! The command line: what a person may choose, and the roles in which the program starts itself again.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::peer::Peer;
use crate::row::{Row, Set};

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
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// How long each measurement lasts, in seconds
    #[arg(long, default_value_t = 1.0)]
    pub(crate) seconds: f64,
    /// Does it run here: three rows, one round of half a second, no peers that misbehave
    #[arg(long, conflicts_with = "full")]
    pub(crate) quick: bool,
    /// Five rounds of three seconds (more than an hour)
    #[arg(long)]
    pub(crate) full: bool,
    /// Only the row of this name (may be repeated)
    #[arg(long = "row")]
    pub(crate) rows: Vec<String>,
    /// Only these peers (may be repeated)
    #[arg(long = "peer")]
    pub(crate) peers: Vec<Peer>,
    /// Leave out what idle, slow, stopped and killed peers do
    #[arg(long)]
    pub(crate) no_faults: bool,
    /// Start a PipeWire of this run's own and measure it, too (its session manager looks at this machine's devices)
    #[arg(long)]
    pub(crate) pipewire: bool,
    /// The folder for compare.json, compare.md and the plots
    #[arg(long, default_value = "target/compare")]
    pub(crate) out: PathBuf,
    /// The plugin to measure; by default the one built beside this program, else the installed one
    #[arg(long)]
    pub(crate) plugin: Option<PathBuf>,
    /// What was typed to start this run, for the report
    #[arg(long, default_value = "make compare", hide = true)]
    pub(crate) command: String,
}

impl Settings {
    pub(crate) fn rounds(&self) -> u32 {
        if self.quick {
            1
        } else if self.full {
            5
        } else {
            self.rounds
        }
    }

    pub(crate) fn seconds(&self) -> f64 {
        if self.quick {
            0.5
        } else if self.full {
            3.0
        } else {
            self.seconds.clamp(0.1, 600.0)
        }
    }

    pub(crate) fn wants(&self, row: &Row) -> bool {
        let set = if self.quick { Set::Quick } else { Set::Default };
        if self.rows.is_empty() { row.set <= set } else { self.rows.iter().any(|name| name == row.name) }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Measure what looking for frames when they are due (busy-wait) gains, by budget, pace, jitter and consumers
    Due(Due),
    /// Make tables and plots of a run that was measured before, and put them into a document
    Report(Report),
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

#[derive(Debug, Args)]
pub(crate) struct Due {
    /// How often every pair of row and peer is measured
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long each measurement lasts, in seconds
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Does it run here: two rows, one round of 0.3 seconds
    #[arg(long)]
    pub(crate) quick: bool,
    /// The folder for busy-wait.md and busy-wait.json
    #[arg(long, default_value = "target/compare-due")]
    pub(crate) out: PathBuf,
    /// The plugin to measure; by default the one built beside this program, else the installed one
    #[arg(long)]
    pub(crate) plugin: Option<PathBuf>,
    /// What was typed to start this run, for the report
    #[arg(long, default_value = "make compare-due", hide = true)]
    pub(crate) command: String,
}

impl Due {
    pub(crate) fn rounds(&self) -> u32 {
        if self.quick { 1 } else { self.rounds }
    }

    pub(crate) fn seconds(&self) -> f64 {
        if self.quick { 0.3 } else { self.seconds.clamp(0.1, 600.0) }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    /// The folder of the run, or of that of `due`, or of both
    #[arg(long, default_value = "target/compare")]
    pub(crate) out: PathBuf,
    /// A Markdown file whose parts between `<!-- compare: NAME -->` and `<!-- /compare -->` are to be written from the run
    #[arg(long)]
    pub(crate) write: Option<PathBuf>,
    /// The folder for that document's plots
    #[arg(long, requires = "write", default_value = "docs/pictures")]
    pub(crate) pictures: PathBuf,
}

/// How much of each frame the two sides touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Touch {
    /// The first bytes only
    Little,
    /// The producer writes every byte, the consumer reads every byte
    Whole,
}

/// Where the producer's frames are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// In what the sink offered in its answer to the ALLOCATION query
    Pool,
    /// In the producer's own system memory
    System,
    /// There, with lines that are longer than the picture is wide, as decoders have them
    Padded,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ProducerSetup {
    #[arg(long)]
    pub(crate) peer: Peer,
    /// Socket path or topic
    #[arg(long)]
    pub(crate) address: String,
    #[arg(long)]
    pub(crate) row: String,
    #[arg(long)]
    pub(crate) seconds: f64,
    /// Encoded packets, for the row that sends such
    #[arg(long)]
    pub(crate) packets: Option<PathBuf>,
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
    pub(crate) row: String,
    /// How long it keeps each frame
    #[arg(long, default_value_t = 0)]
    pub(crate) delay_ms: u64,
    #[arg(long)]
    pub(crate) plugin: Option<PathBuf>,
}
