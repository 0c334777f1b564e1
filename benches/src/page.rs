//! A bare file of shared memory: counters on cache lines of their own, then buffers. No ring, no protocol:
//! the yardstick beside which the transports are measured, and what the processes of one benchmark count on.
#![allow(unsafe_code)]

use crate::Res;
use memmap2::{MmapOptions, MmapRaw};
use rustix::thread::futex;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Two cache lines, since processors fetch them in pairs.
const LINE: usize = 128;
/// Counters in a page.
const WORDS: usize = 8;
/// Where the buffers begin: page aligned, as in every transport compared here.
const BUFFERS: usize = 4096;
const _: () = assert!(WORDS * LINE <= BUFFERS);

/// See the module.
#[derive(Debug)]
pub(crate) struct Page {
    map: MmapRaw,
}

impl Page {
    /// Makes the file with `buffers` bytes behind the counters, all of them written once, so that no page
    /// fault is left to be measured.
    pub(crate) fn create(path: &Path, buffers: usize) -> Res<Self> {
        let describe = |e: std::io::Error| format!("cannot make {}: {e}", path.display());
        let mut file =
            OpenOptions::new().read(true).write(true).create_new(true).open(path).map_err(describe)?;
        let block = vec![0; 1 << 20];
        let mut left = BUFFERS.saturating_add(buffers);
        while left > 0 {
            let now = left.min(block.len());
            file.write_all(block.get(..now).unwrap_or_default()).map_err(describe)?;
            left = left.saturating_sub(now);
        }
        Self::map(&file, path)
    }

    /// Opens what `create` made in another process.
    pub(crate) fn open(path: &Path) -> Res<Self> {
        let describe = |e| format!("cannot open {}: {e}", path.display());
        Self::map(&OpenOptions::new().read(true).write(true).open(path).map_err(describe)?, path)
    }

    fn map(file: &File, path: &Path) -> Res<Self> {
        let map = MmapOptions::new().populate().map_raw(file);
        let map = map.map_err(|e| format!("cannot map {}: {e}", path.display()))?;
        if map.len() < BUFFERS {
            return Err(format!("{} is too short to be a page of counters", path.display()).into());
        }
        Ok(Self { map })
    }

    /// Counter number `index` (below 8; higher ones wrap).
    pub(crate) fn word(&self, index: usize) -> &AtomicU64 {
        let offset = (index % WORDS) * LINE;
        // SAFETY: the offset lies within the mapping (its length is checked when it is made) and is a
        // multiple of 128 in page-aligned memory; counters are accessed as atomics only, for as long as
        // `self` keeps the mapping.
        unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().add(offset).cast()) }
    }

    /// The futex word of counter `index`: the 32 bits behind the counter, on the same line.
    pub(crate) fn futex(&self, index: usize) -> &AtomicU32 {
        let offset = (index % WORDS) * LINE + 8;
        // SAFETY: as for `word`; bytes 8 to 12 of a line belong to this word alone.
        unsafe { AtomicU32::from_ptr(self.map.as_mut_ptr().add(offset).cast()) }
    }

    fn buffer(&self, number: usize, len: usize) -> Res<*mut u8> {
        let room = len.next_multiple_of(BUFFERS);
        let offset = number.saturating_mul(room).saturating_add(BUFFERS);
        if offset.saturating_add(len) > self.map.len() {
            return Err(format!("buffer {number} of {len} bytes is outside the page").into());
        }
        // SAFETY: just checked to lie within the mapping.
        Ok(unsafe { self.map.as_mut_ptr().add(offset) })
    }

    /// Buffer `number` of a row of buffers with `len` bytes each, to be written.
    ///
    /// # Safety
    /// No other process or thread may access that buffer while the slice lives.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn buffer_mut(&self, number: usize, len: usize) -> Res<&mut [u8]> {
        let start = self.buffer(number, len)?;
        // SAFETY: within the mapping; exclusive by the caller's promise.
        Ok(unsafe { std::slice::from_raw_parts_mut(start, len) })
    }

    /// The same, to be read.
    ///
    /// # Safety
    /// No other process or thread may write that buffer while the slice lives.
    pub(crate) unsafe fn buffer_ref(&self, number: usize, len: usize) -> Res<&[u8]> {
        let start = self.buffer(number, len)?;
        // SAFETY: within the mapping; not written by the caller's promise.
        Ok(unsafe { std::slice::from_raw_parts(start, len) })
    }
}

/// How many bytes `Page::create` must be given for `count` buffers of `len` bytes.
pub(crate) fn row_bytes(count: usize, len: usize) -> usize {
    len.next_multiple_of(BUFFERS).saturating_mul(count)
}

/// Wakes everyone who sleeps on `word`, in any process.
pub(crate) fn wake_all(word: &AtomicU32) {
    // The only errors are programming mistakes about the address, which is a mapped one here.
    let _ = futex::wake(word, futex::Flags::empty(), i32::MAX.unsigned_abs());
}

/// Sleeps while `word` holds `value`, at most so many nanoseconds; may return early.
pub(crate) fn sleep_on(word: &AtomicU32, value: u32, nanos: u64) {
    let limit = rustix::thread::Timespec {
        tv_sec: i64::try_from(nanos / 1_000_000_000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(nanos % 1_000_000_000).unwrap_or(0),
    };
    // Changed, interrupted and timed out all mean the same to the caller: look again.
    let _ = futex::wait(word, futex::Flags::empty(), value, Some(&limit));
}
