//! What both elements need for the metas of buffers: the texts of structures, read without trusting them, and what newer
//! GStreamers have, looked up at run time.

pub(crate) mod analytics;
pub(crate) mod late;
pub(crate) mod structure;
pub(crate) mod tags;

use std::sync::atomic::{AtomicU32, Ordering};

use gstreamer as gst;
use gstreamer::glib;

/// Names from other processes that this process had not heard of before and keeps for ever, as GLib does with each name of a
/// field. Nobody needs as many; a process that invents names could fill the memory with them.
const MOST_NEW_NAMES: u32 = 16_384;

/// Whether a name may become one of GLib's quarks.
pub(crate) fn admit_name(name: &str) -> bool {
    static NEW: AtomicU32 = AtomicU32::new(0);
    if name.len() > 1024 || name.contains('\0') {
        return false;
    }
    glib::Quark::try_from_str(name).is_some()
        || NEW
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                n.checked_add(1).filter(|n| *n <= MOST_NEW_NAMES)
            })
            .is_ok()
}

/// Kinds of metas that say how memory is laid out or kept alive: the video layout and the crop go their own way, and the rest
/// means nothing in another process.
const OF_MEMORY: [&str; 2] = ["memory", "memory-reference"];

/// Whether metas of an API type are about the buffer's memory.
pub(crate) fn is_of_memory(api: glib::Type) -> bool {
    // Where the samples lie, too, although no tag says so.
    api.name() == "GstAudioMetaAPI"
        || gst::meta::meta_api_type_get_tags(api).iter().any(|tag| OF_MEMORY.contains(&tag.as_str()))
}
