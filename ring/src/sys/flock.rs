//! The system calls of locks of open file descriptions, with 64-bit offsets wherever they are made: processes of 32 and of
//! 64 bits lock the same bytes, which lie beyond 32 bits.

pub(super) use calls::{Flock, get, set};

#[cfg(not(all(target_env = "gnu", target_pointer_width = "32")))]
mod calls {
    use std::os::fd::BorrowedFd;

    use nix::fcntl::{FcntlArg, fcntl};

    const _: () = assert!(size_of::<libc::off_t>() == 8, "build with 64-bit file offsets");

    pub(in super::super) type Flock = libc::flock;

    pub(in super::super) fn set(fd: BorrowedFd<'_>, lock: &Flock) -> nix::Result<()> {
        fcntl(fd, FcntlArg::F_OFD_SETLK(lock)).map(drop)
    }

    pub(in super::super) fn get(fd: BorrowedFd<'_>, lock: &mut Flock) -> nix::Result<()> {
        fcntl(fd, FcntlArg::F_OFD_GETLK(lock)).map(drop)
    }
}

/// There the C library's `fcntl` takes 32-bit offsets, and its 64-bit one is not in the crate `libc`.
#[cfg(all(target_env = "gnu", target_pointer_width = "32"))]
#[allow(unsafe_code)]
mod calls {
    use std::os::fd::{AsRawFd, BorrowedFd};

    pub(in super::super) type Flock = libc::flock64;

    pub(in super::super) fn set(fd: BorrowedFd<'_>, lock: &Flock) -> nix::Result<()> {
        // SAFETY: the kernel reads a structure that lives as long.
        let outcome = unsafe { libc::syscall(libc::SYS_fcntl64, fd.as_raw_fd(), libc::F_OFD_SETLK, lock) };
        nix::Error::result(outcome).map(drop)
    }

    pub(in super::super) fn get(fd: BorrowedFd<'_>, lock: &mut Flock) -> nix::Result<()> {
        // SAFETY: the kernel reads and writes a structure that lives as long and is ours.
        let outcome = unsafe { libc::syscall(libc::SYS_fcntl64, fd.as_raw_fd(), libc::F_OFD_GETLK, lock) };
        nix::Error::result(outcome).map(drop)
    }
}
