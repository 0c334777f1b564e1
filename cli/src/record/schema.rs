//! As what a frame is recorded: the schemas of Foxglove for what it shows, our own for the rest. All have the payload as one of their
//! fields, and the same fields of ours, which other programs pass over: so a message serves both to be shown and to be
//! replayed exactly.

use shmflow::meta::{MetaView, VideoView};

use super::proto::Message;
use shmflow::meta::Structure;

/// Which message a frame becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Schema {
    RawImage,
    CompressedImage,
    CompressedVideo,
    Frame,
}

/// Numbers of the fields that replay reads, in each schema; those of Foxglove's schemas are far below.
pub(crate) const META: u32 = 1000;
pub(crate) const SEQ: u32 = 1001;
pub(crate) const LOST_BEFORE: u32 = 1002;
pub(crate) const PUBLISHED_NS: u32 = 1003;

/// Types of fields, as a descriptor numbers them.
const UINT64: u64 = 4;
const FIXED32: u64 = 7;
const STRING: u64 = 9;
const MESSAGE: u64 = 11;
const BYTES: u64 = 12;

type Field = (&'static str, u32, u64);

impl Schema {
    pub(crate) const ALL: [Self; 4] =
        [Self::RawImage, Self::CompressedImage, Self::CompressedVideo, Self::Frame];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RawImage => "foxglove.RawImage",
            Self::CompressedImage => "foxglove.CompressedImage",
            Self::CompressedVideo => "foxglove.CompressedVideo",
            Self::Frame => "shmflow.Frame",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|schema| schema.name() == name)
    }

    /// The fields but `timestamp`, which is number 1 in each.
    fn own_fields(self) -> &'static [Field] {
        match self {
            Self::RawImage => &[
                ("frame_id", 7, STRING),
                ("width", 2, FIXED32),
                ("height", 3, FIXED32),
                ("encoding", 4, STRING),
                ("step", 5, FIXED32),
                ("data", 6, BYTES),
            ],
            Self::CompressedImage => &[("frame_id", 4, STRING), ("data", 2, BYTES), ("format", 3, STRING)],
            Self::CompressedVideo => &[("frame_id", 2, STRING), ("data", 3, BYTES), ("format", 4, STRING)],
            Self::Frame => &[("caps", 2, STRING), ("data", 3, BYTES)],
        }
    }

    /// The field with the payload.
    pub(crate) fn data(self) -> u32 {
        match self {
            Self::RawImage => 6,
            Self::CompressedImage => 2,
            Self::CompressedVideo | Self::Frame => 3,
        }
    }

    /// The `FileDescriptorSet` that says what the fields are.
    pub(crate) fn descriptor(self) -> Vec<u8> {
        const OURS: [Field; 4] = [
            ("shmflow_meta", META, BYTES),
            ("shmflow_seq", SEQ, UINT64),
            ("shmflow_lost_before", LOST_BEFORE, UINT64),
            ("shmflow_published_ns", PUBLISHED_NS, UINT64),
        ];
        let (package, name) = self.name().split_once('.').unwrap_or_default();
        let mut set = Message::default();
        set.message(1, |file| {
            describe(file, "google/protobuf/timestamp.proto", "google.protobuf");
            file.message(4, |message| {
                message.bytes(1, b"Timestamp");
                field(message, ("seconds", 1, 3), None);
                field(message, ("nanos", 2, 5), None);
            });
            file.bytes(12, b"proto3");
        });
        set.message(1, |file| {
            describe(file, &format!("{package}/{name}.proto"), package);
            file.bytes(3, b"google/protobuf/timestamp.proto");
            file.message(4, |message| {
                message.bytes(1, name.as_bytes());
                field(message, ("timestamp", 1, MESSAGE), Some(".google.protobuf.Timestamp"));
                self.own_fields().iter().chain(&OURS).for_each(|one| field(message, *one, None));
            });
            file.bytes(12, b"proto3");
        });
        set.0
    }
}

fn describe(file: &mut Message, name: &str, package: &str) {
    file.bytes(1, name.as_bytes());
    file.bytes(2, package.as_bytes());
}

fn field(message: &mut Message, (name, number, ty): Field, of: Option<&str>) {
    message.message(2, |field| {
        field.bytes(1, name.as_bytes());
        field.uint(3, number.into());
        // Optional, as all of them are.
        field.uint(4, 1);
        field.uint(5, ty);
        if let Some(of) = of {
            field.bytes(6, of.as_bytes());
        }
    });
}

/// A frame as a message: its schema, and what the fields beside the payload say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Raw { encoding: &'static str, width: u32, height: u32, step: u32 },
    Image(&'static str),
    Video(&'static str),
    Other,
}

impl Shape {
    pub(crate) fn of(meta: &MetaView<'_>, len: usize) -> Self {
        if let Some(video) = meta.video() {
            return raw(video, len).unwrap_or(Self::Other);
        }
        meta.caps().and_then(|caps| described(&Structure::parse(caps), len)).unwrap_or(Self::Other)
    }

    pub(crate) fn schema(self) -> Schema {
        match self {
            Self::Raw { .. } => Schema::RawImage,
            Self::Image(_) => Schema::CompressedImage,
            Self::Video(_) => Schema::CompressedVideo,
            Self::Other => Schema::Frame,
        }
    }
}

/// A raw picture that Foxglove takes as it lies in the payload. Formats with an unused byte in place of alpha are none: it would be
/// taken for alpha.
fn raw(video: &VideoView<'_>, len: usize) -> Option<Shape> {
    let (encoding, pixel) = match video.format() {
        "RGB" => ("rgb8", 3),
        "BGR" => ("bgr8", 3),
        "RGBA" => ("rgba8", 4),
        "BGRA" => ("bgra8", 4),
        "GRAY8" => ("mono8", 1),
        "GRAY16_LE" => ("mono16", 2),
        "UYVY" => ("uyvy", 2),
        "YUY2" => ("yuyv", 2),
        "NV12" => ("nv12", 1),
        _ => return None,
    };
    let (width, height) = (video.width(), video.height());
    let first = video.planes().first().filter(|plane| plane.offset == 0)?;
    let step = u32::try_from(first.stride).ok()?;
    let rows = if encoding == "nv12" {
        let chroma = video.planes().get(1)?;
        let follows = chroma.offset == u64::from(step) * u64::from(height) && chroma.stride == first.stride;
        if !follows || !width.is_multiple_of(2) || !height.is_multiple_of(2) {
            return None;
        }
        u64::from(height) + u64::from(height / 2)
    } else {
        height.into()
    };
    shown(encoding, (width, height), pixel, step, rows, len)
}

fn shown(
    encoding: &'static str,
    (width, height): (u32, u32),
    pixel: u32,
    step: u32,
    rows: u64,
    len: usize,
) -> Option<Shape> {
    let row = u64::from(width) * u64::from(pixel);
    let fits = u64::from(step) >= row && u64::from(step).checked_mul(rows)? <= len as u64;
    (fits && width != 0 && height != 0).then_some(Shape::Raw { encoding, width, height, step })
}

/// By the caps alone.
fn described(caps: &Structure<'_>, len: usize) -> Option<Shape> {
    let is = |field: &str, value: &str| caps.text(field).as_deref() == Some(value);
    // One frame in each message, and what a decoder needs in front of key frames.
    let annex_b = || is("stream-format", "byte-stream") && is("alignment", "au");
    match caps.name() {
        "image/jpeg" => Some(Shape::Image("jpeg")),
        "image/png" => Some(Shape::Image("png")),
        "image/webp" => Some(Shape::Image("webp")),
        "image/avif" => Some(Shape::Image("avif")),
        "video/x-h264" if annex_b() => Some(Shape::Video("h264")),
        "video/x-h265" if annex_b() => Some(Shape::Video("h265")),
        "video/x-vp9" => Some(Shape::Video("vp9")),
        "video/x-av1" if is("stream-format", "obu-stream") && is("alignment", "tu") => {
            Some(Shape::Video("av1"))
        }
        "video/x-bayer" => {
            let encoding = match caps.text("format")?.as_str() {
                "bggr" => "bayer_bggr8",
                "gbrg" => "bayer_gbrg8",
                "grbg" => "bayer_grbg8",
                "rggb" => "bayer_rggb8",
                _ => return None,
            };
            let (width, height) = (caps.number("width")?, caps.number("height")?);
            // GStreamer's rows begin at multiples of four bytes.
            let step = width.checked_next_multiple_of(4)?;
            shown(encoding, (width, height), 1, step, height.into(), len)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shmflow::meta::{Kind, Meta, Plane, VideoLayout};

    fn shape(meta: &Meta, len: usize) -> Shape {
        Shape::of(&MetaView::parse(&meta.to_vec().unwrap()).unwrap(), len)
    }

    fn picture(format: &str, planes: &[(u64, i32)]) -> Meta {
        let planes: Vec<_> = planes.iter().map(|&(offset, stride)| Plane { offset, stride }).collect();
        Meta::new(Kind::Video).video(Some(VideoLayout::new(format, 4, 2, planes)))
    }

    #[test]
    fn pictures_are_shown_that_lie_as_foxglove_wants_them() {
        let raw = |encoding, step| Shape::Raw { encoding, width: 4, height: 2, step };
        assert_eq!(shape(&picture("RGB", &[(0, 16)]), 32), raw("rgb8", 16));
        assert_eq!(shape(&picture("NV12", &[(0, 8), (16, 8)]), 24), raw("nv12", 8));
        for (other, len) in [
            (picture("RGB", &[(0, 16)]), 31),
            (picture("RGB", &[(8, 16)]), 40),
            (picture("RGB", &[(0, 11)]), 40),
            (picture("RGB", &[(16, -16)]), 40),
            (picture("NV12", &[(0, 8), (32, 8)]), 64),
            (picture("BGRx", &[(0, 16)]), 32),
        ] {
            assert_eq!(shape(&other, len), Shape::Other, "{other:?}");
        }
    }

    #[test]
    fn encoded_frames_are_shown_that_a_decoder_can_begin_with() {
        let of = |caps: &str| shape(&Meta::new(Kind::Packet).caps(caps), 100);
        assert_eq!(
            of("video/x-h264, stream-format=(string)byte-stream, alignment=(string)au"),
            Shape::Video("h264")
        );
        assert_eq!(of("video/x-h264, stream-format=(string)avc, alignment=(string)au"), Shape::Other);
        assert_eq!(of("image/jpeg"), Shape::Image("jpeg"));
        assert_eq!(of("application/x-test"), Shape::Other);
        let bayer = Shape::Raw { encoding: "bayer_rggb8", width: 6, height: 10, step: 8 };
        assert_eq!(of("video/x-bayer, format=(string)rggb, width=(int)6, height=(int)10"), bayer);
        assert_eq!(of("video/x-bayer, format=(string)rggb, width=(int)-6, height=(int)10"), Shape::Other);
    }
}
