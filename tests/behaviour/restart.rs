//! Either side is started, stopped, killed and started again, in any order.

use gstreamer as gst;

use gst::prelude::*;

use crate::child::Child;
use crate::common::{
    camera, camera_process, discont, frame, frame_of_width, offset, pull_within, stops_cleanly, viewer, width,
};
use crate::support::{Running, Topic, until};

#[test]
fn a_source_that_was_there_first_gets_the_first_frame() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "");
    let _producer = camera_process(&topic, 64, "");
    let first = frame(&viewer);
    assert!(offset(&first) <= 2, "frame {} was the first", offset(&first));
    assert!(discont(&first));
    stops_cleanly(&viewer);
}

#[test]
fn a_source_that_comes_later_starts_at_the_newest_frame() {
    let topic = Topic::new();
    let producer = Running::playing(&camera(&topic, 64, ""));
    until("ten frames are published", || producer.stat("sink", "published") >= 10);
    let viewer = viewer(&topic, "");
    let first = frame(&viewer);
    assert!(offset(&first) >= 9, "frame {} was the first", offset(&first));
    stops_cleanly(&viewer);
    stops_cleanly(&producer);
}

#[test]
fn each_side_alone_is_restarted_in_any_order_and_they_find_each_other() {
    let topic = Topic::new();
    let producer = Running::playing(&camera(&topic, 64, ""));
    let viewer = viewer(&topic, "ignore-eos=true");
    frame(&viewer);
    for round in 0..3 {
        viewer.set_state(gst::State::Null);
        viewer.play();
        frame(&viewer);
        producer.set_state(gst::State::Null);
        producer.play();
        frame(&viewer);
        // Both are down at the same time; now this one, now that one is back first.
        viewer.set_state(gst::State::Null);
        producer.set_state(gst::State::Null);
        if round % 2 == 0 {
            viewer.play();
            producer.play();
        } else {
            producer.play();
            viewer.play();
        }
        frame(&viewer);
    }
    stops_cleanly(&viewer);
    stops_cleanly(&producer);
    // A stopped appsink still has its last sample.
    drop(viewer);
    assert_eq!(topic.files(), Vec::<String>::new(), "nothing is left behind");
}

#[test]
fn a_killed_producer_comes_back_at_another_resolution_and_the_viewer_goes_on_with_its_first_frames() {
    let topic = Topic::new();
    // A late machine makes a burst of frames, and the viewer is to have all of them.
    let viewer = viewer(&topic, "on-lapped=oldest");
    for (generation, width) in [64, 320, 128, 1920].into_iter().enumerate() {
        let mut producer = camera_process(&topic, width, "max-buffers=64");
        let width = i32::try_from(width).expect("small");
        let first = frame_of_width(&viewer, width);
        // Of the first producer's, it misses what came before it found the topic.
        assert!(generation == 0 || offset(&first) == 0, "frame {} of {width} was the first", offset(&first));
        assert!(discont(&first), "the stream does not continue the last one");
        for expected in 1..5 {
            let next = frame(&viewer);
            assert_eq!(self::width(&next), width);
            assert_eq!(offset(&next), offset(&first) + expected);
            assert!(!discont(&next));
        }
        producer.kill();
    }
    stops_cleanly(&viewer);
}

#[test]
fn what_a_killed_pair_left_behind_is_taken_over() {
    let topic = Topic::new();
    for width in [64, 128] {
        let mut producer = camera_process(&topic, width, "");
        let mut listener = Child::listen(&topic.src(""));
        listener.wait_frames(3);
        producer.kill();
        listener.kill();
        assert!(!topic.files().is_empty(), "they had no time to clean up");
    }
    let producer = Running::playing(&camera(&topic, 64, ""));
    let viewer = viewer(&topic, "");
    frame_of_width(&viewer, 64);
    stops_cleanly(&viewer);
    stops_cleanly(&producer);
    // A stopped appsink still has its last sample.
    drop(viewer);
    assert_eq!(topic.files(), Vec::<String>::new(), "nothing is left behind");
}

#[test]
fn a_producer_killed_at_any_moment_costs_the_viewer_no_more_than_its_frames() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "");
    // Large frames, as fast as they can be made: most kills hit a slot that is being written.
    let text = format!(
        "videotestsrc ! video/x-raw,format=BGRx,width=1280,height=720,framerate=1000/1 ! {}",
        topic.sink("sync=false")
    );
    for _ in 0..8 {
        let mut producer = Child::launch(&text);
        let first = frame(&viewer);
        let mut last = offset(&first);
        for _ in 0..5 {
            last = offset(&frame(&viewer));
        }
        producer.kill();
        // What it had published may still come; then there is silence, not an error.
        while let Some(sample) = pull_within(&viewer, 300) {
            assert!(offset(&sample) > last, "in order");
            last = offset(&sample);
        }
    }
    stops_cleanly(&viewer);
}

#[test]
fn resolution_format_and_rate_change_in_mid_stream_and_every_frame_fits_its_caps() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "is-live=false on-lapped=oldest");
    let producer = Running::playing(&format!(
        "appsrc name=in format=time ! {}",
        topic.sink("sync=false history=8 wait-for-connection=true")
    ));
    let shapes = [
        ("GRAY8", 64, 48, 30),
        ("I420", 640, 480, 30),
        ("I420", 320, 240, 30),
        ("NV12", 320, 240, 60),
        ("BGRx", 1920, 1080, 60),
        ("GRAY8", 1, 1, 0),
    ];
    let input = producer.element("in");
    for (round, (format, width, height, rate)) in shapes.into_iter().cycle().take(18).enumerate() {
        let caps: gst::Caps =
            format!("video/x-raw,format={format},width={width},height={height},framerate={rate}/1")
                .parse()
                .expect("caps");
        let info = gstreamer_video::VideoInfo::from_caps(&caps).expect("video");
        let mut buffer = gst::Buffer::from_mut_slice(vec![u8::try_from(round).expect("few"); info.size()]);
        buffer.get_mut().expect("new").set_pts(gst::ClockTime::from_mseconds(round as u64));
        let sample = gst::Sample::builder().buffer(&buffer).caps(&caps).build();
        assert_eq!(input.emit_by_name::<gst::FlowReturn>("push-sample", &[&sample]), gst::FlowReturn::Ok);
        let got = frame(&viewer);
        let got_info = gstreamer_video::VideoInfo::from_caps(got.caps().expect("caps")).expect("video");
        assert_eq!((got_info.width(), got_info.height()), (width, height));
        assert_eq!((got_info.format(), got_info.fps()), (info.format(), info.fps()));
        let bytes = got.buffer().expect("a buffer").map_readable().expect("readable");
        assert!(bytes.len() == info.size() && bytes.iter().all(|byte| usize::from(*byte) == round));
    }
    stops_cleanly(&viewer);
    stops_cleanly(&producer);
}
