//! Elements after a source that say what they read.

use gstreamer as gst;
use gstreamer_video as gst_video;

use gst::prelude::*;

use super::{Running, Topic};

/// What an element reads besides the pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// Rows that lie as the caps imply. It does not even answer the question, as most sinks.
    Packed,
    /// Offsets and strides of a `VideoMeta`.
    Strides,
    /// These, and a `VideoCropMeta`.
    Crops,
}

/// Has a pad answer ALLOCATION queries so.
pub fn answer(pad: &gst::Pad, reads: Reads) {
    if reads == Reads::Packed {
        return;
    }
    pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, move |_, info| match info.query_mut() {
        Some(query) if query.type_() == gst::QueryType::Allocation => {
            let gst::QueryViewMut::Allocation(query) = query.view_mut() else { unreachable!() };
            query.add_allocation_meta::<gst_video::VideoMeta>(None);
            if reads == Reads::Crops {
                query.add_allocation_meta::<gst_video::VideoCropMeta>(None);
            }
            gst::PadProbeReturn::Handled
        }
        _ => gst::PadProbeReturn::Ok,
    });
}

/// The sink pad of an element.
pub fn sink_pad(element: &gst::Element) -> gst::Pad {
    element.static_pad("sink").expect("it has one")
}

/// An appsink that reads so.
pub fn appsink(name: &str, reads: Reads) -> gst::Element {
    let appsink = gst::ElementFactory::make("appsink")
        .property("name", name)
        .property("sync", false)
        .build()
        .expect("an appsink");
    answer(&sink_pad(&appsink), reads);
    appsink
}

/// A viewer of every frame that reads so; `pull` gives one after the other.
pub fn reader(topic: &Topic, reads: Reads) -> Running {
    let source = topic.src("is-live=false on-lapped=oldest");
    let reader = Running::new(&format!("{source} ! appsink name=out sync=false"));
    answer(&sink_pad(&reader.element("out")), reads);
    reader.play();
    reader
}
