//! The end of a stream: each producer votes for it, and the last one to leave decides.

use std::sync::atomic::Ordering::{AcqRel, Acquire};

use super::{LOOPS, Mutant, Shared, Word};
use crate::layout::peers::{end_of, next_end};
use crate::layout::words::{PRODUCERS, bit};

/// The votes of a topic's producers.
pub(crate) trait Votes: Shared {
    /// One bit for each active participant.
    fn active(&self) -> &Self::Word;
    /// How the stream stood when the last producer came or went, and how often that was.
    fn last_end(&self) -> &Self::Word;
    /// Generation of the last producer to go.
    fn last_producer(&self) -> &Self::Word;
    /// Not 0: the stream of producer `id` ended before this sequence.
    fn vote(&self, id: u8) -> &Self::Word;
    fn generation(&self, id: u8) -> &Self::Word;
    fn is_alive(&self, id: u8) -> bool;
}

/// An end of the stream. The next one is later or a newer producer's: in between somebody published, or came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// It is before this sequence.
    pub(crate) seq: u64,
    /// Generation of the newest producer.
    pub(crate) generation: u64,
}

impl End {
    /// Whether it is another end than `before`. (Of several producers that ended, each may be the last to go.)
    pub(crate) fn is_after(self, before: Self) -> bool {
        self.seq > before.seq || self.generation > before.generation
    }
}

/// A producer comes, and is about to be active: the stream goes on.
pub(crate) fn come<V: Votes>(v: &V) {
    note(v, 0);
}

/// Producer `id` goes, and is about to be inactive: as long as no other one comes or goes, its vote decides.
pub(crate) fn go<V: Votes>(v: &V, id: u8, generation: u64) {
    note(v, v.vote(id).load(Acquire));
    raise(v.last_producer(), generation);
}

/// The same for a dead one, by those who reap it; its byte is locked. Killed after its vote, it has ended; otherwise it is
/// gone.
pub(crate) fn clear_dead<V: Votes>(v: &V, id: u8) {
    let is_active = || v.active().load(Acquire) & bit(id) != 0;
    if v.mutant(Mutant::BuriesLate) && !is_active() {
        return;
    }
    let before = v.last_end().load(Acquire);
    if !v.mutant(Mutant::BuriesLate) && !is_active() {
        return;
    }
    let after = next_end(before, v.vote(id).load(Acquire));
    if v.mutant(Mutant::BurialStores) {
        v.last_end().store(after, std::sync::atomic::Ordering::Release);
    } else {
        // If this fails another has reaped it, and somebody may have come since.
        let _ = v.last_end().cas(before, after, AcqRel);
    }
    raise(v.last_producer(), v.generation(id).load(Acquire));
}

/// The end of the stream, if every producer has voted for it, or the last one to go did.
///
/// What it is made of is read twice, and must be the same: a producer that had ended may go on, or another one may come,
/// while the votes of the others are read.
pub(crate) fn end<V: Votes>(v: &V) -> Option<End> {
    for _ in 0..LOOPS {
        let last = v.last_end().load(Acquire);
        let producers = v.active().load(Acquire) & (bit(PRODUCERS) - 1);
        let found = if producers == 0 {
            let seq = end_of(last);
            (seq != 0).then(|| End { seq, generation: v.last_producer().load(Acquire) })?
        } else {
            // What every look of a consumer comes to while the stream goes on.
            if ids(producers).all(|id| v.vote(id).load(Acquire) == 0) {
                return None;
            }
            let votes = votes(v, producers);
            let cast = votes.iter().filter(|vote| vote.end != 0).fold(0, |ids, vote| ids | bit(vote.id));
            // One that was killed before it could vote will not; nobody may have reaped it yet.
            let missing = producers & !cast;
            if cast == 0 || ids(missing).any(|id| v.is_alive(id)) {
                return None;
            }
            let again = v.mutant(Mutant::VotesReadOnce) || self::votes(v, producers) == votes;
            if !again {
                continue;
            }
            End {
                seq: votes.iter().map(|vote| vote.end).max().unwrap_or(0),
                generation: votes.iter().map(|vote| vote.generation).max().unwrap_or(0),
            }
        };
        // It counts those who come before they are active, and those who go before they are not.
        if v.mutant(Mutant::VotesReadOnce) || v.last_end().load(Acquire) == last {
            return Some(found);
        }
    }
    None
}

/// Producers come and go at the same moment only so often.
fn note<V: Votes>(v: &V, end: u64) {
    for _ in 0..LOOPS {
        let before = v.last_end().load(Acquire);
        if v.last_end().cas(before, next_end(before, end), AcqRel).is_ok() {
            return;
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Vote {
    id: u8,
    end: u64,
    generation: u64,
}

/// The votes of `producers`; those of others are 0.
fn votes<V: Votes>(v: &V, producers: u64) -> [Vote; PRODUCERS as usize] {
    let mut votes = [Vote::default(); PRODUCERS as usize];
    for (id, vote) in (0..PRODUCERS).zip(&mut votes).filter(|&(id, _)| producers & bit(id) != 0) {
        *vote = Vote { id, end: v.vote(id).load(Acquire), generation: v.generation(id).load(Acquire) };
    }
    votes
}

/// Whose bits are set.
fn ids(mut bits: u64) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let id = u8::try_from(bits.trailing_zeros()).ok().filter(|_| bits != 0)?;
        bits &= bits - 1;
        Some(id)
    })
}

/// Makes `word` at least `value`.
fn raise<W: Word>(word: &W, value: u64) {
    let mut found = word.load(Acquire);
    for _ in 0..LOOPS {
        if found >= value {
            return;
        }
        match word.cas(found, value, AcqRel) {
            Ok(()) => return,
            Err(now) => found = now,
        }
    }
}
