//! The terminal that the output goes to.

use std::io::{self, IsTerminal};

/// Columns of a terminal that does not say how many it has.
const USUAL: usize = 80;

/// Columns of the terminal on the standard output; `None` if that is none: files and pipes get lines of any length.
pub(crate) fn width() -> Option<usize> {
    let out = io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&out).ok();
    Some(
        size.map_or(USUAL, |size| usize::from(size.ws_col))
            .max(if size.is_some_and(|size| size.ws_col == 0) { USUAL } else { 1 }),
    )
}
