//! Following a topic's frames from outside: `Monitor`, and what `inspect` tells of frames.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test's way to fail"
)]

mod common;

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use common::{Dir, wait_until};
use nix::fcntl::FallocateFlags;
use shmflow::meta::{Clock, Kind, Meta, Times};
use shmflow::{Consumer, Error, Monitor, Producer, inspect, inspect_all, remove};

fn now() -> u64 {
    Duration::from(nix::time::ClockId::CLOCK_MONOTONIC.now().unwrap()).as_nanos() as u64
}

fn publish(producer: &Producer, bytes: &[u8], meta: &Meta) {
    let mut claim = producer.claim(bytes.len()).unwrap();
    claim.copy_from(bytes);
    claim.set_meta(meta).unwrap();
    claim.publish().unwrap();
}

#[test]
fn frames_are_seen_with_their_time_and_metadata_and_nobody_notices() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    producer.write(b"before").unwrap();
    let mut monitor = Monitor::open("t", Some(dir.path())).unwrap();
    assert!(monitor.look().unwrap().frames.is_empty(), "only those that come");
    let begin = now();
    let times = Times::default().capture_ns(begin - 5_000_000).clock(Clock::Monotonic);
    let meta = Meta::new(Kind::Bytes).caps("application/x-test").times(times);
    publish(&producer, b"12345", &meta);
    producer.write(b"bare").unwrap();
    let look = monitor.look().unwrap();
    assert_eq!((look.missed, look.next_seq, look.recreated), (0, 4, false));
    let [one, two] = &look.frames[..] else { panic!("{look:?}") };
    assert_eq!((one.seq, one.bytes, one.producer), (2, 5, producer.id()));
    assert!((begin..=now()).contains(&one.published_ns) && one.published_ns <= two.published_ns);
    assert_eq!(one.meta().unwrap().to_meta(), meta);
    let latency = one.latency().unwrap();
    assert_eq!(latency, Duration::from_nanos(one.published_ns - begin + 5_000_000));
    assert!(two.meta_bytes.is_empty() && two.latency().is_none() && two.age() < Duration::from_secs(20));
    assert!(monitor.look().unwrap().frames.is_empty());

    for always_copy in [false, true] {
        let mut consumer = Consumer::builder("t").dir(&dir).always_copy(always_copy).open().unwrap();
        let times: Vec<_> =
            std::iter::from_fn(|| consumer.try_recv().unwrap()).map(|frame| frame.published_ns()).collect();
        assert_eq!(times[1..], [one.published_ns, two.published_ns], "the same to those who take part");
    }

    let info = inspect("t", Some(dir.path())).unwrap();
    assert_eq!(info.newest.unwrap().seq, 3);
    let recent: Vec<_> = info.recent.iter().map(|frame| (frame.seq, frame.bytes)).collect();
    assert_eq!(recent, [(1, 6), (2, 5), (3, 4)]);
    assert_eq!(info.participants.len(), 1);
}

#[test]
fn frames_that_were_overwritten_are_counted() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).depth(4).spare_slots(1).open().unwrap();
    let mut monitor = Monitor::open("t", Some(dir.path())).unwrap();
    for _ in 0..100 {
        producer.write(b"x").unwrap();
    }
    let look = monitor.look().unwrap();
    assert_eq!(look.missed + look.frames.len() as u64, 100);
    assert!(!look.frames.is_empty() && look.frames.len() <= 5);
    assert_eq!(look.frames.last().unwrap().seq, 100);
}

#[test]
fn a_topic_is_followed_into_larger_rings_and_to_its_end() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).slot_capacity(4096).open().unwrap();
    let mut monitor = Monitor::open("t", Some(dir.path())).unwrap();
    producer.write(b"small").unwrap();
    producer.write(&vec![1; 100_000]).unwrap();
    let mut seen: Vec<_> = monitor.look().unwrap().frames.iter().map(|frame| frame.seq).collect();
    producer.write(&vec![1; 1_000_000]).unwrap();
    seen.extend(monitor.look().unwrap().frames.iter().map(|frame| frame.seq));
    assert_eq!(seen.last(), Some(&3));
    drop(producer);
    assert!(matches!(monitor.look(), Err(Error::TopicNotFound { .. })));
    let again = Producer::builder("t").dir(&dir).open().unwrap();
    again.write(b"again").unwrap();
    let look = monitor.look().unwrap();
    assert!(look.recreated && look.frames.len() == 1 && look.frames[0].seq == 1, "{look:?}");
    remove("t", Some(dir.path()), true).unwrap();
    assert!(matches!(monitor.look(), Err(Error::TopicNotFound { .. })));
}

#[test]
fn the_frames_just_before_a_removal_are_seen() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    let mut monitor = Monitor::open("t", Some(dir.path())).unwrap();
    producer.write(b"1").unwrap();
    drop(producer);
    let mut seqs = |again| {
        let look = monitor.look().unwrap();
        assert_eq!((look.missed, look.recreated), (0, again));
        look.frames.iter().map(|frame| frame.seq).collect::<Vec<_>>()
    };
    assert_eq!(seqs(false), [1]);
    let second = Producer::builder("t").dir(&dir).open().unwrap();
    second.write(b"1").unwrap();
    assert_eq!(seqs(true), [1]);
    second.write(b"2").unwrap();
    drop(second);
    let third = Producer::builder("t").dir(&dir).open().unwrap();
    third.write(b"1").unwrap();
    assert_eq!(seqs(false), [2], "of the one before");
    assert_eq!(seqs(true), [1]);
    drop(third);
    assert!(matches!(monitor.look(), Err(Error::TopicNotFound { .. })));
}

#[test]
fn frames_of_rings_that_are_kept_for_consumers_are_seen() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).slot_capacity(4096).open().unwrap();
    let mut monitor = Monitor::open("t", Some(dir.path())).unwrap();
    let _behind = Consumer::builder("t").dir(&dir).open().unwrap();
    for pages in 1..=4 {
        producer.write(&vec![1; pages * 10_000]).unwrap();
    }
    let look = monitor.look().unwrap();
    let seqs: Vec<_> = look.frames.iter().map(|frame| frame.seq).collect();
    assert_eq!((seqs, look.missed), (vec![1, 2, 3, 4], 0));
}

#[test]
fn no_content_of_the_files_does_more_than_an_error() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).depth(2).slot_capacity(64).open().unwrap();
    for _ in 0..3 {
        publish(&producer, b"12345", &Meta::new(Kind::Bytes).caps("a/b"));
    }
    let path = dir.path().join("shmflow.t.ring");
    let ring = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let mut whole = vec![0; 4096 * 2];
    ring.read_exact_at(&mut whole, 0).unwrap();
    // Each control word behind the geometry, which is checked as a whole, as something else.
    for at in (128..whole.len()).step_by(8) {
        for word in [0, u64::MAX, 1 << 47, 0x0001_0000_0000_ffff] {
            ring.write_all_at(&word.to_le_bytes(), at as u64).unwrap();
            let _ = inspect("t", Some(dir.path()));
            if let Ok(mut monitor) = Monitor::open("t", Some(dir.path())) {
                let _ = monitor.look();
            }
        }
        ring.write_all_at(&whole[at..at + 8], at as u64).unwrap();
    }
    assert_eq!(inspect("t", Some(dir.path())).unwrap().newest.unwrap().seq, 3);
}

#[test]
fn metadata_without_memory_behind_it_takes_none() {
    const META: u64 = 1 << 20;
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).depth(2).meta_capacity(META as usize).open().unwrap();
    let mut monitor = Monitor::open("t", Some(dir.path())).unwrap();
    for _ in 0..2 {
        publish(&producer, b"1", &Meta::new(Kind::Bytes).caps("a/b"));
    }
    let ring = OpenOptions::new().read(true).write(true).open(dir.path().join("shmflow.t.ring")).unwrap();
    let word = |at: u64| {
        let mut word = [0; 8];
        ring.read_exact_at(&mut word, at).unwrap();
        u64::from_le_bytes(word)
    };
    wait_until("the ring has its memory", || word(136) != 0);
    let (slots, slots_at, meta_at) = (word(32), word(96), word(104));
    let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    nix::fcntl::fallocate(&ring, hole, meta_at as i64, (slots * META) as i64).unwrap();
    for slot in 0..slots {
        ring.write_all_at(&META.to_le_bytes(), slots_at + 64 * slot + 16).unwrap();
    }
    let look = monitor.look().unwrap();
    let lens: Vec<_> = look.frames.iter().map(|frame| frame.meta_bytes.len()).collect();
    assert_eq!(lens, [0, 0]);
    assert!(inspect("t", Some(dir.path())).unwrap().newest.unwrap().meta_bytes.is_empty());
}

#[test]
fn no_more_old_rings_are_read_than_a_topic_can_have() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).depth(2).slot_capacity(64).open().unwrap();
    producer.write(b"x").unwrap();
    let mut ring = std::fs::read(dir.path().join("shmflow.t.ring")).unwrap();
    for epoch in 1_000..1_100_u64 {
        ring[16..24].copy_from_slice(&epoch.to_le_bytes());
        std::fs::write(dir.path().join(format!("shmflow.t.ring.{epoch:016x}")), &ring).unwrap();
    }
    let info = inspect("t", Some(dir.path())).unwrap();
    assert!(info.recent.len() < 10, "one frame of each, and {} of them", info.recent.len());
}

#[test]
fn all_topics_are_inspected_at_once() {
    let dir = Dir::new();
    assert!(inspect_all(Some(dir.path())).unwrap().is_empty());
    let _two = ["b", "a"].map(|name| Producer::builder(name).dir(&dir).open().unwrap());
    std::fs::write(dir.path().join("shmflow.broken.peers"), b"x").unwrap();
    std::fs::write(dir.path().join("shmflow.x.tmp.0000000000000001"), b"x").unwrap();
    let found = inspect_all(Some(dir.path())).unwrap();
    let names: Vec<_> = found.iter().map(|(name, info)| (name.as_str(), info.is_ok())).collect();
    assert_eq!(names, [("a", true), ("b", true), ("broken", false)]);
    let one = inspect("a", Some(dir.path())).unwrap();
    let all = found[0].1.as_ref().unwrap();
    assert_eq!((all.shared_bytes, all.geometry, all.epochs), (one.shared_bytes, one.geometry, one.epochs));
    assert!(inspect_all(Some(&dir.path().join("nowhere"))).is_err());
}
