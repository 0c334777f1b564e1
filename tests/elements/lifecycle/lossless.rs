//! A sink with leaky-type=none waits for its consumers: nothing is lost, and every way to stop it works meanwhile.

use std::time::{Duration, Instant};

use gstreamer as gst;

use gst::prelude::*;
use shmflow::{Consumer, Delivery, StartAt};

use crate::support::child::Child;
use crate::support::pipelines::{AT_ONCE, caps, frame, offered, offset, stops_cleanly, viewer};
use crate::support::{Running, Topic, until};

/// As fast as it goes.
fn film(topic: &Topic, frames: i32, more: &str) -> Running {
    let sink = topic.sink(&format!("{AT_ONCE} leaky-type=none {more}"));
    Running::playing(&format!("videotestsrc num-buffers={frames} ! {} ! {sink}", caps(64)))
}

/// A consumer that takes a frame only when it is told to.
fn consumer(topic: &Topic) -> Consumer {
    // Before the topic is there.
    let builder = Consumer::builder("video").dir(topic.dir()).name("idle").start(StartAt::Oldest);
    builder.connect_timeout(None).open().expect("opens")
}

/// Waits until the sink waits: it has published, and goes on no more.
fn is_held(producer: &Running) -> u64 {
    let mut held = 0;
    until("the sink waits for its consumer", || {
        let before = std::mem::replace(&mut held, producer.stat("sink", "published"));
        std::thread::sleep(Duration::from_millis(60));
        held > 0 && before == held && producer.stat("sink", "published") == held
    });
    held
}

/// Receives everything from frame `first` on.
fn takes_all(mut consumer: Consumer, frames: u64) {
    for seq in 1..=frames {
        let frame = consumer.recv_timeout(crate::support::PATIENCE).expect("a frame");
        assert_eq!((frame.seq(), frame.lost_before()), (seq, 0));
    }
}

#[test]
fn a_slow_viewer_gets_every_frame_of_a_film() {
    const FRAMES: i32 = 300;
    let topic = Topic::new();
    let producer = film(&topic, FRAMES, "stall-timeout=0");
    let slow = Running::playing(&format!(
        "{} ! appsink name=out sync=false max-buffers=1",
        topic.src("is-live=false on-lapped=oldest")
    ));
    for expected in 0..FRAMES as u64 {
        assert_eq!(offset(&frame(&slow)), expected);
        if expected % 10 == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    producer.wait_eos();
    assert_eq!((producer.stat("sink", "dropped"), slow.stat("src", "lost")), (0, 0));
    stops_cleanly(&slow);
}

#[test]
fn a_sink_that_waits_is_paused_and_played_again_and_loses_nothing() {
    const FRAMES: u64 = 40;
    let topic = Topic::new();
    let producer = film(&topic, FRAMES as i32, "stall-timeout=0");
    let consumer = consumer(&topic);
    is_held(&producer);
    for _ in 0..3 {
        let start = Instant::now();
        producer.set_state(gst::State::Paused);
        producer.set_state(gst::State::Playing);
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
    takes_all(consumer, FRAMES);
    producer.wait_eos();
    assert_eq!(producer.stat("sink", "dropped"), 0);
}

#[test]
fn a_sink_that_waits_is_stopped_and_flushed_at_once() {
    let topic = Topic::new();
    let producer = film(&topic, -1, "stall-timeout=0");
    let _consumer = consumer(&topic);
    is_held(&producer);
    // Of a few attempts one at least is not held up by whatever else the machine does.
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        let pad = producer.element("sink").static_pad("sink").expect("a sink has a pad");
        assert!(pad.send_event(gst::event::FlushStart::new()));
        let flushed = start.elapsed();
        assert!(pad.send_event(gst::event::FlushStop::new(true)));
        producer.set_state(gst::State::Ready);
        producer.set_state(gst::State::Playing);
        is_held(&producer);
        let start = Instant::now();
        producer.set_state(gst::State::Ready);
        best = best.min(flushed.max(start.elapsed()));
        producer.set_state(gst::State::Playing);
    }
    assert!(best < Duration::from_millis(100), "{best:?}");
    stops_cleanly(&producer);
}

#[test]
fn a_consumer_that_takes_nothing_is_passed_over_and_the_application_is_told() {
    let topic = Topic::new();
    let producer = film(&topic, 200, "stall-timeout=150");
    let mut idle = consumer(&topic);
    let told = producer.wait_message("shmflow-client-stalled");
    assert_eq!(told.get::<String>("name").expect("a text"), "idle");
    let id = idle.id().expect("it is registered").generation;
    assert_eq!(told.get::<u64>("id").expect("a number"), id);
    producer.wait_eos();
    assert_eq!((producer.stat("sink", "dropped"), producer.stat("sink", "stalls")), (0, 1));
    let frame = idle.recv_timeout(crate::support::PATIENCE).expect("a frame");
    assert!(frame.lost_before() > 0, "it was passed over");
}

#[test]
fn a_preview_beside_a_recorder_holds_up_nobody() {
    const FRAMES: u64 = 200;
    let topic = Topic::new();
    let producer = film(&topic, FRAMES as i32, "stall-timeout=0");
    let preview = Running::playing(&format!(
        "{} ! appsink name=out sync=false max-buffers=1",
        topic.src("is-live=false delivery=latest")
    ));
    // It takes a few frames, and no more.
    let mut recorder =
        Consumer::builder("video").dir(topic.dir()).connect_timeout(None).open().expect("opens");
    let observer = shmflow::Producer::builder("video").dir(topic.dir()).open().expect("opens");
    let has = |delivery| observer.consumers().iter().any(|consumer| consumer.delivery == delivery);
    until("both are there", || has(Delivery::All) && has(Delivery::Latest));
    drop(observer);
    let mut last = 0;
    while last < FRAMES {
        let frame = recorder.recv_timeout(crate::support::PATIENCE).expect("a frame");
        assert!(last == 0 || frame.lost_before() == 0, "{frame:?}");
        last = frame.seq();
    }
    producer.wait_eos();
    stops_cleanly(&preview);
}

#[test]
fn a_frozen_viewer_is_waited_for_and_a_killed_one_is_not() {
    let topic = Topic::new();
    let producer = film(&topic, -1, "stall-timeout=0 wait-for-connection=false");
    let mut child = Child::listen(&topic.src("is-live=false on-lapped=oldest"));
    child.wait_frames(10);
    child.freeze();
    let held = is_held(&producer);
    child.thaw();
    until("it goes on", || producer.stat("sink", "published") > held + 50);
    child.freeze();
    let held = is_held(&producer);
    child.kill();
    until("it goes on without it", || producer.stat("sink", "published") > held + 50);
    let witness = viewer(&topic, "");
    frame(&witness);
    stops_cleanly(&witness);
    stops_cleanly(&producer);
}

#[test]
fn a_consumer_that_keeps_frames_does_not_stop_a_stream_of_which_upstream_keeps_as_many_as_it_can_get() {
    let topic = Topic::new();
    let caps = caps(64);
    let producer = Running::playing(&format!(
        "appsrc name=in format=time caps={caps} ! {}",
        topic.sink("sync=false leaky-type=none stall-timeout=0")
    ));
    let mut consumer = consumer(&topic);
    let pool = offered(&producer.element("sink"), &caps.parse().expect("caps of the test"));
    pool.set_active(true).expect("it starts");
    let mut upstream = Vec::new();
    let mut pass = || {
        let buffer = pool.acquire_buffer(None).expect("it never runs dry");
        upstream.push(buffer.clone());
        producer.push(&buffer).expect("taken");
        consumer.recv_timeout(crate::support::PATIENCE).expect("a frame")
    };
    // As a decoder does, which refers to frames that it has pushed.
    for _ in 0..8 {
        drop(pass());
    }
    // As a deinterlacer does, which looks at some frames together.
    let kept: Vec<_> = (0..4).map(|_| pass()).collect();
    assert_eq!(kept.iter().map(|frame| frame.seq()).collect::<Vec<_>>(), [9, 10, 11, 12]);
    assert_eq!(producer.stat("sink", "dropped"), 0);
}
