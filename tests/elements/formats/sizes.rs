//! Small frames, large ones, and streams whose caps change or say more than usual.

use gstreamer as gst;
use gstreamer_video as gst_video;

use gst::prelude::*;

use crate::support::pipelines::{AT_ONCE, buffer, caps, frame, stops_cleanly, viewer, width};
use crate::support::{Running, Topic, until};

use super::{Line, info};

#[test]
fn frames_fill_their_slot_to_the_last_byte_or_leave_room_and_larger_ones_move_the_ring() {
    let mut line = Line::new();
    let mut epochs = Vec::new();
    // A slot is as large as the first frame, rounded up to pages.
    for width in [4096_u32, 4095, 1, 4097, 8192, 4096] {
        let caps: gst::Caps =
            format!("video/x-raw,format=GRAY8,width={width},height=1,framerate=30/1").parse().expect("caps");
        let size = gst_video::VideoInfo::from_caps(&caps).expect("video").size();
        let bytes: Vec<u8> = (0..size).map(|n| (n * 31) as u8).collect();
        let got = line.send(&gst::Buffer::from_mut_slice(bytes.clone()), &caps);
        assert_eq!(*buffer(&got).map_readable().expect("readable"), *bytes);
        epochs.push(line.producer.stat("sink", "epoch"));
    }
    assert!(epochs.is_sorted() && epochs[0] < epochs[5], "{epochs:?}");
}

#[test]
fn a_larger_frame_in_mid_stream_goes_through() {
    let topic = Topic::new();
    let consumer =
        Running::playing(&format!("{} ! appsink name=out sync=false max-buffers=2 drop=true", topic.src("")));
    let producer = Running::playing(&format!(
        "videotestsrc is-live=true ! capsfilter name=filter caps=video/x-raw,format=I420,width=320,height=240 ! {}",
        topic.sink("")
    ));
    consumer.pull().expect("a sample");
    for (width, height) in [(1920, 1080), (160, 120), (3840, 2160)] {
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", "I420")
            .field("width", width)
            .field("height", height)
            .build();
        producer.element("filter").set_property("caps", caps);
        let mut size = 0;
        until("the new size arrives", || {
            let sample = consumer.pull().expect("a sample");
            let info = info(&sample);
            assert_eq!(buffer(&sample).size(), info.size(), "never the wrong caps on the data");
            size = info.width();
            size == u32::try_from(width).expect("positive")
        });
    }
    assert_eq!((producer.error(), consumer.error()), (None, None));
}

#[test]
fn resolution_format_and_rate_change_in_mid_stream_and_every_frame_fits_its_caps() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "is-live=false on-lapped=oldest");
    let producer = Running::playing(&format!("appsrc name=in format=time ! {}", topic.sink(AT_ONCE)));
    let shapes = [
        ("GRAY8", 64, 48, 30),
        ("I420", 640, 480, 30),
        ("I420", 320, 240, 30),
        ("NV12", 320, 240, 60),
        ("BGRx", 1920, 1080, 60),
        ("GRAY8", 1, 1, 0),
    ];
    for (round, (format, width, height, rate)) in shapes.into_iter().cycle().take(18).enumerate() {
        let caps: gst::Caps =
            format!("video/x-raw,format={format},width={width},height={height},framerate={rate}/1")
                .parse()
                .expect("caps");
        let info = gst_video::VideoInfo::from_caps(&caps).expect("video");
        let mut sent = gst::Buffer::from_mut_slice(vec![u8::try_from(round).expect("few"); info.size()]);
        sent.get_mut().expect("new").set_pts(gst::ClockTime::from_mseconds(round as u64));
        let sample = gst::Sample::builder().buffer(&sent).caps(&caps).build();
        producer.push_sample(&sample);
        let got = frame(&viewer);
        let got_info = self::info(&got);
        assert_eq!((got_info.width(), got_info.height()), (width, height));
        assert_eq!((got_info.format(), got_info.fps()), (info.format(), info.fps()));
        let bytes = buffer(&got).map_readable().expect("readable");
        assert!(bytes.len() == info.size() && bytes.iter().all(|byte| usize::from(*byte) == round));
    }
    stops_cleanly(&viewer);
    stops_cleanly(&producer);
}

#[test]
fn an_application_may_keep_the_last_sample_and_change_caps() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "is-live=false");
    let producer = Running::playing(&format!(
        "appsrc name=in format=time ! {}",
        topic.sink("sync=false enable-last-sample=true history=8 wait-for-connection=true")
    ));
    for (index, wide) in [64, 128, 64, 256, 128].into_iter().enumerate() {
        let caps: gst::Caps = caps(wide).parse().expect("caps");
        let mut sent = gst::Buffer::from_mut_slice(vec![1_u8; wide as usize * 48]);
        sent.get_mut().expect("new").set_pts(gst::ClockTime::from_mseconds(index as u64));
        let sample = gst::Sample::builder().buffer(&sent).caps(&caps).build();
        producer.push_sample(&sample);
        assert_eq!(width(&frame(&viewer)), wide as i32);
        let last = producer.element("sink").property::<Option<gst::Sample>>("last-sample");
        assert!(last.is_some());
    }
    stops_cleanly(&producer);
}

#[test]
fn brackets_within_a_text_of_the_caps_are_text() {
    let mut line = Line::new();
    for text in ["left [1, 0] {x", "a \"quoted\" [9, 1]", "]}>)", "back\\slash [", "{{{{{{{{{{{{{{{{{{{{"] {
        let mut caps: gst::Caps =
            "video/x-raw,format=GRAY8,width=64,height=48,framerate=30/1".parse().expect("caps");
        caps.get_mut().expect("mine").set("camera", text);
        let got = line.send(&gst::Buffer::from_mut_slice(vec![7_u8; 64 * 48]), &caps);
        let structure = got.caps().and_then(|caps| caps.structure(0)).expect("with caps");
        assert_eq!(structure.get::<&str>("camera"), Ok(text));
        assert_eq!(got.caps(), Some(caps.as_ref()));
    }
    line.consumer.reaches("src", "skipped", 0);
}

#[test]
fn frames_that_become_a_little_larger_stay_within_the_limit_in_bytes() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "is-live=false on-lapped=oldest");
    // Ten slots of the larger frames.
    let limit = 10 * 81_920;
    let producer = Running::playing(&format!(
        "appsrc name=in format=time ! {}",
        topic.sink(&format!("{AT_ONCE} max-bytes={limit}"))
    ));
    for width in [320, 328] {
        let caps: gst::Caps = format!("video/x-raw,format=GRAY8,width={width},height=240,framerate=30/1")
            .parse()
            .expect("caps");
        let bytes = gst::Buffer::from_slice(vec![0_u8; width * 240]);
        producer.push_sample(&gst::Sample::builder().buffer(&bytes).caps(&caps).build());
        assert_eq!(self::width(&frame(&viewer)), width as i32);
        let ring = producer.stat("sink", "slots") * producer.stat("sink", "slot-bytes");
        assert!(ring <= limit, "{ring} bytes for payloads");
    }
}

#[test]
fn packets_that_fit_into_the_limit_in_bytes_are_taken() {
    let topic = Topic::new();
    let viewer = viewer(&topic, "is-live=false on-lapped=oldest");
    // Three slots of the packets, but not of twice their size.
    let producer = Running::playing(&format!(
        "appsrc name=in format=time caps=image/jpeg ! {}",
        topic.sink(&format!("{AT_ONCE} max-bytes={} ", 3 * 204_800))
    ));
    producer.push(&gst::Buffer::from_slice(vec![0_u8; 200_000])).expect("taken");
    assert_eq!(buffer(&frame(&viewer)).size(), 200_000);
}
