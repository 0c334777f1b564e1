//! Caps across processes: a wish, never a condition.

use gstreamer as gst;

use gst::prelude::*;

use crate::child::Child;
use crate::common::{frame, stops_cleanly, viewer};
use crate::support::{Running, Topic, have, until};

fn format(sample: &gst::Sample) -> String {
    sample.caps().and_then(|caps| caps.structure(0)?.get("format").ok()).expect("a sample has caps")
}

/// A viewer that takes one format only.
fn picky(topic: &Topic, format: &str, more: &str) -> Running {
    let src = topic.src(more);
    Running::playing(&format!("{src} ! video/x-raw,format={format} ! appsink name=out sync=false"))
}

const SIZE: &str = "width=64,height=48,framerate=100/1";

/// Three upstreams that can make I420 and nothing else.
fn stubborn(topic: &Topic, folder: &Topic) -> Vec<String> {
    let (size, sink) = (SIZE, topic.sink(""));
    let mut upstreams = vec![
        format!("videotestsrc is-live=true ! video/x-raw,format=I420,{size} ! {sink}"),
        format!(
            "videotestsrc is-live=true ! tee name=t t. ! queue ! video/x-raw,format=I420,{size} ! fakesink t. ! \
             queue ! {sink}"
        ),
    ];
    if have(&["jpegenc", "jpegdec", "matroskamux", "decodebin"]) {
        let file = folder.dir().join("film.mkv");
        if !file.exists() {
            Child::launch(&format!(
                "videotestsrc num-buffers=1000 ! video/x-raw,format=I420,{size} ! jpegenc ! matroskamux ! filesink \
                 location={}",
                file.display()
            ))
            .wait()
            .well();
        }
        upstreams.push(format!("filesrc location={} ! decodebin ! {sink}", file.display()));
    }
    upstreams
}

#[test]
fn producers_of_one_format_survive_a_viewer_of_another_from_the_start_and_in_mid_stream() {
    let folder = Topic::new();
    for mid_stream in [false, true] {
        for index in 0..stubborn(&folder, &folder).len() {
            let topic = Topic::new();
            let text = &stubborn(&topic, &folder)[index];
            let early = (!mid_stream).then(|| picky(&topic, "BGRx", ""));
            let producer = Running::playing(text);
            until("it publishes", || producer.stat("sink", "published") > 10);
            let picky = early.unwrap_or_else(|| picky(&topic, "BGRx", ""));
            let error = picky.wait_error();
            for part in ["videoconvert after shmflowsrc", "I420", "BGRx"] {
                assert!(error.contains(part), "{part:?} is not in: {error}");
            }
            let published = producer.stat("sink", "published");
            until("it goes on", || producer.stat("sink", "published") > published + 20);
            assert_eq!(producer.error(), None, "{text}");
            // With what the error says to do, it works.
            let helped = Running::playing(&format!(
                "{} ! videoconvert ! video/x-raw,format=BGRx ! appsink name=out sync=false",
                topic.src("")
            ));
            assert_eq!(format(&frame(&helped)), "BGRx");
        }
    }
}

#[test]
fn a_source_that_can_make_anything_makes_what_the_viewer_takes_in_either_order() {
    for wanted in ["NV12", "BGRx", "RGB16", "v210"] {
        let topic = Topic::new();
        let first = picky(&topic, wanted, "");
        let text = format!("videotestsrc is-live=true ! {}", topic.sink(""));
        let producer = Running::playing(&text);
        assert_eq!(format(&frame(&first)), wanted);
        stops_cleanly(&first);
        stops_cleanly(&producer);

        let producer = Running::playing(&text);
        until("it publishes", || producer.stat("sink", "published") > 0);
        let second = picky(&topic, wanted, "");
        assert_eq!(format(&frame(&second)), wanted);
        assert_eq!(producer.error(), None);
        stops_cleanly(&second);
    }
}

#[test]
fn a_newcomer_never_changes_the_format_of_those_who_are_served() {
    let topic = Topic::new();
    let first = picky(&topic, "NV12", "");
    let producer = Running::playing(&format!("videotestsrc is-live=true ! {}", topic.sink("")));
    assert_eq!(format(&frame(&first)), "NV12");
    let second = picky(&topic, "BGRx", "");
    let error = second.wait_error();
    assert!(error.contains("NV12") && error.contains("BGRx"), "{error}");
    // One that takes anything, and one that is read from without being asked.
    let third = viewer(&topic, "");
    for _ in 0..20 {
        assert_eq!(format(&frame(&third)), "NV12");
        assert_eq!(format(&frame(&first)), "NV12");
    }
    // The first one leaves; now the other's wish is the only one.
    stops_cleanly(&first);
    stops_cleanly(&third);
    stops_cleanly(&second);
    second.play();
    assert_eq!(format(&frame(&second)), "BGRx");
    assert_eq!(producer.error(), None);
}

#[test]
fn a_reconfiguration_is_asked_for_only_when_nobody_takes_the_present_format() {
    let topic = Topic::new();
    let producer = Running::playing(&format!("videotestsrc is-live=true ! {}", topic.sink("")));
    let count = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let pad = producer.element("sink").static_pad("sink").expect("a sink has one");
    let peer = pad.peer().expect("linked");
    {
        let count = std::sync::Arc::clone(&count);
        peer.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
            if info.event().is_some_and(|event| event.type_() == gst::EventType::Reconfigure) {
                count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
            gst::PadProbeReturn::Ok
        });
    }
    let asked = || count.load(std::sync::atomic::Ordering::SeqCst);
    until("it publishes", || producer.stat("sink", "published") > 0);
    let content = picky(&topic, "BGRx", "");
    assert_eq!(format(&frame(&content)), "BGRx");
    let easy = viewer(&topic, "");
    frame(&easy);
    let sad = picky(&topic, "NV12", "");
    sad.wait_error();
    assert_eq!(asked(), 0, "somebody was served all the time");
    stops_cleanly(&content);
    stops_cleanly(&easy);
    stops_cleanly(&sad);
    let alone = picky(&topic, "NV12", "");
    assert_eq!(format(&frame(&alone)), "NV12");
    assert!(asked() >= 1);
}

#[test]
fn only_require_makes_a_converter_upstream_convert() {
    for (mode, expected) in [("require", "NV12"), ("prefer", "I420"), ("off", "I420")] {
        let topic = Topic::new();
        let easy = Running::playing(&format!(
            "{} ! videoconvert ! video/x-raw,format=NV12 ! fakesink",
            topic.src("")
        ));
        let only = (mode == "require").then(|| picky(&topic, "NV12", ""));
        let watch = viewer(&topic, "");
        let sink = topic.sink(&format!("negotiation={mode}"));
        let producer = Running::new(&format!(
            "videotestsrc is-live=true ! video/x-raw,format=I420,{SIZE} ! videoconvert ! {sink}"
        ));
        producer.set_state(gst::State::Ready);
        // What consumers accept is known before the first caps are chosen.
        let clients = if only.is_some() { 3 } else { 2 };
        until("all are there", || producer.element("sink").property::<u32>("num-clients") == clients);
        producer.play();
        assert_eq!(format(&frame(&watch)), expected, "{mode}");
        if let Some(only) = &only {
            assert_eq!(format(&frame(only)), "NV12");
        }
        assert_eq!(producer.error(), None);
        drop(easy);
    }
}

#[test]
fn read_only_consumers_take_no_part_in_the_choice() {
    let topic = Topic::new();
    let producer = Running::playing(&format!("videotestsrc is-live=true ! {}", topic.sink("perms=0644")));
    until("it publishes", || producer.stat("sink", "published") > 0);
    let reader = picky(&topic, "NV12", "read-only=true");
    let error = reader.wait_error();
    assert!(error.contains("videoconvert"), "{error}");
    let watch = viewer(&topic, "");
    assert_eq!(format(&frame(&watch)), "BGRx");
    assert_eq!(producer.element("sink").property::<u32>("num-clients"), 1);
}

#[test]
fn whatever_a_consumer_writes_as_its_wish_the_producer_goes_on() {
    let topic = Topic::new();
    let producer =
        Running::playing(&format!("videotestsrc is-live=true ! {}", topic.sink("negotiation=require")));
    until("it publishes", || producer.stat("sink", "published") > 0);
    let long = "x".repeat(8000);
    let deep = format!("video/x-raw,a={}", "{ ".repeat(2000));
    let wishes = [
        "\u{1}\u{2}",
        "video/x-raw,format={",
        "audio/x-raw",
        "EMPTY",
        "NONE",
        "ANY",
        "video/x-raw(memory:GLMemory)",
        "video/x-raw,width=[ 10, 1 ]",
        "video/x-raw,framerate=1/0",
        &long,
        &deep,
    ];
    let mut consumer =
        shmflow::Consumer::builder("video").dir(topic.dir()).open().expect("the topic is there");
    for wish in wishes {
        let _ = consumer.set_wish(wish);
        let published = producer.stat("sink", "published");
        until("it goes on", || producer.stat("sink", "published") > published + 2);
        assert_eq!(producer.error(), None, "{wish}");
    }
    let viewer = viewer(&topic, "");
    frame(&viewer);
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
    assert_eq!(first(None), "BGRx");
    assert_eq!(first(Some("video/x-raw,format={ABGR64_LE,Y444,NV12,I420,BGRx}")), "BGRx");
    assert_eq!(first(Some("video/x-raw,format={ABGR64_LE,Y444,NV12,I420}")), "I420");
    assert_eq!(first(Some("video/x-raw,format={ABGR64_LE,Y444,NV12}")), "NV12");
    // Whatever fits into the ring is accepted, whatever is wished; what does not fit is not.
    for (text, accepted) in [
        ("video/x-raw,format=ABGR64_LE,width=1,height=1,framerate=0/1", true),
        ("video/x-raw,format=NV12,width=319,height=241,framerate=30/1,interlace-mode=interleaved", true),
        ("video/x-raw(memory:SystemMemory),format=I420,width=320,height=240,framerate=30/1", true),
        ("video/x-raw(memory:GLMemory),format=RGBA,width=320,height=240,framerate=30/1", false),
        ("video/x-raw(meta:GstVideoOverlayComposition),format=RGBA,width=320,height=240", false),
        ("video/x-h264,width=320,height=240", false),
        ("audio/x-raw,rate=48000", false),
    ] {
        let caps: gst::Caps = text.parse().expect("caps");
        assert_eq!(pad.query_accept_caps(&caps), accepted, "{text}");
    }
}

#[test]
fn what_cannot_be_carried_is_refused_before_the_first_frame_with_a_reason() {
    let topic = Topic::new();
    let sink = topic.sink("");
    for text in [format!("videotestsrc ! jpegenc ! {sink}"), format!("audiotestsrc ! {sink}")] {
        let refused = gst::parse::launch(&text).is_err();
        assert!(refused || Running::new(&text).pipeline.set_state(gst::State::Playing).is_err(), "{text}");
    }
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
