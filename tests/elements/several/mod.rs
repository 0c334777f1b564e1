//! Several sinks on one topic, and several sources in one process.

mod clients;

use gstreamer as gst;

use gst::prelude::*;

use crate::support::child::Child;
use crate::support::pipelines::{
    buffer, camera, camera_process, discont, frame, frame_of_width, offset, stops_cleanly, viewer, width,
};
use crate::support::{Running, Topic, until};

#[test]
fn two_producers_with_different_caps_interleave_and_each_frame_fits_its_caps() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "on-lapped=oldest");
    let _first = camera_process(&topic, 64, "");
    let _second = camera_process(&topic, 128, "");
    frame_of_width(&viewer, 64);
    frame_of_width(&viewer, 128);
    let mut last = [None; 2];
    let mut changes = 0;
    let mut before = width(&frame(&viewer));
    for _ in 0..200 {
        let sample = frame(&viewer);
        let width = width(&sample);
        assert_eq!(buffer(&sample).size(), width as usize * 48);
        let last = &mut last[usize::from(width == 128)];
        assert!(last.is_none_or(|last| last < offset(&sample)), "each producer's frames stay in order");
        *last = Some(offset(&sample));
        if width != before {
            assert!(discont(&sample), "a frame of another producer continues nothing");
            changes += 1;
        }
        before = width;
    }
    assert!(changes >= 50, "they interleave: {changes} changes in 200 frames");
    stops_cleanly(&viewer);
}

#[test]
fn one_primary_publishes_and_a_standby_takes_over_when_it_leaves() {
    let topic = Topic::new();
    let primary = Running::playing(&camera(&topic, 64, "producer-mode=primary"));
    let viewer = viewer(&topic, "");
    frame(&viewer);
    let standby = Running::playing(&camera(&topic, 128, "producer-mode=primary"));
    standby.wait_message("shmflow-standby");
    until("the standby has frames, too", || standby.stat("sink", "standby") > 3);
    assert_eq!(standby.stat("sink", "published"), 0);
    drop(primary);
    until("the standby publishes", || standby.stat("sink", "published") > 3);
    standby.wait_message("shmflow-primary");
    assert_eq!(standby.stat("sink", "dropped"), 0, "nothing was lost");
    frame_of_width(&viewer, 128);
    assert_eq!((standby.error(), viewer.error()), (None, None));
}

#[test]
fn a_standby_takes_over_from_a_killed_primary_within_a_frame_or_two_and_not_before() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "on-lapped=oldest");
    let mut primary = camera_process(&topic, 64, "producer-mode=primary");
    frame_of_width(&viewer, 64);
    let standby = Running::playing(&camera(&topic, 128, "producer-mode=primary"));
    until("the standby has something to publish", || standby.stat("sink", "standby") >= 20);
    assert_eq!(standby.stat("sink", "published"), 0);
    primary.kill();
    let before = standby.stat("sink", "standby");
    let first = frame_of_width(&viewer, 128);
    assert!(discont(&first));
    let missed = standby.stat("sink", "standby") - before;
    assert!(missed <= 2, "{missed} frames passed before it took over");
    stops_cleanly(&viewer);
}

#[test]
fn a_frozen_primary_is_replaced_after_the_time_out_and_its_return_is_harmless() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "on-lapped=oldest");
    let primary = camera_process(&topic, 64, "producer-mode=primary takeover-timeout=300");
    frame_of_width(&viewer, 64);
    let standby = Running::playing(&camera(&topic, 128, "producer-mode=primary takeover-timeout=300"));
    until("the standby has something to publish", || standby.stat("sink", "standby") >= 20);
    primary.freeze();
    let before = standby.stat("sink", "standby");
    frame_of_width(&viewer, 128);
    let missed = standby.stat("sink", "standby") - before;
    // A late machine looks late, too.
    assert!((25..=200).contains(&missed), "{missed} frames of 10 ms passed before it took over");
    primary.thaw();
    // At most the frame that it was publishing.
    let theirs = (0..100).filter(|_| width(&frame(&viewer)) == 64).count();
    assert!(theirs <= 2, "{theirs} frames of the old primary");
    stops_cleanly(&viewer);
}

#[test]
fn an_exclusive_topic_refuses_a_second_producer_with_a_reason() {
    let topic = Topic::new();
    let first = Running::playing(&camera(&topic, 64, "producer-mode=exclusive"));
    until("it publishes", || first.stat("sink", "published") > 0);
    Child::launch(&camera(&topic, 128, "producer-mode=exclusive")).wait().badly("topic `video`");
    let ended = Child::launch(&camera(&topic, 128, "")).wait();
    ended.badly("topic `video`").badly("in use");
    let published = first.stat("sink", "published");
    until("the first one goes on", || first.stat("sink", "published") > published + 5);
    stops_cleanly(&first);
}

#[test]
fn many_sources_in_one_process_see_the_same_frames() {
    let topic = Topic::new();
    let _producer = camera_process(&topic, 64, "max-buffers=32");
    let text: String = (0..6)
        .map(|n| {
            let src = topic.src("on-lapped=oldest").replace("name=src", "");
            format!("{src} ! appsink name=out{n} sync=false ")
        })
        .collect();
    let viewers = Running::playing(&text);
    let pull = |n: usize| -> gst::Sample {
        let patience = gst::ClockTime::from_seconds(10).nseconds();
        viewers
            .element(&format!("out{n}"))
            .emit_by_name::<Option<gst::Sample>>("try-pull-sample", &[&patience])
            .expect("a frame")
    };
    let start = (0..6).map(|n| offset(&pull(n))).max().expect("six");
    for n in 0..6 {
        while offset(&pull(n)) < start + 1 {}
    }
    for expected in start + 2..start + 50 {
        for n in 0..6 {
            assert_eq!(offset(&pull(n)), expected, "viewer {n}");
        }
    }
    stops_cleanly(&viewers);
}

#[test]
fn a_second_consumer_gets_the_same_bytes_and_slows_nobody() {
    let topic = Topic::new();
    let viewers = [viewer(&topic, "on-lapped=oldest"), viewer(&topic, "on-lapped=oldest")];
    let _producer = camera_process(&topic, 64, "max-buffers=32 wait-for-connection=true");
    let mut samples = viewers.each_ref().map(frame);
    for _ in 0..30 {
        while offset(&samples[0]) < offset(&samples[1]) {
            samples[0] = frame(&viewers[0]);
        }
        while offset(&samples[1]) < offset(&samples[0]) {
            samples[1] = frame(&viewers[1]);
        }
        let [one, two] = samples.each_ref().map(|sample| {
            let map = buffer(sample).map_readable().expect("readable");
            map.to_vec()
        });
        assert!(one == two);
        samples = viewers.each_ref().map(frame);
    }
}

#[test]
fn two_processes_that_send_to_each_other_without_pause_do_not_block_each_other() {
    let (there, back) = (Topic::new(), Topic::new());
    let seed = Running::playing(&format!(
        "videotestsrc ! video/x-raw,format=GRAY8,width=64,height=64,framerate=10000/1 ! {}",
        there.sink("sync=false")
    ));
    let _echo = Child::launch(&format!("{} ! {}", there.src(""), back.sink("sync=false")));
    let echoed = viewer(&back, "");
    let mut last = 0;
    for _ in 0..500 {
        let sample = frame(&echoed);
        assert!(last == 0 || offset(&sample) > last);
        last = offset(&sample);
    }
    stops_cleanly(&echoed);
    stops_cleanly(&seed);
}
