//! Times: frames keep the moment of their capture, whatever clocks and base times the pipelines have.

use gstreamer as gst;

use gst::prelude::*;

use crate::common::{camera, frame, offset, stops_cleanly, viewer};
use crate::support::{Running, Topic, until};

const FRAME: u64 = 10_000_000;

fn pts(sample: &gst::Sample) -> u64 {
    sample.buffer().and_then(|buffer| buffer.pts()).expect("a frame has a time").nseconds()
}

/// The moment of a frame's capture on the clock that all pipelines here have.
fn moment(viewer: &Running, sample: &gst::Sample) -> u64 {
    viewer.pipeline.base_time().expect("it plays").nseconds() + pts(sample)
}

/// Minimum and maximum of a latency query.
fn latency(viewer: &Running) -> (bool, u64, Option<u64>) {
    let mut query = gst::query::Latency::new();
    assert!(viewer.element("src").static_pad("src").expect("a source has one").query(&mut query));
    let (live, min, max) = query.result();
    (live, min.nseconds(), max.map(gst::ClockTime::nseconds))
}

/// Gives a pipeline a base time, and keeps it.
fn based(running: &Running, base: gst::ClockTime) {
    running.pipeline.use_clock(Some(&gst::SystemClock::obtain()));
    running.pipeline.set_start_time(gst::ClockTime::NONE);
    running.pipeline.set_base_time(base);
}

fn push(producer: &Running, segment: &gst::FormattedSegment<gst::ClockTime>, pts: gst::ClockTime) {
    let caps: gst::Caps = crate::common::caps(64).parse().expect("caps");
    let mut buffer = gst::Buffer::from_mut_slice(vec![1_u8; 64 * 48]);
    buffer.get_mut().expect("new").set_pts(pts);
    let sample = gst::Sample::builder().buffer(&buffer).caps(&caps).segment(segment).build();
    let pushed = producer.element("in").emit_by_name::<gst::FlowReturn>("push-sample", &[&sample]);
    assert_eq!(pushed, gst::FlowReturn::Ok);
}

#[test]
fn times_follow_the_segment_across_a_change_of_its_base() {
    let topic = Topic::new();
    let now = gst::SystemClock::obtain().time();
    let viewer = Running::new(&format!("{} ! appsink name=out sync=false", topic.src("")));
    let producer = Running::new(&format!(
        "appsrc name=in format=time handle-segment-change=true ! {}",
        topic.sink("sync=false history=8 wait-for-connection=true")
    ));
    based(&viewer, now);
    based(&producer, now);
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
fn two_viewers_started_at_different_moments_give_a_frame_the_same_moment() {
    let topic = Topic::new();
    let _producer = crate::common::camera_process(&topic, 64, "max-buffers=64");
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
    assert_eq!(latency(&first), latency(&second), "and they wait equally long with it");
}

#[test]
fn a_live_producers_latency_arrives_and_a_change_is_announced() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "");
    assert_eq!(latency(&viewer), (true, 0, None), "nothing is known yet");
    let live = Running::playing(&camera(&topic, 64, ""));
    frame(&viewer);
    // A camera is one frame behind; the ring holds eight.
    assert_eq!(latency(&viewer), (true, FRAME, Some(9 * FRAME)));
    let bus = viewer.pipeline.bus().expect("a pipeline has a bus");
    let patience = gst::ClockTime::from_seconds(30);
    assert!(bus.timed_pop_filtered(Some(patience), &[gst::MessageType::Latency]).is_some(), "announced");
    while bus.pop_filtered(&[gst::MessageType::Latency]).is_some() {}
    for _ in 0..20 {
        frame(&viewer);
    }
    assert!(bus.pop_filtered(&[gst::MessageType::Latency]).is_none(), "once, not with every frame");
    stops_cleanly(&live);
    let _film = Running::playing(&format!("videotestsrc ! {} ! {}", crate::common::caps(64), topic.sink("")));
    assert!(bus.timed_pop_filtered(Some(patience), &[gst::MessageType::Latency]).is_some(), "announced");
    assert_eq!(latency(&viewer), (true, 0, Some(8 * FRAME)), "a film has none");
}

#[test]
fn where_buffers_hold_one_field_each_a_ring_of_eight_holds_four_pictures() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "");
    let producer = Running::playing(&format!(
        "appsrc name=in format=time is-live=true caps=video/x-raw(format:Interlaced),format=GRAY8,width=64,height=64,\
         interlace-mode=alternate,framerate=25/1 ! {}",
        topic.sink("sync=false wait-for-connection=true")
    ));
    producer.push(&gst::Buffer::from_slice([0_u8; 64 * 32])).expect("taken");
    frame(&viewer);
    let (_, min, max) = latency(&viewer);
    assert_eq!(max.map(|max| max - min), Some(8 * 20_000_000));
}

#[test]
fn of_a_variable_rate_the_greatest_latency_is_unknown() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "");
    let _producer = Running::playing(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=GRAY8,width=64,height=48,framerate=100/1 ! videorate drop-only=true ! capssetter join=true caps=video/x-raw,framerate=0/1 ! {}",
        topic.sink("")
    ));
    frame(&viewer);
    assert_eq!(latency(&viewer).2, None);
}

#[test]
fn a_producer_on_another_clock_is_shown_at_the_right_moment_and_evenly() {
    let topic = Topic::new();
    let producer = Running::new(&camera(&topic, 64, ""));
    let realtime: gst::Clock = gst::glib::Object::builder::<gst::SystemClock>()
        .property("clock-type", gst::ClockType::Realtime)
        .build()
        .upcast();
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
    let realtime: gst::Clock = gst::glib::Object::builder::<gst::SystemClock>()
        .property("clock-type", gst::ClockType::Realtime)
        .build()
        .upcast();
    viewer.pipeline.use_clock(Some(&realtime));
    viewer.play();
    for _ in 0..30 {
        let sample = frame(&viewer);
        let age = realtime.time().nseconds().abs_diff(moment(&viewer, &sample));
        assert!(age < 300_000_000, "a frame of {age} ns ago, or to come");
    }
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
    let producer = Running::new(&format!(
        "appsrc name=in format=time caps={} ! {}",
        crate::common::caps(64),
        topic.sink("sync=false history=8 wait-for-connection=true")
    ));
    let viewer = viewer(&topic, "do-timestamp=true");
    producer.play();
    // From an hour ahead.
    let mut buffer = gst::Buffer::from_mut_slice(vec![1_u8; 64 * 48]);
    buffer.get_mut().expect("new").set_pts(gst::ClockTime::from_seconds(3_600));
    producer.push(&buffer).expect("taken");
    let sample = frame(&viewer);
    let now = viewer.pipeline.current_running_time().expect("it plays").nseconds();
    assert!(pts(&sample) <= now && now - pts(&sample) < 5_000_000_000, "{} at {now}", pts(&sample));
}

#[test]
fn a_stream_that_does_not_count_time_is_captured_now() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "");
    let producer = Running::playing(&format!(
        "appsrc name=in format=bytes caps={} ! {}",
        crate::common::caps(64),
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

#[test]
fn a_synchronised_viewer_shows_frames_at_their_pace_and_none_late() {
    let topic = Topic::new();
    let _producer = crate::common::camera_process(&topic, 64, "");
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

#[test]
fn flags_and_durations_cross_and_bookkeeping_flags_do_not() {
    use gstreamer_video::VideoBufferFlags as Video;
    let topic = Topic::new();
    let caps = "video/x-raw,format=GRAY8,width=64,height=48,framerate=25/1,interlace-mode=mixed";
    let viewer = viewer(&topic, "is-live=false");
    let producer = Running::playing(&format!(
        "appsrc name=in format=time caps={caps} ! {}",
        topic.sink("sync=false history=8 wait-for-connection=true")
    ));
    let sent = [
        (gst::BufferFlags::empty(), Video::INTERLACED | Video::TFF),
        (gst::BufferFlags::CORRUPTED, Video::INTERLACED),
        (gst::BufferFlags::MARKER | gst::BufferFlags::HEADER, Video::INTERLACED | Video::TFF | Video::RFF),
        (gst::BufferFlags::DELTA_UNIT | gst::BufferFlags::DROPPABLE, Video::ONEFIELD | Video::INTERLACED),
        (gst::BufferFlags::GAP, Video::empty()),
        (gst::BufferFlags::TAG_MEMORY | gst::BufferFlags::SYNC_AFTER, Video::empty()),
    ];
    let known = gst::BufferFlags::CORRUPTED
        | gst::BufferFlags::MARKER
        | gst::BufferFlags::HEADER
        | gst::BufferFlags::DELTA_UNIT
        | gst::BufferFlags::DROPPABLE
        | gst::BufferFlags::GAP;
    for (index, (flags, video)) in sent.into_iter().enumerate() {
        let mut buffer = gst::Buffer::from_mut_slice(vec![1_u8; 64 * 48]);
        {
            use gstreamer_video::prelude::*;
            let fresh = buffer.get_mut().expect("new");
            fresh.set_pts(gst::ClockTime::from_mseconds(index as u64 * 40));
            fresh.set_duration(gst::ClockTime::from_mseconds(40));
            fresh.set_offset(1000 + index as u64);
            fresh.set_offset_end(2000 + index as u64);
            fresh.set_flags(flags);
            fresh.set_video_flags(video);
        }
        producer.push(&buffer).expect("taken");
        let sample = frame(&viewer);
        let got = sample.buffer().expect("a buffer");
        use gstreamer_video::prelude::*;
        assert_eq!(got.flags() & known, flags & known, "frame {index}");
        assert!(!got.flags().intersects(gst::BufferFlags::TAG_MEMORY | gst::BufferFlags::SYNC_AFTER));
        let fields = Video::INTERLACED | Video::TFF | Video::RFF | Video::ONEFIELD;
        assert_eq!(got.video_flags() & fields, video & fields, "frame {index}");
        assert_eq!(got.duration(), Some(gst::ClockTime::from_mseconds(40)));
        assert_eq!((got.offset(), got.offset_end()), (1000 + index as u64, 2000 + index as u64));
        let meta = got.meta::<gstreamer_video::VideoMeta>().expect("described");
        assert_eq!(
            meta.video_frame_flags().contains(gstreamer_video::VideoFrameFlags::TFF),
            video.contains(Video::TFF)
        );
    }
}
