//! Consumers in other processes, which are stopped, continued and killed.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use shmflow::{Consumer, Error, StartAt};

use crate::common::payload::{LEAST, check, payload};
use crate::common::role::{self, Role};
use crate::common::{Dir, Random, wait_until};
use crate::{LONG, fill, lossless, released_by, waits};

/// Ten minutes of stereo sound at 48 kHz in buffers of 5 ms, as fast as it goes, beside a consumer that is stopped, continued,
/// killed and started again all the time.
#[test]
fn a_recording_is_complete_whatever_happens_to_another_consumer() {
    const BUFFERS: u64 = 120_000;
    const BYTES: usize = 960;
    let dir = Dir::new();
    let producer = lossless(&dir).depth(16).slot_capacity(1024).open().unwrap();
    let mut recorder = Consumer::builder("t").dir(&dir).open().unwrap();
    let sent = AtomicU64::new(0);
    let mut back = Vec::new();
    std::thread::scope(|scope| {
        let (producer, sent) = (&producer, &sent);
        scope.spawn(move || {
            for count in 1..=BUFFERS {
                producer.write(&payload(1, count, BYTES)).unwrap();
                sent.store(count, Relaxed);
            }
        });
        scope.spawn(move || {
            for count in 1..=BUFFERS {
                let frame = recorder.recv_timeout(LONG).unwrap();
                assert_eq!((frame.seq(), frame.lost_before()), (count, 0));
                assert_eq!(check(&frame), Ok((1, count)));
            }
        });
        let is_over = || sent.load(Relaxed) == BUFFERS;
        let mut random = Random::new(1);
        let mut another = Role::start("processes::receiver", &dir);
        assert_eq!(another.read_reply(), "open");
        while !is_over() {
            std::thread::sleep(Duration::from_millis(20 + random.below(20)));
            another.stop();
            // Waiting for it: nothing moves.
            let still = || {
                let before = sent.load(Relaxed);
                std::thread::sleep(Duration::from_millis(2));
                sent.load(Relaxed) == before
            };
            wait_until("the producer waits", || is_over() || (waits(&dir) && still()));
            if is_over() {
                another.go_on();
                break;
            }
            let (before, start) = (sent.load(Relaxed), Instant::now());
            let killed = random.below(2) == 0;
            if killed {
                another.kill();
            } else {
                another.go_on();
            }
            while sent.load(Relaxed) == before {
                std::hint::spin_loop();
            }
            back.push(start.elapsed());
            if killed {
                another = Role::start("processes::receiver", &dir);
                assert_eq!(another.read_reply(), "open");
            }
        }
        another.finish();
    });
    back.sort();
    let median = back.get(back.len() / 2).copied().unwrap_or_default();
    println!("back after {} stops and kills: {median:?} (median), {:?} (longest)", back.len(), back.last());
    assert!(back.len() > 5, "too few to say anything");
    assert!(median < Duration::from_millis(100), "{back:?}");
    assert_eq!((producer.stats().stalls, producer.stats().dropped), (0, 0));
}

#[test]
fn a_stopped_consumer_is_waited_for_and_a_killed_one_is_not() {
    let dir = Dir::new();
    let producer = lossless(&dir).open().unwrap();
    let mut consumer = another_consumer(&dir);
    fill(&producer);
    consumer.stop();
    let waited = released_by(&dir, &producer, || {
        consumer.tell("receive");
        std::thread::sleep(Duration::from_millis(200));
        assert!(waits(&dir), "it is stopped, and not dead");
        consumer.go_on();
        assert_eq!(consumer.read_reply(), "1");
    });
    assert!(waited < Duration::from_secs(2), "{waited:?}");
    consumer.stop();
    let mut best = Duration::MAX;
    let waited = released_by(&dir, &producer, || consumer.kill());
    best = best.min(waited);
    // Of a few attempts one at least is not held up by whatever else the machine does.
    for _ in 0..4 {
        if best <= Duration::from_millis(100) {
            break;
        }
        let mut consumer = another_consumer(&dir);
        fill(&producer);
        best = best.min(released_by(&dir, &producer, || consumer.kill()));
    }
    assert!(best <= Duration::from_millis(100), "{best:?}");
}

#[test]
fn what_a_consumer_held_when_it_was_killed_is_free_again() {
    let dir = Dir::new();
    let producer = lossless(&dir).open().unwrap();
    let mut consumer = another_consumer(&dir);
    fill(&producer);
    released_by(&dir, &producer, || consumer.tell("kill while holding"));
    // And every slot with it.
    for count in 1..=20 {
        producer.write(&payload(1, count, LEAST)).unwrap();
    }
}

fn another_consumer(dir: &Dir) -> Role {
    let mut role = Role::start("processes::another", dir);
    assert_eq!(role.read_reply(), "open");
    role
}

/// Not a test: a consumer in another process, to be stopped, continued and killed.
#[test]
#[ignore = "played by the other process"]
fn another() {
    let Some(dir) = role::dir() else { return };
    let mut consumer = Consumer::builder("t").dir(&dir).start(StartAt::Next).open().unwrap();
    role::say("open");
    while let Some(line) = role::heard() {
        let frame = consumer.recv_timeout(LONG).unwrap();
        if line == "kill while holding" {
            std::mem::forget(frame);
            let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
            return;
        }
        role::say(frame.seq());
    }
}

/// Not a test: receives until its input ends, and loses nothing of what it is owed.
#[test]
#[ignore = "played by the other process"]
fn receiver() {
    let Some(dir) = role::dir() else { return };
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    let (cancel_token, first) = (consumer.cancel_token(), consumer.position());
    role::say("open");
    std::thread::spawn(move || {
        while role::heard().is_some() {}
        cancel_token.cancel();
    });
    loop {
        match consumer.recv() {
            Ok(frame) => {
                check(&frame).unwrap();
                // Of what was there before it the producer may just have been taking a frame.
                let owed = frame.seq() - frame.lost_before() > first + 64;
                assert!(!owed || frame.lost_before() == 0, "{frame:?}");
            }
            Err(Error::Cancelled { .. }) => return,
            Err(error) => panic!("{error}"),
        }
    }
}
