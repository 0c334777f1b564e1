//! What a peer that is slow, stopped or killed does to the others, and how a stream comes back after its producer died.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::frame;
use crate::line::Worker;
use crate::measure::{PATIENCE, Stage, number};
use crate::peer::Peer;
use crate::row::Row;

/// How long the other consumer is watched.
const WATCHED: f64 = 2.5;
/// How long one of the consumers is stopped, of that time.
const STOPPED: Duration = Duration::from_millis(1500);
/// From the begin of the watch until something happens.
const BEFORE: Duration = Duration::from_millis(300);
/// What a slow consumer takes for each frame.
const SLOW: Duration = Duration::from_millis(100);
/// How long frames may be missing before the stream counts as dead.
const DEAD_AFTER: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// One of two consumers takes 100 ms for each frame
    SlowConsumer,
    /// It is stopped (SIGSTOP) for 1.5 s
    StoppedConsumer,
    /// It is killed
    KilledConsumer,
    /// The producer is killed, and started again under the same name
    KilledProducer,
}

pub(crate) const FAULTS: [Fault; 4] =
    [Fault::SlowConsumer, Fault::StoppedConsumer, Fault::KilledConsumer, Fault::KilledProducer];

impl Fault {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::SlowConsumer => "one of two consumers takes 100 ms a frame: what the other gets",
            Self::StoppedConsumer => "one is stopped for 1.5 s: what the other gets",
            Self::KilledConsumer => "one is killed: what the other gets",
            Self::KilledProducer => "the producer is killed and started again: the same consumer",
        }
    }
}

/// What happened.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Found {
    pub(crate) fault: Fault,
    pub(crate) peer: Peer,
    /// Frames a second of the consumer to which nothing happened
    pub(crate) received_per_s: Option<f64>,
    /// The longest time that it got none
    pub(crate) longest_gap_ms: Option<f64>,
    /// From when the new producer was ready to its first frame at the old consumer
    pub(crate) again_after_ms: Option<f64>,
    /// What ended it, if something did
    pub(crate) failure: Option<String>,
}

impl Found {
    /// What becomes of a peer, at 60 frames a second.
    pub(crate) fn new(stage: &Stage<'_>, fault: Fault, peer: Peer, row: &Row, number: u32) -> Self {
        let mut found = Self {
            fault,
            peer,
            received_per_s: None,
            longest_gap_ms: None,
            again_after_ms: None,
            failure: None,
        };
        let outcome = match fault {
            Fault::KilledProducer => found.restart(stage, row, number),
            _ => found.disturb(stage, row, number),
        };
        found.failure = outcome.err().map(|error| error.to_string());
        found
    }

    /// In a few words.
    pub(crate) fn text(&self) -> String {
        if let Some(failure) = &self.failure {
            // A worker that was waited for in vain was not told that anything is wrong.
            let stands = failure.contains(" within ");
            return if stands {
                "**stands still**".to_owned()
            } else {
                format!("**ends**: {}", brief(failure))
            };
        }
        match (self.again_after_ms, self.received_per_s, self.longest_gap_ms) {
            (Some(ms), ..) => format!("goes on, {ms:.0} ms after the new one is ready"),
            (_, Some(rate), Some(gap)) => format!("{rate:.0} frames/s, longest gap {gap:.0} ms"),
            _ => "–".to_owned(),
        }
    }

    fn disturb(&mut self, stage: &Stage<'_>, row: &Row, index: u32) -> Result<()> {
        let address = self.peer.address(stage.directory, index);
        let mut producer = stage.producer(row, self.peer, &address, WATCHED)?;
        let delay = if self.fault == Fault::SlowConsumer { SLOW } else { Duration::ZERO };
        let mut other = stage.consumer(row, self.peer, &address, Duration::ZERO)?;
        let mut victim = stage.consumer(row, self.peer, &address, delay)?;
        producer.tell("measure")?;
        std::thread::sleep(BEFORE);
        match self.fault {
            Fault::StoppedConsumer => {
                victim.signal(Signal::SIGSTOP)?;
                std::thread::sleep(STOPPED);
                victim.signal(Signal::SIGCONT)?;
            }
            Fault::KilledConsumer => victim.kill()?,
            _ => {}
        }
        let seen = DEAD_AFTER.saturating_add(Duration::from_secs_f64(WATCHED));
        producer.expect("produced", seen)?;
        let consumed = other.expect("consumed", seen)?;
        self.received_per_s = Some(number(&consumed, "frames")? / number(&consumed, "seconds")?);
        self.longest_gap_ms = Some(number(&consumed, "longest_gap_ns")? / 1e6);
        drop(victim);
        finish(other, producer)
    }

    fn restart(&mut self, stage: &Stage<'_>, row: &Row, index: u32) -> Result<()> {
        let address = self.peer.address(stage.directory, index);
        let mut first = stage.producer(row, self.peer, &address, WATCHED)?;
        let mut consumer = stage.consumer(row, self.peer, &address, Duration::ZERO)?;
        std::thread::sleep(BEFORE);
        first.kill()?;
        let second = stage
            .producer(row, self.peer, &address, WATCHED)
            .map_err(|error| format!("the new producer cannot start, {error}"))?;
        let ready = frame::now()?.as_nanos() as f64;
        let arrived = consumer.expect("attached", DEAD_AFTER).and_then(|time| {
            time.as_f64().ok_or_else(|| "the time of a first frame is not readable".into())
        })?;
        self.again_after_ms = Some(((arrived - ready) / 1e6).max(0.0));
        drop(first);
        finish(consumer, second)
    }
}

/// The part of an error that says it in a few words, without the names of elements and files.
pub(crate) fn brief(failure: &str) -> String {
    let first = failure.split([';', '(', '\n']).next().unwrap_or_default();
    let words = first.split_whitespace().filter(|word| !word.starts_with("/Gst"));
    words.collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
}

/// What happens at the end of a fault is not what the fault is about.
fn finish(consumer: Worker, producer: Worker) -> Result<()> {
    let _ = consumer.finish(PATIENCE);
    let _ = producer.finish(PATIENCE);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Found {
        Found {
            fault: Fault::SlowConsumer,
            peer: Peer::Shm,
            received_per_s: Some(59.7),
            longest_gap_ms: Some(17.4),
            again_after_ms: None,
            failure: None,
        }
    }

    #[test]
    fn what_happened_is_told_in_a_few_words() {
        assert_eq!(found().text(), "60 frames/s, longest gap 17 ms");
        assert_eq!(
            Found { again_after_ms: Some(3.2), ..found() }.text(),
            "goes on, 3 ms after the new one is ready"
        );
        let failure = Some("consumer: /pipeline0: Failed to read from shmsrc (more)".into());
        assert_eq!(
            Found { failure, ..found() }.text(),
            "**ends**: consumer: /pipeline0: Failed to read from shmsrc"
        );
    }
}
