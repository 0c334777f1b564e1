//! Every raw format, in odd sizes, with any strides, arrives bit by bit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::mpsc;

use gstreamer as gst;
use gstreamer_video as gst_video;

use gst::prelude::*;
use gst_video::prelude::*;
use support::{Running, Topic, checksum};

const SINK: &str = "sync=false history=8 wait-for-connection=true";

/// Sends a few frames through a topic and compares what came with what was sent.
fn same(text: &str) -> Result<(), String> {
    let topic = Topic::new();
    let consumer = Running::playing(&format!(
        "{} ! appsink name=out sync=false wait-on-eos=false",
        topic.src("is-live=false on-lapped=oldest")
    ));
    let producer = Running::new(&format!("{text} ! {}", topic.sink(SINK)));
    let (sender, sent) = mpsc::channel();
    let pad = producer.element("sink").static_pad("sink").expect("one");
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if let Some(buffer) = info.buffer() {
            let _ = sender.send((pad.current_caps(), checksum(buffer), buffer.size()));
        }
        gst::PadProbeReturn::Ok
    });
    if producer.pipeline.set_state(gst::State::Playing).is_err() {
        return Err("the producer does not start".into());
    }
    for _ in 0..3 {
        let (caps, sum, size) = loop {
            if let Ok(sent) = sent.recv_timeout(std::time::Duration::from_millis(20)) {
                break sent;
            }
            if let Some(error) = producer.error() {
                return Err(error);
            }
        };
        let sample = consumer.pull().ok_or_else(|| format!("nothing came; {:?}", consumer.error()))?;
        let buffer = sample.buffer().expect("with a buffer");
        assert_eq!(sample.caps().map(|caps| caps.to_owned()), caps, "{text}");
        assert_eq!((checksum(buffer), buffer.size()), (sum, size), "{text}");
    }
    Ok(())
}

/// Formats that a converter can make here.
fn convertible() -> Vec<String> {
    support::init();
    let converter = gst::ElementFactory::find("videoconvert").expect("there");
    let templates = converter.static_pad_templates();
    let template = templates.iter().find(|t| t.direction() == gst::PadDirection::Src).expect("one");
    let can = template.caps();
    gst_video::VIDEO_FORMATS_ALL
        .iter()
        .map(|format| format.to_str().to_string())
        .filter(|format| {
            can.can_intersect(&gst::Caps::builder("video/x-raw").field("format", format).build())
        })
        .collect()
}

#[test]
fn every_format_that_can_be_made_here_arrives_whole_in_odd_sizes() {
    let formats = convertible();
    assert!(formats.len() >= 60, "{formats:?}");
    for format in &formats {
        for (width, height) in [(319, 241), (1, 1), (17, 2)] {
            let text = format!(
                "videotestsrc num-buffers=3 pattern=smpte ! videoconvert \
                 ! video/x-raw,format={format},width={width},height={height}"
            );
            if let Err(error) = same(&text) {
                // GStreamer itself cannot make some formats in the least sizes.
                assert!(width < 319 && !error.contains("shmflow"), "{text}: {error}");
            }
        }
    }
}

#[test]
fn fields_on_their_own_arrive_as_an_element_makes_them() {
    if !support::have(&["interlace"]) {
        return;
    }
    for (format, height) in [("I420", 240), ("UYVY", 242), ("NV12", 240), ("v210", 240)] {
        let text = format!(
            "videotestsrc num-buffers=8 ! video/x-raw,format={format},width=320,height={height},framerate=50/1 \
             ! interlace field-pattern=1:1 ! video/x-raw(format:Interlaced),interlace-mode=alternate"
        );
        assert_eq!(same(&text), Ok(()), "{text}");
    }
}

#[test]
fn flags_of_interlaced_frames_arrive() {
    use gst_video::VideoBufferFlags as V;
    let topic = Topic::new();
    let consumer = Running::playing(&format!("{} ! appsink name=out sync=false", topic.src("is-live=false")));
    let producer = Running::playing(&format!(
        "appsrc name=in format=time caps=video/x-raw,format=GRAY8,width=64,height=64,framerate=25/1,interlace-mode=mixed ! {}",
        topic.sink(SINK)
    ));
    let all = [
        V::INTERLACED | V::TFF,
        V::INTERLACED,
        V::empty(),
        V::INTERLACED | V::TFF | V::RFF,
        V::INTERLACED | V::ONEFIELD,
    ];
    for (flags, number) in all.into_iter().zip(0_u64..) {
        let mut buffer = gst::Buffer::from_slice([0_u8; 4096]);
        let fresh = buffer.get_mut().expect("new");
        fresh.set_video_flags(flags);
        fresh.set_flags(gst::BufferFlags::GAP | gst::BufferFlags::CORRUPTED);
        fresh.set_pts(gst::ClockTime::from_mseconds(40 * number));
        fresh.set_duration(gst::ClockTime::from_mseconds(40));
        fresh.set_offset(number + 7);
        fresh.set_offset_end(number + 8);
        producer.push(&buffer).expect("taken");
        let sample = consumer.pull().expect("a sample");
        let came = sample.buffer().expect("with a buffer");
        assert_eq!(came.video_flags(), flags);
        assert!(came.flags().contains(gst::BufferFlags::GAP | gst::BufferFlags::CORRUPTED));
        assert_eq!(came.duration(), Some(gst::ClockTime::from_mseconds(40)));
        assert_eq!((came.offset(), came.offset_end()), (number + 7, number + 8));
        let map = gst_video::VideoInfo::from_caps(sample.caps().expect("caps")).expect("video");
        gst_video::VideoFrameRef::from_buffer_ref_readable(came, &map).expect("mappable");
    }
}

/// An I420 picture of 50×20 in a buffer with strides of its own; every visible pixel is `value` plus its position.
fn padded(value: u8, stride: i32, gap: usize) -> gst::Buffer {
    let (width, height) = (50_usize, 20_usize);
    let wide = usize::try_from(stride).expect("positive");
    let offsets = [gap, gap + wide * height, gap + wide * height + wide * height / 2];
    let mut bytes = vec![0xee_u8; offsets[2] + wide * height / 2];
    for (plane, (w, h)) in
        [(width, height), (width / 2, height / 2), (width / 2, height / 2)].into_iter().enumerate()
    {
        for y in 0..h {
            for x in 0..w {
                bytes[offsets[plane] + y * wide + x] =
                    value.wrapping_add(u8::try_from((x * 7 + y + plane) % 251).expect("small"));
            }
        }
    }
    let mut buffer = gst::Buffer::from_slice(bytes);
    gst_video::VideoMeta::add_full(
        buffer.get_mut().expect("new"),
        gst_video::VideoFrameFlags::empty(),
        gst_video::VideoFormat::I420,
        50,
        20,
        &offsets,
        &[stride; 3],
    )
    .expect("described");
    buffer
}

/// The visible pixels of a buffer.
fn pixels(buffer: &gst::BufferRef, caps: &gst::CapsRef) -> Vec<u8> {
    let info = gst_video::VideoInfo::from_caps(caps).expect("video");
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info).expect("mappable");
    let mut all = Vec::new();
    for (plane, (w, h)) in [(50, 20), (25, 10), (25, 10)].into_iter().enumerate() {
        let stride = usize::try_from(frame.plane_stride()[plane]).expect("positive");
        let data = frame.plane_data(u32::try_from(plane).expect("small")).expect("a plane");
        for row in data.chunks(stride).take(h) {
            all.extend_from_slice(&row[..w]);
        }
    }
    all
}

#[test]
fn strides_may_change_from_frame_to_frame_and_are_packed_only_for_those_who_cannot_read_them() {
    let topic = Topic::new();
    // An appsink does not say that it reads strides: its frames are packed. videoconvert does, if it has to convert: its frames are not.
    let packing = Running::playing(&format!("{} ! appsink name=out sync=false", topic.src("is-live=false")));
    let reading = Running::playing(&format!(
        "{} ! videoconvert ! video/x-raw,format=YV12 ! videoconvert ! video/x-raw,format=I420 ! appsink name=out \
         sync=false",
        topic.src("is-live=false")
    ));
    let producer = Running::new(&format!(
        "appsrc name=in format=time caps=video/x-raw,format=I420,width=50,height=20,framerate=25/1 ! {}",
        topic.sink("sync=false history=8")
    ));
    producer.play();
    support::until("both are there", || producer.element("sink").property::<u32>("num-clients") == 2);
    for (number, (stride, gap)) in (0_u8..).zip([(52, 0), (64, 0), (64, 100), (256, 3), (52, 0)]) {
        let mut buffer = padded(number, stride, gap);
        buffer.get_mut().expect("new").set_pts(gst::ClockTime::from_mseconds(40 * u64::from(number)));
        producer.push(&buffer).expect("taken");
        for consumer in [&packing, &reading] {
            let sample = consumer.pull().expect("a sample");
            let caps = sample.caps().expect("caps");
            assert_eq!(
                pixels(sample.buffer().expect("with a buffer"), caps),
                pixels(&buffer, caps),
                "{stride} {gap}"
            );
        }
    }
    packing.reaches("src", "copied", 5);
    assert_eq!(reading.stat("src", "copied"), 0);
}

#[test]
fn a_crop_rectangle_arrives() {
    let topic = Topic::new();
    let consumer = Running::playing(&format!("{} ! appsink name=out sync=false", topic.src("is-live=false")));
    let producer = Running::playing(&format!(
        "appsrc name=in format=time caps=video/x-raw,format=GRAY8,width=64,height=64,framerate=25/1 ! {}",
        topic.sink(SINK)
    ));
    for (rect, arrives) in [((8, 4, 40, 50), true), ((0, 0, 64, 64), true), ((60, 0, 8, 8), false)] {
        let mut buffer = gst::Buffer::from_slice([0_u8; 4096]);
        gst_video::VideoCropMeta::add(buffer.get_mut().expect("new"), rect);
        producer.push(&buffer).expect("taken");
        let sample = consumer.pull().expect("a sample");
        let crop = sample
            .buffer()
            .expect("with a buffer")
            .meta::<gst_video::VideoCropMeta>()
            .map(|crop| crop.rect());
        assert_eq!(crop, arrives.then_some(rect));
    }
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
        support::until("the new size arrives", || {
            let sample = consumer.pull().expect("a sample");
            let info = gst_video::VideoInfo::from_caps(sample.caps().expect("caps")).expect("video");
            assert_eq!(
                sample.buffer().expect("with a buffer").size(),
                info.size(),
                "never the wrong caps on the data"
            );
            size = info.width();
            size == u32::try_from(width).expect("positive")
        });
    }
    assert_eq!((producer.error(), consumer.error()), (None, None));
}
