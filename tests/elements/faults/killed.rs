//! Producers and consumers that are killed, whatever they hold.

use crate::support::child::Child;
use crate::support::pipelines::{
    camera, camera_process, clients, discont, drain, frame, frame_of_width, goes_on, holder, offset,
    pull_within, stops_cleanly, viewer, width,
};
use crate::support::{Running, Topic, until};

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
fn a_consumer_killed_while_it_holds_frames_leaves_nothing_held() {
    let topic = Topic::new();
    let producer = Running::playing(&camera(&topic, 64, "max-buffers=4"));
    for _ in 0..6 {
        let mut holder = holder(&topic);
        holder.wait_frames(3);
        holder.kill();
    }
    until("the dead are not counted any more", || clients(&producer) == 0);
    // These hold all that they may, and get copies of the rest.
    for _ in 0..3 {
        let src = topic.src("");
        let mut hoarder = Child::launch(&format!(
            "{src} ! queue max-size-buffers=0 max-size-bytes=0 min-threshold-buffers=200 ! fakesink"
        ));
        until("it is there", || clients(&producer) == 1);
        goes_on(&producer, 12);
        hoarder.kill();
        until("its death is noticed", || clients(&producer) == 0);
    }
    let fallbacks = producer.stat("sink", "pool-fallbacks");
    let copied = producer.stat("sink", "copied");
    goes_on(&producer, 50);
    assert_eq!(producer.stat("sink", "pool-fallbacks"), fallbacks, "every slot can be used again");
    assert_eq!(producer.stat("sink", "copied"), copied);
    assert_eq!(producer.stat("sink", "dropped"), 0);
    stops_cleanly(&producer);
}
