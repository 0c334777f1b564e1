//! The poll descriptor: readable whenever there is something to fetch.

use std::cell::Cell;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use loom::sync::Mutex;
use loom::sync::atomic::{AtomicU32, AtomicU64};

use super::actors::{Actor, Common, End, Futex, Model, Scene, poll, prove, refute, wait_any};
use crate::protocol::poll_fd::{self, IDLE, Level, Turn, Watch};
use crate::protocol::{Fence, Mutant};

/// A topic with its futex, and what a consumer shares with its watcher.
struct Consumer {
    common: Common,
    head: AtomicU64,
    topic: Futex,
    /// Somebody sleeps on the topic's futex.
    sleeper: AtomicU32,
    word: AtomicU32,
    /// What the watcher sleeps on beside the topic.
    bell: Futex,
    event: Futex,
    order: Mutex<Option<u64>>,
    /// The consumer waits for its watcher to end.
    gone: Cell<bool>,
    overslept: Cell<bool>,
}

impl Scene for Consumer {
    fn new(mutant: Option<Mutant>) -> Self {
        Self {
            common: Common::new(mutant),
            head: AtomicU64::new(0),
            topic: Futex::new(0),
            sleeper: AtomicU32::new(0),
            word: AtomicU32::new(IDLE),
            bell: Futex::new(0),
            event: Futex::new(1),
            order: Mutex::new(None),
            gone: Cell::new(false),
            overslept: Cell::new(false),
        }
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn verdict(&self, _: Option<End>) {
        assert!(!self.overslept.get(), "there is something to fetch, and the descriptor is not readable");
        assert!(self.order.lock().unwrap().is_none(), "the consumer has gone, and its epoch is kept for it");
    }
}

impl Level for Actor<Consumer> {
    /// A cursor.
    type WatchRequest = u64;

    fn word(&self) -> u32 {
        self.word.load(Acquire)
    }
    fn set_word(&self, word: u32) {
        self.word.store(word, Release);
    }
    fn ring(&self) {
        self.bell.word.fetch_add(1, Release);
        self.bell.wake_all(&self.common);
    }
    fn locked<R>(&self, change: impl FnOnce(&mut Option<u64>) -> R) -> R {
        change(&mut self.order.lock().unwrap())
    }
    fn raise(&self) {
        self.event.word.fetch_or(1, Relaxed);
        self.event.wake_all(&self.common);
    }
    fn lower(&self) {
        self.event.word.fetch_and(0, Relaxed);
    }
    fn mutant(&self, which: Mutant) -> bool {
        self.common.mutant(which)
    }
}

impl Actor<Consumer> {
    fn watch_any(&self, words: &[(&Futex, u32)]) {
        let woken = wait_any(&self.common, words);
        assert!(woken || !self.gone.get(), "the watcher sleeps on, and its consumer has gone");
    }
}

/// Publishes frames, and wakes for each, as `publish::wake` does.
fn produce(producer: &Actor<Consumer>, frames: u64) {
    for next in 1..=frames {
        producer.head.store(next, Release);
        producer.topic.word.fetch_add(1, Release);
        producer.common.fence(Fence::Wake);
        if producer.sleeper.load(Relaxed) != 0 {
            producer.topic.wake_all(&producer.common);
        }
    }
}

/// Fetches as many frames, and goes. Before it waits for the first time it looks so many times more.
fn consume(consumer: &Actor<Consumer>, frames: u64, mut looks: u32) {
    let mut cursor = 0;
    while cursor < frames {
        let is_there = |cursor| consumer.head.load(Acquire) > cursor;
        if is_there(cursor) {
            cursor += 1;
            continue;
        }
        if poll_fd::is_readable(consumer) {
            poll_fd::rearm(consumer, true, cursor, || is_there(cursor));
        }
        if looks > 0 {
            looks -= 1;
            continue;
        }
        if !poll(&consumer.common, &consumer.event) {
            consumer.overslept.set(true);
            break;
        }
    }
    quit(consumer);
}

fn quit(consumer: &Actor<Consumer>) {
    poll_fd::quit(consumer);
    consumer.gone.set(true);
}

/// As `Sleep` of the watchers.
struct Sleep<'a> {
    watcher: &'a Actor<Consumer>,
    value: u32,
}

impl Watch<u64> for Sleep<'_> {
    fn is_ready(&mut self, cursor: &u64) -> bool {
        self.value = self.watcher.topic.word.load(Acquire);
        self.watcher.sleeper.fetch_or(1, AcqRel);
        self.watcher.common.fence(Fence::Sleep);
        self.watcher.head.load(Acquire) > *cursor
    }
    fn may_stay(&self, _: &u64) -> bool {
        true
    }
    fn is_stirred(&mut self, _: &u64) -> bool {
        self.watcher.topic.word.load(Acquire) != self.value
    }
    fn replaced(&mut self, _: u64, _: &u64) {}
    fn forget(&mut self, _: u64) {
        self.watcher.sleeper.fetch_and(0, AcqRel);
    }
}

/// As `Group::run`, with one descriptor.
fn watch(watcher: &Actor<Consumer>) {
    let mut watched = None;
    let mut sleep = Sleep { watcher, value: 0 };
    loop {
        let bell = watcher.bell.word.load(Acquire);
        match poll_fd::look(watcher, &mut watched, &mut sleep) {
            Turn::Quit => return,
            Turn::Rest => watcher.watch_any(&[(&watcher.bell, bell)]),
            Turn::Watch => watcher.watch_any(&[(&watcher.topic, sleep.value), (&watcher.bell, bell)]),
        }
    }
}

static FETCH: Model<Consumer> = Model {
    name: "poll descriptor",
    actors: &[|producer| produce(producer, 2), |consumer| consume(consumer, 2, 0), watch],
    preemptions: Some(2),
    mortal: &[],
    preemptions_ending: None,
};

#[test]
fn the_descriptor_is_readable_when_there_is_a_frame() {
    prove(&FETCH, 100);
}

/// Its consumer looks at what it was not told of.
static LOOKS: Model<Consumer> = Model {
    name: "poll descriptor/looks",
    actors: &[|producer| produce(producer, 1), |consumer| consume(consumer, 1, 1), watch],
    preemptions: Some(2),
    mortal: &[],
    preemptions_ending: None,
};

#[test]
fn it_is_readable_too_for_one_that_looks_now_and_then() {
    prove(&LOOKS, 100);
}

#[test]
fn it_is_not_if_one_whose_watcher_sleeps_on_does_not_look_once_more() {
    refute(&LOOKS, Mutant::KeptLooksOnce);
}

static QUITS: Model<Consumer> = Model {
    name: "poll descriptor/quit",
    actors: &[
        |producer| produce(producer, 2),
        |consumer| {
            poll_fd::rearm(consumer, true, 0, || consumer.head.load(Acquire) > 0);
            quit(consumer);
        },
        watch,
    ],
    preemptions: Some(2),
    mortal: &[],
    preemptions_ending: None,
};

#[test]
fn the_watcher_ends_with_its_consumer() {
    prove(&QUITS, 100);
}

#[test]
fn it_does_not_if_it_goes_to_rest_without_the_lock() {
    refute(&QUITS, Mutant::LevelUnlocked);
}
