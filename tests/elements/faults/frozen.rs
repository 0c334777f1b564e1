//! Consumers that are frozen or slow, and a primary that is.

use std::time::{Duration, Instant};

use gstreamer as gst;

use crate::support::child::{Child, Seen};
use crate::support::pipelines::{
    camera, discont, frame, goes_on, holder, offset, published, stops_cleanly, viewer,
};
use crate::support::{Running, Topic, until};

#[test]
fn a_consumer_frozen_for_two_seconds_costs_the_producer_nothing_and_resumes_at_the_newest_frame() {
    let topic = Topic::new();
    // Deep enough for a witness that a busy machine does not run for half a second.
    let producer = Running::playing(&camera(&topic, 64, "max-buffers=64"));
    let mut listener = Child::listen(&topic.src(""));
    let witness = viewer(&topic, "on-lapped=oldest");
    listener.wait_frames(10);
    let mut last = offset(&frame(&witness));
    let mut at_freeze = 0;
    let count = published(&producer, || {
        listener.freeze();
        let start = Instant::now();
        at_freeze = producer.stat("sink", "published");
        // Another consumer sees every frame meanwhile.
        while start.elapsed() < Duration::from_secs(2) {
            let sample = frame(&witness);
            assert_eq!(offset(&sample), last + 1);
            last = offset(&sample);
        }
        // A late machine makes up for it, a producer that is held up does not.
        until("the producer is in time", || {
            let due = start.elapsed().as_millis() / 10;
            u128::from(producer.stat("sink", "published") - at_freeze) + 10 >= due
        });
    });
    assert!(count >= 150, "{count} frames of 200 in two seconds");
    listener.thaw();
    // A frame may have been under way when the process was stopped, and some seen but not yet told by its main thread.
    let (mut seen, mut jump) = (Vec::new(), 0);
    until("it jumps over what it missed, and goes on", || {
        seen = listener.seen();
        let over = |pair: &[Seen]| pair[1].offset > pair[0].offset.map(|n| n + 100);
        jump = seen.windows(2).position(over).map_or(0, |index| index + 1);
        jump > 0 && seen.len() > jump + 1
    });
    assert!(seen[jump - 1].offset < Some(at_freeze), "{:?} came after {at_freeze} of them", seen[jump - 1]);
    assert!(seen[jump].discont, "the jump is told: {:?}", seen[jump]);
    assert!(seen[jump].offset >= Some(last - 1), "{:?} is not the newest, {last} was", seen[jump]);
    assert!(!seen[jump + 1].discont, "and then the stream goes on");
    stops_cleanly(&producer);
}

#[test]
fn frozen_consumers_that_hold_frames_starve_neither_the_producer_nor_a_newcomer() {
    let topic = Topic::new();
    let producer = Running::playing(&camera(&topic, 64, "max-buffers=4"));
    let mut holders: Vec<_> = (0..4).map(|_| holder(&topic)).collect();
    for holder in &mut holders {
        holder.wait_frames(3);
        holder.freeze();
    }
    let witness = viewer(&topic, "");
    published(&producer, || {
        for _ in 0..50 {
            frame(&witness);
        }
    });
    stops_cleanly(&witness);
    stops_cleanly(&producer);
}

#[test]
fn a_slow_consumer_loses_frames_alone_and_knows_how_many() {
    let topic = Topic::new();
    // Deep enough for a witness that a busy machine does not run for half a second.
    let producer = Running::playing(&camera(&topic, 64, "max-buffers=48"));
    let witness = viewer(&topic, "on-lapped=oldest");
    let slow = Running::playing(&format!(
        "{} ! identity sleep-time=100000 ! appsink name=out sync=false",
        topic.src("")
    ));
    let mut last = offset(&frame(&witness));
    let mut delivered: Vec<gst::Sample> = Vec::new();
    let mut missing = 0;
    let count = published(&producer, || {
        // It is lapped after some frames, and passes over all that it missed.
        while delivered.len() < 12 || missing < 40 {
            assert!(delivered.len() < 40, "{missing} frames are missing");
            delivered.push(frame(&slow));
            let [first, .., newest] = &delivered[..] else { continue };
            missing = offset(newest) - offset(first) + 1 - delivered.len() as u64;
        }
    });
    for _ in 0..count {
        let sample = frame(&witness);
        assert_eq!(offset(&sample), last + 1, "the other one lost a frame");
        last = offset(&sample);
    }
    for pair in delivered.windows(2) {
        assert_eq!(
            discont(&pair[1]),
            offset(&pair[1]) != offset(&pair[0]) + 1,
            "gaps are told, and only gaps"
        );
    }
    assert!(slow.stat("src", "lost") >= missing);
    slow.wait_message("shmflow-lost");
    stops_cleanly(&slow);
}

#[test]
fn a_read_only_consumer_that_is_frozen_or_killed_holds_nothing() {
    let topic = Topic::new();
    let producer = Running::playing(&camera(&topic, 64, "max-buffers=3 perms=0644"));
    let mut reader = Child::listen(&topic.src("read-only=true"));
    reader.wait_frames(10);
    reader.freeze();
    goes_on(&producer, 30);
    reader.thaw();
    let before = reader.seen().len();
    reader.wait_frames(before + 10);
    reader.kill();
    goes_on(&producer, 30);
    assert_eq!(producer.stat("sink", "pool-fallbacks"), 0);
    stops_cleanly(&producer);
}
