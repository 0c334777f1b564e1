//! How the pixels of a format lie in memory: for each component where it is and how often it repeats.
//!
//! The names are GStreamer's. Formats whose pixels are packed into words across bytes (`v210`, `r210`, `RGB16`, …) are in
//! [`words`](super::words).

use super::words::{self, Words};

/// What the components of a pixel mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Model {
    Gray,
    Rgb,
    Yuv,
}

/// Where the samples of one component are. Numbers are samples, not bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Component {
    pub(crate) plane: usize,
    pub(crate) offset: usize,
    /// From one sample to the next.
    pub(crate) step: usize,
    /// One sample stands for so many pixels, as a power of two.
    pub(crate) shift_x: u32,
    /// And for so many rows.
    pub(crate) shift_y: u32,
}

/// A pixel format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) model: Model,
    /// One (gray), or three in the order of the model's name; then alpha, if there is any.
    pub(crate) components: Vec<Component>,
    /// Bytes of a sample: 1 or 2.
    pub(crate) bytes: usize,
    /// Bits of a sample that count.
    pub(crate) depth: u32,
    /// Bits below them.
    pub(crate) shift: u32,
    pub(crate) big_endian: bool,
    /// Samples are values of words, and not bytes, or pairs of bytes, of their own.
    pub(crate) words: Option<Words>,
}

impl Form {
    /// The form of a format; `None` for one that has none here.
    pub(crate) fn of(format: &str) -> Option<Self> {
        if let Some(form) = words::form(format) {
            return Some(form);
        }
        let (base, depth, bytes, big_endian) = split(format);
        let (model, components) = components(base)?;
        let depth = match base {
            "P012" | "Y212" | "Y412" => 12,
            "Y210" => 10,
            _ => depth,
        };
        let high = matches!(base, "P010" | "P012" | "P016" | "Y210" | "Y212" | "Y412");
        let shift = if high { 16_u32.saturating_sub(depth) } else { 0 };
        let wide =
            matches!(base, "GRAY16" | "ARGB64" | "AYUV64" | "RGBA64" | "BGRA64" | "ABGR64" | "v216" | "Y210");
        let bytes = if wide || high { 2 } else { bytes };
        let depth = if wide && base != "Y210" { 16 } else { depth };
        Some(Self { model, components, bytes, depth, shift, big_endian, words: None })
    }

    /// Where a sample of a row ends, in bytes.
    #[cfg(test)]
    fn end(&self, number: usize) -> usize {
        self.words.map_or((number + 1) * self.bytes, |words| words.end(number))
    }

    /// Whether all components lie beside each other in one plane, one of each for each pixel; how many samples a pixel has.
    pub(crate) fn packed(&self) -> Option<usize> {
        let first = self.components.first().filter(|_| self.words.is_none())?;
        let alike = |one: &Component| {
            one.plane == 0 && one.step == first.step && (one.shift_x, one.shift_y) == (0, 0)
        };
        self.components.iter().all(alike).then_some(first.step)
    }
}

/// Name, bits and bytes of a sample, and whether the high byte comes first.
fn split(format: &str) -> (&str, u32, usize, bool) {
    for (suffix, depth, big) in [
        ("_10LE", 10, false),
        ("_10BE", 10, true),
        ("_12LE", 12, false),
        ("_12BE", 12, true),
        ("_16LE", 16, false),
        ("_16BE", 16, true),
        ("_LE", 16, false),
        ("_BE", 16, true),
    ] {
        if let Some(base) = format.strip_suffix(suffix) {
            return (base, depth, 2, big);
        }
    }
    (format, 8, 1, false)
}

fn components(base: &str) -> Option<(Model, Vec<Component>)> {
    let yuv = |components| Some((Model::Yuv, components));
    match base {
        "GRAY8" | "GRAY16" => Some((Model::Gray, packed("Y", "Y"))),
        "RGB" | "BGR" | "RGBx" | "BGRx" | "xRGB" | "xBGR" => Some((Model::Rgb, packed(base, "RGB"))),
        "RGBA" | "BGRA" | "ARGB" | "ABGR" | "RBGA" => Some((Model::Rgb, packed(base, "RGBA"))),
        "RGBA64" | "BGRA64" | "ARGB64" | "ABGR64" => {
            Some((Model::Rgb, packed(base.trim_end_matches("64"), "RGBA")))
        }
        "GBR" => Some((Model::Rgb, planar([2, 0, 1], 0, 0))),
        "RGBP" => Some((Model::Rgb, planar([0, 1, 2], 0, 0))),
        "BGRP" => Some((Model::Rgb, planar([2, 1, 0], 0, 0))),
        "GBRA" => Some((Model::Rgb, with_alpha(planar([2, 0, 1], 0, 0), 3))),
        "v308" => yuv(packed("YUV", "YUV")),
        "IYU2" => yuv(packed("UYV", "YUV")),
        "AYUV" | "AYUV64" => yuv(packed("AYUV", "YUVA")),
        "VUYA" => yuv(packed("VUYA", "YUVA")),
        "Y412" => yuv(packed("UYVA", "YUVA")),
        "YUY2" | "Y210" | "Y212" => yuv(pairs("YUYV")),
        "UYVY" | "v216" => yuv(pairs("UYVY")),
        "YVYU" => yuv(pairs("YVYU")),
        "VYUY" => yuv(pairs("VYUY")),
        "I420" => yuv(planar([0, 1, 2], 1, 1)),
        "YV12" => yuv(planar([0, 2, 1], 1, 1)),
        "I422" | "Y42B" => yuv(planar([0, 1, 2], 1, 0)),
        "Y41B" => yuv(planar([0, 1, 2], 2, 0)),
        "YUV9" => yuv(planar([0, 1, 2], 2, 2)),
        "YVU9" => yuv(planar([0, 2, 1], 2, 2)),
        "Y444" => yuv(planar([0, 1, 2], 0, 0)),
        "A420" => yuv(with_alpha(planar([0, 1, 2], 1, 1), 3)),
        "A422" => yuv(with_alpha(planar([0, 1, 2], 1, 0), 3)),
        "A444" => yuv(with_alpha(planar([0, 1, 2], 0, 0), 3)),
        "NV12" | "P010" | "P012" | "P016" => yuv(half_planar(0, 1, 1)),
        "NV21" => yuv(half_planar(1, 1, 1)),
        "NV16" => yuv(half_planar(0, 1, 0)),
        "NV61" => yuv(half_planar(1, 1, 0)),
        "NV24" => yuv(half_planar(0, 0, 0)),
        "AV12" => yuv(with_alpha(half_planar(0, 1, 1), 2)),
        _ => None,
    }
}

/// Components that lie beside each other, by their letters.
pub(super) fn packed(letters: &str, wanted: &str) -> Vec<Component> {
    let component = |letter| {
        let offset = letters.find(letter)?;
        Some(Component { plane: 0, offset, step: letters.len(), shift_x: 0, shift_y: 0 })
    };
    wanted.chars().filter_map(component).collect()
}

/// Two pixels in four samples: two of brightness, and the colour that they share.
pub(super) fn pairs(letters: &str) -> Vec<Component> {
    let at = |letter| letters.find(letter).unwrap_or(0);
    let colour = |letter| Component { plane: 0, offset: at(letter), step: 4, shift_x: 1, shift_y: 0 };
    vec![Component { plane: 0, offset: at('Y'), step: 2, shift_x: 0, shift_y: 0 }, colour('U'), colour('V')]
}

/// Each in a plane of its own; the second and third are smaller by these powers of two.
fn planar(planes: [usize; 3], shift_x: u32, shift_y: u32) -> Vec<Component> {
    let component = |(i, plane)| {
        let (shift_x, shift_y) = if i == 0 { (0, 0) } else { (shift_x, shift_y) };
        Component { plane, offset: 0, step: 1, shift_x, shift_y }
    };
    planes.into_iter().enumerate().map(component).collect()
}

/// The colours beside each other in the second plane, the first of them at `first`.
pub(super) fn half_planar(first: usize, shift_x: u32, shift_y: u32) -> Vec<Component> {
    let colour = |offset| Component { plane: 1, offset, step: 2, shift_x, shift_y };
    let bright = Component { plane: 0, offset: 0, step: 1, shift_x: 0, shift_y: 0 };
    vec![bright, colour(first), colour(1 - first)]
}

fn with_alpha(mut components: Vec<Component>, plane: usize) -> Vec<Component> {
    components.push(Component { plane, offset: 0, step: 1, shift_x: 0, shift_y: 0 });
    components
}

#[cfg(test)]
mod tests {
    use super::*;
    use shmflow::meta::plane_extents;

    /// Every format whose rows the ring knows.
    const FORMATS: &str = "GRAY8 GRAY16_LE GRAY16_BE RGB BGR RGBx BGRx xRGB xBGR RGBA BGRA ARGB ABGR RBGA v308 IYU2 AYUV VUYA \
        ARGB64 AYUV64 ARGB64_LE ARGB64_BE RGBA64_LE RGBA64_BE BGRA64_LE BGRA64_BE ABGR64_LE ABGR64_BE Y412_LE Y412_BE YUY2 UYVY \
        YVYU VYUY Y210 Y212_LE Y212_BE v216 I420 YV12 Y41B Y42B YUV9 YVU9 Y444 GBR RGBP BGRP GBRA A420 NV12 NV21 NV16 NV61 NV24 \
        AV12 P010_10LE P010_10BE P012_LE P012_BE P016_LE P016_BE I420_10LE I420_10BE I420_12LE I420_12BE I422_10LE I422_12BE \
        Y444_10LE Y444_12LE Y444_16LE Y444_16BE GBR_10LE GBR_12LE GBR_16BE GBRA_10LE GBRA_12BE A420_10LE A422_10LE A444_10BE \
        RGB15 BGR16 r210 RGB10A2_LE BGR10A2_LE Y410 v210 UYVP GRAY10_LE32 NV12_10LE32 NV16_10LE32 NV12_10LE40";

    #[test]
    fn each_form_reaches_to_the_end_of_its_rows_and_no_further() {
        for format in FORMATS.split_ascii_whitespace() {
            let form = Form::of(format).unwrap_or_else(|| panic!("{format}"));
            let (width, height) = (8, 8);
            let extents: Vec<_> = plane_extents(format, width, height).unwrap().collect();
            let mut reached = vec![(0, 0); extents.len()];
            for component in &form.components {
                let last = usize::try_from((width - 1) >> component.shift_x).unwrap();
                let end = form.end(component.offset + component.step * last);
                let rows = ((height - 1) >> component.shift_y) + 1;
                let (row, count) = &mut reached[component.plane];
                (*row, *count) = (end.max(*row), rows.max(*count));
            }
            for (extent, (row, count)) in extents.iter().zip(reached) {
                let (have, padded) = (extent.row_bytes as usize, form.packed().is_some_and(|step| step == 4));
                // Words of v210 come in fours.
                let padding = if format == "v210" { 12 } else { 0 };
                assert!(
                    row == have
                        || padded && row < have && row + form.bytes >= have / 8 * 8 - 8
                        || row < have && row + padding >= have,
                    "{format}: {row} of {have}"
                );
                assert_eq!(count, extent.rows, "{format}");
            }
        }
    }

    #[test]
    fn what_is_no_raw_format_or_irregular_has_none() {
        for format in ["IYU1", "RGB8P", "NV12_64Z32", "H264", ""] {
            assert_eq!(Form::of(format), None, "{format}");
        }
    }

    #[test]
    fn depths_and_byte_orders_are_those_of_the_name() {
        let depth =
            |format| Form::of(format).map(|form| (form.depth, form.shift, form.bytes, form.big_endian));
        assert_eq!(depth("I420_10BE"), Some((10, 0, 2, true)));
        assert_eq!(depth("P010_10LE"), Some((10, 6, 2, false)));
        assert_eq!(depth("P012_LE"), Some((12, 4, 2, false)));
        assert_eq!(depth("Y210"), Some((10, 6, 2, false)));
        assert_eq!(depth("GRAY16_BE"), Some((16, 0, 2, true)));
        assert_eq!(depth("NV12"), Some((8, 0, 1, false)));
    }
}
