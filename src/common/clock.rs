//! A pipeline's clock beside `CLOCK_MONOTONIC`.
//!
//! A frame carries the moment of its capture on `CLOCK_MONOTONIC`, which all processes of a machine (and its
//! containers) share; a pipeline counts running time on a clock of its own choice from a base time of its own. The
//! sink goes from the latter to the former, the source back; both need the difference of the two clocks, which is
//! exactly 0 with GStreamer's default clock and is measured and smoothed otherwise.

use gstreamer as gst;

use gst::prelude::*;

/// One nanosecond-exact reading of a pipeline's clock between two of `CLOCK_MONOTONIC`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClockReading {
    /// `CLOCK_MONOTONIC` just before.
    pub(crate) before: u64,
    /// The pipeline's clock.
    pub(crate) clock: u64,
    /// `CLOCK_MONOTONIC` just after.
    pub(crate) after: u64,
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
/// Reading the two clocks again for each frame would put the jitter of the reading into every timestamp.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ClockOffset(Option<i128>);

impl ClockOffset {
    /// For a clock that *is* `CLOCK_MONOTONIC`.
    pub(crate) const SAME: Self = Self(Some(0));

    /// Takes a reading into account. Of a reading that took long, little is known, and it is left out unless there is
    /// no other.
    pub(crate) fn updated(self, reading: ClockReading) -> Self {
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
    pub(crate) fn monotonic_at(self, clock_time: i128) -> Option<u64> {
        u64::try_from(clock_time.checked_add(self.0?)?).ok()
    }

    /// Translates a time of `CLOCK_MONOTONIC`.
    pub(crate) fn clock_time_at(self, monotonic: u64) -> Option<i128> {
        i128::from(monotonic).checked_sub(self.0?)
    }
}

/// The clocks are compared at most this often.
const INTERVAL_NS: u64 = 10_000_000;

/// No time or duration is longer than this, which is 146 years. So sums of a few of them fit everywhere.
pub(crate) const MAX_NS: u64 = 1 << 62;

/// `CLOCK_MONOTONIC` now, in nanoseconds.
pub(crate) fn monotonic_ns() -> u64 {
    gst::get_timestamp().nseconds()
}

/// Follows the difference between an element's clock and `CLOCK_MONOTONIC`.
#[derive(Debug, Default)]
pub(crate) struct ClockBridge {
    clock: Option<gst::Clock>,
    same: bool,
    offset: ClockOffset,
    read_at: u64,
}

impl ClockBridge {
    /// The difference for `clock`, which may be another one than last time.
    pub(crate) fn offset(&mut self, clock: &gst::Clock) -> ClockOffset {
        if self.clock.as_ref() != Some(clock) {
            self.same = is_monotonic(clock);
            self.offset = if self.same { ClockOffset::SAME } else { ClockOffset::default() };
            self.read_at = 0;
            self.clock = Some(clock.clone());
        }
        if !self.same {
            let before = monotonic_ns();
            if before.saturating_sub(self.read_at) >= INTERVAL_NS {
                let reading = ClockReading { before, clock: clock.time().nseconds(), after: monotonic_ns() };
                self.offset = self.offset.updated(reading);
                self.read_at = before;
            }
        }
        self.offset
    }

    /// The clock and base time of an element as they are now; `None` while it has none.
    pub(crate) fn running(&mut self, element: &impl IsA<gst::Element>) -> Option<RunningClock> {
        let (clock, base) = (element.clock()?, element.base_time()?);
        Some(RunningClock { base_ns: base.nseconds(), offset: self.offset(&clock) })
    }
}

/// A pipeline's base time, and what its clock is beside `CLOCK_MONOTONIC`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunningClock {
    /// On the pipeline's clock, in nanoseconds.
    pub(crate) base_ns: u64,
    /// `CLOCK_MONOTONIC` minus the pipeline's clock.
    pub(crate) offset: ClockOffset,
}

impl RunningClock {
    /// The running time at a moment of `CLOCK_MONOTONIC`, negative before the base time; `None` before the clocks were
    /// compared.
    pub(crate) fn running_ns(self, monotonic: u64) -> Option<i128> {
        Some(self.offset.clock_time_at(monotonic)? - i128::from(self.base_ns))
    }

    /// The moment of `CLOCK_MONOTONIC` at a running time; `None` if it is out of range.
    pub(crate) fn monotonic_ns(self, running: i128) -> Option<u64> {
        self.offset.monotonic_at(running.checked_add(i128::from(self.base_ns))?)
    }
}

/// A time that was in a frame as GStreamer has it; `None` for what cannot be a time: hostile, or not set.
pub(crate) fn clock_time(ns: u64) -> Option<gst::ClockTime> {
    (ns <= MAX_NS).then(|| gst::ClockTime::from_nseconds(ns))
}

/// Whether a clock is the system's monotonic one, not slaved to another.
fn is_monotonic(clock: &gst::Clock) -> bool {
    if !clock.is::<gst::SystemClock>()
        || clock.type_() != gst::SystemClock::static_type() && clock.find_property("clock-type").is_none()
    {
        return false;
    }
    // A subclass (an audio clock, a network clock) reads another time: only the plain type will do.
    let plain = clock.type_().name() == "GstSystemClock";
    let (internal, external, numerator, denominator) = clock.calibration();
    plain
        && clock.property::<gst::ClockType>("clock-type") == gst::ClockType::Monotonic
        && internal == external
        && numerator == denominator
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_clock_is_the_monotonic_one_to_the_nanosecond() {
        gst::init().expect("GStreamer starts");
        let clock = gst::SystemClock::obtain();
        let before = monotonic_ns();
        let read = clock.time().nseconds();
        let after = monotonic_ns();
        assert!((before..=after).contains(&read), "{before} {read} {after}");
        assert_eq!(ClockBridge::default().offset(&clock), ClockOffset::SAME);
    }

    #[test]
    fn another_clock_is_measured() {
        gst::init().expect("GStreamer starts");
        let clock: gst::Clock = gst::glib::Object::builder::<gst::SystemClock>()
            .property("clock-type", gst::ClockType::Realtime)
            .build()
            .upcast();
        let offset = ClockBridge::default().offset(&clock);
        let translated = offset.monotonic_at(i128::from(clock.time().nseconds())).expect("measured");
        assert!(translated.abs_diff(monotonic_ns()) < 1_000_000_000, "off by a second");
    }

    #[test]
    fn a_running_time_returns_to_itself() {
        let clock = RunningClock { base_ns: 1_000, offset: ClockOffset::SAME };
        for running in [-40, 0, 40, 3_600_000_000_000] {
            assert_eq!(clock.running_ns(clock.monotonic_ns(running).expect("in range")), Some(running));
        }
        assert_eq!(clock.monotonic_ns(-1_001), None, "before the clock's beginning");
        assert_eq!(clock.monotonic_ns(i128::MAX), None);
        assert_eq!(RunningClock { base_ns: 0, offset: ClockOffset::default() }.running_ns(5), None);
    }

    #[test]
    fn jitter_is_smoothed_and_a_jump_is_followed() {
        let at = |offset: u64, clock: u64, took: u64| ClockReading {
            before: clock + offset,
            clock,
            after: clock + offset + took,
        };
        let steady = (0..100).fold(ClockOffset::default(), |o, i| o.updated(at(1_000_000, i * 1_000, 0)));
        assert_eq!(steady.monotonic_at(0), Some(1_000_000));
        // One bad reading of 16 µs moves it by 1 µs, one that took long by nothing.
        assert_eq!(steady.updated(at(1_016_000, 0, 0)).monotonic_at(0), Some(1_001_000));
        assert_eq!(steady.updated(at(1_016_000, 0, 5_000_000)), steady);
        // A suspended machine, or another clock.
        assert_eq!(steady.updated(at(9_000_000_000, 0, 10)).monotonic_at(0), Some(9_000_000_005));
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
            .monotonic_at(i128::from(monotonic - monotonic / 10_000))
            .expect("in range")
            .abs_diff(monotonic);
        assert!(error < 166_666, "{error} ns off");
    }
}
