//! One measurement: a producer, its consumers, and what they say.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::Result;
use crate::calls;
use crate::figure::{Cell, Figure};
use crate::histogram::Latencies;
use crate::line::Worker;
use crate::peer::Peer;
use crate::process;
use crate::row::Row;
use crate::run::Idle;

/// How long a process may take for what should take milliseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);
/// Between the last consumer's first frame and the measurement: every buffer of a peer is touched once.
const SETTLE: Duration = Duration::from_millis(500);
/// How long nothing happens to see what that costs.
const IDLE: Duration = Duration::from_millis(1500);

/// Starts the processes of this run.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    pub(crate) directory: &'a Path,
    pub(crate) packets: Option<PathBuf>,
    pub(crate) plugin: Option<&'a Path>,
    /// How long each measurement lasts
    pub(crate) seconds: f64,
    /// Whether to count the system calls of the paced rows, which takes a second for each
    pub(crate) counts_calls: bool,
}

impl Stage<'_> {
    pub(crate) fn producer(&self, row: &Row, peer: Peer, address: &str, seconds: f64) -> Result<Worker> {
        let mut arguments = self.arguments("producer", row, peer, address);
        arguments.extend(["--seconds".to_owned(), seconds.to_string()]);
        if let Some(packets) = &self.packets {
            arguments.extend(["--packets".to_owned(), packets.to_string_lossy().into_owned()]);
        }
        let mut producer = Worker::start("producer", &arguments)?;
        producer.expect("ready", PATIENCE)?;
        Ok(producer)
    }

    /// Has got its first frame.
    pub(crate) fn consumer(&self, row: &Row, peer: Peer, address: &str, delay: Duration) -> Result<Worker> {
        let mut arguments = self.arguments("consumer", row, peer, address);
        arguments.extend(["--delay-ms".to_owned(), delay.as_millis().to_string()]);
        let mut consumer = Worker::start("consumer", &arguments)?;
        consumer.expect("attached", PATIENCE)?;
        Ok(consumer)
    }

    fn arguments(&self, role: &str, row: &Row, peer: Peer, address: &str) -> Vec<String> {
        let words = [role, "--peer", peer.name(), "--address", address, "--row", row.name];
        let mut arguments = words.map(str::to_owned).to_vec();
        if let Some(plugin) = self.plugin {
            arguments.extend(["--plugin".to_owned(), plugin.to_string_lossy().into_owned()]);
        }
        arguments
    }

    /// Measures a row with a peer once.
    pub(crate) fn measure(
        &self,
        row: &Row,
        peer: Peer,
        number: u32,
        round: u32,
        cell: &mut Cell,
    ) -> Result<()> {
        let seconds = self.seconds;
        let address = peer.address(self.directory, number);
        let mut producer = self.producer(row, peer, &address, seconds)?;
        let mut consumers = Vec::new();
        for _ in 0..if peer.has_consumers() { row.consumers } else { 0 } {
            consumers.push(self.consumer(row, peer, &address, Duration::ZERO)?);
        }
        std::thread::sleep(SETTLE);
        producer.tell("measure")?;
        let produced =
            producer.expect("produced", PATIENCE.saturating_add(Duration::from_secs_f64(seconds)))?;
        let mut consumed = Vec::new();
        for consumer in &mut consumers {
            consumed.push(consumer.expect("consumed", PATIENCE)?);
        }
        add(cell, round, &produced, &consumed)?;
        add_memory(cell, round, &producer, &consumers)?;
        if self.counts_calls && round == 1 && row.is_paced() && row.consumers == 1 {
            let consumer = consumers.first().map(Worker::pid);
            // Without strace the rest is worth having.
            if let Ok((of_producer, of_consumer)) = calls::count(self.directory, producer.pid(), consumer) {
                cell.add(Figure::ProducerCalls, round, of_producer);
                if let Some(count) = of_consumer {
                    cell.add(Figure::ConsumerCalls, round, count);
                }
            }
        }
        // Consumers first: some peers treat a vanished producer as an error. PipeWire treats a vanished consumer so.
        for consumer in consumers {
            consumer.finish(PATIENCE)?;
        }
        match producer.finish(PATIENCE) {
            Err(_) if peer == Peer::Pipewire => Ok(()),
            outcome => outcome,
        }
    }

    /// What both sides cost while the producer has nothing to send.
    pub(crate) fn idle(&self, row: &Row, peer: Peer, number: u32) -> Result<Idle> {
        let address = peer.address(self.directory, number);
        let mut producer = self.producer(row, peer, &address, 1.0)?;
        let consumer = self.consumer(row, peer, &address, Duration::ZERO)?;
        producer.tell("pause")?;
        std::thread::sleep(SETTLE);
        let before = (process::cpu(producer.pid())?, process::cpu(consumer.pid())?);
        std::thread::sleep(IDLE);
        let after = (process::cpu(producer.pid())?, process::cpu(consumer.pid())?);
        let per_second = |after: Duration, before: Duration| {
            after.saturating_sub(before).as_secs_f64() * 1e3 / IDLE.as_secs_f64()
        };
        Ok(Idle { producer_ms: per_second(after.0, before.0), consumer_ms: per_second(after.1, before.1) })
    }
}

pub(crate) fn number(value: &Value, name: &str) -> Result<f64> {
    value.get(name).and_then(Value::as_f64).ok_or_else(|| format!("a result lacks `{name}`").into())
}

fn add(cell: &mut Cell, round: u32, produced: &Value, consumed: &[Value]) -> Result<()> {
    let frames = number(produced, "frames")?;
    cell.add(Figure::Pushed, round, frames / number(produced, "seconds")?);
    cell.add(Figure::ProducerCpu, round, number(produced, "cpu_ns")? / frames / 1e6);
    cell.add(Figure::ProducerFaults, round, number(produced, "faults")? / frames);
    cell.sink_statistics = produced.get("statistics").cloned().unwrap_or_default();
    if consumed.is_empty() {
        return Ok(());
    }
    let mut latencies = Latencies::default();
    let (mut received, mut seconds, mut cpu_ns, mut faults, mut lost) = (0.0, 0.0, 0.0, 0.0, 0.0);
    let (mut expected, mut most) = (None, None);
    for one in consumed {
        received += number(one, "frames")?;
        seconds += number(one, "seconds")?;
        cpu_ns += number(one, "cpu_ns")?;
        faults += number(one, "faults")?;
        lost += number(one, "lost")?;
        if let Some(count) = one.get("expected").and_then(Value::as_f64) {
            expected = Some(expected.unwrap_or(0.0) + count);
        }
        let values = one.get("latencies").and_then(Latencies::from_json);
        let mut values = values.ok_or("a result lacks `latencies`")?;
        if let Some(ns) = values.quantile(0.99).filter(|_| consumed.len() > 1) {
            most = Some(most.unwrap_or(0).max(ns));
        }
        latencies.merge(&values);
        cell.source_statistics = one.get("statistics").cloned().unwrap_or_default();
    }
    // Frames and seconds are both sums over the consumers: this is what one of them got per second.
    cell.add(Figure::Received, round, received / seconds);
    cell.add(Figure::ConsumerCpu, round, cpu_ns / received / 1e6);
    cell.add(Figure::ConsumerFaults, round, faults / received);
    cell.add(Figure::Lost, round, lost);
    if let Some(expected) = expected {
        cell.add(Figure::Expected, round, expected / received);
    }
    for (figure, part) in [(Figure::P50, 0.5), (Figure::P99, 0.99)] {
        if let Some(ns) = latencies.quantile(part) {
            cell.add(figure, round, ns as f64 / 1e3);
        }
    }
    if let Some(ns) = most {
        cell.add(Figure::P99Most, round, ns as f64 / 1e3);
    }
    cell.latencies.merge(&latencies);
    Ok(())
}

fn add_memory(cell: &mut Cell, round: u32, producer: &Worker, consumers: &[Worker]) -> Result<()> {
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let own = process::memory(producer.pid())?;
    let mut proportional = own.proportional;
    cell.add(Figure::ProducerRss, round, megabytes(own.resident));
    for consumer in consumers {
        let memory = process::memory(consumer.pid())?;
        proportional = proportional.saturating_add(memory.proportional);
        cell.add(Figure::ConsumerRss, round, megabytes(memory.resident));
    }
    cell.add(Figure::Pss, round, megabytes(proportional));
    let pids: Vec<u32> = std::iter::once(producer).chain(consumers).map(Worker::pid).collect();
    let shared = process::shared(&pids);
    cell.add(Figure::SharedLength, round, megabytes(shared.length));
    cell.add(Figure::SharedMemory, round, megabytes(shared.memory));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_per_frame_and_per_consumer() {
        let produced =
            serde_json::json!({ "frames": 100, "seconds": 2.0, "cpu_ns": 50_000_000u64, "faults": 10 });
        let one = serde_json::json!({
            "frames": 50, "seconds": 1.0, "cpu_ns": 5_000_000u64, "faults": 0, "lost": 1, "expected": 20,
            "latencies": [1000, 2000, 3000],
        });
        let mut cell = Cell::default();
        add(&mut cell, 1, &produced, &[one.clone(), one]).unwrap();
        cell.conclude();
        assert_eq!(cell.median(Figure::Pushed), Some(50.0));
        assert_eq!(cell.median(Figure::ProducerCpu), Some(0.5));
        assert_eq!(cell.median(Figure::ProducerFaults), Some(0.1));
        assert_eq!(cell.median(Figure::Received), Some(50.0));
        assert_eq!(cell.median(Figure::ConsumerCpu), Some(0.1));
        assert_eq!(cell.median(Figure::Lost), Some(2.0));
        assert_eq!(cell.median(Figure::Expected), Some(0.4));
        assert_eq!(cell.median(Figure::P50), Some(2.0));
        assert_eq!(cell.median(Figure::Worst), Some(3.0));
    }

    #[test]
    fn an_incomplete_result_is_an_error() {
        let error = add(&mut Cell::default(), 1, &serde_json::json!({}), &[]).unwrap_err();
        assert!(error.to_string().contains("frames"), "{error}");
    }
}
