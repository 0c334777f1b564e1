//! Claiming: a producer takes a slot to write into.

use std::sync::atomic::Ordering::{AcqRel, Acquire};

use super::{FailPoint, Fence, Memory, Mutant, Word};
use crate::layout::words::{Entry, State, bit};

/// Where a claimer's scans stopped, so that a claim tries a few slots and not all of them.
///
/// Private to a producer and only ever a hint: every `slots` claims it starts from the beginning, which finds slots that
/// others released behind it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hint {
    /// The limit for which `down` is valid.
    limit: u64,
    /// Consumed frames at and above this sequence were tried for `limit`.
    down: u64,
    /// Unread frames below this sequence were tried.
    up: u64,
    /// A whole scan found no free slot.
    none_free: bool,
    /// Claims until everything is tried again.
    fresh: u32,
}

impl Hint {
    fn tick(&mut self, slots: u16) {
        match self.fresh.checked_sub(1) {
            Some(left) => self.fresh = left,
            None => *self = Self { fresh: slots.into(), ..Self::default() },
        }
    }

    /// Forget everything, for example after dead participants were reaped.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}

/// Which frames a claim may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reusable {
    /// Every registered consumer is past all sequences below this one (`u64::MAX` without consumers).
    pub(crate) cursor: u64,
    /// How many of the newest frames stay for late joiners.
    pub(crate) history: u64,
}

/// Takes a slot whose content no consumer needs: a consumed frame outside the history, the newest first because it is
/// still in the cache, or else a slot that is not indexed.
///
/// `None` means that it tried all of them, even those that the hint skips: the next resort is an unread frame.
pub(crate) fn claim_consumed<M: Memory>(m: &M, me: u8, passed: Reusable, hint: &mut Hint) -> Option<u16> {
    hint.tick(m.slots());
    let (floor, head) = window(m);
    let limit = passed.cursor.min(head.saturating_sub(passed.history));
    let from = if hint.limit == limit && hint.down != 0 { hint.down.min(limit) } else { limit };
    let frame = |below| (floor..below).rev().find_map(|seq| take_frame(m, me, seq).map(|slot| (seq, slot)));
    let unoffered = || (0..m.slots()).find(|&slot| take_unoffered(m, me, slot));

    if let Some((seq, slot)) = frame(from) {
        (hint.limit, hint.down) = (limit, seq);
        return Some(slot);
    }
    (hint.limit, hint.down) = (limit, floor.max(1));
    let skipped = hint.none_free;
    if !skipped && let Some(slot) = unoffered() {
        return Some(slot);
    }
    hint.none_free = true;
    // What the hint skipped may have been released meanwhile.
    if from < limit
        && let Some((seq, slot)) = frame(limit)
    {
        (hint.limit, hint.down) = (limit, seq);
        return Some(slot);
    }
    let slot = skipped.then(unoffered).flatten();
    hint.none_free = slot.is_none();
    slot
}

/// Takes the oldest frame below `below` that no participant holds, although it may be unread or in the history
/// to be kept.
pub(crate) fn claim_oldest<M: Memory>(m: &M, me: u8, below: u64, hint: &mut Hint) -> Option<u16> {
    let (floor, head) = window(m);
    let below = below.min(head);
    let from = floor.max(hint.up);
    let taken = (from..below).find_map(|seq| take_frame(m, me, seq).map(|slot| (seq, slot)));
    match taken {
        Some((seq, slot)) => {
            hint.up = seq + 1;
            Some(slot)
        }
        None => {
            // Everything behind the hint, and slots that became free meanwhile, before giving up.
            hint.reset();
            (floor..from.min(below))
                .find_map(|seq| take_frame(m, me, seq))
                .or_else(|| (0..m.slots()).find(|&slot| take_unoffered(m, me, slot)))
        }
    }
}

/// The sequences that the index can still hold: `floor..head`.
fn window<M: Memory>(m: &M) -> (u64, u64) {
    let head = m.head().load(Acquire);
    (head.saturating_sub(m.index_len()), head)
}

/// Takes the slot that the index names for frame `seq`, if it still does and no participant holds the slot.
pub(super) fn take_frame<M: Memory>(m: &M, me: u8, seq: u64) -> Option<u16> {
    let entry = Entry::unpack(m.index(seq).load(Acquire));
    if entry.seq != seq || entry.slot >= m.slots() || seq == 0 {
        return None;
    }
    take(m, me, entry.slot, |state| state.is_published(seq)).then_some(entry.slot)
}

/// Takes a slot that is not indexed: `Free`, or stamped with a sequence whose index entry does not name it (an orphaned
/// slot of a dead producer, or a frame so old that its entry is used again).
fn take_unoffered<M: Memory>(m: &M, me: u8, slot: u16) -> bool {
    take(m, me, slot, |state| match state {
        State::Free => true,
        State::Published { seq, .. } => Entry::unpack(m.index(seq).load(Acquire)) != Entry::new(seq, slot),
        State::Writing { .. } | State::Corrupt => false,
    })
}

/// Takes `slot` for `me` if its state is as wanted and no participant holds it.
///
/// Against a lease: the consumer sets its bit and then loads the state; we set the state and then our bit. Both use
/// read-modify-writes on the holder word, so one of the two comes first there: if ours, the consumer sees our state
/// and backs off; if the consumer's, we see its bit and give way.
fn take<M: Memory>(m: &M, me: u8, slot: u16, wanted: impl Fn(State) -> bool) -> bool {
    let early = m.mutant(Mutant::HoldersBeforeState).then(|| m.holders(slot).load(Acquire));
    let old = m.state(slot).load(Acquire);
    if m.mutant(Mutant::OfferBeforeHolders) && !wanted(State::unpack(old)) {
        return false;
    }
    // After the state: a holder word that was empty before the frame was published says nothing about it.
    // Acquire: pairs with the Release of the last holder to clear its bit, whose reads end before our writes begin.
    if early.unwrap_or_else(|| m.holders(slot).load(Acquire)) != 0 {
        return false;
    }
    // After the holder word: a stamped slot that no participant holds is either indexed by now, which we see because its
    // producer cleared its bit later, or orphaned for ever. The other way round, the slot of the newest frame, published
    // and released between our two loads, would be taken for an orphaned one.
    if !m.mutant(Mutant::OfferBeforeHolders) && !wanted(State::unpack(old)) {
        return false;
    }
    let writing = State::Writing { owner: me }.pack();
    if m.state(slot).cas(old, writing, AcqRel).is_err() {
        return false;
    }
    m.at(FailPoint::ClaimState);
    let before = m.holders(slot).or(bit(me), m.hold_order());
    m.at(FailPoint::ClaimHold);
    let out_of_order = m.mutant(Mutant::RollbackOutOfOrder);
    let own_is_mine = out_of_order || m.mutant(Mutant::OwnBitIsMine);
    if before == 0 || early.is_some() || (own_is_mine && before == bit(me)) {
        // The copiers hold no bit: pairs with the fence in `copy`, so that whoever reads a byte of the next frame
        // finds the state changed.
        m.fence(Fence::Claim);
        return true;
    }
    if out_of_order {
        let _ = m.state(slot).cas(writing, old, AcqRel);
        m.holders(slot).and(!bit(me), m.hold_order());
        return false;
    }
    // Held: give way. Our own bit may be there already: another thread of ours gives the slot back and has still to
    // clear it (`abandon`), so it is neither ours to use nor ours to clear. Ours goes before the state is restored:
    // from then on the slot can be claimed, by us too, and the bit would be that claim's.
    if before & bit(me) == 0 {
        m.holders(slot).and(!bit(me), m.hold_order());
        m.at(FailPoint::ClaimUnhold);
    }
    if m.mutant(Mutant::RollbackStores) {
        m.state(slot).store(old, std::sync::atomic::Ordering::Release);
    } else {
        let _ = m.state(slot).cas(writing, old, AcqRel);
    }
    m.at(FailPoint::ClaimRestore);
    false
}

/// Gives back a claim that was not published.
pub(crate) fn abandon<M: Memory>(m: &M, me: u8, slot: u16) {
    let _ = m.state(slot).cas(State::Writing { owner: me }.pack(), State::Free.pack(), AcqRel);
    m.at(FailPoint::AbandonState);
    m.holders(slot).and(!bit(me), m.hold_order());
    m.at(FailPoint::AbandonHold);
}

/// Lets go of a slot that was published: from here on it may be claimed.
pub(crate) fn release_published<M: Memory>(m: &M, me: u8, slot: u16) {
    m.holders(slot).and(!bit(me), m.hold_order());
    m.at(FailPoint::PublishRelease);
}
