//! Topics are devices for applications that list cameras and microphones: they come and go with their producers.

use std::process::Command;

use gstreamer as gst;

use gst::prelude::*;

use crate::support::child::{Child, program};
use crate::support::pipelines::{AT_ONCE, camera, camera_process, clients, frame, width};
use crate::support::{Running, Topic, have_program, init, until};

/// A program that monitors devices, and looks for topics in the test's directory.
fn monitor(topic: &Topic) -> Child {
    monitor_of(&topic.dir().to_string_lossy())
}

fn monitor_of(directory: &str) -> Child {
    let mut monitor = Child::run(
        Command::new(std::env::current_exe().expect("a test has a file"))
            .args(["--exact", "devices::role_of_a_monitor", "--ignored", "--nocapture"])
            .env("SHMFLOW_DIR", directory)
            .env("SHMFLOW_TEST_MONITOR", "1"),
    );
    monitor.wait_for("started");
    monitor
}

#[test]
#[ignore = "runs as a process of another test"]
fn role_of_a_monitor() {
    if std::env::var_os("SHMFLOW_TEST_MONITOR").is_none() {
        return;
    }
    init();
    // A look without monitoring.
    let factory = gst::DeviceProviderFactory::find("shmflowdeviceprovider").expect("registered");
    for device in factory.get().expect("a provider").devices() {
        println!("probed {}", device.display_name());
    }
    let monitor = gst::DeviceMonitor::new();
    for class in ["Video/Source", "Audio/Source"] {
        assert!(monitor.add_filter(Some(class), None).is_some(), "a provider has {class}");
    }
    monitor.start().expect("it starts");
    let bus = monitor.bus();
    println!("started");
    let say = |what: &str, device: gst::Device| {
        let properties = device.properties().unwrap_or_else(|| gst::Structure::new_empty("none"));
        if properties.get::<&str>("device.api") == Ok("shmflow") {
            let (name, class) = (device.display_name(), device.device_class());
            let caps = device.caps().expect("a device has caps");
            println!("{what} {name}, {class}, {caps}, {properties}");
            if what == "added" {
                play(&device);
            }
        }
    };
    for message in bus.iter_timed(gst::ClockTime::NONE) {
        match message.view() {
            gst::MessageView::DeviceAdded(added) => say("added", added.device()),
            gst::MessageView::DeviceRemoved(removed) => say("removed", removed.device()),
            gst::MessageView::DeviceChanged(changed) => say("changed", changed.device_changed().0),
            _ => {}
        }
    }
}

/// Plays a device as a camera application does.
fn play(device: &gst::Device) {
    let source = device.create_element(Some("camera")).expect("a source");
    let running = Running::new("identity name=in ! appsink name=out sync=false");
    running.pipeline.add(&source).expect("added");
    source.link(&running.element("in")).expect("linked");
    running.play();
    let caps = frame(&running).caps_owned().expect("a sample has caps");
    println!("played {}, {caps}", source.name());
    // While it plays it keeps its topic.
    assert!(device.reconfigure_element(&source).is_err());
    running.set_state(gst::State::Ready);
    source.set_property("topic", "another");
    device.reconfigure_element(&source).expect("it takes the topic");
    let topic = source.property::<String>("topic");
    assert!(device.display_name().contains(&topic), "{topic}");
    assert!(device.reconfigure_element(&running.element("in")).is_err());
}

#[test]
fn a_topic_comes_and_goes_as_a_device_however_its_producer_ends() {
    let topic = Topic::new();
    let mut monitor = monitor(&topic);
    let times = |monitor: &Child, what: &str| monitor.printed().matches(what).count();
    for (round, killed) in [(1, true), (2, false)] {
        let mut producer = camera_process(&topic, 64, "description=Door");
        until("it is added", || {
            times(&monitor, "added Door (video), Video/Source, video/x-raw, format=(string)GRAY8") == round
        });
        until("it is played", || {
            times(&monitor, "played camera, video/x-raw, format=(string)GRAY8") == round
        });
        assert_eq!(times(&monitor, "removed Door (video)"), round - 1);
        if killed {
            producer.kill();
        } else {
            producer.interrupt();
        }
        until("it is removed", || times(&monitor, "removed Door (video)") == round);
    }
    assert!(monitor.running());
    let printed = monitor.printed();
    for property in ["description=(string)Door", "topic=(string)video", "producers=(uint)1", "uri=(string)"] {
        assert!(printed.contains(property), "no {property} in {printed}");
    }
}

/// The program that the documents name, as typed there.
#[test]
fn gst_device_monitor_lists_a_topic_with_its_caps_and_tells_its_removal() {
    if !have_program("gst-device-monitor-1.0") {
        return;
    }
    let topic = Topic::new();
    let mut producer = camera_process(&topic, 64, "description=Door");
    let mut monitor = Child::run(
        program("gst-device-monitor-1.0")
            .args(["-f", "Video/Source", "Audio/Source"])
            .env("SHMFLOW_DIR", topic.dir()),
    );
    // The last line of what it tells of a device.
    monitor.wait_for("gst-launch-1.0 shmflowsrc topic=video");
    let printed = monitor.printed();
    for part in [
        "name  : Door (video)",
        "class : Video/Source",
        "caps  : video/x-raw, format=GRAY8, width=64, height=48",
        "device.api = shmflow",
        "producers = 1",
    ] {
        assert!(printed.contains(part), "no {part:?} in {printed}");
    }
    assert!(!printed.contains("Device removed"), "{printed}");
    producer.kill();
    monitor.wait_for("Device removed:");
    monitor.wait_for("name  : Door (video)\n");
    // It goes on, and sees the next one.
    let _sound = Child::launch(&format!(
        "audiotestsrc is-live=true ! audio/x-raw,format=S16LE,rate=48000,channels=2 ! {}",
        topic.sink("")
    ));
    monitor.wait_for("class : Audio/Source");
    monitor.wait_for("caps  : audio/x-raw, format=S16LE");
    assert!(monitor.running());
}

#[test]
fn what_is_there_is_listed_and_damaged_topics_are_none() {
    let topic = Topic::new();
    std::fs::write(topic.dir().join("shmflow.bad.peers"), "nonsense").expect("written");
    let _producer = camera_process(&topic, 64, "");
    until("there is a frame", || {
        shmflow::inspect("video", Some(topic.dir())).is_ok_and(|info| info.newest.is_some())
    });
    let mut monitor = monitor(&topic);
    monitor.wait_for("added video, Video/Source");
    monitor.wait_for("played camera");
    assert!(monitor.printed().contains("probed video"), "{}", monitor.printed());
    assert!(!monitor.printed().contains("bad"), "{}", monitor.printed());
}

#[test]
fn a_device_follows_its_topics_caps_and_producers() {
    let topic = Topic::new();
    let mut monitor = monitor(&topic);
    let first = Running::playing(&camera(&topic, 64, ""));
    monitor.wait_for("played camera");
    let second = Running::playing(&camera(&topic, 64, ""));
    monitor.wait_for("producers=(uint)2");
    drop(first);
    drop(second);
    monitor.wait_for("removed video");
    let _wider = Running::playing(&camera(&topic, 96, ""));
    monitor.wait_for("added video, Video/Source, video/x-raw, format=(string)GRAY8, width=(int)96");
    assert!(monitor.printed().contains("changed video"), "{}", monitor.printed());
}

#[test]
fn a_topic_is_a_device_from_its_first_frame_on_and_of_the_class_of_its_frames() {
    let topic = Topic::new();
    let mut monitor = monitor(&topic);
    let sound = "audio/x-raw,format=S16LE,rate=48000,channels=1,layout=interleaved";
    let silent =
        Running::playing(&format!("appsrc name=in format=time caps={sound} ! {}", topic.sink("sync=false")));
    let bytes = format!(
        "fakesrc is-live=true sizetype=fixed sizemax=9 datarate=900 ! shmflowsink topic=bytes directory={}",
        topic.dir().display()
    );
    let _bytes = Running::playing(&bytes);
    until("the topic is there", || topic.files().iter().any(|file| file == "shmflow.video.ring"));
    assert!(!monitor.printed().contains("added"), "{}", monitor.printed());
    until("it is played", || {
        let _ = silent.push(&gst::Buffer::from_slice([0_u8; 960]));
        monitor.printed().contains("played camera")
    });
    assert!(monitor.printed().contains("added video, Audio/Source, audio/x-raw"), "{}", monitor.printed());
    assert!(!monitor.printed().contains("added bytes"), "{}", monitor.printed());
    assert!(monitor.running());
}

#[test]
fn a_directory_that_comes_later_is_followed_from_then_on() {
    let topic = Topic::new();
    let later = topic.dir().join("later");
    let mut monitor = monitor_of(&later.to_string_lossy());
    std::fs::create_dir(&later).expect("made");
    let _producer = Running::playing(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=GRAY8,width=64,height=48 ! shmflowsink topic=cam directory={}",
        later.display()
    ));
    monitor.wait_for("added cam, Video/Source");
    monitor.wait_for("played camera");
}

#[test]
fn a_program_that_writes_no_caps_is_a_device_by_its_layout() {
    use shmflow::meta::{Kind, Meta, Plane, VideoLayout};
    let topic = Topic::new();
    let mut monitor = monitor(&topic);
    let producer =
        shmflow::Producer::builder("bare").dir(topic.dir()).slot_capacity(64 * 48).open().expect("opened");
    let layout = VideoLayout::new("GRAY8", 64, 48, [Plane { offset: 0, stride: 64 }]).fps(25, 1);
    let meta = Meta::new(Kind::Video).video(layout);
    until("it is played", || {
        let mut claim = producer.claim(64 * 48).expect("a slot");
        claim.fill(1);
        claim.set_meta(&meta).expect("it fits");
        claim.publish().expect("published");
        monitor.printed().contains("played camera, video/x-raw, format=(string)GRAY8, width=(int)64")
    });
    assert!(monitor.running());
}

#[test]
fn the_loudspeakers_of_a_program_that_writes_no_caps_are_those_of_its_layout() {
    use shmflow::meta::{AudioLayout, Kind, Meta};
    for (name, channels, mask) in [("surround", 6, 0x3f_u64), ("microphones", 8, 0), ("back", 2, 0x30)] {
        let topic = Topic::new();
        let mut monitor = monitor(&topic);
        let producer = shmflow::Producer::builder(name).dir(topic.dir()).open().expect("opened");
        let layout = AudioLayout::new("F32LE", 48_000, channels, 10).channel_mask(mask);
        let meta = Meta::new(Kind::Audio).audio(layout);
        until("it is played", || {
            let mut claim = producer.claim(10 * channels as usize * 4).expect("a slot");
            claim.fill(1);
            claim.set_meta(&meta).expect("it fits");
            claim.publish().expect("published");
            monitor.printed().contains("played camera, audio/x-raw")
        });
        let printed = monitor.printed();
        assert!(printed.contains(&format!("channel-mask=(bitmask)0x{mask:016x}")), "{printed}");
        assert!(monitor.running());
    }
}

#[test]
fn the_description_travels_as_a_tag_in_the_place_of_the_streams_own() {
    let topic = Topic::new();
    let sink = topic.sink(&format!("{AT_ONCE} description=Door"));
    let producer = Running::new(&format!(
        "videotestsrc num-buffers=20 ! video/x-raw,format=GRAY8,width=64,height=48 ! taginject tags=\"description=film,title=x\" ! {sink}"
    ));
    let viewer = Running::playing(&format!("{} ! appsink name=out sync=false", topic.src("is-live=false")));
    producer.play();
    until("the viewer is there", || clients(&producer) == 1);
    assert_eq!(width(&frame(&viewer)), 64);
    let pad = viewer.element("out").static_pad("sink").expect("it has one");
    let event = pad.sticky_event::<gst::event::Tag>(0).expect("there are tags");
    let tags = event.tag();
    assert_eq!(tags.get::<gst::tags::Description>().expect("described").get(), "Door");
    assert_eq!(tags.size_by_name("description"), 1);
    assert_eq!(tags.get::<gst::tags::Title>().expect("titled").get(), "x");
}

#[test]
fn the_description_is_the_topics_before_there_is_a_frame() {
    let topic = Topic::new();
    let producer = Running::new(&format!("appsrc name=in ! {}", topic.sink("description=Door")));
    producer.set_state(gst::State::Ready);
    let info = shmflow::inspect("video", Some(topic.dir())).expect("it is there");
    assert_eq!(info.description.as_deref(), Some("Door"));
}
