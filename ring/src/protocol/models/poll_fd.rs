//! The poll descriptor: readable whenever there is something to fetch.

use std::cell::Cell;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use loom::sync::Mutex;
use loom::sync::atomic::AtomicU64;

use super::actors::{Actor, Common, End, Futex, Model, Scene, poll, prove, refute, wait_any};
use crate::protocol::Mutant;
use crate::protocol::poll_fd::{self, ARMED, IDLE, Level};

/// A topic with its futex, and what a consumer shares with its watcher.
struct Consumer {
    common: Common,
    head: AtomicU64,
    topic: Futex,
    word: Futex,
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
            word: Futex::new(IDLE),
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
    }
}

impl Level for Actor<Consumer> {
    /// A cursor.
    type WatchRequest = u64;

    fn word(&self) -> u32 {
        self.word.word.load(Acquire)
    }
    fn set_word(&self, word: u32) {
        self.word.word.store(word, Release);
    }
    fn wake(&self) {
        self.word.wake_all(&self.common);
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
    fn rest(&self) {
        self.watch_any(&[(&self.word, IDLE)]);
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

/// Publishes two frames, and wakes for each.
fn produce(producer: &Actor<Consumer>) {
    for next in 1..=2 {
        producer.head.store(next, Release);
        producer.topic.word.fetch_add(1, Release);
        producer.topic.wake_all(&producer.common);
    }
}

/// Fetches as many frames, and goes.
fn consume(consumer: &Actor<Consumer>, frames: u64) {
    let mut cursor = 0;
    while cursor < frames {
        if consumer.head.load(Acquire) > cursor {
            cursor += 1;
            continue;
        }
        poll_fd::rearm(consumer, || cursor);
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

/// As `Shared::watch_until_ready` and `WaitCondition::sleep`; sleepers' bits are of the models of sleeping.
fn watch(watcher: &Actor<Consumer>) {
    let has_news = |cursor| watcher.head.load(Acquire) > cursor;
    poll_fd::watch(watcher, |cursor| {
        while Level::word(watcher) == ARMED && !has_news(cursor) {
            let value = watcher.topic.word.load(Acquire);
            if !has_news(cursor) {
                watcher.watch_any(&[(&watcher.topic, value), (&watcher.word, ARMED)]);
            }
        }
    });
}

static FETCH: Model<Consumer> = Model {
    name: "poll descriptor",
    actors: &[produce, |consumer| consume(consumer, 2), watch],
    preemptions: Some(2),
    mortal: &[],
    preemptions_ending: None,
};

#[test]
fn the_descriptor_is_readable_when_there_is_a_frame() {
    prove(&FETCH, 100);
}

static QUITS: Model<Consumer> = Model {
    name: "poll descriptor/quit",
    actors: &[
        produce,
        |consumer| {
            poll_fd::rearm(consumer, || 0);
            quit(consumer);
        },
        watch,
    ],
    preemptions: Some(3),
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
