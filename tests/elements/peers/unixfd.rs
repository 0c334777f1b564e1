//! The cases of `unixfdsink`.

use gstreamer as gst;

use gst::prelude::*;

use crate::support::pipelines::{AT_ONCE, buffer, frame, stops_cleanly};
use crate::support::{Running, Topic};

/// A producer that is fed sample by sample, and a viewer that gets all of them.
fn pair(topic: &Topic) -> (Running, Running) {
    let viewer = Running::playing(&format!(
        "{} ! appsink name=out sync=false async=false",
        topic.src("is-live=false")
    ));
    let producer = Running::playing(&format!(
        "appsrc name=in format=time handle-segment-change=true ! {}",
        topic.sink(&format!("async=false {AT_ONCE}"))
    ));
    (producer, viewer)
}

/// Caps that lack what a picture's have: bytes, to us.
fn bare() -> gst::Caps {
    gst::Caps::new_empty_simple("video/x-raw")
}

#[test]
fn viewers_come_go_and_come_again_and_each_sees_the_metas_of_the_application() {
    let topic = Topic::new();
    crate::support::init();
    gst::meta::CustomMeta::register("shmflow-peers-meta", &[]);
    let producer = Running::new(&format!("videotestsrc name=camera ! {}", topic.sink("")));
    let pad = producer.element("camera").static_pad("src").expect("a source has one");
    pad.add_probe(gst::PadProbeType::BUFFER, |_, info| {
        if let Some(buffer) = info.buffer_mut() {
            let mut meta =
                gst::meta::CustomMeta::add(buffer.make_mut(), "shmflow-peers-meta").expect("registered");
            meta.mut_structure().set("field", 42);
        }
        gst::PadProbeReturn::Ok
    });
    producer.set_state(gst::State::Playing);
    let text = format!("{} ! fakesink name=out enable-last-sample=true", topic.src(""));
    let first = Running::new(&text);
    first.set_state(gst::State::Playing);
    first.set_state(gst::State::Ready);
    first.set_state(gst::State::Playing);
    let second = Running::new(&text);
    second.set_state(gst::State::Playing);
    for viewer in [&first, &second] {
        crate::support::until("a frame has come", || {
            viewer.element("out").property::<Option<gst::Sample>>("last-sample").is_some()
        });
        let sample: gst::Sample = viewer.element("out").property("last-sample");
        let meta =
            gst::meta::CustomMeta::from_buffer(buffer(&sample), "shmflow-peers-meta").expect("it came");
        assert_eq!(meta.structure().get("field"), Ok(42));
    }
    for running in [&first, &second, &producer] {
        stops_cleanly(running);
    }
    assert_eq!(topic.files(), [""; 0]);
}

#[test]
fn two_segments_are_as_far_apart_as_their_bases_say() {
    let topic = Topic::new();
    let (producer, viewer) = pair(&topic);
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    let mut times = Vec::new();
    for (base, pts) in [(0, 30), (30, 1)] {
        segment.set_base(gst::ClockTime::from_seconds(base));
        let mut sent = gst::Buffer::new();
        sent.get_mut().expect("new").set_pts(gst::ClockTime::from_seconds(pts));
        producer.push_sample(&gst::Sample::builder().buffer(&sent).caps(&bare()).segment(&segment).build());
        times.push(buffer(&frame(&viewer)).pts().expect("a time").nseconds());
    }
    assert_eq!(times[1] - times[0], 1_000_000_000);
}

/// The bytes are a buffer within the meta, as there.
#[test]
fn a_megabyte_of_bytes_in_a_meta_arrives_as_it_was() {
    let topic = Topic::new();
    let (producer, viewer) = pair(&topic);
    gst::meta::CustomMeta::register("shmflow-peers-large", &[]);
    for size in [1_000_000, 0, 1] {
        let data =
            gst::Buffer::from_slice((0..size).map(|n: u32| n.wrapping_mul(n) as u8).collect::<Vec<_>>());
        let mut sent = gst::Buffer::new();
        let mut meta = gst::meta::CustomMeta::add(sent.get_mut().expect("new"), "shmflow-peers-large")
            .expect("registered");
        meta.mut_structure().set("data", &data);
        producer.push_sample(&gst::Sample::builder().buffer(&sent).caps(&bare()).build());
        let got = frame(&viewer);
        let meta = gst::meta::CustomMeta::from_buffer(buffer(&got), "shmflow-peers-large").expect("it came");
        let came: gst::Buffer = meta.structure().get("data").expect("of its type");
        assert_eq!(*came.map_readable().expect("readable"), *data.map_readable().expect("readable"));
    }
    assert_eq!((producer.stat("sink", "metas-left-out"), viewer.stat("src", "metas-passed-over")), (0, 0));
}
