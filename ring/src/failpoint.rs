//! Fail points: dying or stopping at a named step of the protocol. Only in builds for the kill matrix.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};

use nix::sys::signal::{Signal, raise};

use crate::protocol::FailPoint;

/// What happens at the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// SIGKILL.
    Kill,
    /// A child is forked, which inherits everything there is at this moment, touches none of it and lives on until the
    /// standard input that it inherits ends; then SIGKILL.
    KillWithChild,
    /// SIGSTOP; continues after SIGCONT.
    Stop,
}

struct Armed {
    step: FailPoint,
    left: u64,
    action: Action,
}

static ANY: AtomicBool = AtomicBool::new(false);
static QUEUE: Mutex<VecDeque<Armed>> = Mutex::new(VecDeque::new());

/// Arms this process: the action happens when `step` is reached for the `nth` time, counting from 1, after everything
/// that was armed before has happened.
pub fn arm(step: FailPoint, nth: u64, action: Action) {
    let mut queue = QUEUE.lock().unwrap_or_else(PoisonError::into_inner);
    queue.push_back(Armed { step, left: nth.max(1), action });
    ANY.store(true, SeqCst);
}

/// Called at every step.
pub(crate) fn fail_point(step: FailPoint) {
    if !ANY.load(SeqCst) {
        return;
    }
    let mut queue = QUEUE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(armed) = queue.front_mut() else { return };
    if armed.step != step {
        return;
    }
    armed.left -= 1;
    if armed.left != 0 {
        return;
    }
    let action = armed.action;
    queue.pop_front();
    ANY.store(!queue.is_empty(), SeqCst);
    drop(queue);
    let signal = match action {
        Action::Kill => Signal::SIGKILL,
        Action::KillWithChild => {
            crate::sys::fork::leave_a_child();
            Signal::SIGKILL
        }
        Action::Stop => Signal::SIGSTOP,
    };
    // To this thread: sent to the process, it could come to another one, and we would continue a little.
    // A failure would show as a step that was not reached.
    let _ = raise(signal);
}
