//! Errors that a person can act on.

mod memory;
mod misfits;
mod settings;

use std::process::Command;

use gstreamer as gst;

use gst::prelude::*;

use crate::support::child::{Child, program_of_a_stranger};
use crate::support::pipelines::{AT_ONCE, camera, camera_process, frame, viewer};
use crate::support::{Running, Topic, pads, until};

/// All errors that the bus has now, as far as they come from our elements.
fn errors(running: &Running) -> Vec<String> {
    let bus = running.pipeline.bus().expect("a pipeline has a bus");
    std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Error]))
        .map(|message| match message.view() {
            gst::MessageView::Error(error) => error.error().to_string(),
            _ => unreachable!("filtered"),
        })
        .collect()
}

/// The one error that a pipeline posts when it cannot start.
fn only_error(text: &str, topic: &str) -> String {
    let running = Running::new(text);
    for name in ["sink", "src"] {
        if let Some(element) = running.pipeline.by_name(name) {
            element.set_property("topic", topic);
        }
    }
    assert!(running.pipeline.set_state(gst::State::Ready).is_err(), "{text} starts");
    let mut errors = errors(&running);
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.remove(0)
}

#[test]
fn a_sink_that_cannot_open_its_topic_posts_one_error_and_can_be_started_once_the_cause_is_gone() {
    let topic = Topic::new();
    let file = topic.dir().join("file");
    std::fs::write(&file, "no directory").expect("written");
    let in_file = format!("videotestsrc ! shmflowsink name=sink directory={}", file.display());
    let usual = format!("videotestsrc ! {}", topic.sink(""));
    let exclusive = format!("videotestsrc ! {}", topic.sink("producer-mode=exclusive"));
    for (text, name, says) in [
        (&usual, "", "No topic is set"),
        (&usual, "a\u{7}b", "control"),
        (&usual, &"x".repeat(201), "200"),
        (&in_file, "video", "file"),
    ] {
        let error = only_error(text, name);
        assert!(error.contains(says), "{name:?}: {error}");
    }
    let first = Running::playing(&exclusive);
    for text in [&exclusive, &usual] {
        let error = only_error(text, "video");
        assert!(error.contains("video") && error.contains("in use by producer"), "{error}");
    }
    let second = Running::new(&exclusive);
    assert!(second.pipeline.set_state(gst::State::Ready).is_err());
    assert_eq!(errors(&second).len(), 1);
    drop(first);
    second.play();
    until("it publishes", || second.stat("sink", "published") > 0);
    assert_eq!(errors(&second), Vec::<String>::new());
}

#[test]
fn a_source_that_cannot_go_on_posts_one_error_and_ends_the_stream() {
    let topic = Topic::new();
    for (name, says) in [("", "No topic is set"), ("a\u{7}b", "control")] {
        let error = only_error(&format!("{} ! fakesink", topic.src("")), name);
        assert!(error.contains(says), "{name:?}: {error}");
    }
    let file = topic.dir().join("file");
    std::fs::write(&file, "no directory").expect("written");
    let ring = shmflow::Producer::builder("bytes").dir(topic.dir()).open().expect("opens");
    ring.write(b"bare").expect("written");
    let _producer = Running::playing(&format!("videotestsrc ! video/x-raw,format=I420 ! {}", topic.sink("")));
    for (text, says) in [
        (topic.src("connection-timeout=50").replace("=video", "=nobody"), "No producer joined"),
        (
            format!("{} ! video/x-raw", topic.src("is-live=false").replace("=video", "=bytes")),
            "caps=video/x-raw",
        ),
        (format!("{} ! video/x-raw,format=BGRx", topic.src("")), "videoconvert"),
        (format!("shmflowsrc topic=video directory={}", file.display()), "file"),
    ] {
        let running = Running::playing(&format!("{text} ! appsink name=out sync=false"));
        while running.pull().is_some() {}
        // The base class would have posted its own before it ended the stream.
        let errors = errors(&running);
        assert_eq!(errors.len(), 1, "{text}: {errors:?}");
        assert!(errors[0].contains(says), "{text}: {errors:?}");
    }
}

#[test]
fn a_source_tells_after_its_time_out_that_no_producer_came() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "connection-timeout=200");
    let error = viewer.wait_error();
    assert!(error.contains("'video'") && error.contains("200 ms"), "{error}");
    // And the same after a producer was there.
    viewer.set_state(gst::State::Null);
    let mut producer = camera_process(&topic, 64, "");
    until("the producer is there", || topic.files().iter().any(|file| file.ends_with(".ring")));
    viewer.play();
    frame(&viewer);
    producer.kill();
    let error = viewer.wait_error();
    assert!(error.contains("200 ms"), "{error}");
}

#[test]
fn a_topic_that_is_not_permitted_is_told_from_one_that_is_not_there() {
    let may = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "true"])
        .status()
        .is_ok_and(|status| status.success());
    if !may {
        eprintln!("left out: another user cannot be taken on here");
        return;
    }
    let topic = Topic::new();
    let _producer = Running::playing(&camera(&topic, 64, "perms=0600"));
    let mut stranger = program_of_a_stranger("setpriv", topic.dir());
    let ended = Child::run(
        stranger
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "gst-launch-1.0"])
            .args(format!("{} ! fakesink", topic.src("connection-timeout=2000")).split_whitespace()),
    )
    .wait();
    ended.badly("topic `video`").badly("permi").badly("perms=0660").badly("read-only=true");
    assert!(!ended.printed.contains("No producer joined"), "{}", ended.printed);
    Child::launch(&format!("{} ! fakesink", topic.src("connection-timeout=100").replace("=video", "=other")))
        .wait()
        .badly("No producer joined");
}

#[test]
fn a_topic_that_was_mistyped_is_told_with_those_like_it() {
    let topic = Topic::new();
    let _producer = Running::playing(&camera(&topic, 64, ""));
    Child::launch(&format!("{} ! fakesink", topic.src("connection-timeout=100").replace("=video", "=vidoe")))
        .wait()
        .badly("(did you mean 'video'?)");
    let mut viewer = Child::listen(&topic.src("").replace("=video", "=vidoe"));
    viewer.wait_for("(did you mean 'video'?)");
}

#[test]
fn a_frame_that_is_too_small_for_its_caps_is_an_error_that_says_so() {
    let topic = Topic::new();
    let _consumer = viewer(&topic, "is-live=false");
    let producer = Running::playing(&format!(
        "appsrc name=in format=time caps={} ! {}",
        pads::CAPS,
        topic.sink(AT_ONCE)
    ));
    let _ = producer.push(&gst::Buffer::from_slice([1_u8; 4095]));
    let error = producer.wait_error();
    assert!(error.contains("4095 bytes"), "{error}");
}
