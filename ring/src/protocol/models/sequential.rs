//! The protocol on one thread against a plain model of what it is for: a queue of frames, a table of slots.

use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;

use super::plain::Plain;
use crate::layout::words::State;
use crate::protocol::claim::{self, Hint, Reusable};
use crate::protocol::lease::{self, Lease};
use crate::protocol::publish::{self, Published};
use crate::protocol::{Memory, reap, seal};

const PRODUCERS: u8 = 3;
const CONSUMERS: std::ops::Range<u8> = 8..11;

/// What one participant does next.
#[derive(Clone, Debug)]
enum Op {
    /// A producer claims as if the slowest consumer were this many frames behind, with so much history.
    Claim {
        id: u8,
        behind: u64,
        history: u64,
        owed: bool,
    },
    Publish {
        id: u8,
        release_published: bool,
    },
    Abandon {
        id: u8,
    },
    LetGo {
        id: u8,
    },
    Lease {
        id: u8,
        newest: bool,
    },
    Copy {
        id: u8,
    },
    Release {
        id: u8,
    },
    /// Dies and is reaped; its id is used again.
    Die {
        id: u8,
        stamped: bool,
    },
    Grow {
        slots: u16,
    },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let producer = || 0..PRODUCERS;
    let consumer = || CONSUMERS;
    let op = prop_oneof![
        8 => (producer(), 0..8u64, 0..6u64, any::<bool>())
            .prop_map(|(id, behind, history, owed)| Op::Claim { id, behind, history, owed }),
        8 => (producer(), prop::bool::weighted(0.8)).prop_map(|(id, release_published)| Op::Publish { id, release_published }),
        2 => producer().prop_map(|id| Op::Abandon { id }),
        2 => producer().prop_map(|id| Op::LetGo { id }),
        6 => (consumer(), prop::bool::weighted(0.2)).prop_map(|(id, newest)| Op::Lease { id, newest }),
        2 => consumer().prop_map(|id| Op::Copy { id }),
        4 => consumer().prop_map(|id| Op::Release { id }),
        1 => (prop_oneof![producer(), consumer()], any::<bool>()).prop_map(|(id, stamped)| Op::Die { id, stamped }),
        1 => (1..9u16).prop_map(|slots| Op::Grow { slots }),
    ];
    prop::collection::vec(op, 1..120)
}

/// What is in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Nothing,
    Claimed,
    Frame(u64),
}

/// What should be: no atomics, no index, no packed words.
#[derive(Debug)]
struct Expected {
    slots: Vec<(Content, BTreeSet<u8>)>,
    /// Frames whose place in the index is not used again yet, oldest first: sequence and slot.
    frames: VecDeque<(u64, u16)>,
    next: u64,
    index_len: u64,
}

impl Expected {
    fn new(m: &Plain, next: u64) -> Self {
        Self {
            slots: vec![(Content::Nothing, BTreeSet::new()); m.slots().into()],
            frames: VecDeque::new(),
            next,
            index_len: m.index_len(),
        }
    }

    /// The slot that still has frame `seq`.
    fn slot_of(&self, seq: u64) -> Option<u16> {
        let &(_, slot) = self.frames.iter().find(|frame| frame.0 == seq)?;
        (self.slots[usize::from(slot)].0 == Content::Frame(seq)).then_some(slot)
    }

    fn readable(&self) -> impl DoubleEndedIterator<Item = u64> + '_ {
        self.frames.iter().map(|frame| frame.0).filter(|&seq| self.slot_of(seq).is_some())
    }

    fn is_free(&self, slot: u16) -> bool {
        self.slots[usize::from(slot)].1.is_empty()
    }

    /// Consumed frames beyond the history, the warmest first; then slots that are not indexed; then unread frames, the
    /// oldest first.
    fn candidates(&self, passed: Reusable, owed: bool) -> Vec<u16> {
        let limit = passed.cursor.min(self.next.saturating_sub(passed.history));
        let frame = |seq| self.slot_of(seq).filter(|&slot| self.is_free(slot));
        let warm = self.readable().rev().filter(|&seq| seq < limit).filter_map(frame);
        let unoffered = (0..self.slots.len() as u16).filter(|&slot| {
            let offered = |seq| self.slot_of(seq) == Some(slot);
            self.is_free(slot)
                && match self.slots[usize::from(slot)].0 {
                    Content::Nothing => true,
                    Content::Claimed => false,
                    Content::Frame(seq) => !offered(seq),
                }
        });
        let late = self.readable().filter(|&seq| seq >= limit).filter_map(frame).filter(|_| owed);
        warm.chain(unoffered).chain(late).collect()
    }

    fn lease(&self, n: u64) -> Lease {
        match self.slot_of(n) {
            Some(slot) => Lease::Taken { slot, owner: 0 },
            None if n >= self.next => Lease::NotYet,
            None if n + self.index_len < self.next || self.frames.iter().all(|frame| frame.0 != n) => {
                Lease::Lapped
            }
            None => Lease::Lost,
        }
    }

    fn publish(&mut self, slot: u16) -> u64 {
        let seq = self.next;
        self.next += 1;
        self.frames.push_back((seq, slot));
        if self.frames.len() as u64 > self.index_len {
            self.frames.pop_front();
        }
        self.slots[usize::from(slot)].0 = Content::Frame(seq);
        seq
    }

    fn hold(&mut self, slot: u16, id: u8) {
        assert!(self.slots[usize::from(slot)].1.insert(id), "{id} holds slot {slot} twice");
    }

    fn unhold(&mut self, slot: u16, id: u8) {
        assert!(self.slots[usize::from(slot)].1.remove(&id), "{id} does not hold slot {slot}");
    }
}

/// The real thing, what should be, and who has what.
struct Run {
    m: Plain,
    expected: Expected,
    payload: Vec<u64>,
    hints: Vec<Hint>,
    claimed: Vec<(u8, u16)>,
    kept: Vec<(u8, u16)>,
    leased: Vec<(u8, u64, u16)>,
    cursor: [u64; 64],
    lost: [u64; 64],
    received: [u64; 64],
    written: u64,
}

impl Run {
    fn new(slots: u16) -> Self {
        let m = Plain::new(slots);
        seal::start(&m, 1).unwrap();
        Self {
            expected: Expected::new(&m, 1),
            payload: vec![0; slots.into()],
            m,
            hints: vec![Hint::default(); PRODUCERS.into()],
            claimed: vec![],
            kept: vec![],
            leased: vec![],
            cursor: [1; 64],
            lost: [0; 64],
            received: [0; 64],
            written: 0,
        }
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Claim { id, behind, history, owed } => self.claim(id, behind, history, owed),
            Op::Publish { id, release_published } => self.publish(id, release_published),
            Op::Abandon { id } => {
                if let Some(slot) = take(&mut self.claimed, id) {
                    claim::abandon(&self.m, id, slot);
                    self.expected.unhold(slot, id);
                    self.expected.slots[usize::from(slot)].0 = Content::Nothing;
                }
            }
            Op::LetGo { id } => {
                if let Some(slot) = take(&mut self.kept, id) {
                    claim::release_published(&self.m, id, slot);
                    self.expected.unhold(slot, id);
                }
            }
            Op::Lease { id, newest } => self.lease(id, newest),
            Op::Copy { id } => self.copy(id),
            Op::Release { id } => {
                if let Some(at) = self.leased.iter().position(|lease| lease.0 == id) {
                    let (_, seq, slot) = self.leased.remove(at);
                    assert_eq!(self.payload[usize::from(slot)], seq, "a leased frame was overwritten");
                    lease::release(&self.m, id, slot);
                    self.expected.unhold(slot, id);
                }
            }
            Op::Die { id, stamped } => self.die(id, stamped),
            Op::Grow { slots } => self.grow(slots),
        }
        self.compare();
    }

    fn claim(&mut self, id: u8, behind: u64, history: u64, owed: bool) {
        let passed = Reusable { cursor: self.expected.next.saturating_sub(behind), history };
        let candidates = self.expected.candidates(passed, owed);
        // A fresh hint keeps the order exactly. An old one may pass over what was given back a moment ago, but never
        // takes an unread frame while there is another slot.
        let first = candidates.first().copied();
        let fresh = history.is_multiple_of(2);
        let mut hint = if fresh { Hint::default() } else { self.hints[usize::from(id)] };
        let taken = claim::claim_consumed(&self.m, id, passed, &mut hint)
            .or_else(|| owed.then(|| claim::claim_oldest(&self.m, id, u64::MAX, &mut hint)).flatten());
        self.hints[usize::from(id)] = hint;
        if fresh {
            assert_eq!(taken, first, "not the first of {candidates:?}");
        } else {
            let unowed = self.expected.candidates(passed, false);
            assert_eq!(taken.is_some(), first.is_some(), "{taken:?} of {candidates:?}");
            assert!(taken.is_none_or(|slot| candidates.contains(&slot)), "{taken:?} is not free");
            assert!(
                unowed.is_empty() || taken.is_some_and(|slot| unowed.contains(&slot)),
                "{taken:?} is owed"
            );
        }
        if let Some(slot) = taken {
            self.expected.hold(slot, id);
            self.expected.slots[usize::from(slot)].0 = Content::Claimed;
            self.payload[usize::from(slot)] = u64::MAX;
            self.claimed.push((id, slot));
        }
    }

    fn publish(&mut self, id: u8, release_published: bool) {
        let Some(slot) = take(&mut self.claimed, id) else { return };
        self.payload[usize::from(slot)] = self.expected.next;
        let seq = self.expected.publish(slot);
        assert_eq!(publish::publish(&self.m, id, slot), Ok(Published::At(seq)));
        self.written += 1;
        if release_published {
            claim::release_published(&self.m, id, slot);
            self.expected.unhold(slot, id);
        } else {
            self.kept.push((id, slot));
        }
    }

    /// Goes to the next readable frame, counting what was lost on the way.
    fn lease(&mut self, id: u8, newest: bool) {
        let i = usize::from(id);
        let mut n = self.cursor[i];
        let expected = self.expected.lease(n);
        if let (Lease::Lost | Lease::Lapped, _) | (_, true) = (expected, newest) {
            let find = if newest { lease::newest_readable } else { lease::oldest_readable };
            let found = find(&self.m, n).unwrap();
            let mut readable = self.expected.readable().filter(|&seq| seq >= n);
            assert_eq!(found, if newest { readable.next_back() } else { readable.next() });
            let to = found.unwrap_or(self.expected.next);
            self.lost[i] += to - n;
            n = to;
        }
        let got = lease::lease(&self.m, id, n).unwrap();
        self.cursor[i] = n;
        match (got, self.expected.lease(n)) {
            (Lease::Taken { slot, .. }, Lease::Taken { slot: wanted, .. }) => {
                assert_eq!(slot, wanted);
                assert_eq!(self.payload[usize::from(slot)], n, "not the frame that was asked for");
                self.expected.hold(slot, id);
                self.leased.push((id, n, slot));
                self.cursor[i] = n + 1;
                self.received[i] += 1;
            }
            (got, wanted) => assert_eq!(got, wanted),
        }
        // Every frame was received or counted as lost, since the consumer came.
        assert_eq!(self.received[i] + self.lost[i], self.cursor[i] - 1);
    }

    fn copy(&mut self, id: u8) {
        let n = self.cursor[usize::from(id)];
        let copied = lease::copy(&self.m, n, |slot| self.payload[usize::from(slot)]).unwrap();
        match (copied, self.expected.lease(n)) {
            (Ok((payload, _)), Lease::Taken { .. }) => {
                assert_eq!(payload, n);
                self.cursor[usize::from(id)] = n + 1;
                self.received[usize::from(id)] += 1;
            }
            (copied, wanted) => assert_eq!(copied.map(|_| ()), Err(wanted)),
        }
    }

    fn die(&mut self, id: u8, stamped: bool) {
        let claimed: Vec<_> = self.claimed.extract_if(.., |claim| claim.0 == id).collect();
        for (_, slot) in claimed {
            if stamped {
                // Between the stamp and the index.
                let ghost = State::Published { seq: self.expected.next, owner: id };
                self.m.state(slot).set(ghost.pack());
            }
            self.expected.slots[usize::from(slot)].0 = Content::Nothing;
        }
        self.kept.retain(|kept| kept.0 != id);
        self.leased.retain(|lease| lease.0 != id);
        self.expected.slots.iter_mut().for_each(|(_, holders)| {
            holders.remove(&id);
        });
        reap::reap(&self.m, id, true);
        reap::reap(&self.m, id, true);
        assert_eq!(reap::holding(&self.m) & 1 << id, 0);
    }

    /// Ends the epoch, shows that it is over, and continues in a new one.
    fn grow(&mut self, slots: u16) {
        let next = self.expected.next;
        assert_eq!(seal::seal(&self.m), Ok(next));
        assert_eq!(seal::seal(&self.m), Ok(next));
        assert_eq!(seal::sealed_at(&self.m), Ok(Some(next)));
        assert_eq!(lease::lease(&self.m, 60, next), Ok(Lease::Sealed));
        for (id, slot) in std::mem::take(&mut self.claimed) {
            assert_eq!(publish::publish(&self.m, id, slot), Ok(Published::Sealed(next)));
            assert_eq!(State::unpack(self.m.state(slot).get()), State::Writing { owner: id });
        }
        // What is readable in the old epoch stays so, but for the frame whose place in the index the seal took, as the
        // next frame would have.
        for seq in self.expected.readable().filter(|seq| seq + self.m.index_len() > next) {
            assert!(lease::readable(&self.m, seq));
        }
        let m = Plain::new(slots);
        seal::start(&m, next).unwrap();
        seal::start(&m, next).unwrap();
        assert!(seal::start(&m, next + 1).is_err());
        let run = Self::new(slots);
        // Consumers of this test do not drain the old epoch.
        for id in CONSUMERS {
            let i = usize::from(id);
            self.lost[i] += next - self.cursor[i];
            self.cursor[i] = next;
        }
        *self = Self {
            expected: Expected::new(&m, next),
            m,
            cursor: self.cursor,
            lost: self.lost,
            received: self.received,
            written: self.written,
            ..run
        };
    }

    fn compare(&self) {
        assert_eq!(lease::next_seq(&self.m), Ok((self.expected.next, false)));
        assert_eq!(self.expected.next, self.written + 1, "the sequence has gaps or repeats");
        for (slot, (_, holders)) in self.expected.slots.iter().enumerate() {
            let bits = holders.iter().fold(0, |bits, id| bits | 1u64 << id);
            assert_eq!(self.m.holders[slot].get(), bits, "holders of slot {slot}");
        }
        for history in [1, 2, 100] {
            let unbroken =
                (1..self.expected.next).rev().take_while(|&seq| self.expected.slot_of(seq).is_some());
            let start = unbroken.take(history as usize).last().unwrap_or(self.expected.next);
            assert_eq!(lease::start_of_history(&self.m, history), Ok(start));
        }
    }
}

fn take(of: &mut Vec<(u8, u16)>, id: u8) -> Option<u16> {
    let at = of.iter().position(|&(owner, _)| owner == id)?;
    Some(of.remove(at).1)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_ring_is_a_queue_that_forgets_the_oldest(slots in 1..9u16, ops in ops()) {
        let mut run = Run::new(slots);
        for op in ops {
            run.step(op);
        }
    }
}
