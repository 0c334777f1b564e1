//! Following the frames of one topic as they come.

use std::path::Path;
use std::time::{Duration, Instant};

use shmflow::{Error, Monitor, MonitorLook};

/// Between two looks: a quarter of the time between two frames, within these limits. So of a ring that keeps two frames
/// each is seen.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(10);

/// Looks at a topic often enough to see its frames, and no more often.
#[derive(Debug)]
pub(crate) struct Follower {
    monitor: Monitor,
    pause: Duration,
    last: Option<(u64, u64)>,
}

impl Follower {
    pub(crate) fn open(topic: &str, dir: Option<&Path>) -> Result<Self, Error> {
        Ok(Self { monitor: Monitor::open(topic, dir)?, pause: SHORTEST, last: None })
    }

    /// The frames that come next; none if `until` passes before.
    pub(crate) fn next(&mut self, until: Instant) -> Result<MonitorLook, Error> {
        loop {
            let look = self.monitor.look()?;
            if look.recreated {
                self.last = None;
            }
            if !look.frames.is_empty() || look.missed != 0 {
                self.set_pause(&look);
                return Ok(look);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(look);
            }
            std::thread::sleep(self.pause.min(left));
        }
    }

    fn set_pause(&mut self, look: &MonitorLook) {
        let Some(newest) = look.frames.last() else { return };
        if let Some((seq, published)) = self.last {
            let frames = newest.seq.saturating_sub(seq).max(1);
            let interval = newest.published_ns.saturating_sub(published) / frames;
            self.pause = Duration::from_nanos(interval / 4).clamp(SHORTEST, LONGEST);
        }
        self.last = Some((newest.seq, newest.published_ns));
    }
}
