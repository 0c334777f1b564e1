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

mod common;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use common::payload::{LEAST, check, payload};
use common::role::{self, ProcessState, Role};
use common::{Dir, Random};
use shmflow::{
    CancelToken, Consumer, Delivery, Error, Frame, OnLapped, OverflowPolicy, Producer, ProducerBuilder,
    StartAt,
};

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

/// Other processes, of which any may be killed or stopped at any time.
struct Crowd<'a> {
    dir: &'a Dir,
    random: Random,
    jobs: &'a [&'a str],
    workers: Vec<Worker>,
    tags: u64,
    killed: u64,
    stopped: u64,
    left: u64,
}

struct Worker {
    role: Role,
    job: String,
    goes_on: Option<Instant>,
}

impl<'a> Crowd<'a> {
    fn new(dir: &'a Dir, seed: u64, jobs: &'a [&'a str]) -> Self {
        let random = Random::new(seed);
        let mut crowd =
            Self { dir, random, jobs, workers: Vec::new(), tags: 100, killed: 0, stopped: 0, left: 0 };
        for job in jobs {
            let worker = crowd.start(job);
            crowd.workers.push(worker);
        }
        crowd
    }

    fn start(&mut self, job: &str) -> Worker {
        self.tags += 1;
        let mut role = Role::start("worker", self.dir);
        role.tell(&format!("{job} {} {}", self.tags, self.random.next() >> 1));
        Worker { role, job: job.into(), goes_on: None }
    }

    /// Kills, stops and replaces until the time is over.
    fn rage(&mut self, time: Duration, watched: impl Fn() -> bool) {
        let start = Instant::now();
        while start.elapsed() < time && watched() {
            std::thread::sleep(Duration::from_millis(5 + self.random.below(40)));
            let now = Instant::now();
            for worker in &mut self.workers {
                if worker.goes_on.is_some_and(|at| at <= now) {
                    worker.role.go_on();
                    worker.goes_on = None;
                }
                let fate = worker.role.fate();
                assert!(!matches!(fate, ProcessState::Died(_)), "a {} has failed: {fate:?}", worker.job);
            }
            let victim = self.random.below(self.workers.len() as u64) as usize;
            match self.random.below(10) {
                0..4 => {
                    self.workers[victim].role.kill();
                    self.killed += 1;
                    self.replace(victim);
                }
                4..8 if self.workers[victim].goes_on.is_none() => {
                    self.workers[victim].role.stop();
                    self.stopped += 1;
                    // Mostly short, at times longer than those who open or grow care to wait.
                    let long = self.random.below(30) == 0;
                    let ms = if long { 6000 } else { 1 + self.random.below(400) };
                    self.workers[victim].goes_on = Some(now + Duration::from_millis(ms));
                }
                8 if self.workers[victim].goes_on.is_none() => {
                    self.left += 1;
                    let job = self.workers[victim].job.clone();
                    let new = self.start(&job);
                    std::mem::replace(&mut self.workers[victim], new).role.finish();
                }
                _ => {}
            }
        }
    }

    fn replace(&mut self, victim: usize) {
        let job = self.workers[victim].job.clone();
        self.workers[victim] = self.start(&job);
    }

    /// Half of them are killed where they are, stopped or not; the others leave.
    fn ends(mut self) {
        let others: Vec<_> = self.workers.drain(..).enumerate().collect();
        // One of them may wait for another.
        others.iter().filter(|(i, _)| i % 2 != 0).for_each(|(_, worker)| worker.role.go_on());
        for (i, mut worker) in others {
            if i % 2 == 0 {
                worker.role.kill();
            } else {
                worker.role.finish();
            }
        }
        println!(
            "torture of {}: {} killed, {} stopped, {} left in order",
            self.jobs.len(),
            self.killed,
            self.stopped,
            self.left
        );
    }
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
        let jobs = ["producer", "producer", "producer", "consumer", "consumer", "consumer", "reader"];
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
    let mut crowd = Crowd::new(&dir, seed(), &jobs);
    crowd.rage(Duration::from_secs(seconds()), || true);
    crowd.ends();
    nothing_is_left(&dir);
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

/// What a consumer has seen so far.
#[derive(Default)]
struct Seen {
    next: Option<u64>,
    /// The newest frame of each writer.
    counts: HashMap<u64, u64>,
}

impl Seen {
    fn take(&mut self, frame: &Frame) -> (u64, u64) {
        let (tag, count) = check(frame).unwrap_or_else(|why| panic!("{why}: {frame:?}"));
        if let Some(next) = self.next.replace(frame.seq() + 1) {
            assert_eq!(frame.seq(), next + frame.lost_before(), "a gap or a repeat: {frame:?}");
        }
        // Each writer publishes one frame after the other.
        let before = self.counts.insert(tag, count).unwrap_or(0);
        assert!(count > before, "frame {count} of writer {tag} after {before}: {frame:?}");
        (tag, count)
    }
}

/// Clears a flag when dropped, also by a panic.
struct Lower<'a>(&'a AtomicBool);

impl Drop for Lower<'_> {
    fn drop(&mut self) {
        self.0.store(false, SeqCst);
    }
}

/// Not a test: what the other processes are.
#[test]
#[ignore = "played by the other processes"]
fn worker() {
    let Some(dir) = role::dir() else { return };
    let job = role::heard().unwrap();
    let words: Vec<&str> = job.split(' ').collect();
    let (tag, seed) = (words[1].parse().unwrap(), words[2].parse().unwrap());
    // When the input ends, it is time to leave.
    static LEAVE: AtomicBool = AtomicBool::new(false);
    let cancel_token = CancelToken::new();
    let cancel = cancel_token.clone();
    std::thread::spawn(move || {
        while role::heard().is_some() {}
        LEAVE.store(true, SeqCst);
        cancel.cancel();
    });
    let mut worker = Work { dir: &dir, tag, count: 0, largest: SMALL as u64, random: Random::new(seed) };
    while !LEAVE.load(SeqCst) {
        let turns = if words[0].starts_with("visiting") { worker.random.below(40) } else { u64::MAX };
        match words[0] {
            "producer" | "visiting-producer" => worker.produce(words[0] == "producer", turns, &LEAVE),
            "patient-producer" => worker.produce_patiently(&cancel_token),
            "recorder" => worker.record(Delivery::All, &LEAVE),
            "preview" => worker.record(Delivery::Latest, &LEAVE),
            "consumer" | "visiting-consumer" => worker.consume(false, turns, &LEAVE),
            "reader" => worker.consume(true, turns, &LEAVE),
            other => panic!("no such job: {other}"),
        }
    }
}

struct Work<'a> {
    dir: &'a Path,
    tag: u64,
    count: u64,
    largest: u64,
    random: Random,
}

impl Work<'_> {
    fn produce(&mut self, readers: bool, turns: u64, leave: &AtomicBool) {
        let producer = match producer(self.dir, readers).open() {
            Ok(producer) => producer,
            // A stopped process is in the way.
            Err(Error::Busy { .. }) => return,
            Err(error) => panic!("a producer could not open: {error}"),
        };
        for _ in 0..turns {
            if leave.load(SeqCst) {
                return;
            }
            if let Err(error) = self.publish(&producer) {
                match error {
                    Error::NoSlot { .. } | Error::Busy { .. } => {}
                    error => panic!("a producer could not publish: {error}"),
                }
            }
            std::thread::sleep(Duration::from_micros(self.random.below(1500)));
        }
    }

    fn publish(&mut self, producer: &Producer) -> Result<(), Error> {
        if self.random.below(400) == 0 {
            self.largest = (self.largest * 3 / 2).min(LARGE);
        }
        let len = LEAST + self.random.below(self.largest - LEAST as u64) as usize;
        self.count += 1;
        let bytes = payload(self.tag, self.count, len);
        match self.random.below(10) {
            0 => drop(producer.claim(len)?),
            1 => {
                // Held for a while, perhaps across a growth.
                let mut claim = producer.claim(len)?;
                claim.copy_from_slice(&bytes);
                std::thread::sleep(Duration::from_micros(self.random.below(3000)));
                let published = claim.publish()?;
                std::thread::sleep(Duration::from_micros(self.random.below(1000)));
                assert!(*published == *bytes, "a frame changed after its publication");
            }
            _ => drop(producer.write(&bytes)?),
        }
        Ok(())
    }

    fn produce_patiently(&mut self, cancel_token: &CancelToken) {
        let producer = match patient(self.dir).cancel_token(cancel_token).open() {
            Ok(producer) => producer,
            Err(Error::Busy { .. }) => return,
            Err(error) => panic!("a producer could not open: {error}"),
        };
        while !cancel_token.is_cancelled() {
            match self.publish(&producer) {
                Ok(()) | Err(Error::Busy { .. } | Error::Cancelled { .. }) => {}
                Err(error) => panic!("a producer could not publish: {error}"),
            }
            std::thread::sleep(Duration::from_micros(self.random.below(1500)));
        }
    }

    /// Receives everything from the moment at which it is registered, unless it wants the latest.
    fn record(&mut self, delivery: Delivery, leave: &AtomicBool) {
        let builder = Consumer::builder(TOPIC).dir(self.dir).delivery(delivery);
        let mut consumer = match builder.connect_timeout(Duration::from_millis(100)).open() {
            Ok(consumer) => consumer,
            Err(Error::Busy { .. } | Error::Timeout { .. }) => return,
            Err(error) => panic!("a consumer could not open: {error}"),
        };
        assert!(consumer.id().is_some());
        let first = consumer.position();
        let mut seen = Seen::default();
        while !leave.load(SeqCst) {
            match consumer.recv_timeout(Duration::from_millis(100)) {
                Ok(frame) => {
                    // Of the frames that were there before it, each producer may just have been taking one.
                    let owed = delivery == Delivery::All && frame.seq() - frame.lost_before() > first + 64;
                    assert!(!owed || frame.lost_before() == 0, "owed, and lost: {frame:?}");
                    seen.take(&frame);
                }
                Err(Error::Timeout { .. }) => {}
                Err(Error::Removed { .. }) => return,
                Err(error) => panic!("a consumer could not receive: {error}"),
            }
            if self.random.below(8) == 0 {
                std::thread::sleep(Duration::from_micros(self.random.below(1000)));
            }
        }
    }

    fn consume(&mut self, read_only: bool, turns: u64, leave: &AtomicBool) {
        let start = [StartAt::Oldest, StartAt::Newest, StartAt::Next][self.random.below(3) as usize];
        let on_lapped = [OnLapped::Oldest, OnLapped::Newest][self.random.below(2) as usize];
        let builder =
            Consumer::builder(TOPIC).dir(self.dir).read_only(read_only).start(start).on_lapped(on_lapped);
        let mut consumer = match builder.connect_timeout(Duration::from_millis(100)).open() {
            Ok(consumer) => consumer,
            Err(Error::Busy { .. } | Error::Timeout { .. }) => return,
            Err(error) => panic!("a consumer could not open: {error}"),
        };
        let first = consumer.position();
        let mut seen = Seen::default();
        let mut held: Vec<(Frame, (u64, u64))> = Vec::new();
        for _ in 0..turns {
            if leave.load(SeqCst) {
                return;
            }
            match consumer.recv_timeout(Duration::from_millis(100)) {
                Ok(frame) => {
                    let which = seen.take(&frame);
                    let stats = consumer.stats();
                    assert_eq!(first + stats.received + stats.lost, consumer.position(), "miscounted");
                    if self.random.below(3) == 0 {
                        held.push((frame, which));
                    }
                }
                Err(Error::Timeout { .. }) => {}
                Err(Error::Removed { .. }) => return,
                Err(error) => panic!("a consumer could not receive: {error}"),
            }
            // Nobody has written into what was held.
            while !held.is_empty() && (held.len() > 6 || self.random.below(3) == 0) {
                let (frame, which) = held.swap_remove(self.random.below(held.len() as u64) as usize);
                assert_eq!(check(&frame), Ok(which), "was held: {frame:?}");
            }
            if self.random.below(4) == 0 {
                std::thread::sleep(Duration::from_micros(self.random.below(4000)));
            }
        }
    }
}
