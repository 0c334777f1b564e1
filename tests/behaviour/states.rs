//! State changes: in loops, in waits, in the middle of things.

use std::time::{Duration, Instant};

use gstreamer as gst;

use gst::prelude::*;

use crate::common::{camera, camera_process, discont, frame, offset, pull_within, stops_cleanly, viewer};
use crate::support::{Running, Topic, until};

#[test]
fn state_changes_in_a_tight_loop_leave_nothing_behind() {
    let topic = Topic::new();
    let producer = Running::new(&camera(&topic, 64, ""));
    let viewer = Running::new(&format!("{} ! fakesink sync=false async=false", topic.src("ignore-eos=true")));
    use gst::State::{Null, Paused, Playing, Ready};
    for round in 0..60 {
        let states = [[Playing, Null], [Paused, Ready], [Playing, Ready], [Playing, Paused]][round % 4];
        for state in states {
            for running in [&producer, &viewer] {
                running.pipeline.set_state(state).expect("the state changes");
                assert_eq!(running.error(), None);
            }
        }
    }
    // And they still work.
    producer.play();
    viewer.play();
    until("frames arrive", || viewer.stat("src", "received") > 5);
    stops_cleanly(&viewer);
    stops_cleanly(&producer);
    assert_eq!(topic.files(), Vec::<String>::new());
}

#[test]
fn a_live_source_gives_nothing_in_paused_and_tells_so() {
    let topic = Topic::new();
    let _producer = camera_process(&topic, 64, "");
    let viewer = Running::new(&format!("{} ! appsink name=out sync=false", topic.src("")));
    let change = viewer.pipeline.set_state(gst::State::Paused).expect("PAUSED is reached");
    assert_eq!(change, gst::StateChangeSuccess::NoPreroll);
    assert!(pull_within(&viewer, 200).is_none());
    viewer.play();
    frame(&viewer);
    stops_cleanly(&viewer);
}

#[test]
fn a_source_that_is_not_live_prerolls_and_reads_from_the_oldest_frame() {
    let topic = Topic::new();
    let producer = Running::playing(&camera(&topic, 64, "history=8"));
    until("the ring went round", || producer.stat("sink", "published") > 20);
    producer.pipeline.set_state(gst::State::Paused).expect("PAUSED is reached");
    let newest = producer.stat("sink", "published") - 1;
    let viewer = Running::new(&format!("{} ! appsink name=out sync=false", topic.src("is-live=false")));
    viewer.set_state(gst::State::Paused);
    viewer.play();
    let mut last = offset(&frame(&viewer));
    assert!((newest - 8..=newest - 6).contains(&last), "from {last}, of {newest}");
    while let Some(sample) = pull_within(&viewer, 200) {
        assert_eq!(offset(&sample), last + 1);
        last += 1;
    }
    assert_eq!(last, newest);
    stops_cleanly(&viewer);
}

#[test]
fn on_resume_a_live_source_skips_to_the_newest_frame() {
    let topic = Topic::new();
    let producer = Running::playing(&camera(&topic, 64, "max-buffers=64 history=64"));
    let viewer = viewer(&topic, "on-lapped=oldest");
    for _ in 0..5 {
        frame(&viewer);
    }
    viewer.pipeline.set_state(gst::State::Paused).expect("PAUSED is reached");
    let before = producer.stat("sink", "published");
    while pull_within(&viewer, 0).is_some() {}
    until("a third of a second passed", || producer.stat("sink", "published") > before + 30);
    viewer.play();
    let now = producer.stat("sink", "published");
    // A frame that was under way when the pipeline paused may come first.
    let resumed = (0..2).map(|_| frame(&viewer)).find(|sample| offset(sample) + 3 >= now);
    let resumed = resumed.expect("the ring still has thirty frames, and they are skipped");
    assert!(discont(&resumed));
    stops_cleanly(&viewer);
}

#[test]
fn a_paused_producer_publishes_nothing_and_waits_for_nobody() {
    let topic = Topic::new();
    for more in ["", "wait-for-connection=true"] {
        let producer =
            Running::new(&format!("videotestsrc ! {} ! {}", crate::common::caps(64), topic.sink(more)));
        // Prerolls although nobody is there.
        producer.set_state(gst::State::Paused);
        assert_eq!(producer.stat("sink", "published"), 0);
        stops_cleanly(&producer);
    }
}

#[test]
fn a_producer_that_waits_for_a_viewer_skips_what_became_late_and_sends_no_burst() {
    let topic = Topic::new();
    // Not live: without a viewer the stream stands still, and its frames become late.
    let producer = Running::playing(&format!(
        "videotestsrc ! {} ! {}",
        crate::common::caps(64),
        topic.sink("wait-for-connection=true max-buffers=64")
    ));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(producer.stat("sink", "published"), 0);
    let viewer = viewer(&topic, "on-lapped=oldest");
    let first = frame(&viewer);
    assert!(offset(&first) >= 20, "the first is frame {}, which is late", offset(&first));
    assert!(producer.stat("sink", "dropped") >= 20);
    for expected in 1..20 {
        assert_eq!(offset(&frame(&viewer)), offset(&first) + expected);
    }
    stops_cleanly(&viewer);
    stops_cleanly(&producer);
}

#[test]
fn a_wait_for_a_viewer_is_ended_by_pause_and_taken_up_with_the_same_frame() {
    let topic = Topic::new();
    let producer = Running::playing(&format!(
        "videotestsrc num-buffers=3 ! {} ! {}",
        crate::common::caps(64),
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
    let silent = Running::playing(&format!(
        "appsrc name=in caps={} ! {}",
        crate::common::caps(64),
        topic.sink("async=false")
    ));
    let for_frame = Running::playing(&format!("{} ! fakesink", topic.src("")));
    until("it is there", || silent.element("sink").property::<u32>("num-clients") == 1);
    let for_viewer = Running::playing(
        &format!("videotestsrc ! {}", topic.sink("wait-for-connection=true")).replace("=video", "=unseen"),
    );
    std::thread::sleep(Duration::from_millis(100));
    for (what, running) in
        [("a topic", for_topic), ("a frame", for_frame), ("a viewer", for_viewer), ("nothing", silent)]
    {
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
fn questions_are_answered_while_a_source_waits_for_its_topic() {
    let topic = Topic::new();
    let viewer = Running::playing(&format!("{} ! fakesink", topic.src("")));
    let pad = viewer.element("src").static_pad("src").expect("a source has one");
    let start = Instant::now();
    assert!(!pad.query_caps(None).is_empty());
    let mut latency = gst::query::Latency::new();
    assert!(pad.query(&mut latency));
    assert!(latency.result().0, "live");
    assert_eq!(viewer.stat("src", "received"), 0);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn an_application_may_keep_the_last_sample_and_change_caps() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "is-live=false");
    let producer = Running::playing(&format!(
        "appsrc name=in format=time ! {}",
        topic.sink("sync=false enable-last-sample=true history=8 wait-for-connection=true")
    ));
    for (index, width) in [64, 128, 64, 256, 128].into_iter().enumerate() {
        let caps: gst::Caps = crate::common::caps(width).parse().expect("caps");
        let mut buffer = gst::Buffer::from_mut_slice(vec![1_u8; width as usize * 48]);
        buffer.get_mut().expect("new").set_pts(gst::ClockTime::from_mseconds(index as u64));
        let sample = gst::Sample::builder().buffer(&buffer).caps(&caps).build();
        let pushed = producer.element("in").emit_by_name::<gst::FlowReturn>("push-sample", &[&sample]);
        assert_eq!(pushed, gst::FlowReturn::Ok);
        assert_eq!(crate::common::width(&frame(&viewer)), width as i32);
        let last = producer.element("sink").property::<Option<gst::Sample>>("last-sample");
        assert!(last.is_some());
    }
    stops_cleanly(&producer);
}
