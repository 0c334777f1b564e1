//! Sealing: an epoch ends at a sequence that all of its producers agree on, because it is decided in the index.

use std::sync::atomic::Ordering::{AcqRel, Acquire};

use super::{Corruption, FailPoint, LOOPS, Memory, Mutant, Word};
use crate::layout::words::{Entry, MAX_SEQ};

/// Ends the epoch: nothing is published in it from the returned sequence on. Idempotent.
pub(crate) fn seal<M: Memory>(m: &M) -> Result<u64, Corruption> {
    for _ in 0..LOOPS {
        let h = m.head().load(Acquire);
        if h == 0 || h >= MAX_SEQ {
            return Err(Corruption::Head);
        }
        let cell = m.index(h);
        let found = cell.load(Acquire);
        let entry = Entry::unpack(found);
        if entry.seq == h {
            if entry.is_seal() {
                return Ok(h);
            }
            let _ = m.head().cas(h, h + 1, AcqRel);
            m.at(FailPoint::PublishHelp);
        } else if entry.seq < h && cell.cas(found, Entry::seal(h).pack(), AcqRel).is_ok() {
            m.at(FailPoint::SealIndex);
            return Ok(h);
        }
    }
    Err(Corruption::Head)
}

/// The sequence at which the epoch was sealed, if it was.
pub(crate) fn sealed_at<M: Memory>(m: &M) -> Result<Option<u64>, Corruption> {
    let (h, sealed) = super::lease::next_seq(m)?;
    Ok(sealed.then_some(h))
}

/// Starts an epoch at the sequence at which its predecessor was sealed. Idempotent: whoever meets a committed
/// successor that has not started completes this step.
pub(crate) fn start<M: Memory>(new: &M, first: u64) -> Result<(), Corruption> {
    if let Err(found) = new.first().cas(0, first, AcqRel)
        && found != first
    {
        return Err(Corruption::First);
    }
    new.at(FailPoint::SealFirst);
    if new.mutant(Mutant::StartStores) {
        new.head().store(first, std::sync::atomic::Ordering::Release);
    }
    // Fails when another producer was faster; `head` never goes back to 0.
    let _ = new.head().cas(0, first, AcqRel);
    new.at(FailPoint::SealHead);
    Ok(())
}
