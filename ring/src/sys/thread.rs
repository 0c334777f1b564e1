//! Threads of the library's own.

use std::io;
use std::thread::{Builder, JoinHandle};

use nix::sys::signal::{SigSet, SigmaskHow};

/// Starts a thread that takes no signals: those are for the program's threads, whose waits they are to interrupt.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let spawned = Builder::new().name(name.into()).spawn(body);
    // It fails only for nonsense, and this is what it was a moment ago.
    let _ = before.thread_set_mask();
    spawned
}
