//! Stop points: dying or stopping at a named step of the protocol. Only in builds for the kill matrix.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use nix::sys::signal::{Signal, kill};
use nix::unistd::getpid;

use crate::protocol::Step;

/// What happens at the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// SIGKILL.
    Kill,
    /// SIGSTOP; goes on after SIGCONT.
    Stop,
}

static ARMED: OnceLock<(Step, Action)> = OnceLock::new();
static LEFT: AtomicU64 = AtomicU64::new(u64::MAX);

/// Arms this process, once: the action happens when `step` is reached for the `nth` time from now, counting from 1.
pub fn arm(step: Step, nth: u64, action: Action) {
    if ARMED.set((step, action)).is_ok() {
        LEFT.store(nth, SeqCst);
    }
}

/// Called at every step.
pub(crate) fn reached(step: Step) {
    let Some(&(armed, action)) = ARMED.get() else { return };
    if step != armed || LEFT.fetch_sub(1, SeqCst) != 1 {
        return;
    }
    let signal = match action {
        Action::Kill => Signal::SIGKILL,
        Action::Stop => Signal::SIGSTOP,
    };
    // Only this very process; a failure would show as a step that was not reached.
    let _ = kill(getpid(), signal);
}
