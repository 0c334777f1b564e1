//! Processes that are killed, stopped and interrupted, as `gst-launch-1.0` runs them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use gstreamer as gst;

use gst::prelude::*;
use support::launched::Launched;
use support::{Running, Topic, until, within};

fn camera(topic: &Topic, more: &str) -> String {
    format!("videotestsrc is-live=true ! video/x-raw,format=BGRx,framerate=60/1 ! {}", topic.sink(more))
}

#[test]
fn a_consumer_survives_the_killing_of_its_producer_and_takes_the_next_one_at_another_size() {
    let topic = Topic::new();
    let consumer = Running::playing(&format!("{} ! appsink name=out sync=false", topic.src("")));
    let mut producer = Launched::new(&camera(&topic, ""));
    for width in [320, 1280, 64] {
        let mut discont = false;
        until("frames of the new producer", || {
            let sample = consumer.pull().expect("a sample");
            let is_new = sample.caps().expect("caps").structure(0).expect("one").get("width") == Ok(width);
            discont = sample.buffer().expect("with a buffer").flags().contains(gst::BufferFlags::DISCONT);
            is_new
        });
        assert!(discont);
        producer.signal("KILL");
        assert_eq!(producer.code(), None, "killed");
        assert_eq!(consumer.error(), None);
        let width = if width == 320 { 1280 } else { 64 };
        producer =
            Launched::new(&camera(&topic, "").replace("BGRx,", &format!("BGRx,width={width},height=48,")));
    }
}

#[test]
fn a_producer_does_not_notice_that_a_consumer_is_killed_while_it_holds_frames() {
    let topic = Topic::new();
    let producer = Running::playing(&camera(&topic, ""));
    let clients = || producer.element("sink").property::<u32>("num-clients");
    for _ in 0..6 {
        let viewer = Launched::new(&format!(
            "{} ! queue max-size-buffers=0 max-size-bytes=0 min-threshold-buffers=200 ! fakesink",
            topic.src("")
        ));
        until("it is there", || clients() == 1);
        let before = producer.stat("sink", "published");
        until("it holds frames", || producer.stat("sink", "published") > before + 12);
        viewer.signal("KILL");
        until("its death is noticed", || clients() == 0);
    }
    assert_eq!(producer.stat("sink", "dropped"), 0);
    assert_eq!(producer.error(), None);
}

#[test]
fn a_stopped_consumer_costs_the_producer_nothing_and_resumes_at_the_newest_frame() {
    let topic = Topic::new();
    let producer = Running::playing(&camera(&topic, ""));
    let viewer = Launched::viewer(&topic);
    let other = Launched::viewer(&topic);
    viewer.frame();
    other.frame();
    viewer.signal("STOP");
    let before = producer.stat("sink", "published");
    let started = Instant::now();
    std::thread::sleep(Duration::from_secs(2));
    let frames = producer.stat("sink", "published") - before;
    let expected = started.elapsed().as_millis() * 60 / 1000;
    assert!(u128::from(frames) + 6 >= expected, "{frames} of {expected} frames while a consumer was stopped");
    assert_eq!(producer.stat("sink", "dropped"), 0);
    other.forget();
    other.frame();
    viewer.forget();
    viewer.signal("CONT");
    let newest = producer.stat("sink", "published");
    // What it had read before it was stopped may still come out of its pipe.
    let resumed = (0..6).map(|_| viewer.frame()).find(|(_, discont)| *discont).expect("a discontinuity");
    assert!(resumed.0 + 5 >= newest, "frame {} of {newest}", resumed.0);
}

#[test]
fn an_interrupted_producer_is_gone_an_ended_one_has_ended() {
    let topic = Topic::new();
    let mut viewer = Launched::viewer(&topic);
    let mut producer = Launched::new(&camera(&topic, ""));
    viewer.frame();
    producer.signal("INT");
    assert_eq!(producer.code(), Some(0));
    viewer.forget();
    assert!(
        !within(Duration::from_millis(1500), || viewer.child.try_wait().expect("a child").is_some()),
        "it stays"
    );
    let mut producer = Launched::new(&format!("-e {}", camera(&topic, "")));
    viewer.frame();
    producer.signal("INT");
    assert_eq!(producer.code(), Some(0));
    assert_eq!(viewer.code(), Some(0), "the end of the stream is the end of it");
    assert_eq!(topic.files(), Vec::<String>::new());
}

#[test]
fn an_encoder_with_a_queue_behind_the_source_starves_nobody() {
    if !support::have(&["x264enc"]) {
        return;
    }
    let topic = Topic::new();
    let producer = Running::playing(&camera(&topic, ""));
    let viewer = Launched::viewer(&topic);
    let encoder = Launched::new(&format!(
        "{} num-buffers=200 ! queue ! videoconvert ! x264enc ! fakesink silent=false sync=false",
        topic.src("")
    ));
    let first = viewer.frame().0;
    encoder.line(|line| line.contains("last-message = chain").then_some(()));
    until("the viewer sees two more seconds", || viewer.frame().0 > first + 120);
    assert_eq!(producer.stat("sink", "dropped"), 0);
}

#[test]
fn two_producers_of_different_caps_interleave_and_each_frame_has_its_own() {
    let topic = Topic::new();
    let consumer = Running::playing(&format!("{} ! appsink name=out sync=false", topic.src("")));
    let _one = Launched::new(&camera(&topic, "").replace("BGRx,", "BGRx,width=64,height=48,"));
    let _two = Launched::new(&camera(&topic, "").replace("BGRx,", "BGRx,width=320,height=200,"));
    let mut seen = std::collections::HashSet::new();
    until("frames of both", || {
        let sample = consumer.pull().expect("a sample");
        let structure = sample.caps().expect("caps").structure(0).expect("one").to_owned();
        let (width, height) =
            (structure.get::<i32>("width").expect("one"), structure.get::<i32>("height").expect("one"));
        let size = sample.buffer().expect("with a buffer").size();
        assert_eq!(
            size,
            usize::try_from(width * height * 4).expect("positive"),
            "never the wrong caps on the data"
        );
        seen.insert(width);
        seen.len() == 2
    });
    assert_eq!(consumer.error(), None);
}

#[test]
fn a_full_file_system_is_told_in_bytes_with_a_remedy() {
    let topic = Topic::new();
    let small = topic.dir().join("small");
    std::fs::create_dir(&small).expect("made");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(&small).status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("left out: only root can mount a small file system");
        return;
    }
    let producer = Running::playing(&format!(
        "videotestsrc ! video/x-raw,format=BGRx,width=640,height=480 ! shmflowsink topic=video directory={}",
        small.display()
    ));
    let error = producer.wait_error();
    drop(producer);
    let unmounted = Command::new("umount").arg(&small).status();
    assert!(unmounted.is_ok_and(|status| status.success()), "unmounted");
    assert!(error.contains("bytes") && error.contains("small"), "{error}");
    assert!(
        error.contains("max-buffers") || error.contains("slots") || error.contains("shm-size"),
        "{error}"
    );
}
