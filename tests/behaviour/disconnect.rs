//! Ends of streams, and producers that go without one.

use gstreamer as gst;

use gst::prelude::*;

use crate::child::Child;
use crate::common::{camera, camera_process, caps, drain, frame, frame_of_width, stops_cleanly, viewer};
use crate::support::{Running, Topic, until};

/// A producer of so many frames and then the end.
fn finite(topic: &Topic, frames: u32, more: &str) -> String {
    format!("videotestsrc num-buffers={frames} ! {} ! {}", caps(64), topic.sink(more))
}

#[test]
fn the_end_of_the_stream_comes_after_the_last_frame_and_once() {
    let topic = Topic::new();
    let viewer = Running::playing(&format!("{} ! appsink name=out sync=false", topic.src("is-live=false")));
    let producer =
        Running::playing(&finite(&topic, 20, "sync=false history=8 max-buffers=32 wait-for-connection=true"));
    for expected in 0..20 {
        assert_eq!(frame(&viewer).buffer().expect("a buffer").offset(), expected);
    }
    producer.wait_eos();
    viewer.wait_eos();
    assert!(viewer.pull().is_none(), "nothing comes after the end");
    stops_cleanly(&viewer);
    stops_cleanly(&producer);
}

#[test]
fn a_viewer_without_a_producer_says_so_once_and_waits() {
    let topic = Topic::new();
    let mut viewer = Child::listen(&topic.src(""));
    viewer.wait_for("Waiting for a producer of topic 'video'");
    let mut producer = camera_process(&topic, 64, "");
    viewer.wait_frames(5);
    producer.kill();
    let _second = camera_process(&topic, 64, "");
    viewer.wait_frames(viewer.seen().len() + 20);
    let ended = viewer.interrupt();
    assert_eq!(ended.well().printed.matches("Waiting for a producer").count(), 1, "{}", ended.printed);
}

#[test]
fn programs_end_with_success_when_the_stream_ends() {
    let topic = Topic::new();
    let viewer = Child::launch(&format!("{} ! fakesink", topic.src("")));
    let producer = Child::launch(&finite(&topic, 20, "wait-for-connection=true"));
    producer.wait().well();
    viewer.wait().well();
    assert_eq!(topic.files(), Vec::<String>::new());
}

#[test]
fn a_producer_stopped_with_eos_ends_its_viewers_and_one_stopped_without_does_not() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "");
    let producer = camera_process(&topic, 64, "");
    frame(&viewer);
    producer.interrupt().well();
    let second = Child::launch(&format!("-e {}", camera(&topic, 128, "")));
    frame_of_width(&viewer, 128);
    second.interrupt().well();
    drain(&viewer);
    stops_cleanly(&viewer);
}

#[test]
fn a_viewer_that_ignores_the_end_stays_for_the_next_producer() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "ignore-eos=true");
    for width in [64, 128, 256] {
        let producer = Child::launch(&format!("-e {}", camera(&topic, width, "")));
        frame_of_width(&viewer, i32::try_from(width).expect("small"));
        producer.interrupt().well();
        viewer.wait_message("shmflow-ended");
    }
    stops_cleanly(&viewer);
}

#[test]
fn a_source_that_finds_only_an_ended_topic_waits_for_the_next_producer() {
    let topic = Topic::new();
    Child::launch(&finite(&topic, 5, "sync=false persistent=true")).wait().well();
    assert!(!topic.files().is_empty(), "the topic stays");
    let viewer = viewer(&topic, "");
    let _producer = camera_process(&topic, 128, "");
    frame_of_width(&viewer, 128);
    stops_cleanly(&viewer);
}

#[test]
fn a_killed_producer_is_no_end_but_what_on_disconnect_says() {
    for (choice, outcome) in [("none", ""), ("eos", "eos"), ("error", "error")] {
        let topic = Topic::new();
        let viewer = viewer(&topic, &format!("on-disconnect={choice}"));
        let mut producer = camera_process(&topic, 64, "");
        frame(&viewer);
        producer.kill();
        match outcome {
            "eos" => drain(&viewer),
            "error" => {
                let error = viewer.wait_error();
                assert!(error.contains("'video'") && error.contains("without ending the stream"), "{error}");
            }
            _ => {
                viewer.wait_message("shmflow-disconnected");
                let _producer = camera_process(&topic, 128, "");
                frame_of_width(&viewer, 128);
                stops_cleanly(&viewer);
            }
        }
    }
}

#[test]
fn a_source_tells_after_its_time_out_that_no_producer_came() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "connection-timeout=200");
    let error = viewer.wait_error();
    assert!(error.contains("'video'") && error.contains("200 ms"), "{error}");
    // And the same after a producer was there.
    viewer.set_state(gst::State::Null);
    let mut producer = camera_process(&topic, 64, "");
    until("the producer is there", || topic.files().iter().any(|file| file.ends_with(".ring")));
    viewer.play();
    frame(&viewer);
    producer.kill();
    let error = viewer.wait_error();
    assert!(error.contains("200 ms"), "{error}");
}

#[test]
fn with_several_producers_the_stream_ends_with_the_last_one() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "");
    let first = Child::launch(&format!("-e {}", camera(&topic, 64, "")));
    let second = Child::launch(&format!("-e {}", camera(&topic, 128, "")));
    frame_of_width(&viewer, 64);
    frame_of_width(&viewer, 128);
    first.interrupt().well();
    for _ in 0..5 {
        frame_of_width(&viewer, 128);
    }
    second.interrupt().well();
    drain(&viewer);
    stops_cleanly(&viewer);
}

#[test]
fn a_topic_whose_files_were_removed_is_found_again_when_it_is_made_again() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "");
    let mut producer = camera_process(&topic, 64, "");
    frame(&viewer);
    producer.kill();
    for file in topic.files() {
        std::fs::remove_file(topic.dir().join(file)).expect("it is there");
    }
    let _producer = camera_process(&topic, 128, "");
    frame_of_width(&viewer, 128);
    stops_cleanly(&viewer);
}

#[test]
fn the_end_is_published_only_after_the_last_frame_was_shown() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "");
    // Three frames, half a second apart, and the end at 1.5 s.
    let producer = Running::playing(&format!(
        "videotestsrc num-buffers=3 ! video/x-raw,format=GRAY8,width=16,height=16,framerate=2/1 ! {}",
        topic.sink("")
    ));
    frame(&viewer);
    let start = std::time::Instant::now();
    drain(&viewer);
    let took = start.elapsed();
    assert!(took.as_millis() >= 1_300, "the end came after {took:?}");
    producer.wait_eos();
    assert_eq!(producer.pipeline.current_state(), gst::State::Playing);
}
