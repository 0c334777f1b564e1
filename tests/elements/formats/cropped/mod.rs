//! Pictures that are part of a larger one: every viewer sees the part that is meant, and nobody the rest.

mod buffers;
mod programs;
mod upstream;

use gstreamer as gst;
use gstreamer_video as gst_video;

use crate::support::pipelines::buffer;
use crate::support::reads::Reads;

use super::info;

/// Left, above, width and height.
type Rectangle = (u32, u32, u32, u32);

/// Pixels of four bytes each, row by row.
#[derive(PartialEq, Eq)]
struct Pixels {
    width: usize,
    bytes: Vec<u8>,
}

impl Pixels {
    fn part(&self, (x, y, width, height): Rectangle) -> Self {
        let [x, y, width, height] = [x, y, width, height].map(|pixels| pixels as usize);
        let rows = self.bytes.chunks(self.width * 4).skip(y).take(height);
        Self { width, bytes: rows.flat_map(|row| row[x * 4..(x + width) * 4].to_vec()).collect() }
    }

    fn luma(&self) -> Vec<u8> {
        self.bytes.chunks(4).map(|pixel| pixel[1]).collect()
    }
}

fn described(format: gst_video::VideoFormat, width: u32, height: u32) -> gst_video::VideoInfo {
    gst_video::VideoInfo::builder(format, width, height).fps((30, 1)).build().expect("a description")
}

/// Converts without any change of values, and without looking at neighbours.
fn convert(from: &gst::BufferRef, is: &gst_video::VideoInfo, wanted: &gst_video::VideoInfo) -> gst::Buffer {
    let mut config = gst_video::VideoConverterConfig::new();
    config.set_chroma_mode(gst_video::VideoChromaMode::None);
    config.set_matrix_mode(gst_video::VideoMatrixMode::None);
    config.set_dither_method(gst_video::VideoDitherMethod::None);
    let converter = gst_video::VideoConverter::new(is, wanted, Some(config)).expect("a converter");
    let mut to = gst::Buffer::from_mut_slice(vec![0_u8; wanted.size()]);
    let from = gst_video::VideoFrameRef::from_buffer_ref_readable(from, is).expect("can be mapped");
    let fresh = to.get_mut().expect("new");
    let mut frame = gst_video::VideoFrameRef::from_buffer_ref_writable(fresh, wanted).expect("can be mapped");
    converter.frame_ref(&from, &mut frame);
    drop(frame);
    to
}

/// The pixels of a buffer that holds what `info` says.
fn all_of(buffer: &gst::BufferRef, info: &gst_video::VideoInfo) -> Pixels {
    let to = described(gst_video::VideoFormat::Ayuv, info.width(), info.height());
    let bytes = convert(buffer, info, &to).map_readable().expect("readable").to_vec();
    Pixels { width: info.width() as usize, bytes }
}

/// What somebody who reads so sees of a sample.
fn seen(sample: &gst::Sample, reads: Reads) -> Pixels {
    let (info, buffer) = (info(sample), buffer(sample));
    if reads == Reads::Packed {
        // Rows lie as the caps say, whatever the buffer says of itself.
        let bytes = buffer.map_readable().expect("readable").to_vec();
        assert_eq!(bytes.len(), info.size(), "{:?}", sample.caps());
        return all_of(&gst::Buffer::from_mut_slice(bytes), &info);
    }
    let Some(crop) = buffer.meta::<gst_video::VideoCropMeta>() else { return all_of(buffer, &info) };
    assert_eq!(reads, Reads::Crops, "a crop for somebody who does not read it");
    let whole = buffer.meta::<gst_video::VideoMeta>().expect("a crop is of something");
    all_of(buffer, &described(info.format(), whole.width(), whole.height())).part(crop.rect())
}

/// A picture that is dark in a part of it, and bright around it; no two neighbours are alike. All of it has one colour, so
/// that formats in which pixels share theirs can be compared pixel by pixel.
struct Marked {
    info: gst_video::VideoInfo,
    bytes: Vec<u8>,
    part: Rectangle,
}

impl Marked {
    fn new(format: gst_video::VideoFormat, (width, height): (u32, u32), part: Rectangle) -> Self {
        let (left, top) = (part.0..part.0 + part.2, part.1..part.1 + part.3);
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let pixels = places.flat_map(|(x, y)| {
            let luma = match left.contains(&x) && top.contains(&y) {
                true => 20 + (x * 7 + y * 13) % 90,
                false => 150 + (x * 5 + y * 11) % 100,
            };
            [255, luma as u8, 90, 160]
        });
        let picture = gst::Buffer::from_mut_slice(pixels.collect::<Vec<u8>>());
        let info = described(format, width, height);
        let converted = convert(&picture, &described(gst_video::VideoFormat::Ayuv, width, height), &info);
        let bytes = converted.map_readable().expect("readable").to_vec();
        Self { info, bytes, part }
    }

    /// What the caps of its part are.
    fn caps(&self) -> gst::Caps {
        described(self.info.format(), self.part.2, self.part.3).to_caps().expect("caps")
    }

    fn pixels(&self) -> Pixels {
        all_of(&gst::Buffer::from_mut_slice(self.bytes.clone()), &self.info)
    }

    /// Some bytes of what is not in its part: of the first row and the last, and of one beside the part.
    fn secrets(&self) -> Vec<&[u8]> {
        let row = |y: u32| {
            let at = self.info.offset()[0] + y as usize * self.info.stride()[0] as usize;
            &self.bytes[at..at + 16]
        };
        let (x, y, _, height) = self.part;
        let mut rows = vec![row(self.info.height() - 1)];
        assert!(y + height < self.info.height(), "the last row is not in the part");
        rows.extend((y > 0).then(|| row(0)));
        rows.extend((x >= 16).then(|| row(y + height / 2)));
        rows
    }
}
