//! What is found out about a row and a peer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::histogram::Latencies;
use crate::spread::Spread;

/// One thing that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Figure {
    /// Milliseconds of processor time a frame
    ProducerCpu,
    /// The same, of each consumer
    ConsumerCpu,
    /// Microseconds from the push to the pad behind the source
    P50,
    P99,
    /// The greatest of what the consumers have for it, each by itself
    P99Most,
    /// Over the frames of all rounds together
    P999,
    /// The latest frame of all rounds
    Worst,
    Pushed,
    Received,
    Lost,
    /// The part of the frames that were looked for when they were due, and found (`busy-wait`)
    Expected,
    ProducerFaults,
    ConsumerFaults,
    /// System calls a frame, without the measuring producer's own sleep
    ProducerCalls,
    ConsumerCalls,
    /// MB resident
    ProducerRss,
    ConsumerRss,
    /// MB of all processes together, what they share counted once
    Pss,
    /// MB, the length of what they share
    SharedLength,
    /// MB, the memory that is behind it
    SharedMemory,
}

impl Figure {
    /// Those of the table of ratios.
    pub(crate) const RATIOS: [Self; 5] =
        [Self::ProducerCpu, Self::ConsumerCpu, Self::P50, Self::P99, Self::Received];
    /// Those of the table of times and rates.
    pub(crate) const TIMES: [Self; 10] = [
        Self::ProducerCpu,
        Self::ConsumerCpu,
        Self::P50,
        Self::P99,
        Self::P99Most,
        Self::P999,
        Self::Worst,
        Self::Pushed,
        Self::Received,
        Self::Lost,
    ];
    /// Those of the table of calls and memory.
    pub(crate) const RESOURCES: [Self; 9] = [
        Self::ProducerCalls,
        Self::ConsumerCalls,
        Self::ProducerFaults,
        Self::ConsumerFaults,
        Self::ProducerRss,
        Self::ConsumerRss,
        Self::Pss,
        Self::SharedLength,
        Self::SharedMemory,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::ProducerCpu => "producer CPU, ms a frame",
            Self::ConsumerCpu => "consumer CPU, ms a frame",
            Self::P50 => "push→arrival p50, µs",
            Self::P99 => "p99, µs",
            Self::P99Most => "p99 of the one that is worst off, µs",
            Self::P999 => "p99.9, µs",
            Self::Worst => "latest, µs",
            Self::Pushed => "pushed/s",
            Self::Received => "received/s",
            Self::Lost => "lost",
            Self::Expected => "found by looking",
            Self::ProducerFaults => "page faults a frame, producer",
            Self::ConsumerFaults => "consumer",
            Self::ProducerCalls => "system calls a frame, producer",
            Self::ConsumerCalls => "consumer",
            Self::ProducerRss => "resident MB, producer",
            Self::ConsumerRss => "consumer",
            Self::Pss => "all together (PSS), MB",
            Self::SharedLength => "shared, length, MB",
            Self::SharedMemory => "shared, in memory, MB",
        }
    }

    /// For a column without a unit, and for a picture.
    pub(crate) fn short(self) -> &'static str {
        match self {
            Self::ProducerCpu => "producer CPU",
            Self::ConsumerCpu => "consumer CPU",
            Self::P50 => "push→arrival, p50",
            Self::P99 => "push→arrival, p99",
            Self::Received => "received a second",
            other => other.title(),
        }
    }

    pub(crate) fn digits(self) -> usize {
        match self {
            Self::ProducerCpu | Self::ConsumerCpu => 3,
            Self::Expected | Self::ProducerFaults | Self::ConsumerFaults => 2,
            Self::ProducerCalls
            | Self::ConsumerCalls
            | Self::ProducerRss
            | Self::ConsumerRss
            | Self::Pss
            | Self::SharedLength
            | Self::SharedMemory => 1,
            _ => 0,
        }
    }

    /// Whether more is better.
    pub(crate) fn rises(self) -> bool {
        matches!(self, Self::Pushed | Self::Received)
    }
}

/// The figures of one row and peer over all rounds.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) figures: BTreeMap<Figure, Spread>,
    /// What the elements said of themselves in the last round
    pub(crate) sink_statistics: Value,
    pub(crate) source_statistics: Value,
    /// Why this peer is not in this row
    pub(crate) left_out: Option<String>,
    /// Why a round gave nothing, the last time it happened
    pub(crate) failure: Option<String>,
    /// Of all rounds together
    #[serde(skip)]
    pub(crate) latencies: Latencies,
}

/// What there is no figure for.
static NOTHING: Spread = Spread::new();

impl Cell {
    pub(crate) fn add(&mut self, figure: Figure, round: u32, value: f64) {
        self.figures.entry(figure).or_default().add(round, value);
    }

    pub(crate) fn get(&self, figure: Figure) -> &Spread {
        self.figures.get(&figure).unwrap_or(&NOTHING)
    }

    pub(crate) fn median(&self, figure: Figure) -> Option<f64> {
        self.get(figure).median()
    }

    /// What only the frames of all rounds together show.
    pub(crate) fn conclude(&mut self) {
        for (figure, part) in [(Figure::P999, 0.999), (Figure::Worst, 1.0)] {
            if let Some(ns) = self.latencies.quantile(part) {
                self.add(figure, 1, ns as f64 / 1e3);
            }
        }
    }
}
