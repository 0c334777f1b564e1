//! What shmflow promises beside its peers, and whether this run bears it out.

use crate::figure::Figure;
use crate::peer::Peer;
use crate::run::{RowFound, Run};
use crate::spread::Spread;

/// One promise.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) promise: &'static str,
    pub(crate) found: String,
    pub(crate) met: bool,
}

/// The rows at 60 frames a second on which most promises are about.
const PACED: [&str; 3] = ["little", "whole", "little-16"];

/// Every promise for which this run has the figures.
pub(crate) fn verdicts(run: &Run) -> Vec<Verdict> {
    let mut all = Vec::new();
    let median = |row: &str, peer, figure| run.cell(row, peer)?.median(figure);
    for row in PACED {
        for (side, figure) in [("producer", Figure::ProducerCpu), ("consumer", Figure::ConsumerCpu)] {
            let best = [Peer::Shm, Peer::Unixfd, Peer::Pipewire, Peer::Iceoryx2]
                .into_iter()
                .filter_map(|peer| median(row, peer, figure))
                .min_by(f64::total_cmp);
            if let (Some(ours), Some(best)) = (median(row, Peer::Shmflow, figure), best) {
                all.push(Verdict {
                    promise: "CPU per frame below the best peer",
                    found: format!("{row}, {side}: {ours:.3} ms against {best:.3} ms = {:.2}", ours / best),
                    met: ours < best,
                });
            }
        }
    }
    for (promise, figure) in [
        ("producer's CPU below shm's in every row", Figure::ProducerCpu),
        ("consumer's CPU below shm's in every row", Figure::ConsumerCpu),
    ] {
        everywhere(&mut all, promise, run, |row| {
            let (ours, theirs) = (row.peers.get(&Peer::Shmflow)?, row.peers.get(&Peer::Shm)?);
            ours.get(figure).ratio_to(theirs.get(figure)).median()
        });
    }
    everywhere(&mut all, "no frame later than 1 ms at a pace, in ms", run, |row| {
        let worst = row.peers.get(&Peer::Shmflow)?.median(Figure::Worst)?;
        (row.fps != 0 && row.consumers == 1).then_some(worst / 1e3)
    });
    let to_shm = |row: &str, peer, figure| {
        Some(run.cell(row, peer)?.get(figure).ratio_to(run.cell(row, Peer::Shm)?.get(figure)))
    };
    let busy = Peer::ShmflowBusy;
    for (promise, row, peer, figure, most) in [
        ("p50 at most 0.5 × shm's", "little", Peer::Shmflow, Figure::P50, 0.5),
        ("expecting its frames (busy-wait): p50 at most 0.6 × shm's", "little", busy, Figure::P50, 0.6),
        ("expecting its frames (busy-wait): p99 at most 0.6 × shm's", "little", busy, Figure::P99, 0.6),
        ("16 consumers: p99 below shm's", "little-16", Peer::Shmflow, Figure::P99, 1.0),
    ] {
        compare(&mut all, promise, to_shm(row, peer, figure), |ratio| ratio <= most);
    }
    // A producer that never waits pushes more than anyone receives: what counts is what arrives.
    for (promise, row, figure, least) in [
        (
            "unthrottled, little touched: at least 3 × shm's rate, received",
            "rate-little",
            Figure::Received,
            3.0,
        ),
        ("unthrottled, little touched: at least 3 × shm's rate, pushed", "rate-little", Figure::Pushed, 3.0),
        ("own memory at 4K: at least 1.5 × shm's rate, received", "system-4k", Figure::Received, 1.5),
    ] {
        compare(&mut all, promise, to_shm(row, Peer::Shmflow, figure), |ratio| ratio >= least);
    }
    let own = ["rate-own", "rate-own-vga", "system-4k"];
    for (peer, who) in
        [(Peer::Shm, "own memory, unthrottled: not slower than shm"), (Peer::Iceoryx2, "… than iceoryx2")]
    {
        for row in own {
            let (ours, theirs) = (run.cell(row, Peer::Shmflow), run.cell(row, peer));
            let ratio = ours
                .zip(theirs)
                .map(|(ours, theirs)| ours.get(Figure::Received).ratio_to(theirs.get(Figure::Received)));
            compare(&mut all, who, ratio, |ratio| ratio >= 1.0);
        }
    }
    let p50 = median("little", Peer::Shmflow, Figure::P50);
    let floor = median("little", Peer::Floor, Figure::P50);
    let promise = "p50 at most 1.5 × the floor: GStreamer's base classes and one futex";
    ratio(&mut all, promise, p50, floor, |r| r <= 1.5);
    let promise = "p50 at most 2 × a bare futex wake-up";
    ratio(&mut all, promise, p50, run.futex.p50_us.median(), |r| r <= 2.0);
    // The kernel's work of waking sixteen processes is the same for everybody; it was measured bare in this run.
    let without =
        |row, wake: &Spread| Some(median(row, Peer::Shmflow, Figure::ProducerCpu)? - wake.median()?);
    let one = without("little", &run.futex.wake_one_ms);
    let sixteen = without("little-16", &run.futex.wake_many_ms);
    let promise = "16 consumers cost the producer at most 1.3 × one, ms without the wake-up calls";
    ratio(&mut all, promise, sixteen, one, |r| r <= 1.3);
    for row in PACED {
        if let Some(cell) = run.cell(row, Peer::Shmflow) {
            zero(&mut all, "nothing lost at 60 fps", row, "frames", cell.median(Figure::Lost));
            for (promise, figure) in [
                ("fewer than one page fault in ten frames, producer", Figure::ProducerFaults),
                ("fewer than one page fault in ten frames, consumer", Figure::ConsumerFaults),
            ] {
                zero(&mut all, promise, row, "per frame", cell.median(figure));
            }
        }
    }
    all
}

/// What must be below 1 in every row that has it.
fn everywhere(
    all: &mut Vec<Verdict>,
    promise: &'static str,
    run: &Run,
    value: impl Fn(&RowFound) -> Option<f64>,
) {
    let found: Vec<(&str, f64)> =
        run.rows.iter().filter_map(|row| Some((row.name.as_str(), value(row)?))).collect();
    if found.is_empty() {
        return;
    }
    let missed: Vec<String> = found
        .iter()
        .filter(|(_, value)| *value >= 1.0)
        .map(|(name, value)| format!("{name} {value:.2}"))
        .collect();
    let held = found.len().saturating_sub(missed.len());
    let but = if missed.is_empty() { String::new() } else { format!("; not in {}", missed.join(", ")) };
    all.push(Verdict {
        promise,
        found: format!("in {held} of {} rows{but}", found.len()),
        met: missed.is_empty(),
    });
}

/// A ratio with its spread over the rounds.
fn compare(
    all: &mut Vec<Verdict>,
    promise: &'static str,
    ratio: Option<Spread>,
    holds: impl Fn(f64) -> bool,
) {
    if let Some((ratio, median)) = ratio.and_then(|ratio| Some((ratio.clone(), ratio.median()?))) {
        all.push(Verdict { promise, found: ratio.text(2), met: holds(median) });
    }
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

/// A slot that is touched for the first time, or a stray fault of the measuring code, is not one per frame.
fn zero(all: &mut Vec<Verdict>, promise: &'static str, row: &str, unit: &str, value: Option<f64>) {
    if let Some(value) = value {
        all.push(Verdict { promise, found: format!("{row}: {value:.3} {unit}"), met: value < 0.1 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Cell;
    use crate::row::Row;

    #[test]
    fn a_target_is_met_or_missed_by_the_median_of_the_ratios() {
        let mut row = RowFound::new(Row::find("rate-little").unwrap());
        for (peer, rate) in [(Peer::Shm, 10.0), (Peer::Shmflow, 31.0)] {
            let mut cell = Cell::default();
            cell.add(Figure::Received, 1, rate);
            cell.add(Figure::Pushed, 1, rate.min(29.0));
            row.peers.insert(peer, cell);
        }
        let run = Run { rows: vec![row], ..Run::default() };
        let met: Vec<_> = verdicts(&run).into_iter().map(|verdict| (verdict.met, verdict.found)).collect();
        assert_eq!(met, [(true, "3.10".to_owned()), (false, "2.90".to_owned())]);
    }

    #[test]
    fn what_must_hold_everywhere_names_where_it_does_not() {
        let rows = ["whole", "nv12"].into_iter().zip([0.9, 1.1]).map(|(name, ours)| {
            let mut row = RowFound::new(Row::find(name).unwrap());
            for (peer, cpu) in [(Peer::Shm, 1.0), (Peer::Shmflow, ours)] {
                let mut cell = Cell::default();
                cell.add(Figure::ConsumerCpu, 1, cpu);
                row.peers.insert(peer, cell);
            }
            row
        });
        let run = Run { rows: rows.collect(), ..Run::default() };
        let verdict =
            verdicts(&run).into_iter().find(|verdict| verdict.promise.contains("every row")).unwrap();
        assert!(!verdict.met);
        assert_eq!(verdict.found, "in 1 of 2 rows; not in nv12 1.10");
    }

    #[test]
    fn without_figures_nothing_is_promised() {
        assert!(verdicts(&Run::default()).is_empty());
    }
}
