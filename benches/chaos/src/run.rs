//! Tries all faults, one after the other.

use std::time::{Duration, Instant};

use crate::cli::Settings;
use crate::faults::{self, Fault, Scene};
use crate::outcome::Outcome;
use crate::programs::Programs;
use crate::report::{self, Row};
use crate::{Result, complain, place, say, stop};

/// The shortest that a fault is tried for, in seconds.
const LEAST: f64 = 1.0;

/// Whether all promises were kept.
pub(crate) fn all(settings: &Settings) -> Result<bool> {
    if settings.list {
        for fault in faults::ALL {
            say(&format!("{:18} {}", fault.name, fault.text))?;
        }
        return Ok(true);
    }
    let wanted: Vec<&Fault> = faults::ALL
        .iter()
        .filter(|fault| {
            settings.only.is_empty() || settings.only.iter().any(|name| fault.name.contains(name.as_str()))
        })
        .collect();
    if wanted.is_empty() {
        return Err("no fault has such a name; --list names them".into());
    }
    stop::watch()?;
    place::sweep();
    let programs = Programs::find(settings)?;
    for missing in programs.missing() {
        complain(&format!("left out: {missing}"));
    }
    let seed = settings.seed.unwrap_or_else(|| u64::from(std::process::id()));
    complain(&format!("--seed {seed}"));
    let weights: f64 = wanted.iter().map(|fault| fault.weight).sum();
    let mut rows = Vec::new();
    for fault in wanted {
        let share = if settings.quick { LEAST } else { settings.seconds * fault.weight / weights.max(1.0) };
        let scene = Scene {
            programs: &programs,
            settings,
            time: Duration::from_secs_f64(share.clamp(LEAST, 36_000.0)),
            seed,
        };
        let begin = Instant::now();
        let mut outcome = (fault.run)(&scene).unwrap_or_else(|error| {
            let mut outcome = Outcome::default();
            outcome.broke(error.to_string());
            outcome
        });
        if settings.strict {
            for what in std::mem::take(&mut outcome.absent) {
                outcome.broke(format!("not tried (--strict): {what}"));
            }
        }
        let row = Row { fault, outcome, took: begin.elapsed() };
        complain(&report::line(&row));
        rows.push(row);
    }
    report::write(settings, seed, &rows)?;
    Ok(rows.iter().all(|row| row.outcome.broken.is_empty()))
}
