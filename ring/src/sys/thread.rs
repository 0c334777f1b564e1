//! Threads of the library's own.
#![allow(unsafe_code)]

use std::io;
use std::thread::{Builder, JoinHandle};

use nix::sys::signal::{SigSet, SigmaskHow};
use rustix::thread::{CpuSet, sched_getaffinity};

/// When and where the system runs a thread: its policy, priority and niceness, and its processors. What it starts inherits them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scheduling {
    /// `struct sched_attr`. All zero where the system does not tell.
    attributes: [u64; 6],
    processors: Option<CpuSet>,
}

impl Scheduling {
    /// Of this thread.
    pub(crate) fn here() -> Self {
        let mut attributes = [0_u64; 6];
        // SAFETY: the kernel writes as many bytes as it is told that there are.
        unsafe {
            libc::syscall(libc::SYS_sched_getattr, 0, attributes.as_mut_ptr(), size_of_val(&attributes), 0)
        };
        Self { attributes, processors: sched_getaffinity(None).ok() }
    }
}

/// Starts a thread that takes no signals: those are for the program's threads, whose waits they are to interrupt.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let spawned = Builder::new().name(name.into()).spawn(body);
    // It fails only for nonsense, and this is what it was a moment ago.
    let _ = before.thread_set_mask();
    spawned
}
