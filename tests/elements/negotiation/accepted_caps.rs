//! Accepted caps are followed where that is possible, whenever they come.

use std::sync::Mutex;

use gstreamer as gst;

use gst::prelude::*;

use crate::support::pipelines::{clients, format, frame, stops_cleanly, viewer};
use crate::support::{Running, Topic, until};

use super::{picky, picky_now};

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
        until("frames flow", || producer.stat("sink", "published") > 3);
        let second = picky(&topic, wanted, "");
        assert_eq!(format(&frame(&second)), wanted);
        assert_eq!(producer.error(), None);
        stops_cleanly(&second);
    }
}

#[test]
fn caps_that_come_between_what_was_asked_and_what_was_chosen_are_followed() {
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
    until("the consumer's accepted caps are followed", wanted);
    assert_eq!(producer.error(), None);
}

#[test]
fn caps_from_behind_elements_that_accept_anything_themselves_are_followed() {
    let topic = Topic::new();
    let producer = Running::playing(&format!("videotestsrc is-live=true ! {}", topic.sink("")));
    until("frames flow", || producer.stat("sink", "published") > 3);
    let consumer = Running::playing(&format!(
        "{} ! identity ! video/x-raw,format=NV12 ! appsink name=out sync=false max-buffers=2 drop=true",
        topic.src("")
    ));
    assert_eq!(format(&frame(&consumer)), "NV12");
    assert_eq!((producer.error(), consumer.error()), (None, None));
}

#[test]
fn a_producer_that_needs_time_to_follow_accepted_caps_is_given_it() {
    for upstream in [
        // A second of frames of the format before are on their way.
        "videotestsrc ! queue ! video/x-raw,width=64,height=48",
        // Between the first frame and the next lies a second.
        "videotestsrc is-live=true ! video/x-raw,framerate=1/1",
    ] {
        let topic = Topic::new();
        let producer = Running::playing(&format!("{upstream} ! {}", topic.sink("")));
        until("frames flow", || producer.stat("sink", "published") > 0);
        let consumer = picky_now(&topic, "NV12");
        assert_eq!(format(&frame(&consumer)), "NV12", "{upstream}");
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
    assert_eq!(format(&frame(&consumer)), "NV12");
    assert_eq!((producer.error(), consumer.error()), (None, None));
}

#[test]
fn a_consumer_that_changes_its_mind_is_served_again() {
    let topic = Topic::new();
    let producer = Running::playing(&format!("videotestsrc is-live=true ! {}", topic.sink("")));
    let consumer = Running::playing(&format!(
        "{} ! capsfilter name=filter caps=video/x-raw,format=I420 ! appsink name=out sync=false max-buffers=1 drop=true",
        topic.src("")
    ));
    assert_eq!(format(&frame(&consumer)), "I420");
    let wanted: gst::Caps = "video/x-raw,format=UYVY".parse().expect("caps");
    consumer.element("filter").set_property("caps", wanted);
    until("the new accepted caps are followed", || format(&frame(&consumer)) == "UYVY");
    assert_eq!((producer.error(), consumer.error()), (None, None));
}

#[test]
fn required_accepted_caps_make_a_converter_convert() {
    let topic = Topic::new();
    let consumer = picky_now(&topic, "NV12");
    let producer = Running::playing(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=I420 ! videoconvert ! {}",
        topic.sink("negotiation=require")
    ));
    assert_eq!(format(&frame(&consumer)), "NV12");
    assert_eq!(producer.error(), None);
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
            "videotestsrc is-live=true ! video/x-raw,format=I420,width=64,height=48,framerate=100/1 ! videoconvert ! {sink}"
        ));
        producer.set_state(gst::State::Ready);
        // What consumers accept is known before the first caps are chosen.
        let all = if only.is_some() { 3 } else { 2 };
        until("all are there", || clients(&producer) == all);
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
fn switched_off_accepted_caps_mean_nothing() {
    let topic = Topic::new();
    let producer =
        Running::playing(&format!("videotestsrc is-live=true ! {}", topic.sink("negotiation=off")));
    let consumer = picky_now(&topic, "NV12");
    let error = consumer.wait_error();
    assert!(error.contains("BGRx"), "{error}");
    assert_eq!(producer.error(), None);
}
