//! The order of the measurements, and one of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::Result;
use crate::cli::{Memory, Settings, Touch};
use crate::futex;
use crate::histogram::Latencies;
use crate::line::{self, Worker};
use crate::peer::{self, PEERS, Peer};
use crate::report;
use crate::row::{MANY, ROWS, Row};
use crate::spread::Spread;

/// How long a process may take for what should take milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between the last consumer's first frame and the measurement: every buffer of a peer is touched once.
const SETTLE: Duration = Duration::from_millis(700);

/// The figures of one row and peer over all rounds.
#[derive(Debug, Default)]
pub(crate) struct Cell {
    pub(crate) producer_cpu_ms: Spread,
    pub(crate) consumer_cpu_ms: Spread,
    pub(crate) p50_us: Spread,
    pub(crate) p99_us: Spread,
    pub(crate) pushed_per_s: Spread,
    pub(crate) received_per_s: Spread,
    pub(crate) lost: Spread,
    pub(crate) producer_faults: Spread,
    pub(crate) consumer_faults: Spread,
    /// What the sink said of itself in the last round
    pub(crate) sink_statistics: Value,
    pub(crate) source_statistics: Value,
    /// Why a round gave nothing, the last time it happened
    pub(crate) failure: Option<String>,
}

/// Everything that a run found.
#[derive(Debug)]
pub(crate) struct Results {
    pub(crate) rows: Vec<&'static Row>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) absent: Vec<Peer>,
    pub(crate) cells: HashMap<(&'static str, Peer), Cell>,
    pub(crate) futex_p50_us: Spread,
    pub(crate) futex_p99_us: Spread,
    /// Processor time of a bare wake-up call, with one process asleep and with `MANY`
    pub(crate) wake_one_ms: Spread,
    pub(crate) wake_many_ms: Spread,
}

/// A directory of this run's own, gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("shmflow-compare-{}", std::process::id()));
        std::fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn all(settings: &Settings) -> Result<()> {
    peer::initialise(settings.plugin.as_deref())?;
    let scratch = Scratch::new()?;
    let wanted = |peer: &Peer| settings.peers.is_empty() || settings.peers.contains(peer);
    let (peers, absent): (Vec<Peer>, Vec<Peer>) =
        PEERS.into_iter().filter(wanted).partition(|peer| peer.is_here());
    let rows: Vec<&'static Row> = ROWS
        .iter()
        .filter(|row| {
            settings.rows.is_empty() || settings.rows.iter().any(|part| row.name.contains(part.as_str()))
        })
        .collect();
    if rows.is_empty() {
        let names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        return Err(format!("no row has such a name; there are: {}", names.join(", ")).into());
    }
    let mut results = Results {
        rows,
        peers,
        absent,
        cells: HashMap::new(),
        futex_p50_us: Spread::default(),
        futex_p99_us: Spread::default(),
        wake_one_ms: Spread::default(),
        wake_many_ms: Spread::default(),
    };
    let mut number = 0;
    for round in 1..=settings.rounds() {
        line::complain(&format!("round {round} of {}", settings.rounds()));
        let mut bare = futex::measure(&scratch.0, settings.seconds(), 1)?;
        add_latencies(&mut bare.latencies, &mut results.futex_p50_us, &mut results.futex_p99_us);
        results.wake_one_ms.add(bare.wake_ns / 1e6);
        let bare = futex::measure(&scratch.0, settings.seconds(), MANY)?;
        results.wake_many_ms.add(bare.wake_ns / 1e6);
        for row in results.rows.clone() {
            for peer in turn(&results.peers, round).into_iter().filter(|peer| peer.takes_part(row)) {
                number += 1;
                let cell = results.cells.entry((row.name, peer)).or_default();
                if let Err(error) = one(settings, row, peer, &scratch.0, number, cell) {
                    line::complain(&format!("{} with {}: {error}", row.name, peer.name()));
                    cell.failure = Some(error.to_string());
                }
            }
        }
    }
    report::write(settings, &results)
}

/// Each round begins with another peer, so that none is always the one after another.
fn turn(peers: &[Peer], round: u32) -> Vec<Peer> {
    let mut turned = peers.to_vec();
    if let Some(by) = (round as usize).checked_rem(peers.len()) {
        turned.rotate_left(by);
    }
    turned
}

fn add_latencies(latencies: &mut Latencies, p50: &mut Spread, p99: &mut Spread) {
    if let (Some(median), Some(tail)) = (latencies.quantile(0.5), latencies.quantile(0.99)) {
        p50.add(median as f64 / 1e3);
        p99.add(tail as f64 / 1e3);
    }
}

fn one(
    settings: &Settings,
    row: &Row,
    peer: Peer,
    directory: &Path,
    number: u32,
    cell: &mut Cell,
) -> Result<()> {
    let address = peer.address(directory, number);
    let touch = match row.touch {
        Touch::Little => "little",
        Touch::Whole => "whole",
    };
    let mut common = vec![
        "--peer".to_owned(),
        peer.name().to_owned(),
        "--address".to_owned(),
        address,
        "--touch".to_owned(),
        touch.to_owned(),
    ];
    if let Some(plugin) = &settings.plugin {
        common.extend(["--plugin".to_owned(), plugin.to_string_lossy().into_owned()]);
    }
    let memory = match row.memory {
        Memory::Pool => "pool",
        Memory::System => "system",
    };
    let mut arguments = vec!["producer".to_owned()];
    arguments.extend_from_slice(&common);
    for (name, value) in [
        ("--width", row.width.to_string()),
        ("--height", row.height.to_string()),
        ("--fps", row.fps.to_string()),
        ("--seconds", settings.seconds().to_string()),
        ("--memory", memory.to_owned()),
    ] {
        arguments.extend([name.to_owned(), value]);
    }
    let mut producer = Worker::start("producer", &arguments)?;
    producer.expect("ready", PATIENCE)?;

    let mut arguments = vec!["consumer".to_owned()];
    arguments.extend(common);
    let mut consumers = Vec::new();
    if peer.has_consumers() {
        for index in 1..=row.consumers {
            let mut consumer = Worker::start(&format!("consumer {index}"), &arguments)?;
            consumer.expect("attached", PATIENCE)?;
            consumers.push(consumer);
        }
    }
    std::thread::sleep(SETTLE);
    producer.tell("measure")?;
    let produced =
        producer.expect("produced", PATIENCE.saturating_add(Duration::from_secs_f64(settings.seconds())))?;
    let mut consumed = Vec::new();
    for consumer in &mut consumers {
        consumed.push(consumer.expect("consumed", PATIENCE)?);
    }
    // Consumers first: some peers treat a vanished producer as an error.
    for consumer in consumers {
        consumer.finish(PATIENCE)?;
    }
    producer.finish(PATIENCE)?;
    add(cell, &produced, &consumed)
}

fn number(value: &Value, name: &str) -> Result<f64> {
    value.get(name).and_then(Value::as_f64).ok_or_else(|| format!("a result lacks `{name}`").into())
}

fn add(cell: &mut Cell, produced: &Value, consumed: &[Value]) -> Result<()> {
    let frames = number(produced, "frames")?;
    cell.pushed_per_s.add(frames / number(produced, "seconds")?);
    cell.producer_cpu_ms.add(number(produced, "cpu_ns")? / frames / 1e6);
    cell.producer_faults.add(number(produced, "faults")? / frames);
    cell.sink_statistics = produced.get("statistics").cloned().unwrap_or_default();
    if consumed.is_empty() {
        return Ok(());
    }
    let mut latencies = Latencies::default();
    let (mut received, mut seconds, mut cpu_ns, mut faults, mut lost) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for one in consumed {
        received += number(one, "frames")?;
        seconds += number(one, "seconds")?;
        cpu_ns += number(one, "cpu_ns")?;
        faults += number(one, "faults")?;
        lost += number(one, "lost")?;
        let values = one.get("latencies").and_then(Latencies::from_json);
        latencies.merge(&values.ok_or("a result lacks `latencies`")?);
        cell.source_statistics = one.get("statistics").cloned().unwrap_or_default();
    }
    // Frames and seconds are both sums over the consumers: this is what one of them got per second.
    cell.received_per_s.add(received / seconds);
    cell.consumer_cpu_ms.add(cpu_ns / received / 1e6);
    cell.consumer_faults.add(faults / received);
    cell.lost.add(lost);
    add_latencies(&mut latencies, &mut cell.p50_us, &mut cell.p99_us);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_goes_first_in_some_round() {
        let peers = [Peer::None, Peer::Shm, Peer::Shmflow];
        let first: Vec<_> = (1..=3).filter_map(|round| turn(&peers, round).first().copied()).collect();
        assert_eq!(first, [Peer::Shm, Peer::Shmflow, Peer::None]);
        assert!(turn(&[], 1).is_empty());
    }

    #[test]
    fn figures_are_per_frame_and_per_consumer() {
        let produced =
            serde_json::json!({ "frames": 100, "seconds": 2.0, "cpu_ns": 50_000_000u64, "faults": 10 });
        let one = serde_json::json!({
            "frames": 50, "seconds": 1.0, "cpu_ns": 5_000_000u64, "faults": 0, "lost": 1,
            "latencies": [1000, 2000, 3000],
        });
        let mut cell = Cell::default();
        add(&mut cell, &produced, &[one.clone(), one]).unwrap();
        assert_eq!(cell.pushed_per_s.median(), Some(50.0));
        assert_eq!(cell.producer_cpu_ms.median(), Some(0.5));
        assert_eq!(cell.producer_faults.median(), Some(0.1));
        assert_eq!(cell.received_per_s.median(), Some(50.0));
        assert_eq!(cell.consumer_cpu_ms.median(), Some(0.1));
        assert_eq!(cell.lost.median(), Some(2.0));
        assert_eq!(cell.p50_us.median(), Some(2.0));
    }

    #[test]
    fn an_incomplete_result_is_an_error() {
        let error = add(&mut Cell::default(), &serde_json::json!({}), &[]).unwrap_err();
        assert!(error.to_string().contains("frames"), "{error}");
    }
}
