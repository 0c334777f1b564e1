//! What the processes told, put together: every frame that arrived is looked up among those that were sent.

use std::collections::BTreeMap;

use crate::Result;

/// Times of one frame on both sides differ by less.
const SAME: u64 = 1_000_000;

/// Frames by the time at which they were due.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    frames: BTreeMap<u64, u64>,
    statistics: BTreeMap<String, u64>,
}

impl Sent {
    /// Takes the sender's lines about one topic.
    pub(crate) fn parse(lines: &[String], topic: &str) -> Result<Self> {
        let mut sent = Self::default();
        for line in lines {
            match *line.split(' ').collect::<Vec<_>>().as_slice() {
                ["sent", name, time, fingerprint] if name == topic => {
                    sent.frames.insert(time.parse()?, u64::from_str_radix(fingerprint, 16)?);
                }
                ["stat", name, what, value] if name == topic => {
                    sent.statistics.insert(what.to_owned(), value.parse()?);
                }
                _ => {}
            }
        }
        Ok(sent)
    }

    pub(crate) fn count(&self) -> usize {
        self.frames.len()
    }

    pub(crate) fn statistic(&self, name: &str) -> Option<u64> {
        self.statistics.get(name).copied()
    }
}

/// What a meter saw.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Metered {
    pub(crate) frames: usize,
    /// Pixel for pixel what was sent
    pub(crate) identical: usize,
    /// Sent between the first and the last one seen, but not seen
    pub(crate) lost: usize,
    /// Nanoseconds from when a frame was due until it had arrived
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) copied: Option<u64>,
}

impl Metered {
    pub(crate) fn parse(lines: &[String], sent: &Sent) -> Result<Self> {
        let mut metered = Self::default();
        let (mut latencies, mut first, mut last) = (Vec::new(), None, None);
        for line in lines {
            match *line.split(' ').collect::<Vec<_>>().as_slice() {
                ["seen", time, fingerprint, latency] => {
                    let (time, fingerprint): (u64, _) =
                        (time.parse()?, u64::from_str_radix(fingerprint, 16)?);
                    let range = time.saturating_sub(SAME)..time.saturating_add(SAME);
                    let same = sent.frames.range(range).any(|(_, sent)| *sent == fingerprint);
                    metered.frames += 1;
                    metered.identical += usize::from(same);
                    latencies.push(latency.parse()?);
                    first = first.or(Some(time));
                    last = Some(time);
                }
                ["stat", "copied", value] => metered.copied = Some(value.parse()?),
                _ => {}
            }
        }
        if let (Some(first), Some(last)) = (first, last) {
            let due = sent.frames.range(first.saturating_sub(SAME)..last.saturating_add(SAME)).count();
            metered.lost = due.saturating_sub(metered.frames);
        }
        latencies.sort_unstable();
        metered.p50 = quantile(&latencies, 50);
        metered.p99 = quantile(&latencies, 99);
        Ok(metered)
    }
}

fn quantile(sorted: &[u64], percent: usize) -> u64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get(last * percent / 100).copied().unwrap_or(0)
}

pub(crate) fn number(value: Option<u64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| value.to_string())
}
