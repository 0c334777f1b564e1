//! Monotonic time.

use std::time::Duration;

use rustix::thread::Timespec;
use rustix::time::{ClockId, clock_gettime};

const NS_PER_S: u64 = 1_000_000_000;

/// Nanoseconds of `CLOCK_MONOTONIC`, the same in every process of the machine that has this time namespace: see
/// [`machine_time`](super::machine_time).
pub(crate) fn monotonic_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

/// Nanoseconds of `CLOCK_MONOTONIC_COARSE`: a few milliseconds behind, and cheaper.
pub(crate) fn monotonic_coarse_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::MonotonicCoarse))
}

fn nanoseconds(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let rest = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(NS_PER_S).saturating_add(rest)
}

/// A point of monotonic time; what is still to wait shrinks across interruptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deadline(u64);

impl Deadline {
    /// So long from now; far beyond any uptime it saturates.
    pub(crate) fn after(duration: Duration) -> Self {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(monotonic_ns().saturating_add(ns))
    }

    /// This moment of the monotonic clock, in nanoseconds.
    pub(crate) fn at(ns: u64) -> Self {
        Self(ns)
    }

    /// What is left; zero once it has passed.
    pub(crate) fn remaining(self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(monotonic_ns()))
    }

    /// It, in nanoseconds of the monotonic clock.
    pub(crate) fn ns(self) -> u64 {
        self.0
    }

    pub(crate) fn has_passed(self) -> bool {
        self.0 <= monotonic_ns()
    }

    /// As the absolute time that `FUTEX_WAIT_BITSET` and `futex_waitv` take.
    pub(crate) fn timespec(self) -> Timespec {
        // Both fit: u64::MAX nanoseconds are 1.8e10 seconds.
        Timespec { tv_sec: (self.0 / NS_PER_S) as _, tv_nsec: (self.0 % NS_PER_S) as _ }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_forward_and_the_coarse_clock_follows() {
        let coarse = monotonic_coarse_ns();
        let fine = monotonic_ns();
        assert!(coarse <= fine);
        assert!(fine <= monotonic_ns());
        // A tick of the slowest kernels (100 Hz), ten times over.
        assert!(fine - coarse < 100_000_000, "{}", fine - coarse);
    }

    #[test]
    fn deadlines_saturate() {
        let far = Deadline::after(Duration::MAX);
        assert!(!far.has_passed());
        assert!(far.remaining() > Duration::from_secs(1 << 32));
        assert!(far.timespec().tv_sec > 0);
        let now = Deadline::after(Duration::ZERO);
        assert!(now.has_passed());
        assert_eq!(now.remaining(), Duration::ZERO);
    }
}
