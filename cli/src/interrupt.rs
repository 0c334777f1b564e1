//! Ctrl-C, and a polite `kill`: what is under way is finished.

use nix::sys::signal::{SigSet, Signal};

use crate::outcome::Failure;

/// Calls `stop` at the first signal; the next ends the program at once. For the main thread, before it makes others: they inherit
/// that signals do not reach them.
pub(crate) fn on_signal(stop: impl FnOnce(Signal) + Send + 'static) -> Result<(), Failure> {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    let failed = |error: &dyn std::fmt::Display| Failure::Other(format!("cannot wait for signals: {error}"));
    signals.thread_block().map_err(|error| failed(&error))?;
    let wait = move || {
        if let Ok(signal) = signals.wait() {
            stop(signal);
            let _ = signals.thread_unblock();
            loop {
                std::thread::park();
            }
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(wait).map_err(|error| failed(&error))?;
    Ok(())
}
