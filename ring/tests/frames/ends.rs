//! What ends a wait for a frame: the end of the stream, and being cancelled.

use std::time::Duration;

use shmflow::{Consumer, Error, Producer};

use crate::common::{Dir, wait_until};
use crate::{pair, sleeper, sleeps};

#[test]
fn the_end_comes_after_the_last_frame_and_can_be_revoked() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    producer.write(b"1").unwrap();
    producer.end();
    assert_eq!(consumer.recv().unwrap().seq(), 1);
    assert!(matches!(consumer.recv(), Err(Error::Ended { .. })));
    producer.write(b"2").unwrap();
    assert_eq!(consumer.recv().unwrap().seq(), 2);
    producer.end();
    drop(producer);
    assert!(matches!(consumer.recv(), Err(Error::Ended { .. })));
    // The next producer goes on with the sequence.
    let next = Producer::builder("t").dir(&dir).open().unwrap();
    assert!(matches!(consumer.recv_timeout(Duration::from_millis(5)), Err(Error::Timeout { .. })));
    assert_eq!(next.write(b"3").unwrap(), 3);
    assert_eq!(consumer.recv().unwrap().seq(), 3);
    // One that just goes away has not ended anything.
    drop(next);
    assert!(matches!(consumer.recv_timeout(Duration::from_millis(5)), Err(Error::Timeout { .. })));
}

#[test]
fn an_end_is_told_once_and_then_receiving_waits_for_what_comes_next() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    for seq in 1..10 {
        producer.end();
        assert!(matches!(consumer.recv(), Err(Error::Ended { .. })));
        let at_once = consumer.recv_timeout(Duration::ZERO);
        assert!(matches!(at_once, Err(Error::Timeout { .. })), "{at_once:?}");
        // To say it again is the same end.
        producer.end();
        let waiter = sleeper(move || (consumer.recv(), consumer));
        wait_until("it waits for what comes next", || sleeps(&waiter));
        producer.write(b"next").unwrap();
        let frame;
        (frame, consumer) = waiter.join().unwrap();
        assert_eq!(frame.unwrap().seq(), seq);
    }
}

#[test]
fn a_consumer_that_comes_after_the_end_waits_for_the_next_producer() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).persistent(true).open().unwrap();
    producer.write(b"1").unwrap();
    producer.end();
    drop(producer);
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    assert_eq!(consumer.recv().unwrap().seq(), 1);
    assert!(matches!(consumer.recv_timeout(Duration::from_millis(5)), Err(Error::Timeout { .. })));
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    producer.end();
    drop(producer);
    assert!(matches!(consumer.recv_timeout(Duration::from_secs(5)), Err(Error::Ended { .. })));
}

#[test]
fn iteration_ends_with_the_stream() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    for i in 1..=5 {
        producer.write(&[i]).unwrap();
    }
    producer.end();
    let seen: Vec<_> = consumer.iter().map(|frame| frame.unwrap()[0]).collect();
    assert_eq!(seen, [1, 2, 3, 4, 5]);
    // And goes on with it.
    producer.write(&[6]).unwrap();
    producer.end();
    let seen: Vec<_> = consumer.iter().map(|frame| frame.unwrap()[0]).collect();
    assert_eq!(seen, [6]);
}

#[test]
fn an_end_that_is_revoked_and_said_again_is_news_even_to_those_who_came_after_the_first() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    producer.write(b"1").unwrap();
    producer.end();
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    assert_eq!(consumer.recv().unwrap().seq(), 1);
    assert!(matches!(consumer.recv_timeout(Duration::from_millis(5)), Err(Error::Timeout { .. })));
    producer.write(b"2").unwrap();
    producer.end();
    assert_eq!(consumer.recv().unwrap().seq(), 2);
    assert!(matches!(consumer.recv_timeout(Duration::from_secs(5)), Err(Error::Ended { .. })));
}

#[test]
fn a_blocked_recv_is_cancelled_at_once() {
    let dir = Dir::new();
    let (_producer, mut consumer) = pair(&dir);
    let cancel_token = consumer.cancel_token();
    let thread = sleeper(move || {
        let result = consumer.recv();
        (consumer, result)
    });
    wait_until("the consumer sleeps", || sleeps(&thread));
    let start = std::time::Instant::now();
    cancel_token.cancel();
    let (mut consumer, result) = thread.join().unwrap();
    assert!(matches!(result, Err(Error::Cancelled { .. })));
    assert!(start.elapsed() < Duration::from_millis(500));
    assert!(matches!(consumer.recv(), Err(Error::Cancelled { .. })));
    cancel_token.reset();
    assert!(matches!(consumer.recv_timeout(Duration::from_millis(1)), Err(Error::Timeout { .. })));
}
