//! Consumers that keep what they got: for how long it stays, and who pays for it.

use gstreamer as gst;

use crate::support::pads::CAPS;
use crate::support::pipelines::{buffer, camera, frame, offset, published, stops_cleanly, viewer};
use crate::support::{Running, Topic, checksum, have, until};

#[test]
fn five_frames_go_through_a_ring_of_three() {
    let topic = Topic::new();
    let consumer = viewer(&topic, "is-live=false");
    let producer = Running::playing(&format!(
        "appsrc name=in format=time caps={CAPS} ! {}",
        topic.sink("sync=false max-buffers=3 spare-slots=1 wait-for-connection=true")
    ));
    let mut kept = Vec::new();
    for value in 0..5_u8 {
        let mut sent = gst::Buffer::from_mut_slice(vec![value; 4096]);
        sent.get_mut().expect("new").set_pts(gst::ClockTime::from_mseconds(u64::from(value)));
        producer.push(&sent).expect("taken");
        kept.push(consumer.pull().expect("a frame"));
    }
    for (sample, value) in kept.iter().zip(0_u8..) {
        let map = buffer(sample).map_readable().expect("readable");
        assert!(map.len() == 4096 && map.iter().all(|byte| *byte == value));
    }
    assert_eq!(consumer.stat("src", "lost"), 0);
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
            let sum = checksum(buffer(&sample));
            kept.push((sample, sum));
        }
        until("the other one got as many", || witness.stat("src", "received") >= 60);
    });
    assert!(count >= 30, "{count}");
    assert!(kept.iter().all(|(sample, sum)| checksum(buffer(sample)) == *sum));
    assert!(hoarder.stat("src", "leases") <= 5, "half of eight, and the next one");
    until("half of eight are leased", || hoarder.stat("src", "leases") <= 4);
    assert!(hoarder.stat("src", "copied") >= 50);
    assert_eq!(witness.stat("src", "copied"), 0, "the other one pays nothing");
    assert_eq!(producer.stat("sink", "copied"), 0, "nor does the producer");
    assert!(kept.iter().map(|(sample, _)| offset(sample)).is_sorted());
    // Nor does a newcomer.
    let newcomer = viewer(&topic, "");
    published(&producer, || (0..10).for_each(|_| drop(frame(&newcomer))));
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
    let other = viewer(&topic, "");
    published(&producer, || {
        for _ in 0..150 {
            frame(&encoder);
        }
        for _ in 0..120 {
            frame(&other);
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
    let sum = checksum(buffer(&sample));
    // A part of a memory keeps the whole alive.
    let part = buffer(&sample).peek_memory(0).share(100..200);
    let copy = part.map_readable().expect("readable").to_vec();
    stops_cleanly(&viewer);
    drop(viewer);
    let published = producer.stat("sink", "published");
    until("the ring goes round", || producer.stat("sink", "published") > published + 20);
    assert_eq!(checksum(buffer(&sample)), sum);
    stops_cleanly(&producer);
    drop(producer);
    let again = Running::playing(&camera(&topic, 64, ""));
    until("the ring went round", || again.stat("sink", "published") > 20);
    assert_eq!(checksum(buffer(&sample)), sum);
    drop(sample);
    assert_eq!(*part.map_readable().expect("readable"), *copy);
}
