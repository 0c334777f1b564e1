//! Whether the program was started without a standard output (`shmflow ls >&-`).
//!
//! The standard library opens `/dev/null` in its place before `main`, so that all that is written vanishes and nothing
//! fails. So this looks earlier.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static CLOSED: AtomicBool = AtomicBool::new(false);

/// Runs before the standard library's own preparations: calls nothing of it but an atomic store.
extern "C" fn look() {
    // SAFETY: asks for the flags of a descriptor, open or not; nothing changes.
    let flags = unsafe { nix::libc::fcntl(1, nix::libc::F_GETFD) };
    CLOSED.store(flags == -1, Relaxed);
}

// The attribute is safe: the loader calls each function of this section once, before `main`, with arguments that a function without any
// may ignore.
#[used]
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = look;

/// Whether there was none.
pub(crate) fn is_closed() -> bool {
    CLOSED.load(Relaxed)
}
