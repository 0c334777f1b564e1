//! How frames arrive: when those who wait look whether somebody is dead.

use std::time::Duration;

use crate::sys::clock::monotonic_coarse_ns;

/// The longest sleep: the death of a peer wakes no futex, so a sleeper checks its peers at intervals.
const TICK: Duration = Duration::from_secs(1);
/// The shortest, when frames are overdue.
const SHORTEST_TICK: Duration = Duration::from_millis(50);

/// So often an idle consumer looks whether its peers are alive and its topic is there.
const PEER_CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// How far the coarse clock may be behind.
const COARSE: Duration = Duration::from_millis(10);
/// Of attempts that found nothing, every so manyth asks the clock.
const EMPTY_HANDED: u32 = 16;

/// How frames have come so far, to know when they are overdue.
#[derive(Debug)]
pub(super) struct ArrivalTimer {
    last: u64,
    interval: u64,
    /// It was looked already since anything came: there is no hurry.
    idle: bool,
    /// When it was looked, or something came.
    looked: u64,
    /// Attempts without waiting that found nothing.
    empty: u32,
    /// The longest tick.
    longest: Duration,
}

impl Default for ArrivalTimer {
    fn default() -> Self {
        Self { last: 0, interval: 0, idle: false, looked: monotonic_coarse_ns(), empty: 0, longest: TICK }
    }
}

impl ArrivalTimer {
    /// Without ticks, which would hide a wake-up that was lost.
    #[cfg(test)]
    pub(super) fn without_ticks() -> Self {
        Self { idle: true, longest: Duration::from_secs(3600), ..Self::default() }
    }

    /// A frame was waited for, and came.
    pub(super) fn arrived(&mut self) {
        let now = monotonic_coarse_ns();
        if self.last != 0 {
            let gap = now.saturating_sub(self.last);
            self.interval = (self.interval.saturating_mul(7).saturating_add(gap)) / 8;
        }
        (self.last, self.looked, self.idle) = (now, now, false);
    }

    /// How long to sleep before checking the peers: four frame intervals once, then the whole interval.
    pub(super) fn tick(&self) -> Duration {
        if self.idle || self.longest > TICK {
            self.longest
        } else {
            Duration::from_nanos(self.interval.saturating_mul(4)).clamp(SHORTEST_TICK, self.longest)
        }
    }

    /// Nothing came, for a tick or for as long as was to be waited. Whether it is time to look whether somebody is dead, or
    /// the topic gone: that costs system calls, and is done when frames are overdue and seldom afterwards. (A frame that
    /// a producer did not live to wake us for is seen in any case.)
    pub(super) fn on_timeout(&mut self) -> bool {
        let pause = if self.idle { PEER_CHECK_INTERVAL } else { self.tick().min(PEER_CHECK_INTERVAL) };
        let due = self.has_been(pause);
        self.idle |= due;
        due
    }

    /// The same for a consumer that does not wait, and finds nothing.
    pub(super) fn on_empty_poll(&mut self) -> bool {
        self.empty = self.empty.wrapping_add(1);
        self.empty.is_multiple_of(EMPTY_HANDED) && self.has_been(PEER_CHECK_INTERVAL)
    }

    fn has_been(&mut self, pause: Duration) -> bool {
        let now = monotonic_coarse_ns();
        let since = Duration::from_nanos(now.saturating_sub(self.looked));
        let due = since.saturating_add(COARSE) >= pause;
        if due {
            self.looked = now;
        }
        due
    }
}
