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
    gst::DebugCategory::new("shmflowsrc", gst::DebugColorFlags::empty(), Some("Shared-memory video source"))
});

/// State of a `shmflowsrc`.
#[derive(Debug, Default)]
pub struct ShmflowSrc {
    settings: Mutex<Settings>,
}

impl ShmflowSrc {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[glib::object_subclass]
impl ObjectSubclass for ShmflowSrc {
    const NAME: &'static str = "GstShmflowSrc";
    type Type = super::ShmflowSrc;
    type ParentType = gst_base::PushSrc;
}

impl ObjectImpl for ShmflowSrc {
    fn properties() -> &'static [glib::ParamSpec] {
        settings::properties()
    }

    fn constructed(&self) {
        self.parent_constructed();
        let source = self.obj();
        source.set_format(gst::Format::Time);
        source.set_live(self.settings().is_live);
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = self.settings();
        if !settings.set(pspec.name(), value) {
            gst::warning!(CAT, imp = self, "property {} cannot be set", pspec.name());
        } else if pspec.name() == "is-live" {
            let live = settings.is_live;
            drop(settings);
            self.obj().set_live(live);
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        self.settings().get(pspec.name()).unwrap_or_else(|| pspec.default_value().clone())
    }
}

impl GstObjectImpl for ShmflowSrc {}

impl ElementImpl for ShmflowSrc {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Shared-memory video source",
                "Source/Video",
                "Receives raw video that another process publishes under a topic's name, without copying. Example: \
                 gst-launch-1.0 shmflowsrc topic=video ! autovideosink",
                "The shmflow authors",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            gst::PadTemplate::new("src", gst::PadDirection::Src, gst::PadPresence::Always, formats::all())
                .into_iter()
                .collect()
        });
        &TEMPLATES
    }
}

impl BaseSrcImpl for ShmflowSrc {}
impl PushSrcImpl for ShmflowSrc {}
