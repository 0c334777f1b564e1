//! What arrays the planes of a video format are.

use shmflow::meta::{Crop, PlaneExtent, VideoLayout, plane_extents};

/// What one element of an array is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    U8,
    U16Le,
    U16Be,
    U32Le,
    U32Be,
}

impl Element {
    pub(crate) fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16Le | Self::U16Be => 2,
            Self::U32Le | Self::U32Be => 4,
        }
    }

    /// As the buffer protocol names it.
    pub(crate) fn code(self) -> &'static std::ffi::CStr {
        match self {
            Self::U8 => c"B",
            Self::U16Le => c"<H",
            Self::U16Be => c">H",
            Self::U32Le => c"<I",
            Self::U32Be => c">I",
        }
    }

    /// As numpy names it.
    pub(crate) fn dtype(self) -> &'static str {
        match self {
            Self::U8 => "u1",
            Self::U16Le => "<u2",
            Self::U16Be => ">u2",
            Self::U32Le => "<u4",
            Self::U32Be => ">u4",
        }
    }
}

/// How many columns a row has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Columns {
    /// One for so many pixels.
    Per(u32),
    /// One for each pixel, and one more where two share something and the width is odd.
    Pairs,
    /// As many as the row has bytes: pixels cross byte boundaries.
    Bytes,
}

/// One plane of a format as an array.
#[derive(Clone, Copy, Debug)]
struct Form {
    name: &'static str,
    columns: Columns,
    channels: usize,
    element: Element,
}

impl Form {
    /// Whether a part of it may begin at any pixel: where several share something, that is in a plane without luma.
    fn is_cut_anywhere(&self) -> bool {
        matches!(self.columns, Columns::Per(_))
    }
}

/// The position of an array in a payload. Made only by [`views`], which has checked that the array is within the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) name: &'static str,
    /// Of the first element, in bytes.
    pub(crate) offset: usize,
    pub(crate) shape: Vec<isize>,
    /// In bytes.
    pub(crate) strides: Vec<isize>,
    pub(crate) element: Element,
}

impl View {
    /// A one-dimensional view of `len` bytes.
    pub(crate) fn bytes(len: usize) -> Self {
        let len = isize::try_from(len).unwrap_or(isize::MAX);
        Self { name: "bytes", offset: 0, shape: vec![len], strides: vec![1], element: Element::U8 }
    }

    /// For messages: shape and element.
    pub(crate) fn describe(&self) -> String {
        format!("shape {} of {}", shape_text(&self.shape), element_text(self.element.dtype()))
    }
}

/// As Python writes a tuple.
pub(crate) fn shape_text(shape: &[isize]) -> String {
    let numbers: Vec<String> = shape.iter().map(ToString::to_string).collect();
    if let [one] = numbers.as_slice() { format!("({one},)") } else { format!("({})", numbers.join(", ")) }
}

fn element_text(dtype: &str) -> String {
    let order = if dtype.starts_with('>') { " (big-endian)" } else { "" };
    format!("uint{}{order}", 8 * dtype.chars().last().and_then(|c| c.to_digit(10)).unwrap_or(1))
}

/// Whether a format is one plane that an array can show: then it has [`array`](crate::frame) and not only planes.
pub(crate) fn is_packed(format: &str) -> bool {
    forms(format).is_some_and(|forms| matches!(forms.as_slice(), [form] if form.columns != Columns::Bytes))
}

fn forms(format: &str) -> Option<Vec<Form>> {
    use Columns::{Bytes, Pairs, Per};
    use Element::{U8, U16Be, U16Le, U32Be, U32Le};
    let wide = if format.ends_with("BE") { U16Be } else { U16Le };
    let form = |name, columns, channels, element| Form { name, columns, channels, element };
    let pixels = |columns, channels, element| vec![form("pixels", columns, channels, element)];
    let planar = |names: [&'static str; 3], subsampled: u32, element| {
        let [one, two, three] = names;
        vec![
            form(one, Per(1), 1, element),
            form(two, Per(subsampled), 1, element),
            form(three, Per(subsampled), 1, element),
        ]
    };
    let with_alpha = |mut forms: Vec<Form>, element| {
        forms.push(form("a", Per(1), 1, element));
        forms
    };
    let (yuv, yvu, gbr) = (["y", "u", "v"], ["y", "v", "u"], ["g", "b", "r"]);
    let two = |chroma, subsampled, element| {
        vec![form("y", Per(1), 1, element), form(chroma, Per(subsampled), 2, element)]
    };
    let across = |names: &[&'static str]| names.iter().map(|name| form(name, Bytes, 1, U8)).collect();
    Some(match format {
        "GRAY8" => pixels(Per(1), 1, U8),
        "GRAY16_LE" | "GRAY16_BE" => pixels(Per(1), 1, wide),
        // GStreamer stores these in the order of the machine.
        "RGB16" | "BGR16" | "RGB15" | "BGR15" => pixels(Per(1), 1, NATIVE16),
        "RGB" | "BGR" | "v308" | "IYU2" => pixels(Per(1), 3, U8),
        "RGBx" | "BGRx" | "xRGB" | "xBGR" | "RGBA" | "BGRA" | "ARGB" | "ABGR" | "AYUV" | "VUYA" | "RBGA" => {
            pixels(Per(1), 4, U8)
        }
        "r210" => pixels(Per(1), 1, U32Be),
        "Y410" | "BGR10A2_LE" | "RGB10A2_LE" => pixels(Per(1), 1, U32Le),
        "ARGB64" | "AYUV64" => pixels(Per(1), 4, NATIVE16),
        "ARGB64_LE" | "ARGB64_BE" | "RGBA64_LE" | "RGBA64_BE" | "BGRA64_LE" | "BGRA64_BE" | "ABGR64_LE"
        | "ABGR64_BE" | "Y412_LE" | "Y412_BE" => pixels(Per(1), 4, wide),
        "YUY2" | "UYVY" | "YVYU" | "VYUY" => pixels(Pairs, 2, U8),
        "Y210" | "Y212_LE" | "Y212_BE" | "v216" => pixels(Pairs, 2, wide),
        "UYVP" | "IYU1" | "v210" | "GRAY10_LE32" => across(&["pixels"]),
        "I420" | "Y42B" => planar(yuv, 2, U8),
        "YV12" => planar(yvu, 2, U8),
        "Y41B" | "YUV9" => planar(yuv, 4, U8),
        "YVU9" => planar(yvu, 4, U8),
        "Y444" => planar(yuv, 1, U8),
        "GBR" => planar(gbr, 1, U8),
        "RGBP" => planar(["r", "g", "b"], 1, U8),
        "BGRP" => planar(["b", "g", "r"], 1, U8),
        "GBRA" => with_alpha(planar(gbr, 1, U8), U8),
        "A420" => with_alpha(planar(yuv, 2, U8), U8),
        "NV12" | "NV16" => two("uv", 2, U8),
        "NV21" | "NV61" => two("vu", 2, U8),
        "NV24" => two("uv", 1, U8),
        "AV12" => with_alpha(two("uv", 2, U8), U8),
        "NV12_10LE32" | "NV16_10LE32" | "NV12_10LE40" => across(&["y", "uv"]),
        "P010_10LE" | "P010_10BE" | "P012_LE" | "P012_BE" | "P016_LE" | "P016_BE" => two("uv", 2, wide),
        "I420_10LE" | "I420_10BE" | "I420_12LE" | "I420_12BE" | "I422_10LE" | "I422_10BE" | "I422_12LE"
        | "I422_12BE" => planar(yuv, 2, wide),
        "Y444_10LE" | "Y444_10BE" | "Y444_12LE" | "Y444_12BE" | "Y444_16LE" | "Y444_16BE" => {
            planar(yuv, 1, wide)
        }
        "GBR_10LE" | "GBR_10BE" | "GBR_12LE" | "GBR_12BE" | "GBR_16LE" | "GBR_16BE" => planar(gbr, 1, wide),
        "GBRA_10LE" | "GBRA_10BE" | "GBRA_12LE" | "GBRA_12BE" => with_alpha(planar(gbr, 1, wide), wide),
        "A420_10LE" | "A420_10BE" | "A422_10LE" | "A422_10BE" => with_alpha(planar(yuv, 2, wide), wide),
        "A444_10LE" | "A444_10BE" => with_alpha(planar(yuv, 1, wide), wide),
        _ => return None,
    })
}

const NATIVE16: Element = if cfg!(target_endian = "big") { Element::U16Be } else { Element::U16Le };

/// Why a layout gives no arrays.
#[derive(Debug)]
pub(crate) enum NoViews {
    /// Its format is none that arrays are known for.
    Unknown,
    /// Its numbers do not fit the format or the payload.
    Bad(String),
    /// This part begins within what several pixels share.
    Cut(Crop),
}

/// All of a picture.
pub(crate) fn whole(layout: &VideoLayout) -> Crop {
    Crop { x: 0, y: 0, width: layout.width, height: layout.height }
}

/// The part of a picture whose arrays hold `part`, and begin where all samples of their first pixel do: chroma of several
/// pixels is not cut through, nor, if the picture is interlaced, that of a field.
pub(crate) fn around(layout: &VideoLayout, part: Crop, interlaced: bool) -> Crop {
    /// No format has chroma that more than four rows of each of two fields share.
    const ROWS: u32 = 8;
    let begins = |x: u32, y: u32| {
        let Some(mut starts) = starts(layout, x, y) else { return true };
        starts.all(|start| start.is_exact)
    };
    let x = (0..=part.x).rev().find(|x| begins(*x, 0)).unwrap_or(0);
    let y = (0..=part.y).rev().find(|y| begins(0, *y)).unwrap_or(0);
    let y = if interlaced { y - y % ROWS } else { y };
    let (left, above) = (part.x - x, part.y - y);
    Crop { x, y, width: part.width.saturating_add(left), height: part.height.saturating_add(above) }
}

/// Where a pixel's samples are in a plane.
struct Start {
    row: u64,
    /// Of the row.
    byte: u64,
    /// Whether the bytes there belong to no pixel to the left of it.
    is_exact_across: bool,
    /// Neither to one to the left nor to one above.
    is_exact: bool,
}

/// For each plane, where the samples of pixel `x`, `y` are. Those that several pixels share are found by rounding down, as
/// GStreamer does.
fn starts(layout: &VideoLayout, x: u32, y: u32) -> Option<impl Iterator<Item = Start> + use<>> {
    let extents = |width, height| plane_extents(&layout.format, width, height);
    let (one, before, with) =
        (extents(1, 1)?, extents(x, y)?, extents(x.saturating_add(1), y.saturating_add(1))?);
    Some(one.zip(before).zip(with).map(|((one, before), with)| {
        // Where the pixel begins something new, the row with it is longer than the one before it.
        let is_exact_across = with.row_bytes > before.row_bytes;
        Start {
            row: u64::from(with.rows.saturating_sub(1)),
            byte: with.row_bytes.saturating_sub(one.row_bytes),
            is_exact_across,
            is_exact: is_exact_across && with.rows > before.rows,
        }
    }))
}

/// The arrays of a part of a frame with this layout in a payload of `len` bytes, each checked to be within the payload:
/// another process wrote the layout. The part is within the layout; it may begin within chroma that several pixels share,
/// if that is in a plane of its own: the array then begins with that chroma.
pub(crate) fn views(layout: &VideoLayout, part: Crop, len: usize) -> Result<Vec<View>, NoViews> {
    // All of it has to be there even if a part is asked for.
    let all = views_from(layout, &[], len)?;
    if part == whole(layout) {
        return Ok(all);
    }
    let forms = forms(&layout.format).ok_or(NoViews::Unknown)?;
    let starts: Vec<Start> = starts(layout, part.x, part.y).ok_or(NoViews::Unknown)?.collect();
    if forms.iter().zip(&starts).any(|(form, start)| !form.is_cut_anywhere() && !start.is_exact_across) {
        return Err(NoViews::Cut(part));
    }
    let mut cut = layout.clone();
    (cut.width, cut.height) = (part.width, part.height);
    for (plane, start) in cut.planes.iter_mut().zip(&starts) {
        let moved = i128::from(plane.offset)
            + i128::from(plane.stride) * i128::from(start.row)
            + i128::from(start.byte);
        plane.offset =
            u64::try_from(moved).map_err(|_| NoViews::Bad("a plane begins before the payload".into()))?;
    }
    views_from(&cut, &starts, len)
}

/// The arrays of a layout whose rows have so much before their start.
fn views_from(layout: &VideoLayout, starts: &[Start], len: usize) -> Result<Vec<View>, NoViews> {
    let forms = forms(&layout.format).ok_or(NoViews::Unknown)?;
    let extents = plane_extents(&layout.format, layout.width, layout.height).ok_or(NoViews::Unknown)?;
    let shapes: Vec<(Form, PlaneExtent, u64)> = forms
        .iter()
        .zip(extents)
        .enumerate()
        .map(|(number, (form, extent))| {
            let stride = layout.planes.get(number).map_or(0, |plane| u64::from(plane.stride.unsigned_abs()));
            let before = starts.get(number).map_or(0, |start| start.byte);
            let columns = columns(form, layout.width, extent, stride.saturating_sub(before));
            let row_bytes = columns.saturating_mul((form.channels * form.element.size()) as u64);
            (*form, PlaneExtent { rows: extent.rows, row_bytes }, columns)
        })
        .collect();
    let bad = |why: String| NoViews::Bad(why);
    layout
        .fits_extents(shapes.iter().map(|(_, extent, _)| *extent).collect::<Vec<_>>().into_iter(), len)
        .map_err(|error| bad(error.to_string()))?;
    let beyond = || bad("the picture is larger than this machine can address".into());
    let mut views = Vec::with_capacity(shapes.len());
    for ((form, extent, columns), plane) in shapes.iter().zip(&layout.planes) {
        let element = isize::try_from(form.element.size()).map_err(|_| beyond())?;
        let channels = isize::try_from(form.channels).map_err(|_| beyond())?;
        let mut shape = vec![
            isize::try_from(extent.rows).map_err(|_| beyond())?,
            isize::try_from(*columns).map_err(|_| beyond())?,
        ];
        let mut strides =
            vec![isize::try_from(plane.stride).map_err(|_| beyond())?, channels.saturating_mul(element)];
        if form.channels > 1 {
            shape.push(channels);
            strides.push(element);
        }
        let offset = usize::try_from(plane.offset).map_err(|_| beyond())?;
        views.push(View { name: form.name, offset, shape, strides, element: form.element });
    }
    Ok(views)
}

fn columns(form: &Form, width: u32, extent: PlaneExtent, stride: u64) -> u64 {
    match form.columns {
        Columns::Per(pixels) => u64::from(width.div_ceil(pixels)),
        Columns::Pairs => {
            // Rows that end with the last pixel (GStreamer before 1.24, for some) have no more than that.
            let whole = u64::from(width).next_multiple_of(2);
            let fit = stride / (form.channels * form.element.size()) as u64;
            if fit < whole { width.into() } else { whole }
        }
        Columns::Bytes => extent.row_bytes.min(stride),
    }
}
