//! A picture in a frame: its visible part, as it is or as red, green and blue.

mod colour;
mod encoded;
mod form;
mod words;

use shmflow::meta::{Crop, Flags, MetaView, Plane, plane_extents};

use colour::Colours;
pub(crate) use encoded::{is_jpeg, jpeg, jpeg_file, missing};
pub(crate) use form::{Form, Model};
use shmflow::meta::Structure;

/// The visible part of a raw picture.
#[derive(Debug)]
pub(crate) struct Picture<'a> {
    pub(crate) format: String,
    bytes: &'a [u8],
    planes: Vec<Plane>,
    /// Rows of the whole layout.
    height: u32,
    part: Crop,
    /// Two fields, every other row each.
    interlaced: bool,
    colours: Colours,
}

/// Pixels row by row, without padding: one (gray), three (red, green, blue) or four values (with alpha) each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pixels {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) channels: usize,
    pub(crate) values: Values,
}

/// Values from 0 to 255, or to 65535.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    Bytes(Vec<u8>),
    Words(Vec<u16>),
}

impl<'a> Picture<'a> {
    /// The picture that the metadata say is in `bytes`, checked against them; or why there is none.
    pub(crate) fn new(meta: &MetaView<'_>, bytes: &'a [u8]) -> Result<Self, String> {
        let video = meta.video().ok_or("it holds no raw picture")?;
        video.fits(bytes.len()).map_err(|error| format!("its picture does not fit: {error}"))?;
        let caps = meta.caps().map(Structure::parse);
        let mode = caps.as_ref().and_then(|caps| caps.get("interlace-mode"));
        let said = caps.as_ref().and_then(|caps| {
            let (width, height) = (caps.number("width")?, caps.number("height")?);
            Some((width, if mode == Some("alternate") { height.div_ceil(2) } else { height }))
        });
        let part = Crop::visible((video.width(), video.height()), meta.crop(), said)
            .ok_or("its layout is smaller than its caps say")?;
        let colorimetry = caps.as_ref().and_then(|caps| caps.text("colorimetry"));
        // Of the whole picture, also where a frame is one field.
        let height = caps.as_ref().and_then(|caps| caps.number("height")).unwrap_or(part.height);
        let interlaced = match mode {
            Some("interleaved" | "fields") => true,
            None | Some("mixed") => meta.flags().contains(Flags::INTERLACED),
            Some(_) => false,
        };
        Ok(Self {
            format: video.format().to_owned(),
            bytes,
            planes: video.planes().to_vec(),
            height: video.height(),
            part,
            interlaced,
            colours: Colours::of(colorimetry.as_deref(), height),
        })
    }

    pub(crate) fn size(&self) -> (u32, u32) {
        (self.part.width, self.part.height)
    }

    /// A row of a plane from its first visible byte on.
    fn row(&self, plane: usize, row: u32, skip: usize) -> &'a [u8] {
        let Some(plane) = self.planes.get(plane) else { return &[] };
        let at = i64::try_from(plane.offset).unwrap_or(i64::MAX);
        let at = at.saturating_add(i64::from(plane.stride).saturating_mul(row.into()));
        let at = usize::try_from(at).unwrap_or(usize::MAX).saturating_add(skip);
        self.bytes.get(at..).unwrap_or_default()
    }

    /// The visible rows of all planes one after the other, as they are, without padding. Where it begins within chroma that pixels
    /// share, the planes of chroma begin with that, as `videocrop` cuts them.
    pub(crate) fn raw(&self) -> Result<Vec<u8>, String> {
        let Crop { x, y, width, height } = self.part;
        let extents = |width, height| {
            let known = plane_extents(&self.format, width, height);
            known.ok_or_else(|| format!("the rows of format {} are not known", self.format))
        };
        // The sample of a pixel is the last one that a picture up to it has.
        let (one, to_first) = (extents(1, 1)?, extents(x.saturating_add(1), y.saturating_add(1))?);
        let before = extents(x, y)?;
        let mut raw = Vec::new();
        for (number, (((extent, one), first), before)) in
            extents(width, height)?.zip(one).zip(to_first).zip(before).enumerate()
        {
            if number == 0 && x != 0 && first.row_bytes == before.row_bytes {
                return Err(format!(
                    "it begins at column {x} of {}, where pixels share bytes; a .png can have it",
                    self.format
                ));
            }
            let len = usize::try_from(extent.row_bytes).unwrap_or(usize::MAX);
            let skip = first.row_bytes.saturating_sub(one.row_bytes);
            let skip = usize::try_from(skip).unwrap_or(usize::MAX);
            for row in 0..extent.rows {
                let bytes = self.row(number, first.rows.saturating_sub(1).saturating_add(row), skip);
                raw.extend_from_slice(bytes.get(..len).ok_or("its picture does not fit")?);
            }
        }
        Ok(raw)
    }

    /// Of a component whose samples stand for `1 << shift` rows each: which row of its plane has those of a row of the picture.
    fn row_of(&self, row: u32, shift: u32) -> u32 {
        if !self.interlaced || shift == 0 {
            return row >> shift;
        }
        // Those of a field are shared by rows of that field.
        let shared = (row >> (shift + 1) << 1) + (row & 1);
        // Of an odd number of rows the last one serves both fields.
        shared.min(self.height.saturating_sub(1) >> shift)
    }

    /// The samples of one component in one row: each `step`th pixel's, from the `first` on.
    fn samples(&self, form: &Form, component: &form::Component, row: u32, columns: Every, out: &mut [u16]) {
        let row = self.row_of(self.part.y.saturating_add(row), component.shift_y);
        let bytes = self.row(component.plane, row, 0);
        let last = self.part.width.saturating_sub(1);
        let pixels = (columns.first..).step_by(columns.step.max(1) as usize);
        for (value, x) in out.iter_mut().zip(pixels) {
            let x = self.part.x + x.min(last);
            let at = component.offset + component.step * (x >> component.shift_x) as usize;
            *value = match form.bytes {
                _ if let Some(words) = form.words => words.value(bytes, at, form.depth),
                1 => bytes.get(at).copied().map_or(0, u16::from),
                _ => {
                    let pair =
                        bytes.get(2 * at..).and_then(<[u8]>::first_chunk::<2>).copied().unwrap_or_default();
                    let word =
                        if form.big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) };
                    word >> form.shift
                }
            };
        }
    }

    /// The visible part as gray, or as red, green and blue, with alpha if it has any: of 8 bits, or 16 if the format has more
    /// than 8. Exact for formats that are so already.
    pub(crate) fn pixels(&self) -> Result<Pixels, String> {
        self.pixels_of(1)
    }

    /// The same smaller, for looking at: one pixel for each `step` columns and rows, the mean of four of them.
    pub(crate) fn pixels_of(&self, step: u32) -> Result<Pixels, String> {
        let form = Form::of(&self.format).ok_or_else(|| {
            format!("pictures of format {} cannot be converted; a .raw file can have them", self.format)
        })?;
        let step = step.max(1);
        let (full_width, full_height) = self.size();
        let (width, height) = (full_width.div_ceil(step), full_height.div_ceil(step));
        let (columns, channels) = (width as usize, form.components.len());
        let mut rows = vec![vec![0_u16; columns]; channels];
        let mut other = vec![0_u16; columns];
        let count = columns.saturating_mul(height as usize).saturating_mul(channels);
        let mut words = Vec::new();
        let mut bytes = Vec::new();
        if form.bytes == 1 {
            bytes.reserve_exact(count)
        } else {
            words.reserve_exact(count)
        }
        for row in 0..height {
            for (samples, component) in rows.iter_mut().zip(&form.components) {
                if step == 1 {
                    self.samples(&form, component, row, Every { first: 0, step }, samples);
                    continue;
                }
                let mut sums = vec![0_u32; columns];
                for (x, y) in [(1, 1), (3, 1), (1, 3), (3, 3)] {
                    let row = (row * step + y * step / 4).min(full_height.saturating_sub(1));
                    let every = Every { first: x * step / 4, step };
                    self.samples(&form, component, row, every, &mut other);
                    sums.iter_mut().zip(&other).for_each(|(sum, value)| *sum += u32::from(*value));
                }
                samples.iter_mut().zip(&sums).for_each(|(mean, sum)| *mean = ((sum + 2) / 4) as u16);
            }
            if form.model == Model::Yuv {
                self.colours.convert(&form, &mut rows);
            }
            if form.bytes == 1 {
                interleave(&rows, &mut bytes, |value| value as u8);
            } else {
                interleave(&rows, &mut words, |value| spread(value, form.depth));
            }
        }
        let values = if form.bytes == 1 { Values::Bytes(bytes) } else { Values::Words(words) };
        Ok(Pixels { width, height, channels, values })
    }
}

/// Columns of a picture.
#[derive(Clone, Copy, Debug)]
struct Every {
    first: u32,
    step: u32,
}

fn interleave<T>(rows: &[Vec<u16>], out: &mut Vec<T>, value: impl Fn(u16) -> T) {
    match rows {
        [one] => out.extend(one.iter().map(|one| value(*one))),
        [r, g, b] => {
            for ((r, g), b) in r.iter().zip(g).zip(b) {
                out.extend([value(*r), value(*g), value(*b)]);
            }
        }
        [r, g, b, a] => {
            for (((r, g), b), a) in r.iter().zip(g).zip(b).zip(a) {
                out.extend([value(*r), value(*g), value(*b), value(*a)]);
            }
        }
        _ => {}
    }
}

/// A value of `depth` bits as one of 16: the highest is the highest.
fn spread(value: u16, depth: u32) -> u16 {
    if depth >= 16 {
        return value;
    }
    let wide = u32::from(value) << (16 - depth);
    // The upper bits again where there are none.
    (wide | (wide >> depth)).min(u32::from(u16::MAX)) as u16
}

impl Pixels {
    /// The same with 8 bits, three values each: for JPEG and for terminals. What is transparent is shown on black.
    pub(crate) fn to_rgb8(&self) -> Vec<u8> {
        let bytes: Vec<u8> = match &self.values {
            Values::Bytes(bytes) => bytes.clone(),
            Values::Words(words) => words.iter().map(|word| (word >> 8) as u8).collect(),
        };
        match self.channels {
            1 => bytes.iter().flat_map(|gray| [*gray; 3]).collect(),
            3 => bytes,
            _ => bytes
                .chunks_exact(4)
                .flat_map(|pixel| {
                    let [r, g, b, a] = <[u8; 4]>::try_from(pixel).unwrap_or_default().map(u16::from);
                    [r, g, b].map(|value| ((value * a + 127) / 255) as u8)
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shmflow::meta::{Kind, Meta, VideoLayout};

    fn block(format: &str, width: u32, height: u32, caps: &str, crop: Option<Crop>) -> (Vec<u8>, usize) {
        let (layout, len) = VideoLayout::standard(format, width, height).unwrap();
        let mut meta = Meta::new(Kind::Video).video(layout);
        if !caps.is_empty() {
            meta = meta.caps(caps);
        }
        (meta.crop(crop).to_vec().unwrap(), usize::try_from(len).unwrap())
    }

    #[test]
    fn what_is_red_green_and_blue_stays_exact() {
        for (format, bytes) in
            [("RGB", &[1, 2, 3][..]), ("BGR", &[3, 2, 1]), ("xBGR", &[0, 3, 2, 1]), ("BGRx", &[3, 2, 1, 9])]
        {
            let (meta, len) = block(format, 1, 1, "", None);
            let mut frame = bytes.to_vec();
            frame.resize(len, 0);
            let picture = Picture::new(&MetaView::parse(&meta).unwrap(), &frame).unwrap();
            assert_eq!(picture.pixels().unwrap().values, Values::Bytes(vec![1, 2, 3]), "{format}");
            assert_eq!(picture.raw().unwrap(), bytes, "{format}");
        }
        let (meta, len) = block("GRAY16_BE", 1, 1, "", None);
        let mut frame = vec![0x12, 0x34];
        frame.resize(len, 0);
        let picture = Picture::new(&MetaView::parse(&meta).unwrap(), &frame).unwrap();
        assert_eq!(picture.pixels().unwrap().values, Values::Words(vec![0x1234]));
    }

    #[test]
    fn only_what_is_visible_is_taken() {
        let crop = Crop { x: 2, y: 2, width: 2, height: 2 };
        let (meta, len) = block("I420", 8, 8, "video/x-raw, format=I420, width=2, height=2", Some(crop));
        let frame: Vec<u8> = (0..len as u32).map(|at| at as u8).collect();
        let meta = MetaView::parse(&meta).unwrap();
        let picture = Picture::new(&meta, &frame).unwrap();
        assert_eq!(picture.size(), (2, 2));
        let planes = meta.video().unwrap().planes();
        let colour = |plane: usize| frame[planes[plane].offset as usize + planes[plane].stride as usize + 1];
        assert_eq!(picture.raw().unwrap(), [18, 19, 26, 27, colour(1), colour(2)]);
        assert!(Picture::new(&meta, &frame[..len - 40]).is_err(), "it is checked");
    }

    #[test]
    fn a_smaller_picture_has_the_same_colours() {
        let (meta, len) = block("RGB", 10, 7, "", None);
        let stride = len / 7;
        let mut frame = vec![0; len];
        for at in 0..70 {
            let (x, y) = (at % 10, at / 10);
            let colour = if x < 6 { [200, 100, 0] } else { [0, 0, 80] };
            frame[y * stride + x * 3..][..3].copy_from_slice(&colour);
        }
        let meta = MetaView::parse(&meta).unwrap();
        let small = Picture::new(&meta, &frame).unwrap().pixels_of(3).unwrap();
        assert_eq!((small.width, small.height), (4, 3));
        let row = [[200, 100, 0], [200, 100, 0], [0, 0, 80], [0, 0, 80]].concat();
        assert_eq!(small.values, Values::Bytes(row.repeat(3)));
    }

    #[test]
    fn a_part_that_begins_within_shared_chroma_has_that_chroma() {
        let crop = Crop { x: 1, y: 3, width: 4, height: 2 };
        let caps = |format: &str| format!("video/x-raw, format={format}, width=4, height=2");
        let (meta, len) = block("NV12", 8, 8, &caps("NV12"), Some(crop));
        let frame: Vec<u8> = (0..len).map(|at| at as u8).collect();
        let raw = Picture::new(&MetaView::parse(&meta).unwrap(), &frame).unwrap().raw().unwrap();
        // Pixels from column 1 of rows 3 and 4; chroma of the block of columns 0 and 1, rows 2 and 3.
        assert_eq!(raw, [25, 26, 27, 28, 33, 34, 35, 36, 72, 73, 74, 75]);
        // Where they are in the same plane as brightness there are no such bytes.
        let (meta, len) = block("YUY2", 8, 8, &caps("YUY2"), Some(crop));
        let frame = vec![0; len];
        let why = Picture::new(&MetaView::parse(&meta).unwrap(), &frame).unwrap().raw().unwrap_err();
        assert!(why.contains("column 1"), "{why}");
    }

    #[test]
    fn colours_of_interlaced_pictures_are_shared_within_a_field() {
        // The chroma of even rows, the top field, is red, that of odd ones blue.
        let (red, blue) = ([81_u8, 90, 240], [41_u8, 240, 110]);
        for (mode, flags, expected) in [
            ("progressive", Flags::EMPTY, [true, true, false, false]),
            ("interleaved", Flags::EMPTY, [true, false, true, false]),
            ("mixed", Flags::EMPTY, [true, true, false, false]),
            ("mixed", Flags::INTERLACED, [true, false, true, false]),
        ] {
            let (layout, len) = VideoLayout::standard("I420", 4, 6).unwrap();
            let mut frame = vec![100; len as usize];
            for (plane, component) in layout.planes.iter().zip(0..).skip(1) {
                for row in 0..3 {
                    let at = plane.offset as usize + row * plane.stride as usize;
                    frame[at..at + 2].fill(if row % 2 == 0 { red[component] } else { blue[component] });
                }
            }
            let caps = format!("video/x-raw, format=I420, width=4, height=6, interlace-mode={mode}");
            let meta = Meta::new(Kind::Video).video(layout).caps(caps).flags(flags).to_vec().unwrap();
            let picture = Picture::new(&MetaView::parse(&meta).unwrap(), &frame).unwrap();
            let Values::Bytes(values) = picture.pixels().unwrap().values else { panic!("of 8 bits") };
            let is_red: Vec<bool> = values.chunks(12).map(|row| row[0] > row[2]).collect();
            assert_eq!(is_red[..4], expected, "{mode}");
        }
    }

    #[test]
    fn values_of_fewer_bits_are_spread_over_all() {
        assert_eq!((spread(0, 10), spread(1023, 10), spread(4095, 12), spread(7, 16)), (0, 65535, 65535, 7));
    }
}
