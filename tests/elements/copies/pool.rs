//! The pool that the sink offers: what it costs, what may be done with its buffers, what is published in place.

use gstreamer as gst;
use gstreamer_check as gst_check;
use gstreamer_video as gst_video;

use gst::prelude::*;

use crate::support::pads::{CAPS, frame, sink};
use crate::support::pipelines::{AT_ONCE, buffer, viewer};
use crate::support::{Running, Topic, checksum, have, pipelines};

use super::{offered, pieces};

fn stat(sink: &gst_check::Harness, field: &str) -> u64 {
    crate::support::stat(&sink.element().expect("one"), field)
}

#[test]
fn an_allocation_query_offers_an_unbounded_pool_and_video_meta_and_costs_no_memory() {
    let topic = Topic::new();
    let mut sink = sink(&topic);
    sink.play();
    sink.push(frame(0, 0)).expect("taken");
    let element = sink.element().expect("one");
    let (before, pad) = (stat(&sink, "reserved-bytes"), element.static_pad("sink").expect("one"));
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
    assert_eq!(
        stat(&sink, "reserved-bytes"),
        before,
        "asking is cheap: memory is reserved when a buffer is taken"
    );
}

#[test]
fn a_pool_outlives_its_sink_and_then_gives_ordinary_memory() {
    let topic = Topic::new();
    let mut sink = sink(&topic);
    sink.play();
    sink.push(frame(0, 0)).expect("taken");
    let pool = pipelines::offered(&sink.element().expect("one"), &CAPS.parse().expect("caps"));
    pool.set_active(true).expect("starts");
    let mut slot = pool.acquire_buffer(None).expect("a slot");
    drop(sink);
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
    let caps: gst::Caps = CAPS.parse().expect("caps");
    let pool = pipelines::offered(&sink.element().expect("one"), &caps);
    // As decoders do it: first asked for as offered, then for something else.
    for size in [4096, size] {
        let mut config = pool.config();
        config.set_params(Some(&caps), size, 0, 0);
        pool.set_config(config).expect("taken");
    }
    pool.set_active(true).expect("starts");
    pool
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

/// A producer of small pictures that were made so, at work, and the pool that its sink offers.
fn fed_by(topic: &Topic, upstream: &str) -> (Running, gst_video::VideoInfo, gst::BufferPool) {
    let text = format!(
        "videotestsrc ! video/x-raw,format=I420,width=64,height=48 ! {upstream} ! {}",
        topic.sink("")
    );
    let producer = Running::playing(&text);
    let (info, pool) = offered(&producer);
    pool.set_active(true).expect("the pool starts");
    (producer, info, pool)
}

/// A buffer of the pool, drawn and then mapped for reading and writing, as libav's decoders do it.
fn mapped(
    pool: &gst::BufferPool,
    info: &gst_video::VideoInfo,
) -> gst_video::VideoFrame<gst_video::video_frame::Writable> {
    let mut buffer = pool.acquire_buffer(None).expect("a slot");
    buffer.get_mut().expect("mine").map_writable().expect("writable").fill(1);
    gst_video::VideoFrame::from_buffer_writable(buffer, info).expect("mapped")
}

fn memory(buffer: &gst::BufferRef) -> *const gst::ffi::GstMemory {
    buffer.peek_memory(0).as_ptr()
}

/// One of libav's decoders right in front of the sink, and with elements in between that pass on what they get.
const LIBAV: [&str; 3] = [
    "x264enc tune=zerolatency ! avdec_h264",
    "x264enc tune=zerolatency ! avdec_h264 ! queue",
    "x264enc tune=zerolatency ! avdec_h264 ! video/x-raw,format=I420 ! queue",
];

#[test]
fn a_frame_that_libav_keeps_mapped_shares_its_memory_with_a_copy_and_not_with_a_deep_one() {
    if !have(&["x264enc", "avdec_h264"]) {
        return;
    }
    for upstream in LIBAV {
        let topic = Topic::new();
        let (_producer, info, pool) = fed_by(&topic, upstream);
        let mut frame = mapped(&pool, &info);
        let (shallow, deep) = (frame.buffer().copy(), frame.buffer().copy_deep().expect("enough memory"));
        assert_eq!(memory(&shallow), memory(frame.buffer()), "{upstream}");
        assert_ne!(memory(&deep), memory(frame.buffer()), "{upstream}");
        frame.plane_data_mut(0).expect("a plane").fill(2);
        assert_eq!(deep.map_readable().expect("readable")[0], 1, "a deep copy is one");
        // Whoever has the shallow copy and wants to write to it gets memory of its own.
        let mut shallow = shallow;
        shallow.get_mut().expect("mine").map_writable().expect("a copy is made").fill(3);
        assert_ne!(memory(&shallow), memory(frame.buffer()));
        assert_eq!(frame.plane_data(0).expect("a plane")[0], 2);
        // Mapped more than once, also otherwise, it stays the same memory.
        let before = memory(frame.buffer());
        let mut buffer = frame.into_buffer();
        // Since 1.24 a copy that shares, or once shared, memory of a pool keeps the buffer that it is a copy of.
        drop(shallow);
        buffer.get_mut().expect("mine").map_writable().expect("writable")[0] = 4;
        assert_eq!((memory(&buffer), buffer.map_readable().expect("readable")[0]), (before, 4));
        drop(buffer);
        pool.set_active(false).expect("the pool stops");
    }
}

#[test]
fn a_copy_of_a_frame_that_anybody_else_keeps_mapped_cannot_be_drawn_into() {
    let mut upstreams = vec!["identity", "queue", "videoconvert ! video/x-raw,format=BGRx"];
    if have(&["x264enc", "avdec_h264"]) {
        // Not the decoder, but the converter behind it writes into the ring.
        upstreams.push("x264enc tune=zerolatency ! avdec_h264 ! videoconvert ! video/x-raw,format=BGRx");
        upstreams.push("x264enc tune=zerolatency ! avdec_h264 ! videoscale ! video/x-raw,width=32,height=32");
    }
    for upstream in upstreams {
        let topic = Topic::new();
        let (_producer, info, pool) = fed_by(&topic, upstream);
        let mut frame = mapped(&pool, &info);
        let copy = frame.buffer().copy();
        assert_ne!(memory(&copy), memory(frame.buffer()), "{upstream}");
        frame.plane_data_mut(0).expect("a plane").fill(2);
        let map = copy.map_readable().expect("readable");
        assert!(map.iter().all(|byte| *byte == 1), "{upstream}: the copy shows what is being drawn");
        drop(map);
        drop((copy, frame));
        pool.set_active(false).expect("the pool stops");
    }
}

#[test]
fn an_upstream_that_keeps_its_buffer_cannot_change_what_was_published() {
    let topic = Topic::new();
    let consumer = viewer(&topic, "is-live=false");
    let producer =
        Running::playing(&format!("appsrc name=in format=time caps={CAPS} ! {}", topic.sink(AT_ONCE)));
    // The pool, as an upstream element would get it.
    let pad = producer.element("sink").static_pad("sink").expect("a sink has one");
    producer.push(&pieces(0, &[4096])).expect("taken");
    consumer.pull().expect("negotiated");
    let caps = pad.current_caps().expect("negotiated");
    let mut query = gst::query::Allocation::new(Some(&caps), true);
    assert!(pad.query(&mut query));
    let (pool, size, min, max) = query.allocation_pools().next().expect("a pool is proposed");
    let pool = pool.expect("not only a size");
    assert_eq!((size, min, max), (4096, 0, 0));
    assert!(
        query.allocation_params().next().is_none_or(|(allocator, _)| allocator.is_none()),
        "no allocator"
    );
    pool.set_active(true).expect("the pool starts");
    let mut kept = pool.acquire_buffer(None).expect("a slot");
    kept.get_mut().expect("mine").map_writable().expect("writable before").fill(1);
    let _keep = kept.copy();
    producer.push(&kept).expect("taken");
    let first = consumer.pull().expect("a sample");
    let sum = checksum(buffer(&first));
    producer.reaches("sink", "zero-copy", 1);
    // The same memory once more: not in place a second time, and no more to be written to in place.
    {
        let mut again = kept.copy();
        again.get_mut().expect("a copy").map_writable().expect("a copy of the memory").fill(2);
        producer.push(&again).expect("taken");
        producer.push(&kept).expect("taken");
    }
    assert_ne!(checksum(buffer(&consumer.pull().expect("changed"))), sum);
    assert_eq!(checksum(buffer(&consumer.pull().expect("unchanged"))), sum);
    assert_eq!(checksum(buffer(&first)), sum);
    producer.reaches("sink", "zero-copy", 1);
    producer.reaches("sink", "copied", 3);
    pool.set_active(false).expect("the pool stops");
}

#[test]
fn padding_that_a_decoder_asks_for_is_within_the_slot_and_travels_with_the_frame() {
    let topic = Topic::new();
    let producer = Running::playing(&format!(
        "videotestsrc ! video/x-raw,format=I420,width=320,height=180 ! {}",
        topic.sink("")
    ));
    let (info, pool) = offered(&producer);
    let mut config = pool.config();
    config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META.as_ref());
    config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_ALIGNMENT.as_ref());
    let align = gst_video::VideoAlignment::new(0, 11, 0, 0, &[63; 4]);
    gst_video::prelude::VideoBufferPoolConfig::set_video_alignment(&mut *config, &align);
    pool.set_config(config).expect("taken");
    let (_, size, ..) = pool.config().params().expect("configured");
    assert!(usize::try_from(size).expect("small") > info.size(), "{size} is with padding");
    pool.set_active(true).expect("the pool starts");
    let buffer = pool.acquire_buffer(None).expect("a buffer");
    assert_eq!(buffer.size(), usize::try_from(size).expect("small"));
    let meta = buffer.meta::<gst_video::VideoMeta>().expect("described");
    assert_eq!(meta.stride()[0] % 64, 0);
    assert_eq!(meta.alignment().padding_bottom(), 11);
    gst_video::VideoFrameRef::from_buffer_ref_readable(&buffer, &info).expect("can be mapped as video");
    drop(buffer);
    pool.set_active(false).expect("the pool stops");
}
