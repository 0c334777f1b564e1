//! What programs publish that are no elements: bare bytes, and frames with damaged descriptions.

use gstreamer_video as gst_video;

use crate::support::pipelines::{buffer, discont, frame, viewer};
use crate::support::{Running, Topic};

use super::info;

#[test]
fn bare_bytes_are_read_with_the_callers_caps_and_refused_with_a_reason_otherwise() {
    let topic = Topic::new();
    let producer = shmflow::Producer::builder("video").dir(topic.dir()).open().expect("a topic");
    let caps = "caps=video/x-raw,format=BGR,width=17,height=5,framerate=30/1";
    let viewer = |more: &str| viewer(&topic, &format!("is-live=false {more}"));
    // Rows of BGR are padded to four bytes.
    let bytes: Vec<u8> = (0..52 * 5).map(|n| n as u8).collect();
    producer.write(&bytes).expect("published");
    let reader = viewer(caps);
    let got = frame(&reader);
    assert_eq!(*buffer(&got).map_readable().expect("readable"), *bytes);
    assert_eq!(info(&got).format(), gst_video::VideoFormat::Bgr);
    drop((got, reader));
    let picky = format!("{} ! video/x-raw ! appsink name=out sync=false", topic.src("is-live=false"));
    let error = Running::playing(&picky).wait_error();
    assert!(error.contains("caps property") && error.contains("caps=video/x-raw"), "{error}");
    let error = viewer("caps=video/x-raw,format=GRAY8,width=640,height=480,framerate=30/1").wait_error();
    assert!(error.contains("260 bytes") && error.contains("307200 bytes"), "{error}");
    producer.write(&bytes[1..]).expect("published");
    let error = viewer(caps).wait_error();
    assert!(error.contains("259 bytes") && error.contains("260 bytes"), "{error}");
}

#[test]
fn damaged_frames_are_left_out_and_the_good_ones_arrive() {
    use shmflow::meta::{Kind, Meta, Plane, VideoLayout};
    let topic = Topic::new();
    let ring = shmflow::Producer::builder("video").dir(topic.dir()).open().expect("opens");
    let good = Meta::new(Kind::Video).caps("video/x-raw,format=GRAY8,width=64,height=48,framerate=30/1");
    let video = |width, stride, offset| {
        let layout = VideoLayout::new("GRAY8", width, 48, [Plane { offset, stride }]).fps(30, 1);
        good.clone().video(layout)
    };
    let bad = [
        good.clone().caps("this is no caps {{{"),
        video(64, 128, 0),
        video(64, 64, 1 << 40),
        video(64, -64, 0),
        video(32, 64, 0),
    ];
    for (meta, value) in bad.iter().zip(1_u8..) {
        ring.write_with(&[value; 64 * 48], meta).expect("written");
    }
    ring.write_with(&[0; 10], &good).expect("written");
    ring.write_with(&[99; 64 * 48], &good).expect("written");
    let consumer = viewer(&topic, "is-live=false");
    let sample = frame(&consumer);
    assert!(discont(&sample));
    assert_eq!(buffer(&sample).map_readable().expect("readable")[0], 99);
    consumer.reaches("src", "skipped", 6);
    assert_eq!(consumer.error(), None);
}

#[test]
fn caps_that_gstreamer_would_assert_on_are_no_caps_of_a_frame() {
    use shmflow::meta::{Kind, Meta};
    let topic = Topic::new();
    let ring = shmflow::Producer::builder("video").dir(topic.dir()).history(32).depth(32).open();
    let ring = ring.expect("opens");
    let good = "video/x-raw,format=GRAY8,width=64,height=48,framerate=30/1";
    let publish = |caps: String, value: u8| {
        let meta = Meta::new(Kind::Video).caps(caps);
        ring.write_with(&[value; 64 * 48], &meta).expect("written");
    };
    let deep = "{ ".repeat(1500);
    let hostile = [
        "a=[ 10, 1 ]",
        "a=[ 5, 5 ]",
        "a=[ 1, 10, 3 ]",
        "a=[ 0, 10, 0 ]",
        "a=[ 1/0, 2/1 ]",
        "a=[ 30/1, 1/1 ]",
        "a=(double)[ 2.0, 1.0 ]",
        "a=[ x, y ]",
        "a=[ 1",
        // Not hostile, but of no frame either.
        "a=[ 1, 10 ]",
        "a={ 1, 2 }",
        "a=\"b",
        "a=b\", c=[ 10, 1 ]",
        &format!("a={deep}"),
    ];
    for wrong in hostile {
        publish(format!("{good},{wrong}"), 1);
    }
    publish(good.replace("width=64", "width=[ 64, 1 ]"), 1);
    publish(good.to_owned(), 99);
    let viewer = viewer(&topic, "is-live=false");
    let sample = frame(&viewer);
    assert_eq!(buffer(&sample).map_readable().expect("readable")[0], 99);
    assert!(discont(&sample));
    let said = viewer.wait_message("shmflow-skipped");
    let reason = said.get::<String>("reason").expect("a reason");
    assert!(reason.contains("caps cannot be parsed"), "{reason}");
    viewer.reaches("src", "skipped", hostile.len() as u64 + 1);
    assert_eq!(viewer.error(), None);
}
