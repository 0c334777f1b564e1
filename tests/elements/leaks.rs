//! Nothing of GStreamer's is left over when a program ends: buffers, memories, pools, caps, events, elements.

use crate::support::child::{Child, Ended, program};
use crate::support::{Topic, have};

const FRAMES: &str = "video/x-raw,format=I420,width=320,height=240,framerate=100/1";

/// Starts a pipeline under the leak tracer.
fn traced(text: &str) -> Child {
    Child::run(
        program("gst-launch-1.0")
            .args(text.split_whitespace())
            .env("GST_TRACERS", "leaks")
            .env("GST_DEBUG", "GST_TRACER:7"),
    )
}

/// The objects that were still alive at the end.
fn leaks(ended: &Ended) -> impl Iterator<Item = &str> {
    // Lines that only tell how such a line will look are none.
    ended.printed.lines().filter(|line| line.contains("object-alive,") && !line.contains("new format string"))
}

/// It ended, was traced, and left nothing alive.
fn leaves_nothing(ended: &Ended) {
    assert!(ended.printed.contains("object-alive.class"), "the tracer was not at work:\n{}", ended.printed);
    let alive: Vec<_> = leaks(ended).collect();
    assert!(alive.is_empty(), "{}", alive.join("\n"));
}

#[test]
fn the_tracer_sees_a_leak() {
    // An element that is made and never freed, from a program that forgets.
    let script = "import ctypes; g = ctypes.CDLL('libgstreamer-1.0.so.0'); g.gst_init(None, None); \
                  g.gst_element_factory_make(b'fakesink', None); g.gst_deinit()";
    let ended = Child::run(
        program("python3").args(["-c", script]).env("GST_TRACERS", "leaks").env("GST_DEBUG", "GST_TRACER:7"),
    )
    .wait();
    assert!(leaks(&ended).any(|line| line.contains("GstFakeSink")), "{}", ended.printed);
}

#[test]
fn a_stream_that_ends_leaves_nothing() {
    let topic = Topic::new();
    let viewer = traced(&format!("{} ! videoconvert ! video/x-raw,format=BGRx ! fakesink", topic.src("")));
    let producer = traced(&format!(
        "videotestsrc num-buffers=50 ! {FRAMES} ! {}",
        topic.sink("wait-for-connection=true")
    ));
    for ended in [producer.wait(), viewer.wait()] {
        leaves_nothing(ended.well());
    }
}

#[test]
fn programs_that_are_interrupted_leave_nothing() {
    let topic = Topic::new();
    let mut viewer = traced(&format!("-v {} ! queue ! fakesink silent=false", topic.src("")));
    let producer =
        traced(&format!("videotestsrc is-live=true ! {FRAMES} ! timeoverlay ! {}", topic.sink("")));
    viewer.wait_frames(20);
    for process in [viewer, producer] {
        leaves_nothing(process.interrupt().well());
    }
}

#[test]
fn copies_other_peoples_memory_and_changes_of_format_leave_nothing() {
    let topic = Topic::new();
    let mut viewer = traced(&format!(
        "-v {} ! queue min-threshold-buffers=20 ! fakesink silent=false sync=false",
        topic.src("on-disconnect=eos max-leases=2")
    ));
    let mut first = traced(&format!(
        "videotestsrc is-live=true ! {FRAMES} ! tee name=t t. ! queue ! {} t. ! queue ! fakesink",
        topic.sink("")
    ));
    viewer.wait_frames(10);
    // Another producer, of larger frames, while the first goes on; then one is killed, and the other interrupted.
    let second = traced(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=BGRx,width=640,height=480,framerate=100/1 ! {}",
        topic.sink("")
    ));
    let before = viewer.seen().len();
    viewer.wait_frames(before + 60);
    first.kill();
    leaves_nothing(second.interrupt().well());
    leaves_nothing(viewer.wait().well());
}

#[test]
fn decoders_in_front_of_the_sink_leave_nothing() {
    if !have(&["jpegenc", "jpegdec", "x264enc", "avdec_h264"]) {
        return;
    }
    let topic = Topic::new();
    for text in ["jpegenc ! jpegdec", "x264enc tune=zerolatency ! avdec_h264 ! videoconvert"] {
        let producer = traced(&format!(
            "videotestsrc num-buffers=40 ! {FRAMES} ! {text} ! {}",
            topic.sink("sync=false")
        ));
        leaves_nothing(producer.wait().well());
    }
}

#[test]
fn errors_leave_nothing() {
    let topic = Topic::new();
    for (text, error) in [
        (format!("videotestsrc ! {}", topic.sink("perms=1777")), "perms"),
        (format!("{} ! fakesink", topic.src("connection-timeout=50")), "No producer joined"),
    ] {
        let ended = traced(&text).wait();
        leaves_nothing(ended.badly(error));
    }
    let producer = traced(&format!("videotestsrc is-live=true ! {FRAMES} ! {}", topic.sink("")));
    let viewer = traced(&format!("{} ! video/x-raw,format=BGRx ! fakesink", topic.src("")));
    leaves_nothing(viewer.wait().badly("videoconvert"));
    leaves_nothing(producer.interrupt().well());
}
