//! A consumer that looks for its frames when they are due gets all of them, as any other.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test's way to fail")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use common::Dir;
use shmflow::{Consumer, Error, OverflowPolicy, Producer};

/// Publishes its frames' numbers, 4 ms apart, until it is told to stop; then ends the stream.
fn publish_steadily(producer: &Producer, stop: &AtomicBool) {
    for number in 0_u64.. {
        if stop.load(Relaxed) {
            break;
        }
        producer.write(&number.to_le_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(4));
    }
    producer.end();
}

#[test]
fn frames_that_are_looked_for_come_all_and_in_order_and_so_does_the_end() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).overflow_policy(OverflowPolicy::Lossless).open().unwrap();
    let mut consumer = Consumer::builder("t").dir(&dir).busy_wait(Duration::from_millis(2)).open().unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| publish_steadily(&producer, &stop));
        let mut number = 0;
        loop {
            match consumer.recv_timeout(Duration::from_secs(30)) {
                Ok(frame) => assert_eq!(*frame, number_bytes(number)[..]),
                Err(Error::Ended { .. }) => break,
                Err(error) => panic!("{error}"),
            }
            number += 1;
            // On a busy machine it looks less often, and it may take a while.
            if consumer.stats().expected >= 10 {
                stop.store(true, Relaxed);
            }
        }
        assert_eq!(consumer.stats().received, number);
        assert!(consumer.stats().expected <= number);
    });
}

fn number_bytes(number: u64) -> [u8; 8] {
    number.to_le_bytes()
}

#[test]
fn a_wait_ends_in_time_and_can_be_cancelled_whatever_is_expected() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    let mut consumer = Consumer::builder("t").dir(&dir).busy_wait(Duration::from_millis(2)).open().unwrap();
    for _ in 0..30 {
        producer.write(b"x").unwrap();
        consumer.recv().unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
    // The next one never comes.
    for timeout in [0, 1, 5] {
        let got = consumer.recv_timeout(Duration::from_millis(timeout));
        assert!(matches!(got, Err(Error::Timeout { .. })), "{got:?}");
    }
    let token = consumer.cancel_token();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| consumer.recv());
        token.cancel();
        assert!(matches!(waiter.join().unwrap(), Err(Error::Cancelled { .. })));
    });
}
