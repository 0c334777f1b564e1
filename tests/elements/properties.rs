//! What the elements are called, what they default to, and what settings do.

use std::os::unix::fs::PermissionsExt;

use gstreamer as gst;

use gst::glib;
use gst::prelude::*;

use crate::support::child::{Child, program};
use crate::support::pipelines::{camera, frame, viewer, width};
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
                ("max-buffers", "0"),
                ("history", "0"),
                ("spare-slots", "2"),
                ("max-bytes", "0"),
                ("perms", "384"),
                ("wait-for-connection", "false"),
                ("leaky-type", "downstream"),
                ("stall-timeout", "5000"),
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
                ("delivery", "all"),
                ("max-leases", "0"),
                ("max-rate", "0"),
                ("busy-wait", "0"),
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
    for (name, class) in [("shmflowsink", "Sink"), ("shmflowsrc", "Source")] {
        let factory = make(name).factory().expect("registered");
        assert_eq!(factory.rank(), gst::Rank::NONE);
        assert_eq!(factory.metadata("klass"), Some(class));
        assert!(factory.metadata("description").is_some_and(|text| text.contains("gst-launch-1.0")));
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
fn what_is_set_in_ready_is_put_to_use_and_above_it_nothing_changes() {
    let topic = Topic::new();
    let producer = Running::new(&camera(&topic, 64, ""));
    let viewer = Running::new(&format!("{} ! appsink name=out sync=false", topic.src("")));
    for (running, element) in [(&producer, "sink"), (&viewer, "src")] {
        running.set_state(gst::State::Ready);
        running.element(element).set_property("topic", "other");
    }
    producer.element("sink").set_property("max-buffers", 5_u32);
    producer.play();
    viewer.play();
    frame(&viewer);
    assert_eq!(producer.stat("sink", "depth"), 5);
    assert!(shmflow::inspect("other", Some(topic.dir())).is_ok(), "the topic that was set in READY");
    // Above READY a property says what the element works with.
    for (running, element) in [(&producer, "sink"), (&viewer, "src")] {
        let element = running.element(element);
        element.set_property("topic", "third");
        assert_eq!(element.property::<String>("topic"), "other");
    }
    viewer.element("src").set_property("is-live", false);
    assert!(viewer.element("src").property::<bool>("is-live"));
    // Made again, it is the same topic.
    shmflow::remove("other", Some(topic.dir()), true).expect("removed");
    until("it is there again", || shmflow::inspect("other", Some(topic.dir())).is_ok());
    assert!(shmflow::inspect("third", Some(topic.dir())).is_err());
    producer.set_state(gst::State::Ready);
    producer.element("sink").set_property("topic", "third");
    producer.play();
    until("READY is where it changes", || shmflow::inspect("third", Some(topic.dir())).is_ok());
}

#[test]
fn what_is_wrong_is_refused_in_ready_as_well() {
    let topic = Topic::new();
    let producer = Running::new(&camera(&topic, 64, ""));
    producer.set_state(gst::State::Ready);
    producer.element("sink").set_property("perms", 0o1777_u32);
    assert!(producer.pipeline.set_state(gst::State::Playing).is_err());
    assert!(producer.wait_error().contains("perms"));
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
        assert_eq!(width(&frame(&viewer)), 64 + 4 * index as i32, "{name}");
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
    assert!(ring.0 == 0o644 && ring.1.contains(".ring"), "{modes:?}");
    assert!(others.len() >= 2 && others.iter().all(|(mode, _)| *mode == 0o666), "{modes:?}");
    for name in [".peers", ".holds"] {
        assert!(others.iter().any(|(_, file)| file.contains(name)), "{name}: {modes:?}");
    }
}

#[test]
fn a_limit_in_bytes_lowers_the_depth() {
    // A frame of 64 × 64 takes one page, one of 320 × 240 × 4 bytes 75 pages.
    for (caps, limit) in [("GRAY8,width=64,height=64", 20_480), ("BGRx,width=320,height=240", 1_600_000)] {
        let topic = Topic::new();
        let producer = Running::playing(&format!(
            "videotestsrc is-live=true ! video/x-raw,format={caps} ! {}",
            topic.sink(&format!("max-bytes={limit}"))
        ));
        until("it publishes", || producer.stat("sink", "published") > 1);
        assert_eq!(producer.stat("sink", "slots"), 5, "{caps}");
    }
}
