//! Frames keep the moment of their capture, whatever segments, base times and clocks the pipelines have.

mod clocks;
mod latency;
mod namespaces;
mod producers;

use std::sync::{Arc, Mutex};

use gstreamer as gst;

use gst::prelude::*;

use crate::support::pipelines::{AT_ONCE, camera, camera_process, caps, frame, offset, viewer};
use crate::support::{Running, Topic, pads, until};

/// Between two frames of [`camera`].
const FRAME: u64 = 10_000_000;

fn pts(sample: &gst::Sample) -> u64 {
    sample.buffer().and_then(|buffer| buffer.pts()).expect("a frame has a time").nseconds()
}

/// The moment of a frame's capture on the clock that all pipelines here have.
fn moment(viewer: &Running, sample: &gst::Sample) -> u64 {
    viewer.pipeline.base_time().expect("it plays").nseconds() + pts(sample)
}

/// Gives a pipeline a base time, and keeps it.
fn based(running: &Running, base: gst::ClockTime) {
    running.pipeline.use_clock(Some(&gst::SystemClock::obtain()));
    running.pipeline.set_start_time(gst::ClockTime::NONE);
    running.pipeline.set_base_time(base);
}

/// Pushes a frame with a time in a segment.
fn push(producer: &Running, segment: &gst::FormattedSegment<gst::ClockTime>, pts: gst::ClockTime) {
    let caps: gst::Caps = pads::CAPS.parse().expect("caps");
    let mut buffer = gst::Buffer::from_slice([1_u8; 4096]);
    buffer.get_mut().expect("new").set_pts(pts);
    let sample = gst::Sample::builder().buffer(&buffer).caps(&caps).segment(segment).build();
    producer.push_sample(&sample);
}

#[test]
fn times_follow_the_segment_across_a_change_of_its_base() {
    let topic = Topic::new();
    // Frames of the last forty seconds, from a producer that is half a minute late and says so.
    let base = gst::SystemClock::obtain().time() - gst::ClockTime::from_mseconds(40_500);
    let viewer = Running::new(&format!("{} ! appsink name=out sync=false", topic.src("")));
    let producer = Running::new(&format!(
        "appsrc name=in format=time handle-segment-change=true ! {}",
        topic.sink(AT_ONCE)
    ));
    producer.pipeline.set_latency(gst::ClockTime::from_seconds(30));
    based(&viewer, base);
    based(&producer, base);
    viewer.play();
    producer.play();
    let second = gst::ClockTime::from_seconds;
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    push(&producer, &segment, second(30));
    // One after the other: an appsrc of 1.26 sends the newest segment it was given before the first buffer.
    assert_eq!(pts(&frame(&viewer)), 30_000_000_000);
    segment.set_base(second(30));
    push(&producer, &segment, second(1));
    assert_eq!(pts(&frame(&viewer)), 31_000_000_000);
    // A segment that starts elsewhere, and one that runs at double speed.
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(second(100));
    segment.set_base(second(32));
    push(&producer, &segment, second(100));
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_rate(2.0);
    push(&producer, &segment, second(80));
    assert_eq!([pts(&frame(&viewer)), pts(&frame(&viewer))], [32_000_000_000, 40_000_000_000]);
}

#[test]
fn at_double_speed_frames_last_half_as_long() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "is-live=false");
    let producer = Running::playing(&format!(
        "appsrc name=in format=time handle-segment-change=true ! {}",
        topic.sink(AT_ONCE)
    ));
    for (rate, lasts) in [(1.0, 40), (2.0, 20), (0.5, 80)] {
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_rate(rate);
        let mut buffer = pads::frame(1, 0);
        buffer.get_mut().expect("new").set_duration(gst::ClockTime::from_mseconds(40));
        let caps: gst::Caps = pads::CAPS.parse().expect("caps");
        producer.push_sample(&gst::Sample::builder().buffer(&buffer).caps(&caps).segment(&segment).build());
        let got = frame(&viewer).buffer().and_then(|buffer| buffer.duration());
        assert_eq!(got, Some(gst::ClockTime::from_mseconds(lasts)), "at rate {rate}");
    }
}

#[test]
fn each_buffer_of_a_list_is_published_when_its_time_has_come() {
    let topic = Topic::new();
    let producer =
        Running::playing(&format!("appsrc name=in format=time caps={} ! {}", pads::CAPS, topic.sink("")));
    let mut list = gst::BufferList::new();
    for n in 0..5 {
        list.get_mut().expect("new").add(pads::frame(1, n * 100));
    }
    let pushed = producer.element("in").emit_by_name::<gst::FlowReturn>("push-buffer-list", &[&list]);
    assert_eq!(pushed, gst::FlowReturn::Ok);
    for n in 1..=5_u64 {
        until("the next one is published", || producer.stat("sink", "published") >= n);
        let now = producer.pipeline.current_running_time().expect("it plays").mseconds();
        assert!(now >= (n - 1) * 100, "the {n}th came after {now} ms");
    }
}

#[test]
fn a_paused_viewer_holds_no_frame_and_goes_on_with_the_newest() {
    for rate in [100, 2] {
        let topic = Topic::new();
        let producer = Running::playing(&format!(
            "videotestsrc is-live=true ! video/x-raw,format=GRAY8,width=64,height=48,framerate={rate}/1 ! {}",
            topic.sink("")
        ));
        let viewer = Running::new(&format!("{} ! fakesink sync=false", topic.src("")));
        // Nothing but the source holds a frame.
        let seen: Arc<Mutex<Vec<(u64, u64)>>> = Arc::default();
        let record = Arc::clone(&seen);
        let pad = viewer.element("src").static_pad("src").expect("a source has one");
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let buffer = info.buffer().expect("a buffer");
            let time = buffer.pts().expect("a time").nseconds();
            record.lock().expect("whole").push((buffer.offset(), time));
            gst::PadProbeReturn::Drop
        });
        let frames = || seen.lock().expect("whole").len();
        viewer.play();
        until("it plays", || frames() > 2);
        viewer.pipeline.set_state(gst::State::Paused).expect("it pauses");
        let (before, published) = (frames(), producer.stat("sink", "published"));
        until("the producer goes on", || producer.stat("sink", "published") > published + 4);
        assert_eq!((frames(), viewer.stat("src", "leases")), (before, 0), "nothing is taken");
        viewer.play();
        until("the viewer goes on", || frames() > before + 2);
        let seen = seen.lock().expect("whole");
        assert!(
            seen[before].0 >= published + 3,
            "with frame {}, of {published} at the pause",
            seen[before].0
        );
        assert!(seen.windows(2).all(|two| two[0].1 <= two[1].1), "times step back: {seen:?}");
        assert!(viewer.stat("src", "skipped") >= 3, "what was left out is counted");
    }
}

#[test]
fn times_of_different_segments_arrive_as_far_apart_as_they_run() {
    let topic = Topic::new();
    let consumer = viewer(&topic, "is-live=false");
    let producer = Running::playing(&format!(
        "appsrc name=in format=time handle-segment-change=true ! {}",
        topic.sink(AT_ONCE)
    ));
    // 30 s in a segment from 0, then 1 s in one with a base of 30 s, then 2 s before its start at 5 s (clipped away),
    // then 5 s at double speed.
    let mut times = Vec::new();
    for (base, start, rate, time) in [(0, 0, 1.0, 30), (30, 0, 1.0, 1), (32, 5, 2.0, 5), (32, 5, 2.0, 7)] {
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_base(gst::ClockTime::from_seconds(base));
        segment.set_start(gst::ClockTime::from_seconds(start));
        segment.set_rate(rate);
        push(&producer, &segment, gst::ClockTime::from_seconds(time));
        times.push(pts(&frame(&consumer)) / 1_000_000);
    }
    assert_eq!(times, [0, 1000, 2000, 3000]);
}

#[test]
fn two_viewers_started_at_different_moments_give_a_frame_the_same_moment() {
    let topic = Topic::new();
    let _producer = camera_process(&topic, 64, "max-buffers=64");
    let first = viewer(&topic, "on-lapped=oldest");
    for _ in 0..15 {
        frame(&first);
    }
    let second = viewer(&topic, "on-lapped=oldest");
    let (mut one, mut two) = (frame(&first), frame(&second));
    assert_ne!(first.pipeline.base_time(), second.pipeline.base_time());
    for _ in 0..30 {
        while offset(&one) < offset(&two) {
            one = frame(&first);
        }
        assert_eq!(offset(&one), offset(&two));
        assert_eq!(moment(&first, &one), moment(&second, &two), "frame {}", offset(&one));
        (one, two) = (frame(&first), frame(&second));
    }
    assert_eq!(latency::latency(&first), latency::latency(&second), "and they wait equally long with it");
}

#[test]
fn frames_from_before_the_viewers_start_are_left_out_not_shown_at_its_start() {
    let topic = Topic::new();
    let producer = Running::playing(&camera(&topic, 64, "history=8"));
    until("the ring went round", || producer.stat("sink", "published") > 20);
    let published = producer.stat("sink", "published");
    let viewer = viewer(&topic, "");
    let first = frame(&viewer);
    assert!(offset(&first) + 2 >= published, "frame {} of {published}", offset(&first));
    let base = viewer.pipeline.base_time().expect("it plays").nseconds();
    assert!(moment(&viewer, &first) >= base);
    let second = frame(&viewer);
    assert_eq!(pts(&second) - pts(&first), FRAME, "no two frames at once");
}

#[test]
fn a_producer_that_falls_behind_its_own_timestamps_is_seen_nevertheless() {
    let topic = Topic::new();
    // Fifty frames a second, each a millisecond after the one before by its timestamp.
    let producer = Running::playing(&format!(
        "videotestsrc ! video/x-raw,width=64,height=48,framerate=1000/1 ! identity sleep-time=20000 ! {}",
        topic.sink("sync=false")
    ));
    producer.reaches("sink", "published", 10);
    let viewer = viewer(&topic, "");
    let mut last = 0;
    for _ in 0..5 {
        let sample = frame(&viewer);
        let now = viewer.pipeline.current_running_time().expect("it plays").nseconds();
        assert!(last < pts(&sample) && pts(&sample) <= now, "{last} {} {now}", pts(&sample));
        last = pts(&sample);
    }
}

#[test]
fn do_timestamp_replaces_the_producers_times_by_those_of_arrival() {
    let topic = Topic::new();
    let producer =
        Running::new(&format!("appsrc name=in format=time caps={} ! {}", pads::CAPS, topic.sink(AT_ONCE)));
    let viewer = viewer(&topic, "do-timestamp=true");
    producer.play();
    for second in 0..5 {
        // From an hour ahead.
        let mut buffer = gst::Buffer::from_slice([1_u8; 4096]);
        buffer.get_mut().expect("new").set_pts(gst::ClockTime::from_seconds(3_600 + second));
        producer.push(&buffer).expect("taken");
        let sample = frame(&viewer);
        let now = viewer.pipeline.current_running_time().expect("it plays").nseconds();
        assert!(pts(&sample) <= now && now - pts(&sample) < 500_000_000, "{} at {now}", pts(&sample));
    }
}

#[test]
fn a_stream_that_does_not_count_time_is_captured_now() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "");
    let producer = Running::playing(&format!(
        "appsrc name=in format=bytes caps={} ! {}",
        caps(64),
        topic.sink("sync=false wait-for-connection=true")
    ));
    for _ in 0..3 {
        let before = viewer.pipeline.current_running_time().expect("it plays").nseconds();
        producer.push(&gst::Buffer::from_mut_slice(vec![1_u8; 64 * 48])).expect("taken");
        let sample = frame(&viewer);
        let after = viewer.pipeline.current_running_time().expect("it plays").nseconds();
        assert!((before..=after).contains(&pts(&sample)), "{before} {} {after}", pts(&sample));
    }
}
