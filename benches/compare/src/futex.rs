//! The yardstick for latency: two processes, one shared word, one sleeps on it and the other wakes it 60 times a
//! second. Nothing that tells another process about a frame can be faster.
#![allow(unsafe_code)]

use std::fs::OpenOptions;
use std::io::BufRead;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use memmap2::{MmapOptions, MmapRaw};
use nix::time::{ClockId, clock_gettime};
use rustix::thread::futex;
use serde_json::json;

use crate::Result;
use crate::frame::{self, HEADER};
use crate::histogram::Latencies;
use crate::line::{self, Worker};

const PERIOD: Duration = Duration::from_nanos(16_666_667);
const PATIENCE: Duration = Duration::from_secs(10);
const BYTES: u64 = 4096;
/// The word that tells the waiter to leave.
const END: u32 = u32::MAX;

/// The shared page: the futex word, then the time of the last wake-up.
#[derive(Debug)]
pub(crate) struct Page(MmapRaw);

impl Page {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        file.set_len(BYTES)?;
        Ok(Self(MmapOptions::new().len(BYTES as usize).map_raw(&file)?))
    }

    fn word(&self) -> &AtomicU32 {
        // SAFETY: the mapping is page-aligned, 4096 bytes long and lives as long as `self`; every process uses these
        // bytes as an atomic of this size only.
        unsafe { AtomicU32::from_ptr(self.0.as_mut_ptr().cast()) }
    }

    fn time(&self) -> &AtomicU64 {
        // SAFETY: as above; 64 bytes into a page is aligned for 8 bytes and inside.
        unsafe { AtomicU64::from_ptr(self.0.as_mut_ptr().add(64).cast()) }
    }
}

/// For the elements of `floor`: the header of a frame where the time is otherwise.
impl Page {
    fn field(&self, index: usize) -> &AtomicU64 {
        // SAFETY: as above; there are four of these words.
        unsafe { AtomicU64::from_ptr(self.0.as_mut_ptr().add(64 + 8 * (index % 4)).cast()) }
    }

    /// Tells every waiter about a frame.
    pub(crate) fn tell(&self, header: &[u8; HEADER]) -> Result<()> {
        for (index, bytes) in header.chunks_exact(8).enumerate() {
            self.field(index).store(u64::from_le_bytes(bytes.try_into()?), Ordering::Relaxed);
        }
        // Pairs with the Acquire load in `hear`.
        self.word().fetch_add(1, Ordering::Release);
        futex::wake(self.word(), futex::Flags::empty(), i32::MAX.unsigned_abs())?;
        Ok(())
    }

    /// Waits until something is told that is newer than `last`, or somebody is disturbed.
    pub(crate) fn hear(&self, last: &mut u32) -> Result<Option<[u8; HEADER]>> {
        match futex::wait(self.word(), futex::Flags::empty(), *last, None) {
            Ok(()) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let value = self.word().load(Ordering::Acquire);
        if std::mem::replace(last, value) == value {
            return Ok(None);
        }
        let mut header = [0; HEADER];
        for (index, bytes) in header.chunks_exact_mut(8).enumerate() {
            bytes.copy_from_slice(&self.field(index).load(Ordering::Relaxed).to_le_bytes());
        }
        Ok(Some(header))
    }

    /// Has every waiter look up.
    pub(crate) fn disturb(&self) {
        self.word().fetch_add(1, Ordering::Release);
        let _ = futex::wake(self.word(), futex::Flags::empty(), i32::MAX.unsigned_abs());
    }
}

/// What a bare futex does.
#[derive(Debug)]
pub(crate) struct Bare {
    /// From just before the call until a waiter runs, in nanoseconds, over all waiters
    pub(crate) latencies: Latencies,
    /// Processor time of the waker inside the call, in nanoseconds
    pub(crate) wake_ns: f64,
}

/// Measures for so long, with so many processes asleep.
pub(crate) fn measure(directory: &Path, seconds: f64, waiters: u32) -> Result<Bare> {
    let path = directory.join("futex");
    let name = path.to_string_lossy().into_owned();
    let mut sleeping = Vec::new();
    for index in 1..=waiters {
        let mut waiter = Worker::start(&format!("futex waiter {index}"), &["waiter".into(), name.clone()])?;
        waiter.expect("ready", PATIENCE)?;
        sleeping.push(waiter);
    }
    let mut waker = Worker::start("futex waker", &["waker".into(), name])?;
    waker.expect("ready", PATIENCE)?;
    std::thread::sleep(Duration::try_from_secs_f64(seconds)?);
    waker.tell("end")?;
    let wake_ns = waker.expect("wake_ns", PATIENCE)?.as_f64().ok_or("the waker's result is not readable")?;
    waker.finish(PATIENCE)?;
    let mut latencies = Latencies::default();
    for mut waiter in sleeping {
        let result = waiter.expect("latencies", PATIENCE)?;
        waiter.finish(PATIENCE)?;
        latencies.merge(&Latencies::from_json(&result).ok_or("a waiter's result is not readable")?);
    }
    std::fs::remove_file(&path)?;
    Ok(Bare { latencies, wake_ns })
}

pub(crate) fn run_waker(path: &Path) -> Result<()> {
    let page = Page::open(path)?;
    line::say(&json!({ "ready": true }).to_string())?;
    let (sender, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().lock().read_line(&mut String::new());
        let _ = sender.send(());
    });
    let mut value = 0;
    let mut spent = Duration::ZERO;
    // The wait for the parent's word is the pace.
    while told.recv_timeout(PERIOD).is_err() {
        value += 1;
        let before = thread_cpu()?;
        wake(&page, value)?;
        spent = spent.saturating_add(thread_cpu()?.saturating_sub(before));
    }
    wake(&page, END)?;
    let wake_ns = spent.as_nanos() as f64 / f64::from(value.max(1));
    line::say(&json!({ "wake_ns": wake_ns }).to_string())
}

fn thread_cpu() -> Result<Duration> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?))
}

fn wake(page: &Page, value: u32) -> Result<()> {
    page.time().store(frame::now()?.as_nanos() as u64, Ordering::Relaxed);
    // Pairs with the waiter's Acquire load: who sees the value sees the time.
    page.word().store(value, Ordering::Release);
    futex::wake(page.word(), futex::Flags::empty(), i32::MAX.unsigned_abs())?;
    Ok(())
}

pub(crate) fn run_waiter(path: &Path) -> Result<()> {
    let page = Page::open(path)?;
    line::say(&json!({ "ready": true }).to_string())?;
    let mut latencies = Latencies::with_room();
    let mut last = page.word().load(Ordering::Acquire);
    loop {
        let slept = futex::wait(page.word(), futex::Flags::empty(), last, None);
        let now = frame::now()?.as_nanos() as u64;
        match slept {
            Ok(()) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let value = page.word().load(Ordering::Acquire);
        if value == END {
            break;
        }
        if value != last {
            last = value;
            latencies.add(now.saturating_sub(page.time().load(Ordering::Relaxed)));
        }
    }
    line::say(&json!({ "latencies": latencies.to_json() }).to_string())
}
