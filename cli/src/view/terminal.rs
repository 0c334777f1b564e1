//! The terminal that a picture is drawn on: its size, its keys, and what it can draw.

use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcgetwinsize, tcsetattr};

use super::Protocol;

/// What somebody pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Quit,
    Other,
}

/// Cells, and pixels of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) columns: u32,
    pub(super) rows: u32,
    pub(super) cell: (u32, u32),
}

pub(super) fn size() -> Size {
    let usual = Size { columns: 80, rows: 24, cell: (8, 16) };
    let Ok(found) = tcgetwinsize(io::stdout()) else { return usual };
    let (columns, rows) = (u32::from(found.ws_col), u32::from(found.ws_row));
    if columns == 0 || rows == 0 {
        return usual;
    }
    let cell = (u32::from(found.ws_xpixel) / columns, u32::from(found.ws_ypixel) / rows);
    // Many terminals do not say it.
    Size { columns, rows, cell: if cell.0 == 0 || cell.1 == 0 { usual.cell } else { cell } }
}

/// The keyboard, key by key, without echo. Afterwards it is as it was by [`Screen`](crate::screen::Screen).
#[derive(Debug)]
pub(super) struct Terminal {
    has_keys: bool,
}

/// A terminal that does not answer by then cannot.
const ANSWER: Duration = Duration::from_millis(300);

impl Terminal {
    pub(super) fn enter() -> io::Result<Self> {
        let input = io::stdin();
        if !input.is_terminal() {
            return Ok(Self { has_keys: false });
        }
        let mut now = tcgetattr(&input)?;
        // Ctrl-C comes as a key, so that the cursor is shown again.
        now.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
        tcsetattr(&input, OptionalActions::Now, &now)?;
        Ok(Self { has_keys: true })
    }

    /// Waits at most so long for a key.
    pub(super) fn key(&mut self, wait: Duration) -> io::Result<Option<Key>> {
        if !self.has_keys {
            std::thread::sleep(wait);
            return Ok(None);
        }
        let bytes = read(wait)?;
        let quits = |byte: &u8| matches!(byte, b'q' | b'Q' | 3 | 4);
        // An escape alone is a key, with something behind it another one.
        let quit = bytes.iter().any(quits) || bytes == b"\x1b";
        Ok((!bytes.is_empty()).then_some(if quit { Key::Quit } else { Key::Other }))
    }

    /// What the terminal can draw: it is asked for kitty's protocol, and then for its attributes, which each terminal tells.
    pub(super) fn best_protocol(&mut self, out: &mut dyn Write) -> io::Result<Protocol> {
        if !self.has_keys {
            return Ok(Protocol::Blocks);
        }
        out.write_all(b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[c")?;
        out.flush()?;
        let (start, mut answer) = (Instant::now(), Vec::new());
        while !is_whole(&answer) {
            let left = ANSWER.saturating_sub(start.elapsed());
            if left.is_zero() {
                break;
            }
            answer.extend(read(left)?);
        }
        Ok(judge(&answer))
    }
}

/// What was typed, waiting at most so long for it.
fn read(wait: Duration) -> io::Result<Vec<u8>> {
    let input = io::stdin();
    let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
    let mut fds = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, timeout) {
        Ok(0) | Err(nix::Error::EINTR) => return Ok(Vec::new()),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    let mut bytes = [0; 256];
    let len = input.lock().read(&mut bytes)?;
    // The end of the input ends it, too.
    Ok(if len == 0 { vec![4] } else { bytes.get(..len).unwrap_or_default().to_vec() })
}

/// Whether the answer about the attributes is there: it comes last.
fn is_whole(answer: &[u8]) -> bool {
    attributes(answer).is_some()
}

/// What is between `ESC [ ?` and `c`.
fn attributes(answer: &[u8]) -> Option<&[u8]> {
    let at = answer.windows(3).position(|three| three == b"\x1b[?")?;
    let rest = answer.get(at + 3..)?;
    let end = rest.iter().position(|byte| *byte == b'c')?;
    rest.get(..end)
}

fn judge(answer: &[u8]) -> Protocol {
    if answer.windows(7).any(|part| part == b"i=31;OK") {
        return Protocol::Kitty;
    }
    let has_sixel =
        attributes(answer).is_some_and(|list| list.split(|byte| *byte == b';').any(|one| one == b"4"));
    if has_sixel { Protocol::Sixel } else { Protocol::Blocks }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_says_what_it_can_draw() {
        for (answer, protocol) in [
            (&b"\x1b_Gi=31;OK\x1b\\\x1b[?62;c"[..], Protocol::Kitty),
            (b"\x1b[?62;4;22c", Protocol::Sixel),
            (b"\x1b[?1;2c", Protocol::Blocks),
            (b"\x1b[?64;44c", Protocol::Blocks),
            (b"", Protocol::Blocks),
        ] {
            assert_eq!(judge(answer), protocol);
        }
        assert!(!is_whole(b"\x1b_Gi=31;OK\x1b\\\x1b[?62"));
    }
}
