//! Bytes of no known kind, with caps or without.

use gstreamer as gst;

use crate::support::pipelines::{AT_ONCE, buffer, frame};
use crate::support::{Running, Topic, checksum};

use super::arrives;

#[test]
fn bytes_arrive_with_whatever_caps_they_have() {
    for caps in [
        "application/x-robot-state,version=1,name=(string)\"arm \\\"left\\\"\"",
        "text/x-raw,format=utf8",
        "video/x-raw,width=10,height=5",
        "audio/x-raw,rate=44100",
        "application/octet-stream",
    ] {
        let caps: gst::Caps = caps.parse().expect("caps of the test");
        let topic = Topic::new();
        let consumer =
            Running::playing(&format!("{} ! appsink name=out sync=false", topic.src("is-live=false")));
        let producer = Running::playing(&format!("appsrc name=in format=time ! {}", topic.sink(AT_ONCE)));
        for size in [1, 1000, 4097] {
            let bytes = gst::Buffer::from_slice(vec![size as u8; size]);
            producer.push_sample(&gst::Sample::builder().buffer(&bytes).caps(&caps).build());
            let got = frame(&consumer);
            assert_eq!(got.caps(), Some(&*caps));
            assert_eq!(checksum(buffer(&got)), checksum(&bytes));
        }
    }
}

#[test]
fn bytes_without_caps_arrive_without_caps() {
    let got = arrives("fakesrc num-buffers=5 sizetype=2 sizemax=100 filltype=4");
    assert!(got.iter().all(|one| one.caps.is_none() && one.size == 100));
    let got = arrives("fakesrc num-buffers=3 sizetype=1");
    assert!(got.iter().all(|one| one.size == 0), "an empty buffer is a buffer");
}

#[test]
fn a_large_buffer_after_small_ones_arrives() {
    let topic = Topic::new();
    let consumer = Running::playing(&format!("{} ! appsink name=out sync=false", topic.src("is-live=false")));
    let producer = Running::playing(&format!("appsrc name=in format=time ! {}", topic.sink(AT_ONCE)));
    for size in [10, 5000, 3_000_000, 1, 20_000_000] {
        producer.push(&gst::Buffer::from_slice(vec![7_u8; size])).expect("taken");
        assert_eq!(buffer(&frame(&consumer)).size(), size);
    }
    // Few, if they are large: the memory is bounded.
    assert_eq!(producer.stat("sink", "depth"), 8);
}

#[test]
fn elements_that_need_caps_are_not_given_frames_without_them() {
    let topic = Topic::new();
    let ring = shmflow::Producer::builder("video").dir(topic.dir()).open().expect("opens");
    ring.write(&[1; 12]).expect("written");
    let consumer = Running::playing(&format!("{} ! audioconvert ! fakesink", topic.src("is-live=false")));
    let error = consumer.wait_error();
    assert!(error.contains("carry no caps") && error.contains("caps property"), "{error}");
}

#[test]
fn caps_that_no_reader_would_take_are_refused_by_the_sink() {
    let topic = Topic::new();
    let producer = Running::playing(&format!("appsrc name=in format=time ! {}", topic.sink("sync=false")));
    let mut caps = gst::Caps::new_empty_simple("audio/x-vorbis");
    let header = gst::Buffer::from_slice(vec![0_u8; 600_000]);
    caps.get_mut().expect("new").set("codec_data", &header);
    let bytes = gst::Buffer::from_slice([1]);
    let sample = gst::Sample::builder().buffer(&bytes).caps(&caps).build();
    let pushed = gst::prelude::ObjectExt::emit_by_name::<gst::FlowReturn>(
        &producer.element("in"),
        "push-sample",
        &[&sample],
    );
    assert_eq!(pushed, gst::FlowReturn::Ok, "appsrc takes anything");
    let error = producer.wait_error();
    assert!(error.contains("1 MiB"), "{error}");
}
