//! Events: a producer that watches sleeps over none.

use std::sync::atomic::Ordering::{Acquire, Release};

use loom::sync::Mutex;
use loom::sync::atomic::AtomicU64;

use super::actors::{Actor, Common, End, Futex, Model, Scene, prove, refute, wait_any};
use crate::protocol::events::{self, Events};
use crate::protocol::{Fence, Mutant};

/// The counter, who watches it, and what is counted.
struct List {
    common: Common,
    events: Futex,
    watchers: AtomicU64,
    happened: AtomicU64,
    /// Of the one producer that watches.
    threads: Mutex<usize>,
    overslept: std::cell::Cell<bool>,
}

impl Scene for List {
    fn new(mutant: Option<Mutant>) -> Self {
        Self {
            common: Common::new(mutant),
            events: Futex::new(0),
            watchers: AtomicU64::new(0),
            happened: AtomicU64::new(0),
            threads: Mutex::new(0),
            overslept: std::cell::Cell::new(false),
        }
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn verdict(&self, end: Option<End>) {
        assert!(end.is_some() || !self.overslept.get(), "an event was slept over");
        assert_eq!(self.watchers.load(Acquire), 0, "nobody watches, and events cost a system call");
    }
}

impl Events for Actor<List> {
    fn bump(&self) {
        self.events.word.fetch_add(1, Release);
        self.step();
    }
    fn watchers(&self) -> &AtomicU64 {
        &self.watchers
    }
    fn wake(&self) {
        self.events.wake_all(&self.common);
    }
}

fn happen(somebody: &Actor<List>) {
    somebody.happened.store(1, Release);
    somebody.step();
    events::notify(somebody);
}

/// As `Producer::wait_event` until `happened` is seen, or with a time-out that passes at once.
fn watch(producer: &Actor<List>, patient: bool) {
    events::begin(producer, 0, &mut producer.threads.lock().unwrap());
    let last = 0;
    loop {
        let now = producer.events.word.load(Acquire);
        if now != last {
            assert_eq!(producer.happened.load(Acquire), 1, "an event comes before what it is about");
            break;
        }
        if !patient {
            break;
        }
        if !wait_any(&producer.common, &[(&producer.events, last)]) {
            // A tick shows what there is.
            producer.overslept.set(true);
            break;
        }
    }
    events::finish(producer, 0, &mut producer.threads.lock().unwrap());
}

static ONE: Model<List> = Model {
    name: "event/watch",
    actors: &[happen, |producer| watch(producer, true)],
    preemptions: None,
    mortal: &[0],
    preemptions_ending: None,
};

#[test]
fn no_event_is_slept_over() {
    prove(&ONE, 50);
}

#[test]
fn one_is_without_the_fence_of_who_notifies() {
    refute(&ONE, Mutant::Without(Fence::Notify));
}

#[test]
fn one_is_without_the_fence_of_who_watches() {
    refute(&ONE, Mutant::Without(Fence::Watch));
}

/// Two threads of one producer: one goes while the other one sleeps.
static TWO: Model<List> = Model {
    name: "event/watch by two threads",
    actors: &[happen, |producer| watch(producer, true), |producer| watch(producer, false)],
    preemptions: Some(3),
    mortal: &[0],
    preemptions_ending: Some(2),
};

#[test]
fn a_thread_that_goes_does_not_put_the_other_to_sleep() {
    prove(&TWO, 100);
}

#[test]
fn it_does_if_each_clears_the_bit() {
    refute(&TWO, Mutant::EachClearsTheBit);
}
