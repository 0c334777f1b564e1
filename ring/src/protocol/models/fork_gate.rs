//! The fork gate: a forked child finds every open descriptor in the table, and no other.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use loom::sync::atomic::{AtomicU64, fence};

use super::actors::{Actor, Common, End, Futex, Model, Scene, prove, refute, wait_any};
use crate::protocol::fork_gate::{self, Gate};
use crate::protocol::{Mutant, Shared};

/// A process: the gate, the table of descriptors, and those that the kernel knows.
struct Process {
    common: Common,
    gate: AtomicU64,
    /// Counts what is added to the gate.
    changed: Futex,
    cells: [AtomicU64; 2],
    /// Stands for the kernel's lock on `open`.
    kernel: AtomicU64,
    open: RefCell<BTreeSet<u64>>,
}

impl Scene for Process {
    fn new(mutant: Option<Mutant>) -> Self {
        Self {
            common: Common::new(mutant),
            gate: AtomicU64::new(0),
            changed: Futex::new(0),
            cells: Default::default(),
            kernel: AtomicU64::new(0),
            open: RefCell::default(),
        }
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn verdict(&self, _: Option<End>) {
        assert_eq!(self.gate.load(Acquire), 0, "the gate stays closed");
    }
}

impl Gate for Actor<Process> {
    fn gate(&self) -> &AtomicU64 {
        &self.gate
    }
    fn add(&self, what: u64) {
        self.gate.fetch_add(what, AcqRel);
        self.changed.word.fetch_add(1, Release);
        self.changed.wake_all(&self.common);
    }
    /// Until the gate changes, instead of yielding again and again. Without a limit: that is for a handler that forks in the
    /// middle of an open.
    fn timeout(&self) -> impl FnMut() -> bool {
        let mut seen = self.changed.word.load(Acquire);
        move || {
            assert!(wait_any(&self.common, &[(&self.changed, seen)]), "the gate never opens");
            seen = self.changed.word.load(Acquire);
            true
        }
    }
}

/// As `GuardedFd::open`.
fn open(opener: &Actor<Process>) {
    let fd = opener.number as u64 + 1;
    fork_gate::begin(opener);
    opener.kernel.fetch_add(1, AcqRel);
    opener.open.borrow_mut().insert(fd);
    let register = || opener.cells[opener.number].store(fd, Release);
    if opener.mutant(Mutant::RegistersLate) {
        fork_gate::finish(opener);
        return register();
    }
    register();
    fork_gate::finish(opener);
}

/// As `GuardedFd::drop`.
fn close(opener: &Actor<Process>) {
    fork_gate::begin(opener);
    opener.cells[opener.number].store(0, Release);
    opener.kernel.fetch_add(1, AcqRel);
    opener.open.borrow_mut().remove(&(opener.number as u64 + 1));
    fork_gate::finish(opener);
}

/// The child has what its parent had, and the memory as the forking thread sees it.
fn fork(process: &Actor<Process>) {
    fork_gate::before_fork(process);
    process.kernel.fetch_add(1, Relaxed);
    fence(Acquire);
    let open = process.open.borrow().clone();
    let table: BTreeSet<_> =
        process.cells.iter().map(|cell| cell.load(Relaxed)).filter(|&fd| fd != 0).collect();
    assert_eq!(open, table, "a child keeps a descriptor, or closes another file");
    fork_gate::after_fork_in_parent(process);
}

static OPEN: Model<Process> = Model {
    name: "fork/open",
    actors: &[open, fork],
    preemptions: Some(4),
    mortal: &[],
    preemptions_ending: None,
};

#[test]
fn a_child_finds_every_descriptor_in_the_table() {
    prove(&OPEN, 50);
}

#[test]
fn one_is_missing_if_openers_do_not_compare() {
    refute(&OPEN, Mutant::GateNotCompared);
}

#[test]
fn one_is_missing_if_it_is_registered_after_the_gate() {
    refute(&OPEN, Mutant::RegistersLate);
}

/// Openers do not shut each other out, and wait for one fork.
static TWO: Model<Process> = Model {
    name: "fork/two opens",
    actors: &[open, open, fork],
    preemptions: Some(1),
    mortal: &[],
    preemptions_ending: None,
};

#[test]
fn a_fork_waits_for_two_openers() {
    prove(&TWO, 50);
}

static CLOSE: Model<Process> = Model {
    name: "fork/close",
    actors: &[
        |opener| {
            open(opener);
            close(opener);
        },
        fork,
        fork,
    ],
    preemptions: Some(2),
    mortal: &[],
    preemptions_ending: None,
};

#[test]
fn a_child_closes_no_descriptor_that_is_another_file() {
    prove(&CLOSE, 50);
}
