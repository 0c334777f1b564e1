//! Errors that a person can act on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]

mod support;

use std::os::unix::fs::PermissionsExt;

use gstreamer as gst;

use gst::prelude::*;
use support::{Running, Topic, until};

/// What a pipeline says when it cannot start.
fn refusal(text: &str) -> String {
    let running = Running::new(text);
    assert!(running.pipeline.set_state(gst::State::Ready).is_err(), "{text} starts");
    let error = running.wait_error();
    assert!(!error.contains("Failed to start"), "{error}");
    error
}

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
fn a_sink_that_finds_no_memory_posts_one_error() {
    let topic = Topic::new();
    let small = topic.dir().join("small");
    std::fs::create_dir(&small).expect("made");
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=8k", "none"])
        .arg(&small)
        .status();
    if !mount.is_ok_and(|status| status.success()) {
        eprintln!("left out: only root can mount a small file system");
        return;
    }
    let error =
        only_error(&format!("videotestsrc ! shmflowsink name=sink directory={}", small.display()), "video");
    let unmount = std::process::Command::new("umount").arg(&small).status();
    assert!(unmount.is_ok_and(|status| status.success()), "unmounted");
    assert!(error.contains("bytes") && error.contains("free") && error.contains("max-buffers"), "{error}");
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
        (topic.src("connection-timeout=50").replace("=video", "=nobody"), "No producer came"),
        (topic.src("is-live=false").replace("=video", "=bytes"), "caps=video/x-raw"),
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
fn illegal_settings_are_refused_when_leaving_null_with_what_to_type_instead() {
    let topic = Topic::new();
    for (more, says) in [
        ("perms=1777", "03361"),
        ("perms=600", "leading zero"),
        ("max-buffers=2", "max-buffers=2"),
        ("history=9", "history=9"),
        ("reserve=8", "reserve=8"),
        ("leaky-type=none", "not available yet"),
    ] {
        let error = refusal(&format!("videotestsrc ! {}", topic.sink(more)));
        assert!(error.contains(says), "{more}: {error}");
    }
    for element in ["videotestsrc ! shmflowsink", "shmflowsrc ! fakesink"] {
        let error = refusal(element);
        assert!(error.contains("topic=video"), "{error}");
    }
    let error = refusal(&format!("{} ! fakesink", topic.src("caps=video/x-h264")));
    assert!(error.contains("caps"), "{error}");
    let error = refusal(&format!("{} ! fakesink", topic.src(&format!("topic={}", "x".repeat(300)))));
    assert!(error.contains("200"), "{error}");
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let error = refusal("videotestsrc ! shmflowsink topic=video directory=/nowhere/at/all");
    assert!(error.contains("/nowhere/at/all"), "{error}");
}

#[test]
fn too_little_memory_is_told_in_bytes() {
    let topic = Topic::new();
    let producer = Running::playing(&format!("videotestsrc ! {}", topic.sink("max-bytes=100000")));
    let error = producer.wait_error();
    assert!(error.contains("max-bytes=100000") && error.contains("at least"), "{error}");
}

#[test]
fn a_limit_in_bytes_lowers_the_depth() {
    let topic = Topic::new();
    let producer = Running::playing(&format!(
        "videotestsrc ! video/x-raw,format=BGRx,width=320,height=240 ! {}",
        topic.sink("max-bytes=1600000")
    ));
    until("frames flow", || producer.stat("sink", "published") > 1);
    assert_eq!(producer.stat("sink", "slots"), 5);
}

#[test]
fn permissions_are_as_asked_whatever_the_umask() {
    let topic = Topic::new();
    let _producer = Running::playing(&format!("videotestsrc ! {}", topic.sink("perms=0666")));
    until("the files are there", || topic.files().len() >= 3);
    let mode = |name: &str| {
        let file = topic.files().into_iter().find(|file| file.contains(name)).expect("there");
        std::fs::metadata(topic.dir().join(file)).expect("readable").permissions().mode() & 0o777
    };
    assert_eq!((mode(".peers"), mode(".ring"), mode(".holds")), (0o666, 0o644, 0o666));
}

#[test]
fn bare_bytes_need_the_caps_property_and_are_checked_against_it() {
    let topic = Topic::new();
    let ring = shmflow::Producer::builder("video").dir(topic.dir()).open().expect("opens");
    ring.write(&[7; 64 * 48]).expect("written");
    let without = Running::playing(&format!("{} ! fakesink", topic.src("is-live=false")));
    let error = without.wait_error();
    assert!(error.contains("caps=video/x-raw"), "{error}");
    let wrong = Running::playing(&format!(
        "{} ! fakesink",
        topic.src("is-live=false caps=video/x-raw,format=GRAY8,width=640,height=480,framerate=30/1")
    ));
    let error = wrong.wait_error();
    assert!(error.contains("3072 bytes") && error.contains("307200 bytes"), "{error}");
    let right = Running::playing(&format!(
        "{} ! appsink name=out sync=false",
        topic.src("is-live=false caps=video/x-raw,format=GRAY8,width=64,height=48,framerate=30/1")
    ));
    let sample = right.pull().expect("a sample");
    assert_eq!(
        sample.buffer().expect("with a buffer").map_readable().expect("readable").as_slice(),
        &[7; 64 * 48]
    );
}

#[test]
fn damaged_frames_are_left_out_and_the_good_ones_arrive() {
    use shmflow::meta::{Kind, Meta, Plane, VideoLayout};
    let topic = Topic::new();
    let ring = shmflow::Producer::builder("video").dir(topic.dir()).open().expect("opens");
    let good = Meta {
        kind: Kind::Video,
        caps: Some("video/x-raw,format=GRAY8,width=64,height=48,framerate=30/1".into()),
        ..Meta::default()
    };
    let layout = |width, stride, offset| VideoLayout {
        format: "GRAY8".into(),
        width,
        height: 48,
        planes: vec![Plane { offset, stride }],
        fps: (30, 1),
    };
    let bad = [
        Meta { caps: Some("this is no caps {{{".into()), ..good.clone() },
        Meta { video: Some(layout(64, 128, 0)), ..good.clone() },
        Meta { video: Some(layout(64, 64, 1 << 40)), ..good.clone() },
        Meta { video: Some(layout(64, -64, 0)), ..good.clone() },
        Meta { video: Some(layout(32, 64, 0)), ..good.clone() },
    ];
    for (meta, value) in bad.iter().zip(1_u8..) {
        ring.write_with(&[value; 64 * 48], meta).expect("written");
    }
    ring.write_with(&[0; 10], &good).expect("written");
    ring.write_with(&[99; 64 * 48], &good).expect("written");
    let consumer = Running::playing(&format!("{} ! appsink name=out sync=false", topic.src("is-live=false")));
    let sample = consumer.pull().expect("the good one");
    let buffer = sample.buffer().expect("with a buffer");
    assert!(buffer.flags().contains(gst::BufferFlags::DISCONT));
    assert_eq!(buffer.map_readable().expect("readable")[0], 99);
    consumer.reaches("src", "skipped", 6);
    assert_eq!(consumer.error(), None);
}
