//! Ends of streams, and producers that go without one.

use gstreamer as gst;
use gstreamer_check as gst_check;

use gst::prelude::*;

use crate::support::child::Child;
use crate::support::pipelines::{
    buffer, camera, camera_process, caps, drain, frame, frame_of_width, offset, pull_within, stops_cleanly,
    viewer,
};
use crate::support::{Running, Topic, pads, until};

/// A producer of so many frames and then the end.
fn finite(topic: &Topic, frames: u32, more: &str) -> String {
    format!("videotestsrc num-buffers={frames} ! {} ! {}", caps(64), topic.sink(more))
}

#[test]
fn five_frames_and_the_end_go_from_pad_to_pad() {
    let topic = Topic::new();
    let mut source = pads::source(&topic);
    let mut sink = pads::sink(&topic);
    sink.play();
    let there = sink.element().expect("one");
    until("the source is there", || there.property::<u32>("num-clients") == 1);
    for value in 0..5 {
        assert_eq!(sink.push(pads::frame(value, u64::from(value) * 40)), Ok(gst::FlowSuccess::Ok));
    }
    assert!(sink.push_event(gst::event::Eos::new()));
    for value in 0..5 {
        let came = source.pull().expect("a buffer");
        assert_eq!(came.map_readable().expect("readable").as_slice(), [value; 4096]);
        assert_eq!(came.pts(), Some(gst::ClockTime::from_mseconds(u64::from(value) * 40)));
        assert_eq!(came.flags().contains(gst::BufferFlags::DISCONT), value == 0);
    }
    let kinds = std::iter::from_fn(|| Some(source.pull_event().ok()?.type_()));
    let kinds: Vec<_> = kinds.take_while(|kind| *kind != gst::EventType::Eos).collect();
    assert_eq!(kinds, [gst::EventType::StreamStart, gst::EventType::Caps, gst::EventType::Segment]);
}

#[test]
fn the_end_of_the_stream_comes_after_the_last_frame_and_once() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "is-live=false");
    let producer =
        Running::playing(&finite(&topic, 20, "sync=false history=8 max-buffers=32 wait-for-connection=true"));
    for expected in 0..20 {
        assert_eq!(offset(&frame(&viewer)), expected);
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
    let mut listener = Child::listen(&topic.src(""));
    let producer = camera_process(&topic, 64, "");
    frame(&viewer);
    listener.wait_frames(1);
    producer.interrupt().well();
    let seen = listener.seen().len();
    let second = Child::launch(&format!("-e {}", camera(&topic, 128, "")));
    frame_of_width(&viewer, 128);
    listener.wait_frames(seen + 5);
    second.interrupt().well();
    drain(&viewer);
    listener.wait().well();
    stops_cleanly(&viewer);
    // A stopped appsink still has its last sample.
    drop(viewer);
    assert_eq!(topic.files(), Vec::<String>::new());
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
fn a_viewer_that_ignores_ends_gets_each_frame_once() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "ignore-eos=true");
    let mut producer = pads::sink(&topic);
    producer.play();
    let sink = producer.element().expect("one");
    until("the viewer is there", || sink.property::<u32>("num-clients") == 1);
    let send = |producer: &mut gst_check::Harness, n: u8| {
        producer.push(pads::frame(n, u64::from(n))).expect("taken");
        assert_eq!(buffer(&frame(&viewer)).map_readable().expect("readable")[0], n);
    };
    for round in 0..3 {
        for n in 0..3 {
            send(&mut producer, 10 * round + n);
        }
        assert!(producer.push_event(gst::event::Eos::new()));
        viewer.wait_message("shmflow-ended");
        assert!(pull_within(&viewer, 100).is_none(), "nothing comes twice");
        // A film that begins again.
        assert!(producer.push_event(gst::event::FlushStart::new()));
        assert!(producer.push_event(gst::event::FlushStop::new(true)));
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        assert!(producer.push_event(gst::event::Segment::new(&segment)));
    }
    assert_eq!(viewer.stat("src", "received"), 9);
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
fn a_producer_that_leaves_without_an_end_is_gone_not_ended() {
    for (setting, check) in [("none", 0), ("eos", 1), ("error", 2)] {
        let topic = Topic::new();
        let consumer = viewer(&topic, &format!("on-disconnect={setting}"));
        let producer = Running::playing(&camera(&topic, 64, ""));
        frame(&consumer);
        drop(producer);
        match check {
            0 => {
                let message = consumer.wait_message("shmflow-disconnected");
                assert_eq!(message.get::<&str>("topic"), Ok("video"));
                let _again = Running::playing(&camera(&topic, 128, ""));
                consumer.wait_message("shmflow-connected");
                frame_of_width(&consumer, 128);
            }
            1 => drain(&consumer),
            _ => {
                let error = consumer.wait_error();
                assert!(error.contains("on-disconnect"), "{error}");
            }
        }
    }
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
