//! `shmflow://video`: topics as addresses, for GStreamer's players and for pipelines of text.

use gstreamer as gst;

use gst::prelude::*;

use crate::support::child::{Child, program};
use crate::support::pipelines::{AT_ONCE, camera_process, frame, width};
use crate::support::{Running, Topic, have, have_program, init};

/// The address of the topic `name` in a test's directory, with more parameters.
fn address(topic: &Topic, name: &str, more: &str) -> String {
    format!("shmflow://{name}?directory={}{more}", topic.dir().display())
}

fn element(factory: &str) -> (gst::Element, gst::URIHandler) {
    init();
    let element = gst::ElementFactory::make(factory).build().expect("registered");
    let handler = element.clone().dynamic_cast().expect("it takes addresses");
    (element, handler)
}

fn refused(factory: &str, address: &str) -> String {
    let (element, handler) = element(factory);
    let error = handler.set_uri(address).expect_err(address);
    assert!(element.property::<Option<String>>("topic").is_none(), "nothing of {address} is set");
    error.to_string()
}

#[test]
fn an_address_is_a_topic_and_properties() {
    let (sink, handler) = element("shmflowsink");
    assert_eq!((handler.uri_type(), handler.uri()), (gst::URIType::Sink, None));
    handler
        .set_uri(
            "shmflow://robot/cam%200?max-buffers=16&perms=0660&leaky-type=none&sync=false&persistent=true",
        )
        .expect("legal");
    assert_eq!(sink.property::<String>("topic"), "robot/cam 0");
    assert_eq!((sink.property::<u32>("max-buffers"), sink.property::<u32>("perms")), (16, 0o660));
    assert!(!sink.property::<bool>("sync") && sink.property::<bool>("persistent"));
    let address = handler.uri().expect("it has one");
    assert_eq!(address, "shmflow://robot/cam%200?max-buffers=16&perms=0660&persistent=true&leaky-type=none");
    let (_, again) = element("shmflowsink");
    again.set_uri(&address).expect("its own");
    assert_eq!(again.uri().as_deref(), Some(&*address));
}

#[test]
fn both_sides_take_the_same_address() {
    let address = "shmflow://video?max-buffers=16&is-live=false&directory=/dev/shm/a%26b";
    for (factory, uri) in [
        ("shmflowsink", "shmflow://video?directory=/dev/shm/a%26b&max-buffers=16"),
        ("shmflowsrc", "shmflow://video?directory=/dev/shm/a%26b&is-live=false"),
    ] {
        let (element, handler) = element(factory);
        handler.set_uri(address).expect("legal");
        assert_eq!(handler.uri().as_deref(), Some(uri));
        assert_eq!(element.property::<String>("directory"), "/dev/shm/a&b");
    }
}

#[test]
fn caps_are_a_parameter_like_others() {
    let (source, handler) = element("shmflowsrc");
    handler
        .set_uri("shmflow://a?caps=audio/x-raw,format=S16LE,rate=8000,channels=1,layout=interleaved")
        .expect("legal");
    assert!(source.property::<gst::Caps>("caps").to_string().contains("rate=(int)8000"));
    let (_, again) = element("shmflowsrc");
    let address = handler.uri().expect("it has one");
    again.set_uri(&address).expect("its own");
    assert_eq!(again.uri().as_deref(), Some(&*address));
}

#[test]
fn a_wrong_address_changes_nothing_and_the_error_names_what_is_wrong() {
    for (address, why) in [
        ("shmflow://", "names no topic"),
        ("shmflow://?max-buffers=3", "names no topic"),
        ("shmflow:video", "shmflow://video"),
        ("shmflow://a?max-bufers=3", "max-bufers, which is not a property. There are"),
        ("shmflow://a?max-buffers=many", "max-buffers=many is not a value"),
        ("shmflow://a?max-buffers=-1", "max-buffers=-1 is not a value"),
        ("shmflow://a?max-buffers=99999999999", "max-buffers=99999999999 is not a value"),
        // Legal numbers that mean nothing.
        ("shmflow://a?max-buffers=2", "max-buffers=2 is out of range"),
        ("shmflow://a?perms=660", "perms=660 is 01224 in octal"),
        (
            "shmflow://a?leaky-type=maybe",
            "leaky-type=maybe is not a value of this property. There are none, upstream",
        ),
        (
            "shmflow://a?persistent=perhaps",
            "persistent=perhaps is not a value of this property. It is true or false",
        ),
        ("shmflow://a?is-live=perhaps", "is-live=perhaps is not a value"),
        ("shmflow://a?topic=b", "the topic stands before the ?"),
        ("shmflow://a?persistent", "persistent has no value"),
        ("shmflow://a?perms=0600&perms=0660", "perms twice"),
        ("shmflow://a?num-clients=3", "num-clients, which is not a property"),
        ("shmflow://a?name=b", "name, which is not a property"),
        ("shmflow://a?parent=b", "parent, which is not a property"),
        ("shmflow://%ff", "topic is not UTF-8"),
        ("shmflow://a%00b", "topic has a NUL"),
        ("shmflow://a%0Ab", "U+000A"),
    ] {
        let error = refused("shmflowsink", address);
        assert!(error.contains(why) && error.contains("The address shmflow:"), "{address}: {error}");
    }
    for (address, why) in [
        ("shmflow://a?caps={", "caps={ is not a value"),
        ("shmflow://a?caps=video/x-raw,width=[2,1]", "is not a value"),
        ("shmflow://a?num-buffers=-2", "num-buffers=-2 is not a value"),
        ("shmflow://a?perms=0x", "perms=0x is not a value"),
    ] {
        let error = refused("shmflowsrc", address);
        assert!(error.contains(why), "{address}: {error}");
    }
}

#[test]
fn an_address_stays_while_the_element_is_in_use() {
    let topic = Topic::new();
    let viewer = Running::playing(&format!("{} ! fakesink", topic.src("")));
    let handler: gst::URIHandler = viewer.element("src").dynamic_cast().expect("it takes addresses");
    let error = handler.set_uri("shmflow://other").expect_err("in use");
    assert!(
        error.matches(gst::URIError::BadState) && error.to_string().contains("NULL and READY"),
        "{error}"
    );
    assert_eq!(viewer.element("src").property::<String>("topic"), "video");
}

#[test]
fn pipelines_of_text_begin_and_end_with_addresses() {
    let topic = Topic::new();
    let address = address(&topic, "robot/cam%200", "");
    let mut producer = Child::launch(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=GRAY8,width=64,height=48,framerate=100/1 ! {address}"
    ));
    let viewer = Running::playing(&format!("{address} ! appsink name=out sync=false"));
    assert_eq!(width(&frame(&viewer)), 64);
    assert!(topic.files().iter().any(|file| file == "shmflow.robot%2Fcam%200.peers"), "{:?}", topic.files());
    assert!(producer.running());
}

#[test]
fn a_wrong_address_ends_a_pipeline_with_the_reason() {
    let topic = Topic::new();
    let address = address(&topic, "video", "&max-leeses=3");
    for pipeline in [
        format!("uridecodebin uri={address} ! fakesink"),
        format!("playbin uri={address} video-sink=fakesink"),
    ] {
        Child::run(program("gst-launch-1.0").args(pipeline.split(' '))).wait().badly("max-leeses");
    }
}

/// GStreamer's players, each a process that plays what another one sends: all of them show this.
fn players_show(topic: &Topic, caps: &str) {
    let uri = format!("uri={}", address(topic, "video", ""));
    let out = "fakesink name=out silent=false sync=false";
    let (video, audio) = (format!("video-sink={out}"), format!("audio-sink={out}"));
    let decode = ["uridecodebin", &uri, "!", "fakesink", "name=out", "silent=false", "sync=false"];
    let players: [&[&str]; 3] =
        [&decode, &["playbin", &uri, &video, &audio], &["playbin3", &uri, &video, &audio]];
    for player in players {
        let mut child = Child::run(program("gst-launch-1.0").arg("-v").args(player));
        child.wait_frames(5);
        let printed = child.printed();
        // What the sink got, as it says itself: of the pads' notifications some pass unseen while a player is still put together.
        let shown = printed.lines().any(|line| {
            let line = line.replace('\\', "");
            line.contains("(out:sink) E (type: caps") && caps.split(", ").all(|part| line.contains(part))
        });
        assert!(shown, "{player:?} does not show {caps}:\n{printed}");
        assert!(!printed.contains("ERROR"), "{printed}");
    }
}

#[test]
fn players_play_pictures_as_they_are() {
    let topic = Topic::new();
    let _producer = camera_process(&topic, 64, "");
    players_show(&topic, "video/x-raw, format=(string)GRAY8, width=(int)64");
}

#[test]
fn players_decode_packets() {
    if !have(&["x264enc", "h264parse", "avdec_h264"]) {
        return;
    }
    let topic = Topic::new();
    let _producer = Child::launch(&format!(
        "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=100/1 ! x264enc tune=zerolatency \
         speed-preset=ultrafast key-int-max=50 ! h264parse ! {}",
        topic.sink("")
    ));
    players_show(&topic, "video/x-raw, format=(string)");
}

#[test]
fn players_play_sound() {
    let topic = Topic::new();
    let _producer = Child::launch(&format!(
        "audiotestsrc is-live=true samplesperbuffer=480 ! audio/x-raw,format=S16LE,rate=48000,channels=2 ! {}",
        topic.sink("")
    ));
    players_show(&topic, "audio/x-raw");
}

#[test]
fn a_player_waits_for_its_topic_and_ends_with_it() {
    let topic = Topic::new();
    let mut player =
        Child::launch(&format!("playbin uri={} video-sink=fakesink", address(&topic, "video", "")));
    player.wait_for("Waiting for a producer");
    let producer = Child::launch(&format!(
        "videotestsrc num-buffers=30 ! {}",
        topic.sink(&format!("{AT_ONCE} wait-for-connection=true"))
    ));
    producer.wait().well();
    player.wait().well();
}

/// The program that the documents name, as typed there but for the display.
#[test]
fn gst_play_plays_an_address_and_ends_with_the_stream() {
    if !have_program("gst-play-1.0") {
        return;
    }
    let topic = Topic::new();
    let mut player = Child::run(
        program("gst-play-1.0")
            .args(["--videosink=fakesink", "--no-interactive", "shmflow://video"])
            .env("SHMFLOW_DIR", topic.dir()),
    );
    player.wait_for("Now playing shmflow://video");
    let producer = Child::launch(&format!(
        "videotestsrc is-live=true num-buffers=200 ! video/x-raw,format=GRAY8,width=64,height=48,framerate=100/1 ! {}",
        topic.sink("wait-for-connection=true")
    ));
    producer.wait().well();
    let ended = player.wait();
    assert!(ended.well().printed.contains("Reached end of play list."), "{}", ended.printed);
    // Where it is in the stream, as it says ten times a second.
    let moves = |tenth: u32| ended.printed.contains(&format!("0:00:0{}.{} /", tenth / 10, tenth % 10));
    assert!((1..30).any(moves), "{}", ended.printed);
}
