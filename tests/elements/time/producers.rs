//! Whatever a producer's clock does, a viewer shows what arrives, and times never step back.

use gstreamer as gst;

use gst::prelude::*;
use shmflow::meta::{Clock, Kind, Meta, Times};

use crate::support::child::Child;
use crate::support::pipelines::{camera, caps, frame, offset, stops_cleanly, viewer};
use crate::support::{Running, Topic, until};

use super::latency::latency;
use super::{FRAME, pts};

const SECOND: u64 = 1_000_000_000;

/// The running time of a pipeline, in nanoseconds.
fn now(viewer: &Running) -> u64 {
    viewer.pipeline.current_running_time().expect("it plays").nseconds()
}

/// A viewer that plays what it gets, and one of whose pads can be asked how many frames it has shown.
fn display(topic: &Topic) -> Running {
    Running::playing(&format!(
        "{} ! fakesink name=out sync=true qos=true max-lateness=20000000",
        topic.src("")
    ))
}

fn shown(display: &Running) -> u64 {
    display.element("out").property::<gst::Structure>("stats").get("rendered").expect("a number")
}

/// A program that is no pipeline, and publishes what it is told to.
struct Program(shmflow::Producer);

impl Program {
    fn new(topic: &Topic) -> Self {
        Self(shmflow::Producer::builder("video").dir(topic.dir()).history(8).open().expect("opens"))
    }

    fn publish(&self, times: Times) {
        let meta = Meta::new(Kind::Video).caps(caps(64)).times(times);
        self.0.write_with(&[1; 64 * 48], &meta).expect("published");
    }
}

fn captured(ns: u64) -> Times {
    Times::default().capture_ns(ns).clock(Clock::Monotonic)
}

#[test]
fn a_latency_of_more_than_a_second_makes_no_step_in_time() {
    let topic = Topic::new();
    let slow = Running::new(&camera(&topic, 64, "max-buffers=64"));
    slow.pipeline.set_latency(gst::ClockTime::from_mseconds(1500));
    slow.play();
    until("it publishes, a second and a half late", || slow.stat("sink", "published") > 5);
    let viewer = viewer(&topic, "on-lapped=oldest");
    let mut last = frame(&viewer);
    assert!(pts(&last) < SECOND / 2, "the first frame was captured after the start: {}", pts(&last));
    assert!(now(&viewer) > SECOND, "and came when it was published");
    for _ in 0..100 {
        let sample = frame(&viewer);
        let (step, frames) = (pts(&sample).checked_sub(pts(&last)), offset(&sample) - offset(&last));
        let step = step.expect("time does not step back") / frames;
        assert!(step.abs_diff(FRAME) < FRAME / 10, "a step of {step} ns");
        last = sample;
    }
    assert_eq!(viewer.stat("src", "restamped"), 0);
    assert_eq!(latency(&viewer).1, 1_500_000_000);
}

#[test]
fn a_producer_faster_than_its_timestamps_is_shown() {
    let topic = Topic::new();
    let producer = Running::playing(&format!(
        "videotestsrc ! video/x-raw,width=64,height=48,framerate=25/1 ! identity sleep-time=5000 ! {}",
        topic.sink("sync=false")
    ));
    until("it is seconds ahead", || producer.stat("sink", "published") > 100);
    let display = display(&topic);
    until("the display shows what comes", || shown(&display) > 60);
    display.wait_message("shmflow-restamped");
    assert!(display.stat("src", "restamped") > 50);
    stops_cleanly(&display);
}

#[test]
fn a_producer_slower_than_its_timestamps_is_shown_by_who_was_there_from_the_start() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "");
    let display = display(&topic);
    // 50 frames a second, stamped as 100.
    let _producer = Running::playing(&format!(
        "videotestsrc ! {} ! identity sleep-time=20000 ! {}",
        caps(64),
        topic.sink("")
    ));
    let mut last = 0;
    for _ in 0..150 {
        let sample = frame(&viewer);
        assert!(pts(&sample) >= last, "time steps back from {last} to {}", pts(&sample));
        last = pts(&sample);
    }
    assert!(now(&viewer).saturating_sub(last) < SECOND / 4, "it is a frame of now");
    let before = shown(&display);
    until("a display shows it, too", || shown(&display) > before + 30);
    viewer.wait_message("shmflow-restamped");
}

#[test]
fn frames_stamped_an_hour_ahead_stop_nobody() {
    let topic = Topic::new();
    let program = Program::new(&topic);
    let viewer = viewer(&topic, "on-lapped=oldest");
    until("the viewer is there", || program.0.consumer_count() == 1);
    let mut last = 0;
    for ahead in [0, 3600, 3600, 3600, 0, 0] {
        program.publish(captured(gst::get_timestamp().nseconds() + ahead * SECOND));
        let at = pts(&frame(&viewer));
        assert!((last..=now(&viewer)).contains(&at), "{at} after {last}");
        last = at;
    }
    assert_eq!(viewer.stat("src", "restamped"), 3);
}

#[test]
fn times_that_no_clock_has_do_no_harm() {
    for live in ["true", "false"] {
        let topic = Topic::new();
        let program = Program::new(&topic);
        let viewer = viewer(&topic, &format!("is-live={live} on-lapped=oldest"));
        until("the viewer is there", || program.0.consumer_count() == 1);
        for value in [u64::MAX, u64::MAX - 1, 1 << 63, 1 << 62, (1 << 62) - 1] {
            program.publish(captured(value).pts(value).dts(value).duration(value).latency_ns(value));
            frame(&viewer);
            let (_, least, _) = latency(&viewer);
            assert!(least <= 60 * SECOND, "a latency of {least} ns");
        }
        stops_cleanly(&viewer);
    }
}

#[test]
fn not_live_frames_without_a_capture_time_keep_their_own_distances() {
    let topic = Topic::new();
    let program = Program::new(&topic);
    for second in [100, 101, 103] {
        program.publish(Times::default().pts(second * SECOND));
    }
    let viewer = viewer(&topic, "is-live=false on-lapped=oldest");
    assert_eq!([0; 3].map(|_| pts(&frame(&viewer)) / SECOND), [0, 1, 3]);
}

#[test]
fn not_live_a_first_frame_without_times_is_at_0_and_the_next_follow() {
    let topic = Topic::new();
    let program = Program::new(&topic);
    program.publish(Times::default());
    let uptime = gst::get_timestamp().nseconds();
    program.publish(captured(uptime));
    program.publish(captured(uptime + SECOND));
    let viewer = viewer(&topic, "is-live=false on-lapped=oldest");
    assert_eq!([0; 3].map(|_| pts(&frame(&viewer))), [0, 0, SECOND]);
}

#[test]
fn the_newest_frame_is_shown_to_who_comes_later_though_no_other_follows() {
    let topic = Topic::new();
    let program = Program::new(&topic);
    program.publish(captured(gst::get_timestamp().nseconds()));
    let live = viewer(&topic, "");
    let first = pts(&frame(&live));
    assert!(first <= now(&live), "as if it had just been captured");
    // One that is published after the viewer came, and was captured before.
    let late = viewer(&topic, "");
    frame(&late);
    // (A machine may have been started less than an hour ago.)
    program.publish(captured(gst::get_timestamp().nseconds().saturating_sub(3600 * SECOND)));
    assert!(pts(&frame(&late)) >= first.min(1), "it is shown, too");
    assert_eq!(late.stat("src", "skipped"), 0);
}

#[test]
fn a_persistent_topic_shows_its_last_frame_when_everybody_is_gone() {
    let topic = Topic::new();
    {
        let program =
            shmflow::Producer::builder("video").dir(topic.dir()).persistent(true).open().expect("opens");
        let program = Program(program);
        program.publish(captured(gst::get_timestamp().nseconds()));
        program.0.end();
    }
    frame(&viewer(&topic, ""));
}

#[test]
fn a_dead_primarys_latency_is_not_waited_for() {
    let topic = Topic::new();
    let queue = "queue min-threshold-time=400000000 max-size-buffers=0 max-size-bytes=0 max-size-time=0";
    let text = format!(
        "videotestsrc is-live=true ! {} ! {queue} ! {}",
        caps(64),
        topic.sink("producer-mode=primary")
    );
    let mut primary = Child::launch(&text);
    let old = viewer(&topic, "");
    frame(&old);
    until("its latency is known", || latency(&old).1 >= 400_000_000);
    let standby = Running::playing(&camera(&topic, 64, "producer-mode=primary"));
    until("the standby is ready", || standby.stat("sink", "standby") > 3);
    primary.kill();
    until("the standby publishes", || standby.stat("sink", "published") > 5);
    let new = viewer(&topic, "");
    frame(&new);
    until("old and new viewers agree", || {
        frame(&old);
        latency(&old) == latency(&new)
    });
    assert!(latency(&old).1 < 400_000_000, "and wait for the living only");
}

#[test]
fn a_viewer_that_is_slow_does_not_take_its_producer_for_late() {
    let topic = Topic::new();
    let _producer = Running::playing(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=I420,width=1920,height=1080,framerate=25/1 ! {}",
        topic.sink("max-buffers=64 perms=0644")
    ));
    // Each frame is copied, and was there long before it is asked for.
    let viewer = Running::playing(&format!(
        "{} ! identity sleep-time=45000 ! fakesink sync=false",
        topic.src("read-only=true on-lapped=oldest")
    ));
    until("it has fallen behind for a while", || viewer.stat("src", "received") > 45);
    assert_eq!(viewer.stat("src", "restamped"), 0);
}

#[test]
fn when_the_last_producer_goes_its_latency_goes_with_it() {
    let topic = Topic::new();
    let producer = Running::new(&camera(&topic, 64, ""));
    producer.pipeline.set_latency(gst::ClockTime::from_mseconds(400));
    producer.play();
    let viewer = viewer(&topic, "");
    frame(&viewer);
    until("the latency is known", || latency(&viewer).1 == 400_000_000);
    let bus = viewer.pipeline.bus().expect("a pipeline has a bus");
    while bus.pop_filtered(&[gst::MessageType::Latency]).is_some() {}
    drop(producer);
    let told = bus.timed_pop_filtered(gst::ClockTime::from_seconds(30), &[gst::MessageType::Latency]);
    assert!(told.is_some(), "the pipeline is told");
    assert_eq!(latency(&viewer).1, 0);
}
