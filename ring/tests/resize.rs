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

#[test]
fn metadata_that_grows_makes_few_epochs_and_arrives() {
    let dir = std::env::temp_dir().join(format!("shmflow-resize-meta-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let producer = shmflow::Producer::builder("t")
        .dir(&dir)
        .depth(4)
        .spare_slots(1)
        .meta_capacity(256)
        .open()
        .expect("opens");
    let mut consumer = shmflow::Consumer::builder("t").dir(&dir).open().expect("opens");
    for len in [200, 5000, 5100, 7000, 9000, 16 << 20] {
        let note = shmflow::meta::Meta::default().extension(0x8000, vec![7; len - 136]);
        producer.write_with(&[1], &note).expect("written");
        let frame = consumer.recv().expect("a frame");
        assert_eq!(frame.meta_bytes().len(), len.next_multiple_of(8), "{len}");
        assert_eq!(frame.meta().expect("well-formed"), Some(note), "{len}");
    }
    let geometry = producer.geometry();
    assert_eq!((geometry.depth, geometry.epoch, geometry.meta_capacity), (4, 4, 16 << 20));
    let too_large = producer.grow_meta((16 << 20) + 1);
    assert!(matches!(too_large, Err(shmflow::Error::InvalidArgument { .. })), "{too_large:?}");
    drop((producer, consumer));
    std::fs::remove_dir_all(&dir).expect("removed");
}
