//! Publishing: a stamped slot becomes frame `h` by one compare-and-swap on the publish index.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::{Corruption, FailPoint, LOOPS, Memory, Mutant, Word};
use crate::layout::words::{Entry, MAX_SEQ, State};

/// What became of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Published {
    /// The frame has this sequence.
    At(u64),
    /// The epoch ended before this sequence; the slot is still `Writing` and ours.
    Sealed(u64),
}

/// Publishes `slot`, which `me` claimed and filled.
///
/// The index entry is the publication point: until then a death leaves an *orphaned slot*, stamped but not indexed, which
/// no consumer can lease and any producer may claim. After it, `head` is behind by one until a participant helps it
/// forward. `me`'s holder bit stays set throughout: it keeps a slot that is stamped but not yet indexed from being claimed.
pub(crate) fn publish<M: Memory>(m: &M, me: u8, slot: u16) -> Result<Published, Corruption> {
    let mut stamp = State::Writing { owner: me };
    for _ in 0..LOOPS {
        // Acquire: pairs with the CAS of the participant that advanced `head`, so that the index entry is at least as new.
        let h = m.head().load(Acquire);
        if h == 0 || h >= MAX_SEQ {
            return Err(Corruption::Head);
        }
        let cell = m.index(h);
        let found = cell.load(Acquire);
        let entry = Entry::unpack(found);
        if entry.seq == h {
            if entry.is_seal() && !m.mutant(Mutant::HelpPastSeal) {
                // Back to `Writing`, so that the slot is given back like any other claim.
                let writing = State::Writing { owner: me };
                if stamp != writing && m.state(slot).cas(stamp.pack(), writing.pack(), AcqRel).is_err() {
                    return Err(Corruption::State);
                }
                return Ok(Published::Sealed(h));
            }
            // Another producer published h and has not advanced `head` yet, or died before it could.
            let _ = m.head().cas(h, h + 1, AcqRel);
            m.at(FailPoint::PublishHelp);
            continue;
        }
        if entry.seq > h {
            continue; // `head` moved on since it was loaded
        }
        let stamped = State::Published { seq: h, owner: me };
        // A CAS, not a store: a slot that was taken away from us (we were reaped by mistake) stays taken away.
        // Release: pairs with the Acquire load of the state in `lease` and `copy`; carries the payload.
        if m.state(slot).cas(stamp.pack(), stamped.pack(), AcqRel).is_err() {
            return Err(Corruption::State);
        }
        m.at(FailPoint::PublishStamp);
        stamp = stamped;
        let mine = Entry::new(h, slot).pack();
        if m.mutant(Mutant::IndexStores) {
            cell.store(mine, std::sync::atomic::Ordering::Release);
        } else if cell.cas(found, mine, AcqRel).is_err() {
            continue;
        }
        m.at(FailPoint::PublishIndex);
        let _ = m.head().cas(h, h + 1, AcqRel);
        m.at(FailPoint::PublishHead);
        return Ok(Published::At(h));
    }
    Err(Corruption::Head)
}

/// Wakes the sleepers, after a publication; whether a wake-up call woke no process although bits are set
/// (then one of the sleepers is dead, or has just woken by itself).
///
/// `always` answers whether there may be sleepers without a bit. It is asked after the fence, which orders the answer as it
/// does the bits.
pub(crate) fn wake<M: Memory>(m: &M, always: impl FnOnce() -> bool) -> bool {
    m.bump_wake();
    m.at(FailPoint::PublishWake);
    // Pairs with the fence in `sleep`: either we see the bit, or the sleeper sees the frame.
    m.fence(super::Fence::Wake);
    let sleepers = m.sleepers().load(Relaxed);
    let mut nobody = false;
    if always() || sleepers != 0 {
        nobody = m.wake_all() == 0 && sleepers != 0;
    }
    m.at(FailPoint::PublishWoken);
    nobody
}

/// Advances `head` over frames whose producers died before they could; only for processes that may write the ring.
pub(crate) fn help_head<M: Memory>(m: &M) {
    for _ in 0..m.index_len() {
        let h = m.head().load(Acquire);
        let entry = Entry::unpack(m.index(h).load(Acquire));
        if h == 0 || h >= MAX_SEQ || entry.seq != h || entry.is_seal() {
            return;
        }
        let _ = m.head().cas(h, h + 1, AcqRel);
        m.at(FailPoint::PublishHelp);
    }
}
