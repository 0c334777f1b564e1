//! `shmflow rm` and `shmflow gc`.

use std::io::Write;
use std::path::Path;

use shmflow::{Error, SkipReason};

use crate::outcome::{Failure, Outcome};
use crate::{json, ls, text};

/// Removes topics: all that can be; the first failure decides the exit status.
pub(crate) fn rm(
    out: &mut dyn Write,
    dir: Option<&Path>,
    topics: &[String],
    force: bool,
) -> Result<Outcome, Failure> {
    let mut first = Outcome::Done;
    for topic in topics {
        match shmflow::remove(topic, dir, force) {
            Ok(bytes) => {
                writeln!(out, "Removed {}, {}.", text::safe(topic), text::bytes(bytes))?;
            }
            Err(error) => {
                out.flush()?;
                Failure::tell(&error);
                if matches!(error, shmflow::Error::InUse { .. }) {
                    Failure::note("--force removes it anyway");
                }
                if first == Outcome::Done {
                    first = Outcome::of(&error);
                }
            }
        }
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
        several => Failure::note(&format!(
            "permission denied to remove {} topics, `{}` for one; run as the owner of their files, or as root",
            several.len(),
            several.first().map_or_else(String::new, |kept| text::safe(&kept.topic))
        )),
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
