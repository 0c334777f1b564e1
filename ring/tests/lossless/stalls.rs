//! Consumers that are passed over.

use std::time::{Duration, Instant};

use crate::common::Dir;
use crate::common::payload::{LEAST, payload};
use crate::{LONG, fill, lossless, next};

#[test]
fn a_consumer_that_takes_nothing_is_passed_over_until_it_has_caught_up() {
    let dir = Dir::new();
    let timeout = Duration::from_millis(200);
    let producer = lossless(&dir).stall_timeout(timeout).open().unwrap();
    let mut slow = next(&dir).name("slow").open().unwrap();
    let sent = fill(&producer);
    assert!(producer.stalled_consumers().is_empty());
    let start = Instant::now();
    producer.write(&payload(1, sent + 1, LEAST)).unwrap();
    assert!(start.elapsed() >= timeout, "{:?}", start.elapsed());
    let stalled: Vec<_> = producer.stalled_consumers().iter().map(|c| (c.id, c.name.clone())).collect();
    assert_eq!(stalled, [(slow.id().unwrap(), "slow".to_owned())]);
    assert_eq!((producer.stats().stalls, producer.stats().dropped), (1, 0));
    // As if it were not there.
    let start = Instant::now();
    for count in sent + 2..=100 {
        producer.write(&payload(1, count, LEAST)).unwrap();
    }
    assert!(start.elapsed() < timeout * 20);
    let frame = slow.recv().unwrap();
    assert_eq!(frame.seq(), 1 + frame.lost_before());
    assert!(frame.lost_before() > 0);
    drop(frame);
    // It is past what there was when it was given up: from now on it is owed everything again.
    assert!(producer.stalled_consumers().is_empty());
    let (from, lost) = (slow.position(), slow.stats().lost);
    std::thread::scope(|scope| {
        let (producer, slow) = (&producer, &mut slow);
        scope.spawn(move || (101..=300).for_each(|n| assert!(producer.write(&payload(1, n, LEAST)).is_ok())));
        for seq in from..=300 {
            assert_eq!(slow.recv_timeout(LONG).unwrap().seq(), seq);
        }
    });
    assert_eq!((slow.stats().lost, producer.stats().stalls), (lost, 1));
}

#[test]
fn a_consumer_that_takes_a_frame_now_and_then_is_not_passed_over() {
    let dir = Dir::new();
    let timeout = Duration::from_millis(400);
    let producer = lossless(&dir).stall_timeout(timeout).open().unwrap();
    let mut slow = next(&dir).open().unwrap();
    std::thread::scope(|scope| {
        let producer = &producer;
        scope.spawn(move || (1..=14).for_each(|n| assert!(producer.write(&payload(1, n, LEAST)).is_ok())));
        for seq in 1..=14 {
            std::thread::sleep(timeout / 4);
            assert_eq!(slow.recv_timeout(LONG).unwrap().seq(), seq);
        }
    });
    assert_eq!(producer.stats().stalls, 0);
}
