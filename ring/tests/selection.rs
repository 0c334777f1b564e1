//! Consumers that do not take every frame: only the newest, so many a second, a share.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test's way to fail")]

mod common;
#[path = "common/sleeper.rs"]
mod sleeper;

use std::time::{Duration, Instant};

use common::*;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::time::ClockId;
use shmflow::meta::{Clock, Kind, Meta, Times};
use shmflow::{Consumer, ConsumerBuilder, Error, OnLapped, OverflowPolicy, Producer};
use sleeper::{sleeper, sleeps};

const LONG: Duration = Duration::from_secs(20);

fn setup(depth: u32) -> (Dir, Producer) {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).depth(depth).open().unwrap();
    (dir, producer)
}

fn consumer(dir: &Dir) -> ConsumerBuilder {
    Consumer::builder("t").dir(dir)
}

fn write(producer: &Producer, frames: usize) {
    for _ in 0..frames {
        producer.write(b"x").unwrap();
    }
}

/// What is there now.
fn rest(consumer: &mut Consumer) -> Vec<u64> {
    std::iter::from_fn(|| consumer.try_recv().unwrap().map(|frame| frame.seq())).collect()
}

#[test]
fn the_latest_is_received_and_what_is_skipped_is_not_lost() {
    for read_only in [false, true] {
        let (dir, producer) = setup(8);
        write(&producer, 3);
        let mut latest = consumer(&dir).latest(true).read_only(read_only).open().unwrap();
        assert_eq!(rest(&mut latest), [3], "each once");
        // Beyond what the ring holds, and beyond an epoch.
        write(&producer, 100);
        assert_eq!(latest.recv().unwrap().seq(), 103);
        write(&producer, 2);
        producer.write(&pattern(1, 1 << 20)).unwrap();
        write(&producer, 2);
        let frame = latest.recv().unwrap();
        assert_eq!((frame.seq(), frame.lost_before()), (108, 0));
        assert_eq!((latest.stats().lost, latest.stats().received), (0, 3));
        assert!(matches!(latest.recv_timeout(Duration::from_millis(5)), Err(Error::Timeout { .. })));
        let thread = sleeper(move || latest.recv_timeout(LONG).unwrap().seq());
        wait_until("it sleeps", || sleeps(&thread));
        write(&producer, 1);
        assert_eq!(thread.join().unwrap(), 109);
    }
}

#[test]
fn no_lossless_producer_waits_for_whom_wants_the_newest() {
    let dir = Dir::new();
    let builder = Producer::builder("t").dir(&dir).depth(2).overflow_policy(OverflowPolicy::Lossless);
    let producer = builder.stall_timeout(Duration::ZERO).open().unwrap();
    let _latest = consumer(&dir).latest(true).open().unwrap();
    let _seldom = consumer(&dir).max_rate(1.0).open().unwrap();
    write(&producer, 50);
}

#[test]
fn shares_are_disjoint_and_together_everything() {
    for read_only in [false, true] {
        let (dir, producer) = setup(16);
        let open = |index| consumer(&dir).share(index, 3).read_only(read_only).open().unwrap();
        let mut shares: Vec<_> = (0..3).map(open).collect();
        write(&producer, 10);
        // The seal of an epoch lies anywhere. (Old ones are not kept for those that only read.)
        for size in [1, 2, 3, 4] {
            producer.write(&pattern(1, if read_only { 1 } else { size << 20 })).unwrap();
        }
        let seqs: Vec<_> = shares.iter_mut().map(rest).collect();
        assert_eq!(seqs, [vec![3, 6, 9, 12], vec![1, 4, 7, 10, 13], vec![2, 5, 8, 11, 14]]);
        write(&producer, 1);
        let limit = Duration::from_millis(5);
        let of_whom: Vec<_> = shares.iter_mut().map(|share| share.recv_timeout(limit).is_ok()).collect();
        assert_eq!(of_whom, [true, false, false]);
        assert!(shares.iter().all(|share| share.stats().lost == 0));
    }
}

#[test]
fn a_share_loses_its_own_frames_and_no_others() {
    let (dir, producer) = setup(4);
    let mut share = consumer(&dir).share(1, 2).open().unwrap();
    write(&producer, 41);
    let frame = share.recv().unwrap();
    let lost = (1..frame.seq()).filter(|seq| seq % 2 == 1).count() as u64;
    assert!(frame.seq() >= 35 && (frame.lost_before(), share.stats().lost) == (lost, lost), "{frame:?}");
}

#[test]
fn a_lossless_producer_waits_for_each_share_to_read_its_own() {
    let dir = Dir::new();
    let builder = Producer::builder("t").dir(&dir).depth(2).overflow_policy(OverflowPolicy::Lossless);
    let producer = builder.stall_timeout(Duration::ZERO).open().unwrap();
    let shares = [0, 1].map(|index| consumer(&dir).share(index, 2).open().unwrap());
    let readers = shares.map(|mut share| {
        std::thread::spawn(move || share.iter().map(|frame| frame.unwrap().seq()).collect::<Vec<_>>())
    });
    write(&producer, 500);
    producer.end();
    for (index, reader) in readers.into_iter().enumerate() {
        let expected: Vec<u64> = (1..=500).filter(|seq| seq % 2 == index as u64).collect();
        assert_eq!(reader.join().unwrap(), expected);
    }
}

#[test]
fn at_most_so_many_frames_a_second_and_the_newest_each_time() {
    for with_fd in [false, true] {
        let (dir, producer) = setup(8);
        let mut seldom = consumer(&dir).max_rate(20.0).open().unwrap();
        if with_fd {
            seldom.poll_fd().unwrap();
        }
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    write(&producer, 1);
                    std::thread::sleep(Duration::from_millis(2));
                }
            });
            let start = Instant::now();
            let first = seldom.recv_timeout(LONG).unwrap().seq();
            let frames: Vec<_> = (0..10).map(|_| seldom.recv_timeout(LONG).unwrap().seq()).collect();
            let took = start.elapsed();
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(took >= Duration::from_millis(480), "{took:?}");
            assert!(frames[0] > first && frames.is_sorted() && seldom.stats().lost == 0, "{frames:?}");
        });
    }
}

#[test]
fn a_rest_ends_with_its_limit_or_the_cancel_token() {
    for with_fd in [false, true] {
        let (dir, producer) = setup(8);
        let mut seldom = consumer(&dir).max_rate(0.001).open().unwrap();
        if with_fd {
            seldom.poll_fd().unwrap();
        }
        write(&producer, 1);
        assert_eq!(seldom.recv().unwrap().seq(), 1);
        write(&producer, 1);
        assert!(seldom.try_recv().unwrap().is_none() && !seldom.is_ready().unwrap());
        match seldom.recv_timeout(Duration::from_millis(5)) {
            Err(error @ Error::Timeout { .. }) => assert!(error.to_string().contains("max_rate"), "{error}"),
            other => panic!("{other:?}"),
        }
        let cancel_token = seldom.cancel_token();
        let thread = std::thread::spawn(move || seldom.recv().map(|frame| frame.seq()));
        cancel_token.cancel();
        assert!(matches!(thread.join().unwrap(), Err(Error::Cancelled { .. })));
    }
}

/// Writes a frame that says when it was captured, so long ago on this clock.
fn write_of_age(producer: &Producer, clock: Clock, age: Duration) {
    let id = if clock == Clock::Realtime { ClockId::CLOCK_REALTIME } else { ClockId::CLOCK_MONOTONIC };
    let now = Duration::from(nix::time::clock_gettime(id).unwrap());
    let captured = (now - age).as_nanos() as u64;
    let times = Times::default().capture_ns(captured).clock(clock);
    producer.write_with(b"x", &Meta::new(Kind::Bytes).times(times)).unwrap();
}

#[test]
fn what_is_too_old_is_skipped_and_what_was_lost_before_it_is_still_told() {
    // The monotonic clock begins when the machine starts.
    let old = Duration::from(nix::time::clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap()) / 2;
    for read_only in [false, true] {
        let (dir, producer) = setup(4);
        write_of_age(&producer, Clock::Monotonic, old);
        let builder = consumer(&dir).max_age(old / 2).read_only(read_only);
        let mut fresh = builder.clone().open().unwrap();
        assert!(matches!(fresh.recv_timeout(Duration::from_millis(5)), Err(Error::Timeout { .. })));
        assert_eq!((fresh.stats().skipped, fresh.stats().lost), (1, 0));
        write(&producer, 1);
        write_of_age(&producer, Clock::Realtime, old);
        write_of_age(&producer, Clock::Realtime, Duration::ZERO);
        write_of_age(&producer, Clock::Unknown, old);
        assert_eq!(rest(&mut fresh), [2, 4, 5]);
        // Lapped by frames of which those that are left are too old, but for the last one.
        for _ in 0..15 {
            write_of_age(&producer, Clock::Monotonic, old);
        }
        write(&producer, 1);
        let frame = fresh.recv().unwrap();
        let (lost, skipped) = (frame.lost_before(), fresh.stats().skipped - 2);
        assert!(lost > 0 && skipped > 0, "{lost} {skipped}");
        assert_eq!((frame.seq(), lost + skipped, fresh.stats().lost), (21, 15, lost));
        // It does not use up the rate.
        let mut seldom = builder.max_rate(0.001).open().unwrap();
        write_of_age(&producer, Clock::Monotonic, old);
        assert!(seldom.try_recv().unwrap().is_none());
        write(&producer, 1);
        assert_eq!(rest(&mut seldom).len(), 1);
    }
}

#[test]
fn impossible_selections_are_refused() {
    let (dir, _producer) = setup(2);
    for builder in [
        consumer(&dir).share(2, 2),
        consumer(&dir).share(0, 0),
        consumer(&dir).max_rate(0.0),
        consumer(&dir).max_rate(-1.0),
        consumer(&dir).max_rate(f64::NAN),
    ] {
        assert!(matches!(builder.open(), Err(Error::InvalidArgument { .. })));
    }
}

#[test]
fn a_misspelt_topic_is_an_error_that_names_the_one_that_was_meant() {
    let (dir, _producer) = setup(2);
    let _camera = Producer::builder("robot/camera").dir(&dir).open().unwrap();
    let misspelt = || Consumer::builder("robot/camrea").dir(&dir);
    let texts = [
        misspelt().open().unwrap_err().to_string(),
        misspelt().connect_timeout(Duration::from_millis(1)).open().unwrap_err().to_string(),
        shmflow::inspect("robot/camrea", Some(dir.path())).unwrap_err().to_string(),
        shmflow::remove("robot/camrea", Some(dir.path()), true).unwrap_err().to_string(),
    ];
    for text in texts {
        let place = dir.path().display().to_string();
        assert!(text.contains("(did you mean `robot/camera`?)") && text.contains(&place), "{text}");
    }
    let other = Consumer::builder("lidar").dir(&dir).open().unwrap_err().to_string();
    assert!(!other.contains("did you mean"), "{other}");
}

#[test]
fn the_latest_of_a_share_is_the_newest_of_its_own() {
    let kinds: [fn(ConsumerBuilder) -> ConsumerBuilder; 2] = [|it| it.latest(true), |it| it.max_rate(1e6)];
    for kind in kinds {
        let (dir, producer) = setup(8);
        let mut shares = [0, 1].map(|index| kind(consumer(&dir)).share(index, 2).open().unwrap());
        // In pairs, as those of a stereo camera: the one before the newest is there as long.
        write(&producer, 2);
        assert_eq!(shares.each_mut().map(|share| share.recv_timeout(LONG).unwrap().seq()), [2, 1]);
        write(&producer, 4);
        assert_eq!(shares.each_mut().map(|share| share.recv_timeout(LONG).unwrap().seq()), [6, 5]);
        assert_eq!(shares.each_mut().map(rest), [[], []], "each once");
        write(&producer, 1);
        shares[1].skip_to_newest().unwrap();
        shares[0].skip_to_newest().unwrap();
        assert_eq!(shares.each_mut().map(rest), [vec![], vec![7]]);
        assert!(shares.iter().all(|share| share.stats().lost == 0));
    }
}

#[test]
fn no_lossless_producer_waits_for_a_share_to_pass_over_what_is_for_others() {
    let dir = Dir::new();
    let builder = Producer::builder("t").dir(&dir).depth(4).overflow_policy(OverflowPolicy::Lossless);
    let producer = builder.stall_timeout(Duration::ZERO).open().unwrap();
    // The first that it wants is far away, and so is the next one while it works on that.
    let mut share = consumer(&dir).share(50, 100).open().unwrap();
    let writer = sleeper(move || write(&producer, 140));
    wait_until("it waits at the end of the ring", || sleeps(&writer));
    let published = shmflow::inspect("t", Some(dir.path())).unwrap().published();
    assert!(
        (50..60).contains(&published),
        "the share's own frame, and what the ring holds beyond: {published}"
    );
    let frame = share.recv().unwrap();
    wait_until("the others' frames are written", || writer.is_finished());
    assert_eq!((frame.seq(), share.stats().lost), (50, 0));
}

#[test]
fn whoever_wants_the_newest_loses_nothing_however_fast_frames_come() {
    let (dir, producer) = setup(2);
    let mut latest = consumer(&dir).latest(true).open().unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                write(&producer, 1);
            }
        });
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(1) {
            latest.recv_timeout(LONG).unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(latest.stats().lost, 0, "{:?}", latest.stats());
}

#[test]
fn the_newest_of_a_share_may_be_in_an_epoch_that_has_ended() {
    for read_only in [false, true] {
        let (dir, producer) = setup(8);
        let mut share = consumer(&dir).latest(true).share(0, 2).read_only(read_only).open().unwrap();
        write(&producer, 2);
        producer.grow(1 << 20, 8).unwrap();
        write(&producer, 1);
        assert_eq!(rest(&mut share), [2], "the one after it is for others");
        write(&producer, 1);
        assert_eq!(rest(&mut share), [4]);
    }
}

#[test]
fn the_newest_is_received_although_the_ring_after_it_is_gone() {
    let (dir, producer) = setup(8);
    let mut latest = consumer(&dir).latest(true).open().unwrap();
    write(&producer, 2);
    producer.grow(1 << 20, 8).unwrap();
    shmflow::remove("t", Some(dir.path()), true).unwrap();
    assert_eq!(latest.try_recv().unwrap().unwrap().seq(), 2);
    assert!(matches!(latest.recv_timeout(LONG), Err(Error::Removed { .. })));
}

#[test]
fn whoever_continues_at_the_newest_loses_no_frame_of_its_share_that_is_owed_to_it() {
    let dir = Dir::new();
    let builder = Producer::builder("t").dir(&dir).depth(2).overflow_policy(OverflowPolicy::Lossless);
    let producer = builder.stall_timeout(Duration::ZERO).open().unwrap();
    let mut share = consumer(&dir).share(0, 64).on_lapped(OnLapped::Newest).open().unwrap();
    // The places in the index of those that are for others were used again meanwhile.
    write(&producer, 65);
    assert_eq!((rest(&mut share), share.stats().lost), (vec![64], 0));
}

#[test]
fn the_last_frame_is_received_before_a_removal_is_reported() {
    for with_fd in [false, true] {
        let (dir, producer) = setup(8);
        let mut seldom = consumer(&dir).max_rate(2.0).open().unwrap();
        if with_fd {
            seldom.poll_fd().unwrap();
        }
        write(&producer, 1);
        assert_eq!(seldom.recv().unwrap().seq(), 1);
        write(&producer, 1);
        shmflow::remove("t", Some(dir.path()), true).unwrap();
        let last = loop {
            match seldom.try_recv() {
                Ok(Some(frame)) => break frame.seq(),
                Ok(None) => std::thread::sleep(Duration::from_millis(1)),
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(last, 2);
        assert!(matches!(seldom.recv_timeout(LONG), Err(Error::Removed { .. })));
    }
}

#[test]
fn the_descriptor_tells_an_end_or_a_removal_while_no_frame_may_be_taken() {
    for removed in [false, true] {
        let (dir, producer) = setup(8);
        let mut seldom = consumer(&dir).max_rate(0.001).open().unwrap();
        let fd = seldom.poll_fd().unwrap().try_clone_to_owned().unwrap();
        write(&producer, 1);
        assert_eq!(seldom.recv().unwrap().seq(), 1);
        assert!(matches!(seldom.recv_timeout(Duration::ZERO), Err(Error::Timeout { .. })));
        if removed {
            shmflow::remove("t", Some(dir.path()), true).unwrap();
        } else {
            producer.end();
        }
        let mut fds = [PollFd::new(std::os::fd::AsFd::as_fd(&fd), PollFlags::POLLIN)];
        assert_eq!(poll(&mut fds, PollTimeout::try_from(LONG).unwrap()).unwrap(), 1, "{removed}");
        let told = seldom.recv_timeout(Duration::ZERO).unwrap_err();
        assert!(if removed {
            matches!(told, Error::Removed { .. })
        } else {
            matches!(told, Error::Ended { .. })
        });
    }
}
