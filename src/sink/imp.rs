//! The element itself: what GStreamer calls, and how the parts work together.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer_base as gst_base;

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;

use crate::common::formats;

use super::settings::{self, Settings};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("shmflowsink", gst::DebugColorFlags::empty(), Some("Shared-memory video sink"))
});

/// State of a `shmflowsink`.
#[derive(Debug, Default)]
pub struct ShmflowSink {
    settings: Mutex<Settings>,
}

impl ShmflowSink {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[glib::object_subclass]
impl ObjectSubclass for ShmflowSink {
    const NAME: &'static str = "GstShmflowSink";
    type Type = super::ShmflowSink;
    type ParentType = gst_base::BaseSink;
}

impl ObjectImpl for ShmflowSink {
    fn properties() -> &'static [glib::ParamSpec] {
        settings::properties()
    }

    fn constructed(&self) {
        self.parent_constructed();
        let sink = self.obj();
        // The last frame would pin a slot, and is of use to nobody here.
        sink.set_enable_last_sample(false);
        // Publishing takes microseconds: the 20 ms that a live pipeline would add for it are pure delay.
        sink.set_processing_deadline(gst::ClockTime::ZERO);
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        if !self.settings().set(pspec.name(), value) {
            gst::warning!(CAT, imp = self, "property {} cannot be set", pspec.name());
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        self.settings().get(pspec.name()).unwrap_or_else(|| pspec.default_value().clone())
    }
}

impl GstObjectImpl for ShmflowSink {}

impl ElementImpl for ShmflowSink {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Shared-memory video sink",
                "Sink/Video",
                "Publishes raw video under a topic's name for any number of other processes, without copying. Example: \
                 gst-launch-1.0 videotestsrc ! shmflowsink topic=video",
                "The shmflow authors",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            gst::PadTemplate::new("sink", gst::PadDirection::Sink, gst::PadPresence::Always, formats::all())
                .into_iter()
                .collect()
        });
        &TEMPLATES
    }
}

impl BaseSinkImpl for ShmflowSink {}
