//! The cancel token: whoever waits when it is used is woken, wherever it sleeps.

use std::cell::Cell;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use loom::sync::atomic::AtomicU64;

use super::actors::{Actor, Common, End, Futex, Model, Scene, prove, refute, wait_any};
use crate::protocol::cancel::{self, Cancel};
use crate::protocol::{Fence, Mutant};

/// A token, the futex of a topic, and the event descriptor. With a leftover in that, if so asked.
struct Token<const LEFTOVER: bool> {
    common: Common,
    flag: Futex,
    topic: Futex,
    waiter: AtomicU64,
    /// Not 0 while it is readable.
    event: Futex,
    made: AtomicU64,
    overslept: Cell<bool>,
}

/// The place of `topic`.
const TOPIC: u64 = 1;

impl<const LEFTOVER: bool> Scene for Token<LEFTOVER> {
    fn new(mutant: Option<Mutant>) -> Self {
        Self {
            common: Common::new(mutant),
            flag: Futex::new(0),
            topic: Futex::new(0),
            waiter: AtomicU64::new(0),
            event: Futex::new(LEFTOVER.into()),
            made: AtomicU64::new(LEFTOVER.into()),
            overslept: Cell::new(false),
        }
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn verdict(&self, _: Option<End>) {
        let cancelled = self.flag.word.load(Acquire) != 0;
        assert!(!cancelled || !self.overslept.get(), "a waiter slept over a cancellation");
        // Made later, it need not be: who makes it looks at the flag.
        let readable = self.event.word.load(Acquire) != 0;
        assert!(!cancelled || !LEFTOVER || readable, "cancelled, and not readable");
        assert_eq!(self.waiter.load(Acquire), 0);
    }
}

impl<const LEFTOVER: bool> Cancel for Actor<Token<LEFTOVER>> {
    const WAKE_UPS: usize = 3;

    fn set(&self, cancelled: bool) {
        self.flag.word.store(cancelled.into(), Release);
    }
    fn is_cancelled(&self) -> bool {
        self.flag.word.load(Acquire) != 0
    }
    fn waiter(&self) -> &AtomicU64 {
        &self.waiter
    }
    fn signal(&self) {
        if self.made.load(Acquire) != 0 {
            self.event.word.fetch_or(1, Relaxed);
            self.event.wake_all(&self.common);
        }
    }
    fn drain(&self) {
        if self.made.load(Acquire) != 0 {
            self.event.word.fetch_and(0, Relaxed);
        }
    }
    fn wake(&self) {
        self.flag.wake_all(&self.common);
    }
    fn wake_at(&self, place: u64) -> bool {
        assert_eq!(place, TOPIC);
        self.topic.wake_all(&self.common);
        true
    }
    fn pause(&self) {
        // The time is enough for the waiter to fall asleep, or to get up.
        while self.waiter.load(Acquire) != 0 && !self.topic.has_sleeper(&self.common) {
            loom::thread::yield_now();
        }
    }
}

fn cancel<const LEFTOVER: bool>(actor: &Actor<Token<LEFTOVER>>) {
    cancel::cancel(actor);
}

/// Waits for a topic in which nothing happens: on its futex alone if nobody else does, and otherwise on two.
fn connect_timeout<const LEFTOVER: bool>(waiter: &Actor<Token<LEFTOVER>>) {
    while !waiter.is_cancelled() {
        let alone = cancel::register(waiter, TOPIC);
        let woken = waiter.is_cancelled()
            || if alone {
                wait_any(&waiter.common, &[(&waiter.topic, 0)])
            } else {
                wait_any(&waiter.common, &[(&waiter.topic, 0), (&waiter.flag, 0)])
            };
        if alone {
            cancel::deregister(waiter);
        }
        if !woken {
            return waiter.overslept.set(true);
        }
    }
}

/// As `sys::watch` and others that poll.
fn poll<const LEFTOVER: bool>(waiter: &Actor<Token<LEFTOVER>>) {
    // `OnceLock`.
    let _ = waiter.made.compare_exchange(0, 1, AcqRel, Acquire);
    cancel::event_made(waiter);
    while !waiter.is_cancelled() {
        if !super::actors::poll(&waiter.common, &waiter.event) {
            return waiter.overslept.set(true);
        }
        if cancel::confirm(waiter) {
            return;
        }
    }
}

static SLEEP: Model<Token<false>> = Model {
    name: "cancel/wait",
    actors: &[cancel, connect_timeout],
    preemptions: None,
    mortal: &[],
    preemptions_ending: None,
};

#[test]
fn a_wait_is_cancelled() {
    prove(&SLEEP, 50);
}

#[test]
fn it_is_not_without_the_fence_of_who_cancels() {
    refute(&SLEEP, Mutant::Without(Fence::Cancel));
}

#[test]
fn it_is_not_without_the_fence_of_who_waits() {
    refute(&SLEEP, Mutant::Without(Fence::Waiter));
}

static TWO: Model<Token<false>> = Model {
    name: "cancel/two waits",
    actors: &[cancel, connect_timeout, connect_timeout],
    preemptions: Some(2),
    mortal: &[],
    preemptions_ending: None,
};

#[test]
fn two_waits_are_cancelled() {
    prove(&TWO, 50);
}

static POLL: Model<Token<false>> = Model {
    name: "cancel/poll",
    actors: &[cancel, poll],
    preemptions: None,
    mortal: &[],
    preemptions_ending: None,
};

#[test]
fn a_poll_is_cancelled() {
    prove(&POLL, 20);
}

#[test]
fn it_is_not_without_the_fence_after_the_descriptor() {
    refute(&POLL, Mutant::Without(Fence::Event));
}

/// Two poll a descriptor in which something was left.
static LEFTOVER: Model<Token<true>> = Model {
    name: "cancel/leftover",
    actors: &[cancel, poll, poll],
    preemptions: Some(3),
    mortal: &[],
    preemptions_ending: None,
};

#[test]
fn who_clears_a_leftover_away_clears_no_cancellation() {
    prove(&LEFTOVER, 100);
}

#[test]
fn it_does_if_it_looks_no_more() {
    refute(&LEFTOVER, Mutant::ConfirmsOnce);
}

static RESET: Model<Token<false>> = Model {
    name: "cancel/reset",
    actors: &[cancel, |other| cancel::reset(other), poll],
    preemptions: Some(3),
    mortal: &[],
    preemptions_ending: None,
};

#[test]
fn a_reset_undoes_no_later_cancellation() {
    prove(&RESET, 100);
}

#[test]
fn it_does_if_it_looks_no_more_after_clearing() {
    refute(&RESET, Mutant::ResetsOnce);
}
