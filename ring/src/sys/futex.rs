//! Sleeping on a word of shared memory, and waking the sleepers.
//!
//! The words are in shared mappings, so the futexes are of the shared kind; waiting works on a read-only mapping too.
#![allow(unsafe_code)]

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
    /// A wake-up call, or a spurious wake-up.
    Woken,
    /// The word had another value already.
    Changed,
    /// The time is over.
    TimedOut,
    /// A signal came; how much time is left is for the caller to know.
    Interrupted,
}

/// Wakes all waiters on the word, in all processes; their number.
///
/// # Errors
/// Only for memory that is gone, or under a seccomp filter that forbids futexes.
pub(crate) fn wake_all(word: &AtomicU32) -> io::Result<usize> {
    // The kernel takes a signed count.
    Ok(futex::wake(word, Flags::empty(), i32::MAX as u32)?)
}

/// As [`wake_all`], for a word that may be gone by now.
pub(crate) fn wake_all_at(address: usize) {
    // SAFETY: for a wake-up the kernel takes the address as the name of a queue: it does not touch what is there, and
    // refuses an address where nothing is mapped. Whoever waits at what has been put there meanwhile is woken for
    // nothing, which futexes allow at any time.
    unsafe { libc::syscall(libc::SYS_futex, address, libc::FUTEX_WAKE, i32::MAX) };
}

/// Wakes all waiters of this process on a word of private memory.
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

/// A word and the value that it has as long as a wait is to continue: by changing it and waking another thread, or process,
/// ends the wait.
pub(crate) type Expected<'a> = (&'a AtomicU32, u32);

/// How many words a wait may have, of both kinds together.
pub(crate) const MOST_WORDS: usize = 128;

/// Sleeps while all words have their values, at most so long: words of shared memory, and words of this process.
pub(crate) fn wait_any(
    shared: &[Expected<'_>],
    private: &[Expected<'_>],
    limit: Option<Duration>,
) -> io::Result<Woken> {
    let deadline = limit.map(Deadline::after);
    if let (&[], &[(word, value)]) = (shared, private) {
        return wait_private(word, value, deadline);
    }
    if !WAITV_MISSING.load(Ordering::Relaxed) {
        match wait_vector(shared, private, deadline) {
            Err(Errno::NOSYS | Errno::PERM) => WAITV_MISSING.store(true, Ordering::Relaxed),
            result => return outcome(result),
        }
    }
    wait_in_slices(shared, private, deadline)
}

/// Kernels before 5.16 do not have `futex_waitv`, and some container runtimes forbid it; neither changes while we run.
static WAITV_MISSING: AtomicBool = AtomicBool::new(false);

/// Whether a thread can sleep on several words without looking at them at intervals.
pub(crate) fn has_waitv() -> bool {
    if let Err(Errno::NOSYS | Errno::PERM) = futex::waitv(&[], WaitvFlags::empty(), None, ClockId::Monotonic)
    {
        WAITV_MISSING.store(true, Ordering::Relaxed);
    }
    !WAITV_MISSING.load(Ordering::Relaxed)
}

fn wait_vector(
    shared: &[Expected<'_>],
    private: &[Expected<'_>],
    deadline: Option<Deadline>,
) -> Result<(), Errno> {
    let entry = |(word, value): &Expected<'_>, flags: WaitFlags| {
        let mut wait = Wait::new();
        wait.val = u64::from(*value);
        wait.uaddr = WaitPtr::new(word.as_ptr().cast());
        wait.flags = WaitFlags::SIZE_U32 | flags;
        wait
    };
    let mut words = [Wait::new(); MOST_WORDS];
    let entries = shared.iter().map(|one| entry(one, WaitFlags::empty()));
    let entries = entries.chain(private.iter().map(|one| entry(one, WaitFlags::PRIVATE)));
    let mut count = 0;
    for (place, entry) in words.iter_mut().zip(entries) {
        *place = entry;
        count += 1;
    }
    let time = deadline.map(Deadline::timespec);
    let words = words.get(..count).unwrap_or_default();
    futex::waitv(words, WaitvFlags::empty(), time.as_ref(), ClockId::Monotonic).map(|_| ())
}

/// Without `futex_waitv`: sleeps on the first shared word only, and looks at the others between short sleeps.
fn wait_in_slices(
    shared: &[Expected<'_>],
    private: &[Expected<'_>],
    deadline: Option<Deadline>,
) -> io::Result<Woken> {
    const SLICE: Duration = Duration::from_millis(20);
    let Some((first, value)) = shared.first().or(private.first()) else { return Ok(Woken::Changed) };
    loop {
        let mut all = shared.iter().chain(private);
        if all.any(|(word, value)| word.load(Ordering::Acquire) != *value) {
            return Ok(Woken::Changed);
        }
        let slice = Deadline::after(SLICE);
        let last = deadline.filter(|deadline| *deadline <= slice);
        match wait_until(first, *value, Some(last.unwrap_or(slice)))? {
            Woken::TimedOut if last.is_none() => {}
            woken => return Ok(woken),
        }
    }
}

/// Sleeps while a word of this process has the value, at most until then.
pub(crate) fn wait_private(word: &AtomicU32, value: u32, deadline: Option<Deadline>) -> io::Result<Woken> {
    let time = deadline.map(Deadline::timespec);
    outcome(futex::wait_bitset(word, Flags::PRIVATE, value, time.as_ref(), std::num::NonZeroU32::MAX))
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
        assert_eq!(wait_any(&[(&word, 4)], &[(&private, 0)], None).unwrap(), Woken::Changed);
        assert_eq!(wait_any(&[(&word, 5)], &[(&private, 0), (&private, 1)], None).unwrap(), Woken::Changed);
        assert_eq!(wait_in_slices(&[(&word, 4)], &[(&private, 0)], None).unwrap(), Woken::Changed);
        assert_eq!(
            wait_in_slices(&[(&word, 5)], &[(&private, 0), (&private, 1)], None).unwrap(),
            Woken::Changed
        );
    }

    #[test]
    fn the_time_limit_holds() {
        let (word, private) = (AtomicU32::new(0), AtomicU32::new(0));
        type Waiter = fn(&AtomicU32, u32, &AtomicU32, u32, Option<Duration>) -> io::Result<Woken>;
        let plain: Waiter = |word, value, _, _, limit| wait(word, value, limit);
        let slices: Waiter = |word, value, private, private_value, limit| {
            wait_in_slices(&[(word, value)], &[(private, private_value)], limit.map(Deadline::after))
        };
        let any: Waiter = |word, value, private, private_value, limit| {
            wait_any(&[(word, value)], &[(private, private_value)], limit)
        };
        for waiter in [plain, any, slices] {
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
            wake_until_done(wake, || wait_any(&[(word, 0)], &[(&private, 0)], Some(LONG)).unwrap()),
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
        let other = AtomicU32::new(7);
        for words in [&[(&private, 0)][..], &[(&other, 7), (&private, 0)]] {
            let woken = wake_until_done(wake, || wait_any(&[(&shared, 0)], words, Some(LONG)).unwrap());
            assert!(matches!(woken, Woken::Woken | Woken::Changed), "{woken:?}");
            private.store(0, Ordering::Release);
        }
        let woken = wake_until_done(wake, || wait_private(&private, 0, None).unwrap());
        assert!(matches!(woken, Woken::Woken | Woken::Changed), "{woken:?}");
        private.store(0, Ordering::Release);
        let deadline = Deadline::after(LONG);
        let woken = wake_until_done(wake, || {
            wait_in_slices(&[(&shared, 0)], &[(&private, 0)], Some(deadline)).unwrap()
        });
        assert_eq!(woken, Woken::Changed);
    }
}
