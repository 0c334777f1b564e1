//! What consumers accept, and those that have no place or no right to register.

use std::time::Duration;

use shmflow::{Consumer, Error, Producer};

use crate::common::{Dir, pattern, wait_until};
use crate::{pair, sleeper, sleeps};

#[test]
fn a_consumer_is_never_seen_without_the_accepted_caps_it_opens_with() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..200 {
                Consumer::builder("t").dir(&dir).accepted_caps("video/x-raw").prefault(false).open().unwrap();
            }
            stop.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        while !stop.load(std::sync::atomic::Ordering::SeqCst) {
            // One that is leaving may be seen without, its number being 0 by then.
            let seen = producer.consumers();
            let accepted = |c: &shmflow::ConsumerInfo| c.accepted_caps.as_deref() == Some("video/x-raw");
            assert!(seen.iter().all(|c| accepted(c) || c.id.generation == 0));
        }
    });
    let long = Consumer::builder("t").dir(&dir).accepted_caps(&"x".repeat(8193)).open();
    assert!(matches!(long, Err(Error::InvalidArgument { .. })));
}

#[test]
fn accepted_caps_reach_the_producer() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    let accepted = || producer.consumers().into_iter().map(|c| c.accepted_caps).collect::<Vec<_>>();
    assert_eq!(accepted(), [None]);
    let before = producer.events();
    consumer.set_accepted_caps("video/x-raw, format=BGRx").unwrap();
    assert_ne!(producer.events(), before);
    assert_eq!(accepted(), [Some("video/x-raw, format=BGRx".into())]);
    consumer.set_accepted_caps("").unwrap();
    assert_eq!(accepted(), [None]);
    let long = "x".repeat(8192);
    consumer.set_accepted_caps(&long).unwrap();
    assert_eq!(accepted(), [Some(long)]);
    assert!(matches!(consumer.set_accepted_caps(&"x".repeat(8193)), Err(Error::InvalidArgument { .. })));
}

#[test]
fn the_fifty_seventh_consumer_gets_copies() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    let mut consumers: Vec<_> = (0..58).map(|_| Consumer::builder("t").dir(&dir).open().unwrap()).collect();
    producer.write(b"all").unwrap();
    let copies: Vec<_> = consumers.iter_mut().map(|c| c.recv().unwrap().is_copy()).collect();
    assert_eq!(copies.iter().position(|&copy| copy), Some(56));
    assert_eq!(producer.consumer_count(), 56);
    // It is woken too.
    let mut last = consumers.pop().unwrap();
    let thread = sleeper(move || last.recv_timeout(Duration::from_secs(10)).unwrap().seq());
    wait_until("the consumer sleeps", || sleeps(&thread));
    producer.write(b"woken").unwrap();
    assert_eq!(thread.join().unwrap(), 2);
}

#[test]
fn readers_write_nothing_and_get_copies() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).perms(0o644).open().unwrap();
    let mut reader = Consumer::builder("t").dir(&dir).read_only(true).open().unwrap();
    assert_eq!(reader.id(), None);
    for i in 1..=30 {
        producer.write(&pattern(i, 3000)).unwrap();
        let frame = reader.recv().unwrap();
        assert!(frame.is_copy() && *frame == pattern(i, 3000) && frame.producer() == producer.id());
    }
    assert_eq!(producer.consumer_count(), 0);
    let thread = sleeper(move || reader.recv_timeout(Duration::from_secs(10)).unwrap().seq());
    wait_until("the reader sleeps", || sleeps(&thread));
    producer.write(b"woken").unwrap();
    assert_eq!(thread.join().unwrap(), 31);
}

#[test]
fn readers_are_woken_where_the_permissions_do_not_provide_for_them() {
    for perms in [0o600, 0o660] {
        let dir = Dir::new();
        let producer = Producer::builder("t").dir(&dir).perms(perms).open().unwrap();
        let mut reader = Consumer::builder("t").dir(&dir).read_only(true).open().unwrap();
        assert!(reader.id().is_none() && producer.consumer_count() == 0);
        let thread = sleeper(move || {
            let seq = reader.recv_timeout(Duration::from_secs(10)).unwrap().seq();
            (seq, reader)
        });
        wait_until("the reader sleeps", || sleeps(&thread));
        let published = std::time::Instant::now();
        producer.write(b"woken").unwrap();
        let (seq, mut reader) = thread.join().unwrap();
        // A tick would have shown it the frame within a second, too.
        assert!(seq == 1 && published.elapsed() < Duration::from_millis(900));
        // Also in a larger ring.
        producer.write(&pattern(1, 1 << 20)).unwrap();
        assert_eq!(*reader.recv().unwrap(), pattern(1, 1 << 20));
        let thread = sleeper(move || reader.recv_timeout(Duration::from_secs(10)).unwrap().seq());
        wait_until("the reader sleeps", || sleeps(&thread));
        producer.write(b"woken").unwrap();
        assert_eq!(thread.join().unwrap(), 3);
    }
}
