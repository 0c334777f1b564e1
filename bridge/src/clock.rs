//! The clock of another host, as this one sees it.
//!
//! `CLOCK_MONOTONIC` counts from each host's start. How far two of them are apart is measured by asking: the answer was given at
//! some moment between question and answer, so its error is half of that time at most, whatever the network does. The best of
//! the newest answers counts, and its error grows with its age, since no two clocks run at the same pace.

use std::collections::VecDeque;
use std::time::Duration;

use nix::time::ClockId;

use crate::wire::ClockReading;

/// How many answers are remembered.
const REMEMBERED: usize = 32;
/// What two clocks drift apart at most, in nanoseconds a second: NTP slews each by up to 500 ppm.
const DRIFT: u64 = 1_000_000;

/// What this host's clocks say now.
#[must_use]
pub fn now() -> ClockReading {
    let read = |clock: ClockId| {
        let time = clock.now().map(Duration::from).unwrap_or_default();
        u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
    };
    ClockReading { monotonic_ns: read(ClockId::CLOCK_MONOTONIC), realtime_ns: read(ClockId::CLOCK_REALTIME) }
}

/// One answer.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// Ours less theirs.
    offset: i128,
    error: u64,
    at: u64,
}

impl Sample {
    /// Its error now.
    fn error_at(&self, now: u64) -> u64 {
        let age = u128::from(now.saturating_sub(self.at));
        let drift = age * u128::from(DRIFT) / 1_000_000_000;
        self.error.saturating_add(u64::try_from(drift).unwrap_or(u64::MAX))
    }
}

/// How far ours is ahead of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// Nanoseconds that ours is ahead.
    pub ns: i128,
    /// It is this much more or less at most.
    pub error_ns: u64,
}

impl Offset {
    /// A time of their clock on ours; `None` if that is before our clock began, or beyond its end.
    #[must_use]
    pub fn to_ours(&self, theirs: u64) -> Option<u64> {
        u64::try_from(i128::from(theirs) + self.ns).ok()
    }
}

/// The clock of another host.
#[derive(Clone, Debug, Default)]
pub struct RemoteClock {
    samples: VecDeque<Sample>,
    realtime_ahead_ns: i128,
}

impl RemoteClock {
    /// Takes an answer: asked at `asked`, come at `answered`, on our clock.
    pub fn add(&mut self, asked: ClockReading, theirs: ClockReading, answered: ClockReading) {
        let (from, to) = (asked.monotonic_ns, answered.monotonic_ns.max(asked.monotonic_ns));
        let error = (to - from).div_ceil(2);
        let middle = from + (to - from) / 2;
        let sample = Sample { offset: i128::from(middle) - i128::from(theirs.monotonic_ns), error, at: from };
        // One that cannot be true together with this one is from before the host was asleep, or of another boot.
        self.samples.retain(|old| {
            let apart = (old.offset - sample.offset).unsigned_abs();
            apart <= u128::from(old.error_at(to).saturating_add(error))
        });
        self.samples.push_back(sample);
        if self.samples.len() > REMEMBERED {
            self.samples.pop_front();
        }
        let real = asked.realtime_ns / 2 + answered.realtime_ns / 2;
        self.realtime_ahead_ns = i128::from(real) - i128::from(theirs.realtime_ns);
    }

    /// How far our `CLOCK_MONOTONIC` is ahead of theirs, at a moment of ours; `None` if they were never asked.
    #[must_use]
    pub fn offset(&self, now: u64) -> Option<Offset> {
        let best = self.samples.iter().min_by_key(|sample| sample.error_at(now))?;
        Some(Offset { ns: best.offset, error_ns: best.error_at(now) })
    }

    /// How far our calendar is ahead of theirs, in nanoseconds: what NTP or PTP leaves, if the hosts have it.
    #[must_use]
    pub fn realtime_ahead_ns(&self) -> i128 {
        self.realtime_ahead_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ns: u64) -> ClockReading {
        ClockReading { monotonic_ns: ns, realtime_ns: ns }
    }

    #[test]
    fn the_quickest_answer_counts_until_it_is_old() {
        let mut clock = RemoteClock::default();
        assert_eq!(clock.offset(0), None);
        // Ours is 1000 ahead.
        clock.add(at(10_000), at(9_040), at(10_080));
        assert_eq!(clock.offset(10_080), Some(Offset { ns: 1000, error_ns: 40 }));
        clock.add(at(20_000), at(19_500), at(24_000));
        assert_eq!(clock.offset(24_000), Some(Offset { ns: 1000, error_ns: 54 }));
        let later = 24_000 + 1_000_000_000;
        let offset = clock.offset(later).unwrap();
        assert!(offset.error_ns > 1000, "{offset:?}");
        assert_eq!(offset.to_ours(500), Some(1500));
    }

    #[test]
    fn a_clock_that_jumped_is_believed() {
        let mut clock = RemoteClock::default();
        clock.add(at(10_000), at(9_000), at(10_002));
        clock.add(at(20_000), at(5_000), at(20_400));
        assert_eq!(clock.offset(20_400), Some(Offset { ns: 15_200, error_ns: 200 }));
    }

    proptest! {
        #[test]
        fn the_error_is_never_more_than_is_said(
            ahead in -1_000_000_000_000_i64..1_000_000_000_000,
            // Ours slews by so many parts in a million, as NTP may have it, and theirs the other way.
            slew in -500_i64..=500,
            trips in proptest::collection::vec((0u64..50_000_000, 0u64..50_000_000, 0u64..2_000_000_000), 1..40),
        ) {
            let mut clock = RemoteClock::default();
            let start = 5_000_000_000_000_u64;
            let mut now = start;
            let theirs_at = |now: u64| {
                let drifted = i128::from(now - start) * i128::from(2 * slew) / 1_000_000;
                i128::from(now) - i128::from(ahead) - drifted
            };
            for (there, back, pause) in trips {
                let theirs = u64::try_from(theirs_at(now + there)).unwrap();
                clock.add(at(now), at(theirs), at(now + there + back));
                now += there + back + pause;
                let offset = clock.offset(now).unwrap();
                let wrong = (offset.ns - (i128::from(now) - theirs_at(now))).unsigned_abs();
                // Both round to nanoseconds.
                prop_assert!(wrong <= u128::from(offset.error_ns) + 2, "{offset:?} is {wrong} off");
            }
        }

        #[test]
        fn hostile_clocks_give_some_value(readings: Vec<(u64, u64, u64)>, now: u64, theirs: u64) {
            let mut clock = RemoteClock::default();
            for (asked, they, answered) in readings {
                clock.add(at(asked), at(they), at(answered));
            }
            let _ = clock.offset(now).map(|offset| offset.to_ours(theirs));
        }
    }
}
