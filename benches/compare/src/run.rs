//! Everything that a run found, as it is saved and read again.

use std::collections::BTreeMap;

use gstreamer as gst;
use serde::{Deserialize, Serialize};

use crate::faults::Found;
use crate::figure::Cell;
use crate::peer::Peer;
use crate::row::Row;
use crate::spread::Spread;

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) machine: Machine,
    /// What was typed to get this run
    pub(crate) command: String,
    pub(crate) rounds: u32,
    pub(crate) seconds: f64,
    /// Of the peers' plugins
    #[serde(default)]
    pub(crate) versions: BTreeMap<Peer, String>,
    /// Why a peer is not in any row
    pub(crate) absent: BTreeMap<Peer, String>,
    pub(crate) futex: Futex,
    pub(crate) rows: Vec<RowFound>,
    pub(crate) idle: BTreeMap<Peer, Idle>,
    pub(crate) faults: Vec<Found>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) gstreamer: String,
    pub(crate) system: String,
    pub(crate) kernel: String,
    pub(crate) processor: String,
    pub(crate) processors: usize,
    /// The load average of the minute before the run, and of its last: of an idle machine, about 1 at the end
    pub(crate) load: [String; 2],
}

/// A bare futex, the least that one process needs to wake another.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Futex {
    pub(crate) p50_us: Spread,
    pub(crate) p99_us: Spread,
    /// Processor time of the call that wakes, with one process asleep and with many
    pub(crate) wake_one_ms: Spread,
    pub(crate) wake_many_ms: Spread,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RowFound {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) fps: u32,
    pub(crate) frame_bytes: u64,
    pub(crate) consumers: u32,
    pub(crate) peers: BTreeMap<Peer, Cell>,
}

/// Processor time while no frames come, in milliseconds a second.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Idle {
    pub(crate) producer_ms: f64,
    pub(crate) consumer_ms: f64,
}

impl Run {
    pub(crate) fn new(command: &str, rounds: u32, seconds: f64) -> Self {
        Self { machine: Machine::here(), command: command.to_owned(), rounds, seconds, ..Self::default() }
    }

    /// Once everything has been measured.
    pub(crate) fn conclude(&mut self) {
        self.machine.conclude();
        self.rows.iter_mut().flat_map(|row| row.peers.values_mut()).for_each(Cell::conclude);
    }

    /// The command, and the machine that it ran on; `besides` follows the version of GStreamer.
    pub(crate) fn made_by(&self, besides: &str) -> String {
        let Machine { gstreamer, system, kernel, processor, processors, load: [before, after] } =
            &self.machine;
        format!(
            "`{}`: {system}, {gstreamer}{besides}, {processors} processors ({processor}), Linux {kernel}, nothing pinned. \
             Load average {before} before the run and {after} at its end.",
            self.command
        )
    }

    pub(crate) fn row(&self, name: &str) -> Option<&RowFound> {
        self.rows.iter().find(|row| row.name == name)
    }

    pub(crate) fn cell(&self, row: &str, peer: Peer) -> Option<&Cell> {
        self.row(row)?.peers.get(&peer)
    }
}

impl RowFound {
    pub(crate) fn new(row: &Row) -> Self {
        Self {
            name: row.name.to_owned(),
            title: row.title.to_owned(),
            fps: row.fps,
            frame_bytes: row.bytes(),
            consumers: row.consumers,
            peers: BTreeMap::new(),
        }
    }
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

impl Machine {
    fn conclude(&mut self) {
        let [_, after] = &mut self.load;
        *after = load();
    }

    fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let after = |text: &str, name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name));
            value.map_or_else(String::new, |value| value.trim_matches([' ', '\t', ':', '=', '"']).to_owned())
        };
        Self {
            gstreamer: gst::version_string().to_string(),
            system: after(&read("/etc/os-release"), "PRETTY_NAME"),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            processor: after(&read("/proc/cpuinfo"), "model name"),
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            load: [load(), String::new()],
        }
    }
}
