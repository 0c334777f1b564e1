//! Frames that are structs.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test's way to fail")]

mod common;

use std::fmt::Debug;

use common::Dir;
use common::role::{self, Role};
use shmflow::meta::Meta;
use shmflow::typed::{Message, Payload, TypedConsumer, TypedFrame, TypedProducer};
use shmflow::{Consumer, ConsumerBuilder, Error, Producer, ProducerBuilder};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Pose {
    time: u64,
    position: [f64; 3],
}

impl Message for Pose {
    const NAME: &'static str = "robot/Pose";
}

/// As [`Pose`] was called by a program of another age.
#[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct OldPose {
    time: u64,
    position: [f32; 3],
    unused: u32,
}

impl Message for OldPose {
    const NAME: &'static str = "robot/Pose";
}

#[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Twist([f64; 4]);

impl Message for Twist {
    const NAME: &'static str = "robot/Twist";
}

/// Aligned as strictly as frames are.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(4096))]
struct Page([u8; 4096]);

impl Message for Page {
    const NAME: &'static str = "Page";
}

fn pose(time: u64) -> Pose {
    Pose { time, position: [time as f64, -1.0, 0.5] }
}

fn producing(dir: &Dir) -> ProducerBuilder {
    Producer::builder("t").dir(dir)
}

fn consuming(dir: &Dir) -> ConsumerBuilder {
    Consumer::builder("t").dir(dir)
}

/// That it is a mismatch, and names both types.
fn assert_mismatch<T: Debug>(result: Result<T, Error>, expected: &str, found: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::TypeMismatch { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&format!("holds {found}, but {expected} was asked for")), "{text}");
}

const POSE: &str = "`struct, name=robot/Pose, size=32, align=8`";

/// A producer of poses that writes as many as it is told.
#[test]
#[ignore = "a role of other tests"]
fn role_of_a_producer() {
    let Some(dir) = role::dir() else { return };
    let producer = TypedProducer::<Pose>::open(Producer::builder("t").dir(&dir)).unwrap();
    role::say("ready");
    let mut time = 0;
    while let Some(count) = role::heard() {
        for _ in 0..count.parse().unwrap() {
            time += 1;
            if time % 2 == 0 {
                producer.write(&pose(time)).unwrap();
            } else {
                let mut claim = producer.claim().unwrap();
                claim.time = time;
                claim.position = pose(time).position;
                assert_eq!(*claim, pose(time));
                claim.publish().unwrap();
            }
        }
        role::say("done");
    }
}

#[test]
fn values_of_another_process_are_read_in_place() {
    let dir = Dir::new();
    let mut producer = Role::start("role_of_a_producer", &dir);
    assert_eq!(producer.read_reply(), "ready");
    let mut consumer = TypedConsumer::<Pose>::open(consuming(&dir)).unwrap();
    producer.ask("6");
    for time in 1..=6 {
        let received = consumer.recv().unwrap();
        assert_eq!(*received, pose(time));
        assert_eq!((received.frame().seq(), received.frame().is_copy()), (time, false));
    }
    assert!(consumer.try_recv().unwrap().is_none());
    producer.finish();
}

#[test]
fn slices_have_any_length() {
    let dir = Dir::new();
    let producer = TypedProducer::<[Pose]>::open(producing(&dir).slot_capacity(64)).unwrap();
    let mut consumer = TypedConsumer::<[Pose]>::open(consuming(&dir)).unwrap();
    for len in [0, 1, 2, 1000] {
        let poses: Vec<Pose> = (0..len as u64).map(pose).collect();
        producer.write(&poses).unwrap();
        let mut claim = producer.claim(len).unwrap();
        claim.copy_from_slice(&poses);
        claim.publish().unwrap();
        for _ in 0..2 {
            assert_eq!(*consumer.recv().unwrap(), poses);
        }
    }
    assert!(matches!(producer.claim(usize::MAX), Err(Error::InvalidArgument { .. })));
    assert!(matches!(
        producer.claim(isize::MAX as usize / 32),
        Err(Error::NoSpace { .. } | Error::TooLarge { .. } | Error::InvalidArgument { .. })
    ));
}

#[test]
fn a_consumer_of_another_type_is_refused_with_both_names() {
    fn refused<P: Payload + ?Sized + Debug>(dir: &Dir, expected: &str) {
        assert_mismatch(TypedConsumer::<P>::open(consuming(dir)), expected, POSE);
    }
    let dir = Dir::new();
    let producer = TypedProducer::<Pose>::open(producing(&dir).perms(0o644)).unwrap();
    refused::<Twist>(&dir, "`struct, name=robot/Twist, size=32, align=8`");
    refused::<OldPose>(&dir, "`struct, name=robot/Pose, size=24, align=8`");
    refused::<[Pose]>(&dir, "`slice, name=robot/Pose, size=32, align=8`");
    let reader = TypedConsumer::<Twist>::open(consuming(&dir).read_only(true));
    assert_mismatch(reader, "`struct, name=robot/Twist, size=32, align=8`", POSE);
    assert_eq!(producer.producer().consumer_count(), 0, "who is refused is not there");
}

#[test]
fn a_producer_of_another_type_is_refused_as_long_as_the_first_lives() {
    let dir = Dir::new();
    let mut first = Role::start("role_of_a_producer", &dir);
    assert_eq!(first.read_reply(), "ready");
    let other = TypedProducer::<Twist>::open(producing(&dir));
    assert_mismatch(other, "`struct, name=robot/Twist, size=32, align=8`", POSE);
    // Another of the same type is welcome, and the first goes on.
    let second = TypedProducer::<Pose>::open(producing(&dir)).unwrap();
    let mut consumer = TypedConsumer::<Pose>::open(consuming(&dir)).unwrap();
    first.ask("1");
    second.write(&pose(7)).unwrap();
    assert_eq!((consumer.recv().unwrap().time, consumer.recv().unwrap().time), (1, 7));
    first.kill();
    drop(second);
    // What dead producers left is of their type: each frame says so.
    let twists = TypedProducer::<Twist>::open(producing(&dir)).unwrap();
    let mut late = TypedConsumer::<Twist>::open(consuming(&dir)).unwrap();
    twists.write(&Twist([1.0; 4])).unwrap();
    for _ in 0..2 {
        assert_mismatch(late.recv(), "`struct, name=robot/Twist, size=32, align=8`", POSE);
    }
    assert_eq!(late.recv().unwrap().0, [1.0; 4]);
    assert_mismatch(consumer.recv(), POSE, "`struct, name=robot/Twist, size=32, align=8`");
}

#[test]
fn each_frame_is_checked_and_a_wrong_one_hinders_no_other() {
    let dir = Dir::new();
    let producer = TypedProducer::<Pose>::open(producing(&dir)).unwrap();
    let mut consumer = TypedConsumer::<Pose>::open(consuming(&dir)).unwrap();
    // A producer without a type may send anything.
    let any = producing(&dir).open().unwrap();
    let caps = |caps: &str| Meta::default().caps(caps);
    let id = "application/x-shmflow-struct, name=robot/Pose, size=32, align=8";

    any.write(&[1; 32]).unwrap();
    assert_mismatch(consumer.recv(), POSE, "bytes without a type");
    any.write_with(&[1; 32], &caps("video/x-raw\n")).unwrap();
    assert_mismatch(consumer.recv(), POSE, "`video/x-raw\\n`");
    for len in [0, 31, 33, 64] {
        any.write_with(&vec![1; len], &caps(id)).unwrap();
        let error = consumer.recv().unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
        assert!(
            error.to_string().contains(&format!("a frame of {len} bytes says that it is {POSE}")),
            "{error}"
        );
    }
    let mut claim = any.claim(32).unwrap();
    claim.set_meta_bytes(b"no metadata").unwrap();
    claim.publish().unwrap();
    assert!(matches!(consumer.recv(), Err(Error::Meta(_))));

    any.write_with(&[0; 32], &caps(id)).unwrap();
    assert_eq!(consumer.recv().unwrap().time, 0, "it says that it is one, and it is");
    producer.write(&pose(1)).unwrap();
    assert_eq!(*consumer.recv().unwrap(), pose(1));
}

#[test]
fn copies_are_values_too_however_they_are_aligned() {
    let dir = Dir::new();
    let producer = TypedProducer::<Page>::open(producing(&dir).perms(0o644)).unwrap();
    let mut leases = TypedConsumer::<Page>::open(consuming(&dir)).unwrap();
    let mut copies = TypedConsumer::<Page>::open(consuming(&dir).read_only(true)).unwrap();
    let mut claim = producer.claim().unwrap();
    claim.0 = [7; 4096];
    claim.publish().unwrap();
    assert_eq!(leases.recv().unwrap().0, [7; 4096]);
    let copy = copies.recv().unwrap();
    assert!(copy.frame().is_copy() && copy.0 == [7; 4096]);
}

#[test]
fn a_topic_without_room_for_metadata_makes_some() {
    let dir = Dir::new();
    let _first = producing(&dir).meta_capacity(0).open().unwrap();
    let producer = TypedProducer::<Pose>::open(producing(&dir).meta_capacity(0)).unwrap();
    let mut consumer = TypedConsumer::<Pose>::open(consuming(&dir)).unwrap();
    producer.write(&pose(1)).unwrap();
    assert_eq!(*consumer.recv().unwrap(), pose(1));
}

#[test]
fn frames_received_otherwise_can_be_checked() {
    let dir = Dir::new();
    let producer = TypedProducer::<Pose>::open(producing(&dir)).unwrap();
    let mut consumer = TypedConsumer::<Pose>::open(consuming(&dir)).unwrap().into_inner();
    producer.write(&pose(1)).unwrap();
    let frame = consumer.recv().unwrap();
    assert_eq!(*TypedFrame::<Pose>::new(frame.clone(), "t").unwrap(), pose(1));
    assert_mismatch(
        TypedFrame::<Twist>::new(frame, "t").map(|_| ()),
        "`struct, name=robot/Twist, size=32, align=8`",
        POSE,
    );
    assert_eq!(
        producer.producer().consumers()[0].accepted_caps.as_deref(),
        Some("application/x-shmflow-struct, name=robot/Pose, size=32, align=8")
    );
}
