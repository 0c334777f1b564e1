//! Buffers that hold more than their caps say, as decoders push them that crop by a meta (v4l2, va).

use gstreamer as gst;
use gstreamer_video as gst_video;

use gst_video::VideoFormat as F;

use crate::support::pipelines::AT_ONCE;
use crate::support::reads::{Reads, reader};
use crate::support::{Running, Topic};

use super::super::Line;
use super::{Marked, Rectangle, seen};

/// Even and odd places, also in the middle of pixels that share their colour or their bytes.
const PARTS: [(F, Rectangle); 14] = [
    (F::I420, (0, 0, 96, 62)),
    (F::I420, (32, 16, 40, 20)),
    (F::I420, (1, 1, 41, 21)),
    (F::Nv12, (16, 8, 40, 20)),
    (F::Nv12, (17, 3, 40, 20)),
    (F::Uyvy, (4, 2, 40, 20)),
    (F::Uyvy, (3, 2, 40, 20)),
    (F::Yuy2, (17, 1, 31, 20)),
    (F::V210, (6, 2, 48, 20)),
    (F::V210, (17, 3, 40, 20)),
    (F::Bgrx, (17, 5, 33, 20)),
    (F::Bgr, (7, 5, 33, 20)),
    (F::Gray8, (19, 9, 33, 20)),
    (F::I42010le, (18, 3, 40, 20)),
];

const WHOLE: (u32, u32) = (96, 64);

/// A buffer with all of a picture that says so, and which part of it is meant.
fn whole(picture: &Marked, crop: Option<Rectangle>) -> gst::Buffer {
    let info = &picture.info;
    let mut buffer = gst::Buffer::from_mut_slice(picture.bytes.clone());
    let fresh = buffer.get_mut().expect("new");
    gst_video::VideoMeta::add_full(
        fresh,
        gst_video::VideoFrameFlags::empty(),
        info.format(),
        info.width(),
        info.height(),
        info.offset(),
        info.stride(),
    )
    .expect("described");
    if let Some(crop) = crop {
        gst_video::VideoCropMeta::add(fresh, crop);
    }
    buffer
}

/// A topic with a viewer of each kind, one after the other.
fn lines() -> Vec<(&'static str, Reads, Line)> {
    let mut lines: Vec<_> = [Reads::Packed, Reads::Strides, Reads::Crops]
        .into_iter()
        .map(|reads| ("alone", reads, Line::with(reads)))
        .collect();
    for converter in [
        "videoconvert chroma-mode=none matrix-mode=none dither=none ! video/x-raw,format=AYUV",
        "videocrop ! identity",
    ] {
        let topic = Topic::new();
        let source = topic.src("is-live=false on-lapped=oldest");
        let consumer = Running::playing(&format!("{source} ! {converter} ! appsink name=out sync=false"));
        lines.push((converter, Reads::Packed, Line::between(topic, consumer)));
    }
    lines
}

#[test]
fn every_viewer_sees_the_part_that_the_crop_says() {
    for (viewer, reads, mut line) in lines() {
        for (format, part) in PARTS {
            let picture = Marked::new(format, WHOLE, part);
            let got = line.send(&whole(&picture, Some(part)), &picture.caps());
            let (expected, got) = (picture.pixels().part(part), seen(&got, reads));
            assert!(got == expected, "{viewer}, {reads:?}, {format}, {part:?}: another picture");
            assert!(got.luma().iter().all(|luma| *luma < 120), "and none of what is around it");
        }
        line.producer.reaches("sink", "copied", PARTS.len() as u64);
    }
}

/// The names of a topic's files that have these bytes somewhere.
fn files_with(topic: &Topic, bytes: &[u8]) -> Vec<String> {
    let contents = |name: &String| std::fs::read(topic.dir().join(name)).expect("readable");
    let with = |name: &String| contents(name).windows(bytes.len()).any(|window| window == bytes);
    topic.files().into_iter().filter(with).collect()
}

#[test]
fn what_was_cut_off_is_nowhere_in_shared_memory() {
    for (format, part) in PARTS {
        let mut line = Line::with(Reads::Packed);
        let picture = Marked::new(format, WHOLE, part);
        let got = line.send(&whole(&picture, Some(part)), &picture.caps());
        for secret in picture.secrets() {
            let found = files_with(&line.topic, secret);
            assert!(found.is_empty(), "{format}, {part:?}: what was cut off is in {found:?}");
        }
        // What is to be seen is there, so that it was looked for in the right place.
        let shown = got.buffer().expect("one").map_readable().expect("readable")[..16].to_vec();
        assert!(!files_with(&line.topic, &shown).is_empty(), "{format}, {part:?}");
    }
}

#[test]
fn without_a_crop_of_the_right_size_it_is_the_upper_left_part() {
    for (viewer, reads, mut line) in lines() {
        for (format, (_, _, width, height)) in PARTS {
            let part = (0, 0, width, height);
            let picture = Marked::new(format, WHOLE, part);
            // One that says something else than the caps does not count.
            for crop in [None, Some((8, 8, 16, 16)).filter(|_| reads != Reads::Crops)] {
                let got = seen(&line.send(&whole(&picture, crop), &picture.caps()), reads);
                let of = format!("{viewer}, {reads:?}, {format}, {part:?}, {crop:?}");
                assert!(got == picture.pixels().part(part), "{of}: another picture");
            }
        }
    }
}

#[test]
fn a_picture_that_is_smaller_than_its_caps_is_an_error_that_says_so() {
    let topic = Topic::new();
    let _consumer = reader(&topic, Reads::Packed);
    let producer = Running::playing(&format!("appsrc name=in format=time ! {}", topic.sink(AT_ONCE)));
    let picture = Marked::new(F::I420, (48, 32), (0, 0, 16, 16));
    let caps: gst::Caps = "video/x-raw,format=I420,width=64,height=32,framerate=30/1".parse().expect("caps");
    producer.push_sample(&gst::Sample::builder().buffer(&whole(&picture, None)).caps(&caps).build());
    let error = producer.wait_error();
    assert!(error.contains("I420 48×32") && error.contains("I420 64×32"), "{error}");
}
