//! Times, as pure functions.
//!
//! A frame carries the moment of its capture on `CLOCK_MONOTONIC`, which all processes of a machine (and its
//! containers) share; a pipeline counts running time on a clock of its own choice from a base time of its own. The
//! sink goes from the latter to the former, the source back; both need the difference of the two clocks, which is
//! exactly 0 with GStreamer's default clock and is measured and smoothed by [`ClockOffset`] otherwise.

/// One nanosecond-exact reading of a pipeline's clock between two of `CLOCK_MONOTONIC`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReading {
    /// `CLOCK_MONOTONIC` just before.
    pub before: u64,
    /// The pipeline's clock.
    pub clock: u64,
    /// `CLOCK_MONOTONIC` just after.
    pub after: u64,
}

impl ClockReading {
    /// `CLOCK_MONOTONIC` minus the pipeline's clock.
    fn offset(self) -> i128 {
        i128::midpoint(i128::from(self.before), i128::from(self.after)) - i128::from(self.clock)
    }
}

/// Differences larger than this are a jump (another clock, a suspended machine) and are followed at once.
const JUMP_NS: i128 = 50_000_000;
/// A new reading moves the difference by one part in so many: a reading that was preempted half-way is 1/16 as bad.
const SMOOTHING: i128 = 16;

/// `CLOCK_MONOTONIC` minus a pipeline's clock, smoothed.
///
/// Reading the two clocks anew for each frame would put the jitter of the reading into every timestamp.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClockOffset(Option<i128>);

impl ClockOffset {
    /// For a clock that *is* `CLOCK_MONOTONIC`.
    pub const SAME: Self = Self(Some(0));

    /// Takes a reading into account. Of a reading that took long, little is known, and it is left out unless there is
    /// no other.
    #[must_use]
    pub fn updated(self, reading: ClockReading) -> Self {
        let measured = reading.offset();
        let took = reading.after.saturating_sub(reading.before);
        match self.0 {
            None => Self(Some(measured)),
            Some(old) if (measured - old).abs() > JUMP_NS.max(i128::from(took)) => Self(Some(measured)),
            Some(_) if took > 100_000 => self,
            Some(old) => Self(Some(old + (measured - old) / SMOOTHING)),
        }
    }

    /// Translates a time of the pipeline's clock. `None` before the first reading or out of range.
    #[must_use]
    pub fn to_monotonic(self, clock_time: i128) -> Option<u64> {
        u64::try_from(clock_time.checked_add(self.0?)?).ok()
    }

    /// Translates a time of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn from_monotonic(self, monotonic: u64) -> Option<i128> {
        i128::from(monotonic).checked_sub(self.0?)
    }
}

/// When a frame was captured, on `CLOCK_MONOTONIC`: its running time (which is negative for frames before the
/// segment) after the base time, without any latency.
///
/// ```
/// use gstshmflow::common::timing::{ClockOffset, capture_ns};
///
/// assert_eq!(capture_ns(Some(40), 1_000, ClockOffset::SAME), Some(1_040));
/// assert_eq!(capture_ns(Some(-40), 1_000, ClockOffset::SAME), Some(960));
/// assert_eq!(capture_ns(None, 1_000, ClockOffset::SAME), None);
/// ```
#[must_use]
pub fn capture_ns(running_time: Option<i128>, base_time: u64, offset: ClockOffset) -> Option<u64> {
    offset.to_monotonic(running_time?.checked_add(i128::from(base_time))?)
}

/// Where a frame falls in the timeline of the pipeline that receives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// At this running time, in nanoseconds.
    At(u64),
    /// Before the pipeline started: to be skipped, since putting it at 0 would show it together with the next.
    BeforeStart,
    /// Its capture time or the clocks' difference is not known: to be stamped with its arrival.
    Unknown,
}

/// Translates a capture time into the running time of the receiving pipeline.
#[must_use]
pub fn place(capture_ns: Option<u64>, base_time: u64, offset: ClockOffset) -> Placement {
    let Some(clock_time) = capture_ns.and_then(|capture| offset.from_monotonic(capture)) else {
        return Placement::Unknown;
    };
    match u64::try_from(clock_time - i128::from(base_time)) {
        Ok(running) => Placement::At(running),
        Err(_) if clock_time < i128::from(base_time) => Placement::BeforeStart,
        Err(_) => Placement::Unknown,
    }
}

/// How long one frame lasts, in nanoseconds; `None` when the rate is unknown or variable (0/1).
///
/// ```
/// use gstshmflow::common::timing::frame_duration;
///
/// assert_eq!(frame_duration(60, 1), Some(16_666_666));
/// assert_eq!(frame_duration(0, 1), None);
/// ```
#[must_use]
pub fn frame_duration(numerator: u32, denominator: u32) -> Option<u64> {
    u64::from(denominator).checked_mul(1_000_000_000)?.checked_div(u64::from(numerator)).filter(|d| *d > 0)
}

/// Minimum and maximum latency of a source: the least is the latency of the producer's pipeline, the most is what the
/// ring can hold on top, and unlimited (`None`) when it is not known how long a frame lasts.
#[must_use]
pub fn source_latency(producer_ns: u64, usable_depth: u32, frame_ns: Option<u64>) -> (u64, Option<u64>) {
    let held = frame_ns.and_then(|frame| frame.checked_mul(u64::from(usable_depth)));
    (producer_ns, held.and_then(|held| held.checked_add(producer_ns)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_clock_needs_no_reading() {
        assert_eq!(capture_ns(Some(0), 5, ClockOffset::SAME), Some(5));
        assert_eq!(place(Some(15), 5, ClockOffset::SAME), Placement::At(10));
        assert_eq!(place(Some(5), 5, ClockOffset::SAME), Placement::At(0));
    }

    #[test]
    fn what_happened_before_the_base_time_is_skipped_not_clamped() {
        assert_eq!(place(Some(4), 5, ClockOffset::SAME), Placement::BeforeStart);
        assert_eq!(place(None, 5, ClockOffset::SAME), Placement::Unknown);
        assert_eq!(place(Some(4), 5, ClockOffset::default()), Placement::Unknown);
    }

    #[test]
    fn a_frame_returns_to_the_running_time_it_had_when_both_pipelines_agree() {
        // The producer's clock runs 7 s behind CLOCK_MONOTONIC, the consumer's 3 s ahead of it.
        let producer = ClockOffset::default().updated(ClockReading {
            before: 10_000_000_000,
            clock: 3_000_000_000,
            after: 10_000_000_000,
        });
        let consumer = ClockOffset::default().updated(ClockReading {
            before: 10_000_000_000,
            clock: 13_000_000_000,
            after: 10_000_000_000,
        });
        for running in [0_i128, 1, 33_333_333, 3_600_000_000_000] {
            let capture = capture_ns(Some(running), 1_000_000_000, producer);
            // Same moment of start: 1 s on the producer's clock is 8 s monotonic is 11 s on the consumer's.
            assert_eq!(place(capture, 11_000_000_000, consumer), Placement::At(running as u64));
        }
    }

    #[test]
    fn negative_results_are_not_times() {
        assert_eq!(capture_ns(Some(-10), 5, ClockOffset::SAME), None);
        assert_eq!(capture_ns(Some(i128::MAX), 5, ClockOffset::SAME), None);
        assert_eq!(place(Some(u64::MAX), 0, ClockOffset::SAME), Placement::At(u64::MAX));
    }

    #[test]
    fn jitter_is_smoothed_and_a_jump_is_followed() {
        let at = |offset: u64, clock: u64, took: u64| ClockReading {
            before: clock + offset,
            clock,
            after: clock + offset + took,
        };
        let steady = (0..100).fold(ClockOffset::default(), |o, i| o.updated(at(1_000_000, i * 1_000, 0)));
        assert_eq!(steady.to_monotonic(0), Some(1_000_000));
        // One bad reading of 16 µs moves it by 1 µs, one that took long by nothing.
        assert_eq!(steady.updated(at(1_016_000, 0, 0)).to_monotonic(0), Some(1_001_000));
        assert_eq!(steady.updated(at(1_016_000, 0, 5_000_000)), steady);
        // A suspended machine, or another clock.
        assert_eq!(steady.updated(at(9_000_000_000, 0, 10)).to_monotonic(0), Some(9_000_000_005));
    }

    #[test]
    fn a_drifting_clock_is_followed_within_a_hundredth_of_a_frame() {
        // 100 ppm: 100 µs per second, read 60 times a second.
        let mut offset = ClockOffset::default();
        for i in 0..6_000_u64 {
            let monotonic = i * 16_666_667;
            offset = offset.updated(ClockReading {
                before: monotonic,
                clock: monotonic - monotonic / 10_000,
                after: monotonic,
            });
        }
        let monotonic = 6_000 * 16_666_667_u64;
        let error = offset
            .to_monotonic(i128::from(monotonic - monotonic / 10_000))
            .expect("in range")
            .abs_diff(monotonic);
        assert!(error < 166_666, "{error} ns off");
    }

    #[test]
    fn rates_and_latencies() {
        assert_eq!(frame_duration(30_000, 1_001), Some(33_366_666));
        assert_eq!(frame_duration(0, 0), None);
        assert_eq!(frame_duration(u32::MAX, 1), None);
        assert_eq!(source_latency(0, 8, None), (0, None));
        assert_eq!(source_latency(100, 8, Some(10)), (100, Some(180)));
        assert_eq!(source_latency(u64::MAX, 8, Some(10)), (u64::MAX, None));
    }
}
