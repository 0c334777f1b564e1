//! Requests of consumers for a key frame, handed on to the encoder upstream.

use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer_base as gst_base;
use gstreamer_video as gst_video;

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;

use super::connection::Connection;
use super::imp::{CAT, ShmflowSink};

/// An encoder is asked so often at most, however many consumers ask: each key frame costs bandwidth.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// What was asked for, and what was handed on.
#[derive(Debug, Default)]
pub(super) struct KeyFrames {
    /// The topic's count of requests that were handed on, once known.
    seen: Option<u64>,
    asked: Option<Instant>,
}

impl KeyFrames {
    /// Whether to ask the encoder now, or else when to look again, if there is something to ask for. Requests from before
    /// this sink was there were to its predecessor: it begins with a key frame anyway.
    fn due(&mut self, requests: u64, now: Instant) -> Result<bool, Duration> {
        if *self.seen.get_or_insert(requests) == requests {
            return Ok(false);
        }
        if let Some(asked) = self.asked {
            let left = ASK_EVERY.saturating_sub(now.saturating_duration_since(asked));
            if left > Duration::ZERO {
                return Err(left);
            }
        }
        (self.seen, self.asked) = (Some(requests), Some(now));
        Ok(true)
    }
}

/// Hands on what consumers asked for since the last time. When to look again, if that was too short ago.
pub(super) fn follow(sink: &ShmflowSink, connection: &Connection) -> Option<Duration> {
    let due = sink.key_frames().due(connection.producer.key_frame_requests(), Instant::now());
    if due == Ok(true) {
        gst::debug!(CAT, imp = sink, "a consumer asks for a key frame");
        // Under no lock: elements upstream may do anything with it.
        let event = gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
        sink.obj().sink_pad().push_event(event);
    }
    due.err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_requests_are_one_and_none_is_forgotten() {
        let mut key_frames = KeyFrames::default();
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        assert_eq!(key_frames.due(7, at(0)), Ok(false), "they were another producer's");
        assert_eq!(key_frames.due(9, at(10)), Ok(true));
        assert_eq!(key_frames.due(9, at(20)), Ok(false));
        assert_eq!(key_frames.due(10, at(100)), Err(Duration::from_millis(410)));
        assert_eq!(key_frames.due(12, at(200)), Err(Duration::from_millis(310)));
        assert_eq!(key_frames.due(12, at(510)), Ok(true));
        assert_eq!(key_frames.due(12, at(9000)), Ok(false));
    }
}
