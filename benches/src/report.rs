//! What a run prints (Markdown) and writes (the same as JSON).

use crate::Res;
use crate::stats::Spread;
use serde_json::{Value, json};
use std::path::Path;

/// One field of a table: what people read and what programs read.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    value: Value,
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>, value: impl Into<Value>) -> Self {
        Self { text: text.into(), value: value.into() }
    }

    /// A number that does not apply or could not be measured, with the reason in the notes.
    pub(crate) fn none() -> Self {
        Self::new("–", Value::Null)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(text, text)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(text.clone(), text)
    }
}

impl From<Spread> for Cell {
    fn from(spread: Spread) -> Self {
        Self::new(spread.to_string(), spread.json())
    }
}

/// One benchmark's table.
#[derive(Debug)]
pub(crate) struct Table {
    title: &'static str,
    notes: Vec<String>,
    columns: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(crate) fn new(title: &'static str, columns: &[&'static str]) -> Self {
        Self { title, notes: Vec::new(), columns: columns.to_vec(), rows: Vec::new() }
    }

    /// A sentence under the table: what was measured and how.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    pub(crate) fn markdown(&self) -> String {
        let texts: Vec<Vec<&str>> = std::iter::once(self.columns.clone())
            .chain(self.rows.iter().map(|row| row.iter().map(|cell| cell.text.as_str()).collect()))
            .collect();
        let width = |column: usize| {
            texts.iter().filter_map(|row| row.get(column)).map(|text| text.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |cells: &[&str]| {
            let padded = cells.iter().zip(&widths).map(|(text, width)| format!(" {text:<width$} "));
            format!("|{}|\n", padded.collect::<Vec<_>>().join("|"))
        };
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
        let mut out = format!("### {}\n\n", self.title);
        for (i, row) in texts.iter().enumerate() {
            out.push_str(&line(row));
            if i == 0 {
                out.push_str(&format!("|{}|\n", rule.join("|")));
            }
        }
        for note in &self.notes {
            out.push_str(&format!("\n{note}\n"));
        }
        out
    }

    fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let fields = self.columns.iter().zip(row);
            fields.map(|(name, cell)| ((*name).to_owned(), cell.value.clone())).collect::<Value>()
        });
        json!({ "title": self.title, "notes": self.notes, "rows": rows.collect::<Vec<_>>() })
    }
}

/// A promise of the project and what this run says about it.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) what: String,
    pub(crate) wanted: String,
    pub(crate) got: String,
    pub(crate) met: bool,
    /// Counts are asserted: missing one fails the run. Times depend on the machine and its load: they are shown.
    pub(crate) asserted: bool,
}

/// Everything that one benchmark found.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) tables: Vec<Table>,
    pub(crate) checks: Vec<Check>,
}

/// A whole run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) machine: String,
    pub(crate) outcome: Outcome,
}

impl Report {
    /// The promises as a table of their own.
    pub(crate) fn targets(&self) -> Table {
        let mut table = Table::new("Targets", &["target", "wanted", "measured", ""]);
        for check in &self.outcome.checks {
            let verdict = match (check.met, check.asserted) {
                (true, _) => "met",
                (false, true) => "**FAILED**",
                (false, false) => "**missed**",
            };
            table.row(vec![
                check.what.as_str().into(),
                check.wanted.as_str().into(),
                check.got.as_str().into(),
                verdict.into(),
            ]);
        }
        table
    }

    /// Counts that must hold on every machine and did not.
    pub(crate) fn broken(&self) -> Vec<&Check> {
        self.outcome.checks.iter().filter(|check| check.asserted && !check.met).collect()
    }

    /// Writes `ring.md` and `ring.json` into `folder`.
    pub(crate) fn write(&self, folder: &Path, markdown: &str) -> Res<()> {
        let json = json!({
            "machine": self.machine,
            "tables": self.outcome.tables.iter().map(Table::json).collect::<Vec<_>>(),
            "targets": self.targets().json(),
        });
        let describe = |e: std::io::Error| format!("cannot write results to {}: {e}", folder.display());
        std::fs::create_dir_all(folder).map_err(describe)?;
        std::fs::write(folder.join("ring.md"), markdown).map_err(describe)?;
        std::fs::write(folder.join("ring.json"), serde_json::to_string_pretty(&json)?).map_err(describe)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_reads_the_same_as_markdown_and_as_json() {
        let mut table = Table::new("T", &["what", "ns"]);
        table.row(vec!["a".into(), Spread::of(vec![1.0, 2.0, 3.0]).into()]);
        table.note("Why.");
        let expected = "### T\n\n| what | ns               |\n|------|------------------|\n| a    | 2.00 (1.00–3.00) |\n\nWhy.\n";
        assert_eq!(table.markdown(), expected);
        assert_eq!(table.json()["rows"][0]["ns"]["median"], 2.0);
    }

    #[test]
    fn only_broken_counts_fail_a_run() {
        let check = |asserted| Check {
            what: String::new(),
            wanted: String::new(),
            got: String::new(),
            met: false,
            asserted,
        };
        let mut report = Report::default();
        report.outcome.checks = vec![check(false), check(true)];
        assert_eq!(report.broken().len(), 1);
    }
}
