//! The tables, as Markdown: ratios to shm first, then what they are ratios of.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::Result;
use crate::faults::{FAULTS, Found, brief};
use crate::figure::{Cell, Figure};
use crate::peer::Peer;
use crate::report::plot;
use crate::row::MANY;
use crate::run::{RowFound, Run};
use crate::targets;

/// The whole report.
pub(crate) fn all(run: &Run) -> Result<String> {
    let mut text = String::from("# shmflow and its peers\n\n");
    for (title, part) in [
        ("", machine(run)?),
        ("## Targets", verdicts(run)?),
        ("## Ratios to shm", ratios(run)?),
        ("## Where another is ahead", ahead(run)?),
        ("## Processor time, latency and rates", figures(run, &Figure::TIMES)?),
        ("## System calls, page faults and memory", figures(run, &Figure::RESOURCES)?),
        ("## Idle, slow, stopped and killed peers", misbehaviour(run)?),
    ] {
        if !part.trim().is_empty() {
            writeln!(text, "{title}\n\n{}\n", part.trim())?;
        }
    }
    Ok(text)
}

/// By the names under which a document may ask for them; without a run there is no text for them.
pub(crate) fn parts(run: Option<&Run>) -> Result<BTreeMap<&'static str, Option<String>>> {
    type Part = fn(&Run) -> Result<String>;
    let parts: [(&str, Part); 8] = [
        ("machine", machine),
        ("targets", verdicts),
        ("ratios", ratios),
        ("ahead", ahead),
        ("times", |run| figures(run, &Figure::TIMES)),
        ("resources", |run| figures(run, &Figure::RESOURCES)),
        ("faults", misbehaviour),
        ("pictures", pictures),
    ];
    parts.into_iter().map(|(name, part)| Ok((name, run.map(part).transpose()?))).collect()
}

fn machine(run: &Run) -> Result<String> {
    let mut text = format!(
        "{} (what else the machine did is in all figures). {} round(s) of {} s, all peers in turn within a round; \
         median (least–greatest) over the rounds. Processor time is per frame and process; push → arrival is from the push into \
         the sink in one process to the pad behind the source in the other.\n",
        run.made_by("").trim_end_matches('.'),
        run.rounds,
        run.seconds,
    );
    writeln!(
        text,
        "\n`none` is the measuring producer alone, pushing into a fakesink; `floor` is the least that two elements can do: \
         GStreamer's base classes and one futex, without pixels. A bare futex at 60 Hz, in the same run: p50 {} µs, p99 {} µs; \
         the call costs the waker {} ms with one process asleep, {} ms with {MANY}.",
        run.futex.p50_us.text(0),
        run.futex.p99_us.text(0),
        run.futex.wake_one_ms.text(3),
        run.futex.wake_many_ms.text(3),
    )?;
    if !run.versions.is_empty() {
        let versions = run.versions.iter().map(|(peer, version)| format!("{} {version}", peer.name()));
        writeln!(text, "\nPlugins: {}.", versions.collect::<Vec<_>>().join(", "))?;
    }
    for (peer, reason) in &run.absent {
        writeln!(text, "\nNot measured: {}, as {reason}.", peer.name())?;
    }
    Ok(text)
}

fn verdicts(run: &Run) -> Result<String> {
    let verdicts = targets::verdicts(run);
    if verdicts.is_empty() {
        return Ok(String::new());
    }
    let mut text = String::from("| target | | found |\n|---|---|---|\n");
    for verdict in verdicts {
        let mark = if verdict.met { "*met*" } else { "***missed***" };
        writeln!(text, "| {} | {mark} | {} |", verdict.promise, verdict.found)?;
    }
    Ok(text)
}

/// One table for each row: a line for each peer, its ratios to shm.
fn ratios(run: &Run) -> Result<String> {
    let mut text = String::from(
        "shm = 1.00, round by round. Less is better, but for *received a second*.\n\n| row | peer |",
    );
    for figure in Figure::RATIOS {
        write!(text, " {} |", figure.short())?;
    }
    text.push_str("\n|---|---|---|---|---|---|---|\n");
    for row in &run.rows {
        let mut title = row.title.as_str();
        for (peer, cell) in row.peers.iter().filter(|(peer, _)| peer.is_a_choice() && **peer != Peer::Shm) {
            if row.peers.get(&Peer::Shm).is_none_or(|shm| shm.figures.is_empty()) {
                continue;
            }
            write!(text, "| {title} | {} |", name(*peer))?;
            title = "";
            if cell.figures.is_empty() {
                writeln!(text, " {} | | | | |", reason(cell))?;
                continue;
            }
            for figure in Figure::RATIOS {
                // At its own pace everybody gets the same number of frames.
                let says_nothing = figure == Figure::Received && row.fps != 0;
                let ratio = if says_nothing { "".into() } else { ratio(row, *peer, figure).text(2) };
                write!(text, " {ratio} |")?;
            }
            text.push('\n');
        }
    }
    Ok(text)
}

pub(crate) fn ratio(row: &RowFound, peer: Peer, figure: Figure) -> crate::spread::Spread {
    match (row.peers.get(&peer), row.peers.get(&Peer::Shm)) {
        (Some(cell), Some(base)) => cell.get(figure).ratio_to(base.get(figure)),
        _ => crate::spread::Spread::default(),
    }
}

fn name(peer: Peer) -> String {
    if peer == Peer::Shmflow { "**shmflow**".to_owned() } else { peer.name().to_owned() }
}

/// Why there is nothing, in a few words.
fn reason(cell: &Cell) -> String {
    if let Some(reason) = &cell.left_out {
        return reason.clone();
    }
    let failure = cell.failure.as_deref().unwrap_or("not measured");
    if failure.contains(" within ") {
        return "failed: stands still".to_owned();
    }
    format!("failed: {}", brief(failure))
}

/// Where a peer's median is better than that of shmflow as it is by default.
fn ahead(run: &Run) -> Result<String> {
    let mut text = String::new();
    for row in &run.rows {
        let median = |peer, figure| row.peers.get(&peer)?.median(figure);
        for (peer, cell) in row.peers.iter().filter(|(peer, _)| peer.is_a_choice() && !peer.is_ours()) {
            for figure in
                Figure::RATIOS.into_iter().filter(|figure| *figure != Figure::Received || row.fps == 0)
            {
                let (Some(ours), Some(theirs)) = (median(Peer::Shmflow, figure), cell.median(figure)) else {
                    continue;
                };
                let better = if figure.rises() { theirs > ours } else { theirs < ours };
                if better && ours > 0.0 && (theirs / ours - 1.0).abs() >= 0.02 {
                    let (factor, digits) = (theirs / ours, figure.digits());
                    let busy = median(Peer::ShmflowBusy, figure);
                    let busy = busy.map_or_else(|| "–".to_owned(), |busy| format!("{busy:.digits$}"));
                    writeln!(
                        text,
                        "| {} | {} | {} | {theirs:.digits$} against {ours:.digits$}, {factor:.2} × | {busy} |",
                        row.title,
                        figure.short(),
                        peer.name(),
                    )?;
                }
            }
        }
    }
    if text.is_empty() {
        return Ok("In no row and figure of this run.".to_owned());
    }
    Ok(format!(
        "Medians at least 2 % better than shmflow's as it is by default; what spread they have is in the tables below.\n\n\
         | row | figure | peer | its median against shmflow's | with busy-wait |\n|---|---|---|---|---|\n{text}"
    ))
}

fn figures(run: &Run, figures: &[Figure]) -> Result<String> {
    let mut text = String::new();
    for row in &run.rows {
        let has = |figure: &&Figure| row.peers.values().any(|cell| cell.median(**figure).is_some());
        let figures: Vec<&Figure> = figures.iter().filter(has).collect();
        if figures.is_empty() {
            continue;
        }
        write!(text, "\n**{}** (`{}`)\n\n| |", row.title, row.name)?;
        figures.iter().try_for_each(|figure| write!(text, " {} |", figure.title()))?;
        writeln!(text, "\n|---|{}", "---|".repeat(figures.len()))?;
        for (peer, cell) in row.peers.iter().filter(|(_, cell)| !cell.figures.is_empty()) {
            write!(text, "| {} |", name(*peer))?;
            figures
                .iter()
                .try_for_each(|figure| write!(text, " {} |", cell.get(**figure).text(figure.digits())))?;
            text.push('\n');
        }
        for (peer, cell) in &row.peers {
            if cell.figures.is_empty() {
                writeln!(text, "\n{}: {}.", peer.name(), reason(cell))?;
            } else if let Some(failure) = &cell.failure {
                writeln!(text, "\n{} failed at least once: {}.", peer.name(), brief(failure))?;
            }
        }
    }
    Ok(text)
}

fn misbehaviour(run: &Run) -> Result<String> {
    let mut peers: Vec<Peer> =
        run.idle.keys().copied().chain(run.faults.iter().map(|found| found.peer)).collect();
    peers.sort_unstable();
    peers.dedup();
    if peers.is_empty() {
        return Ok(String::new());
    }
    let mut text = String::from("| 1080p NV12 at 60 frames a second, filled and read whole |");
    peers.iter().try_for_each(|peer| write!(text, " {} |", name(*peer)))?;
    write!(
        text,
        "\n|---|{}\n| no frames come: ms of processor a second, producer, consumer |",
        "---|".repeat(peers.len())
    )?;
    for peer in &peers {
        match run.idle.get(peer) {
            Some(idle) => write!(text, " {:.2}, {:.2} |", idle.producer_ms, idle.consumer_ms)?,
            None => text.push_str(" – |"),
        }
    }
    text.push('\n');
    for fault in FAULTS {
        write!(text, "| {} |", fault.title())?;
        for peer in &peers {
            let found = run.faults.iter().find(|found| found.peer == *peer && found.fault == fault);
            write!(text, " {} |", found.map_or_else(|| "–".to_owned(), Found::text))?;
        }
        text.push('\n');
    }
    Ok(text)
}

fn pictures(run: &Run) -> Result<String> {
    let mut text = String::new();
    for picture in plot::all(run) {
        writeln!(text, "![{}](pictures/{})\n", picture.title, picture.name)?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run in which shmflow takes half of shm's time, but for its consumers.
    pub(crate) fn run() -> Run {
        let mut row = RowFound::new(crate::row::Row::find("little").unwrap());
        for (peer, cpu, consumer) in [(Peer::Shm, 0.2, 0.1), (Peer::Shmflow, 0.1, 0.15)] {
            let mut cell = Cell::default();
            for round in 1..=3 {
                // The machine is slower in each round, for both.
                let slower = f64::from(round);
                cell.add(Figure::ProducerCpu, round, cpu * slower);
                cell.add(Figure::ConsumerCpu, round, consumer * slower);
            }
            row.peers.insert(peer, cell);
        }
        let left_out = Cell { left_out: Some("carries raw video only".into()), ..Cell::default() };
        row.peers.insert(Peer::Iceoryx2, left_out);
        let failed = Cell { failure: Some("producer: no memory (of file.c)".into()), ..Cell::default() };
        row.peers.insert(Peer::Unixfd, failed);
        Run { rows: vec![row], rounds: 3, seconds: 1.0, ..Run::default() }
    }

    #[test]
    fn ratios_come_with_their_spread_and_reasons_where_there_are_none() {
        let text = ratios(&run()).unwrap();
        assert!(text.contains("| **shmflow** | 0.50 (0.50–0.50) | 1.50 (1.50–1.50) |"), "{text}");
        assert!(text.contains("| iceoryx2 | carries raw video only |"), "{text}");
        assert!(text.contains("| unixfd | failed: producer: no memory |"), "{text}");
        assert!(!text.contains("| shm |"), "its own ratio says nothing: {text}");
    }

    #[test]
    fn the_report_says_where_a_peer_is_ahead() {
        let text = ahead(&run()).unwrap();
        assert!(text.contains("| consumer CPU | shm | 0.200 against 0.300, 0.67 × |"), "{text}");
        assert!(!text.contains("producer CPU"), "{text}");
    }

    #[test]
    fn a_report_of_nothing_is_a_report() {
        assert!(all(&Run::default()).unwrap().contains("# shmflow and its peers"));
    }

    #[test]
    fn every_part_has_lines_of_equally_many_cells() {
        let text = all(&run()).unwrap();
        let mut wanted = None;
        for line in text.lines() {
            let cells = line.starts_with('|').then(|| line.matches('|').count());
            assert!(wanted.is_none() || cells.is_none() || cells == wanted, "{line}\n{text}");
            wanted = cells;
        }
    }

    #[test]
    fn a_run_is_read_as_it_was_saved() {
        let text = serde_json::to_string(&run()).unwrap();
        let again: Run = serde_json::from_str(&text).unwrap();
        assert_eq!(all(&again).unwrap(), all(&run()).unwrap());
    }
}
