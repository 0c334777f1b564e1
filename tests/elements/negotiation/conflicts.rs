//! Accepted caps that conflict, or that no producer has, harm no other consumer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use gstreamer as gst;

use gst::prelude::*;

use crate::support::pipelines::{clients, format, frame, stops_cleanly, viewer};
use crate::support::{Running, Topic, have, until};

use super::picky;

/// Upstreams that can make I420 and nothing else, in the ways that a narrowing sink has been seen to kill.
fn stubborn(topic: &Topic, folder: &Topic) -> Vec<String> {
    let caps = "video/x-raw,format=I420,width=64,height=48,framerate=100/1";
    let sink = topic.sink("");
    let mut upstreams = vec![
        format!("videotestsrc is-live=true ! {caps} ! {sink}"),
        format!("videotestsrc is-live=true ! tee name=t t. ! queue ! {caps} ! fakesink t. ! queue ! {sink}"),
    ];
    for (elements, encoder, name) in [
        (["jpegenc", "jpegdec", "matroskamux"], "jpegenc ! matroskamux", "film.mkv"),
        (["x264enc", "avdec_h264", "qtmux"], "x264enc tune=zerolatency ! qtmux", "film.mp4"),
    ] {
        if !have(&elements) {
            continue;
        }
        let file = folder.dir().join(name);
        if !file.exists() {
            let film = format!("videotestsrc num-buffers=1000 ! {caps} ! {encoder}");
            Running::playing(&format!("{film} ! filesink location={}", file.display())).wait_eos();
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
fn a_newcomer_never_changes_the_format_of_those_who_are_served_and_is_served_when_they_left() {
    let topic = Topic::new();
    let producer = Running::playing(&format!("videotestsrc is-live=true ! {}", topic.sink("")));
    let first = picky(&topic, "I420", "");
    assert_eq!(format(&frame(&first)), "I420");
    let second = picky(&topic, "NV12", "");
    let error = second.wait_error();
    assert!(error.contains("videoconvert") && error.contains("I420") && error.contains("NV12"), "{error}");
    // One that takes anything, and one that has a converter.
    let third = viewer(&topic, "");
    let fourth = Running::playing(&format!(
        "{} ! videoconvert ! video/x-raw,format=NV12 ! appsink name=out sync=false",
        topic.src("")
    ));
    for _ in 0..20 {
        assert_eq!(format(&frame(&first)), "I420");
        assert_eq!(format(&frame(&third)), "I420");
    }
    assert_eq!(format(&frame(&fourth)), "NV12");
    stops_cleanly(&first);
    stops_cleanly(&third);
    stops_cleanly(&fourth);
    // Now the other's accepted caps are the only ones.
    stops_cleanly(&second);
    second.play();
    assert_eq!(format(&frame(&second)), "NV12");
    assert_eq!(producer.error(), None);
}

#[test]
fn when_the_last_one_served_leaves_the_next_one_is() {
    let topic = Topic::new();
    let _producer = Running::playing(&format!("videotestsrc is-live=true ! {}", topic.sink("")));
    let first = picky(&topic, "I420", "");
    frame(&first);
    drop(first);
    let second = picky(&topic, "NV12", "");
    assert_eq!(format(&frame(&second)), "NV12");
}

#[test]
fn a_reconfiguration_is_asked_for_only_when_nobody_takes_the_present_format() {
    let topic = Topic::new();
    let producer = Running::playing(&format!("videotestsrc is-live=true ! {}", topic.sink("")));
    let count = Arc::new(AtomicU32::new(0));
    let pad = producer.element("sink").static_pad("sink").expect("a sink has one");
    let peer = pad.peer().expect("linked");
    {
        let count = Arc::clone(&count);
        peer.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
            if info.event().is_some_and(|event| event.type_() == gst::EventType::Reconfigure) {
                count.fetch_add(1, Ordering::SeqCst);
            }
            gst::PadProbeReturn::Ok
        });
    }
    let asked = || count.load(Ordering::SeqCst);
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
fn read_only_consumers_take_no_part_in_the_choice() {
    let topic = Topic::new();
    let producer = Running::playing(&format!("videotestsrc is-live=true ! {}", topic.sink("perms=0644")));
    until("it publishes", || producer.stat("sink", "published") > 0);
    let reader = picky(&topic, "NV12", "read-only=true");
    let error = reader.wait_error();
    assert!(error.contains("videoconvert"), "{error}");
    let watch = viewer(&topic, "");
    assert_eq!(format(&frame(&watch)), "BGRx");
    assert_eq!(clients(&producer), 1);
}

#[test]
fn whatever_a_consumer_states_as_accepted_caps_the_producer_goes_on() {
    let topic = Topic::new();
    let producer =
        Running::playing(&format!("videotestsrc is-live=true ! {}", topic.sink("negotiation=require")));
    until("it publishes", || producer.stat("sink", "published") > 0);
    let long = "x".repeat(8000);
    let deep = format!("video/x-raw,a={}", "{ ".repeat(2000));
    let texts = [
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
    for caps in texts {
        let _ = consumer.set_accepted_caps(caps);
        let published = producer.stat("sink", "published");
        until("it goes on", || producer.stat("sink", "published") > published + 2);
        assert_eq!(producer.error(), None, "{caps}");
    }
    let viewer = viewer(&topic, "");
    frame(&viewer);
}
