//! What the elements are called, what they default to, and how wrong settings are told.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use gstreamer as gst;
use gstreamer::glib;

use gst::prelude::*;

use crate::child::{Child, program, program_of_a_stranger};
use crate::common::{camera, frame, viewer};
use crate::support::{Running, Topic, init, until};

fn make(name: &str) -> gst::Element {
    init();
    gst::ElementFactory::make(name).build().expect("the elements are registered")
}

/// A property's value as `gst-launch-1.0` would write it.
fn text(element: &gst::Element, name: &str) -> String {
    element.property_value(name).serialize().map_or_else(|_| "NULL".into(), |text| text.to_string())
}

#[test]
fn defaults_are_what_users_of_other_elements_expect() {
    for (name, defaults) in [
        (
            "shmflowsink",
            &[
                ("topic", "NULL"),
                ("max-buffers", "8"),
                ("history", "1"),
                ("reserve", "2"),
                ("max-bytes", "0"),
                ("perms", "384"),
                ("wait-for-connection", "false"),
                ("leaky-type", "downstream"),
                ("producer-mode", "shared"),
                ("negotiation", "prefer"),
                ("persistent", "false"),
                ("enable-last-sample", "false"),
                ("processing-deadline", "0"),
                ("sync", "true"),
                ("num-clients", "0"),
                ("dropped", "0"),
            ][..],
        ),
        (
            "shmflowsrc",
            &[
                ("topic", "NULL"),
                ("is-live", "true"),
                ("on-disconnect", "none"),
                ("connection-timeout", "0"),
                ("on-lapped", "newest"),
                ("max-leases", "0"),
                ("ignore-eos", "false"),
                ("read-only", "false"),
                ("do-timestamp", "false"),
                ("num-buffers", "-1"),
                ("dropped", "0"),
            ],
        ),
    ] {
        let element = make(name);
        for (property, expected) in defaults {
            assert_eq!(text(&element, property), *expected, "{name}.{property}");
        }
    }
}

#[test]
fn names_that_base_classes_own_keep_their_meaning() {
    let sink = make("shmflowsink");
    assert!(sink.find_property("num-buffers").is_none(), "the depth is max-buffers");
    let stats: gst::Structure = sink.property("stats");
    assert!(stats.has_field("rendered"), "stats is still GstBaseSink's: {stats}");
}

#[test]
fn the_elements_never_plug_themselves_and_are_found_where_people_look() {
    for (name, class) in [("shmflowsink", "Sink/Video"), ("shmflowsrc", "Source/Video")] {
        let factory = make(name).factory().expect("registered");
        assert_eq!(factory.rank(), gst::Rank::NONE);
        assert_eq!(factory.metadata("klass"), Some(class));
    }
}

#[test]
fn gst_inspect_reads_like_documentation() {
    for name in ["shmflowsink", "shmflowsrc"] {
        let output = program("gst-inspect-1.0").arg(name).output().expect("gst-inspect-1.0 is installed");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(
            printed.contains(&format!(
                "gst-launch-1.0 {}",
                if name == "shmflowsink" {
                    "videotestsrc ! shmflowsink topic=video"
                } else {
                    "shmflowsrc topic=video ! autovideosink"
                }
            )),
            "an example: {printed}"
        );
        let element = make(name);
        for property in element.list_properties() {
            if !property.owner_type().name().starts_with("GstShmflow") {
                continue;
            }
            let blurb = property.blurb().unwrap_or_default();
            assert!(blurb.len() > 20, "{name}.{}: {blurb:?} says little", property.name());
            let settable = property.flags().contains(glib::ParamFlags::WRITABLE);
            let ready = property.flags().contains(gst::PARAM_FLAG_MUTABLE_READY);
            assert_eq!(settable, ready, "{name}.{} can be changed when", property.name());
        }
    }
}

#[test]
fn wrong_settings_are_told_before_anything_starts_with_what_to_type_instead() {
    for (element, settings, parts) in [
        ("shmflowsink", "", &["topic="][..]),
        ("shmflowsrc", "", &["topic="]),
        ("shmflowsink", "topic=v perms=1777", &["03361", "leading zero"]),
        ("shmflowsink", "topic=v perms=01777", &["01777"]),
        ("shmflowsink", "topic=v perms=066", &["066", "owner"]),
        ("shmflowsink", "topic=v max-buffers=2", &["max-buffers=2", "3"]),
        ("shmflowsink", "topic=v max-buffers=1000000", &["max-buffers", "4096"]),
        ("shmflowsink", "topic=v history=9", &["history=9"]),
        ("shmflowsink", "topic=v reserve=8", &["reserve=8"]),
        ("shmflowsink", "topic=v leaky-type=none", &["leaky-type=none", "downstream"]),
        ("shmflowsrc", "topic=v caps=audio/x-raw", &["caps", "raw video"]),
        ("shmflowsrc", "topic=v caps=video/x-raw,format=BGR", &["caps"]),
        ("shmflowsink", "topic=v directory=/nowhere/at/all", &["/nowhere/at/all"]),
    ] {
        let text = match element {
            "shmflowsink" => format!("videotestsrc num-buffers=1 ! shmflowsink {settings}"),
            _ => format!("shmflowsrc {settings} ! fakesink"),
        };
        let ended = Child::launch(&text).wait();
        for part in parts {
            ended.badly(part);
        }
        let vague = ["Failed to start", "Internal data stream error", "failed to change state"];
        let first = ended.printed.lines().find(|line| line.contains("ERROR:")).unwrap_or_default();
        assert!(!vague.iter().any(|text| first.contains(text)), "{text}: {first}");
    }
}

#[test]
fn a_topic_may_have_any_name_and_two_names_are_two_topics() {
    let topic = Topic::new();
    let names = ["robot/cam0", "robot%2Fcam0", "..", "a b", "Ä", ".", "robot_cam0"];
    let producers: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(index, name)| {
            let producer = Running::new(&camera(&topic, 64 + 4 * index as u32, ""));
            producer.element("sink").set_property("topic", name);
            producer.play();
            producer
        })
        .collect();
    for (index, name) in names.iter().enumerate() {
        let viewer = Running::new(&format!("{} ! appsink name=out sync=false", topic.src("")));
        viewer.element("src").set_property("topic", name);
        viewer.play();
        assert_eq!(crate::common::width(&frame(&viewer)), 64 + 4 * index as i32, "{name}");
    }
    drop(producers);
    assert_eq!(topic.files(), Vec::<String>::new(), "nothing is left behind");
}

#[test]
fn permissions_are_what_perms_says_whatever_the_umask_and_only_the_ring_is_not_for_others_to_write() {
    let topic = Topic::new();
    let script = format!("umask 077; exec gst-launch-1.0 {}", camera(&topic, 64, "perms=0666"));
    let _producer = Child::run(program("sh").args(["-c", &script]));
    let viewer = viewer(&topic, "");
    frame(&viewer);
    let mut modes: Vec<_> = std::fs::read_dir(topic.dir())
        .expect("the directory is there")
        .flatten()
        .map(|file| {
            let mode = file.metadata().expect("the file is there").permissions().mode() & 0o777;
            (mode, file.file_name().to_string_lossy().into_owned())
        })
        .collect();
    modes.sort();
    let [ring, others @ ..] = &modes[..] else { panic!("no files") };
    assert_eq!(ring.0, 0o644, "{modes:?}");
    assert!(others.len() >= 2 && others.iter().all(|(mode, _)| *mode == 0o666), "{modes:?}");
}

/// Runs a pipeline where the directory of the topic is a tmpfs of its own of so many bytes.
fn in_small_memory(topic: &Topic, size: &str, pipeline: &str) -> Option<crate::child::Ended> {
    let may = Command::new("unshare").args(["-rm", "true"]).status().is_ok_and(|status| status.success());
    if !may {
        eprintln!("left out: unshare -rm is not permitted here");
        return None;
    }
    let script = format!(
        "mount -t tmpfs -o size={size} none {} && exec gst-launch-1.0 {pipeline}",
        topic.dir().display()
    );
    Some(Child::run(program("unshare").args(["-rm", "sh", "-c", &script])).wait())
}

#[test]
fn too_little_shared_memory_is_an_error_that_says_how_much_is_needed_and_free_and_what_to_do() {
    let topic = Topic::new();
    let hd = "videotestsrc num-buffers=10 ! video/x-raw,format=BGRx,width=1920,height=1080";
    let Some(ended) = in_small_memory(&topic, "16m", &format!("{hd} ! {}", topic.sink(""))) else {
        return;
    };
    ended.badly("topic `video`").badly("shm-size").badly("max-buffers");
    // Ten slots of 1920 × 1080 × 4 bytes.
    let numbers: Vec<u64> =
        ended.printed.split(|c: char| !c.is_ascii_digit()).filter_map(|text| text.parse().ok()).collect();
    assert!(numbers.iter().any(|n| (82_944_000..90_000_000).contains(n)), "needed: {}", ended.printed);
    assert!(numbers.iter().any(|n| (10_000_000..=16 << 20).contains(n)), "free: {}", ended.printed);
    // What the message says to do helps.
    for more in ["max-buffers=3 reserve=1", "max-bytes=41472000"] {
        let ended =
            in_small_memory(&topic, "48m", &format!("{hd} ! {}", topic.sink(more))).expect("as before");
        ended.well();
    }
}

#[test]
fn a_limit_in_bytes_lowers_the_depth_and_one_for_fewer_than_three_frames_is_an_error_with_numbers() {
    let topic = Topic::new();
    // A frame of 64 × 64 takes one page.
    let text = |more: &str| {
        format!(
            "videotestsrc is-live=true ! video/x-raw,format=GRAY8,width=64,height=64 ! {}",
            topic.sink(more)
        )
    };
    let producer = Running::playing(&text("max-bytes=20480"));
    until("it publishes", || producer.stat("sink", "published") > 0);
    assert_eq!(producer.stat("sink", "slots"), 5);
    drop(producer);
    Child::launch(&text("max-bytes=8192")).wait().badly("8192").badly("12288");
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
    assert!(!ended.printed.contains("No producer came"), "{}", ended.printed);
    Child::launch(&format!("{} ! fakesink", topic.src("connection-timeout=100").replace("=video", "=other")))
        .wait()
        .badly("No producer came");
}
