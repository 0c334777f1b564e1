//! How buffers of a pool are mapped as video frames that libav's decoders use.
//!
//! They map a frame for reading and writing when they begin it, and keep it mapped for as long as later
//! frames refer to it, long after they pushed it. What they push is a `gst_buffer_copy`, which references the memory if it
//! can, and copies it while it is locked for writing. So every frame would be copied before it gets here.
//!
//! Therefore a mapping for reading *and* writing, through the `GstVideoMeta` that the pool gave the buffer, does not keep
//! that lock. It is taken, so that all is checked that it checks, and let go. A copy of the buffer made meanwhile then
//! shares the memory, as `gst_buffer_copy` documents; since two buffers have it, nobody can lock it for writing any
//! more, and elements in between that want to write get a copy of their own. `gst_buffer_copy_deep` copies as ever.
//! Mappings for writing alone, and those that do not go through the meta, are as they were.
//!
//! What remains is the rule of every pipeline: nobody writes to what he has pushed. An element that pushes shallow copies
//! of one frame, and continues writing into a mapping of it that it never closes, would break it. libav's decoders do
//! not: a frame that was put out is one that others only read. Therefore only pools that feed one of libav's decoders do
//! this. It makes up for what `gst_ffmpegviddec_video_frame` (gstavviddec.c) says of itself: "FIXME: Ideally we would remap
//! the buffer read-only now before pushing but libav might still have a reference to it!"
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int, c_uint};
use std::sync::OnceLock;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer_base as gst_base;
use gstreamer_video as gst_video;

use gst::prelude::*;
use gst_base::prelude::*;
use gst_video::ffi::GstVideoMeta;

type Map = unsafe extern "C" fn(
    *mut GstVideoMeta,
    c_uint,
    *mut gst::ffi::GstMapInfo,
    *mut glib::ffi::gpointer,
    *mut c_int,
    gst::ffi::GstMapFlags,
) -> glib::ffi::gboolean;
type Unmap =
    unsafe extern "C" fn(*mut GstVideoMeta, c_uint, *mut gst::ffi::GstMapInfo) -> glib::ffi::gboolean;

/// GStreamer's own functions, the same for every meta.
static DEFAULT: OnceLock<(Map, Unmap)> = OnceLock::new();

/// Kinds of memory whose mapping is an address and nothing else: slots, and what the pool gives out without one.
const PLAIN: [&CStr; 2] = [c"RustGlobalAllocatorMemory", c"SystemMemory"];

/// How many elements there may be between a decoder and the sink.
const MOST_BETWEEN: usize = 16;

/// Whether what a sink's pad is offered comes straight from one of libav's decoders: through queues, caps filters and bins,
/// but not through elements that make buffers of their own. (Transforms in place pass the question for a pool on.)
pub(super) fn is_fed_by_libav(pad: &gst::Pad) -> bool {
    let mut peer = pad.peer();
    for _ in 0..MOST_BETWEEN {
        let Some(pad) = peer else { return false };
        if let Some(ghost) = pad.downcast_ref::<gst::GhostPad>() {
            peer = ghost.target();
            continue;
        }
        let Some(parent) = pad.parent() else { return false };
        let element = match parent.downcast::<gst::Element>() {
            Ok(element) => element,
            // The inner side of a bin's pad.
            Err(outer) => {
                peer = outer.downcast::<gst::Pad>().ok().and_then(|outer| outer.peer());
                continue;
            }
        };
        if element.factory().and_then(|factory| factory.plugin_name()).is_some_and(|name| name == "libav") {
            return true;
        }
        let makes_buffers = element
            .downcast_ref::<gst_base::BaseTransform>()
            .is_some_and(|transform| !transform.is_passthrough() && !transform.is_in_place());
        peer = match element.sink_pads().as_slice() {
            [only] if !makes_buffers => only.peer(),
            _ => None,
        };
    }
    false
}

/// Has the frame of this meta's buffer, and of copies of it, mapped as described above.
pub(super) fn share_while_mapped(meta: &mut gst_video::VideoMeta) {
    let meta: *mut GstVideoMeta = std::ptr::from_mut(meta).cast();
    // SAFETY: `VideoMeta` is a transparent wrapper of the structure, whose two fields are there to be replaced.
    unsafe {
        if let (Some(its_map), Some(its_unmap)) = ((*meta).map, (*meta).unmap) {
            DEFAULT.get_or_init(|| (its_map, its_unmap));
            (*meta).map = Some(map);
            (*meta).unmap = Some(unmap);
        }
    }
}

/// Called by `gst_video_meta_map`, which has checked its arguments.
unsafe extern "C" fn map(
    meta: *mut GstVideoMeta,
    plane: c_uint,
    info: *mut gst::ffi::GstMapInfo,
    data: *mut glib::ffi::gpointer,
    stride: *mut c_int,
    flags: gst::ffi::GstMapFlags,
) -> glib::ffi::gboolean {
    let Some((default_map, default_unmap)) = DEFAULT.get() else {
        return glib::ffi::GFALSE;
    };
    // SAFETY: all arguments are those of GStreamer's call, passed on to the function that it would have called. After
    // that `info` describes a mapping whose memory is alive; a reference of our own keeps it so beyond the unmapping, and
    // its address does not depend on being mapped.
    unsafe {
        let mapped = default_map(meta, plane, info, data, stride, flags);
        if mapped == glib::ffi::GFALSE || flags != gst::ffi::GST_MAP_READWRITE || !is_plain((*info).memory) {
            return mapped;
        }
        let held = gst::ffi::gst_mini_object_ref((*info).memory.cast());
        let (at, size, maxsize) = ((*info).data, (*info).size, (*info).maxsize);
        default_unmap(meta, plane, info);
        // Without flags: this is how `unmap` knows it. No other mapping is for neither reading nor writing.
        (*info).memory = held.cast();
        (*info).flags = 0;
        ((*info).data, (*info).size, (*info).maxsize) = (at, size, maxsize);
        mapped
    }
}

/// Called by `gst_video_meta_unmap`.
unsafe extern "C" fn unmap(
    meta: *mut GstVideoMeta,
    plane: c_uint,
    info: *mut gst::ffi::GstMapInfo,
) -> glib::ffi::gboolean {
    // SAFETY: `info` was filled by `map`; without flags it holds a reference and no lock.
    unsafe {
        if (*info).flags == 0 && !(*info).memory.is_null() {
            gst::ffi::gst_mini_object_unref((*info).memory.cast());
            return glib::ffi::GTRUE;
        }
        match DEFAULT.get() {
            Some((_, default_unmap)) => default_unmap(meta, plane, info),
            None => glib::ffi::GFALSE,
        }
    }
}

/// Whether an address of this memory stays good for as long as the memory is there.
unsafe fn is_plain(memory: *mut gst::ffi::GstMemory) -> bool {
    // SAFETY: the caller has a memory, and the names are C strings.
    PLAIN.iter().any(|kind| unsafe { gst::ffi::gst_memory_is_type(memory, kind.as_ptr()) } != 0)
}
