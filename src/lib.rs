//! GStreamer elements over the `shmflow` ring: `shmflowsink` publishes frames into shared memory under a
//! topic's name, `shmflowsrc` takes them out again in any number of other processes, without copying on either side.
//!
//! ```text
//! gst-launch-1.0 videotestsrc ! shmflowsink topic=video
//! gst-launch-1.0 shmflowsrc topic=video ! autovideosink
//! ```
//!
//! How the parts lie: [`sink`] and [`source`] are the two elements, [`devices`] lists topics as devices, `common` is what
//! they share: which caps can be carried and in which order they are liked, how times are translated, how a buffer's
//! metadata becomes a frame's and back, addresses (`shmflow://video`), and how errors are reported.
#![deny(unsafe_code)]

use std::sync::OnceLock;

use gstreamer as gst;
use gstreamer::glib;

mod common;
pub mod devices;
pub mod sink;
pub mod source;

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    sink::register(plugin)?;
    source::register(plugin)?;
    devices::register(plugin)
}

/// What GStreamer looks for in the plugin file.
#[allow(missing_docs, unreachable_pub, reason = "the macro writes functions that only GStreamer calls")]
mod plugin {
    use super::{gst, plugin_init};

    gst::plugin_define!(
        shmflow,
        "Zero-copy video between processes: a crash-safe shared-memory ring per topic",
        plugin_init,
        concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
        // GStreamer knows one licence per plugin, from a fixed list; the Apache licence is the other choice.
        "MIT/X11",
        "shmflow",
        "gst-plugin-shmflow",
        "https://crates.io/crates/gst-plugin-shmflow",
        env!("BUILD_REL_DATE")
    );
}

/// Registers the elements in this process without a plugin file: for applications that link this crate, and for
/// tests. Calling it again does nothing.
///
/// # Errors
/// When GStreamer refuses the registration.
///
/// ```
/// gstreamer::init().expect("GStreamer starts");
/// gstshmflow::register_static().expect("the elements register");
/// assert!(gstreamer::ElementFactory::find("shmflowsink").is_some());
/// ```
pub fn register_static() -> Result<(), glib::BoolError> {
    // GStreamer would replace the plugin by a second one of the same name, and with it the factories that elements
    // made before still point to.
    static REGISTERED: OnceLock<Result<(), glib::BoolError>> = OnceLock::new();
    REGISTERED.get_or_init(plugin::plugin_register_static).clone()
}
