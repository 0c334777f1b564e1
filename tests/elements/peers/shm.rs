//! The cases of `shmsink`.

use gstreamer as gst;

use gst::prelude::*;

use crate::support::pipelines::{buffer, clients, frame, stops_cleanly, viewer};
use crate::support::{Running, Topic, checksum, patience, until};

/// A sink by itself, and a pad that feeds it, in bytes and without caps.
fn fed(topic: &Topic) -> (Running, gst::Element, gst::Pad) {
    crate::support::init();
    let element = gst::parse::launch(&topic.sink("history=8")).expect("it is made");
    let sink = Running { pipeline: gst::Pipeline::new() };
    sink.pipeline.add(&element).expect("added");
    let pad = gst::Pad::builder(gst::PadDirection::Src).name("feed").build();
    pad.link(&element.static_pad("sink").expect("a sink has one")).expect("anything is taken");
    pad.set_active(true).expect("active");
    (sink, element, pad)
}

fn begin(pad: &gst::Pad, caps: Option<&gst::Caps>) {
    assert!(pad.push_event(gst::event::StreamStart::new("test")));
    if let Some(caps) = caps {
        assert!(pad.push_event(gst::event::Caps::new(caps)));
    }
    assert!(pad.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::format::Bytes>::new())));
}

#[test]
fn bytes_in_ordinary_memory_end_the_state_change_and_arrive() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "is-live=false");
    let (sink, element, pad) = fed(&topic);
    assert_eq!(sink.pipeline.set_state(gst::State::Playing), Ok(gst::StateChangeSuccess::Async));
    until("the viewer is there", || clients(&sink) == 1);
    begin(&pad, None);
    let sent = gst::Buffer::from_slice((0..1000_u32).map(|n| n as u8).collect::<Vec<_>>());
    assert_eq!(pad.push(sent.clone()), Ok(gst::FlowSuccess::Ok));
    let reached = element.state(patience());
    assert_eq!(reached, (Ok(gst::StateChangeSuccess::Success), gst::State::Playing, gst::State::VoidPending));
    let got = frame(&viewer);
    assert_eq!((got.caps(), checksum(buffer(&got))), (None, checksum(&sent)));
}

/// Pictures get slots to be written into: see `copies`. What else a topic carries is copied once, however large it is.
#[test]
fn what_is_no_picture_is_offered_no_memory_and_the_largest_buffer_waits_for_nobody() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "is-live=false");
    let (sink, _, pad) = fed(&topic);
    sink.play();
    until("the viewer is there", || clients(&sink) == 1);
    let caps: gst::Caps = "application/x-test".parse().expect("caps");
    begin(&pad, Some(&caps));
    let mut query = gst::query::Allocation::new(Some(&caps), true);
    assert!(pad.peer_query(&mut query), "it is answered");
    assert_eq!((query.allocation_pools().count(), query.allocation_params().count()), (0, 0));
    // What the peer's memory holds in all, by default, again and again.
    for value in 0..3_u8 {
        let sent = gst::Buffer::from_slice(vec![value; 32 << 20]);
        assert_eq!(pad.push(sent), Ok(gst::FlowSuccess::Ok));
        let got = frame(&viewer);
        let map = buffer(&got).map_readable().expect("readable");
        assert!(map.len() == 32 << 20 && map.iter().all(|byte| *byte == value));
        assert_eq!(got.caps(), Some(&*caps));
    }
}

#[test]
fn a_live_viewer_of_bytes_outlives_its_producer_and_both_stop_without_an_error() {
    let topic = Topic::new();
    let producer =
        Running::playing(&format!("fakesrc sizetype=2 ! {}", topic.sink("wait-for-connection=false")));
    let viewer = Running::new(&format!(
        "{} ! appsink name=out async=false enable-last-sample=false",
        topic.src("is-live=true")
    ));
    viewer.set_state(gst::State::Playing);
    assert_eq!(buffer(&frame(&viewer)).size(), 4096);
    stops_cleanly(&producer);
    stops_cleanly(&viewer);
    drop((producer, viewer));
    assert_eq!(topic.files(), [""; 0]);
}

#[test]
fn a_producer_whom_nobody_reads_ends_and_stops_without_an_error() {
    let topic = Topic::new();
    let producer = Running::playing(&format!(
        "fakesrc num-buffers=5 sizetype=2 ! {}",
        topic.sink("wait-for-connection=false")
    ));
    producer.wait_eos();
    assert_eq!(producer.stat("sink", "published"), 5);
    stops_cleanly(&producer);
    assert_eq!(topic.files(), [""; 0]);
}
