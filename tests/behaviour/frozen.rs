//! Consumers that are stopped, killed, slow, or keep what they got.

use std::time::{Duration, Instant};

use gstreamer as gst;

use crate::child::Child;
use crate::common::{camera, discont, frame, offset, stops_cleanly, viewer};
use crate::support::{Running, Topic, checksum, have, until};

/// A consumer process that holds on to three frames at a time.
fn holder(topic: &Topic) -> Child {
    Child::listen(&format!(
        "{} ! queue min-threshold-buffers=3 max-size-buffers=4 max-size-time=0 max-size-bytes=0",
        topic.src("")
    ))
}

/// How many frames a producer published while `during` ran, and that it dropped none.
fn published(producer: &Running, during: impl FnOnce()) -> u64 {
    let (published, dropped) = (producer.stat("sink", "published"), producer.stat("sink", "dropped"));
    during();
    assert_eq!(producer.stat("sink", "dropped"), dropped, "the producer dropped frames");
    producer.stat("sink", "published") - published
}

/// The producer publishes so many frames more, and drops none.
fn goes_on(producer: &Running, frames: u64) {
    let before = producer.stat("sink", "published");
    published(producer, || {
        until("the producer goes on", || producer.stat("sink", "published") >= before + frames);
    });
}

#[test]
fn a_consumer_frozen_for_two_seconds_costs_the_producer_nothing_and_resumes_at_the_newest_frame() {
    let topic = Topic::new();
    // Deep enough for a witness that a busy machine does not run for half a second.
    let producer = Running::playing(&camera(&topic, 64, "max-buffers=64"));
    let mut listener = Child::listen(&topic.src(""));
    let witness = viewer(&topic, "on-lapped=oldest");
    listener.wait_frames(10);
    let mut last = offset(&frame(&witness));
    let count = published(&producer, || {
        listener.freeze();
        let until = Instant::now() + Duration::from_secs(2);
        // Another consumer sees every frame meanwhile.
        while Instant::now() < until {
            let sample = frame(&witness);
            assert_eq!(offset(&sample), last + 1);
            last = offset(&sample);
        }
    });
    assert!(count >= 150, "{count} frames of 200 in two seconds");
    let before = listener.seen().len();
    listener.thaw();
    listener.wait_frames(before + 5);
    let seen = listener.seen();
    // One frame was under way when the process was stopped; it is delivered first.
    let jump = seen.windows(2).position(|pair| pair[1].offset > pair[0].offset.map(|n| n + 100));
    let jump = jump.expect("it jumped over what it missed") + 1;
    assert!(jump <= before + 2, "resumed with frame {:?}", seen[jump]);
    assert!(seen[jump].discont, "the jump is told: {:?}", seen[jump]);
    assert!(seen[jump].offset >= Some(last - 1), "{:?} is not the newest, {last} was", seen[jump]);
    assert!(!seen[jump + 1].discont, "and then the stream goes on");
    stops_cleanly(&producer);
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
    until("the dead are not counted any more", || {
        gst::prelude::ObjectExt::property::<u32>(&producer.element("sink"), "num-clients") == 0
    });
    let fallbacks = producer.stat("sink", "pool-fallbacks");
    let copied = producer.stat("sink", "copied");
    goes_on(&producer, 50);
    assert_eq!(producer.stat("sink", "pool-fallbacks"), fallbacks, "every slot can be used again");
    assert_eq!(producer.stat("sink", "copied"), copied);
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
fn null_is_reached_within_a_tenth_of_a_second_whatever_the_peers_do() {
    let topic = Topic::new();
    let producer = Running::playing(&camera(&topic, 64, ""));
    let mut holder = holder(&topic);
    let watching = viewer(&topic, "");
    holder.wait_frames(3);
    frame(&watching);
    holder.freeze();
    let quickly = |running: &Running| {
        let start = Instant::now();
        stops_cleanly(running);
        start.elapsed()
    };
    // A loaded machine may cost one try some time, but not each of them.
    let mut best = [Duration::MAX; 2];
    for _ in 0..5 {
        best = [best[0].min(quickly(&watching)), best[1].min(quickly(&producer))];
        producer.play();
        watching.play();
        frame(&watching);
    }
    assert!(best.iter().all(|time| *time < Duration::from_millis(100)), "{best:?}");
}

#[test]
fn a_slow_consumer_loses_frames_alone_and_knows_how_many() {
    let topic = Topic::new();
    let producer = Running::playing(&camera(&topic, 64, "max-buffers=24"));
    let witness = viewer(&topic, "on-lapped=oldest");
    let slow = Running::playing(&format!(
        "{} ! identity sleep-time=100000 ! appsink name=out sync=false",
        topic.src("")
    ));
    let mut last = offset(&frame(&witness));
    let mut delivered: Vec<gst::Sample> = Vec::new();
    let count = published(&producer, || {
        while delivered.len() < 12 {
            delivered.push(frame(&slow));
        }
    });
    for _ in 0..count.saturating_sub(24) {
        let sample = frame(&witness);
        assert_eq!(offset(&sample), last + 1, "the other one lost a frame");
        last = offset(&sample);
    }
    let (first, newest) = (offset(&delivered[0]), offset(&delivered[11]));
    let missing = newest - first + 1 - 12;
    assert!(missing >= 40, "{missing} frames are missing");
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
fn a_consumer_that_keeps_everything_gets_copies_and_starves_nobody() {
    let topic = Topic::new();
    let producer = Running::playing(&camera(&topic, 64, ""));
    let hoarder = viewer(&topic, "on-lapped=oldest");
    // Keeps nothing, however late the test itself is.
    let witness = Running::playing(&format!("{} ! fakesink sync=false", topic.src("on-lapped=oldest")));
    let mut kept = Vec::new();
    let count = published(&producer, || {
        for _ in 0..60 {
            let sample = frame(&hoarder);
            let sum = checksum(sample.buffer().expect("a buffer"));
            kept.push((sample, sum));
        }
        until("the other one got as many", || witness.stat("src", "received") >= 60);
    });
    assert!(count >= 30, "{count}");
    assert!(kept.iter().all(|(sample, sum)| checksum(sample.buffer().expect("a buffer")) == *sum));
    assert!(hoarder.stat("src", "leases") <= 5, "half of eight, and the next one");
    assert!(hoarder.stat("src", "copied") >= 50);
    assert_eq!(witness.stat("src", "copied"), 0, "the other one pays nothing");
    assert_eq!(producer.stat("sink", "copied"), 0, "nor does the producer");
    drop(kept);
    // Once it lets go, frames are shared again.
    let copied = hoarder.stat("src", "copied");
    until("nothing is held", || {
        drop(frame(&hoarder));
        hoarder.stat("src", "copied") - copied < 20 && hoarder.stat("src", "zero-copy") > 30
    });
    stops_cleanly(&hoarder);
}

#[test]
fn an_encoder_that_looks_ahead_dozens_of_frames_never_starves() {
    if !have(&["x264enc"]) {
        return;
    }
    let topic = Topic::new();
    let producer = Running::playing(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=I420,width=160,height=120,framerate=100/1 ! {}",
        topic.sink("")
    ));
    let encoder = Running::playing(&format!(
        "{} ! queue ! x264enc rc-lookahead=60 threads=1 ! appsink name=out sync=false",
        topic.src("")
    ));
    published(&producer, || {
        for _ in 0..150 {
            frame(&encoder);
        }
    });
    assert_eq!(producer.stat("sink", "copied"), 0);
    stops_cleanly(&encoder);
}

#[test]
fn a_frame_stays_readable_after_its_source_and_its_producer_are_gone() {
    let topic = Topic::new();
    let producer = Running::playing(&camera(&topic, 64, ""));
    let viewer = viewer(&topic, "");
    let sample = frame(&viewer);
    let sum = checksum(sample.buffer().expect("a buffer"));
    // A part of a memory keeps the whole alive.
    let part = sample.buffer().expect("a buffer").peek_memory(0).share(100..200);
    let copy = part.map_readable().expect("readable").to_vec();
    stops_cleanly(&viewer);
    drop(viewer);
    stops_cleanly(&producer);
    drop(producer);
    let again = Running::playing(&camera(&topic, 64, ""));
    until("the ring went round", || again.stat("sink", "published") > 20);
    assert_eq!(checksum(sample.buffer().expect("a buffer")), sum);
    drop(sample);
    assert_eq!(*part.map_readable().expect("readable"), *copy);
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
