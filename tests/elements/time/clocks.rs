//! Pipelines on clocks of their own, and viewers that show frames when it is time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use gstreamer as gst;

use gst::prelude::*;

use crate::support::pipelines::{camera, camera_process, frame, offset, viewer};
use crate::support::{Running, Topic, until};

use super::{FRAME, moment, pts};

/// A clock that runs apart from the one that pipelines take by themselves.
fn realtime() -> gst::Clock {
    gst::glib::Object::builder::<gst::SystemClock>()
        .property("clock-type", gst::ClockType::Realtime)
        .build()
        .upcast()
}

#[test]
fn a_producer_on_another_clock_is_shown_at_the_right_moment_and_evenly() {
    let topic = Topic::new();
    let producer = Running::new(&camera(&topic, 64, ""));
    let realtime = realtime();
    producer.pipeline.use_clock(Some(&realtime));
    let viewer = viewer(&topic, "on-lapped=oldest");
    producer.play();
    let mut last = frame(&viewer);
    let system = gst::SystemClock::obtain();
    for _ in 0..50 {
        let sample = frame(&viewer);
        let now = system.time().nseconds();
        let age = now.abs_diff(moment(&viewer, &sample));
        assert!(age < 300_000_000, "a frame of {age} ns ago, or to come");
        let step = (pts(&sample) - pts(&last)) / (offset(&sample) - offset(&last));
        assert!(step.abs_diff(FRAME) < FRAME / 20, "a step of {step} ns");
        last = sample;
    }
}

#[test]
fn a_viewer_on_another_clock_shows_frames_at_the_right_moment() {
    let topic = Topic::new();
    let _producer = Running::playing(&camera(&topic, 64, ""));
    let viewer = Running::new(&format!("{} ! appsink name=out sync=false", topic.src("")));
    let realtime = realtime();
    viewer.pipeline.use_clock(Some(&realtime));
    viewer.play();
    for _ in 0..30 {
        let sample = frame(&viewer);
        let age = realtime.time().nseconds().abs_diff(moment(&viewer, &sample));
        assert!(age < 300_000_000, "a frame of {age} ns ago, or to come");
    }
}

/// Records, for each frame that a viewer shows, when it shows it.
fn display(topic: &Topic, latency: gst::ClockTime) -> (Running, Arc<Mutex<HashMap<u64, gst::ClockTime>>>) {
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
    let (_one, first) = display(&topic, latency);
    until("the first viewer is under way", || first.lock().expect("whole").len() > 10);
    let (_two, second) = display(&topic, latency);
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
fn a_synchronised_viewer_shows_frames_at_their_pace_and_none_late() {
    let topic = Topic::new();
    let _producer = camera_process(&topic, 64, "");
    let viewer =
        Running::playing(&format!("{} ! queue ! fakesink name=show sync=true qos=true", topic.src("")));
    let shown = || {
        let stats: gst::Structure = viewer.element("show").property("stats");
        (stats.get::<u64>("rendered").expect("counted"), stats.get::<u64>("dropped").expect("counted"))
    };
    until("a second was shown", || shown().0 > 100);
    let (rendered, dropped) = shown();
    assert!(dropped * 20 <= rendered, "{dropped} of {rendered} came too late");
}
