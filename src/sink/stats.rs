//! The sink's statistics.

use gstreamer as gst;

use crate::common::counter::Counter;
use crate::common::histogram::{self, Histogram};

/// Counters of one sink since READY.
#[derive(Debug, Default)]
pub(super) struct Stats {
    /// Frames published, either way.
    pub(super) published: Counter,
    /// Of these, frames that were written into the ring by upstream itself.
    pub(super) zero_copy: Counter,
    /// Of these, frames that were copied into the ring.
    pub(super) copied: Counter,
    /// Frames that were not published.
    pub(super) dropped: Counter,
    /// Frames that another producer's were published instead of.
    pub(super) standby: Counter,
    /// Bytes published.
    pub(super) bytes: Counter,
    /// Metas of published buffers that have no form outside of their process.
    pub(super) metas_left_out: Counter,
    /// Buffers of ordinary memory that the pool gave out because it had no free slot.
    pub(super) pool_fallbacks: Counter,
    /// From a frame's capture to its publication.
    pub(super) latency: Histogram,
}

impl Stats {
    pub(super) fn clear(&self) {
        let Self {
            published,
            zero_copy,
            copied,
            dropped,
            standby,
            bytes,
            metas_left_out,
            pool_fallbacks,
            latency,
        } = self;
        for counter in [published, zero_copy, copied, dropped, standby, bytes, metas_left_out, pool_fallbacks]
        {
            counter.clear();
        }
        latency.clear();
    }

    /// The counters' part of `topic-stats`.
    pub(super) fn to_structure(&self) -> gst::Structure {
        let latency = self.latency.snapshot();
        gst::Structure::builder("application/x-shmflow-sink-stats")
            .field("published", self.published.get())
            .field("zero-copy", self.zero_copy.get())
            .field("copied", self.copied.get())
            .field("dropped", self.dropped.get())
            .field("standby", self.standby.get())
            .field("bytes", self.bytes.get())
            .field("metas-left-out", self.metas_left_out.get())
            .field("pool-fallbacks", self.pool_fallbacks.get())
            .field("latency-p50", latency.percentile(500))
            .field("latency-p99", latency.percentile(990))
            .field("latency-max", latency.max())
            .field("latency-histogram", histogram::to_array(&latency))
            .build()
    }
}
