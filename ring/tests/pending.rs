//! Consumers that are there before their topics.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test's way to fail")]

mod common;

use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use common::Dir;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use shmflow::{Consumer, Error, PendingConsumer, Producer};

fn pending(dir: &Dir) -> PendingConsumer {
    Consumer::builder("t").dir(dir).open_pending().unwrap()
}

fn is_readable(fd: impl AsFd, limit: PollTimeout) -> bool {
    poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], limit).unwrap() == 1
}

/// Polls until the topic is there.
fn joined(pending: &mut PendingConsumer) -> Consumer {
    loop {
        assert!(
            is_readable(pending.poll_fd().unwrap(), PollTimeout::from(30_000u16)),
            "nothing became readable"
        );
        if let Some(consumer) = pending.try_open().unwrap() {
            return consumer;
        }
    }
}

#[test]
fn its_descriptor_tells_of_the_topic_and_then_of_frames_and_stays_the_same() {
    let dir = Dir::new();
    let mut pending = pending(&dir);
    assert!(pending.try_open().unwrap().is_none());
    let fd = pending.poll_fd().unwrap().as_raw_fd();
    assert!(pending.try_open().unwrap().is_none());
    assert!(!is_readable(pending.poll_fd().unwrap(), PollTimeout::from(120u16)), "nothing has happened");
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    let mut consumer = joined(&mut pending);
    assert_eq!(consumer.poll_fd().unwrap().as_raw_fd(), fd);
    for i in 0..50u8 {
        assert!(
            consumer.try_recv().unwrap().is_none()
                && !is_readable(consumer.poll_fd().unwrap(), PollTimeout::ZERO)
        );
        producer.write(&[i]).unwrap();
        assert!(is_readable(consumer.poll_fd().unwrap(), PollTimeout::from(30_000u16)));
        assert_eq!(*consumer.recv_timeout(Duration::ZERO).unwrap(), [i]);
    }
    drop(pending);
    producer.write(b"on").unwrap();
    assert_eq!(&*consumer.recv().unwrap(), b"on");
}

#[test]
fn a_topic_that_came_before_its_descriptor_is_not_missed() {
    let dir = Dir::new();
    let mut pending = pending(&dir);
    assert!(pending.try_open().unwrap().is_none());
    let _producer = Producer::builder("t").dir(&dir).open().unwrap();
    joined(&mut pending);
}

#[test]
fn the_directory_may_come_later_too_and_go_away_and_come_back() {
    let dir = Dir::new();
    let below = dir.path().join("below");
    let mut pending = Consumer::builder("t").dir(&below).open_pending().unwrap();
    assert!(pending.try_open().unwrap().is_none());
    pending.poll_fd().unwrap();
    std::fs::create_dir(&below).unwrap();
    {
        let _producer = Producer::builder("t").dir(&below).open().unwrap();
        joined(&mut pending);
    }
    let mut pending = Consumer::builder("t").dir(&below).open_pending().unwrap();
    pending.poll_fd().unwrap();
    std::fs::remove_dir_all(&below).unwrap();
    assert!(pending.try_open().unwrap().is_none());
    std::fs::create_dir(&below).unwrap();
    let producer = Producer::builder("t").dir(&below).open().unwrap();
    joined(&mut pending);
    drop(producer);
    std::fs::remove_dir_all(&below).unwrap();
}

#[test]
fn it_can_be_cancelled_before_and_after() {
    let dir = Dir::new();
    let mut pending = pending(&dir);
    let token = pending.cancel_token();
    pending.poll_fd().unwrap();
    token.cancel();
    for _ in 0..2 {
        assert!(is_readable(pending.poll_fd().unwrap(), PollTimeout::from(30_000u16)));
        assert!(matches!(pending.try_open(), Err(Error::Cancelled { .. })));
        assert!(matches!(pending.open(None), Err(Error::Cancelled { .. })));
    }
    token.reset();
    assert!(pending.try_open().unwrap().is_none());
    assert!(!is_readable(pending.poll_fd().unwrap(), PollTimeout::from(120u16)));
    let _producer = Producer::builder("t").dir(&dir).open().unwrap();
    let mut consumer = joined(&mut pending);
    token.cancel();
    assert!(matches!(consumer.recv(), Err(Error::Cancelled { .. })));
}

#[test]
fn what_waiting_does_not_mend_is_an_error() {
    let dir = Dir::new();
    assert!(matches!(Consumer::builder("").dir(&dir).open_pending(), Err(Error::InvalidTopicName { .. })));
    let mut pending = pending(&dir);
    assert!(matches!(pending.open(Some(Duration::from_millis(10))), Err(Error::Timeout { .. })));
    assert!(matches!(pending.set_accepted_caps(&"x".repeat(10_000)), Err(Error::InvalidArgument { .. })));
    pending.set_accepted_caps("video/x-raw").unwrap();
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    let consumer = pending.open(Some(Duration::ZERO)).unwrap();
    assert_eq!(producer.consumers()[0].accepted_caps.as_deref(), Some("video/x-raw"));
    drop(consumer);
}

#[test]
fn a_duplicate_of_the_descriptor_tells_that_the_consumer_is_gone() {
    let dir = Dir::new();
    let mut pending = pending(&dir);
    pending.poll_fd().unwrap();
    let _producer = Producer::builder("t").dir(&dir).open().unwrap();
    let mut consumer = joined(&mut pending);
    let duplicate = consumer.poll_fd().unwrap().try_clone_to_owned().unwrap();
    assert!(consumer.try_recv().unwrap().is_none() && !is_readable(&duplicate, PollTimeout::ZERO));
    drop(consumer);
    assert!(is_readable(&duplicate, PollTimeout::ZERO));
}

#[test]
fn when_its_topic_was_removed_it_waits_again_with_the_same_descriptor() {
    for polled_early in [true, false] {
        let dir = Dir::new();
        let producer = Producer::builder("t").dir(&dir).open().unwrap();
        let mut pending = pending(&dir);
        if polled_early {
            pending.poll_fd().unwrap();
        }
        let mut consumer = pending.open(None).unwrap();
        let fd = consumer.poll_fd().unwrap().as_raw_fd();
        let cancel_token = consumer.cancel_token();
        consumer.set_accepted_caps("video/x-raw").unwrap();
        producer.write(b"last").unwrap();
        drop(producer);
        for round in 0..3u8 {
            shmflow::remove("t", Some(dir.path()), true).unwrap();
            if round == 0 {
                assert!(!consumer.is_removed(), "there is a frame to be read");
                assert_eq!(&*consumer.recv().unwrap(), b"last");
            }
            assert!(consumer.is_removed());
            assert!(matches!(consumer.try_recv(), Err(Error::Removed { .. })));
            pending = consumer.into_pending().unwrap();
            assert!(pending.try_open().unwrap().is_none());
            assert_eq!(pending.poll_fd().unwrap().as_raw_fd(), fd);
            assert!(
                !is_readable(pending.poll_fd().unwrap(), PollTimeout::from(120u16)),
                "nothing has happened"
            );
            cancel_token.cancel();
            assert!(is_readable(pending.poll_fd().unwrap(), PollTimeout::from(30_000u16)));
            cancel_token.reset();
            let producer = Producer::builder("t").dir(&dir).open().unwrap();
            consumer = joined(&mut pending);
            assert_eq!(producer.consumers()[0].accepted_caps.as_deref(), Some("video/x-raw"));
            assert_eq!(consumer.poll_fd().unwrap().as_raw_fd(), fd);
            producer.write(&[round]).unwrap();
            assert!(is_readable(consumer.poll_fd().unwrap(), PollTimeout::from(30_000u16)));
            assert_eq!(*consumer.recv().unwrap(), [round]);
            assert!(!is_readable(consumer.poll_fd().unwrap(), PollTimeout::ZERO));
        }
    }
}

#[test]
fn only_a_consumer_that_was_pending_becomes_it_again() {
    let dir = Dir::new();
    let _producer = Producer::builder("t").dir(&dir).open().unwrap();
    let consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    assert!(matches!(consumer.into_pending(), Err(Error::InvalidArgument { .. })));
}
