//! Fork checks: objects made before a fork belong to the parent, and must not even be locked in the child, where a lock that
//! another thread held is never released.
#![allow(unsafe_code)]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use pyo3::prelude::*;

use crate::errors::raise;

static FORKS: AtomicU32 = AtomicU32::new(0);

extern "C" fn in_child() {
    FORKS.fetch_add(1, Relaxed);
}

/// The process that created an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin(u32);

impl Origin {
    /// This process.
    pub(crate) fn here() -> Self {
        static REGISTERED: OnceLock<()> = OnceLock::new();
        REGISTERED.get_or_init(|| {
            // SAFETY: the handler only adds to an atomic, and stays loaded as long as the process: Python never unloads
            // extension modules. Failure (no memory) leaves the crate's own check, which comes later.
            let _ = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        });
        Self(FORKS.load(Relaxed))
    }

    pub(crate) fn is_here(self) -> bool {
        self.0 == FORKS.load(Relaxed)
    }

    /// An error in a forked child.
    pub(crate) fn check(self, py: Python<'_>, what: &str, topic: &str) -> PyResult<()> {
        if self.is_here() {
            return Ok(());
        }
        Err(raise(
            py,
            "ForkedError",
            format!(
                "this {what} of topic `{topic}` was created before a fork, by the parent process; open the topic again in \
                 this process (with multiprocessing, use the start method \"spawn\")"
            ),
        ))
    }
}
