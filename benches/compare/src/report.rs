//! The tables, as Markdown for people and as JSON for programs.

use std::fmt::Write;
use std::path::Path;

use gstreamer as gst;
use serde_json::{Value, json};

use crate::Result;
use crate::cli::Settings;
use crate::line;
use crate::measure::{Cell, Results};
use crate::row::{MANY, Row};
use crate::targets;

pub(crate) fn write(settings: &Settings, results: &Results) -> Result<()> {
    let markdown = markdown(settings, results)?;
    line::say(&markdown)?;
    save(&settings.markdown, &markdown)?;
    save(&settings.json, &serde_json::to_string_pretty(&to_json(settings, results))?)?;
    line::complain(&format!("written: {}, {}", settings.markdown.display(), settings.json.display()));
    Ok(())
}

fn save(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn markdown(settings: &Settings, results: &Results) -> Result<String> {
    let mut text = String::new();
    writeln!(text, "# shmflow and its peers\n")?;
    writeln!(
        text,
        "{}, {} processors, not pinned. {} rounds of {} s each, all peers in turn within a round; \
         median (least–greatest). `none` is the measuring producer alone, pushing into a fakesink; `floor` is the least that two \
         elements can do: GStreamer's base classes and one futex, without pixels. \
         CPU is per frame and per process.\n",
        gst::version_string(),
        std::thread::available_parallelism().map_or(0, usize::from),
        settings.rounds(),
        settings.seconds(),
    )?;
    for peer in &results.absent {
        writeln!(text, "Not in this GStreamer, so not measured: {}.\n", peer.name())?;
    }
    writeln!(
        text,
        "A bare futex wake-up at 60 Hz, same run: p50 {} µs, p99 {} µs; the call costs the waker {} ms of CPU with one \
         process asleep, {} ms with {MANY}.\n",
        results.futex_p50_us.text(0),
        results.futex_p99_us.text(0),
        results.wake_one_ms.text(3),
        results.wake_many_ms.text(3),
    )?;
    for row in &results.rows {
        table(&mut text, row, results)?;
    }
    let verdicts = targets::verdicts(results);
    if !verdicts.is_empty() {
        writeln!(text, "## Targets\n\n| target | found | |\n|---|---|---|")?;
        for verdict in verdicts {
            let mark = if verdict.met { "met" } else { "**not met**" };
            writeln!(text, "| {} | {} | {mark} |", verdict.promise, verdict.found)?;
        }
    }
    Ok(text)
}

fn table(text: &mut String, row: &Row, results: &Results) -> Result<()> {
    writeln!(text, "## {} (`{}`)\n", row.title, row.name)?;
    writeln!(
        text,
        "| | producer CPU ms | consumer CPU ms | push→arrival p50 µs | p99 µs | pushed/s | received/s | lost | \
         faults/frame, producer | consumer |\n|---|---|---|---|---|---|---|---|---|---|"
    )?;
    for peer in &results.peers {
        let Some(cell) = results.cells.get(&(row.name, *peer)) else { continue };
        let digits = if row.fps == 0 { 0 } else { 1 };
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            peer.name(),
            cell.producer_cpu_ms.text(3),
            cell.consumer_cpu_ms.text(3),
            cell.p50_us.text(0),
            cell.p99_us.text(0),
            cell.pushed_per_s.text(digits),
            cell.received_per_s.text(digits),
            cell.lost.text(0),
            cell.producer_faults.text(2),
            cell.consumer_faults.text(2),
        )?;
    }
    writeln!(text)?;
    for peer in &results.peers {
        if let Some(failure) = results.cells.get(&(row.name, *peer)).and_then(|cell| cell.failure.as_ref()) {
            writeln!(text, "{} failed at least once: {failure}\n", peer.name())?;
        }
    }
    Ok(())
}

fn to_json(settings: &Settings, results: &Results) -> Value {
    let rows: Vec<Value> = results
        .rows
        .iter()
        .map(|row| {
            let peers: serde_json::Map<String, Value> = results
                .peers
                .iter()
                .filter_map(|peer| {
                    Some((peer.name().to_owned(), cell(results.cells.get(&(row.name, *peer))?)))
                })
                .collect();
            json!({
                "name": row.name, "title": row.title, "frame_bytes": row.bytes(), "fps": row.fps,
                "consumers": row.consumers, "peers": peers,
            })
        })
        .collect();
    let verdicts: Vec<Value> = targets::verdicts(results)
        .into_iter()
        .map(|verdict| json!({ "target": verdict.promise, "found": verdict.found, "met": verdict.met }))
        .collect();
    json!({
        "gstreamer": gst::version_string().as_str(),
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "rounds": settings.rounds(),
        "seconds": settings.seconds(),
        "futex_us": { "p50": results.futex_p50_us.to_json(), "p99": results.futex_p99_us.to_json() },
        "futex_wake_cpu_ms": { "one": results.wake_one_ms.to_json(), "many": results.wake_many_ms.to_json() },
        "rows": rows,
        "targets": verdicts,
    })
}

fn cell(cell: &Cell) -> Value {
    json!({
        "producer_cpu_ms": cell.producer_cpu_ms.to_json(),
        "consumer_cpu_ms": cell.consumer_cpu_ms.to_json(),
        "p50_us": cell.p50_us.to_json(),
        "p99_us": cell.p99_us.to_json(),
        "pushed_per_s": cell.pushed_per_s.to_json(),
        "received_per_s": cell.received_per_s.to_json(),
        "lost": cell.lost.to_json(),
        "producer_faults_per_frame": cell.producer_faults.to_json(),
        "consumer_faults_per_frame": cell.consumer_faults.to_json(),
        "sink_statistics": cell.sink_statistics,
        "source_statistics": cell.source_statistics,
        "failure": cell.failure,
    })
}
