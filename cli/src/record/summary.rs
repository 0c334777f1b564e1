//! What a recording tells of itself.

use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::recorder::{Recorder, Tally};
use crate::outcome::Failure;
use crate::table::{Table, left, right};
use crate::{progress, term, text};

/// How it goes, in a line.
pub(super) fn line(recorder: &Recorder, elapsed: Duration) -> String {
    let sum = |of: fn(&Tally) -> u64| recorder.tallies.values().map(of).sum::<u64>();
    let lost = match sum(|tally| tally.lost) {
        0 => String::new(),
        lost => format!("  {} lost", text::count(lost)),
    };
    let rate = recorder.bytes() as f64 / elapsed.as_secs_f64().max(0.001);
    format!(
        "{}  {}{lost}  {}  {}  Ctrl-C ends it",
        progress::clock(elapsed),
        text::several(sum(|tally| tally.frames), "frame"),
        text::bytes(recorder.bytes()),
        text::byte_rate(rate),
    )
}

/// What was recorded.
pub(super) fn print(
    out: &mut dyn Write,
    recorder: &Recorder,
    elapsed: Duration,
    error: Option<&str>,
    as_json: bool,
) -> Result<(), Failure> {
    if as_json {
        let topics: Vec<_> = recorder.tallies.iter().map(|(topic, tally)| topic_json(topic, tally)).collect();
        let files: Vec<_> = recorder
            .done
            .iter()
            .map(|part| json!({ "file": part.path.to_string_lossy(), "bytes": part.bytes }))
            .collect();
        let value = json!({
            "files": files, "topics": topics, "seconds": elapsed.as_secs_f64(), "bytes": recorder.bytes(), "error": error,
        });
        writeln!(out, "{value}")?;
        return Ok(());
    }
    let columns = [
        left("TOPIC", 0),
        right("FRAMES", 0),
        right("FPS", 0),
        right("BYTES", 1),
        right("LOST", 0),
        left("AS", 2),
    ];
    let mut table = Table::new(columns);
    for (topic, tally) in &recorder.tallies {
        table.row([
            text::safe(topic),
            text::count(tally.frames),
            tally.rate().map_or_else(|| "-".into(), text::rate),
            text::bytes(tally.bytes),
            text::count(tally.lost),
            if tally.schema.is_empty() { "-".into() } else { tally.schema.into() },
        ]);
    }
    table.write(out, term::width())?;
    for part in &recorder.done {
        writeln!(out, "{}: {}", text::safe(&part.path.to_string_lossy()), text::bytes(part.bytes))?;
    }
    Ok(())
}

fn topic_json(topic: &str, tally: &Tally) -> Value {
    json!({
        "topic": topic, "frames": tally.frames, "bytes": tally.bytes, "lost": tally.lost, "fps": tally.rate(),
        "schema": (!tally.schema.is_empty()).then_some(tally.schema),
    })
}
