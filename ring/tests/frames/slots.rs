//! Which slots are used.

use shmflow::{Consumer, Producer};

use crate::common::Dir;

#[test]
fn warm_slots_are_used_again_first() {
    let dir = Dir::new();
    let producer = Producer::builder("t")
        .dir(&dir)
        .depth(4)
        .history(1)
        .slot_capacity(8 << 20)
        .prefault(false)
        .open()
        .unwrap();
    assert!(slots_in_use(&dir, &producer) <= 3);
}

#[test]
fn small_frames_rotate_so_that_nobody_waits_for_a_line_in_another_cache() {
    let dir = Dir::new();
    let producer =
        Producer::builder("t").dir(&dir).depth(8).history(1).slot_capacity(64 << 10).open().unwrap();
    assert!(slots_in_use(&dir, &producer) >= 8);
}

#[test]
fn producers_with_fewer_claims_than_there_are_slots_always_find_one() {
    let dir = Dir::new();
    let open = || Producer::builder("t").dir(&dir).depth(6).spare_slots(2).slot_capacity(64).open().unwrap();
    let producers: Vec<_> = (0..8).map(|_| open()).collect();
    std::thread::scope(|scope| {
        for producer in &producers {
            scope.spawn(|| {
                for i in 0..100_000 {
                    let claim = producer.claim(5).unwrap();
                    if i % 4 == 0 {
                        std::thread::yield_now();
                    }
                    claim.publish().unwrap();
                }
            });
        }
    });
}

/// In how many slots frames come that a consumer reads as they come.
fn slots_in_use(dir: &Dir, producer: &Producer) -> usize {
    let mut consumer = Consumer::builder("t").dir(dir).open().unwrap();
    let mut addresses = std::collections::HashSet::new();
    for _ in 0..100 {
        let claim = producer.claim(100).unwrap();
        addresses.insert(claim.as_ptr().addr());
        claim.publish().unwrap();
        consumer.recv().unwrap();
    }
    addresses.len()
}
