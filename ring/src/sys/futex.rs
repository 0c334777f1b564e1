//! Sleeping on a word of shared memory, and waking who sleeps there.
//!
//! The words lie in shared mappings, so the futexes are of the shared kind; waiting works on a read-only mapping too.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex::{self, Flags, Wait, WaitFlags, WaitPtr, WaitvFlags};
use rustix::time::ClockId;

use super::clock::Deadline;

/// Why a wait ended. None of them says that what was hoped for has happened: look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::enum_variant_names, reason = "`Woken::Woken` is what it says: the call that woke us")]
pub(crate) enum Woken {
    /// Somebody woke us (or the kernel felt like it).
    Woken,
    /// The word had another value already.
    Changed,
    /// The time is over.
    TimedOut,
    /// A signal came; how much time is left is for the caller to know.
    Interrupted,
}

/// Wakes everybody who waits on the word, in all processes; how many that were.
///
/// # Errors
/// Only for memory that is gone, or under a seccomp filter that forbids futexes.
pub(crate) fn wake_all(word: &AtomicU32) -> io::Result<usize> {
    // The kernel takes a signed count.
    Ok(futex::wake(word, Flags::empty(), i32::MAX as u32)?)
}

/// Wakes everybody of this process who waits on a word of private memory.
pub(crate) fn wake_all_private(word: &AtomicU32) -> io::Result<usize> {
    Ok(futex::wake(word, Flags::PRIVATE, i32::MAX as u32)?)
}

/// Sleeps while the word has the value, at most until then.
pub(crate) fn wait_until(word: &AtomicU32, value: u32, deadline: Option<Deadline>) -> io::Result<Woken> {
    let time = deadline.map(Deadline::timespec);
    // The bit set variant takes absolute monotonic time. Any bit set will do: `wake` wakes them all.
    let any = std::num::NonZeroU32::MAX;
    outcome(futex::wait_bitset(word, Flags::empty(), value, time.as_ref(), any))
}

/// Sleeps while both words have their values, at most so long: one of shared memory, one of this process, by which
/// another thread can end the wait.
pub(crate) fn wait_two(
    shared: &AtomicU32,
    value: u32,
    private: &AtomicU32,
    private_value: u32,
    limit: Option<Duration>,
) -> io::Result<Woken> {
    let deadline = limit.map(Deadline::after);
    // Kernels before 5.16 do not have the call, and some container runtimes forbid it; neither changes while we run.
    static NO_WAITV: AtomicBool = AtomicBool::new(false);
    if !NO_WAITV.load(Ordering::Relaxed) {
        match wait_vector(shared, value, private, private_value, deadline) {
            Err(Errno::NOSYS | Errno::PERM) => NO_WAITV.store(true, Ordering::Relaxed),
            result => return outcome(result),
        }
    }
    wait_in_slices(shared, value, private, private_value, deadline)
}

fn wait_vector(
    shared: &AtomicU32,
    value: u32,
    private: &AtomicU32,
    private_value: u32,
    deadline: Option<Deadline>,
) -> Result<(), Errno> {
    let entry = |word: &AtomicU32, value: u32, flags: WaitFlags| {
        let mut wait = Wait::new();
        wait.val = u64::from(value);
        wait.uaddr = WaitPtr::new(word.as_ptr().cast());
        wait.flags = WaitFlags::SIZE_U32 | flags;
        wait
    };
    let both = [entry(shared, value, WaitFlags::empty()), entry(private, private_value, WaitFlags::PRIVATE)];
    let time = deadline.map(Deadline::timespec);
    futex::waitv(&both, WaitvFlags::empty(), time.as_ref(), ClockId::Monotonic).map(|_| ())
}

/// Without `futex_waitv`: sleeps on the shared word only, and looks at the private one between short sleeps.
fn wait_in_slices(
    shared: &AtomicU32,
    value: u32,
    private: &AtomicU32,
    private_value: u32,
    deadline: Option<Deadline>,
) -> io::Result<Woken> {
    const SLICE: Duration = Duration::from_millis(20);
    loop {
        if private.load(Ordering::Acquire) != private_value {
            return Ok(Woken::Changed);
        }
        let slice = Deadline::after(SLICE);
        let last = deadline.filter(|deadline| *deadline <= slice);
        match wait_until(shared, value, Some(last.unwrap_or(slice)))? {
            Woken::TimedOut if last.is_none() => {}
            woken => return Ok(woken),
        }
    }
}

fn outcome(result: Result<(), Errno>) -> io::Result<Woken> {
    match result {
        Ok(()) => Ok(Woken::Woken),
        Err(Errno::AGAIN) => Ok(Woken::Changed),
        Err(Errno::TIMEDOUT) => Ok(Woken::TimedOut),
        Err(Errno::INTR) => Ok(Woken::Interrupted),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::map::{Access, Mapping};
    use super::super::testing::TempDir;
    use super::*;
    use std::fs::File;
    use std::time::Instant;

    const SHORT: Duration = Duration::from_millis(25);
    const LONG: Duration = Duration::from_secs(20);

    fn shared_file(dir: &TempDir) -> File {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(dir.path().join("word"))
            .unwrap();
        file.set_len(4096).unwrap();
        file
    }

    /// Wakes until the waiter says that it came back, so that no test depends on who is first.
    fn wake_until_done<T: Send>(wake: impl Fn(), waiter: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let waiter = scope.spawn(waiter);
            while !waiter.is_finished() {
                wake();
                std::thread::yield_now();
            }
            waiter.join().unwrap()
        })
    }

    /// Sleeps while the word has the value, at most so long.
    fn wait(word: &AtomicU32, value: u32, limit: Option<Duration>) -> io::Result<Woken> {
        wait_until(word, value, limit.map(Deadline::after))
    }

    #[test]
    fn a_changed_word_does_not_sleep() {
        let word = AtomicU32::new(5);
        assert_eq!(wait(&word, 4, None).unwrap(), Woken::Changed);
        let private = AtomicU32::new(0);
        assert_eq!(wait_two(&word, 4, &private, 0, None).unwrap(), Woken::Changed);
        assert_eq!(wait_two(&word, 5, &private, 1, None).unwrap(), Woken::Changed);
        assert_eq!(wait_in_slices(&word, 4, &private, 0, None).unwrap(), Woken::Changed);
        assert_eq!(wait_in_slices(&word, 5, &private, 1, None).unwrap(), Woken::Changed);
    }

    #[test]
    fn the_time_limit_holds() {
        let (word, private) = (AtomicU32::new(0), AtomicU32::new(0));
        type Waiter = fn(&AtomicU32, u32, &AtomicU32, u32, Option<Duration>) -> io::Result<Woken>;
        let plain: Waiter = |word, value, _, _, limit| wait(word, value, limit);
        let slices: Waiter = |word, value, private, private_value, limit| {
            wait_in_slices(word, value, private, private_value, limit.map(Deadline::after))
        };
        for waiter in [plain, wait_two, slices] {
            for limit in [Duration::ZERO, SHORT] {
                let start = Instant::now();
                assert_eq!(waiter(&word, 0, &private, 0, Some(limit)).unwrap(), Woken::TimedOut);
                assert!(start.elapsed() >= limit);
                assert!(start.elapsed() < LONG);
            }
        }
    }

    #[test]
    fn a_waiter_on_a_read_only_mapping_is_woken_through_another_mapping() {
        let dir = TempDir::new();
        let file = shared_file(&dir);
        let writer = Mapping::new(&file, 4096, Access::ReadWrite, false).unwrap();
        let reader = Mapping::new(&file, 4096, Access::ReadOnly, false).unwrap();
        let private = AtomicU32::new(0);
        let wake = || {
            wake_all(writer.u32_at(64).unwrap()).unwrap();
        };
        let word = reader.u32_at(64).unwrap();
        assert_eq!(wake_until_done(wake, || wait(word, 0, Some(LONG)).unwrap()), Woken::Woken);
        assert_eq!(
            wake_until_done(wake, || wait_two(word, 0, &private, 0, Some(LONG)).unwrap()),
            Woken::Woken
        );
    }

    #[test]
    fn the_private_word_ends_the_wait() {
        let (shared, private) = (AtomicU32::new(0), AtomicU32::new(0));
        let wake = || {
            private.store(1, Ordering::Release);
            wake_all_private(&private).unwrap();
        };
        let woken = wake_until_done(wake, || wait_two(&shared, 0, &private, 0, Some(LONG)).unwrap());
        assert!(matches!(woken, Woken::Woken | Woken::Changed), "{woken:?}");
        private.store(0, Ordering::Release);
        let deadline = Deadline::after(LONG);
        let woken =
            wake_until_done(wake, || wait_in_slices(&shared, 0, &private, 0, Some(deadline)).unwrap());
        assert_eq!(woken, Woken::Changed);
    }
}
