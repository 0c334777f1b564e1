//! Pipelines that many of these tests use.

use gstreamer as gst;

use gst::prelude::*;

use crate::child::Child;
use crate::support::{Running, Topic};

/// A hundred small frames a second.
pub(crate) fn caps(width: u32) -> String {
    format!("video/x-raw,format=GRAY8,width={width},height=48,framerate=100/1")
}

/// A live producer of [`caps`] as text.
pub(crate) fn camera(topic: &Topic, width: u32, more: &str) -> String {
    format!("videotestsrc is-live=true ! {} ! {}", caps(width), topic.sink(more))
}

/// The same in a process of its own, publishing already.
pub(crate) fn camera_process(topic: &Topic, width: u32, more: &str) -> Child {
    Child::launch(&camera(topic, width, more))
}

/// A viewer in this process. Nothing is dropped after the source; `pull` gives one frame after the other.
pub(crate) fn viewer(topic: &Topic, more: &str) -> Running {
    Running::playing(&format!("{} ! appsink name=out sync=false", topic.src(more)))
}

pub(crate) fn width(sample: &gst::Sample) -> i32 {
    sample.caps().and_then(|caps| caps.structure(0)?.get("width").ok()).expect("a sample has caps")
}

pub(crate) fn frame(viewer: &Running) -> gst::Sample {
    viewer.pull().unwrap_or_else(|| panic!("no frame, error: {:?}", viewer.error()))
}

pub(crate) fn offset(sample: &gst::Sample) -> u64 {
    sample.buffer().expect("a sample has a buffer").offset()
}

pub(crate) fn discont(sample: &gst::Sample) -> bool {
    sample.buffer().expect("a sample has a buffer").flags().contains(gst::BufferFlags::DISCONT)
}

/// Takes frames until one is of this width, and gives it.
pub(crate) fn frame_of_width(viewer: &Running, wanted: i32) -> gst::Sample {
    let mut sample = frame(viewer);
    let mut left = 2_000;
    while width(&sample) != wanted {
        left -= 1;
        assert!(left > 0, "no frame of width {wanted} comes");
        sample = frame(viewer);
    }
    sample
}

/// Nothing was wrong, and NULL is reached.
pub(crate) fn stops_cleanly(running: &Running) {
    running.pipeline.set_state(gst::State::Null).expect("NULL is reached");
    assert_eq!(running.error(), None);
}

/// The next frame, if one comes within so many milliseconds.
pub(crate) fn pull_within(viewer: &Running, milliseconds: u64) -> Option<gst::Sample> {
    let patience = gst::ClockTime::from_mseconds(milliseconds).nseconds();
    viewer.element("out").emit_by_name("try-pull-sample", &[&patience])
}

/// Takes frames until the stream ends. (An appsink tells the end only when everything was taken.)
pub(crate) fn drain(viewer: &Running) {
    while viewer.pull().is_some() {}
    viewer.wait_eos();
}
