//! Waits for a viewer, for a topic, for a frame: what ends them, and what comes afterwards.

use std::time::{Duration, Instant};

use gstreamer as gst;

use gst::prelude::*;

use crate::support::child::Child;
use crate::support::pipelines::{
    camera, camera_process, caps, clients, frame, offset, stops_cleanly, viewer,
};
use crate::support::{Running, Topic, until};

#[test]
fn a_paused_producer_publishes_nothing_and_waits_for_nobody() {
    let topic = Topic::new();
    for more in ["", "wait-for-connection=true"] {
        let producer = Running::new(&format!("videotestsrc ! {} ! {}", caps(64), topic.sink(more)));
        // Prerolls although nobody is there.
        producer.set_state(gst::State::Paused);
        assert_eq!(producer.stat("sink", "published"), 0);
        stops_cleanly(&producer);
    }
}

/// The viewer's thread stands still from the news of its producer on, until some frames are there.
#[test]
fn who_waits_for_a_stream_gets_its_first_frame_however_late_it_wakes() {
    let topic = Topic::new();
    let viewer = Running::new(&format!("{} ! appsink name=out sync=false", topic.src("")));
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    viewer.pipeline.bus().expect("a bus").set_sync_handler(move |_, message| {
        if message.structure().is_some_and(|structure| structure.name() == "shmflow-connected") {
            let _ = may_go_on.lock().map(|may| may.recv_timeout(Duration::from_secs(30)));
        }
        gst::BusSyncReply::Pass
    });
    viewer.play();
    let producer = Running::playing(&format!(
        "videotestsrc num-buffers=6 ! {} ! {}",
        caps(64),
        topic.sink("sync=false wait-for-connection=true")
    ));
    producer.reaches("sink", "published", 6);
    go_on.send(()).expect("the viewer waits");
    for expected in 0..6 {
        let came = offset(&frame(&viewer));
        let stats = viewer.element("src").property::<gst::Structure>("topic-stats");
        assert_eq!(came, expected, "{stats}");
    }
}

#[test]
fn a_camera_that_waits_for_a_viewer_skips_what_became_late_and_sends_no_burst() {
    let topic = Topic::new();
    let producer = Running::playing(&camera(&topic, 64, "wait-for-connection=true max-buffers=64"));
    until("it has waited for half a second", || {
        producer.pipeline.current_running_time() > Some(gst::ClockTime::from_mseconds(500))
    });
    assert_eq!(producer.stat("sink", "published"), 0);
    let viewer = viewer(&topic, "on-lapped=oldest");
    let first = frame(&viewer);
    assert!(offset(&first) >= 20, "the first is frame {}, which is late", offset(&first));
    assert!(producer.stat("sink", "dropped") >= 20);
    let (mut told, mut reason) = (0, String::new());
    for expected in 1..20 {
        assert_eq!(offset(&frame(&viewer)), offset(&first) + expected);
    }
    let dropped = producer.stat("sink", "dropped");
    // All that was lost is told, the last of it a second later or at the end.
    until("every loss is told", || {
        let lost = producer.wait_message("shmflow-dropped");
        told += lost.get::<u64>("count").expect("a number");
        reason = lost.get::<String>("reason").expect("a reason");
        told >= dropped
    });
    assert!(told == dropped && reason.contains("held"), "{told} of {dropped}: {reason}");
    stops_cleanly(&viewer);
    stops_cleanly(&producer);
}

#[test]
fn an_end_that_comes_before_the_stream_is_held_ends_it_all_the_same() {
    let topic = Topic::new();
    let producer = Running::playing(&format!(
        "videotestsrc is-live=true ! {} ! queue min-threshold-time=300000000 ! {}",
        caps(64),
        topic.sink("wait-for-connection=true")
    ));
    producer.finish();
    assert_eq!(producer.stat("sink", "published"), 0);
}

#[test]
fn a_pipeline_that_is_held_can_be_flushed() {
    let topic = Topic::new();
    let producer = Running::playing(&format!(
        "videotestsrc ! {} ! {}",
        caps(64),
        topic.sink("wait-for-connection=true")
    ));
    until("it waits", || producer.pipeline.current_running_time() > Some(gst::ClockTime::from_mseconds(100)));
    let pipeline = producer.pipeline.clone();
    let flush = std::thread::spawn(move || {
        pipeline.send_event(gst::event::FlushStart::new())
            && pipeline.send_event(gst::event::FlushStop::new(true))
    });
    until("the flush is over", || flush.is_finished());
    stops_cleanly(&producer);
}

#[test]
fn a_film_is_held_for_its_viewer_and_goes_on_where_it_was() {
    let topic = Topic::new();
    let producer = Running::playing(&format!(
        "videotestsrc num-buffers=100 ! {} ! {}",
        caps(64),
        topic.sink("wait-for-connection=true max-buffers=64")
    ));
    let waited = |ms| producer.pipeline.current_running_time() > Some(gst::ClockTime::from_mseconds(ms));
    until("it has waited for half a second", || waited(500));
    let mut next = 0;
    // The first viewer leaves in the middle, and the film waits again.
    for (frames, until_ms) in [(30, 1500), (60, 0)] {
        let viewer = viewer(&topic, "on-lapped=oldest");
        let first = frame(&viewer);
        assert!(offset(&first) <= next + 4, "goes on with frame {} after {next}", offset(&first));
        for expected in 1..frames {
            let sample = frame(&viewer);
            assert_eq!(offset(&sample), offset(&first) + expected);
            next = offset(&sample);
            // At its own pace, not in a burst.
            let now = viewer.pipeline.current_running_time().expect("it plays");
            assert!(sample.buffer().and_then(|buffer| buffer.pts()).expect("a time") <= now);
        }
        stops_cleanly(&viewer);
        until("nobody is there", || clients(&producer) == 0);
        until("the film waits again", || waited(until_ms));
    }
    assert_eq!(producer.stat("sink", "dropped"), 0, "nothing is left out");
    stops_cleanly(&producer);
}

#[test]
fn a_film_that_nobody_comes_to_see_ends_when_it_is_told_to() {
    for live in [false, true] {
        let topic = Topic::new();
        let mut producer = Child::launch(&format!(
            "-e videotestsrc is-live={live} ! {} ! queue ! {}",
            caps(64),
            topic.sink("wait-for-connection=true")
        ));
        until("it waits", || !topic.files().is_empty());
        producer.wait_for("Setting pipeline to PLAYING");
        producer.interrupt().well();
    }
}

#[test]
fn a_wait_for_a_viewer_is_ended_by_pause_and_taken_up_with_the_same_frame() {
    let topic = Topic::new();
    let producer = Running::playing(&format!(
        "videotestsrc num-buffers=3 ! {} ! {}",
        caps(64),
        topic.sink("wait-for-connection=true sync=false history=8")
    ));
    for _ in 0..100 {
        producer.set_state(gst::State::Playing);
        producer.set_state(gst::State::Paused);
    }
    // So fast that the streaming thread does not always see that it was paused.
    for _ in 0..2_000 {
        producer.play();
        producer.pipeline.set_state(gst::State::Paused).expect("it pauses");
    }
    producer.play();
    let viewer = viewer(&topic, "is-live=false");
    for expected in 0..3 {
        assert_eq!(offset(&frame(&viewer)), expected);
    }
    viewer.wait_eos();
}

#[test]
fn waits_end_at_once_when_the_pipeline_is_stopped() {
    let topic = Topic::new();
    // For a topic, for a frame, for a viewer.
    let for_topic = Running::playing(&format!("{} ! fakesink", topic.src("").replace("=video", "=nobody")));
    let silent =
        Running::playing(&format!("appsrc name=in caps={} ! {}", caps(64), topic.sink("async=false")));
    let for_frame = Running::playing(&format!("{} ! fakesink", topic.src("")));
    until("it is there", || clients(&silent) == 1);
    let for_viewer = Running::playing(
        &format!("videotestsrc ! {}", topic.sink("wait-for-connection=true")).replace("=video", "=unseen"),
    );
    // And one that published nothing although it has a frame.
    let paused = Running::new(&format!("videotestsrc ! {}", topic.sink("")).replace("=video", "=paused"));
    paused.set_state(gst::State::Paused);
    std::thread::sleep(Duration::from_millis(100));
    for (what, running) in [
        ("a topic", for_topic),
        ("a frame", for_frame),
        ("a viewer", for_viewer),
        ("nothing", silent),
        ("its pipeline", paused),
    ] {
        let mut best = Duration::MAX;
        for _ in 0..4 {
            let start = Instant::now();
            stops_cleanly(&running);
            best = best.min(start.elapsed());
            running.play();
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(best < Duration::from_millis(100), "waiting for {what}: {best:?}");
    }
}

#[test]
fn a_process_that_is_stopped_and_continued_in_its_waits_goes_on() {
    let topic = Topic::new();
    let mut listener = Child::listen(&topic.src(""));
    let producer = camera_process(&topic, 64, "wait-for-connection=true");
    listener.wait_frames(2);
    // SIGCONT interrupts system calls.
    for _ in 0..20 {
        let before = listener.seen().len();
        for process in [&listener, &producer] {
            process.freeze();
            process.thaw();
        }
        listener.wait_frames(before + 2);
        std::thread::sleep(Duration::from_millis(3));
    }
    listener.interrupt().well();
    producer.interrupt().well();
}
