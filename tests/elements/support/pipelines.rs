//! Pipelines that many tests use, and what comes out of them.

use gstreamer as gst;

use gst::prelude::*;

use super::child::Child;
use super::{Running, Topic, until};

/// For a sink that publishes all it is given, at once, to a viewer that is to have all of it.
pub const AT_ONCE: &str = "sync=false history=8 wait-for-connection=true";

/// A hundred small frames a second.
pub fn caps(width: u32) -> String {
    format!("video/x-raw,format=GRAY8,width={width},height=48,framerate=100/1")
}

/// A live producer of [`caps`] as text.
pub fn camera(topic: &Topic, width: u32, more: &str) -> String {
    format!("videotestsrc is-live=true ! {} ! {}", caps(width), topic.sink(more))
}

/// The same in a process of its own, publishing already.
pub fn camera_process(topic: &Topic, width: u32, more: &str) -> Child {
    Child::launch(&camera(topic, width, more))
}

/// A viewer in this process. Nothing is dropped after the source; `pull` gives one frame after the other.
pub fn viewer(topic: &Topic, more: &str) -> Running {
    Running::playing(&format!("{} ! appsink name=out sync=false", topic.src(more)))
}

pub fn width(sample: &gst::Sample) -> i32 {
    sample.caps().and_then(|caps| caps.structure(0)?.get("width").ok()).expect("a sample has caps")
}

pub fn format(sample: &gst::Sample) -> String {
    sample.caps().and_then(|caps| caps.structure(0)?.get("format").ok()).expect("a sample has caps")
}

pub fn frame(viewer: &Running) -> gst::Sample {
    viewer.pull().unwrap_or_else(|| panic!("no frame, error: {:?}", viewer.error()))
}

pub fn buffer(sample: &gst::Sample) -> &gst::BufferRef {
    sample.buffer().expect("a sample has a buffer")
}

pub fn offset(sample: &gst::Sample) -> u64 {
    buffer(sample).offset()
}

pub fn discont(sample: &gst::Sample) -> bool {
    buffer(sample).flags().contains(gst::BufferFlags::DISCONT)
}

/// Takes frames until one is of this width, and gives it.
pub fn frame_of_width(viewer: &Running, wanted: i32) -> gst::Sample {
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
pub fn stops_cleanly(running: &Running) {
    running.pipeline.set_state(gst::State::Null).expect("NULL is reached");
    assert_eq!(running.error(), None);
}

/// The next frame, if one comes within so many milliseconds.
pub fn pull_within(viewer: &Running, milliseconds: u64) -> Option<gst::Sample> {
    let patience = gst::ClockTime::from_mseconds(milliseconds).nseconds();
    viewer.element("out").emit_by_name("try-pull-sample", &[&patience])
}

/// Takes frames until the stream ends. (An appsink tells the end only when everything was taken.)
pub fn drain(viewer: &Running) {
    while viewer.pull().is_some() {}
    viewer.wait_eos();
}

/// How many consumers the sink of a producer knows of.
pub fn clients(producer: &Running) -> u32 {
    producer.element("sink").property("num-clients")
}

/// The pool that a sink offers for these caps.
pub fn offered(sink: &gst::Element, caps: &gst::Caps) -> gst::BufferPool {
    let pad = sink.static_pad("sink").expect("a sink has one");
    let mut query = gst::query::Allocation::new(Some(caps), true);
    assert!(pad.query(&mut query));
    query.allocation_pools().next().and_then(|(pool, ..)| pool).expect("a pool")
}

/// How many frames a producer published while `during` ran, and that it dropped none.
pub fn published(producer: &Running, during: impl FnOnce()) -> u64 {
    let (published, dropped) = (producer.stat("sink", "published"), producer.stat("sink", "dropped"));
    during();
    assert_eq!(producer.stat("sink", "dropped"), dropped, "the producer dropped frames");
    producer.stat("sink", "published") - published
}

/// The producer publishes so many frames more, and drops none.
pub fn goes_on(producer: &Running, frames: u64) {
    let before = producer.stat("sink", "published");
    published(producer, || {
        until("the producer goes on", || producer.stat("sink", "published") >= before + frames);
    });
}

/// A consumer process that holds on to three frames at a time.
pub fn holder(topic: &Topic) -> Child {
    Child::listen(&format!(
        "{} ! queue min-threshold-buffers=3 max-size-buffers=4 max-size-time=0 max-size-bytes=0",
        topic.src("")
    ))
}
