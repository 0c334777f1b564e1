//! What others can do to a process that reads a topic, and what they cannot; see SECURITY.md.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test's way to fail"
)]

mod common;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::time::Duration;

use common::role::{self, Role};
use common::{Dir, pattern, wait_until};
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::statfs::{EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC};
use shmflow::{Consumer, Error, Frame, Producer};

const MIB: usize = 1 << 20;

/// Somebody who may read the topic's files, and holds locks for reading on all free places of participants, until dropped.
fn lock_all_places(dir: &Dir) -> File {
    let file = File::open(dir.path().join("shmflow.t.peers")).unwrap();
    for id in 0..64 {
        let lock = libc::flock {
            l_type: libc::F_RDLCK as i16,
            l_whence: libc::SEEK_SET as i16,
            l_start: (1 << 40) + 1 + id,
            l_len: 1,
            l_pid: 0,
        };
        let locked = fcntl(&file, FcntlArg::F_OFD_SETLK(&lock));
        assert!(locked.is_ok() || locked == Err(nix::Error::EAGAIN));
    }
    file
}

/// Whether producers are told to wake always, for consumers without a place.
fn is_overcrowded(dir: &Dir) -> bool {
    let mut flags = [0; 8];
    File::open(dir.path().join("shmflow.t.peers")).unwrap().read_exact_at(&mut flags, 16).unwrap();
    u64::from_le_bytes(flags) & 2 != 0
}

fn next(producer: &Producer, consumer: &mut Consumer) -> Frame {
    producer.write(b"frame").unwrap();
    consumer.recv_timeout(Duration::from_secs(10)).unwrap()
}

#[test]
fn a_consumer_that_found_all_places_locked_gets_one_when_they_are_free() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).perms(0o644).open().unwrap();
    let stranger = lock_all_places(&dir);
    let other = Producer::builder("t").dir(&dir).open();
    assert!(matches!(other, Err(Error::TooManyProducers { .. })), "{other:?}");
    let mut consumer = Consumer::builder("t").dir(&dir).accepted_caps("before").open().unwrap();
    assert!(consumer.id().is_none() && next(&producer, &mut consumer).is_copy());
    consumer.set_accepted_caps("after").unwrap();
    assert!(is_overcrowded(&dir));
    drop(stranger);
    wait_until("it takes part, and gets leases", || !next(&producer, &mut consumer).is_copy());
    let id = consumer.id().unwrap();
    assert_eq!(producer.consumer_count(), 1);
    assert!(
        producer
            .consumers()
            .iter()
            .any(|consumer| consumer.id == id && consumer.accepted_caps.as_deref() == Some("after"))
    );
    wait_until("producers are told that all have a place", || {
        assert!(!next(&producer, &mut consumer).is_copy());
        !is_overcrowded(&dir)
    });
    assert_eq!(consumer.stats().lost, 0);
    Producer::builder("t").dir(&dir).open().unwrap();
}

#[test]
fn a_consumer_that_polls_gets_a_place_too_and_is_told_of_every_frame() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).perms(0o644).open().unwrap();
    let stranger = lock_all_places(&dir);
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    let mut stranger = Some(stranger);
    let fd = consumer.poll_fd().unwrap().try_clone_to_owned().unwrap();
    let mut seq = 0;
    let mut flagged = true;
    wait_until("it takes part, and nobody needs to be woken always", || {
        // Nothing is left to be fetched, so that its watcher sleeps or is about to.
        assert!(consumer.try_recv().unwrap().is_none());
        seq = producer.write(b"frame").unwrap();
        let mut watched = [PollFd::new(std::os::fd::AsFd::as_fd(&fd), PollFlags::POLLIN)];
        assert_eq!(poll(&mut watched, PollTimeout::from(500u16)).unwrap(), 1, "frame {seq} was not told");
        assert_eq!(consumer.recv_timeout(Duration::ZERO).unwrap().seq(), seq);
        stranger = None;
        flagged &= is_overcrowded(&dir);
        consumer.id().is_some() && !flagged
    });
}

#[test]
fn a_consumer_that_was_killed_without_a_place_is_not_woken_for_ever() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).perms(0o644).open().unwrap();
    let stranger = lock_all_places(&dir);
    let mut role = Role::start("role_of_a_consumer", dir.path());
    assert_eq!(role.read_reply(), "None");
    drop(stranger);
    assert!(is_overcrowded(&dir));
    role.kill();
    wait_until("producers are told", || {
        producer.write(b"frame").unwrap();
        !is_overcrowded(&dir)
    });
}

#[test]
#[ignore = "a role of other tests"]
fn role_of_a_consumer() {
    let Some(dir) = role::dir() else { return };
    let consumer = Consumer::builder("t").dir(dir).open().unwrap();
    role::say(format!("{:?}", consumer.id()));
    while role::heard().is_some() {}
}

/// A topic `evil`: the control words of a ring with one frame of 4 MiB, and holes behind them. Returns the ring.
fn sparse(dir: &Dir, reserved: u64) -> File {
    let producer = Producer::builder("t").dir(dir).perms(0o644).slot_capacity(4 * MIB).open().unwrap();
    producer.write(&vec![1; 4 * MIB]).unwrap();
    let file = |kind: &str| {
        let wanted = format!("shmflow.t.{kind}");
        dir.path().join(dir.files().into_iter().find(|name| name.starts_with(&wanted)).unwrap())
    };
    let evil = |path: &PathBuf| {
        dir.path().join(path.file_name().unwrap().to_str().unwrap().replace(".t.", ".evil."))
    };
    for path in [file("peers"), file("holds")] {
        fs::copy(&path, evil(&path)).unwrap();
    }
    let honest = File::open(file("ring")).unwrap();
    let mut word = [0; 8];
    honest.read_exact_at(&mut word, 104).unwrap();
    let mut control = vec![0; u64::from_le_bytes(word) as usize];
    honest.read_exact_at(&mut control, 0).unwrap();
    control[136..144].copy_from_slice(&reserved.to_le_bytes());
    let path = evil(&file("ring"));
    fs::write(&path, &control).unwrap();
    let made = File::options().read(true).write(true).open(&path).unwrap();
    made.set_len(honest.metadata().unwrap().len()).unwrap();
    // Its last participant removes a topic, and each consumer is to find one.
    let flags = File::options().write(true).open(evil(&file("peers"))).unwrap();
    flags.write_all_at(&[1], 16).unwrap();
    made
}

/// Sets the length of every frame that was published.
fn set_lengths(file: &File, len: u64) {
    let word = |at| {
        let mut word = [0; 8];
        file.read_exact_at(&mut word, at).unwrap();
        u64::from_le_bytes(word)
    };
    for slot in 0..word(32) {
        file.write_all_at(&len.to_le_bytes(), word(96) + 64 * slot + 8).unwrap();
    }
}

fn blocks(file: &File) -> u64 {
    file.metadata().unwrap().blocks()
}

#[test]
fn a_ring_that_claims_memory_which_it_has_not_is_refused() {
    let dir = Dir::new();
    let ring = sparse(&dir, 1);
    let before = blocks(&ring);
    for read_only in [true, false] {
        let error = Consumer::builder("evil").dir(&dir).read_only(read_only).open().unwrap_err();
        assert!(matches!(error, Error::NotARing { .. }), "{error}");
        assert!(error.to_string().contains("memory"), "{error}");
    }
    assert_eq!(blocks(&ring), before);
}

#[test]
fn a_frame_that_is_longer_than_all_memory_behind_it_is_refused() {
    let dir = Dir::new();
    let ring = sparse(&dir, 0);
    let before = blocks(&ring);
    for read_only in [true, false] {
        let mut consumer = Consumer::builder("evil").dir(&dir).read_only(read_only).open().unwrap();
        let error = consumer.recv_timeout(Duration::ZERO).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }) && error.to_string().contains("4194304"), "{error}");
        assert!(matches!(consumer.recv_timeout(Duration::ZERO), Err(Error::Timeout { .. })), "it goes on");
        assert_eq!(consumer.stats().lost, 1);
    }
    assert_eq!(blocks(&ring), before);
}

#[test]
fn a_frame_that_is_longer_than_all_room_behind_it_is_refused_on_a_disk() {
    let parent = std::env::temp_dir();
    let kind = nix::sys::statfs::statfs(&parent).unwrap().filesystem_type();
    if ![EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC].contains(&kind) {
        println!(
            "skipped: {} is not on a disk with ext4 or XFS; TMPDIR names another place",
            parent.display()
        );
        return;
    }
    let dir = Dir::below(&parent);
    for reserved in [0, 1] {
        let ring = sparse(&dir, reserved);
        let before = blocks(&ring);
        // One that leases reads a ring that is said to be reserved in place, which costs it nothing on a disk.
        for read_only in [true, false].into_iter().filter(|read_only| *read_only || reserved == 0) {
            let mut consumer = Consumer::builder("evil").dir(&dir).read_only(read_only).open().unwrap();
            let error = consumer.recv_timeout(Duration::ZERO).unwrap_err();
            assert!(
                matches!(error, Error::Corrupt { .. }) && error.to_string().contains("4194304"),
                "{error}"
            );
            assert!(
                matches!(consumer.recv_timeout(Duration::ZERO), Err(Error::Timeout { .. })),
                "it goes on"
            );
        }
        assert_eq!(blocks(&ring), before);
    }
    // What was reserved for it can be copied.
    let producer = Producer::builder("t").dir(&dir).perms(0o644).slot_capacity(4 * MIB).open().unwrap();
    let mut reader = Consumer::builder("t").dir(&dir).read_only(true).open().unwrap();
    let bytes = pattern(1, 4 * MIB);
    producer.write(&bytes).unwrap();
    assert!(*reader.recv_timeout(Duration::from_secs(10)).unwrap() == bytes);
}

#[test]
fn reading_a_hole_gives_it_no_memory() {
    let dir = Dir::new();
    let ring = sparse(&dir, 0);
    let before = blocks(&ring);
    let len = before * 512;
    set_lengths(&ring, len);
    let before = blocks(&ring);
    for read_only in [true, false] {
        let mut consumer = Consumer::builder("evil").dir(&dir).read_only(read_only).open().unwrap();
        let frame = consumer.recv_timeout(Duration::ZERO).unwrap();
        assert!(frame.is_copy());
        assert!(frame.len() as u64 == len && frame.iter().all(|b| *b == 0));
        assert_eq!(frame.to_vec(), *frame);
    }
    assert_eq!(blocks(&ring), before);
}

#[test]
fn frames_of_a_ring_that_is_still_being_reserved_are_whole() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).perms(0o644).slot_capacity(4 * MIB).open().unwrap();
    let ring = File::options().read(true).write(true).open(dir.path().join("shmflow.t.ring")).unwrap();
    let mut reserved = [0; 8];
    wait_until("its memory is reserved", || {
        ring.read_exact_at(&mut reserved, 136).unwrap();
        reserved != [0; 8]
    });
    // As it is until then.
    ring.write_all_at(&[0; 8], 136).unwrap();
    let mut reader = Consumer::builder("t").dir(&dir).read_only(true).open().unwrap();
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    for seq in 1..=20 {
        let bytes = pattern(seq, 3 * MIB + seq as usize);
        producer.write(&bytes).unwrap();
        for consumer in [&mut reader, &mut consumer] {
            let frame = consumer.recv_timeout(Duration::from_secs(10)).unwrap();
            assert!(frame.seq() == seq && *frame == bytes);
        }
    }
    assert_eq!(consumer.stats().copied, 0, "what has memory is read in place");
}

#[test]
fn a_lease_can_be_copied_out_whole_or_in_part() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).perms(0o644).open().unwrap();
    let bytes = pattern(1, 1001);
    producer.write(&bytes).unwrap();
    producer.write(b"").unwrap();
    for read_only in [false, true] {
        let mut consumer = Consumer::builder("t").dir(&dir).read_only(read_only).open().unwrap();
        let frame = consumer.recv().unwrap();
        assert_eq!((frame.is_copy(), frame.len()), (read_only, 1001));
        assert_eq!(frame.to_vec(), bytes);
        for len in [0, 1, 1000, 1001, 1002, 2000] {
            let mut out = vec![0xEE; len];
            let copied = frame.copy_to(&mut out);
            assert_eq!(copied, len.min(1001));
            assert!(out[..copied] == bytes[..copied] && out[copied..].iter().all(|b| *b == 0xEE));
        }
        let empty = consumer.recv().unwrap();
        assert!(empty.is_empty() && empty.to_vec().is_empty() && empty.copy_to(&mut [1]) == 0);
    }
}

/// Kilobytes of this process's mappings of a file: of those that core dumps leave out, and of the others.
fn mapped(name: &str) -> (u64, u64) {
    let maps = fs::read_to_string("/proc/self/smaps").unwrap();
    let (mut ours, mut size, mut left_out, mut dumped) = (false, 0, 0, 0);
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some(range) if range.contains('-') => ours = line.ends_with(name),
            Some("Size:") => size = words.next().unwrap().parse().unwrap(),
            Some("VmFlags:") if ours => {
                let sum = if words.any(|flag| flag == "dd") { &mut left_out } else { &mut dumped };
                *sum += size;
            }
            _ => {}
        }
    }
    (left_out, dumped)
}

#[test]
fn core_dumps_have_the_control_words_and_not_the_payloads() {
    let dir = Dir::new();
    let name = dir.path().join("shmflow.t.ring");
    let name = name.to_str().unwrap();
    let producer = Producer::builder("t").dir(&dir).perms(0o644).slot_capacity(MIB).open().unwrap();
    let payloads = u64::from(producer.geometry().slots) * 1024;
    let (left_out, dumped) = mapped(name);
    assert_eq!(left_out, payloads);
    assert!(dumped > 0 && dumped < 1024, "{dumped}");
    let one = Consumer::builder("t").dir(&dir).open().unwrap();
    assert_eq!(mapped(name), (2 * payloads, 2 * dumped));
    let two = Consumer::builder("t").dir(&dir).read_only(true).open().unwrap();
    assert_eq!(mapped(name), (3 * payloads, 3 * dumped));
    drop((one, two));
    // Unmapped by a thread.
    wait_until("both halves of the mappings are gone", || mapped(name) == (payloads, dumped));
}
