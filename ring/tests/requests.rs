//! What a consumer may ask for: to be told, instead of waiting or copying, that no producer is left and that a frame could
//! only be copied; and a key frame.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test's way to fail")]

mod common;

use std::time::Duration;

use common::Dir;
use common::role::{self, Role};
use shmflow::{Consumer, CopyReason, Error, Producer};

const LONG: Duration = Duration::from_secs(20);

fn reporting(dir: &Dir) -> Consumer {
    Consumer::builder("t").dir(dir).report_no_producer(true).open().unwrap()
}

fn no_producer(got: shmflow::Result<shmflow::Frame>) -> bool {
    matches!(got, Err(Error::NoProducer { .. }))
}

#[test]
#[ignore = "a role of another test"]
fn role_of_a_producer() {
    let Some(dir) = role::dir() else { return };
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    producer.write(b"x").unwrap();
    role::say("there");
    role::heard();
}

#[test]
fn a_producer_that_dies_or_leaves_without_an_end_is_reported_once_on_request() {
    let dir = Dir::new();
    let mut killed = Role::start("role_of_a_producer", &dir);
    assert_eq!(killed.read_reply(), "there");
    let (mut asked, mut waits) = (reporting(&dir), Consumer::builder("t").dir(&dir).open().unwrap());
    killed.kill();
    assert_eq!(asked.recv_timeout(LONG).unwrap().seq(), 1, "what it published comes first");
    assert!(no_producer(asked.recv_timeout(LONG)));
    assert!(matches!(asked.recv_timeout(Duration::ZERO), Err(Error::Timeout { .. })), "once");
    waits.recv_timeout(LONG).unwrap();
    assert!(matches!(waits.recv_timeout(Duration::ZERO), Err(Error::Timeout { .. })), "not asked for");
    let leaves = Producer::builder("t").dir(&dir).open().unwrap();
    leaves.write(b"y").unwrap();
    assert_eq!(asked.recv_timeout(LONG).unwrap().seq(), 2);
    drop(leaves);
    assert!(no_producer(asked.recv_timeout(LONG)), "each time");
}

#[test]
fn a_producer_that_came_and_left_unseen_is_reported_too_also_through_a_descriptor() {
    let dir = Dir::new();
    let first = Producer::builder("t").dir(&dir).open().unwrap();
    let (mut asked, mut polls) = (reporting(&dir), reporting(&dir));
    polls.poll_fd().unwrap();
    drop(first);
    assert!(no_producer(asked.recv_timeout(LONG)) && no_producer(polls.recv_timeout(LONG)));
    assert!(matches!(polls.recv_timeout(Duration::ZERO), Err(Error::Timeout { .. })));
    drop(Producer::builder("t").dir(&dir).open().unwrap());
    assert!(no_producer(polls.recv_timeout(LONG)), "its watcher was armed meanwhile");
    assert!(no_producer(asked.recv_timeout(LONG)));
}

#[test]
fn a_stream_that_had_ended_before_a_consumer_came_has_no_producer() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).persistent(true).open().unwrap();
    producer.write(b"x").unwrap();
    producer.end();
    drop(producer);
    let mut asked = reporting(&dir);
    assert_eq!(asked.recv_timeout(LONG).unwrap().seq(), 1);
    assert!(no_producer(asked.recv_timeout(LONG)));
}

#[test]
fn without_a_place_and_without_copies_a_consumer_follows_and_gets_a_place_later() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    let mut crowd: Vec<_> =
        (0..56).map(|_| Consumer::builder("t").dir(&dir).prefault(false).open().unwrap()).collect();
    let mut last = Consumer::builder("t").dir(&dir).allow_copies(false).open().unwrap();
    producer.write(b"x").unwrap();
    let refused = last.recv_timeout(LONG);
    assert!(
        matches!(refused, Err(Error::WouldCopy { reason: CopyReason::NotRegistered, .. })),
        "{refused:?}"
    );
    producer.grow(1 << 20, 8).unwrap();
    crowd.clear();
    common::wait_until("it gets a place, and leases", || {
        producer.write(b"y").unwrap();
        last.try_recv().is_ok_and(|frame| frame.is_some_and(|frame| !frame.is_copy()))
    });
    assert!(last.stats().lost >= 1, "what it could not have in the old ring is counted");
}

#[test]
fn an_end_is_no_missing_producer() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    let mut asked = reporting(&dir);
    producer.end();
    drop(producer);
    assert!(matches!(asked.recv_timeout(LONG), Err(Error::Ended { .. })));
    assert!(matches!(asked.recv_timeout(Duration::ZERO), Err(Error::Timeout { .. })));
}

#[test]
fn a_descriptor_becomes_readable_when_the_producer_is_killed() {
    let dir = Dir::new();
    let mut killed = Role::start("role_of_a_producer", &dir);
    assert_eq!(killed.read_reply(), "there");
    let mut asked = reporting(&dir);
    asked.poll_fd().unwrap();
    asked.recv_timeout(LONG).unwrap();
    assert!(asked.try_recv().unwrap().is_none());
    killed.kill();
    assert!(no_producer(asked.recv_timeout(LONG)), "`recv` waits through the descriptor");
}

#[test]
fn a_copy_that_is_not_allowed_is_an_error_that_says_why_and_the_frame_stays() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).depth(4).open().unwrap();
    let builder = Consumer::builder("t").dir(&dir).allow_copies(false);
    let mut consumer = builder.clone().max_leases(2).open().unwrap();
    for n in 0..3 {
        producer.write(&[n]).unwrap();
    }
    let (first, second) = (consumer.recv().unwrap(), consumer.recv().unwrap());
    for _ in 0..3 {
        let error = consumer.recv().unwrap_err();
        assert!(matches!(error, Error::WouldCopy { reason: CopyReason::MaxLeases(2), .. }), "{error:?}");
        assert!(error.to_string().contains("as many frames as it may (2)"), "{error}");
    }
    assert_eq!(consumer.stats().leases, 2);
    drop(first);
    let third = consumer.recv().unwrap();
    assert_eq!((third.seq(), third.copy_reason(), third.lost_before()), (3, None, 0));
    drop((second, third));
    assert!(matches!(builder.read_only(true).open(), Err(Error::InvalidArgument { .. })));
}

#[test]
fn copies_begin_where_leases_do_and_say_why_they_are() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).perms(0o644).open().unwrap();
    let mut reader = Consumer::builder("t").dir(&dir).read_only(true).open().unwrap();
    let mut leases = Consumer::builder("t").dir(&dir).max_leases(1).open().unwrap();
    for len in [1_usize, 4095, 4096, 1 << 20, 7] {
        producer.write(&vec![7; len]).unwrap();
        let copy = reader.recv().unwrap();
        assert_eq!(copy.copy_reason(), Some(CopyReason::ReadOnly));
        let lease = leases.recv().unwrap();
        producer.write(&vec![8; len]).unwrap();
        let beyond = leases.recv().unwrap();
        assert_eq!(beyond.copy_reason(), Some(CopyReason::MaxLeases(1)));
        for frame in [copy, lease, beyond] {
            assert_eq!((frame.len(), frame.as_ptr().addr() % 4096), (len, 0), "{frame:?}");
        }
        assert_eq!(&*reader.recv().unwrap(), vec![8; len]);
    }
}

#[test]
#[ignore = "a role of another test"]
fn role_of_an_encoder() {
    let Some(dir) = role::dir() else { return };
    let producer = Producer::builder("t").dir(&dir).perms(0o644).open().unwrap();
    let (mut events, before) = (producer.events(), producer.key_frame_requests());
    role::say("there");
    while producer.key_frame_requests() == before {
        events = producer.wait_event(events, None, &shmflow::CancelToken::new()).unwrap();
    }
    producer.write(b"key").unwrap();
    role::heard();
}

#[test]
fn a_consumer_that_asks_for_a_key_frame_wakes_the_producer() {
    let dir = Dir::new();
    let mut encoder = Role::start("role_of_an_encoder", &dir);
    assert_eq!(encoder.read_reply(), "there");
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    let reader = Consumer::builder("t").dir(&dir).read_only(true).open().unwrap();
    assert!(!reader.request_key_frame().unwrap(), "it may not write, and says so");
    assert!(consumer.request_key_frame().unwrap());
    assert_eq!(&*consumer.recv_timeout(LONG).unwrap(), b"key");
}
