//! How old a frame is.

use std::time::Duration;

use rustix::time::{ClockId, DynamicClockId, clock_gettime, clock_gettime_dynamic};
use shmflow::meta::{Clock, MetaHeader};

/// Since it was captured; `None` if its metadata do not say when, or on which clock.
pub(crate) fn age(frame: &shmflow::Frame, block: &mut Vec<u8>) -> Option<Duration> {
    frame.read_meta(block);
    let times = MetaHeader::parse(block).ok()?.per_frame().times;
    let now = match times.clock {
        Clock::Monotonic => clock_gettime(ClockId::Monotonic),
        Clock::Realtime => clock_gettime(ClockId::Realtime),
        Clock::Tai => clock_gettime_dynamic(DynamicClockId::Tai).ok()?,
        _ => return None,
    };
    let seconds = Duration::from_secs(u64::try_from(now.tv_sec).ok()?);
    let now = seconds.saturating_add(Duration::from_nanos(u64::try_from(now.tv_nsec).ok()?));
    Some(now.saturating_sub(Duration::from_nanos(times.capture_ns?)))
}
