//! Waking a streaming thread that waits inside `gst_base_sink_wait_preroll`, for which there is no function in C.
#![allow(unsafe_code)]

use gstreamer::glib;
use gstreamer_base as gst_base;

use gst_base::prelude::*;

/// Wakes the streaming thread if it waits in `wait_preroll`. Waits until it does, or is not in this sink: not to be
/// called with a lock that it may take.
pub(super) fn wake(sink: &gst_base::BaseSink) {
    let sink: *mut gst_base::ffi::GstBaseSink = sink.as_ptr();
    // SAFETY: the sink is alive, and both fields are part of its public structure (the macros GST_BASE_SINK_PREROLL_LOCK
    // and GST_BASE_SINK_PREROLL_SIGNAL use them). Under the lock no wake-up is lost: whoever decided to wait has it
    // until it waits.
    unsafe {
        let lock = &raw mut (*sink).preroll_lock;
        glib::ffi::g_mutex_lock(lock);
        glib::ffi::g_cond_signal(&raw mut (*sink).preroll_cond);
        glib::ffi::g_mutex_unlock(lock);
    }
}
