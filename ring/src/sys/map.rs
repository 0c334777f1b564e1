//! Shared memory: the only place that maps it.
//!
//! A peer may write this memory at any moment. So nothing here hands out a reference to plain bytes: control words are
//! atomics, payload is a raw pointer whose user answers for the phase it is in, and whatever may be changing is copied
//! word by word with atomic loads.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::AtomicU32;

use nix::sys::stat::fstat;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};

use super::copy;

/// What a mapping may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Loads only; a store is a segmentation fault.
    ReadOnly,
    /// Loads and stores.
    ReadWrite,
}

/// A shared mapping of the first bytes of a file. It starts at a page, and if it is large at a huge page.
#[derive(Debug)]
pub(crate) struct Mapping {
    region: Region,
    access: Access,
}

impl Mapping {
    /// Maps `len` bytes of the file. With `prefault` their page tables are filled now instead of at the first touch of
    /// each page.
    ///
    /// # Errors
    /// `InvalidData` if the file is shorter: touching the rest would kill the process. Else what `mmap` says.
    pub(crate) fn new(fd: impl AsFd, len: usize, access: Access, prefault: bool) -> io::Result<Self> {
        let fd = fd.as_fd();
        let size = u64::try_from(fstat(fd)?.st_size).unwrap_or(0);
        if len == 0 || u64::try_from(len).map_or(true, |len| len > size) {
            let why = format!("the file has {size} bytes and {len} are to be mapped");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Ok(Self { region: Region::new(fd, len, access, prefault)?, access })
    }

    /// Whether stores are possible.
    pub(crate) fn access(&self) -> Access {
        self.access
    }

    /// Start of the range if all of it is within the mapping.
    fn range(&self, offset: usize, len: usize) -> Option<NonNull<u8>> {
        if offset.checked_add(len)? > self.region.len {
            return None;
        }
        // SAFETY: `offset` is within the mapping or just past its end, as checked.
        Some(unsafe { self.region.start.add(offset) })
    }

    /// The control word at a byte offset; `None` outside the mapping or off its natural alignment.
    ///
    /// A store to a word of a read-only mapping is a segmentation fault: ask [`access`](Self::access) first.
    pub(crate) fn u32_at(&self, offset: usize) -> Option<&AtomicU32> {
        let pointer = self.range(offset, size_of::<AtomicU32>())?.cast::<AtomicU32>();
        if !pointer.is_aligned() {
            return None;
        }
        // SAFETY: in bounds and aligned (checked), valid for any bit pattern, alive as long as `self`; control words
        // are only ever accessed as atomics of this size.
        Some(unsafe { pointer.as_ref() })
    }

    /// Where payload lies. Valid as long as the mapping; whether it may be read or written, and as what, is for the
    /// holder of the slot to answer.
    pub(crate) fn bytes_ptr(&self, offset: usize, len: usize) -> Option<NonNull<u8>> {
        self.range(offset, len)
    }

    /// Fills the page tables of a range, which gives holes of the file memory.
    ///
    /// # Errors
    /// If there is none left, and on kernels before 5.14. No process is killed.
    pub(crate) fn touch(&self, offset: usize, len: usize) -> io::Result<()> {
        let past = offset % rustix::param::page_size();
        let (offset, len) = (offset - past, len.saturating_add(past));
        let start = self.range(offset, len).ok_or(io::ErrorKind::InvalidInput)?;
        let advice = match self.access {
            Access::ReadOnly => Advice::LinuxPopulateRead,
            Access::ReadWrite => Advice::LinuxPopulateWrite,
        };
        // SAFETY: within the mapping, and what is there stays as it is.
        unsafe { madvise(start.as_ptr().cast(), len, advice)? };
        Ok(())
    }

    /// Copies out bytes that others may be changing; what comes is then any mixture of old and new. `false`, and
    /// nothing copied, if the range is not within the mapping.
    #[must_use]
    pub(crate) fn copy_out(&self, offset: usize, dst: &mut [u8]) -> bool {
        let Some(src) = self.range(offset, dst.len()) else { return false };
        // SAFETY: the source is `dst.len()` mapped bytes; the destination is exclusively ours, so they are apart.
        unsafe { copy::copy_racy(src.as_ptr(), dst.as_mut_ptr(), dst.len()) };
        true
    }

    /// Copies bytes in, around the caches if they are many. `false`, and nothing copied, if the range is not within a
    /// writable mapping.
    ///
    /// # Safety
    /// No reference to these bytes may exist in this process; the caller owns their slot.
    #[must_use]
    pub(crate) unsafe fn copy_in(&self, offset: usize, src: &[u8]) -> bool {
        if self.access != Access::ReadWrite {
            return false;
        }
        let Some(dst) = self.range(offset, src.len()) else { return false };
        // SAFETY: the destination is `src.len()` mapped, writable bytes to which nobody here has a reference.
        unsafe { copy::copy_in(src, dst.as_ptr()) };
        true
    }
}

/// The size of a huge page where pages have 4 KiB; elsewhere an alignment as good as any.
const HUGE_PAGE: usize = 2 << 20;

/// Mapped memory, unmapped when dropped.
#[derive(Debug)]
struct Region {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: it owns the mapping as a `Box` owns its memory; who may access which bytes is settled above.
unsafe impl Send for Region {}
// SAFETY: as above; a shared `Region` gives away nothing but its address.
unsafe impl Sync for Region {}

impl Region {
    fn new(fd: BorrowedFd<'_>, len: usize, access: Access, prefault: bool) -> io::Result<Self> {
        let protection = match access {
            Access::ReadOnly => ProtFlags::READ,
            Access::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
        };
        let mut flags = MapFlags::SHARED;
        flags.set(MapFlags::POPULATE, prefault);
        let start = if len < HUGE_PAGE {
            // SAFETY: a new mapping at an address of the kernel's choice.
            unsafe { mmap(null_mut(), len, protection, flags, fd, 0)? }
        } else {
            let place = Reservation::new(len)?;
            // SAFETY: replaces `len` bytes of the reservation, which nobody else knows.
            let start =
                unsafe { mmap(place.aligned.cast(), len, protection, flags | MapFlags::FIXED, fd, 0)? };
            place.give_back_the_rest();
            start
        };
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at address 0"))?;
        Ok(Self { start, len })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: ours, and nothing that borrows from the mapping outlives it. It fails only for what is not mapped.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// Addresses, and nothing behind them, that hold `len` bytes from a multiple of a huge page on.
struct Reservation {
    start: *mut u8,
    whole: usize,
    /// Where the mapping is to be; `len` bytes from here on belong to it once it is.
    aligned: *mut u8,
    len: usize,
}

impl Reservation {
    fn new(len: usize) -> io::Result<Self> {
        let too_long = || io::Error::from_raw_os_error(libc::ENOMEM);
        // Whole pages, as a mapping takes them, so that what is left over is exactly what was not mapped.
        let len = len.checked_next_multiple_of(rustix::param::page_size()).ok_or_else(too_long)?;
        let whole = len.checked_add(HUGE_PAGE).ok_or_else(too_long)?;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let start: *mut u8 = unsafe { mmap_anonymous(null_mut(), whole, ProtFlags::empty(), flags)? }.cast();
        let aligned = start.wrapping_add(start.align_offset(HUGE_PAGE).min(HUGE_PAGE));
        Ok(Self { start, whole, aligned, len })
    }

    /// Forgets the part that has been mapped, and unmaps what is before and behind it.
    fn give_back_the_rest(self) {
        let this = std::mem::ManuallyDrop::new(self);
        let before = this.aligned.addr().saturating_sub(this.start.addr());
        let behind = this.whole.saturating_sub(before).saturating_sub(this.len);
        for (start, len) in [(this.start, before), (this.aligned.wrapping_add(this.len), behind)] {
            if len > 0 {
                // SAFETY: a part of the reservation that nobody has been given.
                let _ = unsafe { munmap(start.cast(), len) };
            }
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: all of it is still ours.
        let _ = unsafe { munmap(self.start.cast(), self.whole) };
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Role, TempDir};
    use super::*;
    use std::fs::File;
    use std::path::Path;
    use std::sync::atomic::Ordering;

    const LEN: usize = 8192;

    fn file(dir: &TempDir) -> File {
        let file =
            File::options().read(true).write(true).create_new(true).open(dir.path().join("m")).unwrap();
        file.set_len(LEN as u64).unwrap();
        file
    }

    #[test]
    fn words_outside_or_unaligned_do_not_exist() {
        let dir = TempDir::new();
        let map = Mapping::new(file(&dir), LEN, Access::ReadWrite, false).unwrap();
        for good in [0, 4, 8, LEN - 4] {
            assert!(map.u32_at(good).is_some(), "{good}");
        }
        for bad in [1, 2, LEN - 2, LEN, LEN + 8, usize::MAX, usize::MAX - 3] {
            assert!(map.u32_at(bad).is_none(), "{bad}");
        }
        assert!(map.bytes_ptr(0, LEN).is_some() && map.bytes_ptr(LEN, 0).is_some());
        for (offset, len) in [(1, LEN), (LEN, 1), (usize::MAX, 1), (1, usize::MAX)] {
            assert!(map.bytes_ptr(offset, len).is_none(), "{offset} {len}");
        }
    }

    #[test]
    fn two_mappings_of_a_file_show_the_same() {
        let dir = TempDir::new();
        let file = file(&dir);
        let writer = Mapping::new(&file, LEN, Access::ReadWrite, true).unwrap();
        let reader = Mapping::new(&file, LEN, Access::ReadOnly, true).unwrap();
        writer.u32_at(64).unwrap().store(7, Ordering::Release);
        assert_eq!(reader.u32_at(64).unwrap().load(Ordering::Acquire), 7);
        // SAFETY: no reference to these bytes exists.
        assert!(unsafe { writer.copy_in(4099, b"hello") });
        let mut out = [0; 5];
        assert!(reader.copy_out(4099, &mut out));
        assert_eq!(&out, b"hello");
    }

    #[test]
    fn a_touched_range_has_memory_and_keeps_its_content() {
        use std::os::unix::fs::MetadataExt;
        let dir = TempDir::new();
        let file = file(&dir);
        for access in [Access::ReadOnly, Access::ReadWrite] {
            let map = Mapping::new(&file, LEN, access, false).unwrap();
            map.touch(4100, 10).unwrap();
            assert_eq!(file.metadata().unwrap().blocks() * 512, 4096, "one page, and not the first");
            for (offset, len) in [(0, LEN + 1), (LEN, 1), (usize::MAX, 1)] {
                assert!(map.touch(offset, len).is_err());
            }
        }
        std::os::unix::fs::FileExt::write_all_at(&file, b"hello", 5000).unwrap();
        let map = Mapping::new(&file, LEN, Access::ReadWrite, false).unwrap();
        map.touch(0, LEN).unwrap();
        let mut out = [0; 5];
        assert!(map.copy_out(5000, &mut out) && &out == b"hello");
    }

    #[test]
    fn copies_outside_the_mapping_or_into_a_read_only_one_do_nothing() {
        let dir = TempDir::new();
        let file = file(&dir);
        let reader = Mapping::new(&file, LEN, Access::ReadOnly, false).unwrap();
        let mut out = [1; 16];
        assert!(!reader.copy_out(LEN - 15, &mut out) && !reader.copy_out(usize::MAX, &mut out));
        assert_eq!(out, [1; 16]);
        // SAFETY: no reference to these bytes exists.
        assert!(!unsafe { reader.copy_in(0, &out) });
        let writer = Mapping::new(&file, LEN, Access::ReadWrite, false).unwrap();
        // SAFETY: as above.
        assert!(!unsafe { writer.copy_in(LEN - 15, &out) });
    }

    /// How many separate mappings this process has, and how many lead to `path`.
    fn mappings_of(path: &Path) -> usize {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().filter(|line| line.ends_with(path.to_str().unwrap())).count()
    }

    #[test]
    fn a_large_mapping_is_aligned_for_huge_pages_and_goes_whole() {
        const LARGE: usize = 3 * HUGE_PAGE + 12288;
        let dir = TempDir::new();
        let file = file(&dir);
        file.set_len(LARGE as u64).unwrap();
        let path = dir.path().join("m");
        let map = Mapping::new(&file, LARGE, Access::ReadWrite, true).unwrap();
        let reader = Mapping::new(&file, LARGE, Access::ReadOnly, false).unwrap();
        assert_eq!(map.bytes_ptr(0, 1).unwrap().addr().get() % HUGE_PAGE, 0);
        let words = (0..LARGE - 4).step_by(4096);
        for at in words.clone() {
            map.u32_at(at).unwrap().store(at as u32 + 1, Ordering::Relaxed);
        }
        assert!(words.clone().all(|at| reader.u32_at(at).unwrap().load(Ordering::Relaxed) == at as u32 + 1));
        assert_eq!(file.metadata().unwrap().len(), LARGE as u64);
        assert_eq!(mappings_of(&path), 2);
        drop((map, reader));
        assert_eq!(mappings_of(&path), 0);
    }

    #[test]
    fn mapping_again_and_again_uses_up_no_addresses() {
        assert!(Role::start("sys::map::tests::role_of_a_mapper", Path::new("/")).passes());
    }

    #[test]
    #[ignore = "runs as a process of another test"]
    fn role_of_a_mapper() {
        if Role::argument().is_none() {
            return;
        }
        /// Size of all mappings of this process, in pages.
        fn addresses_used() -> u64 {
            let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
            statm.split(' ').next().unwrap().parse().unwrap()
        }
        const ODD: usize = HUGE_PAGE + 4096;
        let dir = TempDir::new();
        let file = file(&dir);
        file.set_len(ODD as u64).unwrap();
        let read_only = File::open(dir.path().join("m")).unwrap();
        let before = addresses_used();
        for _ in 0..2000 {
            Mapping::new(&file, ODD - 1, Access::ReadWrite, false).unwrap();
            assert!(Mapping::new(&read_only, ODD, Access::ReadWrite, false).is_err());
        }
        assert!(addresses_used() < before + 1000, "{before} {}", addresses_used());
    }

    #[test]
    fn a_mapping_that_fails_leaves_no_reservation() {
        let dir = TempDir::new();
        let file = file(&dir);
        file.set_len(4 * HUGE_PAGE as u64).unwrap();
        let reader = File::open(dir.path().join("m")).unwrap();
        let error = Mapping::new(&reader, 4 * HUGE_PAGE, Access::ReadWrite, false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        let error = Mapping::new(&file, usize::MAX, Access::ReadWrite, false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_file_that_is_too_short_is_refused() {
        let dir = TempDir::new();
        let file = file(&dir);
        for len in [0, LEN + 1, usize::MAX] {
            let error = Mapping::new(&file, len, Access::ReadWrite, false).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }
}
