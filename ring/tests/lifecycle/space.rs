//! A file system that is full.

use std::ffi::CString;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{FallocateFlags, fallocate};
use shmflow::{Consumer, Error, Producer, SpaceLimit};

use super::actor::is_root;
use super::common::role::{self, Role};
use super::common::{Dir, pattern, wait_until};

/// Runs `test` in a thread for which a directory is a memory file system of `size` bytes.
fn on_small(name: &str, size: usize, test: impl FnOnce(&Path) + Send) {
    if !is_root(name) {
        return;
    }
    let dir = Dir::new();
    let ran = std::thread::scope(|scope| {
        let body = || mount(dir.path(), size).then(|| test(dir.path())).is_some();
        scope.spawn(body).join().unwrap()
    });
    if !ran {
        println!("{name}: skipped, because this root may not mount");
    }
}

/// Mounts a memory file system for this thread alone.
fn mount(dir: &Path, size: usize) -> bool {
    let target = CString::new(dir.as_os_str().as_bytes()).unwrap();
    let options = CString::new(format!("size={size}")).unwrap();
    let none = std::ptr::null();
    // SAFETY: plain system calls on strings that live as long; they concern this thread's mounts only.
    unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, none.cast()) == 0
            && libc::mount(c"tmpfs".as_ptr(), target.as_ptr(), c"tmpfs".as_ptr(), 0, options.as_ptr().cast())
                == 0
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn assert_no_space(error: &Error, at_least: u64, dir: &Path) {
    let Error::NoSpace { needed, free, limit, dir: place, .. } = error else { panic!("{error:?}") };
    assert!(*needed >= at_least && free < needed, "{error}");
    assert_eq!((limit, place.as_path()), (&SpaceLimit::FileSystem, dir));
    let text = error.to_string();
    assert!(text.contains(&needed.to_string()) && text.contains("--shm-size="), "{text}");
}

#[test]
fn a_mount_without_writing_is_told_as_such_and_can_be_read() {
    on_small("a_mount_without_writing_is_told_as_such_and_can_be_read", 4 << 20, |dir| {
        let producer = Producer::builder("t").dir(dir).perms(0o644).persistent(true).open().unwrap();
        producer.write(b"frame").unwrap();
        drop(producer);
        let target = CString::new(dir.as_os_str().as_bytes()).unwrap();
        let none = std::ptr::null();
        let flags = libc::MS_REMOUNT | libc::MS_RDONLY;
        // SAFETY: a plain system call on strings that live as long; it concerns this thread's mounts only.
        assert_eq!(unsafe { libc::mount(none, target.as_ptr(), none, flags, none.cast()) }, 0);
        for error in [
            Producer::builder("t").dir(dir).open().unwrap_err(),
            Producer::builder("new").dir(dir).open().unwrap_err(),
            Consumer::builder("t").dir(dir).open().unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(
                matches!(error, Error::PermissionDenied { .. }) && text.contains("mounted read-only"),
                "{text}"
            );
            assert!(!text.contains("run as its owner"), "no user may: {text}");
        }
        let mut reader = Consumer::builder("t").dir(dir).read_only(true).open().unwrap();
        assert_eq!(&*reader.recv().unwrap(), b"frame");
    });
}

#[test]
fn a_topic_that_does_not_fit_is_refused_with_numbers_and_leaves_nothing() {
    on_small("a_topic_that_does_not_fit_is_refused_with_numbers_and_leaves_nothing", 4 << 20, |dir| {
        let wanted = |slot_capacity| {
            Producer::builder("t").dir(dir).depth(8).spare_slots(2).slot_capacity(slot_capacity)
        };
        for _ in 0..3 {
            let error = wanted(1 << 20).open().unwrap_err();
            assert_no_space(&error, 10 << 20, dir);
            assert!(files(dir).is_empty(), "{:?}", files(dir));
        }
        // Everything that is promised can be written to.
        let producer = wanted(300 << 10).open().unwrap();
        for i in 0..30 {
            producer.write(&pattern(i, 300 << 10)).unwrap();
        }
        drop(producer);
        assert!(files(dir).is_empty());
    });
}

#[test]
fn a_topic_that_cannot_grow_goes_on_as_it_is() {
    on_small("a_topic_that_cannot_grow_goes_on_as_it_is", 4 << 20, |dir| {
        let producer = Producer::builder("t").dir(dir).depth(4).slot_capacity(100 << 10).open().unwrap();
        let mut consumer = Consumer::builder("t").dir(dir).open().unwrap();
        let before = files(dir).len();
        for i in 0..5 {
            assert_eq!(producer.write(&pattern(i, 90 << 10)).unwrap(), i + 1);
            assert_no_space(&producer.write(&pattern(i, 2 << 20)).unwrap_err(), 12 << 20, dir);
            assert_no_space(&producer.grow(1 << 20, 4).unwrap_err(), 6 << 20, dir);
            let frame = consumer.recv().unwrap();
            assert!(frame.seq() == i + 1 && *frame == pattern(i, 90 << 10));
            assert_eq!((files(dir).len(), producer.geometry().epoch), (before, 1));
        }
        assert_eq!(producer.stats().dropped, 5);
        // Room comes back, and it grows.
        let small = producer.geometry().slot_capacity;
        producer.write(&pattern(9, small + 1)).unwrap();
        assert_eq!(producer.geometry().epoch, 2);
        assert!(*consumer.recv().unwrap() == pattern(9, small + 1));
    });
}

/// Not a test: leaves a topic behind.
#[test]
#[ignore = "a role of other tests"]
fn role_of_one_who_dies() {
    let Some(dir) = role::dir() else { return };
    let _producer = Producer::builder("dead").dir(&dir).slot_capacity(1 << 20).open().unwrap();
    let ring = dir.join("shmflow.dead.ring");
    wait_until("all is reserved", || ring.metadata().unwrap().blocks() * 512 >= 10 << 20);
    role::say("open");
    role::heard();
}

#[test]
fn rings_of_the_dead_take_no_room_from_the_living() {
    on_small("rings_of_the_dead_take_no_room_from_the_living", 16 << 20, |dir| {
        // Forked from this thread, it sees the same small file system.
        let mut dead = Role::start("space::role_of_one_who_dies", dir);
        assert_eq!(dead.read_reply(), "open");
        dead.kill();
        let producer = Producer::builder("t").dir(dir).slot_capacity(1 << 20).open().unwrap();
        producer.write(&pattern(1, 1 << 20)).unwrap();
        assert_eq!(shmflow::topics(Some(dir)).unwrap(), ["t"]);
    });
}

#[test]
fn a_topic_that_nobody_uses_makes_room_for_another_geometry() {
    on_small("a_topic_that_nobody_uses_makes_room_for_another_geometry", 16 << 20, |dir| {
        let wanted =
            |depth| Producer::builder("t").dir(dir).depth(depth).spare_slots(2).slot_capacity(1 << 20);
        let ring = dir.join("shmflow.t.ring");
        let first = wanted(8).perms(0o640).persistent(true).open().unwrap();
        first.write(b"old").unwrap();
        wait_until("all is reserved", || ring.metadata().unwrap().blocks() * 512 >= 10 << 20);
        // Of one who lives nothing is taken away.
        let used = Consumer::builder("t").dir(dir).open().unwrap();
        drop(first);
        assert_no_space(&wanted(6).open().unwrap_err(), 8 << 20, dir);
        drop(used);
        // What would not make enough room is left alone.
        assert_no_space(&wanted(20).open().unwrap_err(), 22 << 20, dir);
        assert_eq!(shmflow::inspect("t", Some(dir)).unwrap().next_seq, 2);
        let next = wanted(6).open().unwrap();
        assert_eq!((next.geometry().slots, next.write(b"new").unwrap()), (8, 1));
        let info = shmflow::inspect("t", Some(dir)).unwrap();
        assert!(info.persistent && info.permissions == 0o640, "it is still the same topic: {info:?}");
    });
}

#[test]
fn a_slot_without_memory_is_an_error_and_kills_nobody() {
    on_small("a_slot_without_memory_is_an_error_and_kills_nobody", 16 << 20, |dir| {
        let producer =
            Producer::builder("t").dir(dir).depth(8).spare_slots(2).slot_capacity(1 << 20).open().unwrap();
        let mut consumer = Consumer::builder("t").dir(dir).open().unwrap();
        // See `reserved` and `payload_at` in docs/layout.md.
        let ring = File::options().read(true).write(true).open(dir.join("shmflow.t.ring")).unwrap();
        let word = |at: u64| {
            let mut bytes = [0; 8];
            ring.read_exact_at(&mut bytes, at).unwrap();
            u64::from_le_bytes(bytes)
        };
        wait_until("all is reserved in the background", || word(136) != 0);
        assert!(ring.metadata().unwrap().blocks() * 512 >= 10 << 20);
        // As if its maker had been killed in the middle of that, and somebody else had taken the room meanwhile.
        ring.write_all_at(&0_u64.to_le_bytes(), 136).unwrap();
        let (from, len) = (word(112) as libc::off_t, ring.metadata().unwrap().len() as libc::off_t);
        let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        fallocate(&ring, hole, from, len - from).unwrap();
        let other = dir.join("other");
        std::fs::write(&other, vec![1; 13 << 20]).unwrap();
        let mut refused = 0;
        for i in 0..10 {
            match producer.write(&pattern(i, 1 << 20)) {
                Ok(_) => assert!(*consumer.recv().unwrap() == pattern(i, 1 << 20)),
                Err(error) => {
                    assert_no_space(&error, 1 << 20, dir);
                    refused += 1;
                }
            }
        }
        assert!(refused > 0);
        // Room comes back, and every slot gets its memory.
        std::fs::remove_file(&other).unwrap();
        for i in 0..20 {
            producer.write(&pattern(i, 1 << 20)).unwrap();
            assert!(*consumer.recv().unwrap() == pattern(i, 1 << 20));
        }
        // The next one to open has the rest reserved.
        let _next =
            Producer::builder("t").dir(dir).depth(8).spare_slots(2).slot_capacity(1 << 20).open().unwrap();
        wait_until("all is reserved again", || word(136) != 0);
    });
}

#[test]
fn a_file_system_without_room_for_a_list_refuses_as_well() {
    on_small("a_file_system_without_room_for_a_list_refuses_as_well", 64 << 10, |dir| {
        let error = Producer::builder("t").dir(dir).slot_capacity(1).open().unwrap_err();
        assert_no_space(&error, 64 << 10, dir);
        assert!(files(dir).is_empty());
        assert!(shmflow::topics(Some(dir)).unwrap().is_empty());
    });
}
