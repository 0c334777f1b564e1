//! What the sink offers and accepts, before any consumer states what it accepts.

use gstreamer as gst;

use gst::prelude::*;

use crate::support::pipelines::{format, frame, viewer};
use crate::support::{Running, Topic};

use super::picky_now;

#[test]
fn left_alone_a_display_that_takes_one_format_only_is_served() {
    let topic = Topic::new();
    let _producer = Running::playing(&format!("videotestsrc ! {}", topic.sink("")));
    assert_eq!(format(&frame(&picky_now(&topic, "BGRx"))), "BGRx");
}

#[test]
fn the_order_of_formats_survives_a_capsfilter_in_front_of_the_sink() {
    let topic = Topic::new();
    let _producer = Running::playing(&format!("videotestsrc ! video/x-raw,width=64 ! {}", topic.sink("")));
    let consumer = viewer(&topic, "");
    assert_eq!(format(&frame(&consumer)), "BGRx");
}

#[test]
fn the_sink_offers_a_plain_displays_format_first_and_in_its_own_order() {
    let topic = Topic::new();
    let producer = Running::new(&format!("videotestsrc ! {}", topic.sink("")));
    producer.set_state(gst::State::Ready);
    let pad = producer.element("sink").static_pad("sink").expect("a sink has one");
    let first = |filter: Option<&str>| {
        let filter: Option<gst::Caps> = filter.map(|text| text.parse().expect("caps"));
        let mut caps = pad.query_caps(filter.as_ref());
        caps.fixate();
        caps.structure(0).and_then(|s| s.get::<String>("format").ok()).expect("a format")
    };
    assert!(pad.query_caps(None).is_any(), "anything can be carried");
    assert_eq!(first(Some("audio/x-raw;video/x-raw")), "BGRx");
    assert_eq!(first(Some("video/x-raw,format={ABGR64_LE,Y444,NV12,I420,BGRx}")), "BGRx");
    assert_eq!(first(Some("video/x-raw,format={ABGR64_LE,Y444,NV12,I420}")), "I420");
    assert_eq!(first(Some("video/x-raw,format={ABGR64_LE,Y444,NV12}")), "NV12");
}

#[test]
fn whatever_fits_into_the_ring_is_accepted_and_what_does_not_is_not() {
    let topic = Topic::new();
    let producer = Running::new(&format!("appsrc name=in ! {}", topic.sink("")));
    producer.set_state(gst::State::Ready);
    let pad = producer.element("sink").static_pad("sink").expect("a sink has one");
    for (text, accepted) in [
        ("video/x-raw,format=I420,width=320,height=240,framerate=30/1", true),
        ("video/x-raw,format=AYUV64,width=1,height=1,framerate=0/1", true),
        ("video/x-raw(memory:DMABuf),format=I420,width=320,height=240", false),
        ("video/x-raw(meta:GstVideoOverlayComposition),format=I420,width=320,height=240", false),
        ("video/x-raw,format=ABGR64_LE,width=1,height=1,framerate=0/1", true),
        ("video/x-raw,format=NV12,width=319,height=241,framerate=30/1,interlace-mode=interleaved", true),
        ("video/x-raw(memory:SystemMemory),format=I420,width=320,height=240,framerate=30/1", true),
        ("video/x-raw(memory:GLMemory),format=RGBA,width=320,height=240,framerate=30/1", false),
        ("video/x-raw(meta:GstVideoOverlayComposition),format=RGBA,width=320,height=240", false),
        ("video/x-h264,width=320,height=240", true),
        ("video/x-h264(memory:DMABuf),width=320,height=240", false),
        ("audio/x-raw,format=S16LE,rate=48000,channels=2,layout=interleaved", true),
        ("audio/x-raw,format=S16LE", false),
        ("application/x-anything", true),
    ] {
        let caps: gst::Caps = text.parse().expect("caps");
        assert_eq!(pad.query_accept_caps(&caps), accepted, "{text}");
    }
}

#[test]
fn what_cannot_be_carried_is_refused_before_the_first_frame_with_a_reason() {
    let topic = Topic::new();
    let sink = topic.sink("");
    let producer = Running::new(&format!("appsrc name=in format=time ! {sink}"));
    producer.play();
    producer.element("in").set_property(
        "caps",
        "video/x-raw(memory:GLMemory),format=RGBA,width=32,height=32".parse::<gst::Caps>().expect("caps"),
    );
    let _ = producer.push(&gst::Buffer::from_mut_slice(vec![0_u8; 4096]));
    let error = producer.wait_error();
    assert!(!error.is_empty());
}
