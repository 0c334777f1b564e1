//! What must hold for any bytes in the files of a topic: opening, reading, writing, growing and removing it give values
//! or errors, and come back. The fuzz targets, the replay of their corpora and the mutation tests all call this.
//!
//! An input is a list of records of twelve bytes: what to do, where, and a word. The files begin as those of a sound
//! topic, so that every record takes its effect and not only those that guess a magic number.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use shmflow::{Claim, Consumer, Frame, OnLapped, Producer, ProducerMode, StartAt};

const RECORD: usize = 12;
/// Longer inputs say nothing new.
const MOST_RECORDS: usize = 200;
/// What an operation may take at most. Nothing here waits for longer than a millisecond, but the machine may be busy.
const LONGEST: Duration = Duration::from_secs(4);

/// One step of an input.
#[derive(Clone, Copy, Debug)]
struct Record {
    what: u8,
    file: u8,
    at: u16,
    word: u64,
}

fn records(bytes: &[u8]) -> impl Iterator<Item = Record> + '_ {
    bytes.chunks_exact(RECORD).take(MOST_RECORDS).map(|chunk| {
        let (head, word) = chunk.split_at(4);
        Record {
            what: head[0],
            file: head[1],
            at: u16::from_le_bytes([head[2], head[3]]),
            word: u64::from_le_bytes(word.try_into().expect("eight bytes are left")),
        }
    })
}

/// A directory of this one input's own.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("shmflow-fuzz-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let path = Path::new("/dev/shm").join(name);
        fs::create_dir(&path).expect("a directory for the input");
        Self(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The files of a sound topic: names and contents, `peers`, `ring`, `holds`.
type Files = [(String, Vec<u8>); 3];

fn sound() -> &'static Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES.get_or_init(|| {
        let dir = Dir::new();
        let producer = producer(&dir.0, true).expect("a sound topic");
        let mut consumer =
            Consumer::builder("t").dir(&dir.0).accepted_caps("video/x-raw").open().expect("a consumer");
        for i in 0..6 {
            producer.write(&[i; 50]).expect("a frame");
        }
        drop(consumer.recv());
        let mut names: Vec<_> = fs::read_dir(&dir.0)
            .expect("its files")
            .map(|entry| entry.expect("a name").file_name().into_string().expect("an ordinary name"))
            .collect();
        names.sort();
        let [holds, peers, ring]: [String; 3] = names.try_into().expect("three files");
        // As a crash leaves them: with participants and their holds, and nobody alive.
        [peers, ring, holds].map(|name| {
            let content = fs::read(dir.0.join(&name)).expect("a readable file");
            (name, content)
        })
    })
}

fn producer(dir: &Path, persistent: bool) -> shmflow::Result<Producer> {
    Producer::builder("t")
        .dir(dir)
        .depth(4)
        .history(2)
        .slot_capacity(100)
        .meta_capacity(128)
        .perms(0o644)
        .prefault(false)
        .persistent(persistent)
        .open()
}

/// Open handles on the files, to change them while they are in use.
struct Bytes {
    files: Vec<(File, u64)>,
}

impl Bytes {
    fn write(dir: &Path) -> Self {
        let files = sound().iter().map(|(name, content)| {
            fs::write(dir.join(name), content).expect("a file for the input");
            Self::open(&dir.join(name)).expect("it was written just now")
        });
        Self { files: files.collect() }
    }

    /// The files of a topic that is in use.
    fn of(dir: &Path) -> Self {
        let mut names: Vec<_> =
            fs::read_dir(dir).expect("its files").map(|entry| entry.expect("a name").path()).collect();
        names.sort();
        // As above: `peers`, `ring`, `holds`.
        names.rotate_left(1);
        Self { files: names.iter().filter_map(|path| Self::open(path)).collect() }
    }

    fn open(path: &Path) -> Option<(File, u64)> {
        let file = File::options().read(true).write(true).open(path).ok()?;
        let len = file.metadata().ok()?.len();
        Some((file, len))
    }

    /// Changes a word. Only words that are there: cutting off what others have mapped would kill them, which the
    /// permissions of the files have to prevent.
    fn change(&self, record: Record) {
        let Some((file, len)) = self.files.get(usize::from(record.file) % self.files.len().max(1)) else {
            return;
        };
        let at = u64::from(record.at) * 8 % (len & !7).max(8);
        let mut old = [0; 8];
        if file.read_exact_at(&mut old, at).is_err() {
            return;
        }
        let old = u64::from_le_bytes(old);
        let new = match record.what >> 4 & 3 {
            0 => record.word,
            1 => old ^ record.word,
            2 => old.wrapping_add(record.word),
            // A small number, as counters, lengths and flags are.
            _ => record.word & 0xff,
        };
        let _ = file.write_all_at(&new.to_le_bytes(), at);
    }

    /// Gives a file another length, before anybody uses it.
    fn resize(&self, record: Record) {
        if let Some((file, len)) = self.files.get(usize::from(record.file) % self.files.len().max(1)) {
            let _ = file.set_len(record.word % (len * 2));
        }
    }
}

/// What a participant may hold on to.
#[derive(Default)]
struct Users {
    producers: Vec<Producer>,
    consumers: Vec<Consumer>,
    claims: Vec<Claim>,
    frames: Vec<Frame>,
}

impl Users {
    /// Does one thing with the topic; errors are answers. Whether it was one that needs a sound topic and worked.
    fn act(&mut self, dir: &Path, record: Record) -> bool {
        const MOST: usize = 4;
        let start = Instant::now();
        let which = usize::from(record.file);
        let len = usize::from(record.at) % 100;
        let worked = match record.what % 16 {
            0 => opened(&mut self.producers, producer(dir, record.at.is_multiple_of(2)), MOST),
            1 => {
                let mode = match record.at % 3 {
                    0 => ProducerMode::Exclusive,
                    1 => ProducerMode::Primary { takeover_timeout: Duration::from_micros(1) },
                    _ => ProducerMode::Shared,
                };
                let wanted = Producer::builder("t").dir(dir).depth(u32::from(record.at % 5)).mode(mode);
                opened(&mut self.producers, wanted.slot_capacity(200).open(), MOST)
            }
            2 | 3 => {
                let start = [StartAt::Oldest, StartAt::Newest, StartAt::Next][usize::from(record.at) % 3];
                let on_lapped = [OnLapped::Oldest, OnLapped::Newest][usize::from(record.at / 3) % 2];
                let wanted =
                    Consumer::builder("t").dir(dir).start(start).on_lapped(on_lapped).prefault(false);
                let wanted = wanted.read_only(record.what % 16 == 3).accepted_caps("audio/x-raw");
                opened(&mut self.consumers, wanted.open(), MOST)
            }
            4 | 5 => self.producer(which).is_some_and(|producer| producer.write(&vec![7; len]).is_ok()),
            6 => {
                let claim = self.producer(which).and_then(|producer| producer.claim(len).ok());
                self.claims.truncate(MOST - 1);
                let worked = claim.is_some();
                self.claims.extend(claim);
                worked
            }
            7 => self.claims.pop().is_some_and(|mut claim| {
                claim.fill(9);
                claim.publish().is_ok()
            }),
            8..=10 => {
                let wait = Duration::from_micros(u64::from(record.at % 1000));
                let frame = self.consumer(which).and_then(|consumer| match record.what % 16 {
                    8 => consumer.recv_timeout(wait).ok(),
                    _ => consumer.try_recv().ok().flatten(),
                });
                let worked = frame.is_some();
                if let Some(frame) = frame {
                    // Reads all of it: whatever a slot says of its length must be there.
                    let sum = frame.iter().fold(0_u64, |sum, byte| sum.wrapping_add(u64::from(*byte)));
                    std::hint::black_box((
                        sum,
                        frame.meta().is_ok(),
                        frame.meta_bytes().len(),
                        frame.producer(),
                    ));
                    self.frames.truncate(MOST - 1);
                    self.frames.push(frame);
                }
                worked
            }
            11 => {
                drop(self.frames.pop());
                let consumer = self.consumer(which);
                consumer.is_some_and(|consumer| {
                    let _ = consumer.stream_status();
                    consumer.set_accepted_caps("image/jpeg").is_ok() && consumer.skip_to_newest().is_ok()
                })
            }
            12 => self.producer(which).is_some_and(|producer| {
                // Small steps: what is tested is not the machine's memory.
                producer.grow(100 + usize::from(record.at), u32::from(record.at % 7)).is_ok()
            }),
            13 => self.producer(which).is_some_and(|producer| {
                producer.end();
                std::hint::black_box((
                    producer.consumers(),
                    producer.consumer_count(),
                    producer.stats(),
                    producer.try_become_primary(),
                ));
                let wait = Some(Duration::from_micros(10));
                producer.wait_event(producer.events(), wait, &shmflow::CancelToken::new()).is_ok()
            }),
            14 => {
                let info = shmflow::inspect("t", Some(dir));
                std::hint::black_box(shmflow::topics(Some(dir)).expect("a directory that can be read"));
                info.is_ok_and(|info| info.rate_since(&info).is_none())
            }
            _ => match record.at % 8 {
                0 => shmflow::remove("t", Some(dir), record.at.is_multiple_of(16)).is_ok(),
                1 => shmflow::gc(Some(dir)).is_ok(),
                2 => self.producers.pop().is_some(),
                3 => self.consumers.pop().is_some(),
                _ => self.frames.pop().is_some(),
            },
        };
        let elapsed = start.elapsed();
        assert!(elapsed < LONGEST, "{record:?} took {elapsed:?}");
        worked
    }

    fn producer(&self, which: usize) -> Option<&Producer> {
        self.producers.get(which % self.producers.len().max(1))
    }

    fn consumer(&mut self, which: usize) -> Option<&mut Consumer> {
        let count = self.consumers.len().max(1);
        self.consumers.get_mut(which % count)
    }
}

fn opened<T>(all: &mut Vec<T>, new: shmflow::Result<T>, most: usize) -> bool {
    if let Err(error) = &new {
        assert!(!error.to_string().is_empty());
    }
    let worked = new.is_ok();
    all.extend(new);
    if all.len() > most {
        drop(all.remove(0));
    }
    worked
}

/// Everything that one does with a topic, once.
fn use_it(dir: &Path, users: &mut Users) -> bool {
    let whole = [14, 2, 3, 0, 14, 8, 9, 4, 8, 9, 6, 13, 12, 4, 11, 8, 9, 7, 8, 1, 4, 8, 14, 8, 9];
    let mut worked = 0;
    for (i, what) in (0_u8..).zip(whole) {
        worked += u32::from(users.act(dir, Record { what, file: i, at: u16::from(i) * 7, word: 0 }));
    }
    worked >= 12
}

/// Opens and uses a topic whose files hold what the input made of them. Says whether it could be used.
pub(crate) fn attach(input: &[u8]) -> bool {
    let dir = Dir::new();
    let bytes = Bytes::write(&dir.0);
    for record in records(input) {
        if record.what == 0xff { bytes.resize(record) } else { bytes.change(record) }
    }
    let mut users = Users::default();
    let worked = use_it(&dir.0, &mut users);
    drop(users);
    let _ = shmflow::remove("t", Some(&dir.0), true);
    worked
}

/// Uses a topic while the input changes its files under the hands of its users. Says whether it could be used to the
/// end.
pub(crate) fn attach_live(input: &[u8]) -> bool {
    const CHANGES: u8 = 0x80;
    let dir = Dir::new();
    let mut users = Users::default();
    users.producers.push(producer(&dir.0, false).expect("a sound topic"));
    users.consumers.push(Consumer::builder("t").dir(&dir.0).open().expect("a consumer"));
    users.consumers.push(Consumer::builder("t").dir(&dir.0).read_only(true).open().expect("a reader"));
    let bytes = Bytes::of(&dir.0);
    for record in records(input) {
        if record.what & CHANGES != 0 {
            bytes.change(record);
        } else {
            users.act(&dir.0, record);
        }
    }
    // And once more from another thread, at moments that nobody chooses.
    let changes: Vec<_> = records(input).filter(|record| record.what & CHANGES != 0).collect();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (bytes, done) = (&bytes, &done);
        scope.spawn(move || {
            for record in changes.iter().cycle().take(2000) {
                if done.load(Relaxed) {
                    break;
                }
                bytes.change(*record);
            }
        });
        let worked = use_it(&dir.0, &mut users);
        done.store(true, Relaxed);
        worked
    })
}
