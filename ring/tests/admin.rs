//! Administration: what `topics`, `inspect`, `remove` and `gc` see and do.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test's way to fail"
)]

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::role::{self, Role};
use common::{Dir, pattern, wait_until};
use shmflow::{Consumer, Error, Liveness, Producer, SkipReason, TopicInfo, gc, inspect, remove, topics};

fn look(dir: &Dir, topic: &str) -> TopicInfo {
    inspect(topic, Some(dir.path())).unwrap()
}

#[test]
fn topics_are_listed_by_their_names() {
    let dir = Dir::new();
    assert!(topics(Some(dir.path())).unwrap().is_empty());
    let names = ["b", "robot/cam0", "ü", "a.ring"];
    let _producers = names.map(|name| Producer::builder(name).dir(&dir).open().unwrap());
    for foreign in ["x", "shmflow.x", "shmflow.t.tmp.0000000000000001", "shmflow.%zz.ring"] {
        fs::write(dir.path().join(foreign), b"").unwrap();
    }
    assert_eq!(topics(Some(dir.path())).unwrap(), ["a.ring", "b", "robot/cam0", "ü"]);
    let nowhere = dir.path().join("nowhere");
    assert!(topics(Some(&nowhere)).unwrap_err().to_string().contains("nowhere"));
}

#[test]
fn an_inspection_tells_who_takes_part_and_how_far_each_is() {
    let dir = Dir::new();
    assert!(matches!(inspect("t", Some(dir.path())), Err(Error::TopicNotFound { .. })));
    let camera = Producer::builder("t").dir(&dir).name("camera").perms(0o640).open().unwrap();
    let other = Producer::builder("t").dir(&dir).open().unwrap();
    let mut fast = Consumer::builder("t").dir(&dir).name("fast").open().unwrap();
    let mut slow = Consumer::builder("t")
        .dir(&dir)
        .name("slow")
        .accepted_caps("video/x-raw")
        .max_leases(1)
        .open()
        .unwrap();
    for i in 0..6 {
        camera.write(&pattern(i, 1000)).unwrap();
    }
    other.end();
    let mut held: Vec<_> = (0..6).map(|_| fast.recv().unwrap()).collect();
    let mut hoard = (slow.recv().unwrap(), slow.recv().unwrap());
    assert!(hoard.1.is_copy());
    let claim = camera.claim(10).unwrap();

    let info = look(&dir, "t");
    assert_eq!((info.topic.as_str(), info.published(), info.next_seq), ("t", 6, 7));
    assert_eq!(info.geometry, Some(camera.geometry()));
    assert_eq!((info.permissions, info.owner_uid), (0o640, nix::unistd::geteuid().as_raw()));
    assert!(info.allows_read_only && !info.persistent && !info.removed && !info.ended && info.in_use());
    let peers_len = fs::metadata(dir.path().join("shmflow.t.peers")).unwrap().len();
    assert_eq!((info.shared_bytes, info.epochs), (camera.geometry().reserved_bytes + peers_len, 1));

    let all: Vec<_> = info.participants.iter().collect();
    assert!(all.iter().all(|p| p.liveness == Liveness::Alive && p.active && p.pid == std::process::id()));
    let [one, two, quick, lazy] = all[..] else { panic!("{all:?}") };
    assert_eq!((one.id, one.name.as_str(), one.frames, one.bytes), (camera.id(), "camera", 6, 6000));
    assert_eq!(
        (one.held_slots, one.claimed_slots, one.cursor, one.lag, one.end_seq),
        (Some(1), 1, None, None, None)
    );
    assert_eq!((two.id, two.frames, two.end_seq), (other.id(), 0, Some(7)));
    assert_eq!((Some(quick.id), quick.name.as_str()), (fast.id(), "fast"));
    let leased = held.iter().filter(|frame| !frame.is_copy()).count() as u32;
    assert_eq!((quick.frames, quick.bytes, quick.lag, quick.held_slots), (6, 6000, Some(0), Some(leased)));
    assert_eq!((lazy.frames, lazy.copied, lazy.lag, lazy.cursor), (2, 1, Some(4), Some(3)));
    assert_eq!(
        (lazy.accepted_caps.as_deref(), lazy.held_slots, lazy.epoch),
        (Some("video/x-raw"), Some(1), 1)
    );
    assert_eq!((info.producers().count(), info.consumers().count()), (2, 2));

    drop((claim, hoard.0));
    hoard.0 = held.remove(0);
    let info = look(&dir, "t");
    let now: Vec<_> = info.participants.iter().map(|p| (p.held_slots.unwrap(), p.claimed_slots)).collect();
    assert_eq!(now, [(0, 0), (0, 0), (leased, 0), (0, 0)]);
    camera.end();
    assert!(look(&dir, "t").ended);
}

#[test]
fn one_that_left_shows_as_long_as_it_holds_frames() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    producer.write(b"1").unwrap();
    let frame = consumer.recv().unwrap();
    drop(consumer);
    let info = look(&dir, "t");
    let left = info.consumers().next().unwrap();
    assert_eq!((left.active, left.liveness, left.held_slots), (false, Liveness::Alive, Some(1)));
    drop(frame);
    assert_eq!(look(&dir, "t").consumers().count(), 0);
}

#[test]
fn a_description_stays_until_a_producer_brings_another() {
    let dir = Dir::new();
    let builder = || Producer::builder("t").dir(&dir).persistent(true);
    let described = || look(&dir, "t").content().description;
    drop(builder().open().unwrap());
    assert_eq!(described(), None);
    let first = builder().description("Front door, \u{e4}").open().unwrap();
    assert_eq!(described().as_deref(), Some("Front door, \u{e4}"), "before there is a frame");
    drop(first);
    let second = builder().open().unwrap();
    assert_eq!(described().as_deref(), Some("Front door, \u{e4}"), "one that says nothing leaves it");
    let third = builder().description("x".repeat(1000)).open().unwrap();
    assert_eq!(described(), Some("x".repeat(1000)));
    let tags = shmflow::meta::Tags::new("taglist, description=(string)film");
    let meta = shmflow::meta::Meta::default().entry(&tags).unwrap();
    second.write_with(b"frame", &meta).unwrap();
    assert_eq!(described(), Some("x".repeat(1000)), "the topic's own comes before the stream's");
    drop((second, third));
    drop(builder().description("").open().unwrap());
    assert_eq!((look(&dir, "t").description, described().as_deref()), (None, Some("film")));
    for (text, why) in [("x".repeat(1001), "1001"), ("two\nlines".into(), "one line")] {
        let error = builder().description(text).open().unwrap_err();
        assert!(matches!(&error, Error::InvalidArgument { what } if what.contains(why)), "{error}");
    }
}

#[test]
fn a_description_of_any_bytes_is_a_line_of_text_or_none() {
    use std::os::unix::fs::FileExt;
    let dir = Dir::new();
    let _producer = Producer::builder("t").dir(&dir).description("door").open().unwrap();
    let peers = fs::OpenOptions::new().write(true).open(dir.path().join("shmflow.t.peers")).unwrap();
    // By docs/layout.md: the lock, the length, the text.
    for (lock, len, text, seen) in [
        (2, 3, &b"a\x1bb"[..], Some("ab")),
        (2, 2, b"\xff\xfe", None),
        (3, 4, b"door", None),
        (2, 0, b"door", None),
        (0, 4, b"door", None),
    ] {
        peers.write_all_at(&u64::to_le_bytes(lock), 384).unwrap();
        peers.write_all_at(&u64::to_le_bytes(len), 392).unwrap();
        peers.write_all_at(text, 448).unwrap();
        assert_eq!(look(&dir, "t").description.as_deref(), seen, "{lock} {len} {text:?}");
    }
    peers.write_all_at(&u64::to_le_bytes(2), 384).unwrap();
    peers.write_all_at(&u64::to_le_bytes(u64::MAX), 392).unwrap();
    peers.write_all_at(&[b'x'; 1024], 448).unwrap();
    assert_eq!(look(&dir, "t").description.map(|text| text.len()), Some(1024));
}

#[test]
fn old_epochs_count_as_long_as_somebody_has_to_follow_through_them() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    producer.write(b"1").unwrap();
    let peers_len = look(&dir, "t").shared_bytes - producer.geometry().reserved_bytes;
    // Rings so small that they are reserved when they are made.
    producer.write(&pattern(2, 100 << 10)).unwrap();
    let second = producer.geometry().reserved_bytes;
    producer.write(&pattern(3, 150 << 10)).unwrap();
    // The consumer has the first epoch mapped; it needs the name of the second one to go on.
    let info = look(&dir, "t");
    assert_eq!((info.epochs, info.published(), info.geometry), (2, 3, Some(producer.geometry())));
    assert_eq!(info.shared_bytes, peers_len + second + producer.geometry().reserved_bytes);
    let behind = info.consumers().next().unwrap();
    assert_eq!((behind.lag, behind.epoch), (Some(3), 1));
    let held: Vec<_> = (0..3).map(|_| consumer.recv().unwrap()).collect();
    assert_eq!(held.iter().map(|frame| frame.seq()).collect::<Vec<_>>(), [1, 2, 3]);
    let info = look(&dir, "t");
    let there = info.consumers().next().unwrap();
    assert_eq!((there.lag, there.epoch), (Some(0), 3));
}

#[test]
fn an_inspection_changes_nothing_and_needs_permission_to_read_only() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).perms(0o444).open();
    // Its maker may not write either, unless it is root.
    let Ok(producer) = producer else {
        println!("skipped: this user may not write its own read-only files");
        return;
    };
    producer.write(b"1").unwrap();
    let read = || {
        let mut files = dir.files();
        files.retain(|name| fs::metadata(dir.path().join(name)).is_ok());
        files.into_iter().map(|n| (fs::read(dir.path().join(&n)).unwrap(), n)).collect::<Vec<_>>()
    };
    let before = read();
    for _ in 0..3 {
        look(&dir, "t");
    }
    assert!(read() == before);
}

#[test]
fn rates_come_from_two_inspections() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    let before = look(&dir, "t");
    for i in 0..5 {
        producer.write(&pattern(i, 200)).unwrap();
    }
    consumer.recv().unwrap();
    let start = Instant::now();
    let after = look(&dir, "t");
    let rate = after.rate_since(&before).unwrap();
    assert!((rate.bytes / rate.frames - 200.0).abs() < 1e-6, "{rate:?}");
    assert!(rate.frames > 5.0 / (start.elapsed().as_secs_f64() + 30.0));
    let of = |p| after.rate_of(p, &before).unwrap();
    let (sent, got) = (of(after.producers().next().unwrap()), of(after.consumers().next().unwrap()));
    assert!((sent.frames - rate.frames).abs() < 1e-6 && (got.frames * 5.0 - rate.frames).abs() < 1e-6);
    assert_eq!(before.rate_since(&before), None, "no time between");
    assert_eq!(before.rate_since(&after), None, "the wrong way round");
    drop((producer, consumer));
    let _again = Producer::builder("t").dir(&dir).open().unwrap();
    assert_eq!(look(&dir, "t").rate_since(&after), None, "another topic of that name");
}

#[test]
#[ignore = "a role of other tests"]
fn role_of_a_participant() {
    let Some(dir) = role::dir() else { return };
    let mut kept: (Vec<Producer>, Vec<Consumer>, Vec<shmflow::Frame>) = Default::default();
    role::say("ready");
    while let Some(told) = role::heard() {
        match told.as_str() {
            "produce" => kept.0.push(Producer::builder("t").dir(&dir).name("role").open().unwrap()),
            "persist" => kept.0.push(Producer::builder("t").dir(&dir).persistent(true).open().unwrap()),
            "write" => drop(kept.0[0].write(b"frame").unwrap()),
            "consume" => kept.1.push(Consumer::builder("t").dir(&dir).name("role").open().unwrap()),
            "hold" => kept.2.push(kept.1[0].recv().unwrap()),
            other => panic!("{other}"),
        }
        role::say("done");
    }
}

fn participant(dir: &Dir, doing: &[&str]) -> Role {
    let mut role = Role::start("role_of_a_participant", dir);
    assert_eq!(role.read_reply(), "ready");
    for what in doing {
        assert_eq!(role.ask(what), "done");
    }
    role
}

#[test]
fn the_dead_are_told_from_the_stopped_and_the_living() {
    let dir = Dir::new();
    let mut dead = participant(&dir, &["produce", "write", "consume", "hold"]);
    let stopped = participant(&dir, &["consume"]);
    dead.kill();
    stopped.stop();
    let info = look(&dir, "t");
    let found: Vec<_> = info.participants.iter().map(|p| (p.liveness, p.held_slots.unwrap())).collect();
    assert_eq!(found, [(Liveness::Dead, 0), (Liveness::Dead, 1), (Liveness::Alive, 0)]);
    assert!(info.in_use());
    drop(stopped);
    assert!(!look(&dir, "t").in_use());
}

#[test]
fn remove_spares_what_is_in_use() {
    let dir = Dir::new();
    assert!(matches!(remove("t", Some(dir.path()), false), Err(Error::TopicNotFound { .. })));
    let producer = Producer::builder("t").dir(&dir).name("camera").open().unwrap();
    let consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    let refused = remove("t", Some(dir.path()), false).unwrap_err();
    assert!(
        matches!(&refused, Error::InUse { by, .. } if by.contains("producer `camera`") && by.contains("1 more"))
    );
    producer.write(b"1").unwrap();
    drop((producer, consumer));
    assert!(dir.files().is_empty());
}

#[test]
fn a_forced_removal_is_told_to_all_at_once_and_spares_held_frames() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    let mut holder = Consumer::builder("t").dir(&dir).open().unwrap();
    let mut waiter = Consumer::builder("t").dir(&dir).start(shmflow::StartAt::Next).open().unwrap();
    let id = waiter.id().unwrap();
    producer.write(b"held").unwrap();
    let frame = holder.recv().unwrap();
    waiter.recv().unwrap();
    let thread = std::thread::spawn(move || (waiter.recv().map(drop), Instant::now()));
    wait_until("the consumer waits", || look(&dir, "t").participants.iter().any(|p| p.id == id && p.waiting));
    let start = Instant::now();
    let bytes = remove("t", Some(dir.path()), true).unwrap();
    assert!(bytes > producer.geometry().reserved_bytes);
    let (result, when) = thread.join().unwrap();
    assert!(matches!(result, Err(Error::Removed { .. })), "{result:?}");
    assert!(when.duration_since(start) < Duration::from_millis(500));
    assert!(matches!(producer.write(b"x"), Err(Error::Removed { .. })));
    assert!(matches!(holder.try_recv(), Err(Error::Removed { .. })));
    assert_eq!(&*frame, b"held");
    assert!(dir.files().is_empty(), "{:?}", dir.files());

    // The name is free; those who hold the old one do not disturb the new one.
    let next = Producer::builder("t").dir(&dir).open().unwrap();
    assert_eq!(next.write(b"anew").unwrap(), 1);
    drop((producer, holder, frame));
    assert_eq!(look(&dir, "t").published(), 1);
}

#[test]
fn what_is_no_ring_is_removed_by_force_only() {
    let dir = Dir::new();
    let peers = dir.path().join("shmflow.t.peers");
    let make: [fn(&std::path::Path); 4] = [
        |path| fs::write(path, b"not a list").unwrap(),
        |path| fs::write(path, vec![0x5a; 1 << 20]).unwrap(),
        |path| std::os::unix::fs::symlink("/etc/hostname", path).unwrap(),
        |path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap(),
    ];
    for make in make {
        make(&peers);
        fs::write(dir.path().join("shmflow.t.ring"), b"junk").unwrap();
        assert!(inspect("t", Some(dir.path())).is_err());
        assert!(matches!(remove("t", Some(dir.path()), false), Err(Error::NotARing { .. })));
        let kept = gc(Some(dir.path())).unwrap().skipped;
        assert!(matches!(&kept[..], [k] if matches!(k.reason, SkipReason::Failed(Error::NotARing { .. }))));
        remove("t", Some(dir.path()), true).unwrap();
        assert!(dir.files().is_empty());
    }
    fs::create_dir(&peers).unwrap();
    assert!(remove("t", Some(dir.path()), true).is_err());
    assert!(peers.is_dir());
}

#[test]
fn a_removal_writes_into_nothing_but_topics_of_its_own_version() {
    let dir = Dir::new();
    let keep = |name: &str| fs::hard_link(dir.path().join(name), dir.path().join(format!("{name}.skipped")));
    let stranger = vec![0x77; 8192];
    for version in [1_u8, 2] {
        drop(Producer::builder("t").dir(&dir).persistent(true).open().unwrap());
        let mut peers = fs::read(dir.path().join("shmflow.t.peers")).unwrap();
        peers[8] = version;
        fs::write(dir.path().join("shmflow.t.peers"), &peers).unwrap();
        // A ring by its name only, as a hard link to a file that somebody else needs would be.
        fs::write(dir.path().join("shmflow.t.ring"), &stranger).unwrap();
        keep("shmflow.t.ring").unwrap();
        keep("shmflow.t.peers").unwrap();
        remove("t", Some(dir.path()), true).unwrap();
        assert!(fs::read(dir.path().join("shmflow.t.ring.skipped")).unwrap() == stranger);
        let told = fs::read(dir.path().join("shmflow.t.peers.skipped")).unwrap() != peers;
        assert_eq!(told, version == 2, "only what is a topic is marked");
        for file in dir.files() {
            fs::remove_file(dir.path().join(file)).unwrap();
        }
    }
}

#[test]
fn collect_removes_what_the_dead_left_and_nothing_else() {
    let dir = Dir::new();
    let mut dead = participant(&dir, &["produce", "write", "consume", "hold"]);
    let living = Producer::builder("living").dir(&dir).open().unwrap();
    let persistent = Producer::builder("stays").dir(&dir).persistent(true).open().unwrap();
    drop(persistent);
    // What deaths at other moments leave: a list without a ring, a ring without a list, a file in the making.
    let half = Producer::builder("half").dir(&dir).persistent(true).open().unwrap();
    drop(half);
    fs::remove_file(dir.path().join("shmflow.half.ring")).unwrap();
    let headless = Producer::builder("headless").dir(&dir).persistent(true).open().unwrap();
    drop(headless);
    fs::remove_file(dir.path().join("shmflow.headless.peers")).unwrap();
    for temp in ["shmflow.living.tmp.0000000000000001", "shmflow.gone.tmp.0000000000000002"] {
        fs::write(dir.path().join(temp), vec![1; 5000]).unwrap();
    }
    let all = |why: &dyn Fn(&SkipReason) -> bool| {
        let collected = gc(Some(dir.path())).unwrap();
        let names: Vec<_> = collected
            .skipped
            .iter()
            .filter(|kept| why(&kept.reason))
            .map(|kept| kept.topic.clone())
            .collect();
        (collected, names)
    };
    let (collected, in_use) = all(&|why| matches!(why, SkipReason::InUse(_)));
    assert_eq!(in_use, ["living", "t"]);
    assert_eq!(collected.removed, ["half", "headless"]);
    assert_eq!(collected.temp_files, 2);
    assert!(collected.freed_bytes > 3 * living.geometry().reserved_bytes / 2);
    dead.kill();
    let (collected, persistent) = all(&|why| matches!(why, SkipReason::Persistent));
    assert_eq!(
        (collected.removed.as_slice(), persistent.as_slice()),
        (&["t".into()][..], &["stays".into()][..])
    );
    assert!(dir.files().iter().all(|f| f.starts_with("shmflow.living.") || f.starts_with("shmflow.stays.")));
    let (collected, _) = all(&|_| true);
    assert!(collected.removed.is_empty() && collected.freed_bytes == 0);
    assert_eq!(living.write(b"on").unwrap(), 1);
}

/// Not a test: opens topics as a producer, as it is told.
#[test]
#[ignore = "a role of other tests"]
fn role_of_an_opener() {
    let Some(dir) = role::dir() else { return };
    let mut producers = Vec::new();
    while let Some(told) = role::heard() {
        let (topic, elsewhere) = told.split_once(' ').unwrap_or((&told, ""));
        // An absolute path takes the other one's place.
        let producer = Producer::builder(topic).dir(dir.join(elsewhere)).persistent(topic == "kept");
        producers.push(producer.open().unwrap());
        role::say("open");
    }
}

#[test]
fn whoever_opens_a_topic_clears_away_what_the_dead_left_of_others() {
    let dir = Dir::new();
    let leave_in = |dir: &Dir, topic: &str| {
        let mut dead = Role::start("role_of_an_opener", dir);
        assert_eq!(dead.ask(topic), "open");
        dead.kill();
    };
    let leave = |topic: &str| leave_in(&dir, topic);
    leave("dead");
    leave("kept");
    // The only process that lives long enough to collect: this one opens nothing here.
    let mut opener = Role::start("role_of_an_opener", &dir);
    assert_eq!(opener.ask("used"), "open");
    assert_eq!(opener.ask("new"), "open");
    let there = || topics(Some(dir.path())).unwrap();
    wait_until("the dead topic is gone", || there() == ["kept", "new", "used"]);
    // Once a minute is often enough.
    leave("later");
    assert_eq!(opener.ask("newer"), "open");
    assert_eq!(there(), ["kept", "later", "new", "newer", "used"]);
    // But for each directory.
    let other = Dir::new();
    leave_in(&other, "dead");
    assert_eq!(opener.ask(&format!("new {}", other.path().display())), "open");
    wait_until("the dead topic elsewhere is gone", || topics(Some(other.path())).unwrap() == ["new"]);
    opener.finish();
}

#[test]
fn collecting_beside_those_who_come_and_go_takes_nothing_from_them() {
    const ROUNDS: usize = 150;
    let dir = Dir::new();
    let done = std::sync::atomic::AtomicBool::new(false);
    let collected = std::thread::scope(|scope| {
        let users: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        let producer = Producer::builder("t").dir(&dir).slot_capacity(100).open().unwrap();
                        let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
                        let seq = producer.write(b"frame").unwrap();
                        // Or a newer one, if the other producer has lapped us.
                        while consumer.recv_timeout(Duration::from_secs(10)).unwrap().seq() < seq {}
                        if seq.is_multiple_of(3) {
                            producer.write(&[1; 200]).unwrap(); // grows
                        }
                    }
                })
            })
            .collect();
        let collector = scope.spawn(|| {
            let mut removed = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let collected = gc(Some(dir.path())).unwrap();
                removed += collected.removed.len();
                let failed =
                    collected.skipped.iter().find(|kept| matches!(kept.reason, SkipReason::Failed(_)));
                assert!(failed.is_none(), "{failed:?}");
                match inspect("t", Some(dir.path())) {
                    Ok(_) | Err(Error::TopicNotFound { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            removed
        });
        let finished: Vec<_> = users.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        let collected = collector.join().unwrap();
        finished.into_iter().for_each(|user| user.unwrap());
        collected
    });
    println!("{collected} times between the last one out and its removal");
    gc(Some(dir.path())).unwrap();
    assert!(dir.files().is_empty(), "{:?}", dir.files());
}

#[test]
fn a_file_being_made_is_nobodys_orphan() {
    let dir = Dir::new();
    let temp = dir.path().join("shmflow.t.tmp.00000000000000aa");
    fs::write(&temp, b"").unwrap();
    let file = fs::File::options().write(true).open(&temp).unwrap();
    lock_lifecycle(&file);
    assert_eq!(gc(Some(dir.path())).unwrap().temp_files, 0);
    assert!(temp.exists());
    drop(file);
    assert_eq!(gc(Some(dir.path())).unwrap().temp_files, 1);
    assert!(!temp.exists());
}

/// Locks the byte that says "I am at it".
fn lock_lifecycle(file: &fs::File) {
    let lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 1 << 40,
        l_len: 1,
        l_pid: 0,
    };
    nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_OFD_SETLK(&lock)).unwrap();
}

#[test]
fn what_is_busy_is_neither_removed_nor_collected() {
    let dir = Dir::new();
    let stays = Producer::builder("t").dir(&dir).persistent(true).open().unwrap();
    drop(stays);
    let peers = fs::File::options().write(true).open(dir.path().join("shmflow.t.peers")).unwrap();
    lock_lifecycle(&peers);
    let collected = gc(Some(dir.path())).unwrap();
    assert!(matches!(&collected.skipped[..], [kept] if matches!(kept.reason, SkipReason::InUse(0))));
    let start = Instant::now();
    assert!(matches!(remove("t", Some(dir.path()), true), Err(Error::Busy { .. })));
    assert!(start.elapsed() < Duration::from_secs(10));
    drop(peers);
    remove("t", Some(dir.path()), false).unwrap();
    assert!(dir.files().is_empty());
}

#[test]
fn every_byte_string_in_every_file_gives_an_answer_or_an_error() {
    let dir = Dir::new();
    drop(Producer::builder("t").dir(&dir).depth(3).slot_capacity(100).persistent(true).open().unwrap());
    let files: Vec<_> = dir.files().into_iter().map(|name| dir.path().join(name)).collect();
    let whole: Vec<_> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    let mut random = common::Random::new(7);
    let (mut good, mut bad) = (0, 0);
    for _ in 0..2000 {
        let which = random.below(files.len() as u64) as usize;
        let mut bytes = whole[which].clone();
        // The control words are at the beginning, and each is worth hitting.
        for _ in 0..random.below(4) + 1 {
            let reach = [512, 8192][random.below(2) as usize];
            let at = random.below(reach) as usize & !7;
            let value = random.word();
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        if random.below(10) == 0 {
            bytes.truncate(random.below(bytes.len() as u64) as usize);
        }
        fs::write(&files[which], &bytes).unwrap();
        match inspect("t", Some(dir.path())) {
            Ok(_) => good += 1,
            Err(error) => {
                bad += 1;
                assert!(!error.to_string().is_empty());
            }
        }
        fs::write(&files[which], &whole[which]).unwrap();
    }
    assert!(good > 100 && bad > 100, "{good} {bad}");
}
