//! Topics as devices: what `gst-device-monitor-1.0 Video/Source` and applications that list cameras show.
//!
//! ```text
//! gst-device-monitor-1.0 -f Video/Source Audio/Source
//! ```
//!
//! The provider lists the topics in `SHMFLOW_DIR`, or else `/dev/shm`, that have a living producer and a frame, each with
//! the caps of its newest one, and follows them as they come and go. Nothing runs while nobody monitors.

use gstreamer as gst;
use gstreamer::glib;

use gst::prelude::*;

mod device;
mod live;
mod provider;
mod watch;

glib::wrapper! {
    /// The device provider `shmflowdeviceprovider`.
    pub struct ShmflowDeviceProvider(ObjectSubclass<provider::ShmflowDeviceProvider>)
        @extends gst::DeviceProvider, gst::Object;
}

glib::wrapper! {
    /// A topic as a device: [`create_element`](gst::prelude::DeviceExt::create_element) gives a `shmflowsrc` of it.
    pub struct ShmflowDevice(ObjectSubclass<device::ShmflowDevice>)
        @extends gst::Device, gst::Object;
}

/// Makes the provider known to GStreamer.
pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    let ty = ShmflowDeviceProvider::static_type();
    gst::DeviceProvider::register(Some(plugin), "shmflowdeviceprovider", gst::Rank::PRIMARY, ty)
}
