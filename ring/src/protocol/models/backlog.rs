//! The backlog: a producer that waits for a slot is woken by whoever frees one, and takes none that is owed.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};

use super::engine::{Role, Scenario, prove, refute};
use super::world::{LoomWord, Seat, Setup, World};
use crate::layout::words::{State, bit};
use crate::protocol::backlog::{self, Backlog};
use crate::protocol::claim::{self, Hint};
use crate::protocol::lease::{self, Lease};
use crate::protocol::{FailPoint, Fence, Memory, Mutant, Shared, Word};

/// The models of this file.
pub(super) const ALL: &[&Scenario] =
    &[&WAIT_READ, &WAIT_TWO, &WAIT_ABANDON, &WAIT_LEAVE, &WAIT_REAP, &WAIT_DEATH, &WAIT_THREADS, &JOIN];

const READER: u8 = 8;
const READER_BIT: u64 = bit(READER);

/// The list of participants, as a role sees it.
struct Peers<'a>(&'a Seat);

impl Shared for Peers<'_> {
    type Word = LoomWord;

    fn fence(&self, which: Fence) {
        Memory::fence(self.0, which);
    }
    fn at(&self, step: FailPoint) {
        Memory::at(self.0, step);
    }
    fn mutant(&self, which: Mutant) -> bool {
        Memory::mutant(self.0, which)
    }
}

impl Backlog for Peers<'_> {
    fn active(&self) -> &LoomWord {
        self.0.count_access();
        &self.0.world.active
    }
    fn latest(&self) -> &LoomWord {
        self.0.count_access();
        &self.0.world.latest
    }
    fn cursor(&self, id: u8) -> &LoomWord {
        // Those that no model has look as one that is never behind.
        &self.0.world.cursors[usize::from(id - READER)]
    }
    fn has_been_lossless(&self) -> bool {
        true
    }
    fn waiters(&self) -> &LoomWord {
        self.0.count_access();
        &self.0.world.waiters
    }
    fn freed_value(&self) -> u32 {
        self.0.count_access();
        self.0.world.freed.value(Acquire)
    }
    fn bump_freed(&self) {
        self.0.world.freed.bump(Release);
    }
    fn wake_freed(&self) {
        self.0.world.freed.wake_all();
    }
}

impl Seat {
    /// Takes a slot that is owed to nobody.
    fn claim_unowed(&self) -> Option<u16> {
        let limits = backlog::limits(self, &Peers(self), 0);
        let slot = claim::claim_oldest(self, self.id(), limits.owed, &mut Hint::default())?;
        self.world.oracle.claimed(self.epoch(), slot, self.role());
        Some(slot)
    }

    /// As a lossless producer: waits for a slot. After a tick it reaps consumer 8 if that is dead. `None`: after a tick there
    /// is still none.
    fn claim_waiting(&self, threads: &mut usize) -> Option<u16> {
        if let Some(slot) = self.claim_unowed() {
            return Some(slot);
        }
        let peers = &Peers(self);
        backlog::begin(peers, self.id(), threads);
        let sleep = |value| {
            if self.world.freed.wait(value, &self.world.oracle) {
                return None;
            }
            self.world.oracle.note(self.role(), "overslept", 0);
            self.reap_reader();
            Some(self.claim_unowed())
        };
        let slot = backlog::wait(peers, || self.claim_unowed().map(Some), sleep);
        backlog::finish(peers, self.id(), threads);
        slot
    }

    fn produce_waiting(&self) {
        match self.claim_waiting(&mut 0) {
            Some(slot) => {
                self.publish(slot);
            }
            None => self.world.oracle.note(self.role(), "without", 0),
        }
    }

    /// Reads frame `n`, says so, and gives its slot back.
    fn take_owed(&self, n: u64) -> Lease {
        let lease = self.lease(n);
        if let Lease::Taken { slot, .. } = lease {
            self.world.oracle.received(self.role(), n, self.read(slot));
            Peers(self).cursor(self.id()).store(n + 1, Release);
            self.at(FailPoint::LeaseCursor);
            backlog::free(&Peers(self), || self.release(slot));
        }
        lease
    }

    /// Takes consumer 8 out if it is dead.
    fn reap_reader(&self) -> bool {
        if !self.try_reap(READER) {
            return false;
        }
        Peers(self).active().and(!bit(READER), AcqRel);
        self.at(FailPoint::ReapMask);
        if !Memory::mutant(self, Mutant::ReapsSilently) {
            backlog::free(&Peers(self), || ());
        }
        true
    }
}

/// Nobody sleeps over what was freed, unless whoever was to wake it ended before. (What it then finds is what there is: it
/// gets a slot at the tick, or there is none.)
fn nobody_oversleeps(world: &World) {
    let oracle = &world.oracle;
    assert!(
        oracle.notes("overslept").is_empty() || oracle.any_gone(),
        "a producer waits although a slot is free"
    );
    assert!(oracle.notes("without").is_empty() || oracle.any_gone(), "a producer gets no slot");
    assert_eq!(world.waiters.newest() & !oracle.gone_ids(), 0, "a producer's bit outlives its wait");
}

const WAIT: &[FailPoint] = &[FailPoint::WaitBit, FailPoint::WaitClear, FailPoint::FreedWord];

/// One frame, which a consumer has yet to read.
fn full() -> Setup {
    Setup { slots: 1, index_len: 2, frames: &[(1, 0)], cursors: &[(READER, 1)], ..Setup::default() }
}

/// A producer waits for the frame that a consumer reads meanwhile.
static WAIT_READ: Scenario = Scenario {
    name: "wait/read",
    setup: full,
    roles: &[
        Role::new(0, Seat::produce_waiting),
        Role::waking(READER, |c| {
            assert!(matches!(c.take_owed(1), Lease::Taken { .. }), "its frame was taken")
        }),
    ],
    verdict: nobody_oversleeps,
    preemptions: Some(4),
    preemptions_ending: Some(3),
};

#[test]
fn a_waiting_producer_is_woken_and_takes_nothing_that_is_owed() {
    prove(&WAIT_READ, 300, WAIT);
}

#[test]
fn it_is_not_woken_without_the_fence_of_who_frees() {
    refute(&WAIT_READ, Mutant::Without(Fence::Freed));
}

#[test]
fn it_is_not_woken_without_its_own_fence() {
    refute(&WAIT_READ, Mutant::Without(Fence::Owed));
}

#[test]
fn it_is_not_woken_if_those_who_free_look_first() {
    refute(&WAIT_READ, Mutant::LooksBeforeFreeing);
}

#[test]
fn it_is_not_woken_if_it_loads_the_word_too_late() {
    refute(&WAIT_READ, Mutant::ValueAfterLook);
}

/// Two producers wait for the two frames that a consumer reads one after the other.
static WAIT_TWO: Scenario = Scenario {
    name: "wait/read, two producers",
    setup: || Setup {
        slots: 2,
        index_len: 4,
        frames: &[(1, 0), (2, 1)],
        cursors: &[(READER, 1)],
        ..Setup::default()
    },
    roles: &[
        Role::new(0, Seat::produce_waiting),
        Role::new(1, Seat::produce_waiting),
        Role::waking(READER, |c| {
            for n in 1..=2 {
                assert!(matches!(c.take_owed(n), Lease::Taken { .. }), "its frame {n} was taken");
            }
        }),
    ],
    verdict: nobody_oversleeps,
    preemptions: Some(1),
    preemptions_ending: Some(0),
};

#[test]
fn two_waiting_producers_are_woken() {
    prove(&WAIT_TWO, 200, WAIT);
}

/// A producer waits while another one gives back the claim that it has made, in a ring that nobody reads.
static WAIT_ABANDON: Scenario = Scenario {
    name: "wait/abandon",
    setup: || Setup { slots: 1, index_len: 2, ..Setup::default() },
    roles: &[
        Role::new(0, Seat::produce_waiting),
        Role::waking(1, |p| {
            if let Some(slot) = p.claim_unowed() {
                backlog::free(&Peers(p), || p.abandon(slot));
            }
        }),
    ],
    verdict: nobody_oversleeps,
    preemptions: Some(3),
    preemptions_ending: Some(2),
};

#[test]
fn a_claim_that_is_given_back_wakes() {
    prove(&WAIT_ABANDON, 200, &[FailPoint::AbandonHold, FailPoint::WaitBit]);
}

/// A producer waits for a consumer that leaves.
static WAIT_LEAVE: Scenario = Scenario {
    name: "wait/leave",
    setup: full,
    roles: &[
        Role::new(0, Seat::produce_waiting),
        Role::waking(READER, |c| {
            backlog::free(&Peers(c), || {
                Peers(c).active().and(!bit(READER), AcqRel);
                c.at(FailPoint::LeaveMask);
            });
        }),
    ],
    verdict: nobody_oversleeps,
    preemptions: None,
    preemptions_ending: None,
};

#[test]
fn a_consumer_that_leaves_wakes_who_waits_for_it() {
    prove(&WAIT_LEAVE, 20, WAIT);
}

/// A producer waits for a consumer that is dead, which another one reaps.
static WAIT_REAP: Scenario = Scenario {
    name: "wait/reap",
    setup: || Setup { locks: &[READER], dead: &[READER], holders: &[(0, READER_BIT)], ..full() },
    roles: &[
        Role::new(0, Seat::produce_waiting),
        Role::waking(1, |r| {
            assert!(r.reap_reader());
        }),
    ],
    verdict: nobody_oversleeps,
    preemptions: Some(3),
    preemptions_ending: Some(2),
};

#[test]
fn who_reaps_a_consumer_wakes_who_waits_for_it() {
    prove(&WAIT_REAP, 100, WAIT);
}

#[test]
fn nobody_wakes_if_reapers_are_silent() {
    refute(&WAIT_REAP, Mutant::ReapsSilently);
}

/// A producer waits for a consumer that is killed or stopped at any of its steps: at the tick it gets the slot of a dead one.
static WAIT_DEATH: Scenario = Scenario {
    name: "wait/death",
    setup: || Setup { locks: &[READER], ..full() },
    roles: WAIT_READ.roles,
    verdict: |world| {
        nobody_oversleeps(world);
        let oracle = &world.oracle;
        let reader_is_dead = oracle.is_dead(READER);
        let producer_lives = oracle.gone_ids() & bit(0) == 0;
        assert!(
            !(reader_is_dead && producer_lives) || oracle.notes("without").is_empty(),
            "it waits for the dead"
        );
    },
    preemptions: Some(2),
    preemptions_ending: Some(3),
};

#[test]
fn nobody_waits_for_the_dead() {
    prove(&WAIT_DEATH, 50, WAIT);
}

/// Two threads of one producer share its bit: one waits until the consumer has read, the other gives up at once.
static WAIT_THREADS: Scenario = Scenario {
    name: "wait/read, two threads of one producer",
    setup: || Setup {
        slots: 1,
        index_len: 2,
        frames: &[(1, 0)],
        cursors: &[(READER, 1)],
        ..Setup::default()
    },
    roles: &[
        Role::new(0, |p| {
            let slot = p.claim_shared(false);
            if let Some(slot) = slot {
                p.publish(slot);
            }
        }),
        Role::new(0, |p| {
            p.claim_shared(true);
        }),
        Role::waking(READER, |c| {
            assert!(matches!(c.take_owed(1), Lease::Taken { .. }), "its frame was taken")
        }),
    ],
    verdict: nobody_oversleeps,
    preemptions: Some(2),
    preemptions_ending: Some(1),
};

impl Seat {
    /// As [`claim_waiting`](Self::claim_waiting), sharing a bit with another thread; `impatient` only begins and finishes.
    fn claim_shared(&self, impatient: bool) -> Option<u16> {
        let peers = &Peers(self);
        self.locked(|threads| backlog::begin(peers, self.id(), threads));
        let slot = if impatient {
            None
        } else {
            let sleep = |value| {
                let woken = self.world.freed.wait(value, &self.world.oracle);
                if !woken {
                    self.world.oracle.note(self.role(), "overslept", 0);
                }
                (!woken).then(|| self.claim_unowed())
            };
            backlog::wait(peers, || self.claim_unowed().map(Some), sleep)
        };
        self.locked(|threads| backlog::finish(peers, self.id(), threads));
        slot
    }

    /// Under a lock that is not poisoned by an end in there: the ends of its process are of no interest here.
    fn locked(&self, act: impl FnOnce(&mut usize)) {
        let mut threads = self.world.threads.lock().unwrap();
        let acted = catch_unwind(AssertUnwindSafe(|| act(&mut threads)));
        drop(threads);
        acted.unwrap_or_else(|panic| resume_unwind(panic));
    }
}

#[test]
fn a_thread_that_gives_up_does_not_put_the_other_to_sleep() {
    prove(&WAIT_THREADS, 100, WAIT);
}

#[test]
fn it_does_if_each_thread_clears_the_bit() {
    refute(&WAIT_THREADS, Mutant::EachStopsWaiting);
}

/// A consumer joins while one producer publishes and another one, which may have looked before, claims.
static JOIN: Scenario = Scenario {
    name: "join/claim",
    setup: || Setup {
        slots: 1,
        index_len: 2,
        states: &[(0, State::Writing { owner: 1 })],
        holders: &[(0, 1 << 1)],
        ..Setup::default()
    },
    roles: &[
        Role::new(0, |p| {
            p.claim_unowed();
        }),
        Role::new(1, |p| {
            // It has claimed the slot before.
            p.world.oracle.claimed(0, 0, p.role());
            p.publish(0);
        }),
        Role::new(READER, |c| {
            let (start, _) = lease::next_seq(c).unwrap();
            backlog::join(&Peers(c), READER, false, start);
            // Whatever is published from here on is owed to it.
            let (next, _) = lease::next_seq(c).unwrap();
            let lease = c.take_owed(next);
            assert!(matches!(lease, Lease::Taken { .. } | Lease::NotYet), "frame {next} was owed: {lease:?}");
            if lease == Lease::NotYet {
                c.world.oracle.note(c.role(), "waits for", next);
            }
        }),
    ],
    verdict: |world| {
        let m = world.snapshot(0);
        let (next, _) = lease::next_seq(&m).unwrap();
        for (_, seq) in world.oracle.notes("waits for") {
            assert!(seq >= next || lease::readable(&m, seq), "frame {seq} was owed, and overwritten");
        }
    },
    preemptions: Some(2),
    preemptions_ending: Some(1),
};

#[test]
fn a_newcomer_gets_what_is_published_after_it_has_joined() {
    prove(&JOIN, 200, &[FailPoint::JoinCursor, FailPoint::JoinActive]);
}

#[test]
fn it_does_not_if_producers_read_the_head_last() {
    refute(&JOIN, Mutant::HeadAfterConsumers);
}

#[test]
fn it_does_not_without_the_fence_of_the_producer() {
    refute(&JOIN, Mutant::Without(Fence::Owed));
}

#[test]
fn it_does_not_without_its_own_fence() {
    refute(&JOIN, Mutant::Without(Fence::Join));
}
