//! Reaping: what a dead participant held becomes free again.

use std::sync::atomic::Ordering::{AcqRel, Acquire};

use super::{FailPoint, Memory, Word};
use crate::layout::words::{State, bit};

/// Clears what participant `dead` left in this epoch. Every step is idempotent, and several may reap the same one.
///
/// The caller holds a read lock on the dead one's byte: its owner cannot be alive, and no process can take its id
/// meanwhile. `may_write_ring` is false for consumers, who cannot free the slots that it was writing into; its
/// entry then stays for a producer to free.
pub(crate) fn reap<M: Memory>(m: &M, dead: u8, may_write_ring: bool) {
    if may_write_ring {
        let writing = State::Writing { owner: dead }.pack();
        for slot in 0..m.slots() {
            if m.state(slot).load(Acquire) == writing {
                let _ = m.state(slot).cas(writing, State::Free.pack(), AcqRel);
                m.at(FailPoint::ReapState);
            }
        }
    }
    clear_bits(m, dead);
    if may_write_ring {
        super::publish::help_head(m);
    }
}

/// Clears the holder bits and the sleeper bit of `id`. After the states: a slot that can be claimed never carries
/// a dead one's bit for longer than it takes to get here.
pub(crate) fn clear_bits<M: Memory>(m: &M, id: u8) {
    for slot in 0..m.slots() {
        if m.holders(slot).load(Acquire) & bit(id) != 0 {
            m.holders(slot).and(!bit(id), AcqRel);
            m.at(FailPoint::ReapHold);
        }
    }
    if m.sleepers().load(Acquire) & bit(id) != 0 {
        m.sleepers().and(!bit(id), AcqRel);
        m.at(FailPoint::ReapSleeper);
    }
}

/// The participants that hold or own a slot in this epoch, alive or not.
pub(crate) fn holding<M: Memory>(m: &M) -> u64 {
    (0..m.slots()).fold(0, |ids, slot| {
        let owner = match State::unpack(m.state(slot).load(Acquire)) {
            State::Writing { owner } => bit(owner),
            _ => 0,
        };
        ids | owner | m.holders(slot).load(Acquire)
    })
}
