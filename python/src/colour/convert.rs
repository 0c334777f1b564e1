//! Which conversion is that of which format.

use yuv::{
    YuvBiPlanarImage, YuvChromaSubsampling, YuvConversionMode, YuvError, YuvGrayImage, YuvPackedImage,
    YuvPlanarImage, YuvPlanarImageMut, YuvRange, YuvStandardMatrix,
};

use super::matrix::Colorimetry;
use super::planes::{Plane, Rows, number, outside};
use super::{NoColours, Order};
use crate::forms::View;

/// A picture to convert.
pub(crate) struct Colours<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) format: &'a str,
    pub(crate) views: &'a [View],
    /// In pixels.
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Two fields, every other row each, have chroma of their own.
    pub(crate) interlaced: bool,
    pub(crate) colorimetry: Colorimetry,
}

type Planar =
    fn(&YuvPlanarImage<'_, u8>, &mut [u8], u32, YuvRange, YuvStandardMatrix) -> Result<(), YuvError>;
/// Converts a row.
type Row<'a> = &'a dyn Fn(&[u8], &mut [u8]) -> Result<(), NoColours>;
type Split = fn(&mut YuvPlanarImageMut<'_, u8>, &YuvPackedImage<'_, u8>) -> Result<(), YuvError>;
type TwoPlanes = fn(
    &YuvBiPlanarImage<'_, u8>,
    &mut [u8],
    u32,
    YuvRange,
    YuvStandardMatrix,
    YuvConversionMode,
) -> Result<(), YuvError>;
type Shuffle = fn(&[u8], u32, &mut [u8], u32, u32, u32) -> Result<(), YuvError>;

impl Colours<'_> {
    /// Converts into `out`, which has three bytes for each pixel and no gaps.
    pub(crate) fn convert(&self, out: &mut [u8], order: Order) -> Result<(), NoColours> {
        let views: Vec<(&str, &View)> = self.views.iter().map(|view| (view.name, view)).collect();
        match views.as_slice() {
            [("pixels", pixels)] => self.packed(pixels, out, order),
            [("y", y), ("uv", uv), ..] if uv.shape.len() == 3 => self.two_planes(y, uv, true, out, order),
            [("y", y), ("vu", vu), ..] if vu.shape.len() == 3 => self.two_planes(y, vu, false, out, order),
            [("y", y), ("u", u), ("v", v), ..] | [("y", y), ("v", v), ("u", u), ..] => {
                self.planar(y, u, v, out, order)
            }
            [("g", g), ("b", b), ("r", r), ..]
            | [("r", r), ("g", g), ("b", b), ..]
            | [("b", b), ("g", g), ("r", r), ..] => self.separate([g, b, r], out, order),
            _ => Err(NoColours::Unknown),
        }
    }

    fn packed(&self, pixels: &View, out: &mut [u8], order: Order) -> Result<(), NoColours> {
        match self.format {
            "YUY2" => self.pairs(pixels, yuv::yuyv422_to_yuv422, out, order),
            "UYVY" => self.pairs(pixels, yuv::uyvy422_to_yuv422, out, order),
            "YVYU" => self.pairs(pixels, yuv::yvyu422_to_yuv422, out, order),
            "VYUY" => self.pairs(pixels, yuv::vyuy422_to_yuv422, out, order),
            "GRAY8" => self.gray(&Plane::of(self.payload, pixels, 8)?, out, order),
            "GRAY16_LE" | "GRAY16_BE" => self.gray(&Plane::of(self.payload, pixels, 16)?, out, order),
            // Where Y, U and V are in a pixel.
            "AYUV" => self.together(pixels, [1, 2, 3], out, order),
            "VUYA" => self.together(pixels, [2, 1, 0], out, order),
            "v308" => self.together(pixels, [0, 1, 2], out, order),
            "IYU2" => self.together(pixels, [1, 0, 2], out, order),
            _ => self.shuffled(pixels, out, order),
        }
    }

    /// Two pixels in four bytes. As planes first, a few rows at a time: the library's own way from here to RGB is three times
    /// less exact.
    fn pairs(&self, pixels: &View, split: Split, out: &mut [u8], order: Order) -> Result<(), NoColours> {
        const ROWS: u32 = 16;
        let Plane { bytes, stride } = Plane::of(self.payload, pixels, 8)?;
        let (row_bytes, Colorimetry { range, matrix }) = (self.row_bytes()?, self.colorimetry);
        let convert: Planar = pick([yuv::yuv422_to_bgr, yuv::yuv422_to_rgb], order);
        let mut planes = YuvPlanarImageMut::alloc(self.width, ROWS, YuvChromaSubsampling::Yuv422);
        let strips = bytes.chunks(stride as usize * ROWS as usize);
        for (from, to) in strips.zip(out.chunks_mut(row_bytes as usize * ROWS as usize)) {
            let height = number(to.len() / row_bytes as usize)?;
            planes.height = height;
            let image = YuvPackedImage { yuy: from, yuy_stride: stride, width: self.width, height };
            split(&mut planes, &image)?;
            convert(&planes.to_fixed(), to, row_bytes, range, matrix)?;
        }
        Ok(())
    }

    /// RGB in any order.
    fn shuffled(&self, pixels: &View, out: &mut [u8], order: Order) -> Result<(), NoColours> {
        let rows = Rows::of(self.payload, pixels)?;
        let channels = pixels.shape.get(2).copied().unwrap_or(1).unsigned_abs();
        let each = |out: &mut [u8], convert: Row<'_>| {
            if let Some(all) = rows.without_gaps(rows.columns * channels) {
                // As one long row.
                return convert(all, out);
            }
            let length = self.row_bytes()? as usize;
            for (number, to) in out.chunks_exact_mut(length).enumerate() {
                convert(rows.row(number, rows.columns * channels)?, to)?;
            }
            Ok(())
        };
        let by_library: Option<Shuffle> = match (self.format, order) {
            ("BGR", Order::Bgr) | ("RGB", Order::Rgb) => {
                return each(out, &|from, to| {
                    to.copy_from_slice(from);
                    Ok(())
                });
            }
            ("BGR", Order::Rgb) => Some(yuv::bgr_to_rgb),
            ("RGB", Order::Bgr) => Some(yuv::rgb_to_bgr),
            ("RGBA" | "RGBx", Order::Bgr) => Some(yuv::rgba_to_bgr),
            ("RGBA" | "RGBx", Order::Rgb) => Some(yuv::rgba_to_rgb),
            ("BGRA" | "BGRx", Order::Bgr) => Some(yuv::bgra_to_bgr),
            ("BGRA" | "BGRx", Order::Rgb) => Some(yuv::bgra_to_rgb),
            _ => None,
        };
        if let Some(convert) = by_library {
            // As one row, since the library leaves out a last row without a gap behind it.
            return each(out, &|from, to| {
                let lengths = (number(from.len())?, number(to.len())?);
                Ok(convert(from, lengths.0, to, lengths.1, lengths.1 / 3, 1)?)
            });
        }
        let (red, green, blue) = match self.format {
            "xRGB" | "ARGB" => (1, 2, 3),
            "xBGR" | "ABGR" => (3, 2, 1),
            "RBGA" => (0, 2, 1),
            _ => return Err(NoColours::Unknown),
        };
        let [first, second, third] = match order {
            Order::Bgr => [blue, green, red],
            Order::Rgb => [red, green, blue],
        };
        each(out, &|from, to| {
            for (from, to) in from.as_chunks::<4>().0.iter().zip(to.as_chunks_mut::<3>().0) {
                *to = [from[first], from[second], from[third]];
            }
            Ok(())
        })
    }

    /// Three channels of whole pixels.
    fn together(&self, pixels: &View, at: [usize; 3], out: &mut [u8], order: Order) -> Result<(), NoColours> {
        let channels = pixels.shape.get(2).copied().unwrap_or(1).unsigned_abs();
        let all = Plane::of(self.payload, pixels, 8)?;
        let plane = |first| all.channel(first, channels, self.width as usize);
        self.full(&[plane(at[0])?, plane(at[1])?, plane(at[2])?], out, order)
    }

    fn gray(&self, plane: &Plane<'_>, out: &mut [u8], order: Order) -> Result<(), NoColours> {
        let image = YuvGrayImage {
            y_plane: &plane.bytes,
            y_stride: plane.stride,
            width: self.width,
            height: self.height,
        };
        // The same in each channel, whatever the matrix.
        let convert = pick([yuv::yuv400_to_bgr, yuv::yuv400_to_rgb], order);
        Ok(convert(&image, out, self.row_bytes()?, YuvRange::Full, YuvStandardMatrix::Bt601)?)
    }

    fn separate(&self, [g, b, r]: [&View; 3], out: &mut [u8], order: Order) -> Result<(), NoColours> {
        let bits = bits(self.format);
        let plane = |view| Plane::of(self.payload, view, bits);
        let planes = [plane(g)?, plane(b)?, plane(r)?];
        let convert = pick([yuv::gbr_to_bgr, yuv::gbr_to_rgb], order);
        Ok(convert(&self.image(&planes), out, self.row_bytes()?, YuvRange::Full)?)
    }

    fn two_planes(
        &self,
        y: &View,
        chroma: &View,
        is_uv: bool,
        out: &mut [u8],
        order: Order,
    ) -> Result<(), NoColours> {
        let bits = bits(self.format);
        let (luma, chroma_plane) =
            (Plane::of(self.payload, y, bits)?, Plane::of(self.payload, chroma, bits)?);
        let convert: [TwoPlanes; 2] = match (self.shared(chroma)?, is_uv) {
            ((2, 2), true) if !self.interlaced => [yuv::yuv_nv12_to_bgr, yuv::yuv_nv12_to_rgb],
            ((2, 2), false) if !self.interlaced => [yuv::yuv_nv21_to_bgr, yuv::yuv_nv21_to_rgb],
            ((2, 1), true) => [yuv::yuv_nv16_to_bgr, yuv::yuv_nv16_to_rgb],
            ((2, 1), false) => [yuv::yuv_nv61_to_bgr, yuv::yuv_nv61_to_rgb],
            ((1, 1), true) => [yuv::yuv_nv24_to_bgr, yuv::yuv_nv24_to_rgb],
            ((1, 1), false) => [yuv::yuv_nv42_to_bgr, yuv::yuv_nv42_to_rgb],
            // Pictures of one row or column, and interlaced ones.
            (shared, _) => {
                let [u, v] = if is_uv { [0, 1] } else { [1, 0] };
                let columns = chroma.shape.get(1).copied().unwrap_or(0).unsigned_abs();
                let plane = |first| chroma_plane.channel(first, 2, columns);
                return self.spread(&luma, [&plane(u)?, &plane(v)?], shared, out, order);
            }
        };
        let image = YuvBiPlanarImage {
            y_plane: &luma.bytes,
            y_stride: luma.stride,
            uv_plane: &chroma_plane.bytes,
            uv_stride: chroma_plane.stride,
            width: self.width,
            height: self.height,
        };
        let Colorimetry { range, matrix } = self.colorimetry;
        let mode = YuvConversionMode::Balanced;
        Ok(pick(convert, order)(&image, out, self.row_bytes()?, range, matrix, mode)?)
    }

    fn planar(&self, y: &View, u: &View, v: &View, out: &mut [u8], order: Order) -> Result<(), NoColours> {
        let bits = bits(self.format);
        let plane = |view| Plane::of(self.payload, view, bits);
        let planes = [plane(y)?, plane(u)?, plane(v)?];
        let convert: [Planar; 2] = match self.shared(u)? {
            (2, 2) if !self.interlaced => [yuv::yuv420_to_bgr, yuv::yuv420_to_rgb],
            (2, 1) => [yuv::yuv422_to_bgr, yuv::yuv422_to_rgb],
            (1, 1) => return self.full(&planes, out, order),
            shared => return self.spread(&planes[0], [&planes[1], &planes[2]], shared, out, order),
        };
        let Colorimetry { range, matrix } = self.colorimetry;
        Ok(pick(convert, order)(&self.image(&planes), out, self.row_bytes()?, range, matrix)?)
    }

    /// Chroma that is shared by pixels that the library has no conversion for.
    fn spread(
        &self,
        luma: &Plane<'_>,
        chroma: [&Plane<'_>; 2],
        (across, down): (usize, usize),
        out: &mut [u8],
        order: Order,
    ) -> Result<(), NoColours> {
        let (size, fields) =
            ((self.width as usize, self.height as usize), if self.interlaced { 2 } else { 1 });
        let repeated = |plane: &Plane<'_>| plane.repeated((across, down), fields, size);
        let luma = Plane { bytes: luma.bytes.as_ref().into(), stride: luma.stride };
        self.full(&[luma, repeated(chroma[0])?, repeated(chroma[1])?], out, order)
    }

    /// Planes of full resolution.
    fn full(&self, planes: &[Plane<'_>; 3], out: &mut [u8], order: Order) -> Result<(), NoColours> {
        let Colorimetry { range, matrix } = self.colorimetry;
        let convert: [Planar; 2] = [yuv::yuv444_to_bgr, yuv::yuv444_to_rgb];
        Ok(pick(convert, order)(&self.image(planes), out, self.row_bytes()?, range, matrix)?)
    }

    fn image<'b>(&self, planes: &'b [Plane<'_>; 3]) -> YuvPlanarImage<'b, u8> {
        let [y, u, v] = planes;
        YuvPlanarImage {
            y_plane: &y.bytes,
            y_stride: y.stride,
            u_plane: &u.bytes,
            u_stride: u.stride,
            v_plane: &v.bytes,
            v_stride: v.stride,
            width: self.width,
            height: self.height,
        }
    }

    /// How many pixels share a sample of this plane, across and down: 1, 2 or 4, of which the last one may stand for fewer.
    fn shared(&self, plane: &View) -> Result<(usize, usize), NoColours> {
        let [rows, columns, ..] = plane.shape.as_slice() else { return Err(NoColours::Unknown) };
        let shared = |pixels: u32, samples: isize| match samples.unsigned_abs() {
            0 => Err(outside()),
            samples => Ok((pixels as usize).div_ceil(samples).next_power_of_two()),
        };
        Ok((shared(self.width, *columns)?, shared(self.height, *rows)?))
    }

    fn row_bytes(&self) -> Result<u32, NoColours> {
        self.width.checked_mul(3).ok_or_else(outside)
    }
}

fn pick<T>([bgr, rgb]: [T; 2], order: Order) -> T {
    match order {
        Order::Bgr => bgr,
        Order::Rgb => rgb,
    }
}

/// Of a sample as a number: those of P010 and P012 are in the upper bits of 16.
fn bits(format: &str) -> u32 {
    match format {
        _ if format.starts_with("P0") => 16,
        _ if format.contains("_10") => 10,
        _ if format.contains("_12") => 12,
        _ if format.contains("_16") => 16,
        _ => 8,
    }
}
