//! Frames from producers to consumers within one process.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test's way to fail")]

mod common;

use std::time::Duration;

use common::{Dir, pattern, wait_until};
use shmflow::{Consumer, Error, OnLapped, OverflowPolicy, Producer, StartAt};

fn pair(dir: &Dir) -> (Producer, Consumer) {
    let producer = Producer::builder("t").dir(dir).open().unwrap();
    let consumer = Consumer::builder("t").dir(dir).open().unwrap();
    (producer, consumer)
}

#[test]
fn frames_arrive_whole_and_in_order() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    for i in 1..=100 {
        let sent = pattern(i, 1000 + i as usize);
        assert_eq!(producer.write(&sent).unwrap(), i);
        let frame = consumer.recv().unwrap();
        assert_eq!((frame.seq(), frame.lost_before(), frame.is_copy()), (i, 0, false));
        assert_eq!(&*frame, sent);
        assert_eq!(frame.producer(), producer.id());
    }
    assert!(consumer.try_recv().unwrap().is_none());
}

#[test]
fn a_claim_writes_straight_into_shared_memory() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    let mut claim = producer.claim(6).unwrap();
    assert_eq!(claim.as_ptr().addr() % 4096, 0);
    claim.copy_from_slice(b"direct");
    let published = claim.publish().unwrap();
    assert_eq!((&*published, published.seq()), (&b"direct"[..], 1));
    assert_eq!(&*consumer.recv().unwrap(), b"direct");
}

#[test]
fn a_claim_that_is_dropped_leaves_no_trace() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    for _ in 0..100 {
        drop(producer.claim(10).unwrap());
    }
    assert_eq!(producer.write(b"x").unwrap(), 1);
    assert_eq!(consumer.recv().unwrap().seq(), 1);
}

#[test]
fn a_slow_consumer_loses_the_oldest_and_is_told_how_many() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    for i in 1..=50 {
        producer.write(&pattern(i, 100)).unwrap();
    }
    let first = consumer.recv().unwrap();
    let depth = u64::from(producer.geometry().depth);
    assert!(first.seq() <= 51 - depth && first.seq() > 50 - u64::from(producer.geometry().slots));
    assert_eq!(first.lost_before(), first.seq() - 1);
    for seq in first.seq() + 1..=50 {
        let frame = consumer.recv().unwrap();
        assert_eq!((frame.seq(), frame.lost_before()), (seq, 0));
        assert_eq!(&*frame, pattern(seq, 100));
    }
    assert_eq!(consumer.stats().lost, first.seq() - 1);
}

#[test]
fn on_lapped_newest_jumps_to_the_newest() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    let mut consumer = Consumer::builder("t").dir(&dir).on_lapped(OnLapped::Newest).open().unwrap();
    // Lapped by far, and by little: then the index still has an entry for the frame that was taken away.
    let mut last = 0;
    for newest in [50, 62, 74, 90] {
        for i in last + 1..=newest {
            producer.write(&pattern(i, 100)).unwrap();
        }
        let frame = consumer.recv().unwrap();
        assert_eq!((frame.seq(), frame.lost_before()), (newest, newest - last - 1));
        last = newest;
    }
}

#[test]
fn late_joiners_start_where_they_choose() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).depth(8).history(3).open().unwrap();
    for i in 1..=20 {
        producer.write(&pattern(i, 10)).unwrap();
    }
    let open = |start| Consumer::builder("t").dir(&dir).start(start).open().unwrap();
    assert_eq!(open(StartAt::Oldest).recv().unwrap().seq(), 18);
    assert_eq!(open(StartAt::Newest).recv().unwrap().seq(), 20);
    let mut next = open(StartAt::Next);
    assert!(next.try_recv().unwrap().is_none());
    producer.write(b"21").unwrap();
    assert_eq!(next.recv().unwrap().seq(), 21);
}

#[test]
fn a_lease_outlives_everything() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    let sent = pattern(7, 5000);
    producer.write(&sent).unwrap();
    let frame = consumer.recv().unwrap();
    drop(consumer);
    for i in 0..100 {
        producer.write(&pattern(i, 5000)).unwrap();
    }
    drop(producer);
    let clone = frame.clone();
    drop(frame);
    assert_eq!(&*std::thread::spawn(move || clone.to_vec()).join().unwrap(), sent);
    assert!(dir.files().is_empty(), "{:?}", dir.files());
}

#[test]
fn a_hoarding_consumer_gets_copies_and_stops_nobody() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).depth(4).open().unwrap();
    let mut hoarder = Consumer::builder("t").dir(&dir).open().unwrap();
    let mut other = Consumer::builder("t").dir(&dir).open().unwrap();
    let mut hoard = Vec::new();
    for i in 1..=40 {
        producer.write(&pattern(i, 300)).unwrap();
        hoard.push(hoarder.recv().unwrap());
        assert_eq!(&*other.recv().unwrap(), pattern(i, 300));
    }
    assert!(hoard.iter().enumerate().all(|(i, frame)| **frame == pattern(i as u64 + 1, 300)));
    assert_eq!(hoard.iter().filter(|frame| !frame.is_copy()).count(), 2);
    assert_eq!(hoarder.stats().copied, 38);
}

#[test]
fn a_larger_frame_moves_the_topic_without_losing_what_is_unread() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    for i in 1..=4 {
        producer.write(&pattern(i, 100)).unwrap();
    }
    let held = consumer.recv().unwrap();
    producer.write(&pattern(5, 1 << 20)).unwrap();
    producer.write(&pattern(6, 100)).unwrap();
    assert_eq!(producer.geometry().epoch, 2);
    for i in 2..=6 {
        let frame = consumer.recv().unwrap();
        let len = if i == 5 { 1 << 20 } else { 100 };
        assert_eq!((frame.seq(), frame.lost_before()), (i, 0));
        assert!(*frame == pattern(i, len));
    }
    assert!(*held == pattern(1, 100));
}

#[test]
fn a_claim_made_before_the_topic_moved_is_published_after_it() {
    let dir = Dir::new();
    let (one, mut consumer) = pair(&dir);
    let two = Producer::builder("t").dir(&dir).open().unwrap();
    let mut claim = one.claim(50).unwrap();
    claim.copy_from_slice(&pattern(1, 50));
    two.write(&pattern(2, 1 << 20)).unwrap();
    assert_eq!(claim.publish().unwrap().seq(), 2);
    assert_eq!(consumer.recv().unwrap().len(), 1 << 20);
    let frame = consumer.recv().unwrap();
    assert!(*frame == pattern(1, 50));
    assert_eq!((frame.producer(), frame.seq()), (one.id(), 2));
}

#[test]
fn many_growths_lose_nothing_that_names_can_keep() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    for i in 1..=4 {
        producer.write(&pattern(i, 100_000 << i)).unwrap();
    }
    for i in 1..=4 {
        let frame = consumer.recv().unwrap();
        assert_eq!((frame.seq(), frame.lost_before()), (i, 0));
        assert!(*frame == pattern(i, 100_000 << i));
    }
}

#[test]
fn who_is_too_many_growths_behind_loses_what_has_no_name_and_nothing_else() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).depth(2).slot_capacity(1).open().unwrap();
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    for i in 1..=7 {
        producer.write(&pattern(i, 1000 << i)).unwrap();
    }
    assert_eq!(producer.geometry().epoch, 8);
    // The one it is in was left empty; four before the newest have names.
    for (seq, lost) in [(3, 2), (4, 0), (5, 0), (6, 0), (7, 0)] {
        let frame = consumer.recv().unwrap();
        assert_eq!((frame.seq(), frame.lost_before()), (seq, lost));
        assert!(*frame == pattern(seq, 1000 << seq));
    }
    assert_eq!(consumer.stats().lost, 2);
}

#[test]
fn skipping_to_the_newest_frame_goes_past_growths() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    let mut reader = Consumer::builder("t").dir(&dir).open().unwrap();
    producer.write(&pattern(1, 100)).unwrap();
    producer.write(&pattern(2, 100)).unwrap();
    // Into epochs in which nothing was published yet: the newest is still the one before them.
    producer.grow(1 << 18, 0).unwrap();
    producer.grow(1 << 19, 0).unwrap();
    assert_eq!(producer.geometry().epoch, 3);
    consumer.skip_to_newest().unwrap();
    reader.skip_to_newest().unwrap();
    assert_eq!(reader.recv().unwrap().seq(), 2);
    producer.write(&pattern(3, 100)).unwrap();
    producer.write(&pattern(4, 1 << 20)).unwrap();
    producer.write(&pattern(5, 1 << 20)).unwrap();
    consumer.skip_to_newest().unwrap();
    let frame = consumer.recv().unwrap();
    assert_eq!((frame.seq(), frame.lost_before()), (5, 0), "what is skipped is not lost");
    assert!(*frame == pattern(5, 1 << 20));
    assert!(consumer.try_recv().unwrap().is_none());
    // With nothing there to be read, it is the next.
    producer.grow(1 << 21, 0).unwrap();
    consumer.skip_to_newest().unwrap();
    producer.write(&pattern(6, 100)).unwrap();
    assert_eq!(consumer.recv().unwrap().seq(), 6);
    // The other one is where it was, and loses nothing.
    for seq in 3..=6 {
        let frame = reader.recv().unwrap();
        assert_eq!((frame.seq(), frame.lost_before()), (seq, 0));
    }
}

#[test]
fn the_sequence_has_no_gaps_with_several_producers() {
    let dir = Dir::new();
    let producers: Vec<_> =
        (0..4).map(|_| Producer::builder("t").dir(&dir).depth(64).open().unwrap()).collect();
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    std::thread::scope(|scope| {
        for producer in &producers {
            scope.spawn(move || {
                for _ in 0..500 {
                    producer.write(&pattern(1, 64)).unwrap();
                }
            });
        }
        let mut next = 1;
        while next <= 2000 {
            let frame = consumer.recv_timeout(Duration::from_secs(10)).unwrap();
            assert_eq!(frame.seq(), next + frame.lost_before());
            next = frame.seq() + 1;
        }
    });
}

#[test]
fn drop_new_keeps_what_consumers_have_not_read() {
    let dir = Dir::new();
    let producer =
        Producer::builder("t").dir(&dir).depth(4).overflow_policy(OverflowPolicy::DropNew).open().unwrap();
    for i in 1..=20 {
        producer.write(&pattern(i, 10)).unwrap(); // nobody is owed anything
    }
    let mut consumer = Consumer::builder("t").dir(&dir).start(StartAt::Next).open().unwrap();
    let taken = (0..20).take_while(|_| producer.write(b"x").is_ok()).count();
    assert_eq!(taken, 6, "depth and spare slots");
    assert!(matches!(producer.write(b"y"), Err(Error::Full { .. })));
    assert_eq!(consumer.recv().unwrap().seq(), 21);
    assert_eq!(producer.write(b"z").unwrap(), 27);
    assert!(producer.stats().dropped >= 2);
}

#[test]
fn a_blocked_recv_is_cancelled_at_once() {
    let dir = Dir::new();
    let (_producer, mut consumer) = pair(&dir);
    let cancel_token = consumer.cancel_token();
    let thread = sleeper(move || {
        let result = consumer.recv();
        (consumer, result)
    });
    wait_until("the consumer sleeps", || sleeps(&thread));
    let start = std::time::Instant::now();
    cancel_token.cancel();
    let (mut consumer, result) = thread.join().unwrap();
    assert!(matches!(result, Err(Error::Cancelled { .. })));
    assert!(start.elapsed() < Duration::from_millis(500));
    assert!(matches!(consumer.recv(), Err(Error::Cancelled { .. })));
    cancel_token.reset();
    assert!(matches!(consumer.recv_timeout(Duration::from_millis(1)), Err(Error::Timeout { .. })));
}

/// Starts a thread with a name of its own, by which [`sleeps`] finds it.
fn sleeper<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> std::thread::JoinHandle<T> {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let name = format!("sleeper-{}", COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    std::thread::Builder::new().name(name).spawn(body).unwrap()
}

/// Whether a thread of [`sleeper`] sleeps in a futex call: on one futex, or on several.
fn sleeps<T>(thread: &std::thread::JoinHandle<T>) -> bool {
    let name = thread.thread().name().unwrap();
    // 449 is futex_waitv on every architecture.
    let calls = [format!("{} ", libc::SYS_futex), "449 ".to_owned()];
    let read = |task: &std::path::Path, file| std::fs::read_to_string(task.join(file)).unwrap_or_default();
    !thread.is_finished()
        && std::fs::read_dir("/proc/self/task").unwrap().flatten().any(|task| {
            let call = read(&task.path(), "syscall");
            read(&task.path(), "comm").trim_end() == name
                && calls.iter().any(|number| call.starts_with(number))
        })
}

#[test]
fn the_end_comes_after_the_last_frame_and_can_be_revoked() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    producer.write(b"1").unwrap();
    producer.end();
    assert_eq!(consumer.recv().unwrap().seq(), 1);
    assert!(matches!(consumer.recv(), Err(Error::Ended { .. })));
    producer.write(b"2").unwrap();
    assert_eq!(consumer.recv().unwrap().seq(), 2);
    producer.end();
    drop(producer);
    assert!(matches!(consumer.recv(), Err(Error::Ended { .. })));
    // The next producer goes on with the sequence.
    let next = Producer::builder("t").dir(&dir).open().unwrap();
    assert!(matches!(consumer.recv_timeout(Duration::from_millis(5)), Err(Error::Timeout { .. })));
    assert_eq!(next.write(b"3").unwrap(), 3);
    assert_eq!(consumer.recv().unwrap().seq(), 3);
    // One that just goes away has not ended anything.
    drop(next);
    assert!(matches!(consumer.recv_timeout(Duration::from_millis(5)), Err(Error::Timeout { .. })));
}

#[test]
fn an_end_is_told_once_and_then_receiving_waits_for_what_comes_next() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    for seq in 1..10 {
        producer.end();
        assert!(matches!(consumer.recv(), Err(Error::Ended { .. })));
        let at_once = consumer.recv_timeout(Duration::ZERO);
        assert!(matches!(at_once, Err(Error::Timeout { .. })), "{at_once:?}");
        // To say it again is the same end.
        producer.end();
        let waiter = sleeper(move || (consumer.recv(), consumer));
        wait_until("it waits for what comes next", || sleeps(&waiter));
        producer.write(b"next").unwrap();
        let frame;
        (frame, consumer) = waiter.join().unwrap();
        assert_eq!(frame.unwrap().seq(), seq);
    }
}

#[test]
fn a_consumer_that_comes_after_the_end_waits_for_the_next_producer() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).persistent(true).open().unwrap();
    producer.write(b"1").unwrap();
    producer.end();
    drop(producer);
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    assert_eq!(consumer.recv().unwrap().seq(), 1);
    assert!(matches!(consumer.recv_timeout(Duration::from_millis(5)), Err(Error::Timeout { .. })));
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    producer.end();
    drop(producer);
    assert!(matches!(consumer.recv_timeout(Duration::from_secs(5)), Err(Error::Ended { .. })));
}

#[test]
fn iteration_ends_with_the_stream() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    for i in 1..=5 {
        producer.write(&[i]).unwrap();
    }
    producer.end();
    let seen: Vec<_> = consumer.iter().map(|frame| frame.unwrap()[0]).collect();
    assert_eq!(seen, [1, 2, 3, 4, 5]);
    // And goes on with it.
    producer.write(&[6]).unwrap();
    producer.end();
    let seen: Vec<_> = consumer.iter().map(|frame| frame.unwrap()[0]).collect();
    assert_eq!(seen, [6]);
}

#[test]
fn a_consumer_is_never_seen_without_the_accepted_caps_it_opens_with() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..200 {
                Consumer::builder("t").dir(&dir).accepted_caps("video/x-raw").prefault(false).open().unwrap();
            }
            stop.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        while !stop.load(std::sync::atomic::Ordering::SeqCst) {
            // One that is leaving may be seen without, its number being 0 by then.
            let seen = producer.consumers();
            let accepted = |c: &shmflow::ConsumerInfo| c.accepted_caps.as_deref() == Some("video/x-raw");
            assert!(seen.iter().all(|c| accepted(c) || c.id.generation == 0));
        }
    });
    let long = Consumer::builder("t").dir(&dir).accepted_caps(&"x".repeat(8193)).open();
    assert!(matches!(long, Err(Error::InvalidArgument { .. })));
}

#[test]
fn accepted_caps_reach_the_producer() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    let accepted = || producer.consumers().into_iter().map(|c| c.accepted_caps).collect::<Vec<_>>();
    assert_eq!(accepted(), [None]);
    let before = producer.events();
    consumer.set_accepted_caps("video/x-raw, format=BGRx").unwrap();
    assert_ne!(producer.events(), before);
    assert_eq!(accepted(), [Some("video/x-raw, format=BGRx".into())]);
    consumer.set_accepted_caps("").unwrap();
    assert_eq!(accepted(), [None]);
    let long = "x".repeat(8192);
    consumer.set_accepted_caps(&long).unwrap();
    assert_eq!(accepted(), [Some(long)]);
    assert!(matches!(consumer.set_accepted_caps(&"x".repeat(8193)), Err(Error::InvalidArgument { .. })));
}

#[test]
fn the_fifty_seventh_consumer_gets_copies() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    let mut consumers: Vec<_> = (0..58).map(|_| Consumer::builder("t").dir(&dir).open().unwrap()).collect();
    producer.write(b"all").unwrap();
    let copies: Vec<_> = consumers.iter_mut().map(|c| c.recv().unwrap().is_copy()).collect();
    assert_eq!(copies.iter().position(|&copy| copy), Some(56));
    assert_eq!(producer.consumer_count(), 56);
    // It is woken too.
    let mut last = consumers.pop().unwrap();
    let thread = sleeper(move || last.recv_timeout(Duration::from_secs(10)).unwrap().seq());
    wait_until("the consumer sleeps", || sleeps(&thread));
    producer.write(b"woken").unwrap();
    assert_eq!(thread.join().unwrap(), 2);
}

#[test]
fn readers_write_nothing_and_get_copies() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).perms(0o644).open().unwrap();
    let mut reader = Consumer::builder("t").dir(&dir).read_only(true).open().unwrap();
    assert_eq!(reader.id(), None);
    for i in 1..=30 {
        producer.write(&pattern(i, 3000)).unwrap();
        let frame = reader.recv().unwrap();
        assert!(frame.is_copy() && *frame == pattern(i, 3000) && frame.producer() == producer.id());
    }
    assert_eq!(producer.consumer_count(), 0);
    let thread = sleeper(move || reader.recv_timeout(Duration::from_secs(10)).unwrap().seq());
    wait_until("the reader sleeps", || sleeps(&thread));
    producer.write(b"woken").unwrap();
    assert_eq!(thread.join().unwrap(), 31);
}

#[test]
fn readers_are_refused_where_they_could_not_be_woken() {
    let dir = Dir::new();
    let _producer = Producer::builder("t").dir(&dir).open().unwrap();
    let refused = Consumer::builder("t").dir(&dir).read_only(true).open();
    assert!(matches!(refused, Err(Error::ReadOnlyNotAllowed { .. })));
}

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

#[test]
fn an_end_that_is_revoked_and_said_again_is_news_even_to_those_who_came_after_the_first() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    producer.write(b"1").unwrap();
    producer.end();
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    assert_eq!(consumer.recv().unwrap().seq(), 1);
    assert!(matches!(consumer.recv_timeout(Duration::from_millis(5)), Err(Error::Timeout { .. })));
    producer.write(b"2").unwrap();
    producer.end();
    assert_eq!(consumer.recv().unwrap().seq(), 2);
    assert!(matches!(consumer.recv_timeout(Duration::from_secs(5)), Err(Error::Ended { .. })));
}
