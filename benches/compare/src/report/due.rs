//! The tables of `due`: a line for each row, a column for each peer.

use std::fmt::Write;

use crate::Result;
use crate::due::PEERS;
use crate::faults::brief;
use crate::figure::{Cell, Figure};
use crate::peer::Peer;
use crate::report::tables::ratio;
use crate::run::{RowFound, Run};

/// What p50 and p99 are to be at most, beside shm's.
const AIM: f64 = 0.6;
/// The part of its pace that a producer must keep.
const KEPT: f64 = 0.95;

/// The whole report.
pub(crate) fn all(run: &Run) -> Result<String> {
    Ok(format!("# Expecting frames\n\n{}", part(run)?))
}

/// The same without a heading, for a document.
pub(crate) fn part(run: &Run) -> Result<String> {
    let version =
        run.versions.get(&Peer::Shmflow).map_or_else(String::new, |text| format!(", shmflow {text}"));
    let mut text = format!(
        "{} {} round(s) of {} s, all peers in turn within a round; median (least–greatest) over the rounds. 1080p BGRx in pool memory, \
         little touched. The rows: frames a second × consumers, and how far each frame is pushed off its pace at most.\n",
        run.made_by(&version),
        run.rounds,
        run.seconds,
    );
    for (peer, reason) in &run.absent {
        writeln!(text, "\nNot measured: {}, as {reason}.", title(*peer))?;
    }
    let verdict = |row: &RowFound| verdict(row).unwrap_or_else(|| "–".to_owned());
    let heading = format!("p50 and p99 at most {AIM} × shm's");
    text.push_str("\nPush → arrival in µs, p50 and p99, and below them both beside shm's, round by round:\n");
    table(&mut text, run, Some((&heading, &verdict)), |row, peer, cell| {
        let own = format!("{}, {}", cell.get(Figure::P50).text(0), cell.get(Figure::P99).text(0));
        if peer == Peer::Shm || row.peers.get(&Peer::Shm).is_none_or(|shm| shm.figures.is_empty()) {
            return own;
        }
        let beside = |figure| ratio(row, peer, figure).text(2);
        format!("{own}<br>{}, {}", beside(Figure::P50), beside(Figure::P99))
    })?;
    text.push_str("\nProcessor time a frame in ms, the producer's and each consumer's:\n");
    table(&mut text, run, None, |_, _, cell| {
        format!("{}, {}", cell.get(Figure::ProducerCpu).text(3), cell.get(Figure::ConsumerCpu).text(3))
    })?;
    text.push_str(
        "\nFrames that were found by looking, in %, and frames that were lost, all consumers together:\n",
    );
    table(&mut text, run, None, |_, _, cell| {
        let lost = cell.get(Figure::Lost).text(0);
        match cell.median(Figure::Expected) {
            Some(part) => format!("{:.0} %, {lost}", part * 100.0),
            None => format!("–, {lost}"),
        }
    })?;
    for row in &run.rows {
        if let Some(reason) = too_much(row) {
            writeln!(text, "\n† {}: {reason}: this machine is too busy with it to tell.", row.title)?;
        }
        for (peer, cell) in &row.peers {
            if let Some(failure) = &cell.failure {
                writeln!(text, "\n{}, {}: {}.", row.title, title(*peer), brief(failure))?;
            }
        }
    }
    Ok(text)
}

fn title(peer: Peer) -> String {
    match peer.busy_wait() {
        Some(budget) => format!("busy-wait={budget}"),
        None => peer.name().to_owned(),
    }
}

/// A last column: its heading, and what it says of a row.
type Last<'a> = (&'a str, &'a dyn Fn(&RowFound) -> String);

fn table(
    text: &mut String,
    run: &Run,
    last: Option<Last<'_>>,
    cell: impl Fn(&RowFound, Peer, &Cell) -> String,
) -> Result<()> {
    let peers: Vec<Peer> = PEERS.into_iter().filter(|peer| !run.absent.contains_key(peer)).collect();
    text.push_str("\n| |");
    peers.iter().try_for_each(|peer| write!(text, " {} |", title(*peer)))?;
    if let Some((heading, _)) = last {
        write!(text, " {heading} |")?;
    }
    let columns = peers.len().saturating_add(usize::from(last.is_some()));
    writeln!(text, "\n|---|{}", "---|".repeat(columns))?;
    for row in &run.rows {
        let mark = if too_much(row).is_some() { " †" } else { "" };
        write!(text, "| {}{mark} |", row.title)?;
        for peer in &peers {
            match row.peers.get(peer).filter(|cell| !cell.figures.is_empty()) {
                Some(found) => write!(text, " {} |", cell(row, *peer, found))?,
                None => text.push_str(" – |"),
            }
        }
        if let Some((_, says)) = last {
            write!(text, " {} |", says(row))?;
        }
        text.push('\n');
    }
    Ok(())
}

/// Whether a budget reaches the aim, and which; else which comes nearest.
fn verdict(row: &RowFound) -> Option<String> {
    let mut found = Vec::new();
    for peer in PEERS {
        let Some(budget) = peer.busy_wait() else { continue };
        let median = |figure| ratio(row, peer, figure).median();
        if let (Some(p50), Some(p99)) = (median(Figure::P50), median(Figure::P99)) {
            found.push((budget, p50, p99));
        }
    }
    let met: Vec<String> = found
        .iter()
        .filter(|(_, p50, p99)| p50.max(*p99) <= AIM)
        .map(|(budget, ..)| budget.to_string())
        .collect();
    if !met.is_empty() {
        return Some(format!("*met* with {}", met.join(", ")));
    }
    let (budget, p50, p99) =
        found.into_iter().min_by(|one, other| one.1.max(one.2).total_cmp(&other.1.max(other.2)))?;
    Some(format!("***missed***: {p50:.2}, {p99:.2} with {budget}"))
}

/// What shows that the machine could not do what a row asks for.
fn too_much(row: &RowFound) -> Option<String> {
    let mut reasons = Vec::new();
    for (peer, cell) in &row.peers {
        if let Some(lost) = cell.median(Figure::Lost).filter(|lost| *lost > 0.0) {
            reasons.push(format!("{} lost {lost:.0} frames", title(*peer)));
        }
        if let Some(pushed) = cell.median(Figure::Pushed).filter(|pushed| *pushed < f64::from(row.fps) * KEPT)
        {
            reasons.push(format!("{} pushed {pushed:.0} a second", title(*peer)));
        }
    }
    (!reasons.is_empty()).then(|| reasons.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Row;

    /// shm's p50 and p99 are 100 and 200 µs, and each budget's so many times of them.
    fn row(name: &str, ratios: [(f64, f64); 3]) -> RowFound {
        let mut row = RowFound::new(Row::find(name).unwrap());
        let all = [(1.0, 1.0), (0.9, 0.9)].into_iter().chain(ratios);
        for (peer, (p50, p99)) in PEERS.into_iter().zip(all) {
            let mut cell = Cell::default();
            for (figure, value) in [
                (Figure::P50, p50 * 100.0),
                (Figure::P99, p99 * 200.0),
                (Figure::Pushed, f64::from(row.fps)),
                (Figure::Lost, 0.0),
                (Figure::Expected, 0.75),
            ] {
                cell.add(figure, 1, value);
            }
            row.peers.insert(peer, cell);
        }
        row
    }

    #[test]
    fn the_aim_is_met_by_a_budget_that_meets_both() {
        let met = row("due-60-1", [(0.7, 0.5), (0.5, 0.6), (0.4, 0.4)]);
        assert_eq!(verdict(&met).unwrap(), "*met* with 150, 300");
        let missed = row("due-60-1", [(0.5, 0.9), (0.7, 0.65), (0.3, 0.8)]);
        assert_eq!(verdict(&missed).unwrap(), "***missed***: 0.70, 0.65 with 150");
        assert_eq!(verdict(&RowFound::new(Row::find("due-60-1").unwrap())), None);
    }

    #[test]
    fn a_row_that_was_too_much_for_the_machine_is_marked() {
        let ratios = [(0.5, 0.5); 3];
        let mut busy = row("due-1000-16", ratios);
        let cell = busy.peers.get_mut(&Peer::Shm).unwrap();
        cell.add(Figure::Pushed, 1, 949.0);
        cell.add(Figure::Lost, 1, 3.0);
        let run = Run { rows: vec![row("due-60-1", ratios), busy], rounds: 1, ..Run::default() };
        let text = all(&run).unwrap();
        assert!(text.contains("| 60 fps × 1, steady | 100, 200 | 90, 180<br>0.90, 0.90 |"), "{text}");
        assert!(text.contains("| 1000 fps × 16, steady † |"), "{text}");
        assert!(
            text.contains("† 1000 fps × 16, steady: shm lost 3 frames, shm pushed 949 a second"),
            "{text}"
        );
        assert!(text.contains("| 75 %, 0 |"), "{text}");
    }
}
