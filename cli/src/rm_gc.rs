//! `shmflow rm` and `shmflow gc`.

use std::io::Write;
use std::path::Path;

use serde_json::json;
use shmflow::{Error, SkipReason};

use crate::outcome::{Failure, Outcome};
use crate::{json, ls, text};

/// Removes topics: all that can be; the first failure decides the exit status.
pub(crate) fn rm(
    out: &mut dyn Write,
    dir: Option<&Path>,
    topics: &[String],
    force: bool,
    as_json: bool,
) -> Result<Outcome, Failure> {
    let mut first = Outcome::Done;
    let (mut removed, mut failed) = (Vec::new(), Vec::new());
    for topic in topics {
        match shmflow::remove(topic, dir, force) {
            Ok(bytes) if as_json => removed.push(json!({ "topic": topic, "bytes": bytes })),
            Ok(bytes) => {
                writeln!(out, "Removed {}, {}.", text::safe(topic), text::bytes(bytes))?;
            }
            Err(error) => {
                if as_json {
                    failed.push(json!({ "topic": topic, "error": error.to_string() }));
                } else {
                    out.flush()?;
                    Failure::tell(&error);
                    if matches!(error, shmflow::Error::InUse { .. }) {
                        Failure::note("--force removes it anyway");
                    }
                }
                if first == Outcome::Done {
                    first = Outcome::of(&error);
                }
            }
        }
    }
    if as_json {
        writeln!(out, "{:#}", json!({ "removed": removed, "failed": failed }))?;
    }
    Ok(first)
}

/// Runs `gc`; topics that cannot be removed are reported and do not fail the command.
pub(crate) fn gc(out: &mut dyn Write, dir: Option<&Path>, as_json: bool) -> Result<Outcome, Failure> {
    let collected = shmflow::gc(dir)?;
    if as_json {
        writeln!(out, "{:#}", json::collected(&collected))?;
        return Ok(Outcome::Done);
    }
    for topic in &collected.removed {
        writeln!(out, "Removed {}.", text::safe(topic))?;
    }
    let (mut in_use, mut persistent, mut refused) = (0_u64, 0_u64, Vec::new());
    for kept in &collected.skipped {
        match &kept.reason {
            SkipReason::InUse(_) => in_use += 1,
            SkipReason::Persistent => persistent += 1,
            SkipReason::Failed(Error::PermissionDenied { .. }) => refused.push(kept),
            SkipReason::Failed(error) => {
                out.flush()?;
                Failure::tell(error);
            }
            _ => {}
        }
    }
    out.flush()?;
    match refused.as_slice() {
        [] => {}
        [kept] => {
            if let SkipReason::Failed(error) = &kept.reason {
                Failure::tell(error);
            }
        }
        several => {
            let one = several.first().map_or_else(String::new, |kept| text::safe(&kept.topic));
            let place = ls::place(dir);
            let why = if ls::is_mounted_read_only(Path::new(&place)) {
                format!("{place} is mounted read-only; mount it for writing (docker run -v without `:ro`)")
            } else {
                "run as the owner of their files, or as root".into()
            };
            let count = several.len();
            Failure::note(&format!("permission denied to remove {count} topics, `{one}` for one; {why}"));
        }
    }
    let mut facts = vec![format!("{} freed", text::bytes(collected.freed_bytes))];
    if collected.temp_files != 0 {
        facts.push(text::several(collected.temp_files.into(), "unfinished file"));
    }
    facts.push(format!("{} in use", text::several(in_use, "topic")));
    if persistent != 0 {
        facts.push(format!("{persistent} persistent (shmflow rm removes those)"));
    }
    writeln!(out, "{}: {}.", ls::place(dir), facts.join(", "))?;
    Ok(Outcome::Done)
}
