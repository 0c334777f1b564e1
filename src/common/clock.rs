//! A pipeline's clock beside `CLOCK_MONOTONIC`.

use gstreamer as gst;

use gst::prelude::*;

use super::timing::{ClockOffset, ClockReading};

/// The clocks are compared at most this often.
const INTERVAL_NS: u64 = 10_000_000;

/// `CLOCK_MONOTONIC` now, in nanoseconds.
#[must_use]
pub fn monotonic_ns() -> u64 {
    gst::get_timestamp().nseconds()
}

/// Follows the difference between an element's clock and `CLOCK_MONOTONIC`.
#[derive(Debug, Default)]
pub struct ClockBridge {
    clock: Option<gst::Clock>,
    same: bool,
    offset: ClockOffset,
    read_at: u64,
}

impl ClockBridge {
    /// The difference for `clock`, which may be another one than last time.
    pub fn offset(&mut self, clock: &gst::Clock) -> ClockOffset {
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
        let translated = offset.to_monotonic(i128::from(clock.time().nseconds())).expect("measured");
        assert!(translated.abs_diff(monotonic_ns()) < 1_000_000_000, "off by a second");
    }
}
