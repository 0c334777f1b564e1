//! Primary and standby: several producers agree whose frames are published.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};

use super::{FailPoint, Mutant, Shared, Word};
use crate::layout::words::PRODUCERS;

/// How the word names a producer; 0 names none.
pub(crate) const fn owner_word(id: u8, generation: u64) -> u64 {
    generation << 8 | (id as u64 + 1)
}

/// The id in such a word.
pub(crate) const fn owner_id(word: u64) -> Option<u8> {
    match (word as u8).checked_sub(1) {
        Some(id) if id < PRODUCERS => Some(id),
        _ => None,
    }
}

/// Who is the primary, and who lives.
pub(crate) trait Primary: Shared {
    fn primary(&self) -> &Self::Word;
    fn generation(&self, id: u8) -> &Self::Word;
    fn is_alive(&self, id: u8) -> bool;
}

/// Whether `me` (an [`owner_word`]) is the primary. Takes over from one that is gone, or that `stands` still for too long:
/// that one gets its word, and its id.
///
/// A primary that was thought to stand finds itself replaced when it asks the next time.
pub(crate) fn lead<P: Primary>(p: &P, me: u64, stands: impl FnOnce(u64, u8) -> bool) -> bool {
    let found = p.primary().load(Acquire);
    if found == me {
        return true;
    }
    let vacant = owner_id(found).is_none_or(|id| {
        owner_word(id, p.generation(id).load(Acquire)) != found || !p.is_alive(id) || stands(found, id)
    });
    if !vacant {
        return false;
    }
    let taken = if p.mutant(Mutant::PrimaryStores) {
        p.primary().store(me, Release);
        true
    } else {
        p.primary().cas(found, me, AcqRel).is_ok()
    };
    if taken {
        p.at(FailPoint::PrimaryTaken);
    }
    taken
}

/// Producer `me` leaves: `word` does not name it any more.
pub(crate) fn resign<W: Word>(word: &W, me: u64) {
    // It fails if somebody else is named.
    let _ = word.cas(me, 0, AcqRel);
}

/// The dead producer `id` is not named by `word` any more. Its byte is locked.
pub(crate) fn depose<S: Shared>(shared: &S, word: &S::Word, id: u8) {
    let found = word.load(Acquire);
    if owner_id(found) == Some(id) {
        if shared.mutant(Mutant::DeposesAnyone) {
            word.store(0, Release);
        }
        let _ = word.cas(found, 0, AcqRel);
    }
}
