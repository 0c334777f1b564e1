//! The least that two elements can do: GStreamer's base classes, one futex, and the first bytes of a frame in one shared
//! page. No slot, no caps, no times, no pixels. What is measured here, no element that tells another process about a
//! frame can undercut; what it takes more than a bare futex is GStreamer's.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer_base as gst_base;

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::base_src::CreateSuccess;
use gst_base::subclass::prelude::*;

use crate::frame::HEADER;
use crate::futex::Page;

/// Makes both elements known.
pub(crate) fn register() -> Result<(), glib::BoolError> {
    gst::Element::register(None, "floorsink", gst::Rank::NONE, FloorSink::static_type())?;
    gst::Element::register(None, "floorsrc", gst::Rank::NONE, FloorSrc::static_type())
}

glib::wrapper! {
    pub(crate) struct FloorSink(ObjectSubclass<sink::FloorSink>)
        @extends gst_base::BaseSink, gst::Element, gst::Object;
}
glib::wrapper! {
    pub(crate) struct FloorSrc(ObjectSubclass<source::FloorSrc>)
        @extends gst_base::PushSrc, gst_base::BaseSrc, gst::Element, gst::Object;
}

/// The page that both sides map, from the property `location` on.
#[derive(Debug, Default)]
struct Shared(OnceLock<Page>);

impl Shared {
    fn open(&self, value: &glib::Value) {
        if let Some(page) = value.get::<String>().ok().and_then(|path| Page::open(Path::new(&path)).ok()) {
            let _ = self.0.set(page);
        }
    }

    fn page(&self) -> Result<&Page, gst::FlowError> {
        self.0.get().ok_or(gst::FlowError::Error)
    }
}

/// A `ParamSpec` belongs to one class.
fn location() -> [glib::ParamSpec; 1] {
    [glib::ParamSpecString::builder("location").write_only().build()]
}

fn metadata(class: &str) -> gst::subclass::ElementMetadata {
    gst::subclass::ElementMetadata::new("The least", class, "A yardstick", "The shmflow authors")
}

fn template(name: &str, direction: gst::PadDirection) -> Vec<gst::PadTemplate> {
    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &gst::Caps::new_any())
        .into_iter()
        .collect()
}

mod sink {
    use super::*;

    #[derive(Debug, Default)]
    pub(crate) struct FloorSink(Shared);

    #[glib::object_subclass]
    impl ObjectSubclass for FloorSink {
        const NAME: &'static str = "CompareFloorSink";
        type Type = super::FloorSink;
        type ParentType = gst_base::BaseSink;
    }

    impl ObjectImpl for FloorSink {
        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: LazyLock<[glib::ParamSpec; 1]> = LazyLock::new(location);
            &*PROPERTIES
        }

        fn set_property(&self, _id: usize, value: &glib::Value, _pspec: &glib::ParamSpec) {
            self.0.open(value);
        }
    }

    impl GstObjectImpl for FloorSink {}

    impl ElementImpl for FloorSink {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| metadata("Sink"));
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> =
                LazyLock::new(|| template("sink", gst::PadDirection::Sink));
            &TEMPLATES
        }
    }

    impl BaseSinkImpl for FloorSink {
        fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
            let mut header = [0; HEADER];
            buffer.copy_to_slice(0, &mut header).map_err(|_| gst::FlowError::Error)?;
            self.0.page()?.tell(&header).map_err(|_| gst::FlowError::Error)?;
            Ok(gst::FlowSuccess::Ok)
        }
    }
}

mod source {
    use super::*;

    #[derive(Debug, Default)]
    pub(crate) struct FloorSrc {
        shared: Shared,
        flushing: AtomicBool,
        last: Mutex<u32>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for FloorSrc {
        const NAME: &'static str = "CompareFloorSrc";
        type Type = super::FloorSrc;
        type ParentType = gst_base::PushSrc;
    }

    impl ObjectImpl for FloorSrc {
        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: LazyLock<[glib::ParamSpec; 1]> = LazyLock::new(location);
            &*PROPERTIES
        }

        fn constructed(&self) {
            self.parent_constructed();
            self.obj().set_live(true);
            self.obj().set_format(gst::Format::Time);
        }

        fn set_property(&self, _id: usize, value: &glib::Value, _pspec: &glib::ParamSpec) {
            self.shared.open(value);
        }
    }

    impl GstObjectImpl for FloorSrc {}

    impl ElementImpl for FloorSrc {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| metadata("Source"));
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> =
                LazyLock::new(|| template("src", gst::PadDirection::Src));
            &TEMPLATES
        }
    }

    impl BaseSrcImpl for FloorSrc {
        fn unlock(&self) -> Result<(), gst::ErrorMessage> {
            self.flushing.store(true, Ordering::Release);
            if let Ok(page) = self.shared.page() {
                page.disturb();
            }
            Ok(())
        }

        fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
            self.flushing.store(false, Ordering::Release);
            Ok(())
        }
    }

    impl PushSrcImpl for FloorSrc {
        fn create(&self, _buffer: Option<&mut gst::BufferRef>) -> Result<CreateSuccess, gst::FlowError> {
            let page = self.shared.page()?;
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                if self.flushing.load(Ordering::Acquire) {
                    return Err(gst::FlowError::Flushing);
                }
                if let Some(header) = page.hear(&mut last).map_err(|_| gst::FlowError::Error)? {
                    return Ok(CreateSuccess::NewBuffer(gst::Buffer::from_slice(header)));
                }
            }
        }
    }
}
