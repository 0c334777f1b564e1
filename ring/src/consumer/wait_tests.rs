//! What a sleeping consumer is told at once, without its tick, which would hide a lost wake-up within a second.

use std::time::{Duration, Instant};

use super::super::arrival::ArrivalTimer;
use crate::error::{Error, Result};
use crate::sys::testing::TempDir;
use crate::{Consumer, Frame, Producer};

const LONG: Duration = Duration::from_secs(20);

fn producer(dir: &TempDir) -> Producer {
    Producer::builder("t").dir(dir.path()).perms(0o644).open().unwrap()
}

/// Whether a thread of this process sleeps in a futex call.
fn sleeps(thread: i32) -> bool {
    let call = std::fs::read_to_string(format!("/proc/self/task/{thread}/syscall")).unwrap_or_default();
    let calls = [libc::SYS_futex, libc::SYS_futex_waitv];
    calls.iter().any(|number| call.starts_with(&format!("{number} ")))
}

/// What comes of waiting without a tick, once somebody has `done` something while it slept.
fn while_it_sleeps(mut consumer: Consumer, done: impl FnOnce()) -> (Result<Frame>, Consumer) {
    consumer.pace = ArrivalTimer::without_ticks();
    let (tell, told) = std::sync::mpsc::channel();
    let waiter = std::thread::spawn(move || {
        tell.send(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
        (consumer.recv_timeout(LONG), consumer)
    });
    let thread = told.recv().unwrap();
    let start = Instant::now();
    while !sleeps(thread) {
        assert!(start.elapsed() < LONG, "it does not sleep");
        std::thread::yield_now();
    }
    done();
    let start = Instant::now();
    let got = waiter.join().unwrap();
    assert!(start.elapsed() < LONG / 2, "nobody woke it");
    got
}

#[test]
fn an_end_that_comes_of_a_leave_is_seen_at_once() {
    let dir = TempDir::new();
    for read_only in [false, true] {
        let (ends, leaves) = (producer(&dir), producer(&dir));
        let consumer = Consumer::builder("t").dir(dir.path()).read_only(read_only).open().unwrap();
        ends.end();
        let (got, _) = while_it_sleeps(consumer, || drop(leaves));
        assert!(matches!(got, Err(Error::Ended { .. })), "{got:?}");
    }
}

#[test]
fn an_end_is_seen_at_once_in_an_epoch_that_the_producer_does_not_know_of() {
    let dir = TempDir::new();
    let (grows, ends) = (producer(&dir), producer(&dir));
    let mut consumer = Consumer::builder("t").dir(dir.path()).open().unwrap();
    grows.grow(1 << 18, 0).unwrap();
    assert!(consumer.try_recv().unwrap().is_none());
    assert_eq!(consumer.geometry().epoch, 2);
    grows.end();
    let (got, _) = while_it_sleeps(consumer, || ends.end());
    assert!(matches!(got, Err(Error::Ended { .. })), "{got:?}");
}

#[test]
fn who_only_reads_sees_at_once_that_the_last_one_out_has_removed_the_topic() {
    let dir = TempDir::new();
    let producer = producer(&dir);
    let reader = Consumer::builder("t").dir(dir.path()).read_only(true).open().unwrap();
    let (got, _) = while_it_sleeps(reader, || drop(producer));
    assert!(matches!(got, Err(Error::Removed { .. })), "{got:?}");
}
