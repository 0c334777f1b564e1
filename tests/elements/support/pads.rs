//! Each element alone, driven pad by pad.

use gstreamer as gst;
use gstreamer_check as gst_check;

use gst::prelude::*;

use super::Topic;

pub const CAPS: &str = "video/x-raw,format=GRAY8,width=64,height=64,framerate=30/1";

fn element(kind: &str, topic: &Topic) -> gst::Element {
    let directory = topic.dir().display().to_string();
    gst::ElementFactory::make(kind)
        .property("topic", "video")
        .property("directory", directory)
        .build()
        .expect("made")
}

/// A sink that publishes all it gets, at once.
pub fn sink(topic: &Topic) -> gst_check::Harness {
    let element = element("shmflowsink", topic);
    element.set_property("sync", false);
    element.set_property("history", 8_u32);
    let mut harness = gst_check::Harness::with_element(&element, Some("sink"), None);
    harness.set_src_caps(CAPS.parse().expect("caps"));
    harness
}

/// A source that gives every frame, at work.
pub fn source(topic: &Topic) -> gst_check::Harness {
    let element = element("shmflowsrc", topic);
    element.set_property("is-live", false);
    let mut harness = gst_check::Harness::with_element(&element, None, Some("src"));
    harness.set_sink_caps_str("video/x-raw");
    harness.play();
    harness
}

/// A frame of [`CAPS`]; the time is in milliseconds.
pub fn frame(value: u8, pts: u64) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_slice([value; 4096]);
    buffer.get_mut().expect("new").set_pts(gst::ClockTime::from_mseconds(pts));
    buffer
}
