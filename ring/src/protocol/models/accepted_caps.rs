//! Accepted caps: a producer never reads half of one text and half of another.

use std::cell::RefCell;
use std::sync::atomic::Ordering::{Relaxed, Release};

use loom::sync::atomic::AtomicU64;

use super::actors::{Actor, Common, End, Lock, Model, Scene, prove, refute};
use crate::protocol::accepted_caps::{self, AcceptedCaps};
use crate::protocol::{Fence, Mutant, Shared};

/// One entry: a lock, a length, two words of text, and who owns it.
struct Entry {
    common: Common,
    byte: Lock,
    lock: AtomicU64,
    len: AtomicU64,
    text: [AtomicU64; 2],
    generation: AtomicU64,
    read: RefCell<Vec<(u64, Vec<u8>)>>,
}

/// What the consumer of a generation writes, one text after the other.
fn texts(generation: u64) -> [[u8; 16]; 2] {
    [[10 * generation as u8 + 1; 16], [10 * generation as u8 + 2; 16]]
}

fn word(text: &[u8; 16]) -> AtomicU64 {
    AtomicU64::new(u64::from_le_bytes(text[..8].try_into().unwrap()))
}

impl Scene for Entry {
    fn new(mutant: Option<Mutant>) -> Self {
        // The consumer of generation 1 has written once.
        let text = texts(1)[0];
        Self {
            common: Common::new(mutant),
            byte: Lock::new(true),
            lock: AtomicU64::new(2),
            len: AtomicU64::new(16),
            text: [word(&text), word(&text)],
            generation: AtomicU64::new(1),
            read: RefCell::default(),
        }
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn killed(&self, actor: usize) {
        if actor == 0 {
            self.byte.write_unlock();
        }
    }

    fn verdict(&self, _: Option<End>) {
        for (generation, text) in self.read.borrow().iter() {
            let own = texts(*generation).iter().any(|one| one.as_slice() == text);
            assert!(own, "torn, or another's: {text:?} of generation {generation}");
        }
    }
}

impl AcceptedCaps for Actor<Entry> {
    const TRIES: usize = 2;

    fn lock(&self) -> &AtomicU64 {
        &self.lock
    }
    fn len(&self) -> &AtomicU64 {
        &self.len
    }
    fn text(&self, i: usize) -> Option<&AtomicU64> {
        self.text.get(i)
    }
    fn generation(&self) -> &AtomicU64 {
        &self.generation
    }
    fn pause(&self) {
        loom::thread::yield_now();
    }
}

fn read(producer: &Actor<Entry>) {
    if let Some(read) = accepted_caps::read(producer) {
        producer.read.borrow_mut().push(read);
    }
}

/// A consumer changes its caps while a producer reads them.
static CHANGE: Model<Entry> = Model {
    name: "accepted caps",
    actors: &[|consumer| accepted_caps::write(consumer, &texts(1)[1]), read],
    preemptions: Some(5),
    mortal: &[0],
    preemptions_ending: Some(3),
};

#[test]
fn accepted_caps_are_read_whole() {
    prove(&CHANGE, 100);
}

#[test]
fn they_are_torn_without_the_writers_fence() {
    refute(&CHANGE, Mutant::Without(Fence::CapsWrite));
}

#[test]
fn they_are_torn_without_the_readers_fence() {
    refute(&CHANGE, Mutant::Without(Fence::CapsRead));
}

fn leave(consumer: &Actor<Entry>) {
    consumer.generation.store(0, Release);
    consumer.byte.write_unlock();
}

/// As `Registration::reserve` and `activate`, and those who reap before it.
fn start_successor(newcomer: &Actor<Entry>) {
    if newcomer.byte.try_write() {
        newcomer.generation.store(0, Release);
        if newcomer.mutant(Mutant::CapsLockRestarts) {
            newcomer.lock.store(0, Relaxed);
        }
        accepted_caps::write(newcomer, &texts(2)[0]);
        newcomer.generation.store(2, Release);
    }
}

/// A consumer leaves, and another one gets its entry, while a producer reads.
static SUCCESSION: Model<Entry> = Model {
    name: "accepted caps of a successor",
    actors: &[leave, start_successor, read],
    preemptions: Some(3),
    mortal: &[1],
    preemptions_ending: Some(2),
};

/// A consumer leaves after a change, or dies in it, and another one gets its entry, while a producer reads.
static DEATH: Model<Entry> = Model {
    name: "accepted caps of a dead consumer",
    actors: &[
        |consumer| {
            accepted_caps::write(consumer, &texts(1)[1]);
            leave(consumer);
        },
        start_successor,
        read,
    ],
    preemptions: Some(1),
    mortal: &[0, 1],
    preemptions_ending: Some(1),
};

#[test]
fn nobody_reads_half_of_what_a_dead_consumer_wrote() {
    prove(&DEATH, 100);
}

#[test]
fn a_successors_caps_are_not_mixed_with_those_of_the_dead() {
    prove(&SUCCESSION, 100);
}

#[test]
fn they_are_mixed_if_the_lock_starts_again() {
    refute(&SUCCESSION, Mutant::CapsLockRestarts);
}
