//! Flaws that were found once: moments at which several come, go or die together.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test's way to fail")]

mod common;

use std::os::unix::fs::FileExt;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use common::role::{self, Role};
use common::{Dir, pattern, wait_until};
use shmflow::{CancelToken, Consumer, Error, OverflowPolicy, Producer, ProducerMode};

const LONG: Duration = Duration::from_secs(20);

/// Not a test: another process, to be killed.
#[test]
#[ignore = "played by the other processes"]
fn another() {
    let Some(dir) = role::dir() else { return };
    let builder = Producer::builder("t").dir(&dir);
    let (mut producer, mut consumer) = (None, None);
    match role::heard().as_deref() {
        Some("exclusive") => producer = Some(builder.mode(ProducerMode::Exclusive).open().unwrap()),
        Some("consumer") => consumer = Some(Consumer::builder("t").dir(&dir).open().unwrap()),
        _ => producer = Some(builder.open().unwrap()),
    }
    role::say("open");
    while role::heard().is_some() {}
    drop((producer, consumer));
}

#[test]
fn one_thread_of_a_producer_that_stops_watching_leaves_the_others_watching() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    let peers = std::fs::File::open(dir.path().join("shmflow.t.peers")).unwrap();
    let watched = || {
        // See `watchers` in docs/layout.md.
        let mut word = [0; 8];
        peers.read_exact_at(&mut word, 200).unwrap();
        u64::from_le_bytes(word) != 0
    };
    let (events, cancel_token) = (producer.events(), CancelToken::new());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| producer.wait_event(events, None, &cancel_token));
        wait_until("one thread watches", watched);
        for _ in 0..100 {
            let another = producer.wait_event(events, Some(Duration::ZERO), &CancelToken::new());
            assert!(matches!(another, Err(Error::Timeout { .. })));
            assert!(watched(), "nobody would wake the first one");
        }
        cancel_token.cancel();
        assert!(matches!(waiting.join().unwrap(), Err(Error::Cancelled { .. })));
    });
    assert!(!watched());
}

#[test]
fn of_those_who_leave_at_once_the_last_removes_the_files() {
    let dir = Dir::new();
    for round in 0..300 {
        let producer = Producer::builder("t").dir(&dir).slot_capacity(100).open().unwrap();
        let consumers = [(); 2].map(|()| Consumer::builder("t").dir(&dir).open().unwrap());
        let together = Barrier::new(3);
        std::thread::scope(|scope| {
            let together = &together;
            for consumer in consumers {
                scope.spawn(move || {
                    together.wait();
                    drop(consumer);
                });
            }
            together.wait();
            drop(producer);
        });
        assert_eq!(dir.files(), [""; 0], "round {round}");
    }
}

#[test]
fn a_stream_ends_although_another_producer_was_killed_before_it_could_say_so() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    let mut other = Role::start("another", &dir);
    assert_eq!(other.ask("shared"), "open");
    producer.write(b"last").unwrap();
    producer.end();
    assert_eq!(&*consumer.recv_timeout(LONG).unwrap(), b"last");
    let short = Duration::from_millis(100);
    assert!(matches!(consumer.recv_timeout(short), Err(Error::Timeout { .. })), "the other may go on");
    other.kill();
    assert!(matches!(consumer.recv_timeout(LONG), Err(Error::Ended { .. })));
    assert!(shmflow::inspect("t", Some(dir.path())).unwrap().ended);
}

#[test]
fn the_end_of_the_last_producer_counts_although_another_was_killed_before_it() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    let mut other = Role::start("another", &dir);
    assert_eq!(other.ask("shared"), "open");
    other.kill();
    producer.write(b"last").unwrap();
    producer.end();
    // The consumer has not looked yet: it finds the end of one that left, and the entry of one that died.
    drop(producer);
    assert_eq!(&*consumer.recv_timeout(LONG).unwrap(), b"last");
    assert!(matches!(consumer.recv_timeout(LONG), Err(Error::Ended { .. })));
}

#[test]
fn the_lock_of_a_consumers_caps_goes_on_where_the_last_owner_of_its_entry_left_it() {
    let dir = Dir::new();
    let _producer = Producer::builder("t").dir(&dir).open().unwrap();
    let peers = std::fs::File::open(dir.path().join("shmflow.t.peers")).unwrap();
    let lock = |id: u8| {
        // See docs/layout.md: the sequence lock in the participant's entry.
        let mut word = [0; 8];
        peers.read_exact_at(&mut word, 4096 + u64::from(id) * 192 + 24).unwrap();
        u64::from_le_bytes(word)
    };
    let mut last = 0;
    for caps in ["video/x-raw", "", "audio/x-raw"] {
        let consumer = Consumer::builder("t").dir(&dir).accepted_caps(caps).open().unwrap();
        let now = lock(consumer.id().unwrap().id);
        assert!(
            now > last && now.is_multiple_of(2),
            "{now} after {last}: half of two texts could look like one"
        );
        last = now;
    }
}

#[test]
fn a_producer_that_drops_what_is_not_read_waits_for_no_dead_consumer() {
    let dir = Dir::new();
    let producer =
        Producer::builder("t").dir(&dir).depth(2).overflow_policy(OverflowPolicy::DropNew).open().unwrap();
    let mut consumer = Role::start("another", &dir);
    assert_eq!(consumer.ask("consumer"), "open");
    let refused = (0..10).map(|_| producer.write(b"x")).find_map(Result::err);
    assert!(matches!(refused, Some(Error::Full { .. })), "{refused:?}");
    consumer.stop();
    std::thread::sleep(Duration::from_millis(100));
    assert!(matches!(producer.write(b"x"), Err(Error::Full { .. })), "one that stands is not dead");
    consumer.kill();
    let start = Instant::now();
    while let Err(error) = producer.write(b"x") {
        assert!(matches!(error, Error::Full { .. }) && start.elapsed() < LONG, "{error}");
    }
    assert_eq!(producer.consumer_count(), 0);
}

#[test]
fn the_place_of_a_killed_exclusive_producer_excludes_nobody() {
    let dir = Dir::new();
    let _consumer = {
        let _first = Producer::builder("t").dir(&dir).open().unwrap();
        Consumer::builder("t").dir(&dir).open().unwrap()
    };
    let mut exclusive = Role::start("another", &dir);
    assert_eq!(exclusive.ask("exclusive"), "open");
    assert!(matches!(Producer::builder("t").dir(&dir).open(), Err(Error::InUse { .. })));
    exclusive.kill();
    let one = Producer::builder("t").dir(&dir).open().unwrap();
    let two = Producer::builder("t").dir(&dir).open().unwrap();
    assert_eq!((one.write(b"1").unwrap(), two.write(b"2").unwrap()), (1, 2));
}

#[test]
fn a_topic_made_anew_is_not_taken_for_the_one_that_was_removed() {
    let dir = Dir::new();
    let old = Producer::builder("t").dir(&dir).slot_capacity(100).open().unwrap();
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    old.write(b"old").unwrap();
    old.grow(10_000, 0).unwrap();
    shmflow::remove("t", Some(dir.path()), true).unwrap();
    let new = Producer::builder("t").dir(&dir).slot_capacity(100).open().unwrap();
    // Later epochs than the old topic ever had.
    for slot_capacity in [10_000, 20_000, 40_000] {
        new.grow(slot_capacity, 0).unwrap();
        new.write(&pattern(1, slot_capacity)).unwrap();
    }
    assert_eq!(&*consumer.recv_timeout(LONG).unwrap(), b"old");
    assert!(matches!(consumer.recv_timeout(LONG), Err(Error::Removed { .. })));
    assert!(matches!(old.write(b"more"), Err(Error::Removed { .. })));
}

#[test]
fn what_a_dead_process_was_making_goes_with_the_topic() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    std::fs::write(dir.path().join("shmflow.t.tmp.0123456789abcdef"), [0; 100]).unwrap();
    drop(producer);
    assert_eq!(dir.files(), [""; 0]);
}

#[test]
fn a_topic_whose_removal_was_interrupted_is_no_topic_for_those_who_only_read() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).perms(0o644).persistent(true).open().unwrap();
    producer.write(b"x").unwrap();
    drop(producer);
    let open = || Consumer::builder("t").dir(&dir).read_only(true).open();
    assert_eq!(&*open().unwrap().recv_timeout(LONG).unwrap(), b"x");
    let peers = std::fs::OpenOptions::new().write(true).open(dir.path().join("shmflow.t.peers")).unwrap();
    // `removed`, see docs/layout.md.
    peers.write_all_at(&1_u64.to_le_bytes(), 24).unwrap();
    assert!(matches!(open(), Err(Error::TopicNotFound { .. })));
    let anew = Producer::builder("t").dir(&dir).perms(0o644).open().unwrap();
    assert_eq!(anew.write(b"y").unwrap(), 1);
    assert_eq!(&*open().unwrap().recv_timeout(LONG).unwrap(), b"y");
}

#[test]
fn an_open_that_fails_for_want_of_room_leaves_nothing() {
    let dir = Dir::new();
    let result = Producer::builder("t").dir(&dir).slot_capacity(1 << 37).open();
    assert!(matches!(result, Err(Error::NoSpace { .. })), "{result:?}");
    assert_eq!(dir.files(), [""; 0]);
}
