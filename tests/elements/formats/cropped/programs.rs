//! A program that is no element publishes whole pictures, and says which part is meant.

use gstreamer_video as gst_video;

use gst_video::VideoFormat as F;
use shmflow::meta::{Crop, Kind, Meta, Plane, VideoLayout};

use crate::support::Topic;
use crate::support::child::Child;
use crate::support::pipelines::{buffer, frame};
use crate::support::reads::{Reads, reader};

use super::super::info;
use super::{Marked, Rectangle, seen};

const WHOLE: (u32, u32) = (96, 64);

/// How a frame comes to somebody.
#[derive(Debug, PartialEq, Eq)]
enum Comes {
    /// In shared memory, described as the whole picture with a crop.
    Whole,
    /// In shared memory, described as the part.
    Moved,
    /// As a copy of the part, laid out as its caps imply.
    Copied,
}

/// Publishes a picture as one of a topic's frames, described as a whole with a part.
fn publish(producer: &shmflow::Producer, picture: &Marked) {
    let info = &picture.info;
    let planes = info.offset().iter().zip(info.stride());
    let planes = planes.map(|(at, stride)| Plane { offset: *at as u64, stride: *stride });
    let (x, y, width, height) = picture.part;
    let meta = Meta::new(Kind::Video)
        .caps(picture.caps().to_string())
        .video(VideoLayout::new(info.name(), info.width(), info.height(), planes).fps(30, 1))
        .crop(Crop { x, y, width, height });
    producer.write_with(&picture.bytes, &meta).expect("published");
}

/// Places of a part, and how a frame comes to somebody who reads crops, and to somebody who reads strides.
const CASES: [(F, Rectangle, Comes, Comes); 9] = [
    (F::I420, (16, 8, 40, 20), Comes::Whole, Comes::Moved),
    (F::I420, (1, 1, 41, 21), Comes::Whole, Comes::Moved),
    (F::I420, (0, 0, 96, 60), Comes::Moved, Comes::Moved),
    (F::Nv12, (17, 9, 40, 20), Comes::Whole, Comes::Moved),
    (F::Bgrx, (7, 5, 33, 20), Comes::Whole, Comes::Moved),
    (F::Gray8, (19, 9, 33, 20), Comes::Whole, Comes::Moved),
    (F::Uyvy, (4, 2, 40, 20), Comes::Whole, Comes::Moved),
    // No address begins there.
    (F::Uyvy, (3, 2, 40, 20), Comes::Whole, Comes::Copied),
    (F::V210, (6, 2, 48, 20), Comes::Whole, Comes::Copied),
];

#[test]
fn the_whole_goes_to_those_who_read_crops_the_part_to_those_who_read_strides_and_a_copy_of_it_to_others() {
    for reads in [Reads::Crops, Reads::Strides, Reads::Packed] {
        let topic = Topic::new();
        let producer = shmflow::Producer::builder("video").dir(topic.dir()).history(8).open().expect("opens");
        let viewer = reader(&topic, reads);
        let (mut in_place, mut copied) = (0, 0);
        for (format, part, with_crops, with_strides) in CASES {
            let of = format!("{reads:?}, {format}, {part:?}");
            let picture = Marked::new(format, WHOLE, part);
            publish(&producer, &picture);
            let sample = frame(&viewer);
            let (got, info) = (buffer(&sample), info(&sample));
            assert_eq!((info.width(), info.height()), (part.2, part.3), "{of}");
            let comes = match reads {
                Reads::Crops => with_crops,
                Reads::Strides => with_strides,
                Reads::Packed => Comes::Copied,
            };
            let meta = got.meta::<gst_video::VideoMeta>();
            let described = meta.as_ref().map(|meta| (meta.width(), meta.height()));
            let crop = got.meta::<gst_video::VideoCropMeta>().map(|crop| crop.rect());
            match comes {
                Comes::Whole => assert_eq!((described, crop), (Some(WHOLE), Some(part)), "{of}"),
                Comes::Moved => assert_eq!((described, crop), (Some((part.2, part.3)), None), "{of}"),
                Comes::Copied => assert_eq!((described, crop, got.size()), (None, None, info.size()), "{of}"),
            }
            assert!(seen(&sample, reads) == picture.pixels().part(part), "{of}: another picture");
            if comes == Comes::Copied { copied += 1 } else { in_place += 1 }
        }
        viewer.reaches("src", "received", CASES.len() as u64);
        assert_eq!(
            (viewer.stat("src", "zero-copy"), viewer.stat("src", "copied")),
            (in_place, copied),
            "{reads:?}"
        );
    }
}

#[test]
fn converters_read_a_part_wherever_it_begins() {
    let topic = Topic::new();
    let producer = shmflow::Producer::builder("video").dir(topic.dir()).history(8).open().expect("opens");
    let formats = [F::Ayuv, F::Bgrx, F::Argb64, F::I420, F::Nv12, F::Y42b, F::Gray8];
    for format in formats {
        publish(&producer, &Marked::new(format, WHOLE, (3, 3, 40, 20)));
    }
    // In processes of their own: what converts several pixels at once may end them where memory is not aligned.
    let source = topic.src(&format!("is-live=false num-buffers={}", formats.len()));
    let converters: Vec<_> = ["UYVY", "I420", "Y42B", "BGRx"]
        .iter()
        .map(|wanted| format!("{source} ! videoconvert ! video/x-raw,format={wanted} ! fakesink"))
        .map(|viewer| Child::launch(&viewer))
        .collect();
    for converter in converters {
        converter.wait().well();
    }
}
