//! Leasing and copying: how a consumer gets at frame `n`.

use std::sync::atomic::Ordering::{Acquire, Relaxed};

use super::{Corruption, FailPoint, Fence, LEASE_TRIES, LOOPS, Memory, Mutant, Word};
use crate::layout::words::{CONSUMER_BITS, Entry, MAX_SEQ, State, bit};

/// What a look at frame `n` gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lease {
    /// Leased: no producer writes into this slot until the consumer's bit is cleared.
    Taken { slot: u16, owner: u8 },
    /// Not published yet.
    NotYet,
    /// Overwritten: the index has a newer frame in its place.
    Lapped,
    /// Still in the index, but a producer took the slot back.
    Lost,
    /// The epoch ended before `n`: continue in the next one.
    Sealed,
}

/// Tries to lease frame `n` for consumer `me`.
///
/// The index alone decides what is there: `head` may lag behind it.
pub(crate) fn lease<M: Memory>(m: &M, me: u8, n: u64) -> Result<Lease, Corruption> {
    let tries = if m.mutant(Mutant::LookAgainForEver) { usize::MAX } else { LEASE_TRIES };
    for _ in 0..tries {
        let slot = match look(m, n)? {
            Ok(slot) => slot,
            Err(not) => return Ok(not),
        };
        if !State::unpack(m.state(slot).load(Acquire)).is_published(n) {
            // Being claimed, or put back a moment later: look again, but not for ever, because a producer may
            // have stopped right here.
            std::hint::spin_loop();
            continue;
        }
        // Nothing is stored here, so that the models need no death in this place.
        super::fail_points::fail_point(FailPoint::LeaseLook);
        // See `claim::take` for why two read-modify-writes and two loads suffice.
        let before = m.holders(slot).or(bit(me), m.hold_order());
        m.at(FailPoint::LeaseHold);
        if before & bit(me) != 0 {
            // One of our own earlier leases holds this slot, so frame n cannot be in it. The bit is that lease's.
            return Ok(Lease::Lost);
        }
        if m.mutant(Mutant::NoSecondLook) {
            return Ok(Lease::Taken { slot, owner: 0 });
        }
        // Acquire: pairs with the stamp in `publish`; the payload is whole.
        if let State::Published { seq, owner } = State::unpack(m.state(slot).load(Acquire))
            && seq == n
        {
            return Ok(Lease::Taken { slot, owner });
        }
        m.holders(slot).and(!bit(me), m.hold_order());
        m.at(FailPoint::LeaseBackoff);
    }
    Ok(Lease::Lost)
}

/// Clears the consumer's bit: the slot is a producer's again.
pub(crate) fn release<M: Memory>(m: &M, me: u8, slot: u16) {
    // Release (within AcqRel): our reads of the payload end before the next claimer's writes begin.
    m.holders(slot).and(!bit(me), m.hold_order());
    m.at(FailPoint::Release);
}

/// Whether the slots that no consumer holds are fewer than the producers need.
///
/// To be called after one's own bit is set: of two consumers that take the last spare slots at the same time, at
/// least one sees the other.
pub(crate) fn over_budget<M: Memory>(m: &M, from: u16, spare_slots: u32) -> bool {
    m.fence(Fence::Budget);
    let mut spare = 0;
    for i in 1..=m.slots() {
        let slot = ((u32::from(from) + u32::from(i)) % u32::from(m.slots())) as u16;
        if m.holders(slot).load(Relaxed) & CONSUMER_BITS == 0 {
            spare += 1;
            if spare >= spare_slots {
                return false;
            }
        }
    }
    true
}

/// Reads frame `n` without holding it: `read` copies from the slot (tolerating concurrent writes) and its result
/// counts only if the frame is still there afterwards.
///
/// The sequence lock of Boehm, "Can seqlocks get along with programming language memory models?" (2012).
pub(crate) fn copy<M: Memory, T>(
    m: &M,
    n: u64,
    mut read: impl FnMut(u16) -> T,
) -> Result<Result<(T, u8), Lease>, Corruption> {
    for _ in 0..LEASE_TRIES {
        let slot = match look(m, n)? {
            Ok(slot) => slot,
            Err(not) => return Ok(Err(not)),
        };
        let before = m.state(slot).load(Acquire);
        let State::Published { seq, owner } = State::unpack(before) else {
            std::hint::spin_loop();
            continue;
        };
        if seq != n {
            return Ok(Err(Lease::Lost));
        }
        let value = read(slot);
        // Pairs with the fence in `claim::take`.
        m.fence(Fence::Copy);
        if m.state(slot).load(Relaxed) == before {
            return Ok(Ok((value, owner)));
        }
    }
    Ok(Err(Lease::Lost))
}

/// The slot that the index names for frame `n`, or why there is none.
fn look<M: Memory>(m: &M, n: u64) -> Result<Result<u16, Lease>, Corruption> {
    let entry = Entry::unpack(m.index(n).load(Acquire));
    Ok(match entry.seq {
        seq if seq > MAX_SEQ - 1 => return Err(Corruption::Index),
        seq if seq < n => Err(Lease::NotYet),
        seq if seq > n => Err(Lease::Lapped),
        _ if entry.is_seal() => Err(Lease::Sealed),
        _ if entry.slot >= m.slots() => return Err(Corruption::Index),
        _ => Ok(entry.slot),
    })
}

/// Whether the index names a slot for frame `n` that still carries it.
pub(crate) fn readable<M: Memory>(m: &M, n: u64) -> bool {
    n != 0 && matches!(look(m, n), Ok(Ok(slot)) if State::unpack(m.state(slot).load(Acquire)).is_published(n))
}

/// The next sequence to be published, as the index tells it, and whether the epoch is sealed there.
///
/// `head` lags by the frames whose producers died, or stand, between the index and it.
pub(crate) fn next_seq<M: Memory>(m: &M) -> Result<(u64, bool), Corruption> {
    let entry = |n| Entry::unpack(m.index(n).load(Acquire));
    for _ in 0..LOOPS {
        let head = m.head().load(Acquire);
        let (next, sealed) = follow_index(head, m.index_len(), entry).ok_or(Corruption::Head)?;
        // An entry beyond it: `head` moved on by a whole index meanwhile.
        if sealed || entry(next).seq <= next {
            return Ok((next, sealed));
        }
    }
    Err(Corruption::Head)
}

/// The next sequence from `head` on, and whether the epoch is sealed there; `None` if it is out of range.
pub(crate) fn follow_index(head: u64, index_len: u64, entry: impl Fn(u64) -> Entry) -> Option<(u64, bool)> {
    let mut next = head;
    for _ in 0..index_len {
        if next == 0 || next >= MAX_SEQ {
            break;
        }
        let found = entry(next);
        if found.seq != next {
            break;
        }
        if found.is_seal() {
            return Some((next, true));
        }
        next += 1;
    }
    (next < MAX_SEQ).then_some((next, false))
}

/// The oldest readable frame at or after `n`; a bounded scan of what the index can hold.
pub(crate) fn oldest_readable<M: Memory>(m: &M, n: u64) -> Result<Option<u64>, Corruption> {
    let (next, _) = next_seq(m)?;
    Ok((n.max(next.saturating_sub(m.index_len()))..next).find(|&seq| readable(m, seq)))
}

/// The newest readable frame at or after `n`.
pub(crate) fn newest_readable<M: Memory>(m: &M, n: u64) -> Result<Option<u64>, Corruption> {
    let (next, _) = next_seq(m)?;
    Ok((n.max(next.saturating_sub(m.index_len()))..next).rev().find(|&seq| readable(m, seq)))
}

/// Where a late joiner starts: the oldest frame of the unbroken history, at most `history` frames back.
///
/// Older frames may still be in cold slots, with gaps between them; they can no longer be leased.
pub(crate) fn start_of_history<M: Memory>(m: &M, history: u64) -> Result<u64, Corruption> {
    let (next, _) = next_seq(m)?;
    let floor = next.saturating_sub(history.min(m.index_len()));
    Ok((floor..next).rev().take_while(|&seq| readable(m, seq)).last().unwrap_or(next))
}
