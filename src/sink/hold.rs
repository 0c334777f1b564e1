//! A stream that is held until a consumer connects, and what became late meanwhile.

use std::sync::atomic::Ordering;

use gstreamer as gst;

use gst::prelude::*;
use gst::subclass::prelude::*;
use gstreamer_base::prelude::*;

use crate::common::clock::monotonic_ns;

use super::consumer_wait::Passage;
use super::encode::Moment;
use super::imp::{CAT, ShmflowSink};
use super::publish::Stream;

impl ShmflowSink {
    /// Waits for a consumer. Being paused and played again does not end the wait. `false` if nobody is waited for any more.
    pub(super) fn wait_for_connection(&self, stream: &mut Stream) -> Result<bool, gst::FlowError> {
        let sink = self.obj();
        let began = sink.current_running_time();
        loop {
            match self.consumer_wait.passage() {
                Passage::Open => break,
                Passage::Ending => return Ok(false),
                Passage::Wait => sink.wait_preroll().map(drop)?,
            }
        }
        if !sink.is_sync() {
            return Ok(true);
        }
        // Nothing that is live can be had later: what became late meanwhile is left out. A film continues where it was.
        if self.upstream_is_live() {
            stream.skip_before = Some(monotonic_ns());
        } else if let Some(held) = sink.current_running_time().and_then(|now| now.checked_sub(began?)) {
            let held = i64::try_from(held.nseconds()).unwrap_or(i64::MAX);
            self.held_ns.fetch_add(held, Ordering::Relaxed);
            sink.set_ts_offset(sink.ts_offset().saturating_add(held));
            gst::info!(CAT, imp = self, "the stream was held for {} ms", held / 1_000_000);
        }
        Ok(true)
    }

    pub(super) fn upstream_is_live(&self) -> bool {
        let mut query = gst::query::Latency::new();
        self.obj().sink_pad().peer_query(&mut query) && query.result().0
    }

    /// The running time begins again.
    pub(super) fn forget_hold(&self) {
        let held = self.held_ns.swap(0, Ordering::Relaxed);
        if held != 0 {
            let sink = self.obj();
            sink.set_ts_offset(sink.ts_offset().saturating_sub(held));
        }
    }

    /// Whether a frame became late while the stream was held, so that showing it now would be a burst.
    pub(super) fn is_stale(&self, stream: &mut Stream, moment: Moment) -> bool {
        let Some(until) = stream.skip_before else {
            return false;
        };
        let due = moment.capture_ns.saturating_add(moment.latency_ns);
        let stale = due < until;
        if !stale {
            stream.skip_before = None;
        }
        stale
    }
}
