//! Shared memory: the only place that maps it.
//!
//! A peer may write this memory at any moment. So nothing here hands out a reference to plain bytes: control words are
//! atomics, payload is a raw pointer whose user answers for the phase it is in, and whatever may be changing is copied
//! word by word with atomic loads.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

use memmap2::{Advice, MmapOptions, MmapRaw};
use rustix::fs::fstat;

use super::copy;
use super::private::PrivateMap;

/// What a mapping may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Loads only; a store is a segmentation fault.
    ReadOnly,
    /// Loads and stores.
    ReadWrite,
}

/// A shared mapping of the first bytes of a file. It starts at a page.
#[derive(Debug)]
pub(crate) struct Mapping {
    map: MmapRaw,
    access: Access,
    payload: Payload,
}

/// What the bytes behind the control words are mapped as.
#[derive(Debug)]
enum Payload {
    /// As the rest.
    Same,
    /// From this offset on, with pages of our own where this process has written.
    Private(usize, PrivateMap),
    /// As the rest, although they were to be private: they are not to be read in place.
    Refused,
}

impl Mapping {
    /// Maps `len` bytes of the file. With `prefault` their page tables are filled now instead of at the first touch of
    /// each page.
    ///
    /// # Errors
    /// `InvalidData` if the file is shorter: touching the rest would kill the process. Else what `mmap` says.
    pub(crate) fn new(fd: impl AsFd, len: usize, access: Access, prefault: bool) -> io::Result<Self> {
        let fd = fd.as_fd();
        check_length(fd, len)?;
        let mut options = MmapOptions::new();
        options.len(len);
        if prefault {
            options.populate();
        }
        let map = match access {
            Access::ReadOnly => options.map_raw_read_only(fd.as_raw_fd())?,
            Access::ReadWrite => options.map_raw(fd.as_raw_fd())?,
        };
        Ok(Self { map, access, payload: Payload::Same })
    }

    /// A mapping to read whose bytes from `from` on this process may write, too: what it writes there, it alone sees, until
    /// [`refresh`](Self::refresh). If the system has no private mapping for us, all of it is shared and read-only, and
    /// `refresh` fails: limits on address space and data count private memory, and so does strict overcommitment.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(crate) fn copy_on_write(fd: impl AsFd, len: usize, from: usize, prefault: bool) -> io::Result<Self> {
        let fd = fd.as_fd();
        check_length(fd, len)?;
        let Ok(private) = PrivateMap::new(fd, from, len, prefault) else {
            return Ok(Self { payload: Payload::Refused, ..Self::new(fd, len, Access::ReadOnly, prefault)? });
        };
        // The control words stay shared: to wait on a futex would make their page our own for ever.
        let control = Self::new(fd, from, Access::ReadOnly, prefault)?;
        Ok(Self { payload: Payload::Private(from, private), ..control })
    }

    /// The private part, if the range begins there.
    fn private(&self, offset: usize) -> Option<&PrivateMap> {
        match &self.payload {
            Payload::Private(from, map) if offset >= *from => Some(map),
            _ => None,
        }
    }

    /// Whether this process may write where payload is, for itself.
    pub(crate) fn is_private(&self) -> bool {
        matches!(self.payload, Payload::Private(..))
    }

    /// Has a range of payload show what is in the file, whatever this process wrote there. `seen` is for this alone, one for
    /// each range, at first `u64::MAX`.
    ///
    /// # Errors
    /// If it may show something else: then it is not to be read in place.
    pub(crate) fn refresh(&self, offset: usize, len: usize, seen: &AtomicU64) -> io::Result<()> {
        match &self.payload {
            Payload::Same => Ok(()),
            Payload::Private(_, map) => map.refresh(offset, len, seen),
            Payload::Refused => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Whether stores are possible.
    pub(crate) fn access(&self) -> Access {
        self.access
    }

    /// Start of the range if all of it is within the mapping.
    fn range(&self, offset: usize, len: usize) -> Option<NonNull<u8>> {
        if let Some(private) = self.private(offset) {
            return private.range(offset, len);
        }
        if offset.checked_add(len)? > self.map.len() {
            return None;
        }
        NonNull::new(self.map.as_mut_ptr().wrapping_add(offset))
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

    /// Its length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.map.len()
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
        if let Payload::Private(from, _) = self.payload
            && let Some(control) = from.checked_sub(offset).filter(|control| (1..len).contains(control))
        {
            self.touch(offset, control)?;
            return self.touch(from, len - control);
        }
        self.range(offset, len).ok_or(io::ErrorKind::InvalidInput)?;
        let advice = match self.access {
            Access::ReadOnly => Advice::PopulateRead,
            Access::ReadWrite => Advice::PopulateWrite,
        };
        self.advise(advice, offset, len)
    }

    fn advise(&self, advice: Advice, offset: usize, len: usize) -> io::Result<()> {
        match self.private(offset) {
            Some(private) => private.advise(advice, offset, len),
            None => self.map.advise_range(advice, offset, len),
        }
    }

    /// Keeps a range out of core dumps, as far as it consists of whole pages and the kernel can do it.
    pub(crate) fn leave_out_of_dumps(&self, offset: usize, len: usize) {
        let page = rustix::param::page_size();
        let end = offset.saturating_add(len);
        // Up, and at the end of the mapping too: nothing else is behind it.
        let Some(offset) = offset.checked_next_multiple_of(page) else { return };
        let len = end.saturating_sub(offset);
        if len != 0 && self.range(offset, len).is_some() {
            let _ = self.advise(Advice::DontDump, offset, len);
        }
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

fn check_length(fd: BorrowedFd<'_>, len: usize) -> io::Result<()> {
    let size = u64::try_from(fstat(fd)?.st_size).unwrap_or(0);
    if len == 0 || u64::try_from(len).map_or(true, |len| len > size) {
        let why = format!("the file has {size} bytes and {len} are to be mapped");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::TempDir;
    use super::*;
    use std::fs::File;
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

    #[test]
    fn a_mapping_that_is_not_permitted_or_too_long_is_an_error() {
        let dir = TempDir::new();
        let file = file(&dir);
        file.set_len(8 << 20).unwrap();
        let reader = File::open(dir.path().join("m")).unwrap();
        let error = Mapping::new(&reader, 8 << 20, Access::ReadWrite, false).unwrap_err();
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
