//! The end of a stream: told if, and only if, all producers ended it, or the last one to go did.

use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};

use loom::sync::atomic::AtomicU64;

use super::actors::{Actor, Common, End, Lock, Model, Scene, prove, refute};
use crate::layout::peers::{end_of, next_end};
use crate::layout::words::bit;
use crate::protocol::end::{self, Votes};
use crate::protocol::{Mutant, Shared};

/// The list of producers, two of which take part, and the next sequence.
struct List<const CASE: u8> {
    common: Common,
    bytes: [Lock; 2],
    active: AtomicU64,
    last_end: AtomicU64,
    last_producer: AtomicU64,
    votes: [AtomicU64; 2],
    generations: [AtomicU64; 2],
    head: AtomicU64,
    /// Ends that a consumer was told.
    told: RefCell<Vec<u64>>,
    /// Whether the newcomer ended its stream, and left.
    left: Cell<bool>,
}

/// Both producers take part; the first has ended its stream before 5, and goes on.
const GOES_ON: u8 = 0;
/// The first died, the other one is about to come.
const DEAD: u8 = 1;
/// The first died, the other one takes part.
const WIDOWED: u8 = 2;

impl<const CASE: u8> Scene for List<CASE> {
    fn new(mutant: Option<Mutant>) -> Self {
        let both = CASE != DEAD;
        Self {
            common: Common::new(mutant),
            bytes: [Lock::new(CASE == GOES_ON), Lock::new(both)],
            active: AtomicU64::new(if both { 3 } else { 1 }),
            last_end: AtomicU64::new(next_end(next_end(0, 0), 0)),
            last_producer: AtomicU64::new(0),
            votes: [AtomicU64::new(if CASE == GOES_ON { 5 } else { 0 }), AtomicU64::new(0)],
            generations: [AtomicU64::new(1), AtomicU64::new(if both { 2 } else { 0 })],
            head: AtomicU64::new(5),
            told: RefCell::default(),
            left: Cell::new(false),
        }
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn killed(&self, actor: usize) {
        self.bytes[0].read_unlock(actor);
        if actor == 1 {
            self.bytes[1].write_unlock();
        }
    }

    fn verdict(&self, end: Option<End>) {
        if CASE == GOES_ON {
            // The second one votes for 6 only if it has seen the frame with which the first one went on.
            let told = self.told.borrow();
            assert!(!told.contains(&6), "a stream that goes on was told to have ended: {told:?}");
        } else if end.is_none_or(|end| end.actor != 1) {
            assert!(self.left.get());
            let active = self.active.load(Acquire);
            // The dead one may be left to be reaped by the next who comes.
            if active == 0 {
                assert_eq!(end_of(self.last_end.load(Acquire)), 5, "the end of the last producer is lost");
            } else {
                assert!(end.is_some(), "the dead is reaped by nobody");
            }
        }
    }
}

impl<const CASE: u8> Votes for Actor<List<CASE>> {
    fn active(&self) -> &AtomicU64 {
        &self.active
    }
    fn last_end(&self) -> &AtomicU64 {
        &self.last_end
    }
    fn last_producer(&self) -> &AtomicU64 {
        &self.last_producer
    }
    fn vote(&self, id: u8) -> &AtomicU64 {
        self.votes.get(usize::from(id)).unwrap_or(&self.votes[1])
    }
    fn generation(&self, id: u8) -> &AtomicU64 {
        self.generations.get(usize::from(id)).unwrap_or(&self.generations[1])
    }
    fn is_alive(&self, id: u8) -> bool {
        self.bytes[usize::from(id)].is_owned()
    }
}

/// As `Producer::end`.
fn vote<const CASE: u8>(producer: &Actor<List<CASE>>, id: u8) {
    producer.votes[usize::from(id)].store(producer.head.load(Acquire), Release);
}

/// As `lifecycle::reap::reap_dead`, for producer 0.
fn reap<const CASE: u8>(reaper: &Actor<List<CASE>>) {
    let byte = &reaper.bytes[0];
    if reaper.active.load(Acquire) & bit(0) == 0 || !byte.try_read(reaper.number) {
        return;
    }
    reaper.step();
    end::clear_dead(reaper, 0);
    reaper.step();
    reaper.active.fetch_and(!bit(0), AcqRel);
    reaper.step();
    reaper.generations[0].store(0, Release);
    byte.read_unlock(reaper.number);
}

/// As `Registration::retire`.
fn leave<const CASE: u8>(producer: &Actor<List<CASE>>, id: u8) {
    end::go(producer, id, producer.generations[usize::from(id)].load(Acquire));
    producer.step();
    producer.active.fetch_and(!bit(id), AcqRel);
    producer.step();
    producer.generations[usize::from(id)].store(0, Release);
    producer.bytes[usize::from(id)].write_unlock();
    producer.left.set(true);
}

fn look<const CASE: u8>(consumer: &Actor<List<CASE>>) {
    if let Some(end) = end::end(consumer) {
        consumer.told.borrow_mut().push(end.seq);
    }
}

/// One producer takes its end back and publishes, the other one ends its stream after that.
static VOTES: Model<List<GOES_ON>> = Model {
    name: "end/publish",
    actors: &[
        |first| {
            // As `SlotBuffer::publish`.
            first.votes[0].store(0, Release);
            first.step();
            first.head.store(6, Release);
            first.step();
        },
        |second| {
            vote(second, 1);
            second.step();
        },
        look,
    ],
    preemptions: Some(4),
    mortal: &[1],
    preemptions_ending: Some(3),
};

#[test]
fn a_stream_that_goes_on_is_not_told_to_have_ended() {
    prove(&VOTES, 100);
}

#[test]
fn it_is_if_the_votes_are_read_once() {
    refute(&VOTES, Mutant::VotesReadOnce);
}

/// A dead producer is reaped by one that comes, ends its stream and leaves, and by somebody else, whenever that may be.
static LATE_BURIAL: Model<List<DEAD>> = Model {
    name: "end/reap",
    actors: &[reap, |newcomer| {
        // As `lifecycle::open` and `Registration::activate`.
        assert!(newcomer.bytes[1].try_write());
        reap(newcomer);
        newcomer.generations[1].store(2, Release);
        newcomer.step();
        end::come(newcomer);
        newcomer.step();
        newcomer.active.fetch_or(bit(1), AcqRel);
        newcomer.step();
        vote(newcomer, 1);
        newcomer.step();
        leave(newcomer, 1);
    }],
    preemptions: Some(4),
    mortal: &[0, 1],
    preemptions_ending: Some(2),
};

#[test]
fn who_is_reaped_late_does_not_undo_an_end() {
    prove(&LATE_BURIAL, 100);
}

#[test]
fn it_does_if_the_last_end_is_read_late() {
    refute(&LATE_BURIAL, Mutant::BuriesLate);
}

#[test]
fn it_does_if_the_end_is_not_compared() {
    refute(&LATE_BURIAL, Mutant::BurialStores);
}

/// One producer died, the other one ends its stream and leaves; somebody reaps, before, meanwhile, or afterwards.
static WIDOW: Model<List<WIDOWED>> = Model {
    name: "end/reap by the last one",
    actors: &[reap, |last| {
        vote(last, 1);
        last.step();
        if !last.mutant(Mutant::LeavesTheDead) {
            reap(last);
        }
        leave(last, 1);
    }],
    preemptions: Some(4),
    mortal: &[0, 1],
    preemptions_ending: Some(2),
};

#[test]
fn the_end_of_the_last_one_counts_whoever_died_before_it() {
    prove(&WIDOW, 100);
}

#[test]
fn it_does_not_if_the_dead_are_left_to_others() {
    refute(&WIDOW, Mutant::LeavesTheDead);
}
