//! Who is waited for, and who is not.

use std::time::{Duration, Instant};

use shmflow::{Consumer, Delivery, Error, ProducerMode};

use crate::common::payload::{LEAST, check, payload};
use crate::common::{Dir, wait_until};
use crate::{LONG, fill, lossless, next, released_by, waits};

#[test]
fn every_consumer_gets_every_frame_however_slow_it_is() {
    const FRAMES: u64 = 3000;
    let dir = Dir::new();
    let producer = lossless(&dir).open().unwrap();
    let consumers = [0, 50, 300].map(|pause| (Consumer::builder("t").dir(&dir).open().unwrap(), pause));
    let producer = &producer;
    std::thread::scope(|scope| {
        for (mut consumer, pause) in consumers {
            scope.spawn(move || {
                for count in 1..=FRAMES {
                    let frame = consumer.recv_timeout(LONG).unwrap();
                    assert_eq!((frame.seq(), frame.lost_before()), (count, 0));
                    assert_eq!(check(&frame), Ok((1, count)));
                    if pause != 0 && count % 16 == 0 {
                        std::thread::sleep(Duration::from_micros(16 * pause));
                    }
                }
            });
        }
        for count in 1..=FRAMES {
            producer.write(&payload(1, count, LEAST + count as usize % 200)).unwrap();
        }
    });
    assert_eq!(producer.stats().dropped, 0);
}

#[test]
fn several_producers_wait_each_by_itself_and_nothing_is_lost() {
    const FRAMES: u64 = 1000;
    let dir = Dir::new();
    let producers = [1, 2, 3].map(|tag| (lossless(&dir).open().unwrap(), tag));
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    std::thread::scope(|scope| {
        for (producer, tag) in &producers {
            scope.spawn(move || {
                for count in 1..=FRAMES {
                    producer.write(&payload(*tag, count, LEAST)).unwrap();
                }
            });
        }
        let mut counts = [0; 4];
        for seq in 1..=3 * FRAMES {
            let frame = consumer.recv_timeout(LONG).unwrap();
            assert_eq!((frame.seq(), frame.lost_before()), (seq, 0));
            let (tag, count) = check(&frame).unwrap();
            assert_eq!(count, counts[tag as usize] + 1);
            counts[tag as usize] = count;
        }
    });
}

#[test]
fn two_threads_of_one_producer_wait_for_one_consumer() {
    const FRAMES: u64 = 1000;
    let dir = Dir::new();
    let producer = lossless(&dir).open().unwrap();
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    std::thread::scope(|scope| {
        for tag in [1, 2] {
            let producer = &producer;
            scope.spawn(move || {
                (1..=FRAMES).for_each(|n| assert!(producer.write(&payload(tag, n, LEAST)).is_ok()))
            });
        }
        for seq in 1..=2 * FRAMES {
            let frame = consumer.recv_timeout(LONG).unwrap();
            assert_eq!((frame.seq(), frame.lost_before()), (seq, 0));
        }
    });
}

#[test]
fn consumers_that_want_the_latest_or_only_read_are_never_waited_for() {
    let dir = Dir::new();
    let producer = lossless(&dir).perms(0o644).open().unwrap();
    let mut preview = next(&dir).delivery(Delivery::Latest).open().unwrap();
    let mut reader = next(&dir).read_only(true).open().unwrap();
    for count in 1..=100 {
        producer.write(&payload(1, count, LEAST)).unwrap();
    }
    for consumer in [&mut preview, &mut reader] {
        let frame = consumer.recv().unwrap();
        assert!(frame.lost_before() > 0, "{frame:?}");
    }
    let listed: Vec<_> = producer.consumers().iter().map(|consumer| consumer.delivery).collect();
    assert_eq!(listed, [Delivery::Latest]);
    // Beside a recorder it gets what is there.
    let mut recorder = next(&dir).open().unwrap();
    let from = recorder.position();
    fill(&producer);
    released_by(&dir, &producer, || assert_eq!(recorder.recv().unwrap().seq(), from));
}

#[test]
fn the_place_of_a_consumer_that_wants_the_latest_passes_to_one_that_wants_all() {
    let dir = Dir::new();
    let producer = lossless(&dir).open().unwrap();
    let first = next(&dir).delivery(Delivery::Latest).open().unwrap();
    let place = first.id().unwrap().id;
    drop(first);
    let mut second = next(&dir).open().unwrap();
    assert_eq!(second.id().unwrap().id, place);
    fill(&producer);
    released_by(&dir, &producer, || drop(second.recv().unwrap()));
}

#[test]
fn slots_that_are_held_and_owed_to_nobody_are_waited_for_as_long_as_a_consumer() {
    let dir = Dir::new();
    let timeout = Duration::from_millis(200);
    let one = lossless(&dir).stall_timeout(timeout).open().unwrap();
    let two = lossless(&dir).open().unwrap();
    let _claims: Vec<_> = (0..one.geometry().slots).map(|_| two.claim(1).unwrap()).collect();
    let start = Instant::now();
    assert!(matches!(one.claim(1), Err(Error::NoSlot { .. })));
    assert!(start.elapsed() >= timeout);
}

#[test]
fn frames_of_an_epoch_that_has_ended_are_owed_too() {
    let dir = Dir::new();
    let producer = lossless(&dir).open().unwrap();
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    // More epochs than keep their names, with frames in each of them.
    const FRAMES: u64 = 60;
    std::thread::scope(|scope| {
        let producer = &producer;
        scope.spawn(move || {
            for count in 1..=FRAMES {
                producer.write(&payload(1, count, LEAST << (count / 5))).unwrap();
            }
        });
        for count in 1..=FRAMES {
            let frame = consumer.recv_timeout(LONG).unwrap();
            assert_eq!((frame.seq(), frame.lost_before()), (count, 0));
            assert_eq!(check(&frame), Ok((1, count)));
            if count == 1 {
                // As far ahead as it gets.
                wait_until("the producer waits", || waits(&dir));
            }
        }
    });
    assert!(producer.geometry().epoch > 6, "{:?}", producer.geometry());
}

#[test]
fn a_primary_that_waits_is_not_taken_for_stopped() {
    let dir = Dir::new();
    let takeover_timeout = Duration::from_millis(300);
    let open = || lossless(&dir).mode(ProducerMode::Primary { takeover_timeout }).open().unwrap();
    let (primary, standby) = (open(), open());
    let mut consumer = next(&dir).open().unwrap();
    assert!(primary.try_become_primary());
    fill(&primary);
    released_by(&dir, &primary, || {
        let start = Instant::now();
        while start.elapsed() < takeover_timeout * 3 {
            assert!(!standby.try_become_primary(), "after {:?}", start.elapsed());
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(consumer.recv().unwrap());
    });
    assert!(primary.try_become_primary());
}
