//! `fork` copies every descriptor, and with it the locks that say "I am alive": a forked child would keep its dead
//! parent alive. So a handler that runs in each forked child closes the descriptors registered here.
//!
//! Handles made before the fork find out by comparing [`generation`], refuse to work in the child, and leave shared
//! memory alone when dropped there. A child made by bare `clone` without `exec` runs no handler; nothing can be done
//! about that. (`posix_spawn`, as `Command` uses it, execs, and the descriptors are close-on-exec.)
#![allow(unsafe_code)]

use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::clock::Deadline;
use crate::protocol::Shared;
use crate::protocol::fork_gate::{self, Gate};

const EMPTY: RawFd = -1;
/// A cell that a thread has taken and is about to fill.
const TAKEN: RawFd = -2;
const CHUNK_LEN: usize = 64;

static GENERATION: AtomicU32 = AtomicU32::new(0);
static TABLE: Chunk = Chunk::new();

/// Descriptors to close in a child. Chunks are never freed, so the handler may walk them without a lock.
struct Chunk {
    cells: [AtomicI32; CHUNK_LEN],
    next: AtomicPtr<Chunk>,
}

impl Chunk {
    const fn new() -> Self {
        Self { cells: [const { AtomicI32::new(EMPTY) }; CHUNK_LEN], next: AtomicPtr::new(null_mut()) }
    }

    fn next(&self) -> Option<&'static Chunk> {
        // SAFETY: null, or from `Box::leak` in `grown` (pairs with the Release there).
        unsafe { self.next.load(Ordering::Acquire).as_ref() }
    }

    /// The following chunk, made if need be.
    fn grown(&self) -> &'static Chunk {
        if let Some(next) = self.next() {
            return next;
        }
        let made = Box::into_raw(Box::new(Chunk::new()));
        match self.next.compare_exchange(null_mut(), made, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: leaked just now, never freed.
            Ok(_) => unsafe { &*made },
            Err(theirs) => {
                // SAFETY: `made` came from `Box` and nobody else has seen it; `theirs` is leaked.
                unsafe {
                    drop(Box::from_raw(made));
                    &*theirs
                }
            }
        }
    }
}

/// Takes a free cell of the table.
fn take_cell() -> &'static AtomicI32 {
    let mut chunk = &TABLE;
    loop {
        for cell in &chunk.cells {
            if cell.compare_exchange(EMPTY, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return cell;
            }
        }
        chunk = chunk.grown();
    }
}

/// How many forks lie between the first process and this one; one relaxed load.
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Keeps `fork` away from the moment between opening a descriptor and registering it.
static FORK_LOCK: AtomicU64 = AtomicU64::new(0);
const GATE_LIMIT: Duration = Duration::from_secs(1);

/// The gate of this process.
struct Process;

impl Shared for Process {
    type Word = AtomicU64;
}

impl Gate for Process {
    fn gate(&self) -> &AtomicU64 {
        &FORK_LOCK
    }
    fn add(&self, what: u64) {
        FORK_LOCK.fetch_add(what, Ordering::AcqRel);
    }
    fn timeout(&self) -> impl FnMut() -> bool {
        let deadline = Deadline::after(GATE_LIMIT);
        move || {
            std::thread::yield_now();
            !deadline.has_passed()
        }
    }
}

thread_local! {
    /// Forks that this thread has announced at the fork lock and not taken back. A C library may call the handler after a fork
    /// and not the one before it, when they were registered in between (musl does).
    static ANNOUNCED: Cell<u32> = const { Cell::new(0) };
}

struct Opening(u32);

impl Opening {
    fn begin() -> Self {
        fork_gate::begin(&Process);
        Self(generation())
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        // In a child forked by a signal handler in the middle of us, the handler has reset the fork lock.
        if self.0 == generation() {
            fork_gate::finish(&Process);
        }
    }
}

extern "C" fn before_fork() {
    ANNOUNCED.set(ANNOUNCED.get().wrapping_add(1));
    fork_gate::before_fork(&Process);
}

extern "C" fn after_fork_in_parent() {
    if let Some(before) = ANNOUNCED.get().checked_sub(1) {
        ANNOUNCED.set(before);
        fork_gate::after_fork_in_parent(&Process);
    }
}

/// Only atomics and `close`: all that is allowed in the child of a process with threads.
extern "C" fn after_fork_in_child() {
    fork_gate::after_fork_in_child(&Process);
    ANNOUNCED.set(0);
    GENERATION.fetch_add(1, Ordering::Relaxed);
    let mut chunk = Some(&TABLE);
    while let Some(current) = chunk {
        for cell in &current.cells {
            let fd = cell.swap(EMPTY, Ordering::Relaxed);
            if fd >= 0 {
                // SAFETY: the child's copy of a descriptor that a `GuardedFd` owns; that one sees the new generation
                // and neither uses nor closes it.
                unsafe { libc::close(fd) };
            }
        }
        chunk = current.next();
    }
}

fn register_handlers() -> io::Result<()> {
    /// Two threads may both register them, which does no harm, where a lock for it could be held for ever in a child.
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    if REGISTERED.load(Ordering::Acquire) {
        return Ok(());
    }
    // SAFETY: the handlers are of the right type and live as long as this code is loaded (the C library removes them when
    // a shared object is unloaded).
    let code = unsafe {
        libc::pthread_atfork(Some(before_fork), Some(after_fork_in_parent), Some(after_fork_in_child))
    };
    if code != 0 {
        return Err(io::Error::from_raw_os_error(code));
    }
    REGISTERED.store(true, Ordering::Release);
    Ok(())
}

/// Forks a child that does nothing until its standard input ends. For the kill matrix.
#[cfg(feature = "failpoints")]
pub(crate) fn leave_a_child() {
    // SAFETY: the child only makes system calls. A parent that cannot fork dies without a child, which the test notices.
    unsafe {
        if libc::fork() == 0 {
            // Whoever reads what the parent says is to see its end.
            libc::close(1);
            libc::close(2);
            let mut byte = 0_u8;
            while libc::read(0, (&raw mut byte).cast(), 1) == 1 {}
            libc::_exit(0);
        }
    }
}

/// A descriptor that forked children do not keep: closed when dropped, in the process that made it, and by the fork
/// handler in every child.
#[derive(Debug)]
pub(crate) struct GuardedFd {
    fd: RawFd,
    cell: &'static AtomicI32,
    generation: u32,
}

impl GuardedFd {
    /// Opens a descriptor with `open`, safe from a fork at that very moment. `open` must not block or fork.
    pub(crate) fn open(open: impl FnOnce() -> io::Result<OwnedFd>) -> io::Result<Self> {
        register_handlers()?;
        let cell = take_cell();
        let opening = Opening::begin();
        let generation = generation();
        match open() {
            Ok(fd) => {
                let fd = fd.into_raw_fd();
                cell.store(fd, Ordering::Release);
                drop(opening);
                Ok(Self { fd, cell, generation })
            }
            Err(error) => {
                cell.store(EMPTY, Ordering::Release);
                Err(error)
            }
        }
    }

    /// Whether we are still in the process that made it.
    pub(crate) fn is_own_process(&self) -> bool {
        self.generation == generation()
    }

    /// The descriptor; `None` in a forked child, where its number may mean another file by now.
    pub(crate) fn get(&self) -> Option<BorrowedFd<'_>> {
        // SAFETY: open as long as `self` in the process that made it.
        self.is_own_process().then(|| unsafe { BorrowedFd::borrow_raw(self.fd) })
    }

    /// The descriptor, or an error in a forked child.
    pub(crate) fn fd(&self) -> io::Result<BorrowedFd<'_>> {
        self.get().ok_or_else(|| io::Error::other("the file was opened before a fork, by the parent process"))
    }
}

impl Drop for GuardedFd {
    fn drop(&mut self) {
        if !self.is_own_process() {
            return;
        }
        // First out of the table, then closed: a child forked in between keeps a copy, but never closes a number that
        // means another file. The gate keeps forks out of that moment.
        let _opening = Opening::begin();
        if self.is_own_process() {
            self.cell.store(EMPTY, Ordering::Release);
            // SAFETY: we own it, and this is its last use.
            drop(unsafe { OwnedFd::from_raw_fd(self.fd) });
        }
    }
}

impl AsRawFd for GuardedFd {
    fn as_raw_fd(&self) -> RawFd {
        self.fd
    }
}

#[cfg(test)]
#[path = "fork_tests.rs"]
mod tests;
