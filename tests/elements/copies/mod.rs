//! Nothing is copied that need not be, and everything that must be is copied once, whole.

mod decoders;
mod kept;
mod pool;

use gstreamer as gst;
use gstreamer_video as gst_video;

use gst::prelude::*;

use crate::support::pipelines::{AT_ONCE, buffer, caps, frame, stops_cleanly, viewer};
use crate::support::{Running, Topic, checksum, have, pads, pipelines, until};

/// Runs a producer to its end and gives what its sink counted: in place, copied, buffers of ordinary memory.
fn counts(text: &str, more: &str) -> (u64, u64, u64) {
    let topic = Topic::new();
    let producer = Running::playing(&format!("{text} ! {}", topic.sink(&format!("sync=false {more}"))));
    producer.wait_eos();
    let counts = ["zero-copy", "copied", "pool-fallbacks"].map(|field| producer.stat("sink", field));
    (counts[0], counts[1], counts[2])
}

#[test]
fn producers_that_take_a_pool_write_straight_into_the_ring() {
    for (text, frames) in [
        ("videotestsrc num-buffers=40", 40),
        ("videotestsrc num-buffers=40 ! video/x-raw,format=NV12,width=319,height=241", 40),
        (
            "videotestsrc num-buffers=40 ! video/x-raw,format=I420 ! videoconvert ! video/x-raw,format=BGRx",
            40,
        ),
        ("videotestsrc num-buffers=40 ! timeoverlay ! videoflip method=clockwise", 40),
    ] {
        assert_eq!(counts(text, ""), (frames, 0, 0), "{text}");
    }
}

#[test]
fn a_queue_that_keeps_more_frames_than_there_are_slots_deepens_the_ring() {
    let text = "videotestsrc num-buffers=400 \
                ! queue min-threshold-buffers=20 max-size-buffers=30 max-size-bytes=0 max-size-time=0";
    // What the pool could not serve at first is copied, and what lay in slots of the ring before it was deepened.
    let (in_place, copied, fallbacks) = counts(text, "");
    assert_eq!(in_place + copied, 400);
    assert!(copied >= fallbacks, "{copied} copied, {fallbacks} not from the ring");
    assert!((1..=60).contains(&copied), "{copied} of 400 frames were copied");
    let (_, copied, _) = counts(text, "max-depth=0");
    assert!(copied > 60, "not deepened, {copied} of 400 frames were copied");
}

/// The pool that a producer's sink offers for the frames it gets, and what those are.
fn offered(producer: &Running) -> (gst_video::VideoInfo, gst::BufferPool) {
    let pad = producer.element("sink").static_pad("sink").expect("a sink has one");
    until("negotiated", || pad.current_caps().is_some());
    let caps = pad.current_caps().expect("negotiated");
    let info = gst_video::VideoInfo::from_caps(&caps).expect("video");
    (info, pipelines::offered(&producer.element("sink"), &caps))
}

#[test]
fn who_is_short_of_one_buffer_now_and_then_gets_a_deeper_ring_too() {
    let topic = Topic::new();
    let producer = Running::playing(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=I420,width=64,height=48,framerate=20/1 ! {}",
        topic.sink("")
    ));
    let (_, pool) = offered(&producer);
    pool.set_active(true).expect("the pool starts");
    let depth = producer.stat("sink", "depth");
    let fallbacks = || producer.stat("sink", "pool-fallbacks");
    let mut kept = Vec::new();
    // As avdec_h264 of GStreamer 1.26 does: all slots are taken for a moment, then frames go on in place again.
    until("the ring is deepened", || {
        let before = fallbacks();
        while fallbacks() == before {
            kept.push(pool.acquire_buffer(None).expect("a buffer"));
        }
        kept.truncate(kept.len().saturating_sub(4));
        let published = producer.stat("sink", "zero-copy");
        until("frames go on in place", || producer.stat("sink", "zero-copy") > published + 1);
        producer.stat("sink", "depth") > depth
    });
    drop(kept);
    pool.set_active(false).expect("the pool stops");
    assert_eq!(producer.error(), None);
}

#[test]
fn the_consumer_gets_the_very_memory_read_only_and_a_filter_copies_by_itself() {
    let topic = Topic::new();
    let consumer =
        Running::playing(&format!("{} ! appsink name=out sync=false max-buffers=1 drop=true", topic.src("")));
    let producer = Running::playing(&format!("videotestsrc ! {}", topic.sink("")));
    for _ in 0..20 {
        let sample = frame(&consumer);
        let buffer = buffer(&sample);
        assert_eq!(buffer.n_memory(), 1);
        assert!(buffer.peek_memory(0).flags().contains(gst::MemoryFlags::READONLY));
        let before = checksum(buffer);
        let mut mine = buffer.copy();
        mine.get_mut().expect("only mine").map_writable().expect("a copy is made")[0] ^= 0xff;
        assert_eq!(checksum(buffer), before, "the frame itself did not change");
        assert_ne!(checksum(&mine), before);
    }
    assert_eq!(consumer.stat("src", "copied"), 0);
    assert!(consumer.stat("src", "zero-copy") >= 20);
    producer.reaches("sink", "copied", 0);
}

/// A buffer in memories of so many bytes, of `value` and what follows it.
fn pieces(value: u8, parts: &[usize]) -> gst::Buffer {
    let mut buffer = gst::Buffer::new();
    for (index, size) in parts.iter().enumerate() {
        let fill = value.wrapping_add(u8::try_from(index).expect("few"));
        buffer.get_mut().expect("new").append_memory(gst::Memory::from_mut_slice(vec![fill; *size]));
    }
    buffer
}

#[test]
fn ordinary_memory_arrives_whole_however_it_is_cut_up() {
    let topic = Topic::new();
    let consumer = viewer(&topic, "is-live=false");
    let producer = Running::playing(&format!(
        "appsrc name=in format=time caps={} ! {}",
        pads::CAPS,
        topic.sink(AT_ONCE)
    ));
    let mut offset = gst::Buffer::from_mut_slice(vec![9_u8; 5000]);
    offset.get_mut().expect("new").resize(100..4196).expect("within");
    let sent = [
        pieces(1, &[4096]),
        pieces(2, &[1000, 3000, 96]),
        offset,
        pieces(5, &[1; 16].map(|n: usize| n * 256)),
    ];
    for (sent, pts) in sent.iter().zip(0_u64..) {
        let mut timed = sent.copy();
        timed.get_mut().expect("a copy").set_pts(gst::ClockTime::from_mseconds(pts));
        producer.push(&timed).expect("taken");
        assert_eq!(checksum(buffer(&frame(&consumer))), checksum(sent));
    }
    producer.reaches("sink", "copied", 4);
}

#[test]
fn a_frozen_image_is_published_again_and_again_by_copy() {
    if !have(&["imagefreeze"]) {
        return;
    }
    let topic = Topic::new();
    let consumer = viewer(&topic, "");
    let producer =
        Running::playing(&format!("videotestsrc num-buffers=1 ! imagefreeze ! {}", topic.sink("")));
    let first = checksum(buffer(&frame(&consumer)));
    for _ in 0..20 {
        assert_eq!(checksum(buffer(&frame(&consumer))), first);
    }
    assert!(producer.stat("sink", "zero-copy") <= 1);
    assert_eq!(producer.error(), None);
}

#[test]
fn one_branch_of_a_tee_is_as_good_as_any_other() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "");
    let producer = Running::playing(&format!(
        "videotestsrc is-live=true ! {} ! tee name=both both. ! queue ! {} both. ! queue ! fakesink name=other",
        caps(64),
        topic.sink("")
    ));
    for _ in 0..50 {
        frame(&viewer);
    }
    // Now the counters stand still.
    producer.set_state(gst::State::Paused);
    assert_eq!(producer.stat("sink", "dropped"), 0);
    assert_eq!(producer.stat("sink", "published"), producer.stat("sink", "copied"), "documented: one copy");
    stops_cleanly(&viewer);
    stops_cleanly(&producer);
}
