//! The order of the measurements.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::Result;
use crate::cli::Settings;
use crate::faults::{FAULTS, Found};
use crate::futex;
use crate::histogram::Latencies;
use crate::line;
use crate::measure::Stage;
use crate::packets;
use crate::peer::{self, PEERS, Peer};
use crate::pipewire::Daemon;
use crate::report;
use crate::row::{MANY, ROWS, Row, Stream};
use crate::run::{Futex, RowFound, Run};

/// A directory of this run's own, gone with it.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("shmflow-compare-{}", std::process::id()));
        std::fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn all(settings: &Settings) -> Result<()> {
    let begin = Instant::now();
    peer::initialise(settings.plugin.as_deref())?;
    let rows: Vec<&'static Row> = ROWS.iter().filter(|row| settings.wants(row)).collect();
    if let Some(name) = settings.rows.iter().find(|name| ROWS.iter().all(|row| row.name != **name)) {
        let names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        return Err(format!("there is no row {name}; there are: {}", names.join(", ")).into());
    }
    let scratch = Scratch::new()?;
    let mut run = Run::new(&settings.command, settings.rounds(), settings.seconds());
    let _daemon = settings.pipewire.then(|| Daemon::start(&scratch.0)).and_then(|started| {
        started.map_err(|error| run.absent.insert(Peer::Pipewire, error.to_string())).ok()
    });
    let wanted = if settings.peers.is_empty() { &PEERS[..] } else { &settings.peers };
    let peers = present(wanted, &mut run);
    let mut stage = Stage {
        directory: scratch.path(),
        packets: None,
        plugin: settings.plugin.as_deref(),
        seconds: settings.seconds(),
        counts_calls: true,
    };
    if rows.iter().any(|row| row.stream == Stream::Packets) {
        let path = scratch.0.join("packets");
        match packets::encode(&path) {
            Ok(()) => stage.packets = Some(path),
            Err(error) => line::complain(&format!("packets: {error}")),
        }
    }
    run.rows = rows.iter().map(|row| RowFound::new(row)).collect();
    let mut count = 0;
    for round in 1..=settings.rounds() {
        line::complain(&format!(
            "round {round} of {}, after {} s",
            settings.rounds(),
            begin.elapsed().as_secs()
        ));
        bare(&stage, round, &mut run.futex)?;
        for (row, found) in rows.iter().zip(&mut run.rows) {
            for peer in turn(&peers, round).into_iter().filter(|peer| peer.takes_part(row)) {
                count += 1;
                one(&stage, row, peer, count, round, found);
            }
        }
    }
    run.conclude();
    if !settings.quick && !settings.no_faults {
        line::complain(&format!(
            "idle, slow, stopped and killed peers, after {} s",
            begin.elapsed().as_secs()
        ));
        misbehave(&stage, &peers, &mut count, &mut run);
    }
    line::complain(&format!("measured in {} s", begin.elapsed().as_secs()));
    report::save(&run, &settings.out)
}

/// Those of the wanted peers that are here; the run says why the others are not.
pub(crate) fn present(wanted: &[Peer], run: &mut Run) -> Vec<Peer> {
    let mut peers = Vec::new();
    for &peer in wanted {
        if peers.contains(&peer) || run.absent.contains_key(&peer) {
            continue;
        }
        match peer.absence() {
            None => {
                if let Some(version) = peer.version().filter(|_| peer.is_a_choice()) {
                    run.versions.insert(peer, version);
                }
                peers.push(peer);
            }
            Some(reason) => {
                run.absent.insert(peer, reason);
            }
        }
    }
    peers
}

fn bare(stage: &Stage<'_>, round: u32, found: &mut Futex) -> Result<()> {
    let seconds = stage.seconds;
    let bare = futex::measure(stage.directory, seconds, 1)?;
    let mut latencies: Latencies = bare.latencies;
    for (part, spread) in [(0.5, &mut found.p50_us), (0.99, &mut found.p99_us)] {
        if let Some(ns) = latencies.quantile(part) {
            spread.add(round, ns as f64 / 1e3);
        }
    }
    found.wake_one_ms.add(round, bare.wake_ns / 1e6);
    found.wake_many_ms.add(round, futex::measure(stage.directory, seconds, MANY)?.wake_ns / 1e6);
    Ok(())
}

pub(crate) fn one(stage: &Stage<'_>, row: &Row, peer: Peer, count: u32, round: u32, found: &mut RowFound) {
    let cell = found.peers.entry(peer).or_default();
    if let Some(reason) = peer.refusal(row) {
        cell.left_out = Some(reason.to_owned());
        return;
    }
    // What gave nothing in the first round gives nothing in the next, and takes its time to do so.
    if cell.failure.is_some() && cell.figures.is_empty() {
        return;
    }
    if let Err(error) = stage.measure(row, peer, count, round, cell) {
        line::complain(&format!("{} with {}: {error}", row.name, peer.name()));
        cell.failure = Some(error.to_string());
    }
}

fn misbehave(stage: &Stage<'_>, peers: &[Peer], count: &mut u32, run: &mut Run) {
    // What every peer carries.
    let Some(row) = Row::find("nv12") else { return };
    for peer in peers.iter().copied().filter(|peer| peer.is_a_choice()) {
        *count += 1;
        match stage.idle(row, peer, *count) {
            Ok(idle) => {
                run.idle.insert(peer, idle);
            }
            Err(error) => line::complain(&format!("idle with {}: {error}", peer.name())),
        }
        for fault in FAULTS {
            *count += 1;
            run.faults.push(Found::new(stage, fault, peer, row, *count));
        }
    }
}

/// Each round begins with another peer, so that none is always the one after another.
pub(crate) fn turn(peers: &[Peer], round: u32) -> Vec<Peer> {
    let mut turned = peers.to_vec();
    if let Some(by) = (round as usize).checked_rem(peers.len()) {
        turned.rotate_left(by);
    }
    turned
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
}
