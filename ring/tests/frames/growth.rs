//! Topics that move to a larger ring.

use shmflow::{Consumer, Producer};

use crate::common::{Dir, pattern};
use crate::pair;

#[test]
fn a_larger_frame_moves_the_topic_without_losing_what_is_unread() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    for i in 1..=4 {
        producer.write(&pattern(i, 100)).unwrap();
    }
    let held = consumer.recv().unwrap();
    producer.write(&pattern(5, 1 << 20)).unwrap();
    producer.write(&pattern(6, 100)).unwrap();
    assert_eq!(producer.geometry().epoch, 2);
    for i in 2..=6 {
        let frame = consumer.recv().unwrap();
        let len = if i == 5 { 1 << 20 } else { 100 };
        assert_eq!((frame.seq(), frame.lost_before()), (i, 0));
        assert!(*frame == pattern(i, len));
    }
    assert!(*held == pattern(1, 100));
}

#[test]
fn a_claim_made_before_the_topic_moved_is_published_after_it() {
    let dir = Dir::new();
    let (one, mut consumer) = pair(&dir);
    let two = Producer::builder("t").dir(&dir).open().unwrap();
    let mut claim = one.claim(50).unwrap();
    claim.copy_from_slice(&pattern(1, 50));
    two.write(&pattern(2, 1 << 20)).unwrap();
    assert_eq!(claim.publish().unwrap().seq(), 2);
    assert_eq!(consumer.recv().unwrap().len(), 1 << 20);
    let frame = consumer.recv().unwrap();
    assert!(*frame == pattern(1, 50));
    assert_eq!((frame.producer(), frame.seq()), (one.id(), 2));
}

#[test]
fn many_growths_lose_nothing_that_names_can_keep() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    for i in 1..=4 {
        producer.write(&pattern(i, 100_000 << i)).unwrap();
    }
    for i in 1..=4 {
        let frame = consumer.recv().unwrap();
        assert_eq!((frame.seq(), frame.lost_before()), (i, 0));
        assert!(*frame == pattern(i, 100_000 << i));
    }
}

#[test]
fn who_is_too_many_growths_behind_loses_what_has_no_name_and_nothing_else() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).depth(2).slot_capacity(1).open().unwrap();
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    for i in 1..=7 {
        producer.write(&pattern(i, 1000 << i)).unwrap();
    }
    assert_eq!(producer.geometry().epoch, 8);
    // The one it is in was left empty; four before the newest have names.
    for (seq, lost) in [(3, 2), (4, 0), (5, 0), (6, 0), (7, 0)] {
        let frame = consumer.recv().unwrap();
        assert_eq!((frame.seq(), frame.lost_before()), (seq, lost));
        assert!(*frame == pattern(seq, 1000 << seq));
    }
    assert_eq!(consumer.stats().lost, 2);
}

#[test]
fn skipping_to_the_newest_frame_goes_past_growths() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    let mut reader = Consumer::builder("t").dir(&dir).open().unwrap();
    producer.write(&pattern(1, 100)).unwrap();
    producer.write(&pattern(2, 100)).unwrap();
    // Into epochs in which nothing was published yet: the newest is still the one before them.
    producer.grow(1 << 18, 0).unwrap();
    producer.grow(1 << 19, 0).unwrap();
    assert_eq!(producer.geometry().epoch, 3);
    consumer.skip_to_newest().unwrap();
    reader.skip_to_newest().unwrap();
    assert_eq!(reader.recv().unwrap().seq(), 2);
    producer.write(&pattern(3, 100)).unwrap();
    producer.write(&pattern(4, 1 << 20)).unwrap();
    producer.write(&pattern(5, 1 << 20)).unwrap();
    consumer.skip_to_newest().unwrap();
    let frame = consumer.recv().unwrap();
    assert_eq!((frame.seq(), frame.lost_before()), (5, 0), "what is skipped is not lost");
    assert!(*frame == pattern(5, 1 << 20));
    assert!(consumer.try_recv().unwrap().is_none());
    // With nothing there to be read, it is the next.
    producer.grow(1 << 21, 0).unwrap();
    consumer.skip_to_newest().unwrap();
    producer.write(&pattern(6, 100)).unwrap();
    assert_eq!(consumer.recv().unwrap().seq(), 6);
    // The other one is where it was, and loses nothing.
    for seq in 3..=6 {
        let frame = reader.recv().unwrap();
        assert_eq!((frame.seq(), frame.lost_before()), (seq, 0));
    }
}
