//! The yardstick for latency: two processes, one shared word, one sleeps on it and the other wakes it 60 times a
//! second. Nothing that tells another process about a frame can be faster.
#![allow(unsafe_code)]

use std::fs::OpenOptions;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use memmap2::{MmapOptions, MmapRaw};
use rustix::thread::futex;
use serde_json::json;

use crate::Result;
use crate::frame;
use crate::histogram::Latencies;
use crate::line::{self, Worker};

const PERIOD: Duration = Duration::from_nanos(16_666_667);
const PATIENCE: Duration = Duration::from_secs(10);
const BYTES: u64 = 4096;
/// The word that tells the waiter to leave.
const END: u32 = u32::MAX;

/// The shared page: the futex word, then the time of the last wake-up.
struct Page(MmapRaw);

impl Page {
    fn open(path: &Path) -> Result<Self> {
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

/// Measures for so long; gives the latencies in nanoseconds.
pub(crate) fn measure(directory: &Path, seconds: f64) -> Result<Latencies> {
    let path = directory.join("futex");
    let name = path.to_string_lossy().into_owned();
    let mut waiter = Worker::start("futex waiter", &["waiter".into(), name.clone()])?;
    waiter.expect("ready", PATIENCE)?;
    let mut waker = Worker::start("futex waker", &["waker".into(), name])?;
    waker.expect("ready", PATIENCE)?;
    std::thread::sleep(Duration::try_from_secs_f64(seconds)?);
    waker.finish(PATIENCE)?;
    let result = waiter.expect("latencies", PATIENCE)?;
    waiter.finish(PATIENCE)?;
    std::fs::remove_file(&path)?;
    Latencies::from_json(&result).ok_or_else(|| "the futex waiter's result is not readable".into())
}

pub(crate) fn run_waker(path: &Path) -> Result<()> {
    let page = Page::open(path)?;
    line::say(&json!({ "ready": true }).to_string())?;
    let (sender, left) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
        let _ = sender.send(());
    });
    let mut value = 0;
    // The wait for the end of the input is the pace.
    while left.recv_timeout(PERIOD).is_err() {
        value += 1;
        wake(&page, value)?;
    }
    wake(&page, END)
}

fn wake(page: &Page, value: u32) -> Result<()> {
    page.time().store(frame::now()?.as_nanos() as u64, Ordering::Relaxed);
    // Pairs with the waiter's Acquire load: who sees the value sees the time.
    page.word().store(value, Ordering::Release);
    futex::wake(page.word(), futex::Flags::empty(), 1)?;
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
