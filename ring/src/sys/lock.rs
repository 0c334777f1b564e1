//! Open-file-description locks: how a process says "I am alive", and the kernel takes it back when it dies.
//!
//! Such a lock belongs to the open file, not to the process: it goes when the last descriptor of that open file is
//! closed, works across PID namespaces, and a stopped process keeps it. The locked bytes are far beyond the content
//! of the file, where they mean nothing else.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use super::clock::Deadline;
use super::flock::{self, Flock};

const BASE: i64 = 1 << 40;

/// Held while a topic is opened, closed or enlarged, and by the process that creates a temporary file.
pub(crate) const LIFECYCLE_BYTE: LockByte = LockByte(BASE);

/// One lockable byte of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LockByte(i64);

/// The byte that a participant holds locked as long as it owns anything.
pub(crate) const fn participant_byte(id: u8) -> LockByte {
    LockByte(BASE + 1 + id as i64)
}

/// The byte that consumers hold locked for reading who found no byte of their own; see `lifecycle/crowd.rs`.
pub(crate) const CROWD_BYTE: LockByte = LockByte(BASE + 65);

/// What somebody else (another open file description) holds on a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// Nothing: its owner is dead or gone.
    Free,
    /// It is alive.
    WriteLocked,
    /// A read lock: a participant reaps a dead one.
    ReadLocked,
}

fn lock_of(kind: libc::c_int, byte: LockByte) -> Flock {
    Flock {
        // The constants are small; the field is a c_short.
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: byte.0,
        l_len: 1,
        // Must be 0 for locks of open file descriptions.
        l_pid: 0,
    }
}

fn set(fd: impl AsFd, kind: libc::c_int, byte: LockByte) -> io::Result<bool> {
    let lock = lock_of(kind, byte);
    loop {
        match flock::set(fd.as_fd(), &lock) {
            Ok(_) => return Ok(true),
            Err(nix::Error::EINTR) => {}
            Err(nix::Error::EAGAIN | nix::Error::EACCES) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Takes the byte exclusively; `false` if another has it. Needs a descriptor open for writing.
pub(crate) fn try_write(fd: impl AsFd, byte: LockByte) -> io::Result<bool> {
    set(fd, libc::F_WRLCK, byte)
}

/// Takes the byte together with other readers; `false` if a writer has it. Turns an own write lock into a read lock.
pub(crate) fn try_read(fd: impl AsFd, byte: LockByte) -> io::Result<bool> {
    set(fd, libc::F_RDLCK, byte)
}

/// Gives the byte back; nothing happens if it is not held.
pub(crate) fn unlock(fd: impl AsFd, byte: LockByte) -> io::Result<()> {
    set(fd, libc::F_UNLCK, byte).map(|_| ())
}

/// What others hold on the byte. Locks of this very open file description do not show.
pub(crate) fn probe(fd: impl AsFd, byte: LockByte) -> io::Result<Probe> {
    let mut lock = lock_of(libc::F_WRLCK, byte);
    loop {
        match flock::get(fd.as_fd(), &mut lock) {
            Ok(_) => break,
            Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    match libc::c_int::from(lock.l_type) {
        libc::F_UNLCK => Ok(Probe::Free),
        libc::F_RDLCK => Ok(Probe::ReadLocked),
        _ => Ok(Probe::WriteLocked),
    }
}

/// Takes the byte exclusively, waiting at most so long; `false` if that was not enough.
///
/// It polls, because a blocking lock call has no time limit. Only opening, closing and enlarging a topic come here, and
/// they hold the lock for some milliseconds at most, however large the ring is, unless their process is stopped. What takes longer
/// they do without it: a large ring's memory is reserved and touched after it has its name, and freed after it has lost it. The
/// exception is a ring that a dead process left and whose memory is needed for the one that is made in its place.
pub(crate) fn lock_within(fd: impl AsFd, byte: LockByte, limit: Duration) -> io::Result<bool> {
    const LONGEST_PAUSE: Duration = Duration::from_millis(10);
    let deadline = Deadline::after(limit);
    let mut pause = Duration::from_micros(50);
    loop {
        if try_write(fd.as_fd(), byte)? {
            return Ok(true);
        }
        let remaining = deadline.remaining();
        if remaining.is_zero() {
            return Ok(false);
        }
        std::thread::sleep(pause.min(remaining));
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, OpenOptions};
    use std::path::Path;

    fn open(path: &Path) -> File {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap()
    }

    #[test]
    fn a_write_lock_excludes_all_others_on_that_byte_only() {
        let dir = super::super::testing::TempDir::new();
        let path = dir.path().join("f");
        let (mine, other) = (open(&path), open(&path));
        let byte = participant_byte(3);
        assert!(try_write(&mine, byte).unwrap());
        assert_eq!(probe(&mine, byte).unwrap(), Probe::Free, "own locks do not show");
        assert_eq!(probe(&other, byte).unwrap(), Probe::WriteLocked);
        assert!(!try_write(&other, byte).unwrap());
        assert!(!try_read(&other, byte).unwrap());
        assert!(try_write(&other, participant_byte(4)).unwrap());
        assert!(try_write(&other, LIFECYCLE_BYTE).unwrap());
        unlock(&mine, byte).unwrap();
        assert_eq!(probe(&other, byte).unwrap(), Probe::Free);
    }

    #[test]
    fn readers_share_and_keep_writers_out() {
        let dir = super::super::testing::TempDir::new();
        let path = dir.path().join("f");
        let (one, two, three) = (open(&path), open(&path), open(&path));
        let byte = participant_byte(0);
        assert!(try_read(&one, byte).unwrap());
        assert!(try_read(&two, byte).unwrap());
        assert!(!try_write(&three, byte).unwrap());
        assert_eq!(probe(&three, byte).unwrap(), Probe::ReadLocked);
        drop(one);
        drop(two);
        assert!(try_write(&three, byte).unwrap(), "closing gives the lock back");
    }

    #[test]
    fn waiting_for_a_lock_has_a_limit() {
        let dir = super::super::testing::TempDir::new();
        let path = dir.path().join("f");
        let (mine, other) = (open(&path), open(&path));
        assert!(try_write(&mine, LIFECYCLE_BYTE).unwrap());
        let start = std::time::Instant::now();
        assert!(!lock_within(&other, LIFECYCLE_BYTE, Duration::from_millis(30)).unwrap());
        assert!(start.elapsed() >= Duration::from_millis(30));
        let waiter =
            std::thread::spawn(move || lock_within(&other, LIFECYCLE_BYTE, Duration::from_secs(10)).unwrap());
        drop(mine);
        assert!(waiter.join().unwrap());
    }
}
