//! What a run found, as tables, plots and JSON, and in a document.

mod document;
mod due;
mod plot;
mod tables;

use std::path::Path;

use crate::Result;
use crate::cli::Report;
use crate::line;
use crate::run::Run;

const JSON: &str = "compare.json";
const MARKDOWN: &str = "compare.md";
const DUE_JSON: &str = "busy-wait.json";
const DUE_MARKDOWN: &str = "busy-wait.md";

/// Prints the tables, and saves them beside plots and JSON.
pub(crate) fn save(run: &Run, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    put(&folder.join(JSON), &serde_json::to_string_pretty(run)?)?;
    let markdown = tables::all(run)?;
    put(&folder.join(MARKDOWN), &markdown)?;
    for picture in plot::all(run) {
        put(&folder.join(picture.name), &picture.svg)?;
    }
    line::say(&markdown)?;
    line::complain(&format!("written: {MARKDOWN}, {JSON} and plots in {}", folder.display()));
    Ok(())
}

/// The same for a run of `due`.
pub(crate) fn save_due(run: &Run, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    put(&folder.join(DUE_JSON), &serde_json::to_string_pretty(run)?)?;
    let markdown = due::all(run)?;
    put(&folder.join(DUE_MARKDOWN), &markdown)?;
    line::say(&markdown)?;
    line::complain(&format!("written: {DUE_MARKDOWN} and {DUE_JSON} in {}", folder.display()));
    Ok(())
}

/// Makes everything again out of saved runs, and writes their parts of a document.
pub(crate) fn again(report: &Report) -> Result<()> {
    let run = read(&report.out.join(JSON))?;
    let due = read(&report.out.join(DUE_JSON))?;
    if run.is_none() && due.is_none() {
        return Err(format!(
            "{}: neither {JSON} nor {DUE_JSON} is there; make compare makes the one, make compare-due the other",
            report.out.display()
        )
        .into());
    }
    let Some(document) = &report.write else {
        run.iter().try_for_each(|run| save(run, &report.out))?;
        return due.iter().try_for_each(|run| save_due(run, &report.out));
    };
    let mut parts = tables::parts(run.as_ref())?;
    parts.insert("due", due.as_ref().map(due::part).transpose()?);
    let old =
        std::fs::read_to_string(document).map_err(|error| format!("{}: {error}", document.display()))?;
    put(document, &document::with_parts(&old, &parts)?)?;
    line::complain(&format!("written: {}", document.display()));
    let Some(run) = run else { return Ok(()) };
    std::fs::create_dir_all(&report.pictures)?;
    for picture in plot::all(&run) {
        put(&report.pictures.join(picture.name), &picture.svg)?;
    }
    line::complain(&format!("written: plots in {}", report.pictures.display()));
    Ok(())
}

/// A saved run, if it is there.
fn read(path: &Path) -> Result<Option<Run>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", path.display()).into()),
    };
    let run = serde_json::from_str(&text).map_err(|error| {
        format!("{}: not a run of this version of shmflow-compare: {error}; measure again", path.display())
    })?;
    Ok(Some(run))
}

fn put(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()).into())
}
