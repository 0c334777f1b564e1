//! The terminal that `top` and `view` draw on: however they end, by a key, an error or a signal, it is as it was.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::signal::{SigSet, kill};
use nix::unistd::getpid;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::interrupt;
use crate::outcome::Failure;

/// What is to be undone, while something is.
#[derive(Debug)]
struct Undo {
    /// How the keyboard was.
    keyboard: Option<Termios>,
    /// What is to be written.
    text: &'static [u8],
}

static UNDO: Mutex<Option<Undo>> = Mutex::new(None);

fn undo() -> MutexGuard<'static, Option<Undo>> {
    UNDO.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Undo {
    /// Around Rust's standard output, which the main thread has locked. A terminal that is gone needs nothing of it.
    fn apply(self) {
        let _ = rustix::io::write(io::stdout(), self.text);
        if let Some(keyboard) = &self.keyboard {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, keyboard);
        }
    }
}

/// The terminal as it was, for when this is dropped.
#[derive(Debug)]
pub(crate) struct Screen(());

impl Screen {
    /// Remembers the terminal. For the main thread, before it makes others.
    pub(crate) fn remember() -> Result<Self, Failure> {
        let input = io::stdin();
        let keyboard =
            if input.is_terminal() { Some(tcgetattr(&input).map_err(io::Error::from)?) } else { None };
        *undo() = Some(Undo { keyboard, text: b"" });
        interrupt::on_signal(|signal| {
            let mut undo = undo();
            if let Some(undo) = undo.take() {
                undo.apply();
            }
            // Nobody draws any more.
            std::mem::forget(undo);
            let _ = SigSet::from_iter([signal]).thread_unblock();
            let _ = kill(getpid(), signal);
            // Where it is ignored, as by the first process of a container.
            std::process::exit(128 + signal as i32);
        })?;
        Ok(Self(()))
    }

    /// Has `text` written at the end: what is changed from now on is undone by it.
    pub(crate) fn changes(&self, text: &'static [u8]) {
        if let Some(undo) = &mut *undo() {
            undo.text = text;
        }
    }

    /// To be held while something is drawn: a signal waits for it.
    pub(crate) fn drawing(&self) -> impl Drop + use<> {
        undo()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(undo) = undo().take() {
            undo.apply();
        }
    }
}
