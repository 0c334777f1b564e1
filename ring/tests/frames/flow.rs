//! How frames come, in which order, and what is lost.

use std::time::Duration;

use shmflow::{Consumer, Error, OnLapped, OverflowPolicy, Producer, StartAt};

use crate::common::{Dir, pattern};
use crate::pair;

#[test]
fn frames_arrive_whole_and_in_order() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    for i in 1..=100 {
        let sent = pattern(i, 1000 + i as usize);
        assert_eq!(producer.write(&sent).unwrap(), i);
        let frame = consumer.recv().unwrap();
        assert_eq!((frame.seq(), frame.lost_before(), frame.is_copy()), (i, 0, false));
        assert_eq!(&*frame, sent);
        assert_eq!(frame.producer(), producer.id());
    }
    assert!(consumer.try_recv().unwrap().is_none());
}

#[test]
fn a_claim_writes_straight_into_shared_memory() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    let mut claim = producer.claim(6).unwrap();
    assert_eq!(claim.as_ptr().addr() % 4096, 0);
    claim.copy_from_slice(b"direct");
    let published = claim.publish().unwrap();
    assert_eq!((&*published, published.seq()), (&b"direct"[..], 1));
    assert_eq!(&*consumer.recv().unwrap(), b"direct");
}

#[test]
fn a_claim_that_is_dropped_leaves_no_trace() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    for _ in 0..100 {
        drop(producer.claim(10).unwrap());
    }
    assert_eq!(producer.write(b"x").unwrap(), 1);
    assert_eq!(consumer.recv().unwrap().seq(), 1);
}

#[test]
fn a_slow_consumer_loses_the_oldest_and_is_told_how_many() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    for i in 1..=50 {
        producer.write(&pattern(i, 100)).unwrap();
    }
    let first = consumer.recv().unwrap();
    let depth = u64::from(producer.geometry().depth);
    assert!(first.seq() <= 51 - depth && first.seq() > 50 - u64::from(producer.geometry().slots));
    assert_eq!(first.lost_before(), first.seq() - 1);
    for seq in first.seq() + 1..=50 {
        let frame = consumer.recv().unwrap();
        assert_eq!((frame.seq(), frame.lost_before()), (seq, 0));
        assert_eq!(&*frame, pattern(seq, 100));
    }
    assert_eq!(consumer.stats().lost, first.seq() - 1);
}

#[test]
fn on_lapped_newest_jumps_to_the_newest() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    let mut consumer = Consumer::builder("t").dir(&dir).on_lapped(OnLapped::Newest).open().unwrap();
    // Lapped by far, and by little: then the index still has an entry for the frame that was taken away.
    let mut last = 0;
    for newest in [50, 62, 74, 90] {
        for i in last + 1..=newest {
            producer.write(&pattern(i, 100)).unwrap();
        }
        let frame = consumer.recv().unwrap();
        assert_eq!((frame.seq(), frame.lost_before()), (newest, newest - last - 1));
        last = newest;
    }
}

#[test]
fn late_joiners_start_where_they_choose() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).depth(8).history(3).open().unwrap();
    for i in 1..=20 {
        producer.write(&pattern(i, 10)).unwrap();
    }
    let open = |start| Consumer::builder("t").dir(&dir).start(start).open().unwrap();
    assert_eq!(open(StartAt::Oldest).recv().unwrap().seq(), 18);
    assert_eq!(open(StartAt::Newest).recv().unwrap().seq(), 20);
    let mut next = open(StartAt::Next);
    assert!(next.try_recv().unwrap().is_none());
    producer.write(b"21").unwrap();
    assert_eq!(next.recv().unwrap().seq(), 21);
}

#[test]
fn a_lease_outlives_everything() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    let sent = pattern(7, 5000);
    producer.write(&sent).unwrap();
    let frame = consumer.recv().unwrap();
    drop(consumer);
    for i in 0..100 {
        producer.write(&pattern(i, 5000)).unwrap();
    }
    drop(producer);
    let clone = frame.clone();
    drop(frame);
    assert_eq!(&*std::thread::spawn(move || clone.to_vec()).join().unwrap(), sent);
    assert!(dir.files().is_empty(), "{:?}", dir.files());
}

#[test]
fn a_hoarding_consumer_gets_copies_and_stops_nobody() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).depth(4).open().unwrap();
    let mut hoarder = Consumer::builder("t").dir(&dir).open().unwrap();
    let mut other = Consumer::builder("t").dir(&dir).open().unwrap();
    let mut hoard = Vec::new();
    for i in 1..=40 {
        producer.write(&pattern(i, 300)).unwrap();
        hoard.push(hoarder.recv().unwrap());
        assert_eq!(&*other.recv().unwrap(), pattern(i, 300));
    }
    assert!(hoard.iter().enumerate().all(|(i, frame)| **frame == pattern(i as u64 + 1, 300)));
    assert_eq!(hoard.iter().filter(|frame| !frame.is_copy()).count(), 2);
    assert_eq!(hoarder.stats().copied, 38);
}

#[test]
fn the_sequence_has_no_gaps_with_several_producers() {
    let dir = Dir::new();
    let producers: Vec<_> =
        (0..4).map(|_| Producer::builder("t").dir(&dir).depth(64).open().unwrap()).collect();
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    std::thread::scope(|scope| {
        for producer in &producers {
            scope.spawn(move || {
                for _ in 0..500 {
                    producer.write(&pattern(1, 64)).unwrap();
                }
            });
        }
        let mut next = 1;
        while next <= 2000 {
            let frame = consumer.recv_timeout(Duration::from_secs(10)).unwrap();
            assert_eq!(frame.seq(), next + frame.lost_before());
            next = frame.seq() + 1;
        }
    });
}

#[test]
fn drop_new_keeps_what_consumers_have_not_read() {
    let dir = Dir::new();
    let producer =
        Producer::builder("t").dir(&dir).depth(4).overflow_policy(OverflowPolicy::DropNew).open().unwrap();
    for i in 1..=20 {
        producer.write(&pattern(i, 10)).unwrap(); // nobody is owed anything
    }
    let mut consumer = Consumer::builder("t").dir(&dir).start(StartAt::Next).open().unwrap();
    let taken = (0..20).take_while(|_| producer.write(b"x").is_ok()).count();
    assert_eq!(taken, 6, "depth and spare slots");
    assert!(matches!(producer.write(b"y"), Err(Error::Full { .. })));
    assert_eq!(consumer.recv().unwrap().seq(), 21);
    assert_eq!(producer.write(b"z").unwrap(), 27);
    assert!(producer.stats().dropped >= 2);
}

#[test]
fn whoever_may_not_wait_for_a_slot_still_has_its_frame() {
    for overflow_policy in [OverflowPolicy::Lossless, OverflowPolicy::DropNew] {
        let dir = Dir::new();
        let builder = Producer::builder("t").dir(&dir).depth(1).overflow_policy(overflow_policy);
        let producer = builder.open().unwrap();
        let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
        let mut written = 0;
        while let Ok(mut claim) = producer.try_claim(1) {
            claim.fill(1);
            claim.publish().unwrap();
            written += 1;
        }
        assert!(matches!(producer.try_claim(1), Err(Error::Full { .. })));
        assert_eq!(consumer.recv().unwrap().seq(), 1);
        producer.write(b"2").unwrap();
        let info = shmflow::inspect("t", Some(dir.path())).unwrap();
        let told = info.producers().next().unwrap();
        assert_eq!((told.frames, told.lost, producer.stats().dropped), (written + 1, 0, 0));
    }
}
