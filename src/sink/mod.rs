//! `shmflowsink`: publishes a stream under a topic's name.
//!
//! ```text
//! gst-launch-1.0 videotestsrc ! shmflowsink topic=video
//! ```
//!
//! Upstream elements are offered a buffer pool whose buffers *are* slots of the ring: they write straight into shared
//! memory, and publishing a frame is a few atomic operations. Any other memory is copied once.

use gstreamer as gst;
use gstreamer::glib;

use gst::prelude::*;

mod clients;
mod connection;
mod consumer_wait;
mod depth;
mod encode;
mod hold;
mod imp;
mod key_frames;
mod mapping;
mod metas;
mod negotiation;
mod pool;
mod publish;
mod settings;
mod stats;
mod tags;
mod topic;
mod watcher;

glib::wrapper! {
    /// The element `shmflowsink`.
    pub struct ShmflowSink(ObjectSubclass<imp::ShmflowSink>)
        @extends gstreamer_base::BaseSink, gst::Element, gst::Object,
        @implements gst::URIHandler;
}

/// All properties of the element.
pub(crate) fn properties() -> &'static [glib::ParamSpec] {
    settings::properties()
}

/// Makes `shmflowsink` known to GStreamer.
pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "shmflowsink", gst::Rank::NONE, ShmflowSink::static_type())
}
