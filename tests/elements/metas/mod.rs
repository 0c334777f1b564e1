//! What hangs on buffers arrives on the other side, and what cannot is told.

mod attached;
mod detections;
mod hostile;
mod tags;

use gstreamer as gst;

use crate::support::pipelines::{AT_ONCE, viewer};
use crate::support::{Running, Topic, until};

const CAPS: &str = "video/x-raw,format=GRAY8,width=64,height=48,framerate=30/1";

/// A producer that publishes what is pushed, and a viewer of it, both ready.
pub(super) fn both(topic: &Topic) -> (Running, Running) {
    let sink = topic.sink(&format!("{AT_ONCE} leaky-type=upstream"));
    let producer = Running::playing(&format!("appsrc name=in format=time caps={CAPS} ! {sink}"));
    let viewer = viewer(topic, "is-live=false on-lapped=oldest");
    until("the viewer is there", || crate::support::pipelines::clients(&producer) == 1);
    (producer, viewer)
}

/// A frame with what `add` hangs on it.
pub(super) fn frame_with(number: u64, add: impl FnOnce(&mut gst::BufferRef)) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_slice(vec![number as u8; 64 * 48]);
    let fresh = buffer.get_mut().expect("new");
    fresh.set_pts(gst::ClockTime::from_mseconds(number * 33));
    add(fresh);
    buffer
}

/// Pushes a frame with what `add` hangs on it, and takes it on the other side.
pub(super) fn travel(
    (producer, viewer): &(Running, Running),
    number: u64,
    add: impl FnOnce(&mut gst::BufferRef),
) -> gst::Sample {
    producer.push(&frame_with(number, add)).expect("pushed");
    crate::support::pipelines::frame(viewer)
}
