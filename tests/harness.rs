//! Each element alone, driven pad by pad.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use gstreamer as gst;
use gstreamer_check as gst_check;
use gstreamer_video as gst_video;

use gst::prelude::*;
use support::{Topic, checksum, until};

const CAPS: &str = "video/x-raw,format=GRAY8,width=64,height=64,framerate=30/1";

fn element(kind: &str, topic: &Topic) -> gst::Element {
    support::init();
    let directory = topic.dir().display().to_string();
    gst::ElementFactory::make(kind)
        .property("topic", "video")
        .property("directory", directory)
        .build()
        .expect("made")
}

fn sink(topic: &Topic) -> gst_check::Harness {
    let element = element("shmflowsink", topic);
    element.set_property("sync", false);
    element.set_property("history", 8_u32);
    let mut harness = gst_check::Harness::with_element(&element, Some("sink"), None);
    harness.set_src_caps(CAPS.parse().expect("caps"));
    harness
}

fn source(topic: &Topic) -> gst_check::Harness {
    let element = element("shmflowsrc", topic);
    element.set_property("is-live", false);
    let mut harness = gst_check::Harness::with_element(&element, None, Some("src"));
    harness.set_sink_caps_str("video/x-raw");
    harness.play();
    harness
}

fn frame(value: u8, pts: u64) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_slice([value; 4096]);
    buffer.get_mut().expect("new").set_pts(gst::ClockTime::from_mseconds(pts));
    buffer
}

#[test]
fn five_frames_and_the_end_go_from_pad_to_pad() {
    let topic = Topic::new();
    let mut source = source(&topic);
    let mut sink = sink(&topic);
    sink.play();
    let there = sink.element().expect("one");
    until("the source is there", || there.property::<u32>("num-clients") == 1);
    for value in 0..5 {
        assert_eq!(sink.push(frame(value, u64::from(value) * 40)), Ok(gst::FlowSuccess::Ok));
    }
    assert!(sink.push_event(gst::event::Eos::new()));
    for value in 0..5 {
        let came = source.pull().expect("a buffer");
        assert_eq!(came.map_readable().expect("readable").as_slice(), [value; 4096]);
        assert_eq!(came.pts(), Some(gst::ClockTime::from_mseconds(u64::from(value) * 40)));
        assert_eq!(came.flags().contains(gst::BufferFlags::DISCONT), value == 0);
    }
    let kinds = std::iter::from_fn(|| Some(source.pull_event().ok()?.type_()));
    let kinds: Vec<_> = kinds.take_while(|kind| *kind != gst::EventType::Eos).collect();
    assert_eq!(kinds, [gst::EventType::StreamStart, gst::EventType::Caps, gst::EventType::Segment]);
}

#[test]
fn filler_without_a_picture_is_not_a_frame() {
    let topic = Topic::new();
    let mut sink = sink(&topic);
    sink.play();
    let mut filler = gst::Buffer::new();
    filler.get_mut().expect("new").set_flags(gst::BufferFlags::GAP);
    assert_eq!(sink.push(filler), Ok(gst::FlowSuccess::Ok));
    assert_eq!(sink.push(frame(1, 0)), Ok(gst::FlowSuccess::Ok));
    let stats = sink.element().expect("one").property::<gst::Structure>("topic-stats");
    assert_eq!((stats.get::<u64>("published"), stats.get::<u64>("dropped")), (Ok(1), Ok(0)));
}

#[test]
fn an_allocation_query_offers_an_unbounded_pool_and_video_meta_and_costs_no_memory() {
    let topic = Topic::new();
    let mut sink = sink(&topic);
    sink.play();
    sink.push(frame(0, 0)).expect("taken");
    let element = sink.element().expect("one");
    let reserved =
        || element.property::<gst::Structure>("topic-stats").get::<u64>("reserved-bytes").expect("there");
    let (before, pad) = (reserved(), element.static_pad("sink").expect("one"));
    let large: gst::Caps =
        "video/x-raw,format=BGRx,width=3840,height=2160,framerate=30/1".parse().expect("caps");
    for need_pool in [true, false] {
        let mut query = gst::query::Allocation::new(Some(&large), need_pool);
        assert!(pad.query(&mut query));
        assert!(query.find_allocation_meta::<gst_video::VideoMeta>().is_some());
        let pools: Vec<_> =
            query.allocation_pools().map(|(pool, size, min, max)| (pool.is_some(), size, min, max)).collect();
        assert_eq!(pools, if need_pool { vec![(true, 3840 * 2160 * 4, 0, 0)] } else { Vec::new() });
    }
    assert_eq!(reserved(), before, "asking is cheap: memory is reserved when a buffer is taken");
}

#[test]
fn a_pool_outlives_its_sink_and_then_gives_ordinary_memory() {
    let topic = Topic::new();
    let mut sink = sink(&topic);
    sink.play();
    sink.push(frame(0, 0)).expect("taken");
    let pad = sink.element().expect("one").static_pad("sink").expect("one");
    let mut query = gst::query::Allocation::new(Some(&CAPS.parse().expect("caps")), true);
    assert!(pad.query(&mut query));
    let pool = query.allocation_pools().next().and_then(|(pool, ..)| pool).expect("a pool");
    pool.set_active(true).expect("starts");
    let mut slot = pool.acquire_buffer(None).expect("a slot");
    drop((query, pad, sink));
    let mut ordinary = pool.acquire_buffer(None).expect("still a buffer");
    for buffer in [&mut slot, &mut ordinary] {
        buffer.get_mut().expect("mine").map_writable().expect("writable").fill(7);
    }
    assert_eq!(checksum(&slot), checksum(&ordinary));
    pool.set_active(false).expect("stops");
    assert!(pool.acquire_buffer(None).is_err());
}

/// The pool that a sink offers for the caps of [`CAPS`], for buffers of `size` bytes, at work.
fn pool(sink: &gst_check::Harness, size: u32) -> gst::BufferPool {
    let pad = sink.element().expect("one").static_pad("sink").expect("one");
    let caps: gst::Caps = CAPS.parse().expect("caps");
    let mut query = gst::query::Allocation::new(Some(&caps), true);
    assert!(pad.query(&mut query));
    let pool = query.allocation_pools().next().and_then(|(pool, ..)| pool).expect("a pool");
    // As decoders do it: first asked for as offered, then for something else.
    for size in [4096, size] {
        let mut config = pool.config();
        config.set_params(Some(&caps), size, 0, 0);
        pool.set_config(config).expect("taken");
    }
    pool.set_active(true).expect("starts");
    pool
}

fn stat(sink: &gst_check::Harness, field: &str) -> u64 {
    let stats = sink.element().expect("one").property::<gst::Structure>("topic-stats");
    stats.get(field).or_else(|_| stats.get::<u32>(field).map(u64::from)).expect("there")
}

#[test]
fn only_whole_slots_of_the_present_ring_are_published_in_place() {
    let topic = Topic::new();
    let mut sink = sink(&topic);
    sink.play();
    let pool = pool(&sink, 8192);
    let slot = |value: u8| {
        let mut buffer = pool.acquire_buffer(None).expect("a slot");
        let fresh = buffer.get_mut().expect("mine");
        let mut map = fresh.map_writable().expect("writable");
        map[..4096].fill(value);
        map[4096..].fill(value + 1);
        drop(map);
        buffer
    };
    let mut consumer =
        shmflow::Consumer::builder("video").dir(topic.dir()).open().expect("the topic is there");
    let mut arrives = |sink: &mut gst_check::Harness, buffer: gst::Buffer, value: u8, copied: u64| {
        let len = buffer.size();
        sink.push(buffer).expect("taken");
        let frame = consumer.recv().expect("published");
        assert_eq!((frame.len(), frame[0], frame[4095]), (len, value, value));
        assert_eq!(stat(sink, "copied"), copied);
    };
    arrives(&mut sink, slot(1), 1, 0);
    // A part of a slot, at its beginning and after it.
    for (start, value) in [(0, 3), (4096, 4)] {
        let whole = slot(3);
        let part = whole.copy_region(gst::BufferCopyFlags::MEMORY, start..start + 4096).expect("shared");
        arrives(&mut sink, part, value, u64::from(value) - 2);
    }
    // A slot and something else.
    let mut more = slot(5);
    more.get_mut().expect("mine").append_memory(gst::Memory::from_slice([0; 10]));
    arrives(&mut sink, more, 5, 3);
    // A slot of the ring that was before.
    let old = slot(7);
    let epoch = stat(&sink, "epoch");
    let other = self::pool(&sink, 100_000);
    let mut grown = other.acquire_buffer(None).expect("a larger slot");
    grown.get_mut().expect("mine").map_writable().expect("writable").fill(9);
    arrives(&mut sink, grown, 9, 3);
    assert_eq!(stat(&sink, "epoch"), epoch + 1);
    arrives(&mut sink, old, 7, 4);
    assert_eq!((stat(&sink, "zero-copy"), stat(&sink, "dropped")), (2, 0));
    for pool in [pool, other] {
        pool.set_active(false).expect("stops");
    }
}

#[test]
fn an_upstream_that_takes_every_buffer_cannot_starve_its_own_sink() {
    let topic = Topic::new();
    let mut sink = sink(&topic);
    sink.play();
    let pool = pool(&sink, 4096);
    let params = gst::BufferPoolAcquireParams::with_flags(gst::BufferPoolAcquireFlags::DONTWAIT);
    let hoard: Vec<_> = (0..100).map(|_| pool.acquire_buffer(Some(&params)).expect("never waits")).collect();
    assert!(stat(&sink, "slots-upstream") < stat(&sink, "slots"));
    for value in 0..20 {
        sink.push(frame(value, u64::from(value) * 40)).expect("taken");
    }
    assert_eq!((stat(&sink, "published"), stat(&sink, "dropped")), (20, 0));
    drop(hoard);
    assert_eq!(stat(&sink, "slots-upstream"), 0);
    // What was only asked for is free again, and a pool that is flushing gives nothing.
    drop(pool.acquire_buffer(None).expect("a slot"));
    pool.set_flushing(true);
    assert_eq!(pool.acquire_buffer(None).err(), Some(gst::FlowError::Flushing));
    pool.set_flushing(false);
    pool.acquire_buffer(None).expect("a slot");
    pool.set_active(false).expect("stops");
}
