//! What consumers accept reaches the producer as a wish, and never breaks anything.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::Mutex;

use gstreamer as gst;

use gst::prelude::*;
use support::{Running, Topic, have, until};

fn format(sample: &gst::Sample) -> String {
    let caps = sample.caps().expect("caps");
    caps.structure(0).expect("one").get("format").expect("a format")
}

/// The next sample, or what is wrong.
fn pulled(consumer: &Running) -> gst::Sample {
    consumer.pull().unwrap_or_else(|| panic!("no sample, error: {:?}", consumer.error()))
}

fn consumer_of(topic: &Topic, format: &str) -> Running {
    Running::playing(&format!(
        "{} ! video/x-raw,format={format} ! appsink name=out sync=false max-buffers=2 drop=true",
        topic.src("")
    ))
}

#[test]
fn left_alone_a_display_that_takes_one_format_only_is_served() {
    let topic = Topic::new();
    let _producer = Running::playing(&format!("videotestsrc ! {}", topic.sink("")));
    assert_eq!(format(&pulled(&consumer_of(&topic, "BGRx"))), "BGRx");
}

#[test]
fn the_order_of_formats_survives_a_capsfilter_in_front_of_the_sink() {
    let topic = Topic::new();
    let _producer = Running::playing(&format!("videotestsrc ! video/x-raw,width=64 ! {}", topic.sink("")));
    let consumer = Running::playing(&format!("{} ! appsink name=out sync=false", topic.src("")));
    assert_eq!(format(&pulled(&consumer)), "BGRx");
}

#[test]
fn a_source_that_can_make_anything_makes_what_is_wished_whoever_came_first() {
    for consumer_first in [true, false] {
        let topic = Topic::new();
        let consumer = consumer_first.then(|| consumer_of(&topic, "NV12"));
        let producer = Running::playing(&format!("videotestsrc ! {}", topic.sink("")));
        let consumer = consumer.unwrap_or_else(|| {
            until("frames flow", || producer.stat("sink", "published") > 3);
            consumer_of(&topic, "NV12")
        });
        assert_eq!(format(&pulled(&consumer)), "NV12", "consumer first: {consumer_first}");
        assert_eq!((producer.error(), consumer.error()), (None, None));
    }
}

#[test]
fn a_wish_that_comes_between_what_was_asked_and_what_was_chosen_is_followed() {
    let topic = Topic::new();
    let producer = Running::new(&format!("videotestsrc name=camera is-live=true ! {}", topic.sink("")));
    let sink = producer.element("sink");
    let consumer = Mutex::new(None);
    let pad = producer.element("camera").static_pad("src").expect("one");
    let src = topic.src("");
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let mut consumer = consumer.lock().expect("nobody panics with it");
        if info.event().is_some_and(|event| event.type_() == gst::EventType::Caps) && consumer.is_none() {
            // The camera has asked what the sink accepts, when nobody was there.
            *consumer = Some(Running::playing(&format!("{src} ! video/x-raw,format=NV12 ! fakesink")));
            until("the consumer is there", || sink.property::<u32>("num-clients") == 1);
        }
        gst::PadProbeReturn::Ok
    });
    producer.play();
    let wanted = || {
        let caps = producer.element("sink").static_pad("sink").and_then(|pad| pad.current_caps());
        caps.is_some_and(|caps| caps.to_string().contains("NV12"))
    };
    until("the consumer's wish is fulfilled", wanted);
    assert_eq!(producer.error(), None);
}

#[test]
fn a_wish_from_behind_elements_that_accept_anything_themselves_is_followed() {
    let topic = Topic::new();
    let producer = Running::playing(&format!("videotestsrc is-live=true ! {}", topic.sink("")));
    until("frames flow", || producer.stat("sink", "published") > 3);
    let consumer = Running::playing(&format!(
        "{} ! identity ! video/x-raw,format=NV12 ! appsink name=out sync=false max-buffers=2 drop=true",
        topic.src("")
    ));
    assert_eq!(format(&pulled(&consumer)), "NV12");
    assert_eq!((producer.error(), consumer.error()), (None, None));
}

#[test]
fn a_producer_that_needs_time_to_follow_a_wish_is_given_it() {
    for upstream in [
        // A second of frames of the format before are on their way.
        "videotestsrc ! queue ! video/x-raw,width=64,height=48",
        // Between the first frame and the next lies a second.
        "videotestsrc is-live=true ! video/x-raw,framerate=1/1",
    ] {
        let topic = Topic::new();
        let producer = Running::playing(&format!("{upstream} ! {}", topic.sink("")));
        until("frames flow", || producer.stat("sink", "published") > 0);
        let consumer = consumer_of(&topic, "NV12");
        assert_eq!(format(&pulled(&consumer)), "NV12", "{upstream}");
        assert_eq!((producer.error(), consumer.error()), (None, None), "{upstream}");
    }
}

#[test]
fn a_consumer_that_changes_its_mind_while_it_gets_nothing_is_heard() {
    let topic = Topic::new();
    // Can make two formats, and makes the one that nobody wants now.
    let producer = Running::playing(&format!(
        "videotestsrc is-live=true ! video/x-raw,format={{I420,NV12}} ! {}",
        topic.sink("")
    ));
    until("frames flow", || producer.stat("sink", "published") > 3);
    let consumer = Running::playing(&format!(
        "{} ! capsfilter name=filter caps=video/x-raw,format=BGRx ! appsink name=out sync=false",
        topic.src("")
    ));
    until("frames are refused", || consumer.stat("src", "skipped") > 0);
    let wanted: gst::Caps = "video/x-raw,format=NV12".parse().expect("caps");
    consumer.element("filter").set_property("caps", wanted);
    assert_eq!(format(&pulled(&consumer)), "NV12");
    assert_eq!((producer.error(), consumer.error()), (None, None));
}

#[test]
fn a_newcomer_never_changes_the_format_of_those_who_are_served() {
    let topic = Topic::new();
    let producer = Running::playing(&format!("videotestsrc is-live=true ! {}", topic.sink("")));
    let first = consumer_of(&topic, "I420");
    assert_eq!(format(&pulled(&first)), "I420");
    let second = consumer_of(&topic, "NV12");
    let error = second.wait_error();
    assert!(error.contains("videoconvert") && error.contains("I420") && error.contains("NV12"), "{error}");
    for _ in 0..10 {
        assert_eq!(format(&pulled(&first)), "I420");
    }
    drop(second);
    // With a converter it is served, too.
    let third = Running::playing(&format!(
        "{} ! videoconvert ! video/x-raw,format=NV12 ! appsink name=out sync=false max-buffers=2 drop=true",
        topic.src("")
    ));
    assert_eq!(format(&pulled(&third)), "NV12");
    assert_eq!(format(&pulled(&first)), "I420");
    assert_eq!((producer.error(), first.error()), (None, None));
}

#[test]
fn when_the_last_one_served_leaves_the_next_one_is() {
    let topic = Topic::new();
    let _producer = Running::playing(&format!("videotestsrc is-live=true ! {}", topic.sink("")));
    let first = consumer_of(&topic, "I420");
    pulled(&first);
    drop(first);
    let second = consumer_of(&topic, "NV12");
    assert_eq!(format(&pulled(&second)), "NV12");
}

/// Pipelines that can make one format only, in the three ways that a narrowing sink has been seen to kill.
fn stubborn(topic: &Topic) -> Vec<String> {
    let mut texts = vec![
        format!("videotestsrc is-live=true ! video/x-raw,format=I420 ! {}", topic.sink("")),
        format!(
            "videotestsrc is-live=true ! tee name=t ! queue ! video/x-raw,format=I420 ! fakesink t. ! queue ! {}",
            topic.sink("")
        ),
    ];
    if have(&["x264enc", "qtmux", "qtdemux", "avdec_h264"]) {
        let file = topic.dir().join("film.mp4");
        let writer = Running::playing(&format!(
            "videotestsrc num-buffers=100 ! video/x-raw,format=I420 ! x264enc tune=zerolatency ! qtmux ! filesink location={}",
            file.display()
        ));
        writer.wait_eos();
        texts.push(format!("filesrc location={} ! decodebin ! {}", file.display(), topic.sink("")));
    }
    texts
}

#[test]
fn a_consumer_that_cannot_be_served_brings_no_producer_down() {
    let count = stubborn(&Topic::new()).len();
    for index in 0..count {
        for consumer_first in [true, false] {
            let topic = Topic::new();
            let text = stubborn(&topic).swap_remove(index);
            let consumer = consumer_first.then(|| consumer_of(&topic, "BGRx"));
            let producer = Running::playing(&text);
            until("frames flow", || producer.stat("sink", "published") > 3);
            let consumer = consumer.unwrap_or_else(|| consumer_of(&topic, "BGRx"));
            let error = consumer.wait_error();
            assert!(error.contains("videoconvert"), "{error}");
            let before = producer.stat("sink", "published");
            until("frames flow on", || producer.stat("sink", "published") > before + 5);
            assert_eq!(producer.error(), None, "{text}");
        }
    }
}

#[test]
fn required_a_wish_makes_a_converter_convert() {
    let topic = Topic::new();
    let consumer = consumer_of(&topic, "NV12");
    let producer = Running::playing(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=I420 ! videoconvert ! {}",
        topic.sink("negotiation=require")
    ));
    assert_eq!(format(&pulled(&consumer)), "NV12");
    assert_eq!(producer.error(), None);
}

#[test]
fn switched_off_a_wish_means_nothing() {
    let topic = Topic::new();
    let producer =
        Running::playing(&format!("videotestsrc is-live=true ! {}", topic.sink("negotiation=off")));
    let consumer = consumer_of(&topic, "NV12");
    let error = consumer.wait_error();
    assert!(error.contains("BGRx"), "{error}");
    assert_eq!(producer.error(), None);
}

#[test]
fn a_consumer_that_changes_its_mind_is_served_again() {
    let topic = Topic::new();
    let producer = Running::playing(&format!("videotestsrc is-live=true ! {}", topic.sink("")));
    let consumer = Running::playing(&format!(
        "{} ! capsfilter name=filter caps=video/x-raw,format=I420 ! appsink name=out sync=false max-buffers=1 drop=true",
        topic.src("")
    ));
    assert_eq!(format(&pulled(&consumer)), "I420");
    let wanted: gst::Caps = "video/x-raw,format=UYVY".parse().expect("caps");
    consumer.element("filter").set_property("caps", wanted);
    until("the new wish is fulfilled", || format(&pulled(&consumer)) == "UYVY");
    assert_eq!((producer.error(), consumer.error()), (None, None));
}

#[test]
fn what_cannot_be_carried_is_refused_with_a_reason() {
    let topic = Topic::new();
    let sink = Running::new(&format!("appsrc name=in ! {}", topic.sink("")));
    sink.set_state(gst::State::Ready);
    let pad = sink.element("sink").static_pad("sink").expect("one");
    for (caps, good) in [
        ("video/x-raw,format=I420,width=320,height=240,framerate=30/1", true),
        ("video/x-raw,format=AYUV64,width=1,height=1,framerate=0/1", true),
        ("video/x-raw(memory:DMABuf),format=I420,width=320,height=240", false),
        ("video/x-raw(meta:GstVideoOverlayComposition),format=I420,width=320,height=240", false),
        ("video/x-h264,width=320,height=240", false),
    ] {
        let caps: gst::Caps = caps.parse().expect("caps");
        let mut query = gst::query::AcceptCaps::new(&caps);
        assert!(pad.query(&mut query), "{caps}");
        assert_eq!(query.result(), good, "{caps}");
    }
}
