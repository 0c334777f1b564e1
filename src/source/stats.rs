//! The source's statistics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gstreamer as gst;

use crate::common::counter::Counter;
use crate::common::histogram::{self, Histogram};

/// Counters of one source since READY.
#[derive(Debug, Default)]
pub(super) struct Stats {
    /// Frames given downstream.
    pub(super) received: Counter,
    /// Of these, frames that are in shared memory.
    pub(super) zero_copy: Counter,
    /// Of these, frames that were copied, for whatever reason.
    pub(super) copied: Counter,
    /// Frames that were overwritten before they could be read.
    pub(super) lost: Counter,
    /// Frames that were read and left out: captured before this pipeline started, or not usable.
    pub(super) skipped: Counter,
    /// Frames whose own times could not be used.
    pub(super) restamped: Counter,
    /// Frames that were looked for when they were due, and found: no producer had to wake this source for them.
    pub(super) expected: Counter,
    /// Bytes given downstream.
    pub(super) bytes: Counter,
    /// Metas of frames, and fields of their structures, that this process's GStreamer does not know.
    pub(super) metas_passed_over: Counter,
    /// Frames in shared memory that are held downstream now.
    pub(super) leases: Arc<AtomicU64>,
    /// From a frame's capture to its arrival here.
    pub(super) latency: Histogram,
}

impl Stats {
    /// Forgets everything but the leases, which are still out.
    pub(super) fn clear(&self) {
        let Self {
            received,
            zero_copy,
            copied,
            lost,
            skipped,
            restamped,
            expected,
            bytes,
            metas_passed_over,
            leases: _,
            latency,
        } = self;
        for counter in
            [received, zero_copy, copied, lost, skipped, restamped, expected, bytes, metas_passed_over]
        {
            counter.clear();
        }
        latency.clear();
    }

    /// Frames that were published but not delivered.
    pub(super) fn dropped(&self) -> u64 {
        self.lost.get().saturating_add(self.skipped.get())
    }

    /// The counters' part of `topic-stats`.
    pub(super) fn to_structure(&self) -> gst::Structure {
        let latency = self.latency.snapshot();
        gst::Structure::builder("application/x-shmflow-src-stats")
            .field("received", self.received.get())
            .field("zero-copy", self.zero_copy.get())
            .field("copied", self.copied.get())
            .field("lost", self.lost.get())
            .field("skipped", self.skipped.get())
            .field("restamped", self.restamped.get())
            .field("expected", self.expected.get())
            .field("bytes", self.bytes.get())
            .field("metas-passed-over", self.metas_passed_over.get())
            .field("leases", self.leases.load(Ordering::Relaxed))
            .field("latency-p50", latency.percentile(500))
            .field("latency-p99", latency.percentile(990))
            .field("latency-max", latency.max())
            .field("latency-histogram", histogram::to_array(&latency))
            .build()
    }
}
