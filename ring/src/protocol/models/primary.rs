//! Primary and standby: at most one producer is the primary, and there is one as long as any lives.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering::{Acquire, Release};

use loom::sync::atomic::AtomicU64;

use super::actors::{Actor, Common, End, Lock, Model, Scene, prove, refute, refute_ending};
use crate::protocol::Mutant;
use crate::protocol::primary::{self, Primary, owner_word};

/// Three producers, of which the first is the primary.
struct List {
    common: Common,
    bytes: [Lock; 3],
    primary: AtomicU64,
    generations: [AtomicU64; 3],
    leads: RefCell<BTreeSet<usize>>,
}

fn name(actor: usize) -> u64 {
    owner_word(actor as u8, actor as u64 + 1)
}

impl Scene for List {
    fn new(mutant: Option<Mutant>) -> Self {
        Self {
            common: Common::new(mutant),
            bytes: std::array::from_fn(|_| Lock::new(true)),
            primary: AtomicU64::new(name(0)),
            generations: std::array::from_fn(|i| AtomicU64::new(i as u64 + 1)),
            leads: RefCell::default(),
        }
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn killed(&self, actor: usize) {
        self.leads.borrow_mut().remove(&actor);
        self.bytes[0].read_unlock(actor);
        self.bytes[actor].write_unlock();
    }

    fn verdict(&self, end: Option<End>) {
        // Whom the word names knows it. (If it names none, or a dead one, the first to ask takes over.)
        let dead = end.filter(|end| end.killed).map(|end| end.actor);
        let stopped = end.filter(|end| !end.killed).map(|end| end.actor);
        let word = self.primary.load(Acquire);
        let holder = (0..3).find(|&actor| name(actor) == word);
        let living = |actor: usize| self.bytes[actor].is_owned() && Some(actor) != dead;
        if let Some(holder) = holder.filter(|&holder| living(holder)) {
            assert!(
                self.leads.borrow().contains(&holder) || Some(holder) == stopped,
                "the primary does not know that it is it"
            );
        }
    }
}

impl Primary for Actor<List> {
    fn primary(&self) -> &AtomicU64 {
        &self.primary
    }
    fn generation(&self, id: u8) -> &AtomicU64 {
        &self.generations[usize::from(id)]
    }
    fn is_alive(&self, id: u8) -> bool {
        self.bytes[usize::from(id)].is_owned()
    }
}

fn lead(producer: &Actor<List>) -> bool {
    let leads = primary::lead(producer, name(producer.number), |_, _| false);
    if leads {
        let mut all = producer.leads.borrow_mut();
        all.insert(producer.number);
        assert_eq!(all.len(), 1, "two primaries: {all:?}");
    }
    leads
}

/// It is the primary, then leaves, as `Registration::retire` and `leave` do.
fn first(producer: &Actor<List>) {
    assert!(lead(producer), "replaced while it lives");
    producer.step();
    producer.leads.borrow_mut().remove(&0);
    primary::resign(&producer.primary, name(0));
    producer.step();
    producer.generations[0].store(0, Release);
    producer.bytes[0].write_unlock();
}

fn reap(reaper: &Actor<List>) {
    if reaper.bytes[0].try_read(reaper.number) {
        primary::depose(reaper, &reaper.primary, 0);
        reaper.step();
        reaper.generations[0].store(0, Release);
        reaper.bytes[0].read_unlock(reaper.number);
    }
}

/// The primary leaves, or dies; two stand by, one of which reaps.
static SUCCESSION: Model<List> = Model {
    name: "primary/standby",
    actors: &[
        first,
        |standby| {
            lead(standby);
            lead(standby);
        },
        |standby| {
            reap(standby);
            lead(standby);
        },
    ],
    preemptions: Some(3),
    mortal: &[0, 1, 2],
    preemptions_ending: Some(2),
};

#[test]
fn there_is_one_primary() {
    prove(&SUCCESSION, 100);
}

#[test]
fn there_are_two_if_a_standby_does_not_compare() {
    refute(&SUCCESSION, Mutant::PrimaryStores);
}

#[test]
fn there_are_two_if_a_reaper_does_not_compare() {
    let killed = End { actor: 0, step: 1, killed: true };
    refute_ending(&SUCCESSION, Mutant::DeposesAnyone, Some(killed));
}
