//! One line on a terminal that tells how far something is.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use unicode_width::UnicodeWidthChar;

/// Between two changes of the line.
const PAUSE: Duration = Duration::from_millis(200);
const CLEAR: &str = "\r\x1b[2K";

/// The line, on the standard error output if that is a terminal; gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    columns: Option<usize>,
    shown: Option<Instant>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let err = io::stderr();
        let columns = err.is_terminal().then(|| {
            let size = rustix::termios::tcgetwinsize(&err).ok().map(|size| usize::from(size.ws_col));
            size.filter(|columns| *columns != 0).unwrap_or(80)
        });
        Self { columns, shown: None }
    }

    /// Whether there is a terminal for it.
    pub(crate) fn is_shown(&self) -> bool {
        self.columns.is_some()
    }

    /// Shows what `line` makes of the columns that there are, if it is time.
    pub(crate) fn show(&mut self, line: impl FnOnce(usize) -> String) {
        let Some(columns) = self.columns else { return };
        if self.shown.is_some_and(|shown| shown.elapsed() < PAUSE) {
            return;
        }
        self.shown = Some(Instant::now());
        // In the last column some terminals begin a new line.
        let room = columns.saturating_sub(1);
        let mut used = 0;
        let line: String = line(room)
            .chars()
            .take_while(|c| {
                used += c.width().unwrap_or_default();
                used <= room
            })
            .collect();
        let _ = write!(io::stderr(), "{CLEAR}{line}");
    }

    /// Takes the line away, for another that stays.
    pub(crate) fn clear(&mut self) {
        if self.shown.take().is_some() {
            let _ = write!(io::stderr(), "{CLEAR}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Minutes and seconds, or hours, too.
pub(crate) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, minutes, seconds) => format!("{minutes:02}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}
