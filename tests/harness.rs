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
