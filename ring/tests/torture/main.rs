//! Processes killed and stopped at random moments, for as long as one likes, while every byte of every frame is checked.
//!
//! `SHMFLOW_TORTURE_SECONDS` (default 15, shared by the three tests) and `SHMFLOW_TORTURE_SEED` change it; the seed is
//! printed.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test's way to fail and to tell"
)]

#[path = "../common/mod.rs"]
mod common;
mod crowd;
mod seen;
mod worker;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use common::payload::{LEAST, payload};
use common::{Dir, Random};
use crowd::Crowd;
use seen::Seen;
use shmflow::{Consumer, Error, OverflowPolicy, Producer, ProducerBuilder};

const TOPIC: &str = "torture";
/// The capacity that the topic begins with: those who must never wait for a growth stay below it.
const SMALL: usize = 4096;
/// How large frames may become.
const LARGE: u64 = 200_000;
/// No operation of one who is neither killed nor stopped may take longer; the machine may have more to do.
const BOUND: Duration = Duration::from_secs(5);

/// With readers, every publication makes the wake-up call; without, only those for which somebody sleeps.
fn producer(dir: &Path, readers: bool) -> ProducerBuilder {
    let perms = if readers { 0o644 } else { 0o600 };
    Producer::builder(TOPIC)
        .dir(dir)
        .depth(16)
        .spare_slots(10)
        .slot_capacity(SMALL)
        .meta_capacity(64)
        .perms(perms)
}

/// Seconds for each of the three tests.
fn seconds() -> u64 {
    std::env::var("SHMFLOW_TORTURE_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(15_u64).div_ceil(3)
}

fn seed() -> u64 {
    let given = std::env::var("SHMFLOW_TORTURE_SEED").ok().and_then(|s| s.parse().ok());
    let seed = given.unwrap_or_else(|| {
        std::time::UNIX_EPOCH.elapsed().map_or(1, |now| now.as_nanos() as u64 & 0xffff_ffff)
    });
    println!("SHMFLOW_TORTURE_SEED={seed}");
    seed
}

#[test]
fn torture_of_a_stream_that_never_pauses() {
    let dir = Dir::new();
    let steady = producer(dir.path(), true).name("steady").open().unwrap();
    let over = AtomicBool::new(false);
    let alive = AtomicBool::new(true);
    std::thread::scope(|scope| {
        // It outlives the readers, one of whom is not registered and does not keep the topic.
        let (dir, over, alive, steady) = (&dir, &over, &alive, &steady);
        let writer = scope.spawn(move || {
            let _fell = Lower(alive);
            write_steadily(steady, over);
        });
        let readers: Vec<_> = [false, true]
            .into_iter()
            .map(|read_only| {
                let consumer = Consumer::builder(TOPIC).dir(dir).read_only(read_only).open().unwrap();
                scope.spawn(move || {
                    let _fell = Lower(alive);
                    read_steadily(consumer, over);
                })
            })
            .collect();
        let jobs =
            ["producer", "forking-producer", "timed-producer", "consumer", "consumer", "consumer", "reader"];
        let mut crowd = Crowd::new(dir, seed(), &jobs);
        crowd.rage(Duration::from_secs(seconds()), || alive.load(SeqCst));
        crowd.ends();
        over.store(true, SeqCst);
        writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        for reader in readers {
            reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
    drop(steady);
    nothing_is_left(&dir);
}

#[test]
fn torture_of_a_topic_that_comes_and_goes() {
    let dir = Dir::new();
    let jobs = ["visiting-producer", "visiting-producer", "visiting-consumer", "visiting-consumer"];
    let seed = seed();
    let mut crowd = Crowd::new(&dir, seed, &jobs);
    let alive = AtomicBool::new(true);
    let deleted = std::thread::scope(|scope| {
        let deleter = scope.spawn(|| delete_now_and_then(&dir, Random::new(seed), &alive));
        let _fell = Lower(&alive);
        crowd.rage(Duration::from_secs(seconds()), || true);
        crowd.ends();
        alive.store(false, SeqCst);
        deleter.join().unwrap()
    });
    println!("{deleted} files deleted");
    nothing_is_left(&dir);
}

/// Takes the name of one of the topic's files away, again and again, as one does who cleans up by hand. How often it did.
fn delete_now_and_then(dir: &Dir, mut random: Random, alive: &AtomicBool) -> u64 {
    let mut deleted = 0;
    while alive.load(SeqCst) {
        std::thread::sleep(Duration::from_millis(50 + random.below(500)));
        let part = ["peers", "ring", "holds"][random.below(3) as usize];
        let files = dir.files();
        if let Some(file) = files.iter().find(|file| file.starts_with(&format!("shmflow.{TOPIC}.{part}"))) {
            // It may be gone by now.
            deleted += u64::from(std::fs::remove_file(dir.path().join(file)).is_ok());
        }
    }
    deleted
}

/// Nothing is lost, whoever is killed or stopped, by consumers for which every producer waits as long as it takes.
#[test]
fn torture_of_a_lossless_stream() {
    let dir = Dir::new();
    let steady = patient(dir.path()).name("steady").open().unwrap();
    let over = AtomicBool::new(false);
    let alive = AtomicBool::new(true);
    let mut consumer = Consumer::builder(TOPIC).dir(&dir).open().unwrap();
    std::thread::scope(|scope| {
        let (dir, over, alive, steady) = (&dir, &over, &alive, &steady);
        let writer = scope.spawn(move || {
            let _fell = Lower(alive);
            let mut sent = 0_u64;
            while !over.load(SeqCst) {
                sent += 1;
                match steady.write(&payload(1, sent, LEAST + (sent as usize * 97) % (SMALL - LEAST))) {
                    Ok(_) => {}
                    Err(Error::Cancelled { .. }) => break,
                    Err(error) => panic!("{error}"),
                }
                std::thread::sleep(Duration::from_micros(100));
            }
            sent
        });
        let reader = scope.spawn(move || {
            let _fell = Lower(alive);
            let mut seen = Seen::default();
            while !over.load(SeqCst) {
                match consumer.recv_timeout(Duration::from_millis(100)) {
                    Ok(frame) => drop(seen.take(&frame)),
                    // Somebody is stopped, and waited for.
                    Err(Error::Timeout { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            let stats = consumer.stats();
            assert_eq!(stats.lost, 0, "it was waited for");
            stats.received
        });
        let jobs = ["patient-producer", "patient-producer", "recorder", "recorder", "preview"];
        let mut crowd = Crowd::new(dir, seed(), &jobs);
        crowd.rage(Duration::from_secs(seconds()), || alive.load(SeqCst));
        crowd.ends();
        over.store(true, SeqCst);
        steady.cancel_token().cancel();
        let sent = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let received = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        println!("lossless: {sent} frames sent by the steady producer, {received} received from all of them");
        assert!(sent > 50 && received > 50, "{sent} sent, {received} received");
        assert_eq!(steady.stats().stalls, 0);
    });
    drop(steady);
    nothing_is_left(&dir);
}

/// A producer that waits for ever.
fn patient(dir: &Path) -> ProducerBuilder {
    producer(dir, true).overflow_policy(OverflowPolicy::Lossless).stall_timeout(Duration::ZERO)
}

/// Whatever the dead left: a newcomer gets every slot, and when it has gone no file is there.
fn nothing_is_left(dir: &Dir) {
    let last = producer(dir.path(), true).open().unwrap();
    let slots = last.geometry().slots;
    let claims: Vec<_> = (0..slots)
        .map(|i| last.claim(LEAST).unwrap_or_else(|error| panic!("{i} of {slots} slots, then: {error}")))
        .collect();
    drop(claims);
    let info = shmflow::inspect(TOPIC, Some(dir.path())).unwrap();
    assert_eq!(info.participants.len(), 1, "{:?}", info.participants);
    assert_eq!((info.claimed_slots, info.participants[0].held_slots), (0, Some(0)));
    drop(last);
    assert_eq!(dir.files(), [""; 0], "left behind");
}

/// Is never killed or stopped, and is never held up.
fn write_steadily(producer: &Producer, over: &AtomicBool) {
    let (mut sent, mut refused) = (0_u64, 0_u64);
    while !over.load(SeqCst) {
        let bytes = payload(1, sent + 1, LEAST + (sent as usize * 97) % (SMALL - LEAST));
        let start = Instant::now();
        match producer.write(&bytes) {
            Ok(_) => sent += 1,
            // Those who stand may hold a slot each beyond their share.
            Err(Error::NoSlot { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
        assert!(start.elapsed() < BOUND, "a write took {:?}", start.elapsed());
        std::thread::sleep(Duration::from_micros(500));
    }
    println!("the steady producer: {sent} frames sent, {refused} without a slot");
    assert!(sent > 100 && refused <= sent / 10, "{sent} sent, {refused} without a slot");
}

/// Is never killed or stopped, and sees everything that is there.
fn read_steadily(mut consumer: Consumer, over: &AtomicBool) {
    let mut seen = Seen::default();
    let mut progress = Instant::now();
    while !over.load(SeqCst) {
        match consumer.recv_timeout(Duration::from_millis(100)) {
            Ok(frame) => {
                seen.take(&frame);
                progress = Instant::now();
            }
            Err(Error::Timeout { .. }) => {
                assert!(progress.elapsed() < BOUND, "nothing came for {:?}", progress.elapsed());
            }
            Err(error) => panic!("{error}"),
        }
    }
    let stats = consumer.stats();
    println!("a steady consumer: {} frames, {} lost, {} copied", stats.received, stats.lost, stats.copied);
    assert!(stats.received > 100);
}

/// Clears a flag when dropped, also by a panic.
struct Lower<'a>(&'a AtomicBool);

impl Drop for Lower<'_> {
    fn drop(&mut self) {
        self.0.store(false, SeqCst);
    }
}
