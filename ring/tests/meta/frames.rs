//! Metadata beside frames in a ring: from the claim, through the slot, to the consumer.

use shmflow::meta::{EncodedMeta, Kind, Meta, MetaError, PerFrame, Plane, VideoLayout};
use shmflow::{Consumer, Error, Producer};

use crate::common::Dir;

fn grey(width: u32) -> Meta {
    Meta::new(Kind::Video).caps("video/x-raw, format=GRAY8").video(VideoLayout::new(
        "GRAY8",
        width,
        1,
        [Plane { offset: 0, stride: 4 }],
    ))
}

#[test]
fn every_way_to_publish_carries_the_metadata() {
    let dir = Dir::new();
    let producer = Producer::builder("meta").dir(&dir).open().unwrap();
    let mut consumer = Consumer::builder("meta").dir(&dir).open().unwrap();
    let mut encoded = EncodedMeta::new(&grey(3)).unwrap();
    encoded.patch(&PerFrame::default().offset(3));

    let mut received = || consumer.recv().unwrap().meta().unwrap();

    producer.write(b"bare").unwrap();
    assert_eq!(received(), None);

    producer.write_with(b"one", &grey(1)).unwrap();
    assert_eq!(received(), Some(grey(1)));

    let mut claim = producer.claim(3).unwrap();
    claim.set_meta(&grey(1)).unwrap();
    claim.set_encoded_meta(&encoded).unwrap();
    claim.publish().unwrap();
    assert_eq!(received(), Some(grey(3).offset(3)));

    let (buffer, mut permit) = producer.claim(4).unwrap().into_parts();
    permit.set_encoded_meta(&encoded).unwrap();
    permit.set_meta(&grey(4)).unwrap();
    permit.publish(buffer).unwrap();
    assert_eq!(received(), Some(grey(4)));
}

#[test]
fn metadata_that_has_no_room_in_the_slot_is_refused_and_what_was_set_before_stays() {
    let dir = Dir::new();
    let producer = Producer::builder("meta").dir(&dir).meta_capacity(256).open().unwrap();
    let mut consumer = Consumer::builder("meta").dir(&dir).open().unwrap();
    let small = Meta::default().offset(7);
    let large = Meta::default().extension(0x8000, [1; 300]);
    let refused = |result| matches!(result, Err(Error::Meta(MetaError::NoRoom { have: 256, .. })));
    let mut claim = producer.claim(4).unwrap();
    claim.set_meta(&small).unwrap();
    assert!(refused(claim.set_meta(&large)));
    assert!(refused(claim.set_encoded_meta(&EncodedMeta::new(&large).unwrap())));
    claim.publish().unwrap();
    assert_eq!(consumer.recv().unwrap().meta().unwrap(), Some(small));
    // A frame that is written in one call has the room made for it.
    producer.write_with(b"long", &large).unwrap();
    assert_eq!(consumer.recv().unwrap().meta().unwrap(), Some(large));
}
