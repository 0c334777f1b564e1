//! `shmflowsrc`: takes frames of a topic out of shared memory.
//!
//! ```text
//! gst-launch-1.0 shmflowsrc topic=video ! autovideosink
//! ```
//!
//! Its buffers are leased slots of the ring, wrapped read-only: nothing is copied, and a filter that wants to write
//! copies by itself. It waits for a topic that is not there yet and continues by itself when its producer comes back.

use gstreamer as gst;
use gstreamer::glib;

use gst::prelude::*;

mod accepted_caps;
mod deliver;
mod detections;
mod format;
mod imp;
mod interrupt;
mod latency;
mod metas;
mod negotiate;
mod packets;
mod reader;
mod settings;
mod stats;
mod stream;
mod tags;

glib::wrapper! {
    /// The element `shmflowsrc`.
    pub struct ShmflowSrc(ObjectSubclass<imp::ShmflowSrc>)
        @extends gstreamer_base::PushSrc, gstreamer_base::BaseSrc, gst::Element, gst::Object,
        @implements gst::URIHandler;
}

/// All properties of the element.
pub(crate) fn properties() -> &'static [glib::ParamSpec] {
    settings::properties()
}

/// Makes `shmflowsrc` known to GStreamer.
pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "shmflowsrc", gst::Rank::NONE, ShmflowSrc::static_type())
}
