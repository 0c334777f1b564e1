//! A topic as a device.

use std::sync::{LazyLock, OnceLock};

use gstreamer as gst;
use gstreamer::glib;

use gst::prelude::*;
use gst::subclass::prelude::*;

use crate::common::uri;
use crate::source::ShmflowSrc;

use super::live::Live;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("shmflowdevice", gst::DebugColorFlags::empty(), Some("Topic as a device"))
});

/// State of a device.
#[derive(Debug, Default)]
pub struct ShmflowDevice {
    live: OnceLock<Live>,
}

impl super::ShmflowDevice {
    /// The device of a topic.
    pub(super) fn new(live: Live) -> Self {
        let directory = live.directory.to_string_lossy();
        let address = uri::address(&live.topic, [("directory", directory.to_string())]);
        let properties = gst::Structure::builder("properties")
            .field("device.api", "shmflow")
            .field("topic", &live.topic)
            .field("directory", &*directory)
            .field("uri", address)
            .field("producers", live.producers)
            .field("owner-uid", live.owner)
            .field("read-only", live.read_only)
            .field_if_some("description", live.description.as_deref())
            .build();
        let device: Self = glib::Object::builder()
            .property("caps", &live.caps)
            .property("display-name", live.display_name())
            .property("device-class", live.class())
            .property("properties", properties)
            .build();
        // A new object's is empty.
        let _ = device.imp().live.set(live);
        device
    }
}

impl ShmflowDevice {
    /// Gives a source the topic of this device.
    fn configure(&self, source: &ShmflowSrc) -> Result<(), gst::LoggableError> {
        let live = self.live.get().ok_or_else(|| gst::loggable_error!(CAT, "This device has no topic."))?;
        // As GObject has texts; a directory that is not UTF-8 has no property either.
        let directory = live.directory.to_str();
        let directory =
            directory.ok_or_else(|| gst::loggable_error!(CAT, "The topic's directory is not UTF-8."))?;
        source.set_property("topic", &live.topic);
        source.set_property("directory", directory);
        source.set_property("read-only", live.read_only);
        source.set_property("caps", live.caps_are_implied.then_some(&live.caps));
        Ok(())
    }
}

#[glib::object_subclass]
impl ObjectSubclass for ShmflowDevice {
    const NAME: &'static str = "GstShmflowDevice";
    type Type = super::ShmflowDevice;
    type ParentType = gst::Device;
}

impl ObjectImpl for ShmflowDevice {}

impl GstObjectImpl for ShmflowDevice {}

impl DeviceImpl for ShmflowDevice {
    fn create_element(&self, name: Option<&str>) -> Result<gst::Element, gst::LoggableError> {
        let mut builder = glib::Object::builder::<ShmflowSrc>();
        if let Some(name) = name {
            builder = builder.property("name", name);
        }
        let source = builder.build();
        self.configure(&source)?;
        Ok(source.upcast())
    }

    fn reconfigure_element(&self, element: &gst::Element) -> Result<(), gst::LoggableError> {
        let source = element.downcast_ref::<ShmflowSrc>();
        let source = source.ok_or_else(|| {
            gst::loggable_error!(CAT, "{} is no shmflowsrc, as this device needs.", element.name())
        })?;
        if element.current_state() > gst::State::Ready {
            let why = "A source's topic can change in the states NULL and READY only.";
            return Err(gst::loggable_error!(CAT, "{why}"));
        }
        self.configure(source)
    }
}
