//! A topic may get fewer slots when they get larger.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[test]
fn a_resized_ring_has_exactly_the_depth_asked_for_and_consumers_follow() {
    let dir = std::env::temp_dir().join(format!("shmflow-resize-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let producer = shmflow::Producer::builder("t")
        .dir(&dir)
        .depth(8)
        .spare_slots(2)
        .slot_capacity(4096)
        .open()
        .expect("opens");
    let mut consumer = shmflow::Consumer::builder("t").dir(&dir).open().expect("opens");
    producer.write(&[1; 4096]).expect("written");
    producer.resize(100_000, 3).expect("resized");
    let geometry = producer.geometry();
    assert_eq!((geometry.depth, geometry.slots, geometry.epoch), (3, 5, 2));
    assert!(geometry.history <= 3 && geometry.slot_capacity >= 100_000);
    producer.resize(50_000, 8).expect("large enough: nothing happens");
    assert_eq!(producer.geometry(), geometry);
    producer.write(&[2; 100_000]).expect("written");
    assert_eq!(consumer.recv().expect("the old epoch's frame")[..], [1; 4096]);
    assert_eq!(consumer.recv().expect("the new epoch's frame")[..], [2; 100_000]);
    drop((producer, consumer));
    std::fs::remove_dir_all(&dir).expect("removed");
}
