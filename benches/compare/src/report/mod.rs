//! What a run found, as tables, plots and JSON, and in a document.

mod document;
mod plot;
mod tables;

use std::path::Path;

use crate::Result;
use crate::cli::Report;
use crate::line;
use crate::run::Run;

const JSON: &str = "compare.json";
const MARKDOWN: &str = "compare.md";

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

/// Makes everything again out of a saved run, and writes its parts of a document.
pub(crate) fn again(report: &Report) -> Result<()> {
    let path = report.out.join(JSON);
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("{}: {error}; make compare makes it", path.display()))?;
    let run: Run = serde_json::from_str(&text).map_err(|error| {
        format!("{}: not a run of this version of shmflow-compare: {error}; measure again", path.display())
    })?;
    let Some(document) = &report.write else { return save(&run, &report.out) };
    let parts = tables::parts(&run)?;
    let old =
        std::fs::read_to_string(document).map_err(|error| format!("{}: {error}", document.display()))?;
    put(document, &document::with_parts(&old, &parts)?)?;
    std::fs::create_dir_all(&report.pictures)?;
    for picture in plot::all(&run) {
        put(&report.pictures.join(picture.name), &picture.svg)?;
    }
    line::complain(&format!("written: {} and plots in {}", document.display(), report.pictures.display()));
    Ok(())
}

fn put(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()).into())
}
