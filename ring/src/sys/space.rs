//! How much memory a directory can still take, before asking for it; and asking for it.
//!
//! On a memory file system, running out does not always say so: beyond a control group's limit the kernel kills a
//! process instead. So this looks first, at the file system, at the limits of every control group this process is in,
//! and at the memory of the machine; the smallest wins.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statfs, statvfs};
use rustix::process::{Resource, getrlimit};

use crate::error::SpaceLimit;

/// Less is free than needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shortage {
    /// Bytes free.
    pub(crate) free: u64,
    /// What limits it.
    pub(crate) limit: SpaceLimit,
}

/// Whether `dir` can take a file of `needed` bytes; if not, how many it can.
///
/// # Errors
/// If `dir` is no directory that can be examined. Limits that cannot be read count as none.
pub(crate) fn check(dir: &Path, needed: u64) -> io::Result<Option<Shortage>> {
    // Asked for more, the kernel does not only refuse: it sends SIGXFSZ, which ends the process.
    let longest = getrlimit(Resource::Fsize).current.filter(|longest| *longest < needed);
    let shortage = match longest {
        Some(free) => Some(Shortage { free, limit: SpaceLimit::FileSize }),
        None => free(dir)?,
    };
    Ok(shortage.filter(|shortage| shortage.free < needed))
}

/// How many bytes `dir` can take, and what limits that; `None` if nothing does.
pub(crate) fn free(dir: &Path) -> io::Result<Option<Shortage>> {
    let mut limits = Vec::new();
    let fs = statvfs(dir)?;
    // A tmpfs without limits says that it has no blocks at all.
    if fs.f_blocks > 0 {
        let free = fs.f_bavail.saturating_mul(fs.f_frsize);
        limits.push(Shortage { free, limit: SpaceLimit::FileSystem });
    }
    if statfs(dir)?.f_type == libc::TMPFS_MAGIC {
        limits.extend(memory_limits());
    }
    Ok(limits.into_iter().min_by_key(|shortage| shortage.free))
}

/// How many bytes of memory this process can still have; `None` if the system does not say.
pub(crate) fn free_memory() -> Option<u64> {
    memory_limits().map(|shortage| shortage.free).min()
}

/// What the control groups leave, and the machine.
fn memory_limits() -> impl Iterator<Item = Shortage> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok();
    let free = meminfo.as_deref().and_then(memory_available);
    let machine = free.map(|free| Shortage { free, limit: SpaceLimit::Memory });
    control_group_limit().into_iter().chain(machine)
}

/// Whether the file system can hold no more files (which says nothing about its room for data).
pub(crate) fn has_no_file_entries(dir: &Path) -> bool {
    statvfs(dir).is_ok_and(|fs| fs.f_files > 0 && fs.f_favail == 0)
}

/// What kind of file system a directory is on, for people.
pub(crate) fn file_system(dir: &Path) -> String {
    /// Those that somebody may try, and that lack something.
    const KNOWN: [(u32, &str); 11] = [
        (HUGETLBFS, "hugetlbfs"),
        (0x8584_58f6, "ramfs"),
        (0x0000_6969, "NFS"),
        (0x0102_1997, "9p"),
        (0x6573_5546, "FUSE"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB"),
        (0x0000_4d44, "FAT"),
        (0x2011_bab0, "exFAT"),
        (0x0000_9fa0, "proc"),
        (0x6265_6572, "sysfs"),
    ];
    let Some(kind) = kind_of(dir) else { return "an unknown file system".into() };
    let known = KNOWN.iter().find(|(number, _)| *number == kind);
    known.map_or_else(|| format!("a file system of type {kind:#x}"), |(_, name)| (*name).into())
}

/// Whether a directory is known to be on something else than a memory file system: what is written there goes to a disk.
pub(crate) fn is_disk(dir: &Path) -> bool {
    const TMPFS: u32 = libc::TMPFS_MAGIC as u32;
    kind_of(dir).is_some_and(|kind| kind != TMPFS)
}

const HUGETLBFS: u32 = 0x9584_58f6;

/// Whether a directory is one of those whose files consist of huge pages, and cannot be written to but by mapping them.
pub(crate) fn is_hugetlbfs(dir: &Path) -> bool {
    kind_of(dir) == Some(HUGETLBFS)
}

/// The magic number: 32 bits in a field that is signed, and as long as the machine's words.
fn kind_of(dir: &Path) -> Option<u32> {
    Some(statfs(dir).ok()?.f_type as u32)
}

/// Reserves `len` bytes of a file, which becomes so long. What is reserved already stays so.
pub(crate) fn reserve(fd: impl AsFd, start: u64, len: u64) -> io::Result<()> {
    in_pieces(len, |at, piece| {
        Ok(fallocate(fd.as_fd(), FallocateFlags::empty(), start.saturating_add(at), piece)?)
    })
}

/// The largest piece: a multiple of a huge page, and a few milliseconds' work.
const PIECE: u64 = 4 << 20;
/// The smallest: some microseconds' work.
const LEAST_PIECE: u64 = 64 << 10;

/// Calls `reserve` with one piece after the other.
///
/// A kernel from before 2024 gives up what one call has reserved of a memory file when a signal comes, so that under a
/// timer (a profiler's, say) one call for all of it may never end. What was reserved in a call before stays. So a piece
/// that was interrupted is tried again with half the size: the pieces become as small as the signals are frequent.
fn in_pieces(len: u64, mut reserve: impl FnMut(u64, u64) -> io::Result<()>) -> io::Result<()> {
    let (mut done, mut piece) = (0, PIECE);
    while done < len {
        let now = piece.min(len - done);
        match reserve(done, now) {
            Ok(()) => {
                done += now;
                piece = piece.saturating_mul(2).min(PIECE);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                piece = (piece / 2).max(LEAST_PIECE);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The tightest memory limit of the control groups of this process.
fn control_group_limit() -> Option<Shortage> {
    let membership = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    group_dirs(&membership, &mounts)
        .into_iter()
        .filter_map(|(version, group)| {
            let free = read_group(version, &group)?;
            Some(Shortage { free, limit: SpaceLimit::ControlGroup { group } })
        })
        .min_by_key(|shortage| shortage.free)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

fn read_group(version: Version, group: &Path) -> Option<u64> {
    let read = |file: &str| fs::read_to_string(group.join(file)).ok();
    let (max, current) = match version {
        Version::One => (read("memory.limit_in_bytes")?, read("memory.usage_in_bytes")?),
        Version::Two => (read("memory.max")?, read("memory.current")?),
    };
    let stat = read("memory.stat").unwrap_or_default();
    group_free(&max, &current, &stat)
}

/// What a group with this limit and use can still take; `None` without a limit. Clean and inactive file cache counts
/// as free: the kernel drops it before it refuses anybody.
fn group_free(max: &str, current: &str, stat: &str) -> Option<u64> {
    /// Version 1 says "no limit" with the largest number of whole pages.
    const NO_LIMIT: u64 = i64::MAX as u64 - 0xFFFF;
    let max: u64 = max.trim().parse().ok()?; // "max" of version 2 is no number
    if max >= NO_LIMIT {
        return None;
    }
    let current: u64 = current.trim().parse().ok()?;
    Some(max.saturating_sub(current.saturating_sub(reclaimable(stat))))
}

/// File cache in a `memory.stat`. Version 1 has the sums over all groups below under `total_…`, which are meant.
fn reclaimable(stat: &str) -> u64 {
    let value = |name: &str| {
        stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse::<u64>().ok())
    };
    ["inactive_file", "active_file"]
        .iter()
        .map(|name| value(&format!("total_{name}")).or_else(|| value(name)).unwrap_or(0))
        .fold(0, u64::saturating_add)
}

/// The directories of all groups with a memory controller that this process is in, from its own up to the root, as
/// told by the texts of `/proc/self/cgroup` and `/proc/self/mountinfo`.
fn group_dirs(membership: &str, mounts: &str) -> Vec<(Version, PathBuf)> {
    let mut dirs = Vec::new();
    for line in membership.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(group)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let version = match controllers {
            "" => Version::Two,
            list if list.split(',').any(|controller| controller == "memory") => Version::One,
            _ => continue,
        };
        for mount in mounts.lines().filter_map(parse_mount).filter(|mount| mount.version == version) {
            // In a container without a namespace of its own the mount shows a part of the tree only; a group outside
            // of that part is not visible, but what is mounted limits us as well.
            let below = Path::new(group).strip_prefix(&mount.root).unwrap_or(Path::new(""));
            let visible = !below.components().any(|part| part == std::path::Component::ParentDir);
            let leaf = mount.point.join(if visible { below } else { Path::new("") });
            for dir in leaf.ancestors().take_while(|dir| dir.starts_with(&mount.point)) {
                dirs.push((version, dir.components().collect()));
            }
        }
    }
    dirs
}

#[derive(Debug)]
struct Mount {
    version: Version,
    root: PathBuf,
    point: PathBuf,
}

/// One line of `mountinfo`, if it is a control group file system with the memory controller.
fn parse_mount(line: &str) -> Option<Mount> {
    let (place, kind) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let (root, point) = (unescape_octal(place.next()?)?, unescape_octal(place.next()?)?);
    let mut kind = kind.split(' ');
    let version = match (kind.next()?, kind.nth(1)) {
        ("cgroup2", _) => Version::Two,
        ("cgroup", Some(options)) if options.split(',').any(|option| option == "memory") => Version::One,
        _ => return None,
    };
    Some(Mount { version, root, point })
}

/// `mountinfo` writes space, tab, newline and backslash as `\ooo`.
fn unescape_octal(text: &str) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'\\' {
            let mut value = 0u32;
            for _ in 0..3 {
                value = value * 8 + char::from(rest.next()?).to_digit(8)?;
            }
            bytes.push(u8::try_from(value).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    Some(std::ffi::OsString::from_vec(bytes).into())
}

/// Bytes that `/proc/meminfo` says can be had without (much) trouble, swap included.
fn memory_available(meminfo: &str) -> Option<u64> {
    let value = |name: &str| {
        let kib = meminfo
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().strip_suffix("kB"))?;
        kib.trim().parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(value("MemAvailable")?.saturating_add(value("SwapFree").unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Role;
    use super::*;

    #[test]
    fn the_longest_file_of_a_process_is_a_limit_that_kills_nobody() {
        let role = Role::start("sys::space::tests::role_of_one_with_short_files", Path::new("/"));
        assert!(role.passes());
    }

    #[test]
    #[ignore = "runs as a process of another test"]
    fn role_of_one_with_short_files() {
        if Role::argument().is_none() {
            return;
        }
        let dir = super::super::testing::TempDir::new();
        let longest = 2 << 20;
        let limit = rustix::process::Rlimit { current: Some(longest), maximum: Some(longest) };
        rustix::process::setrlimit(Resource::Fsize, limit).unwrap();
        let builder =
            |depth| crate::Producer::builder("t").dir(dir.path()).slot_capacity(100_000).depth(depth);
        let error = builder(30).open().unwrap_err();
        assert!(error.to_string().contains("ulimit -f"), "{error}");
        let producer = builder(4).open().unwrap();
        let error = producer.write(&[0; 1_000_000]).unwrap_err();
        let crate::Error::NoSpace { needed, free, limit: SpaceLimit::FileSize, .. } = error else {
            panic!("{error}")
        };
        assert!(free == longest && needed > longest);
        assert_eq!(producer.write(&[0; 100_000]).unwrap(), 1, "it goes on as it is");
    }

    #[test]
    fn what_a_group_can_still_take() {
        let v2 = "anon 5\ninactive_file 30\nactive_file 20\nfile 99\n";
        let v1 = "inactive_file 1\nactive_file 1\ntotal_inactive_file 30\ntotal_active_file 20\n";
        for (max, current, stat, free) in [
            ("max\n", "100\n", "", None),
            ("9223372036854771712\n", "100\n", "", None),
            ("9223372036854710272\n", "100\n", "", None), // 64 KiB pages
            ("1000\n", "100\n", "", Some(900)),
            ("1000\n", "100\n", v2, Some(950)),
            ("1000\n", "100\n", v1, Some(950)),
            ("1000\n", "40\n", v2, Some(1000)),
            ("1000\n", "2000\n", "", Some(0)),
            ("0\n", "0\n", "", Some(0)),
            ("", "100", "", None),
            ("1000", "", "", None),
            ("-1", "100", "", None),
            ("99999999999999999999999", "1", "", None),
            ("1000", "100", "inactive_file x\nactive_file\n", Some(900)),
            ("1000", "1000", "inactive_file 18446744073709551615\nactive_file 5", Some(1000)),
        ] {
            assert_eq!(group_free(max, current, stat), free, "{max:?} {current:?} {stat:?}");
        }
    }

    #[test]
    fn groups_are_found_up_to_the_mount_point() {
        let two = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        let docker = "30 24 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        let one = "33 32 0:30 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n\
                   34 32 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
        let spaced = "33 32 0:30 / /mnt/a\\040b rw - cgroup2 none rw\n";
        for (membership, mounts, expected) in [
            ("0::/a/b\n", two, &["/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup"][..]),
            ("0::/\n", two, &["/sys/fs/cgroup"]),
            ("0::/../../other\n", two, &["/sys/fs/cgroup"]),
            ("0::/docker/abc/x\n", docker, &["/sys/fs/cgroup/x", "/sys/fs/cgroup"]),
            ("0::/docker/other\n", docker, &["/sys/fs/cgroup"]),
            (
                "9:name=systemd:/s\n5:cpu,cpuacct:/c\n4:memory:/box\n0::/\n",
                one,
                &["/sys/fs/cgroup/memory/box", "/sys/fs/cgroup/memory"],
            ),
            ("0::/x:y\n", two, &["/sys/fs/cgroup/x:y", "/sys/fs/cgroup"]),
            ("0::/a\n", spaced, &["/mnt/a b/a", "/mnt/a b"]),
            ("", two, &[]),
            ("0::/a\n", "", &[]),
            ("garbage\n:\n", two, &[]),
            ("0::/a\n", "1 2 3 - cgroup2\nx - cgroup\n - \n", &[]),
        ] {
            let dirs: Vec<PathBuf> = group_dirs(membership, mounts).into_iter().map(|(_, dir)| dir).collect();
            assert_eq!(dirs, expected.iter().map(PathBuf::from).collect::<Vec<_>>(), "{membership:?}");
        }
    }

    #[test]
    fn memory_of_the_machine() {
        for (text, bytes) in [
            ("MemTotal: 9 kB\nMemAvailable:   2 kB\nSwapFree:  1 kB\n", Some(3072)),
            ("MemAvailable: 2 kB\n", Some(2048)),
            ("MemTotal: 9 kB\n", None),
            ("MemAvailable: x kB\n", None),
            ("MemAvailable: 18446744073709551615 kB\n", None),
        ] {
            assert_eq!(memory_available(text), bytes, "{text:?}");
        }
    }

    #[test]
    fn a_reservation_ends_although_signals_undo_whatever_takes_too_long() {
        for longest in [LEAST_PIECE, 100 << 10, 1 << 20, u64::MAX] {
            for len in [0, 1, LEAST_PIECE, PIECE, PIECE + 1, 83 << 20] {
                let (mut reserved, mut calls) = (0, 0_u64);
                let done = in_pieces(len, |at, piece| {
                    calls += 1;
                    assert_eq!(at, reserved, "one after the other");
                    if piece > longest {
                        return Err(io::Error::from_raw_os_error(libc::EINTR));
                    }
                    reserved += piece;
                    Ok(())
                });
                done.unwrap();
                assert_eq!(reserved, len);
                assert!(calls <= 8 + 4 * len / longest.min(PIECE), "{calls} calls for {len} by {longest}");
            }
        }
    }

    #[test]
    fn an_error_ends_a_reservation() {
        let error = in_pieces(PIECE * 3, |at, _| {
            if at < PIECE { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ENOSPC)) }
        });
        assert_eq!(error.unwrap_err().raw_os_error(), Some(libc::ENOSPC));
    }

    #[test]
    fn the_real_directory_can_take_a_page_but_not_everything() {
        let dir = Path::new("/dev/shm");
        assert_eq!(check(dir, 4096).unwrap(), None);
        let shortage = check(dir, u64::MAX).unwrap().unwrap();
        assert!(shortage.free > 0 && shortage.free < u64::MAX);
        assert!(check(Path::new("/no/such/dir"), 1).is_err());
    }
}

#[cfg(test)]
#[path = "space_tests.rs"]
mod signal_tests;
