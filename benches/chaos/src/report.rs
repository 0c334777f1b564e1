//! The table, as Markdown for people and as JSON for programs.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::Settings;
use crate::faults::Fault;
use crate::outcome::Outcome;
use crate::{Result, complain, say};

pub(crate) struct Row {
    pub(crate) fault: &'static Fault,
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
}

/// One row while the run goes on.
pub(crate) fn line(row: &Row) -> String {
    let mut text = format!(
        "{:18} {:10} {:>8} times, {:5.1} s",
        row.fault.name,
        row.outcome.verdict().replace('*', ""),
        row.outcome.tried,
        row.took.as_secs_f64()
    );
    for broken in &row.outcome.broken {
        let _ = write!(text, "\n    {broken}");
    }
    text
}

pub(crate) fn write(settings: &Settings, seed: u64, rows: &[Row]) -> Result<()> {
    let markdown = markdown(seed, rows)?;
    say(&markdown)?;
    save(&settings.markdown, &markdown)?;
    if let Some(document) = &settings.document {
        replace(document, &markdown)?;
    }
    save(&settings.json, &serde_json::to_string_pretty(&to_json(settings, seed, rows))?)?;
    complain(&format!("written: {}, {}", settings.markdown.display(), settings.json.display()));
    Ok(())
}

/// Where a document has the table.
const MARKS: (&str, &str) = ("<!-- chaos -->\n", "<!-- end -->\n");

/// Puts the table into a document, in the place of the last one.
fn replace(document: &Path, table: &str) -> Result<()> {
    let text =
        std::fs::read_to_string(document).map_err(|error| format!("{}: {error}", document.display()))?;
    let (before, rest) = text.split_once(MARKS.0).ok_or("the document has no place for a table")?;
    let (_, after) = rest.split_once(MARKS.1).ok_or("the document's table has no end")?;
    save(document, &format!("{before}{}\n{table}\n{}{after}", MARKS.0, MARKS.1))
}

fn save(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn markdown(seed: u64, rows: &[Row]) -> Result<String> {
    let mut text = String::new();
    let took: Duration = rows.iter().map(|row| row.took).sum();
    writeln!(
        text,
        "shmflow {}, {} processors, Linux {}; `--seed {seed}`, {:.0} s.\n",
        env!("CARGO_PKG_VERSION"),
        std::thread::available_parallelism().map_or(0, usize::from),
        std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        took.as_secs_f64(),
    )?;
    writeln!(
        text,
        "| fault | times | what happened | lost | recovered in | promise |\n|---|---|---|---|---|---|"
    )?;
    for row in rows {
        let outcome = &row.outcome;
        let happened: Vec<_> = outcome
            .happened
            .iter()
            .cloned()
            .chain(outcome.not_tried().map(|why| format!("not tried: {why}")))
            .map(|text| text.replace('|', "\\|").replace('\n', " "))
            .collect();
        let (tried, lost) = if outcome.tried == 0 {
            ("–".to_owned(), "–".to_owned())
        } else {
            (outcome.tried.to_string(), outcome.lost.to_string())
        };
        writeln!(
            text,
            "| {} (`{}`) | {tried} | {} | {lost} | {} | {} |",
            row.fault.text,
            row.fault.name,
            happened.join("; "),
            outcome
                .recovered
                .map_or_else(|| "–".to_owned(), |time| format!("{:.0} ms", time.as_secs_f64() * 1000.0)),
            outcome.verdict(),
        )?;
    }
    for row in rows.iter().filter(|row| !row.outcome.broken.is_empty()) {
        writeln!(text, "\n**Broken**: {}", row.fault.text)?;
        for broken in &row.outcome.broken {
            writeln!(text, "- {broken}")?;
        }
    }
    Ok(text)
}

fn to_json(settings: &Settings, seed: u64, rows: &[Row]) -> Value {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "fault": row.fault.name, "text": row.fault.text, "tried": row.outcome.tried,
                "happened": row.outcome.happened, "lost": row.outcome.lost, "broken": row.outcome.broken,
                "left_out": row.outcome.left_out, "absent": row.outcome.absent, "took_s": row.took.as_secs_f64(),
                "recovered_ms": row.outcome.recovered.map(|time| time.as_secs_f64() * 1000.0),
            })
        })
        .collect();
    json!({ "seed": seed, "seconds": settings.seconds, "quick": settings.quick, "faults": rows })
}
