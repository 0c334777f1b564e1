//! The command line: what a person may choose, and the roles in which the program starts itself again.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) settings: Settings,
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// What is tried, and where the report goes.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// How long all faults that go on for a time have together, in seconds
    #[arg(long, env = "CHAOS_SECONDS", default_value_t = 300.0)]
    pub(crate) seconds: f64,
    /// Each fault as short as it makes sense, and no tests of the tree
    #[arg(long)]
    pub(crate) quick: bool,
    /// What is not tried because a program, the plugin, C or Python is not there counts as broken
    #[arg(long)]
    pub(crate) strict: bool,
    /// Only faults whose name contains this text (may be repeated)
    #[arg(long = "only")]
    pub(crate) only: Vec<String>,
    /// Say which faults there are, and try none
    #[arg(long)]
    pub(crate) list: bool,
    /// Repeats the random choices of a run
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Where the plugin and the C library are: by default beside this program, else in target/release
    #[arg(long)]
    pub(crate) products: Option<PathBuf>,
    /// An interpreter that has the package `shmflow`
    #[arg(long, env = "PYTHON")]
    pub(crate) python: Option<PathBuf>,
    /// The plugin of an older build, with another layout version, to run beside this one
    #[arg(long)]
    pub(crate) old_plugin: Option<PathBuf>,
    /// Where the JSON goes
    #[arg(long, default_value = "target/chaos.json")]
    pub(crate) json: PathBuf,
    /// Where the Markdown goes, besides the standard output
    #[arg(long, default_value = "target/chaos.md")]
    pub(crate) markdown: PathBuf,
    /// A document whose table is replaced by that of this run: docs/reliability.md
    #[arg(long)]
    pub(crate) document: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
#[command(hide = true)]
pub(crate) enum Role {
    /// Publish frames until told to leave (internal)
    Produce(Produce),
    /// Receive and check frames until told to leave (internal)
    Consume(Consume),
    /// Publish and receive one frame (internal)
    Visit(Visit),
    /// Open and close many times (internal)
    Opens(Opens),
    /// Run a fault in a small file system of its own (internal)
    Small(Small),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Produce {
    #[arg(long)]
    pub(crate) dir: PathBuf,
    #[arg(long)]
    pub(crate) topic: String,
    /// The writer's number, in every word of its frames
    #[arg(long)]
    pub(crate) tag: u64,
    /// Largest frame
    #[arg(long, default_value_t = 4000)]
    pub(crate) most: usize,
    /// Microseconds between frames; 0: as fast as they go
    #[arg(long, default_value_t = 2000)]
    pub(crate) pause: u64,
    #[arg(long, default_value_t = 64)]
    pub(crate) depth: u32,
    /// Stop after so many frames, once this many consumers are there
    #[arg(long, default_value_t = 0)]
    pub(crate) frames: u64,
    #[arg(long, default_value_t = 0)]
    pub(crate) consumers: usize,
    /// Wait for consumers
    #[arg(long)]
    pub(crate) lossless: bool,
    /// Open the topic again when it was removed
    #[arg(long)]
    pub(crate) reopen: bool,
    /// Enlarge the ring every so many frames; 0: never
    #[arg(long, default_value_t = 0)]
    pub(crate) grow: u64,
    /// Errors are what is expected: count them and go on
    #[arg(long)]
    pub(crate) bear: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Consume {
    #[arg(long)]
    pub(crate) dir: PathBuf,
    #[arg(long)]
    pub(crate) topic: String,
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Frames to keep for a while
    #[arg(long, default_value_t = 0)]
    pub(crate) hold: usize,
    #[arg(long)]
    pub(crate) reopen: bool,
    /// Errors, and frames that are not whole, are what is expected: count them and go on
    #[arg(long)]
    pub(crate) bear: bool,
    /// Frames are pictures of one colour: check their formats
    #[arg(long)]
    pub(crate) pictures: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Visit {
    #[arg(long)]
    pub(crate) dir: PathBuf,
    #[arg(long)]
    pub(crate) topic: String,
    #[arg(long, default_value_t = 1000)]
    pub(crate) len: usize,
    #[arg(long, default_value_t = 8)]
    pub(crate) depth: u32,
    /// Neither publish nor make a topic: receive
    #[arg(long)]
    pub(crate) receive: bool,
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Leave the topic behind
    #[arg(long)]
    pub(crate) persistent: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Opens {
    #[arg(long)]
    pub(crate) dir: PathBuf,
    #[arg(long)]
    pub(crate) topic: String,
    /// A topic that nobody else has
    #[arg(long)]
    pub(crate) own: String,
    #[arg(long)]
    pub(crate) times: u64,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Small {
    /// Where the small file system is mounted
    #[arg(long)]
    pub(crate) dir: PathBuf,
    #[arg(long)]
    pub(crate) seconds: f64,
    /// File entries are what runs out, and not bytes
    #[arg(long)]
    pub(crate) entries: bool,
}
