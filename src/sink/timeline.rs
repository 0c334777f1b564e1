//! From a buffer's time to the moment of its capture.
//!
//! What that depends on besides the buffer changes with a state or an event only. It is looked up after a frame is
//! published, for the next one: at the pace of video the code for it has left the caches when the next frame comes, and
//! would lie between its arrival and its publication.

use gstreamer as gst;
use gstreamer_base as gst_base;

use gst::prelude::*;
use gst_base::prelude::*;

use crate::common::clock::{ClockBridge, monotonic_ns};
use crate::common::timing::{self, ClockOffset};

use super::encode::Moment;

/// The sink's segment, clock and latency at one time.
#[derive(Debug)]
pub(super) struct Timeline {
    /// `None` if it does not count time: frames were captured when they came then, as far as anyone can say.
    segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    /// The pipeline's base time and its clock's difference to `CLOCK_MONOTONIC`, if it has a clock.
    running: Option<(u64, ClockOffset)>,
    latency_ns: u64,
}

impl Timeline {
    /// As it is now.
    pub(super) fn of(sink: &super::ShmflowSink, clocks: &mut ClockBridge) -> Self {
        Self {
            segment: sink.segment().downcast().ok(),
            running: match (sink.clock(), sink.base_time()) {
                (Some(clock), Some(base)) => Some((base.nseconds(), clocks.offset(&clock))),
                _ => None,
            },
            latency_ns: sink.latency().nseconds(),
        }
    }

    /// When `buffer` was captured, and how late the pipeline is by design.
    pub(super) fn moment(&self, buffer: &gst::BufferRef) -> Moment {
        let running = buffer.pts().or(buffer.dts()).and_then(|time| {
            Some(match self.segment.as_ref()?.to_running_time_full(time)? {
                gst::Signed::Positive(time) => i128::from(time.nseconds()),
                gst::Signed::Negative(time) => -i128::from(time.nseconds()),
            })
        });
        let capture = self.running.and_then(|(base, offset)| timing::capture_ns(running, base, offset));
        Moment { capture_ns: Some(capture.unwrap_or_else(monotonic_ns)), latency_ns: self.latency_ns }
    }
}
