//! Either side is started, stopped and started again, in any order, and the other goes on.

mod ends;
mod lossless;
mod rates;
mod states;
mod waits;

use gstreamer as gst;

use crate::support::pipelines::{
    buffer, camera, camera_process, discont, drain, frame, frame_of_width, offset, stops_cleanly, viewer,
};
use crate::support::{Running, Topic, until};

#[test]
fn either_may_come_first_and_an_orderly_end_reaches_the_consumer() {
    for source_first in [true, false] {
        let topic = Topic::new();
        let mut early = source_first.then(|| viewer(&topic, ""));
        let producer = Running::new(&format!(
            "videotestsrc num-buffers=30 ! {}",
            topic.sink("wait-for-connection=true")
        ));
        producer.play();
        let consumer = early.take().unwrap_or_else(|| viewer(&topic, ""));
        assert!(discont(&frame(&consumer)));
        drain(&consumer);
        producer.wait_eos();
        drop(producer);
        assert_eq!(consumer.error(), None);
        drop(consumer);
        assert_eq!(topic.files(), Vec::<String>::new(), "the last one cleans up");
    }
}

#[test]
fn a_source_that_was_there_first_gets_the_first_frame() {
    let mut firsts = Vec::new();
    // A loaded machine may wake it up late in one try, but not in each of them.
    while firsts.last().is_none_or(|first| *first > 2) {
        assert!(firsts.len() < 5, "the first frames were {firsts:?}");
        let topic = Topic::new();
        let viewer = viewer(&topic, "");
        let _producer = camera_process(&topic, 64, "");
        let first = frame(&viewer);
        assert!(discont(&first));
        firsts.push(offset(&first));
        stops_cleanly(&viewer);
    }
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
fn the_source_resumes_with_discont_when_the_producer_comes_back_in_another_size() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "");
    for (width, height) in [(320, 240), (1280, 720), (64, 48)] {
        let producer = Running::playing(&format!(
            "videotestsrc is-live=true ! video/x-raw,format=BGRx,width={width},height={height} ! {}",
            topic.sink("")
        ));
        assert!(discont(&frame_of_width(&viewer, width)), "{width}×{height}");
        let second = frame(&viewer);
        assert_eq!(buffer(&second).size(), usize::try_from(width * height * 4).expect("small"));
        drop(producer);
        assert_eq!(viewer.error(), None);
    }
}
