//! The survivors of a scenario, and what they check.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use shmflow::{Consumer, Error, Producer, ProducerBuilder};

use crate::common::Dir;
use crate::common::payload::{LEAST, check, payload};

pub const TOPIC: &str = "matrix";
/// Tags of the survivors' frames; children have others.
const TAGS: [u64; 2] = [1, 2];
/// Tag of those who open to see whether one can.
const PROBE_TAG: u64 = 9;
/// No single operation of a survivor may take longer. The machine may have more to do than this test.
const BOUND: Duration = Duration::from_secs(4);
/// How long the library waits for a stopped process that opens, closes or enlarges.
const PATIENCE: Duration = Duration::from_secs(5);

/// How everybody opens the topic: room for the survivors, the children and what those pin.
pub fn producer_builder(dir: &Path) -> ProducerBuilder {
    // With readers: their permissions differ from the writers'.
    Producer::builder(TOPIC)
        .dir(dir)
        .depth(8)
        .spare_slots(8)
        .slot_capacity(4096)
        .meta_capacity(64)
        .perms(0o644)
}

/// Sizes of all kinds, the same for the same frame.
pub fn size_of(count: u64) -> usize {
    LEAST + (count.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % 4000
}

/// Who published what, and what was seen of it.
#[derive(Debug, Default)]
pub struct Ledger {
    frames: Mutex<BTreeMap<u64, (u64, u64)>>,
    newest: AtomicU64,
}

impl Ledger {
    /// A survivor has published this. Nobody else has.
    fn published(&self, seq: u64, tag: u64, count: u64) {
        let before = self.frames.lock().unwrap().insert(seq, (tag, count));
        // A consumer may have been faster with the news.
        assert!(
            before.is_none_or(|before| before == (tag, count)),
            "frame {seq} is {before:?} and {tag}, {count}"
        );
        self.newest.fetch_max(seq, SeqCst);
    }

    /// A consumer has seen this: all see the same.
    fn seen(&self, seq: u64, tag: u64, count: u64) {
        let mut frames = self.frames.lock().unwrap();
        let found = *frames.entry(seq).or_insert((tag, count));
        assert_eq!(found, (tag, count), "frame {seq} is two frames");
    }
}

#[derive(Debug)]
struct Watcher {
    consumer: Consumer,
    first: u64,
}

impl Watcher {
    fn new(dir: &Path, read_only: bool) -> Self {
        let consumer = Consumer::builder(TOPIC).dir(dir).read_only(read_only).open().unwrap();
        let first = consumer.position();
        Self { consumer, first }
    }

    /// Receives until everything is seen that was published before `done`.
    fn follow(&mut self, ledger: &Ledger, done: &AtomicBool) {
        let mut progress = Instant::now();
        loop {
            let all_published = done.load(SeqCst);
            let newest = ledger.newest.load(SeqCst);
            if all_published && self.consumer.position() > newest {
                break;
            }
            let before = self.consumer.position();
            let start = Instant::now();
            match self.consumer.recv_timeout(Duration::from_millis(100)) {
                Ok(frame) => {
                    assert_eq!(frame.seq(), before + frame.lost_before(), "a gap or a repeat: {frame:?}");
                    let (tag, count) = check(&frame).unwrap_or_else(|why| panic!("{why}: {frame:?}"));
                    ledger.seen(frame.seq(), tag, count);
                    progress = Instant::now();
                }
                // Behind, with nothing to read: only for a moment.
                Err(Error::Timeout { .. }) => assert!(
                    self.consumer.position() > ledger.newest.load(SeqCst) || progress.elapsed() < BOUND,
                    "stuck at {} of {}",
                    self.consumer.position(),
                    ledger.newest.load(SeqCst)
                ),
                Err(error) => panic!("{error}"),
            }
            assert!(start.elapsed() < BOUND, "a receive took {:?}", start.elapsed());
        }
        let stats = self.consumer.stats();
        assert_eq!(
            self.first + stats.received + stats.lost,
            self.consumer.position(),
            "frames were miscounted"
        );
    }
}

/// Two producers, two consumers and one that only reads, which nothing may hurt.
#[derive(Debug)]
pub struct Survivors {
    producers: Vec<(Producer, u64, u64)>,
    watchers: Vec<Watcher>,
    ledger: Ledger,
}

impl Survivors {
    pub fn open(dir: &Dir) -> Self {
        let producers = TAGS.map(|tag| (producer_builder(dir.path()).open().unwrap(), tag, 0)).into();
        let watchers = [false, false, true].map(|read_only| Watcher::new(dir.path(), read_only)).into();
        Self { producers, watchers, ledger: Ledger::default() }
    }

    /// Frames flow and are checked: at least `frames` from each producer, and as long as `meanwhile` takes.
    pub fn flow(&mut self, frames: u64, meanwhile: impl FnOnce() + Send) {
        let Self { producers, watchers, ledger } = self;
        let (done, over) = (&AtomicBool::new(false), &AtomicBool::new(false));
        std::thread::scope(|scope| {
            let meanwhile = named(scope, "meanwhile", move || {
                let _over = Raise(over);
                meanwhile();
            });
            let watchers: Vec<_> = watchers
                .iter_mut()
                .map(|watcher| named(scope, "consumer", || watcher.follow(ledger, done)))
                .collect();
            let producers: Vec<_> = producers
                .iter_mut()
                .map(|(producer, tag, count)| {
                    named(scope, "producer", || {
                        for sent in 0.. {
                            if sent >= frames && over.load(SeqCst) {
                                break;
                            }
                            *count += 1;
                            let bytes = payload(*tag, *count, size_of(*count));
                            let start = Instant::now();
                            let seq = producer.write(&bytes).unwrap();
                            assert!(start.elapsed() < BOUND, "a write took {:?}", start.elapsed());
                            ledger.published(seq, *tag, *count);
                            std::thread::sleep(Duration::from_micros(if sent < frames { 400 } else { 4000 }));
                        }
                    })
                })
                .collect();
            let mut results: Vec<_> = producers.into_iter().map(|thread| thread.join()).collect();
            results.push(meanwhile.join());
            done.store(true, SeqCst);
            results.extend(watchers.into_iter().map(|thread| thread.join()));
            for result in results {
                result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            }
        });
    }

    /// Newcomers can open at once; with `busy`, they are told within the bound that they cannot.
    pub fn flow_and_open(&mut self, frames: u64, dir: &Dir, busy: bool) {
        let sent = Mutex::new(Vec::new());
        self.flow(frames, || {
            if busy {
                assert_busy(dir);
            } else {
                let start = Instant::now();
                let producer = producer_builder(dir.path()).open().unwrap();
                let mut consumer = Consumer::builder(TOPIC).dir(dir).open().unwrap();
                for count in 1..=3 {
                    let seq = producer.write(&payload(PROBE_TAG, count, size_of(count))).unwrap();
                    sent.lock().unwrap().push((seq, count));
                    check(&consumer.recv_timeout(BOUND).unwrap()).unwrap();
                }
                assert!(start.elapsed() < BOUND, "to open took {:?}", start.elapsed());
            }
        });
        for (seq, count) in sent.into_inner().unwrap() {
            self.ledger.seen(seq, PROBE_TAG, count);
        }
    }

    /// Nothing is left behind: every slot can be had, and in the end every file is gone.
    pub fn part(self, dir: &Dir) {
        let last = producer_builder(dir.path()).open().unwrap();
        let slots = last.geometry().slots;
        let claims: Vec<_> = (0..slots)
            .map(|i| last.claim(LEAST).unwrap_or_else(|error| panic!("{i} of {slots} slots, then: {error}")))
            .collect();
        assert!(matches!(last.claim(LEAST), Err(Error::NoSlot { .. })));
        drop(claims);
        // The survivors rest and have dropped every frame; the dead are reaped.
        let info = shmflow::inspect(TOPIC, Some(dir.path())).unwrap();
        let holding: Vec<_> =
            info.participants.iter().map(|p| (p.id, p.held_slots, p.claimed_slots)).collect();
        assert!(
            holding.iter().all(|&(_, holding, writing)| (holding, writing) == (Some(0), 0)),
            "{holding:?}"
        );
        // With nobody else there, nothing may be held or owned.
        drop(self);
        let info = shmflow::inspect(TOPIC, Some(dir.path())).unwrap();
        assert_eq!(info.participants.len(), 1, "{:?}", info.participants);
        assert_eq!(
            (info.claimed_slots, info.participants[0].held_slots),
            (0, Some(0)),
            "{:?}",
            info.participants
        );
        drop(last);
        assert_eq!(dir.files(), [""; 0], "left behind");
    }
}

/// Waits until a lossless producer waits for a slot: see `waiters` in docs/layout.md.
pub fn somebody_waits(dir: &Dir) {
    let peers = std::fs::File::open(dir.path().join(format!("shmflow.{TOPIC}.peers"))).unwrap();
    crate::common::wait_until("a producer waits", || {
        let mut word = [0; 8];
        peers.read_exact_at(&mut word, 328).unwrap();
        u64::from_le_bytes(word) != 0
    });
}

/// Whoever wants to open is told that a stopped process is in the way.
pub fn assert_busy(dir: &Dir) {
    fn bounded(what: &str, result: Result<(), Error>, start: Instant) {
        assert!(
            matches!(result, Err(Error::Busy { .. } | Error::TopicNotFound { .. })),
            "{what}: {result:?}"
        );
        assert!(start.elapsed() < PATIENCE + BOUND, "to be told took {:?}", start.elapsed());
    }
    std::thread::scope(|scope| {
        let producer = named(scope, "opens as producer", || {
            let start = Instant::now();
            let opened = producer_builder(dir.path()).open().map(drop);
            assert!(!matches!(opened, Err(Error::TopicNotFound { .. })));
            bounded("a producer", opened, start);
        });
        let consumer = named(scope, "opens as consumer", || {
            let start = Instant::now();
            bounded("a consumer", Consumer::builder(TOPIC).dir(dir).open().map(drop), start);
        });
        for result in [producer.join(), consumer.join()] {
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
}

/// Sets a flag when dropped, also by a panic.
struct Raise<'a>(&'a AtomicBool);

impl Drop for Raise<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// A thread whose name says what failed, and where.
fn named<'scope, T: Send + 'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    what: &str,
    run: impl FnOnce() -> T + Send + 'scope,
) -> std::thread::ScopedJoinHandle<'scope, T> {
    let here = std::thread::current().name().unwrap_or_default().to_owned();
    std::thread::Builder::new().name(format!("{here}, {what}")).spawn_scoped(scope, run).unwrap()
}
