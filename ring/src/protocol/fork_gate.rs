//! The gate between `fork` and the moments in which a descriptor is open and not registered: openers in the low half,
//! forks in the high half.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::{Mutant, Shared, Word};

/// One fork.
pub(crate) const FORK: u64 = 1 << 32;
const OPENERS: u64 = FORK - 1;

/// The gate of this process.
pub(crate) trait Gate: Shared {
    fn gate(&self) -> &Self::Word;
    /// Adds to the gate, which wraps around.
    fn add(&self, what: u64);
    /// Pauses each time it is called; false when that was long enough. Every wait has a bound, since a signal handler may fork
    /// in the middle of an open.
    fn timeout(&self) -> impl FnMut() -> bool;
}

/// The gate as it was when it was open, or after the limit.
fn wait<G: Gate>(g: &G, closed: impl Fn(u64) -> bool) -> u64 {
    let mut timeout = g.timeout();
    loop {
        let gate = g.gate().load(Acquire);
        if !closed(gate) || !timeout() {
            return gate;
        }
    }
}

/// A descriptor is about to be opened and registered, or taken from the table and closed. No fork is under way, and none
/// begins before [`finish`]; after the limit, beside a fork.
pub(crate) fn begin<G: Gate>(g: &G) {
    loop {
        // What was seen open is what is changed: a fork that came meanwhile makes it fail.
        let gate = wait(g, |gate| gate >= FORK);
        if g.mutant(Mutant::GateNotCompared) {
            return g.add(1);
        }
        if g.gate().cas(gate, gate.wrapping_add(1), AcqRel).is_ok() {
            return;
        }
    }
}

/// The opposite of [`begin`].
pub(crate) fn finish<G: Gate>(g: &G) {
    g.add(1_u64.wrapping_neg());
}

/// This thread is about to fork: opens that are under way are waited for, and no other begins.
pub(crate) fn before_fork<G: Gate>(g: &G) {
    g.add(FORK);
    wait(g, |gate| gate & OPENERS != 0);
}

/// It has forked, in the parent.
pub(crate) fn after_fork_in_parent<G: Gate>(g: &G) {
    g.add(FORK.wrapping_neg());
}

/// In the child, which has one thread.
pub(crate) fn after_fork_in_child<G: Gate>(g: &G) {
    g.gate().store(0, Relaxed);
}
