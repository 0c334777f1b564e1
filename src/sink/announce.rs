//! What the sink tells the application: signals and element messages.

use std::sync::LazyLock;

use gstreamer as gst;
use gstreamer::glib;

use gst::prelude::*;

use crate::common::tell::post;

use super::ShmflowSink;
use super::negotiation::ClientId;

/// `client-connected` and `client-disconnected`, with a number that is not used twice and the consumer's name.
pub(super) fn signals() -> &'static [glib::subclass::Signal] {
    static SIGNALS: LazyLock<Vec<glib::subclass::Signal>> = LazyLock::new(|| {
        ["client-connected", "client-disconnected"]
            .into_iter()
            .map(|name| {
                glib::subclass::Signal::builder(name)
                    .param_types([u64::static_type(), String::static_type()])
                    .build()
            })
            .collect()
    });
    &SIGNALS
}

/// Tells that a consumer came or went, as signal and as message.
pub(super) fn client(sink: &ShmflowSink, what: &str, id: ClientId, name: &str, clients: u32) {
    let number = id.1;
    post(
        sink.upcast_ref(),
        gst::Structure::builder(format!("shmflow-client-{what}"))
            .field("id", number)
            .field("name", name)
            .field("clients", clients)
            .build(),
    );
    sink.emit_by_name::<()>(&format!("client-{what}"), &[&number, &name]);
}
