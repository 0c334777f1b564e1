//! What shmflow promises beside its peers, and whether this run bears it out.

use crate::measure::{Cell, Results};
use crate::peer::Peer;
use crate::spread::Spread;

/// One promise.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) promise: &'static str,
    pub(crate) found: String,
    pub(crate) met: bool,
}

/// Every promise for which this run has the figures.
pub(crate) fn verdicts(results: &Results) -> Vec<Verdict> {
    let mut all = Vec::new();
    let cell = |row, peer| results.cells.get(&(row, peer));
    for (row, side, pick) in [
        ("little", "producer", (|cell| &cell.producer_cpu_ms) as fn(&Cell) -> &Spread),
        ("little", "consumer", |cell| &cell.consumer_cpu_ms),
        ("whole", "producer", |cell| &cell.producer_cpu_ms),
        ("whole", "consumer", |cell| &cell.consumer_cpu_ms),
        ("little-16", "producer", |cell| &cell.producer_cpu_ms),
        ("little-16", "consumer", |cell| &cell.consumer_cpu_ms),
    ] {
        let ours = cell(row, Peer::Shmflow).and_then(|cell| pick(cell).median());
        let best = [Peer::Shm, Peer::Unixfd]
            .into_iter()
            .filter_map(|peer| pick(cell(row, peer)?).median())
            .min_by(f64::total_cmp);
        if let (Some(ours), Some(best)) = (ours, best) {
            all.push(Verdict {
                promise: "CPU per frame below the best peer",
                found: format!("{row}, {side}: {ours:.3} ms against {best:.3} ms"),
                met: ours < best,
            });
        }
    }
    let median = |row, peer, pick: fn(&Cell) -> &Spread| cell(row, peer).and_then(|cell| pick(cell).median());
    let p50 = median("little", Peer::Shmflow, |cell| &cell.p50_us);
    ratio(
        &mut all,
        "p50 at most 0.5 × shmsink's",
        p50,
        median("little", Peer::Shm, |cell| &cell.p50_us),
        |r| r <= 0.5,
    );
    ratio(
        &mut all,
        "p50 at most 1.5 × the floor: GStreamer's base classes and one futex",
        p50,
        median("little", Peer::Floor, |cell| &cell.p50_us),
        |r| r <= 1.5,
    );
    for (promise, pick) in [
        (
            "expecting its frames (busy-wait): p50 at most 0.6 × shmsink's",
            (|cell| &cell.p50_us) as fn(&Cell) -> &Spread,
        ),
        ("expecting its frames (busy-wait): p99 at most 0.6 × shmsink's", |cell| &cell.p99_us),
    ] {
        let (ours, theirs) = (median("little", Peer::ShmflowBusy, pick), median("little", Peer::Shm, pick));
        ratio(&mut all, promise, ours, theirs, |r| r <= 0.6);
    }
    ratio(&mut all, "p50 at most 2 × a bare futex wake-up", p50, results.futex_p50_us.median(), |r| {
        r <= 2.0
    });
    // A producer that never waits pushes more than anyone receives: what counts is what arrives.
    for (promise, row, least) in [
        ("unthrottled, little touched: at least 3 × shmsink's rate, received", "rate-little", 3.0),
        ("system memory at 4K: at least 1.5 × shmsink's rate, received", "system-4k", 1.5),
    ] {
        let ours = median(row, Peer::Shmflow, |cell| &cell.received_per_s);
        let theirs = median(row, Peer::Shm, |cell| &cell.received_per_s);
        ratio(&mut all, promise, ours, theirs, |r| r >= least);
    }
    let pushed = |peer| median("rate-little", peer, |cell| &cell.pushed_per_s);
    let promise = "unthrottled, little touched: at least 3 × shmsink's rate, pushed";
    ratio(&mut all, promise, pushed(Peer::Shmflow), pushed(Peer::Shm), |r| r >= 3.0);
    // The kernel's work of waking sixteen processes is the same for everybody; it was measured bare in this run.
    let without =
        |row, wake: &Spread| Some(median(row, Peer::Shmflow, |cell| &cell.producer_cpu_ms)? - wake.median()?);
    let one = without("little", &results.wake_one_ms);
    let sixteen = without("little-16", &results.wake_many_ms);
    ratio(
        &mut all,
        "16 consumers cost the producer at most 1.3 × one, ms without the wake-up calls",
        sixteen,
        one,
        |r| r <= 1.3,
    );
    for row in ["little", "whole", "little-16"] {
        if let Some(cell) = cell(row, Peer::Shmflow) {
            zero(&mut all, "nothing lost at 60 fps", row, "frames", cell.lost.median());
            zero(
                &mut all,
                "no page faults per frame, producer",
                row,
                "per frame",
                cell.producer_faults.median(),
            );
            zero(
                &mut all,
                "no page faults per frame, consumer",
                row,
                "per frame",
                cell.consumer_faults.median(),
            );
        }
    }
    all
}

fn ratio(
    all: &mut Vec<Verdict>,
    promise: &'static str,
    ours: Option<f64>,
    theirs: Option<f64>,
    holds: impl Fn(f64) -> bool,
) {
    if let (Some(ours), Some(theirs)) = (ours, theirs) {
        let ratio = ours / theirs;
        all.push(Verdict {
            promise,
            found: format!("{ours:.3} / {theirs:.3} = {ratio:.2}"),
            met: holds(ratio),
        });
    }
}

/// A stray fault of the measuring code itself is not one per frame.
fn zero(all: &mut Vec<Verdict>, promise: &'static str, row: &str, unit: &str, value: Option<f64>) {
    if let Some(value) = value {
        all.push(Verdict { promise, found: format!("{row}: {value:.3} {unit}"), met: value < 0.02 });
    }
}
