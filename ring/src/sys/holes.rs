//! Which parts of a file have memory.
//!
//! On a memory file system a process that touches a hole through a mapping gives it memory, even if it only reads. So
//! somebody who makes a file of a terabyte, which costs nothing, could have its readers fill the machine.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{SeekFrom, fstat, fstatfs, seek};
use rustix::io::{Errno, pread};

use super::space;

/// A copy of so many bytes or fewer needs no look at the machine's memory.
const MODEST: u64 = 64 << 20;

/// Bytes of the file that have memory, or room on a disk.
pub(crate) fn allocated(fd: impl AsFd) -> io::Result<u64> {
    // Always of this size, whatever the blocks of the file system.
    const BLOCK: u64 = 512;
    Ok(u64::try_from(fstat(fd)?.st_blocks).unwrap_or(0).saturating_mul(BLOCK))
}

/// Whether so many bytes of the file have memory, as far as it matters. Elsewhere than on a memory file system a hole that
/// is read takes only cache, and compression makes the number of blocks mean something else.
pub(crate) fn has_memory_for(fd: impl AsFd, len: u64) -> io::Result<bool> {
    Ok(allocated(fd.as_fd())? >= len || fstatfs(fd.as_fd())?.f_type != libc::TMPFS_MAGIC)
}

/// Whether the file is on a memory file system: what it has is memory then.
pub(crate) fn is_in_memory(fd: impl AsFd) -> bool {
    fstatfs(fd).is_ok_and(|fs| fs.f_type == libc::TMPFS_MAGIC)
}

/// Whether a buffer may be allocated for a copy of so many bytes of the file: a file whose maker has paid for less is no reason to.
///
/// On a disk, room costs its maker no memory, so that there must also be enough of that here. File systems that compress, or do not
/// say what they have set aside, tell nothing by their blocks.
pub(crate) fn may_be_copied(fd: impl AsFd, len: u64) -> io::Result<bool> {
    const EXT: u32 = 0xef53;
    const XFS: u32 = 0x5846_5342;
    let kind = fstatfs(fd.as_fd())?.f_type;
    let in_memory = kind == libc::TMPFS_MAGIC;
    let tells = in_memory || [EXT, XFS].contains(&(kind as u32));
    if tells && allocated(fd)? < len {
        return Ok(false);
    }
    Ok(in_memory || is_modest(len, space::free_memory))
}

/// Whether so many bytes are few, beside the memory that is free.
fn is_modest(len: u64, free: impl FnOnce() -> Option<u64>) -> bool {
    len <= MODEST || free().is_none_or(|free| len <= free / 2)
}

/// Whether the range has a hole. What is reserved and was never written may count as one.
pub(crate) fn has_hole(fd: impl AsFd, at: u64, len: u64) -> bool {
    // The offset of the descriptor, which this moves, is nobody's: files are mapped, or read at given offsets.
    match seek(fd, SeekFrom::Hole(at)) {
        Ok(hole) => hole < at.saturating_add(len),
        // Beyond the end, or a system that cannot say.
        Err(_) => len != 0,
    }
}

/// Reads the range without giving its holes memory; they read as zeros. `false` if the file is shorter.
pub(crate) fn read(fd: impl AsFd, at: u64, mut dst: &mut [u8]) -> io::Result<bool> {
    let mut from = at;
    while !dst.is_empty() {
        match pread(fd.as_fd(), &mut *dst, from) {
            Ok(0) => return Ok(false),
            Ok(read) => {
                from = from.saturating_add(read as u64);
                dst = dst.get_mut(read..).unwrap_or_default();
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::super::testing::TempDir;
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    #[test]
    fn a_copy_of_what_is_on_a_disk_takes_half_of_the_free_memory_at_most() {
        const GIB: u64 = 1 << 30;
        assert!(is_modest(MODEST, || unreachable!("too few bytes to ask")));
        assert!(is_modest(4 * GIB, || Some(8 * GIB)) && !is_modest(4 * GIB + 1, || Some(8 * GIB)));
        assert!(is_modest(4 * GIB, || None), "where the system does not say");
        assert!(space::free_memory().is_none_or(|free| free > MODEST));
    }

    #[test]
    fn holes_are_told_from_memory_and_reading_them_fills_nothing() {
        const MIB: u64 = 1 << 20;
        let dir = TempDir::new();
        let path = dir.path().join("f");
        let file = File::options().read(true).write(true).create_new(true).open(path).unwrap();
        file.set_len(64 * MIB).unwrap();
        file.write_all_at(&vec![7; MIB as usize], 8 * MIB).unwrap();
        assert!(has_memory_for(&file, MIB).unwrap());
        assert!(!has_memory_for(&file, 8 * MIB).unwrap());
        assert!(is_in_memory(&file) && may_be_copied(&file, MIB).unwrap());
        assert!(!may_be_copied(&file, 8 * MIB).unwrap());
        assert!(!has_hole(&file, 8 * MIB, MIB));
        assert!(has_hole(&file, 8 * MIB, 5 * MIB) && has_hole(&file, 0, 1) && has_hole(&file, 64 * MIB, 1));
        let before = allocated(&file).unwrap();
        let mut bytes = vec![1; 16 * MIB as usize];
        assert!(read(&file, 4 * MIB, &mut bytes).unwrap());
        assert!(bytes.iter().enumerate().all(|(i, b)| *b == if i as u64 / MIB == 4 { 7 } else { 0 }));
        assert_eq!(allocated(&file).unwrap(), before);
        assert!(!read(&file, 63 * MIB, &mut bytes).unwrap());
    }
}
