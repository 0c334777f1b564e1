//! What a viewer has to wait to show frames in time: the latency of the producer's pipeline, and the ring on top.

use gstreamer as gst;

use gst::prelude::*;

use crate::support::pipelines::{camera, caps, frame, stops_cleanly, viewer};
use crate::support::{Running, Topic, until};

use super::FRAME;

/// Minimum and maximum of a latency query.
pub(super) fn latency(viewer: &Running) -> (bool, u64, Option<u64>) {
    let mut query = gst::query::Latency::new();
    assert!(viewer.element("src").static_pad("src").expect("a source has one").query(&mut query));
    let (live, min, max) = query.result();
    (live, min.nseconds(), max.map(gst::ClockTime::nseconds))
}

#[test]
fn a_live_producers_latency_arrives_and_a_change_is_announced() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "");
    assert_eq!(latency(&viewer), (true, 0, None), "nothing is known yet");
    let live = Running::playing(&camera(&topic, 64, ""));
    frame(&viewer);
    // A camera is one frame behind; the ring holds eight.
    assert_eq!(latency(&viewer), (true, FRAME, Some(9 * FRAME)));
    let bus = viewer.pipeline.bus().expect("a pipeline has a bus");
    let patience = gst::ClockTime::from_seconds(30);
    assert!(bus.timed_pop_filtered(Some(patience), &[gst::MessageType::Latency]).is_some(), "announced");
    while bus.pop_filtered(&[gst::MessageType::Latency]).is_some() {}
    for _ in 0..20 {
        frame(&viewer);
    }
    assert!(bus.pop_filtered(&[gst::MessageType::Latency]).is_none(), "once, not with every frame");
    stops_cleanly(&live);
    let _film = Running::playing(&format!("videotestsrc ! {} ! {}", caps(64), topic.sink("")));
    assert!(bus.timed_pop_filtered(Some(patience), &[gst::MessageType::Latency]).is_some(), "announced");
    assert_eq!(latency(&viewer), (true, 0, Some(8 * FRAME)), "a film has none");
}

#[test]
fn latency_of_the_producers_pipeline_is_reported_and_the_ring_is_the_most_on_top() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "");
    let producer = Running::new(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=GRAY8,width=64,height=64,framerate=50/1 ! {}",
        topic.sink("max-buffers=8")
    ));
    producer.pipeline.set_latency(gst::ClockTime::from_mseconds(120));
    producer.play();
    frame(&viewer);
    until("the latency is known", || latency(&viewer) == (true, 120_000_000, Some(280_000_000)));
    frame(&viewer);
}

#[test]
fn where_buffers_hold_one_field_each_a_ring_of_eight_holds_four_pictures() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "");
    let producer = Running::playing(&format!(
        "appsrc name=in format=time is-live=true caps=video/x-raw(format:Interlaced),format=GRAY8,width=64,height=64,\
         interlace-mode=alternate,framerate=25/1 ! {}",
        topic.sink("sync=false wait-for-connection=true")
    ));
    producer.push(&gst::Buffer::from_slice([0_u8; 64 * 32])).expect("taken");
    frame(&viewer);
    let (_, min, max) = latency(&viewer);
    assert_eq!(max.map(|max| max - min), Some(8 * 20_000_000));
}

#[test]
fn of_a_variable_rate_the_greatest_latency_is_unknown() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "");
    let _producer = Running::playing(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=GRAY8,width=64,height=48,framerate=100/1 ! videorate drop-only=true ! capssetter join=true caps=video/x-raw,framerate=0/1 ! {}",
        topic.sink("")
    ));
    frame(&viewer);
    assert_eq!(latency(&viewer).2, None);
}
