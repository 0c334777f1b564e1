//! The machine's `CLOCK_MONOTONIC`, whichever time namespace a process is in.
//!
//! A time namespace (`unshare --time`, a restored container) shifts what its processes read from `CLOCK_MONOTONIC`. Times in
//! shared memory are therefore those of the machine, as a process without such a namespace reads them: each process
//! translates to and from its own.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use super::clock::monotonic_ns;
use super::fork;

/// What this process's `CLOCK_MONOTONIC` is ahead of the machine's, in nanoseconds modulo 2^64.
static SHIFT: AtomicU64 = AtomicU64::new(0);
/// Forks when it was read, and one more. A forked child may have another time namespace than its parent.
static READ_AT: AtomicU32 = AtomicU32::new(0);

/// The machine's `CLOCK_MONOTONIC` now, in nanoseconds.
pub(crate) fn machine_ns() -> u64 {
    to_machine(monotonic_ns())
}

/// A time of this process's `CLOCK_MONOTONIC` on the machine's. What cannot be such a time comes back as it was by
/// [`from_machine`].
pub(crate) fn to_machine(own_ns: u64) -> u64 {
    own_ns.wrapping_sub(shift())
}

/// A time of the machine's `CLOCK_MONOTONIC` on this process's.
pub(crate) fn from_machine(machine_ns: u64) -> u64 {
    machine_ns.wrapping_add(shift())
}

fn shift() -> u64 {
    let now = fork::generation().wrapping_add(1);
    if READ_AT.load(Acquire) != now {
        // Threads that do this at the same time find the same.
        SHIFT.store(read(Path::new("/proc/self")).unwrap_or(0).cast_unsigned(), Relaxed);
        READ_AT.store(now, Release);
    }
    SHIFT.load(Relaxed)
}

/// The shift of a process's time namespace, by its folder in `/proc`. `None` where that does not tell: without `/proc`, and on
/// kernels without time namespaces.
fn read(process: &Path) -> Option<i64> {
    /// The name of the namespace that every machine starts with: a fixed number (`PROC_TIME_INIT_INO`).
    const INITIAL: &str = "time:[4026531834]";
    let own = fs::read_link(process.join("ns/time")).ok()?;
    if own.as_os_str() == INITIAL {
        return Some(0);
    }
    // The offsets are those of the namespace that its children get; of a process that has left it for them nothing is known.
    let of_children = fs::read_link(process.join("ns/time_for_children")).ok()?;
    if own != of_children {
        return None;
    }
    offset(&fs::read_to_string(process.join("timens_offsets")).ok()?)
}

/// Nanoseconds that `CLOCK_MONOTONIC` is shifted, by a text of `timens_offsets`.
fn offset(offsets: &str) -> Option<i64> {
    offsets.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        if words.next()? != "monotonic" {
            return None;
        }
        let seconds: i64 = words.next()?.parse().ok()?;
        let rest: i64 = words.next()?.parse().ok()?;
        seconds.checked_mul(1_000_000_000)?.checked_add(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_text_is_read() {
        assert_eq!(offset("monotonic           0         0\nboottime            0         0\n"), Some(0));
        assert_eq!(offset("monotonic         100         5\nboottime  7 0\n"), Some(100_000_000_005));
        // Half a second less.
        assert_eq!(offset("boottime -7 0\nmonotonic -1 500000000\n"), Some(-500_000_000));
        for nonsense in ["", "monotonic", "monotonic 1", "monotonic x 0", "monotonic 9223372036854775807 0"] {
            assert_eq!(offset(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn every_time_comes_back_as_it_was() {
        for ns in [0, 1, u64::MAX, monotonic_ns()] {
            assert_eq!(from_machine(to_machine(ns)), ns);
        }
    }
}
