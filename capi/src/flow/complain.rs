//! Errors in one line on the standard error output, or to the program's log, once a second at most.

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::log::{self, SHMFLOW_LOG_WARNING};

const SELDOM: Duration = Duration::from_secs(1);

/// The failures that were not printed since the last line.
struct Last {
    said: Option<Instant>,
    silent: u64,
}

/// Prints what went wrong, unless a line was printed less than a second ago.
pub(super) fn complain(function: &str, what: &dyn std::fmt::Display) {
    static LAST: Mutex<Last> = Mutex::new(Last { said: None, silent: 0 });
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if last.said.is_some_and(|at| at.elapsed() < SELDOM) {
        last.silent = last.silent.saturating_add(1);
        return;
    }
    let more = match last.silent {
        0 => String::new(),
        silent => format!(" ({silent} more since the last line)"),
    };
    *last = Last { said: Some(Instant::now()), silent: 0 };
    // The program's function may call this again.
    drop(last);
    if log::is_wanted(SHMFLOW_LOG_WARNING) {
        return log::say(SHMFLOW_LOG_WARNING, &format!("{function}: {what}{more}"));
    }
    // A failure to print cannot be reported.
    let _ = writeln!(std::io::stderr(), "shmflow: {function}: {what}{more}");
}
