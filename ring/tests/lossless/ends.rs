//! What ends a wait.

use std::time::{Duration, Instant};

use shmflow::Error;

use crate::common::{Dir, wait_until};
use crate::{fill, lossless, next, released_by, waits};

#[test]
fn a_cancelled_wait_ends_at_once_and_the_frame_counts_as_dropped() {
    let dir = Dir::new();
    let producer = lossless(&dir).open().unwrap();
    let mut consumer = next(&dir).open().unwrap();
    let sent = fill(&producer);
    let cancel_token = producer.cancel_token();
    std::thread::scope(|scope| {
        let write = scope.spawn(|| (producer.write(b"x"), Instant::now()));
        wait_until("the producer waits", || waits(&dir));
        let start = Instant::now();
        cancel_token.cancel();
        let (result, end) = write.join().unwrap();
        assert!(matches!(result, Err(Error::Cancelled { .. })), "{result:?}");
        assert!(end.saturating_duration_since(start) < Duration::from_millis(500));
    });
    assert!(matches!(producer.write(b"x"), Err(Error::Cancelled { .. })), "it stays cancelled");
    assert_eq!((producer.stats().dropped, waits(&dir)), (2, false));
    for _ in 0..sent {
        assert_eq!(consumer.recv().unwrap().lost_before(), 0);
    }
    producer.write(b"there is room").unwrap();
}

#[test]
fn a_producer_whose_own_claims_are_in_the_way_is_told_at_once() {
    let dir = Dir::new();
    let producer = lossless(&dir).open().unwrap();
    let claims: Vec<_> = (0..producer.geometry().slots).map(|_| producer.claim(1).unwrap()).collect();
    assert!(matches!(producer.claim(1), Err(Error::NoSlot { .. })));
    drop(claims);
    producer.write(b"x").unwrap();
}

#[test]
fn a_slot_that_another_producer_gives_back_ends_the_wait() {
    let dir = Dir::new();
    let (one, two) = (lossless(&dir).open().unwrap(), lossless(&dir).open().unwrap());
    let claims: Vec<_> = (0..one.geometry().slots).map(|_| two.claim(1).unwrap()).collect();
    released_by(&dir, &one, || drop(claims));
}

#[test]
fn a_released_frame_ends_the_wait_and_a_held_one_does_not() {
    let dir = Dir::new();
    let producer = lossless(&dir).open().unwrap();
    let mut consumer = next(&dir).open().unwrap();
    fill(&producer);
    let frame = consumer.recv().unwrap();
    assert!(!frame.is_copy());
    let waited = released_by(&dir, &producer, || {
        std::thread::sleep(Duration::from_millis(120));
        assert!(waits(&dir), "a slot that is read is not free");
        drop(frame);
    });
    assert!(waited < Duration::from_secs(2), "{waited:?}");
}

#[test]
fn a_consumer_that_skips_frees_what_it_skips() {
    let dir = Dir::new();
    let producer = lossless(&dir).open().unwrap();
    let mut consumer = next(&dir).open().unwrap();
    let newest = fill(&producer);
    released_by(&dir, &producer, || consumer.skip_to_newest().unwrap());
    assert_eq!(consumer.recv().unwrap().seq(), newest);
}

#[test]
fn a_consumer_that_leaves_is_not_waited_for() {
    let dir = Dir::new();
    let producer = lossless(&dir).open().unwrap();
    let consumer = next(&dir).open().unwrap();
    fill(&producer);
    released_by(&dir, &producer, || drop(consumer));
}

#[test]
fn removing_the_topic_ends_the_wait() {
    let dir = Dir::new();
    let producer = lossless(&dir).open().unwrap();
    let _consumer = next(&dir).open().unwrap();
    fill(&producer);
    std::thread::scope(|scope| {
        let write = scope.spawn(|| producer.write(b"x"));
        wait_until("the producer waits", || waits(&dir));
        shmflow::remove("t", Some(dir.path()), true).unwrap();
        assert!(matches!(write.join().unwrap(), Err(Error::Removed { .. })));
    });
}
