//! What shmflow promises beside its peers, and whether this run bears it out.

use crate::figure::Figure;
use crate::peer::Peer;
use crate::run::{RowFound, Run};
use crate::spread::Spread;

/// One promise.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) promise: String,
    pub(crate) found: String,
    pub(crate) met: bool,
}

/// The rows at 60 frames a second on which most promises are about.
const PACED: [&str; 3] = ["little", "whole", "little-16"];
/// Those whose frames the sink copies.
const OWN: [&str; 5] = ["padded", "system-4k-60", "rate-own-vga", "rate-own", "system-4k"];
const PEERS: [Peer; 4] = [Peer::Shm, Peer::Unixfd, Peer::Pipewire, Peer::Iceoryx2];

/// A figure beside another one of the same row, in both ways in which medians can be compared: they differ where a machine
/// drifts from round to round.
#[derive(Debug)]
struct Beside {
    by_round: Spread,
    of_medians: f64,
}

impl Beside {
    fn new(ours: &Spread, theirs: &Spread) -> Option<Self> {
        let of_medians = ours.median()? / theirs.median().filter(|value| *value > 0.0)?;
        Some(Self { by_round: ours.ratio_to(theirs), of_medians })
    }

    fn of(row: &RowFound, peer: Peer, other: Peer, figure: Figure) -> Option<Self> {
        Self::new(row.peers.get(&peer)?.get(figure), row.peers.get(&other)?.get(figure))
    }

    fn both(&self, holds: impl Fn(f64) -> bool) -> bool {
        holds(self.of_medians) && self.by_round.median().is_some_and(holds)
    }

    fn text(&self) -> String {
        format!("{}, of medians {:.2}", self.by_round.text(2), self.of_medians)
    }
}

/// Every promise for which this run has the figures. What is a ratio is met if it holds round by round and of the medians.
pub(crate) fn verdicts(run: &Run) -> Vec<Verdict> {
    let mut all = Vec::new();
    processor_time(&mut all, run);
    latencies(&mut all, run);
    rates(&mut all, run);
    floors(&mut all, run);
    for figure in [(Figure::ProducerFaults, "producer"), (Figure::ConsumerFaults, "consumer")] {
        everywhere(
            &mut all,
            &format!("fewer than one page fault in ten frames at a pace, {}", figure.1),
            run,
            0.1,
            |row| (row.fps != 0).then_some(row.peers.get(&Peer::Shmflow)?.median(figure.0)?),
        );
    }
    everywhere(&mut all, "nothing lost at a pace, in frames", run, 0.1, |row| {
        (row.fps != 0).then_some(row.peers.get(&Peer::Shmflow)?.median(Figure::Lost)?)
    });
    all
}

fn processor_time(all: &mut Vec<Verdict>, run: &Run) {
    let sides = [("producer", Figure::ProducerCpu), ("consumer", Figure::ConsumerCpu)];
    for row in PACED {
        let Some(found) = run.row(row) else { continue };
        for (side, figure) in sides {
            let median = |peer: &Peer| found.peers.get(peer)?.median(figure);
            let best = PEERS
                .into_iter()
                .filter_map(|peer| Some((peer, median(&peer)?)))
                .min_by(|one, other| one.1.total_cmp(&other.1));
            if let Some((best, _)) = best {
                let what = format!("{row}, {side}, beside {}", best.name());
                let promise = "CPU per frame below the best peer";
                judge(all, promise, &what, Beside::of(found, Peer::Shmflow, best, figure), |r| r < 1.0);
            }
        }
    }
    for (side, figure) in sides {
        everywhere(all, &format!("{side}'s CPU below shm's in every row"), run, 1.0, |row| {
            Beside::of(row, Peer::Shmflow, Peer::Shm, figure)?.by_round.median()
        });
    }
    let both = |row: &RowFound, peer| {
        let cell = row.peers.get(&peer)?;
        Some(cell.median(Figure::ProducerCpu)? + cell.median(Figure::ConsumerCpu)?)
    };
    for peer in [Peer::Shm, Peer::Iceoryx2] {
        let promise = format!("own memory: CPU of both sides together not above {}'s", peer.name());
        everywhere(all, &promise, run, 1.005, |row| {
            let copied = OWN.contains(&row.name.as_str());
            copied.then_some(both(row, Peer::Shmflow)? / both(row, peer)?)
        });
    }
}

fn latencies(all: &mut Vec<Verdict>, run: &Run) {
    for (peer, who) in [(Peer::Shmflow, ""), (Peer::ShmflowBusy, ", with busy-wait")] {
        everywhere(all, &format!("no frame later than 1 ms at a pace{who}, in ms"), run, 1.0, |row| {
            let worst = row.peers.get(&peer)?.median(Figure::Worst)?;
            (row.fps != 0 && row.consumers == 1).then_some(worst / 1e3)
        });
    }
    let busy = Peer::ShmflowBusy;
    for (promise, row, peer, figure, most) in [
        ("p50 at most 0.5 × shm's", "little", Peer::Shmflow, Figure::P50, 0.5),
        ("expecting its frames (busy-wait): p50 at most 0.6 × shm's", "little", busy, Figure::P50, 0.6),
        ("expecting its frames (busy-wait): p99 at most 0.6 × shm's", "little", busy, Figure::P99, 0.6),
        ("16 consumers: p99 below shm's, of all together", "little-16", Peer::Shmflow, Figure::P99, 1.0),
        (
            "16 consumers: p99 below shm's, of the one that is worst off",
            "little-16",
            Peer::Shmflow,
            Figure::P99Most,
            1.0,
        ),
    ] {
        let Some(found) = run.row(row) else { continue };
        judge(all, promise, row, Beside::of(found, peer, Peer::Shm, figure), |ratio| ratio <= most);
    }
}

fn rates(all: &mut Vec<Verdict>, run: &Run) {
    // A producer that never waits pushes more than anyone receives: what counts is what arrives.
    for (promise, row, figure, least) in [
        ("unthrottled, little touched: 3 × shm's rate, received", "rate-little", Figure::Received, 3.0),
        ("unthrottled, little touched: 3 × shm's rate, pushed", "rate-little", Figure::Pushed, 3.0),
        ("own memory at 4K: 1.5 × shm's rate, received", "system-4k", Figure::Received, 1.5),
    ] {
        let Some(found) = run.row(row) else { continue };
        judge(all, promise, row, Beside::of(found, Peer::Shmflow, Peer::Shm, figure), |r| r >= least);
    }
    for (peer, promise) in [
        (Peer::Shm, "own memory, unthrottled: received as often as of shm"),
        (Peer::Iceoryx2, "own memory, unthrottled: received as often as of iceoryx2"),
    ] {
        for row in OWN.into_iter().filter_map(|name| run.row(name)).filter(|row| row.fps == 0) {
            let beside = Beside::of(row, Peer::Shmflow, peer, Figure::Received);
            judge(all, promise, &row.name, beside, |ratio| ratio >= 1.0);
        }
    }
}

/// Beside what is the least that anybody could do.
fn floors(all: &mut Vec<Verdict>, run: &Run) {
    let median = |row: &str, peer, figure| run.cell(row, peer)?.median(figure);
    let p50 = median("little", Peer::Shmflow, Figure::P50);
    let floor = median("little", Peer::Floor, Figure::P50);
    let promise = "p50 at most 1.5 × the floor: GStreamer's base classes and one futex";
    ratio(all, promise, p50, floor, |r| r <= 1.5);
    ratio(all, "p50 at most 2 × a bare futex wake-up", p50, run.futex.p50_us.median(), |r| r <= 2.0);
    // The kernel's work of waking sixteen processes is the same for everybody; it was measured bare in this run.
    let without =
        |row, wake: &Spread| Some(median(row, Peer::Shmflow, Figure::ProducerCpu)? - wake.median()?);
    let one = without("little", &run.futex.wake_one_ms);
    let sixteen = without("little-16", &run.futex.wake_many_ms);
    let promise = "16 consumers cost the producer at most 1.3 × one, ms without the wake-up calls";
    ratio(all, promise, sixteen, one, |r| r <= 1.3);
}

/// What must be below a bound in every row that has it.
fn everywhere(
    all: &mut Vec<Verdict>,
    promise: &str,
    run: &Run,
    bound: f64,
    value: impl Fn(&RowFound) -> Option<f64>,
) {
    let found: Vec<(&str, f64)> =
        run.rows.iter().filter_map(|row| Some((row.name.as_str(), value(row)?))).collect();
    if found.is_empty() {
        return;
    }
    let missed: Vec<String> = found
        .iter()
        .filter(|(_, value)| *value >= bound)
        .map(|(name, value)| format!("{name} {value:.2}"))
        .collect();
    let held = found.len().saturating_sub(missed.len());
    let but = if missed.is_empty() { String::new() } else { format!("; not in {}", missed.join(", ")) };
    all.push(Verdict {
        promise: promise.to_owned(),
        found: format!("in {held} of {} rows{but}", found.len()),
        met: missed.is_empty(),
    });
}

fn judge(
    all: &mut Vec<Verdict>,
    promise: &str,
    what: &str,
    beside: Option<Beside>,
    holds: impl Fn(f64) -> bool,
) {
    if let Some(beside) = beside {
        let (found, met) = (format!("{what}: {}", beside.text()), beside.both(holds));
        all.push(Verdict { promise: promise.to_owned(), found, met });
    }
}

fn ratio(
    all: &mut Vec<Verdict>,
    promise: &str,
    ours: Option<f64>,
    theirs: Option<f64>,
    holds: impl Fn(f64) -> bool,
) {
    if let (Some(ours), Some(theirs)) = (ours, theirs) {
        let ratio = ours / theirs;
        all.push(Verdict {
            promise: promise.to_owned(),
            found: format!("{ours:.3} / {theirs:.3} = {ratio:.2}"),
            met: holds(ratio),
        });
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
        let text = |ratio| format!("rate-little: {ratio}, of medians {ratio}");
        assert_eq!(met, [(true, text("3.10")), (false, text("2.90"))]);
    }

    #[test]
    fn a_ratio_that_holds_in_one_way_only_is_missed() {
        let mut row = RowFound::new(Row::find("rate-own").unwrap());
        for (peer, rates) in [(Peer::Shm, [10.0, 20.0, 30.0]), (Peer::Shmflow, [11.0, 19.0, 33.0])] {
            let mut cell = Cell::default();
            (1..).zip(rates).for_each(|(round, rate)| cell.add(Figure::Received, round, rate));
            row.peers.insert(peer, cell);
        }
        let run = Run { rows: vec![row], ..Run::default() };
        let verdict =
            verdicts(&run).into_iter().find(|verdict| verdict.promise.contains("as of shm")).unwrap();
        assert_eq!(verdict.found, "rate-own: 1.10 (0.95–1.10), of medians 0.95");
        assert!(!verdict.met, "two of three rounds are not the whole of it");
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
