//! The watcher without its tick, which would hide a lost wake-up within a second.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::*;
use crate::sys::testing::TempDir;
use crate::{Frame, Producer};

/// Whether the descriptor is readable within 30 s.
fn readable(fd: impl AsFd) -> bool {
    let limit = Timespec { tv_sec: 30, tv_nsec: 0 };
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&limit)).unwrap() == 1
}

/// Each frame is published at some moment of the consumer's way from "nothing there" to sleep: the producer waits for
/// nothing but the receipt of the frame before, and then a little or not at all.
fn ping(read_only: bool, frames: u64, mut wait: impl FnMut(&mut Consumer) -> Option<Frame> + Send + 'static) {
    let dir = TempDir::new();
    let producer = Producer::builder("t").dir(dir.path()).perms(0o644).open().unwrap();
    let mut consumer = Consumer::builder("t").dir(dir.path()).read_only(read_only).open().unwrap();
    consumer.pace = ArrivalTimer::without_ticks();
    consumer.poll_fd().unwrap();
    let (taken, told) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut seq = 0;
        while seq < frames {
            let mut next = wait(&mut consumer);
            while let Some(frame) = next {
                seq += 1;
                assert_eq!(frame.seq(), seq);
                taken.send(()).unwrap();
                next = consumer.try_recv().unwrap();
            }
        }
    });
    for i in 1..=frames {
        producer.write(&i.to_le_bytes()).unwrap();
        let told = told.recv_timeout(Duration::from_secs(30));
        assert!(told.is_ok(), "frame {i} of {frames} was published, and nobody told its consumer");
        for _ in 0..(i * 7919) % 4096 {
            std::hint::spin_loop();
        }
    }
    reader.join().unwrap();
}

/// As an event loop does it.
fn polled(consumer: &mut Consumer) -> Option<Frame> {
    assert!(readable(consumer.poll_fd().unwrap()));
    consumer.try_recv().unwrap()
}

#[test]
fn no_wake_up_is_lost_between_finding_nothing_and_watching() {
    ping(false, 10_000, polled);
}

#[test]
fn nor_for_those_who_only_read() {
    ping(true, 3000, polled);
}

#[test]
fn nor_in_recv_once_there_is_a_watcher() {
    ping(false, 3000, |consumer| Some(consumer.recv().unwrap()));
}

fn rings(consumer: &Consumer) -> u32 {
    consumer.poll_fd.as_ref().unwrap().shared.rings.load(Relaxed)
}

#[test]
fn a_consumer_that_keeps_up_does_not_wake_its_watcher() {
    let dir = TempDir::new();
    let producer = Producer::builder("t").dir(dir.path()).open().unwrap();
    let mut consumer = Consumer::builder("t").dir(dir.path()).open().unwrap();
    consumer.pace = ArrivalTimer::without_ticks();
    consumer.poll_fd().unwrap();
    assert!(consumer.try_recv().unwrap().is_none());
    for i in 1..=1000u64 {
        producer.write(&i.to_le_bytes()).unwrap();
        assert_eq!(polled(&mut consumer).unwrap().seq(), i);
        assert_eq!(rings(&consumer), 1, "at frame {i}: it was woken when it began, and need not be again");
    }
}

#[test]
fn one_that_goes_on_in_a_larger_ring_is_told_of_its_frames() {
    let dir = TempDir::new();
    let producer = Producer::builder("t").dir(dir.path()).slot_capacity(64).open().unwrap();
    let mut consumer = Consumer::builder("t").dir(dir.path()).open().unwrap();
    consumer.pace = ArrivalTimer::without_ticks();
    consumer.poll_fd().unwrap();
    assert!(consumer.try_recv().unwrap().is_none());
    for i in 1..=8u32 {
        producer.write(&vec![0; 64 << i]).unwrap();
        assert_eq!(polled(&mut consumer).unwrap().len(), 64 << i);
        producer.write(b"again").unwrap();
        assert_eq!(&*polled(&mut consumer).unwrap(), b"again");
    }
}
