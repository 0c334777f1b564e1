//! Payload that this process may write for itself.
//!
//! A library that ignores that an array is read-only (OpenCV before 4.9, torch) writes where it may not. Over a read-only
//! mapping that is SIGSEGV; over a private one the process gets a page of its own, which nobody else sees, and which hides what
//! others write to the file from then on. So before the memory of a slot is used for another frame, such pages are dropped.
//!
//! The kernel tells which there are (`/proc/self/pagemap`). A page of our own comes into being by a page fault of this process
//! and in no other way, so where it had none since the last time there is nothing to look for. (Faults that another process
//! causes here, as a debugger does, are counted as its own.)
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use memmap2::{Advice, MmapOptions, MmapRaw};
use nix::sys::resource::{UsageWho, getrusage};
use rustix::io::Errno;
use rustix::mm::{self, madvise, munlock};

use super::fork::GuardedFd;

/// A private mapping of the end of a file.
#[derive(Debug)]
pub(crate) struct PrivateMap {
    map: MmapRaw,
    /// Where in the file it starts: at a page.
    start: usize,
    pagemap: OnceLock<Option<Pagemap>>,
}

impl PrivateMap {
    /// Maps what is between two offsets of a file, and a little before it. With `prefault` its page tables are filled now.
    pub(super) fn new(fd: BorrowedFd<'_>, from: usize, end: usize, prefault: bool) -> io::Result<Self> {
        let start = from - from % rustix::param::page_size();
        let mut options = MmapOptions::new();
        // Nothing is set aside for pages that hardly anybody ever writes.
        options.offset(start as u64).len(end.saturating_sub(start)).no_reserve_swap();
        if prefault {
            options.populate();
        }
        // Read-only at first: to fill the page tables of a writable private mapping copies every page.
        // SAFETY: no reference to its bytes is made here; who makes one answers for the phase that the payload is in.
        let map = unsafe { options.map_copy_read_only(fd.as_raw_fd())? };
        // After `mlockall(MCL_FUTURE)` it is locked, and would be copied for that reason. If this fails, `refresh` copes.
        let _ = map.unlock();
        Ok(Self { map: map.make_mut()?.into(), start, pagemap: OnceLock::new() })
    }

    /// Start of the range, by its offset in the file, if all of it is within the mapping.
    pub(super) fn range(&self, offset: usize, len: usize) -> Option<NonNull<u8>> {
        let offset = offset.checked_sub(self.start)?;
        if offset.checked_add(len)? > self.map.len() {
            return None;
        }
        NonNull::new(self.map.as_mut_ptr().wrapping_add(offset))
    }

    pub(super) fn advise(&self, advice: Advice, offset: usize, len: usize) -> io::Result<()> {
        self.map.advise_range(advice, offset.saturating_sub(self.start), len)
    }

    /// Drops pages of our own from a range, unless there can be none: since `seen`, this process had no page fault.
    pub(super) fn refresh(&self, offset: usize, len: usize, seen: &AtomicU64) -> io::Result<()> {
        // Before the look, so that a fault during it counts.
        let faults = page_faults();
        if faults.is_some_and(|faults| faults == seen.load(Relaxed)) {
            return Ok(());
        }
        let first = self.range(offset, len).ok_or(io::ErrorKind::InvalidInput)?.as_ptr().addr();
        let page = rustix::param::page_size();
        // Whole pages, and not only what is all in the range: where pages are larger than 4096 bytes, slots share them. What a
        // neighbour loses is what was written onto it.
        let base = self.map.as_ptr().addr();
        let last = first.saturating_add(len).next_multiple_of(page);
        let mut first = first - first % page;
        debug_assert!(first >= base, "a mapping starts at a page");
        let pagemap = self.pagemap.get_or_init(Pagemap::open).as_ref();
        while first < last {
            // Without knowledge, all of it: then its pages are found again one by one.
            let found = pagemap.map_or(Ok(Some((first, last))), |pagemap| pagemap.next(first, last));
            let Some((from, to)) = found.unwrap_or(Some((first, last))) else { break };
            self.drop_pages(from.wrapping_sub(base), to.wrapping_sub(from))?;
            first = to;
        }
        seen.store(faults.unwrap_or(u64::MAX), Relaxed);
        Ok(())
    }

    fn drop_pages(&self, at: usize, len: usize) -> io::Result<()> {
        let start = self.map.as_mut_ptr().wrapping_add(at).cast();
        // SAFETY: whole pages within the mapping. Their bytes become what the file has, for references to a slot of which
        // there are none now, or which has the same bytes (the rest of a page that slots share).
        let drop = || unsafe { madvise(start, len, mm::Advice::LinuxDontNeed) };
        if drop() == Err(Errno::INVAL) {
            // Locked: by `mlockall`.
            // SAFETY: whole pages within the mapping.
            unsafe { munlock(start, len)? };
            return Ok(drop()?);
        }
        Ok(())
    }
}

/// The page faults of this process so far, of all its threads; `None` if the system does not count them.
fn page_faults() -> Option<u64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    // One that has to read from swap counts as major.
    let (minor, major) = (usage.minor_page_faults(), usage.major_page_faults());
    counted((minor as u64).wrapping_add(major as u64))
}

/// No process runs without a fault: where there were none, they are not counted, as in gVisor.
fn counted(faults: u64) -> Option<u64> {
    (faults != 0).then_some(faults.min(u64::MAX - 1))
}

/// What the kernel says of this process's pages.
#[derive(Debug)]
struct Pagemap {
    /// It would show the parent's in a forked child.
    file: GuardedFd,
    /// Whether the kernel finds ranges of pages itself, as since Linux 6.7.
    scans: AtomicBool,
}

impl Pagemap {
    /// `None` where it must not be read: in a process that is not dumpable, or without `/proc`.
    fn open() -> Option<Self> {
        let file = GuardedFd::open(|| File::open("/proc/self/pagemap").map(Into::into)).ok()?;
        Some(Self { file, scans: AtomicBool::new(true) })
    }

    /// The first pages of our own between two addresses.
    fn next(&self, first: usize, last: usize) -> io::Result<Option<(usize, usize)>> {
        let file = self.file.fd()?;
        if self.scans.load(Relaxed) {
            match scan(file, first, last) {
                Ok(found) => return Ok(found),
                Err(_) => self.scans.store(false, Relaxed),
            }
        }
        read(file, first, last)
    }
}

/// `struct pm_scan_arg` of `linux/fs.h`.
#[repr(C)]
#[derive(Default)]
struct Scan {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// `struct page_region`.
#[repr(C)]
#[derive(Default)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

/// The first range of pages that are there, or in swap, and are none of the file's.
fn scan(file: BorrowedFd<'_>, first: usize, last: usize) -> io::Result<Option<(usize, usize)>> {
    const FILE: u64 = 1 << 2;
    const PRESENT: u64 = 1 << 3;
    const SWAPPED: u64 = 1 << 4;
    const PAGEMAP_SCAN: rustix::ioctl::Opcode = rustix::ioctl::opcode::read_write::<Scan>(b'f', 16);
    let mut region = Region::default();
    let mut scan = Scan {
        size: size_of::<Scan>() as u64,
        start: first as u64,
        end: last as u64,
        vec: (&raw mut region).expose_provenance() as u64,
        vec_len: 1,
        category_inverted: FILE,
        category_mask: FILE,
        category_anyof_mask: PRESENT | SWAPPED,
        return_mask: FILE,
        ..Scan::default()
    };
    // SAFETY: as the kernel defines this call; it writes to `scan`, and one region to `region`.
    let regions = unsafe { libc::ioctl(file.as_raw_fd(), PAGEMAP_SCAN as _, &raw mut scan) };
    match regions {
        0 => Ok(None),
        1.. => {
            let (start, end) = (usize::try_from(region.start), usize::try_from(region.end));
            match (start, end) {
                (Ok(start), Ok(end)) if first <= start && start < end && end <= last => {
                    Ok(Some((start, end)))
                }
                _ => Err(io::ErrorKind::InvalidData.into()),
            }
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// As [`scan`], by the words of `pagemap(5)`, one for each page.
fn read(file: BorrowedFd<'_>, first: usize, last: usize) -> io::Result<Option<(usize, usize)>> {
    const PRESENT: u64 = 1 << 63;
    const SWAPPED: u64 = 1 << 62;
    const FILE: u64 = 1 << 61;
    const WORD: usize = size_of::<u64>();
    let is_own = |word: u64| word & (PRESENT | SWAPPED) != 0 && word & FILE == 0;
    let page = rustix::param::page_size();
    let mut buffer = [0_u8; 512 * WORD];
    let mut own = None;
    let mut at = first;
    while at < last {
        let pages = ((last - at) / page).min(buffer.len() / WORD);
        let words = buffer.get_mut(..pages * WORD).unwrap_or_default();
        let got =
            rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut *words, (at / page * WORD) as u64))?;
        if got < WORD {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (words, _) = words.get(..got).unwrap_or_default().as_chunks::<WORD>();
        for word in words {
            match (is_own(u64::from_ne_bytes(*word)), own) {
                (true, None) => own = Some(at),
                (false, Some(from)) => return Ok(Some((from, at))),
                _ => {}
            }
            at += page;
        }
    }
    Ok(own.map(|from| (from, last)))
}

#[cfg(test)]
#[path = "private_tests.rs"]
mod tests;
