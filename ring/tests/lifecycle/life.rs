//! Making, adopting, keeping and removing topics.

use std::fs;

use shmflow::{Consumer, Error, Producer, StartAt, inspect, remove};

use super::actor::actor;
use super::common::{Dir, pattern, wait_until};

fn producer(dir: &Dir, topic: &str) -> Producer {
    Producer::builder(topic).dir(dir).open().unwrap()
}

fn consumer(dir: &Dir, topic: &str) -> Consumer {
    Consumer::builder(topic).dir(dir).open().unwrap()
}

#[test]
fn whoever_comes_adopts_what_the_dead_left() {
    let dir = Dir::new();
    let mut dead = actor(&dir, &["produce", "write 100", "write 200", "consume", "recv 1000"]);
    dead.kill();
    assert!(!dir.files().is_empty());
    let mut late = consumer(&dir, "t");
    assert_eq!(late.recv().unwrap().len(), 100, "frames outlive their producer");
    let next = producer(&dir, "t");
    assert_eq!(next.write(&pattern(3, 300)).unwrap(), 3, "the sequence goes on");
    let seen: Vec<_> = (0..2).map(|_| late.recv().unwrap()).map(|f| (f.seq(), f.len())).collect();
    assert_eq!(seen, [(2, 200), (3, 300)]);
    let info = inspect("t", Some(dir.path())).unwrap();
    assert_eq!(info.participants.len(), 2, "the dead are gone: {info:?}");
    drop(late);
    drop(next);
    assert!(dir.files().is_empty(), "{:?}", dir.files());
}

#[test]
fn a_consumer_alone_adopts_as_well_and_removes_when_it_goes() {
    let dir = Dir::new();
    let mut dead = actor(&dir, &["produce", "write 100"]);
    dead.kill();
    let mut late = consumer(&dir, "t");
    let frame = late.recv().unwrap();
    drop(late);
    assert!(!dir.files().is_empty(), "a frame is still held");
    drop(frame);
    assert!(dir.files().is_empty());
}

#[test]
fn the_last_one_out_removes_the_topic_whoever_it_is() {
    let dir = Dir::new();
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]] {
        let sender = producer(&dir, "t");
        let mut receiver = consumer(&dir, "t");
        sender.write(b"x").unwrap();
        let frame = receiver.recv().unwrap();
        let mut all: [Option<Box<dyn std::any::Any>>; 3] =
            [Some(Box::new(sender)), Some(Box::new(receiver)), Some(Box::new(frame))];
        for (i, which) in order.into_iter().enumerate() {
            all[which] = None;
            assert_eq!(dir.files().is_empty(), i == 2, "{order:?}, {i}");
        }
    }
}

#[test]
fn a_persistent_topic_stays_with_its_frames() {
    let dir = Dir::new();
    let first = Producer::builder("t").dir(&dir).persistent(true).open().unwrap();
    for i in 1..=3 {
        first.write(&pattern(i, 50)).unwrap();
    }
    drop(first);
    let mut reader = consumer(&dir, "t");
    assert!(*reader.recv().unwrap() == pattern(1, 50));
    drop(reader);
    let second = producer(&dir, "t");
    assert_eq!(second.write(b"4").unwrap(), 4);
    drop(second);
    assert!(inspect("t", Some(dir.path())).unwrap().persistent);
    remove("t", Some(dir.path()), false).unwrap();
    assert!(dir.files().is_empty());
}

#[test]
fn topics_do_not_know_of_each_other() {
    let dir = Dir::new();
    let names = ["a", "b", "a/b", "a%2Fb", "A", "a.ring", "a b", "ä", "..", "-"];
    let mut pairs: Vec<_> = names.iter().map(|name| (producer(&dir, name), consumer(&dir, name))).collect();
    for (i, (sender, _)) in pairs.iter().enumerate() {
        for _ in 0..=i % 4 {
            sender.write(names[i].as_bytes()).unwrap();
        }
    }
    for (i, (_, receiver)) in pairs.iter_mut().enumerate() {
        for _ in 0..=i % 4 {
            assert_eq!(&*receiver.recv().unwrap(), names[i].as_bytes());
        }
        assert!(receiver.try_recv().unwrap().is_none());
    }
    drop(pairs.swap_remove(0));
    assert_eq!(shmflow::topics(Some(dir.path())).unwrap().len(), names.len() - 1);
    drop(pairs);
    assert!(dir.files().is_empty());
    for bad in ["", "a\0", "a\n", &"x".repeat(201)] {
        assert!(matches!(Producer::builder(bad).dir(&dir).open(), Err(Error::InvalidTopicName { .. })));
        assert!(matches!(Consumer::builder(bad).dir(&dir).open(), Err(Error::InvalidTopicName { .. })));
    }
}

#[test]
fn a_topic_that_was_removed_and_made_again_is_another_one() {
    let dir = Dir::new();
    let first = producer(&dir, "t");
    let mut old = consumer(&dir, "t");
    first.write(b"1").unwrap();
    remove("t", Some(dir.path()), true).unwrap();
    let second = producer(&dir, "t");
    second.write(b"anew").unwrap();
    assert_eq!(&*old.recv().unwrap(), b"1", "what was there can still be read");
    assert!(matches!(old.recv(), Err(Error::Removed { .. })));
    assert!(matches!(first.write(b"2"), Err(Error::Removed { .. })));
    assert!(matches!(first.grow(1 << 20, 8), Err(Error::Removed { .. })));
    let mut new = consumer(&dir, "t");
    drop((first, old));
    let frame = new.recv().unwrap();
    assert_eq!((&*frame, frame.seq()), (&b"anew"[..], 1));
    assert_eq!(second.write(b"on").unwrap(), 2);
}

/// As logind does with what is in `/dev/shm` when its owner has logged out.
fn unlink_all(dir: &Dir) {
    dir.files().iter().for_each(|file| fs::remove_file(dir.path().join(file)).unwrap());
}

#[test]
fn a_producer_notices_that_its_files_were_unlinked() {
    let dir = Dir::new();
    let orphan = producer(&dir, "t");
    let mut old = consumer(&dir, "t");
    orphan.write(b"1").unwrap();
    unlink_all(&dir);
    let next = producer(&dir, "t");
    wait_until("it notices", || match orphan.write(b"2") {
        Ok(_) => false,
        Err(error) => matches!(error, Error::Removed { .. }),
    });
    assert!(matches!(orphan.write(b"3"), Err(Error::Removed { .. })), "and does not forget");
    assert_eq!(&*old.recv().unwrap(), b"2", "what was there can still be read");
    drop((orphan, old));
    let mut new = consumer(&dir, "t");
    next.write(b"anew").unwrap();
    assert_eq!(&*new.recv().unwrap(), b"anew", "who leaves an orphan takes nothing of the next topic away");
}

#[test]
fn consumers_that_wait_a_little_or_not_at_all_notice_that_their_files_were_unlinked() {
    let dir = Dir::new();
    let _producer = producer(&dir, "t");
    let (mut waiting, mut polling) = (consumer(&dir, "t"), consumer(&dir, "t"));
    let short = std::time::Duration::from_millis(20);
    assert!(matches!(waiting.recv_timeout(short), Err(Error::Timeout { .. })));
    unlink_all(&dir);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_until("who waits is told", || {
                matches!(waiting.recv_timeout(short), Err(Error::Removed { .. }))
            });
        });
        wait_until("who polls is told", || matches!(polling.try_recv(), Err(Error::Removed { .. })));
    });
}

/// Deletes the files of `t` whose names have this in them.
fn unlink(dir: &Dir, part: &str) {
    let files: Vec<_> = dir.files().into_iter().filter(|file| file.contains(part)).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.iter().for_each(|file| fs::remove_file(dir.path().join(file)).unwrap());
}

const LONG: std::time::Duration = std::time::Duration::from_secs(20);
const PARTS: [&str; 3] = [".peers", ".ring", ".holds"];

#[test]
fn who_uses_a_topic_notices_that_any_one_of_its_files_was_deleted() {
    for part in PARTS {
        let dir = Dir::new();
        let sender = Producer::builder("t").dir(&dir).perms(0o644).open().unwrap();
        let mut polling = consumer(&dir, "t");
        let reader = Consumer::builder("t").dir(&dir).read_only(true).open().unwrap();
        sender.write(b"1").unwrap();
        assert_eq!(polling.recv().unwrap().seq(), 1);
        unlink(&dir, part);
        std::thread::scope(|scope| {
            // Who only reads has nothing to do with the holder words.
            let mut readers = if part == ".holds" { vec![] } else { vec![reader] };
            let idle = &sender;
            scope.spawn(move || {
                wait_until("who waits for consumers is told", || {
                    let wait = std::time::Duration::from_secs(2);
                    let waited = idle.wait_event(idle.events(), Some(wait), &shmflow::CancelToken::new());
                    matches!(waited, Err(Error::Removed { .. }))
                });
            });
            scope.spawn(move || {
                for reader in &mut readers {
                    let told = reader.recv_timeout(LONG);
                    assert!(told.is_ok(), "{part}: {told:?}");
                    let told = reader.recv_timeout(LONG);
                    assert!(matches!(told, Err(Error::Removed { .. })), "{part}: {told:?}");
                }
            });
            wait_until("who polls is told", || matches!(polling.try_recv(), Err(Error::Removed { .. })));
        });
        let refused = sender.write(b"2");
        assert!(matches!(refused, Err(Error::Removed { .. })), "{part}: {refused:?}");
        drop((sender, polling));
        let _ = shmflow::gc(Some(dir.path())).unwrap();
        assert!(dir.files().is_empty(), "{part}: {:?}", dir.files());
    }
}

/// Waits until the clock has gone on by more than the second after which a producer looks.
fn let_a_second_pass() {
    let start = std::time::Instant::now();
    wait_until("a second passes", || start.elapsed() > std::time::Duration::from_millis(1200));
}

#[test]
fn a_producer_with_a_frame_now_and_then_is_told_of_a_deletion_at_the_second_one() {
    let dir = Dir::new();
    let sender = producer(&dir, "t");
    sender.write(b"1").unwrap();
    unlink(&dir, ".ring");
    let_a_second_pass();
    // The look comes after a frame, so that none is late because of it.
    let told: Vec<_> = (0..2).map(|_| sender.write(b"2").err()).collect();
    assert!(matches!(told[1], Some(Error::Removed { .. })), "{told:?}");
}

#[test]
fn a_producer_whose_claims_become_no_frames_is_told_of_a_deletion() {
    let dir = Dir::new();
    let [abandons, holds] = ["a", "h"].map(|name| producer(&dir, name));
    // All slots are held, so that each claim is refused.
    let held: Vec<_> = std::iter::from_fn(|| holds.claim(1).ok()).collect();
    assert!(!held.is_empty());
    [".a.ring", ".h.ring"].into_iter().for_each(|part| unlink(&dir, part));
    let_a_second_pass();
    for sender in [abandons, holds] {
        let told: Vec<_> = (0..2).map(|_| sender.claim(1).map(drop).err()).collect();
        assert!(matches!(told[1], Some(Error::Removed { .. })), "{told:?}");
    }
}

#[test]
fn a_topic_of_which_a_part_was_deleted_is_made_anew_by_the_next_producer() {
    for part in PARTS {
        let dir = Dir::new();
        let old = producer(&dir, "t");
        let mut reading = consumer(&dir, "t");
        for _ in 0..5 {
            old.write(b"old").unwrap();
        }
        let claim = old.claim(3).unwrap();
        unlink(&dir, part);
        // A newcomer that cannot make it anew is told what is missing.
        match (Consumer::builder("t").dir(&dir).open().unwrap_err(), part) {
            (Error::TopicNotFound { .. }, ".peers") => {}
            (Error::NotARing { path, .. }, _) => assert!(path.to_str().unwrap().contains(part), "{path:?}"),
            (error, _) => panic!("{part}: {error}"),
        }
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| Consumer::builder("t").dir(&dir).connect_timeout(LONG).open());
            let start = std::time::Instant::now();
            let new = producer(&dir, "t");
            assert!(start.elapsed() < LONG / 5, "{part}: it took {:?}", start.elapsed());
            let mut waiting = waiting.join().unwrap().unwrap();
            // The others are told, and come back to the same one.
            wait_until("the old producer is told", || {
                matches!(old.write(b"old"), Err(Error::Removed { .. }))
            });
            wait_until("its consumer is told, when it has read what is there", || {
                matches!(reading.recv_timeout(LONG), Err(Error::Removed { .. }))
            });
            drop(claim);
            let again = producer(&dir, "t");
            assert_eq!((new.write(b"new").unwrap(), again.write(b"again").unwrap()), (1, 2), "{part}");
            for text in [&b"new"[..], b"again"] {
                assert_eq!(&*waiting.recv().unwrap(), text, "{part}");
            }
            drop((old, reading));
            assert_eq!(inspect("t", Some(dir.path())).unwrap().participants.len(), 3);
        });
        assert!(dir.files().is_empty(), "{part}: {:?}", dir.files());
    }
}

#[test]
fn a_growth_that_was_broken_off_and_whose_old_ring_was_deleted_is_made_anew_by_a_producer() {
    use std::os::unix::fs::FileExt;
    let dir = Dir::new();
    let dead = Producer::builder("t").dir(&dir).persistent(true).open().unwrap();
    dead.write(b"old").unwrap();
    dead.grow(1 << 18, 0).unwrap();
    drop(dead);
    // As if its maker had been killed before it sealed the one before; see `first` and `head` in docs/layout.md.
    let ring = fs::File::options().write(true).open(dir.path().join("shmflow.t.ring")).unwrap();
    for at in [128, 192] {
        ring.write_all_at(&0_u64.to_le_bytes(), at).unwrap();
    }
    let refused = Consumer::builder("t").dir(&dir).open().unwrap_err();
    assert!(refused.to_string().contains("shmflow.t.ring.0000000000000001"), "{refused}");
    let next = producer(&dir, "t");
    assert_eq!(next.write(b"new").unwrap(), 1);
    assert_eq!(&*consumer(&dir, "t").recv().unwrap(), b"new");
}

#[test]
fn a_frame_for_which_a_topic_with_a_deleted_part_would_have_to_grow_is_told_at_once() {
    for part in PARTS {
        let dir = Dir::new();
        let sender = producer(&dir, "t");
        unlink(&dir, part);
        let refused = sender.write(&vec![0; 1 << 20]);
        assert!(matches!(refused, Err(Error::Removed { .. })), "{part}: {refused:?}");
    }
}

#[test]
fn a_producer_that_waits_for_consumers_is_told_of_a_removal() {
    let dir = Dir::new();
    let waiting = |producer: &Producer| {
        let never = shmflow::CancelToken::new();
        loop {
            match producer.wait_event(producer.events(), None, &never) {
                Ok(_) => {}
                Err(error) => break error,
            }
        }
    };
    let orphan = producer(&dir, "t");
    unlink_all(&dir);
    assert!(matches!(waiting(&orphan), Error::Removed { .. }));
    let removed = producer(&dir, "t");
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| waiting(&removed));
        remove("t", Some(dir.path()), true).unwrap();
        assert!(matches!(waiter.join().unwrap(), Error::Removed { .. }));
    });
}

#[test]
fn eight_producers_and_no_ninth() {
    let dir = Dir::new();
    let mut producers: Vec<_> = (0..8).map(|_| producer(&dir, "t")).collect();
    for _ in 0..3 {
        let refused = Producer::builder("t").dir(&dir).open();
        assert!(matches!(refused, Err(Error::TooManyProducers { .. })), "{refused:?}");
    }
    let mut receiver = consumer(&dir, "t");
    for sender in &producers {
        sender.write(b"x").unwrap();
    }
    let ids: Vec<_> = (0..8).map(|_| receiver.recv().unwrap().producer()).collect();
    assert!(ids.iter().zip(&producers).all(|(id, producer)| *id == producer.id()));
    let free = producers.remove(3).id().id;
    let ninth = producer(&dir, "t");
    assert_eq!(ninth.id().id, free);
    assert!(ninth.id().generation > 8, "ids come again, generations do not");
}

#[test]
fn a_dead_producer_makes_room_for_the_next() {
    let dir = Dir::new();
    let _seven: Vec<_> = (0..7).map(|_| producer(&dir, "t")).collect();
    let mut dead = actor(&dir, &["produce", "write 10"]);
    assert!(Producer::builder("t").dir(&dir).open().is_err());
    dead.kill();
    assert_eq!(producer(&dir, "t").write(b"x").unwrap(), 2);
}

#[test]
fn what_a_dead_consumer_held_is_free_again() {
    let dir = Dir::new();
    let sender = Producer::builder("t").dir(&dir).depth(4).open().unwrap();
    let mut dead = actor(&dir, &["consume next"]);
    for i in 1..=2 {
        sender.write(&pattern(i, 20)).unwrap();
        assert!(dead.ask("recv 1000").starts_with("ok"));
    }
    assert_eq!(inspect("t", Some(dir.path())).unwrap().participants[1].held_slots, Some(2));
    dead.kill();
    // More claims at once than there are slots but for the dead one's.
    let claims: Vec<_> = (0..6).map(|_| sender.claim(1).unwrap()).collect();
    assert!(matches!(sender.claim(1), Err(Error::NoSlot { .. })));
    drop(claims);
    assert_eq!(sender.consumer_count(), 0);
}

#[test]
fn a_list_without_a_ring_is_waited_on_and_completed() {
    let dir = Dir::new();
    let half = Producer::builder("t").dir(&dir).persistent(true).open().unwrap();
    drop(half);
    for file in dir.files().iter().filter(|file| !file.ends_with(".peers")) {
        fs::remove_file(dir.path().join(file)).unwrap();
    }
    assert!(matches!(Consumer::builder("t").dir(&dir).open(), Err(Error::TopicNotFound { .. })));
    let next = producer(&dir, "t");
    assert_eq!(next.write(b"x").unwrap(), 1);
    assert_eq!(consumer(&dir, "t").recv().unwrap().seq(), 1);
}

#[test]
fn opening_and_closing_from_many_processes_at_once_goes_well() {
    let dir = Dir::new();
    let mut actors: Vec<_> = (0..4).map(|_| actor(&dir, &[])).collect();
    for _ in 0..25 {
        for actor in &mut actors {
            actor.tell("produce");
        }
        for actor in &mut actors {
            assert_eq!(actor.read_reply(), "ok");
            actor.tell("write 10");
        }
        for actor in &mut actors {
            assert!(actor.read_reply().starts_with("ok"));
            actor.tell("leave");
        }
        for actor in &mut actors {
            assert_eq!(actor.read_reply(), "ok");
        }
        wait_until("the last one out has removed the files", || dir.files().is_empty());
    }
    for actor in actors {
        actor.finish();
    }
}

#[test]
fn starting_at_the_next_frame_is_settled_when_open_returns() {
    let dir = Dir::new();
    let sender = producer(&dir, "t");
    sender.write(b"before").unwrap();
    let mut next = Consumer::builder("t").dir(&dir).start(StartAt::Next).open().unwrap();
    sender.write(b"after").unwrap();
    assert_eq!(&*next.recv().unwrap(), b"after");
}
