//! Frames keep the moment of their capture, whatever clocks and segments the two pipelines have.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use gstreamer as gst;

use gst::prelude::*;
use support::{Running, Topic, until};

const GRAY: &str = "video/x-raw,format=GRAY8,width=64,height=64,framerate=30/1";

#[test]
fn times_of_different_segments_arrive_as_far_apart_as_they_run() {
    let topic = Topic::new();
    let consumer = Running::playing(&format!("{} ! appsink name=out sync=false", topic.src("is-live=false")));
    let producer = Running::playing(&format!(
        "appsrc name=in format=time handle-segment-change=true ! {}",
        topic.sink("sync=false history=8 wait-for-connection=true")
    ));
    let caps: gst::Caps = GRAY.parse().expect("caps");
    // 30 s in a segment from 0, then 1 s in one with a base of 30 s, then 2 s before its start at 5 s (clipped away),
    // then 5 s at double speed.
    let mut pts = Vec::new();
    for (base, start, rate, time) in [(0, 0, 1.0, 30), (30, 0, 1.0, 1), (32, 5, 2.0, 5), (32, 5, 2.0, 7)] {
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_base(gst::ClockTime::from_seconds(base));
        segment.set_start(gst::ClockTime::from_seconds(start));
        segment.set_rate(rate);
        let mut buffer = gst::Buffer::from_slice([0_u8; 4096]);
        buffer.get_mut().expect("new").set_pts(gst::ClockTime::from_seconds(time));
        let sample = gst::Sample::builder().buffer(&buffer).caps(&caps).segment(&segment).build();
        producer
            .element("in")
            .emit_by_name::<gst::FlowReturn>("push-sample", &[&sample])
            .into_result()
            .expect("taken");
        let sample = consumer.pull().expect("a sample");
        pts.push(sample.buffer().expect("with a buffer").pts().expect("stamped"));
    }
    assert_eq!(pts.iter().map(|pts| pts.mseconds()).collect::<Vec<_>>(), [0, 1000, 2000, 3000]);
}

/// Records, for each frame that a viewer shows, when it shows it.
fn viewer(topic: &Topic, latency: gst::ClockTime) -> (Running, Arc<Mutex<HashMap<u64, gst::ClockTime>>>) {
    let viewer =
        Running::new(&format!("{} ! fakesink name=display sync=true signal-handoffs=true", topic.src("")));
    viewer.pipeline.set_latency(latency);
    let shown = Arc::new(Mutex::new(HashMap::new()));
    let record = Arc::clone(&shown);
    viewer.element("display").connect("handoff", false, move |values| {
        let buffer = values[1].get::<gst::Buffer>().expect("a buffer");
        record.lock().expect("whole").insert(buffer.offset(), gst::get_timestamp());
        None
    });
    viewer.play();
    (viewer, shown)
}

#[test]
fn two_viewers_started_at_different_moments_show_the_same_frame_at_the_same_moment() {
    let topic = Topic::new();
    let latency = gst::ClockTime::from_mseconds(150);
    let _producer = Running::playing(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=GRAY8,width=64,height=64,framerate=30/1 ! {}",
        topic.sink("")
    ));
    let (_one, first) = viewer(&topic, latency);
    until("the first viewer is under way", || first.lock().expect("whole").len() > 10);
    let (_two, second) = viewer(&topic, latency);
    let both = || {
        let (first, second) = (first.lock().expect("whole"), second.lock().expect("whole"));
        let mut apart: Vec<_> =
            second.iter().filter_map(|(n, at)| first.get(n).map(|other| at.absdiff(*other))).collect();
        apart.sort();
        apart
    };
    until("both show many frames", || both().len() > 40);
    let apart = both();
    let median = apart[apart.len() / 2];
    assert!(median < gst::ClockTime::from_mseconds(5), "{median} apart");
}

#[test]
fn a_producer_whose_clock_is_another_one_is_understood() {
    let topic = Topic::new();
    let consumer =
        Running::playing(&format!("{} ! appsink name=out sync=false max-buffers=4 drop=true", topic.src("")));
    let producer = Running::new(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=GRAY8,width=64,height=64,framerate=30/1 ! {}",
        topic.sink("")
    ));
    let clock = gst::glib::Object::builder::<gst::SystemClock>()
        .property("clock-type", gst::ClockType::Realtime)
        .build();
    producer.pipeline.use_clock(Some(&clock));
    producer.play();
    let mut last = None;
    for _ in 0..30 {
        let sample = consumer.pull().expect("a sample");
        let pts = sample.buffer().expect("with a buffer").pts().expect("stamped");
        let now = consumer.pipeline.current_running_time().expect("playing");
        assert!(pts.absdiff(now) < gst::ClockTime::from_mseconds(500), "{pts} at {now}");
        assert!(last.is_none_or(|last| last < pts), "time does not step back");
        last = Some(pts);
    }
}

#[test]
fn latency_of_the_producers_pipeline_is_reported_and_the_ring_is_the_most_on_top() {
    let topic = Topic::new();
    let consumer =
        Running::playing(&format!("{} ! appsink name=out sync=false max-buffers=4 drop=true", topic.src("")));
    let producer = Running::new(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=GRAY8,width=64,height=64,framerate=50/1 ! {}",
        topic.sink("max-buffers=8")
    ));
    producer.pipeline.set_latency(gst::ClockTime::from_mseconds(120));
    producer.play();
    consumer.pull().expect("a sample");
    until("the latency is known", || {
        let mut query = gst::query::Latency::new();
        assert!(consumer.element("src").query(&mut query));
        let (live, min, max) = query.result();
        assert!(live);
        min == gst::ClockTime::from_mseconds(120) && max == Some(gst::ClockTime::from_mseconds(120 + 8 * 20))
    });
    consumer.pull().expect("frames go on");
}

#[test]
fn do_timestamp_stamps_the_arrival_and_nothing_comes_in_paused() {
    let topic = Topic::new();
    let _producer = Running::playing(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=GRAY8,width=64,height=64,framerate=30/1 ! {}",
        topic.sink("")
    ));
    let consumer = Running::new(&format!("{} ! appsink name=out sync=false", topic.src("do-timestamp=true")));
    assert_eq!(consumer.pipeline.set_state(gst::State::Paused), Ok(gst::StateChangeSuccess::NoPreroll));
    let none =
        consumer.element("out").emit_by_name::<Option<gst::Sample>>("try-pull-sample", &[&200_000_000_u64]);
    assert!(none.is_none(), "a live source gives nothing in PAUSED");
    consumer.play();
    for _ in 0..5 {
        let sample = consumer.pull().expect("a sample");
        let pts = sample.buffer().expect("with a buffer").pts().expect("stamped");
        let now = consumer.pipeline.current_running_time().expect("playing");
        assert!(pts <= now && now - pts < gst::ClockTime::from_mseconds(500), "{pts} at {now}");
    }
}
