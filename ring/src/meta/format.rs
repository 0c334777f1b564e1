//! How many bytes the planes of a video format need, for the formats that GStreamer and OpenCV users meet.
//!
//! The names are GStreamer's; a test compares the table with what GStreamer itself computes. Tiled formats and the
//! one with a palette (`RGB8P`) are left out: their planes are no plain rows.

/// One plane: `width` is cut into groups of `pixels` pixels that take `bytes` bytes each, and one row of the plane
/// stands for `lines` rows of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PlaneShape {
    pixels: u32,
    bytes: u32,
    lines: u32,
}

/// The rows of one plane, as a picture of a certain size needs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaneExtent {
    /// Number of rows.
    pub rows: u32,
    /// Bytes of each row that hold pixels (the stride may be larger).
    pub row_bytes: u64,
}

impl PlaneShape {
    fn extent(self, width: u32, height: u32) -> PlaneExtent {
        let groups = u64::from(width.div_ceil(self.pixels));
        // At most 2^32 groups of a few bytes: far below 2^64.
        let row_bytes = groups.saturating_mul(u64::from(self.bytes));
        PlaneExtent { rows: height.div_ceil(self.lines), row_bytes }
    }
}

/// The planes of a format, each as `(pixels, bytes, lines)`.
macro_rules! geometries {
    ($(($pixels:literal, $bytes:literal, $lines:literal)),*) => {
        &[$(PlaneShape { pixels: $pixels, bytes: $bytes, lines: $lines }),*]
    };
}

/// The planes of format `name`, or `None` for one that is not in the table.
fn geometries(name: &str) -> Option<&'static [PlaneShape]> {
    Some(match name {
        "GRAY8" => geometries![(1, 1, 1)],
        "GRAY16_LE" | "GRAY16_BE" | "RGB16" | "BGR16" | "RGB15" | "BGR15" => geometries![(1, 2, 1)],
        "RGB" | "BGR" | "v308" | "IYU2" => geometries![(1, 3, 1)],
        "RGBx" | "BGRx" | "xRGB" | "xBGR" | "RGBA" | "BGRA" | "ARGB" | "ABGR" | "AYUV" | "VUYA" | "RBGA"
        | "r210" | "Y410" | "BGR10A2_LE" | "RGB10A2_LE" => geometries![(1, 4, 1)],
        "ARGB64" | "AYUV64" | "ARGB64_LE" | "ARGB64_BE" | "RGBA64_LE" | "RGBA64_BE" | "BGRA64_LE"
        | "BGRA64_BE" | "ABGR64_LE" | "ABGR64_BE" | "Y412_LE" | "Y412_BE" => geometries![(1, 8, 1)],
        "GRAY10_LE32" => geometries![(3, 4, 1)],
        "YUY2" | "UYVY" | "YVYU" | "VYUY" => geometries![(2, 4, 1)],
        "Y210" | "Y212_LE" | "Y212_BE" => geometries![(2, 8, 1)],
        "UYVP" => geometries![(2, 5, 1)],
        "IYU1" => geometries![(4, 6, 1)],
        "v210" => geometries![(6, 16, 1)],
        "v216" => geometries![(2, 8, 1)],
        "I420" | "YV12" => geometries![(1, 1, 1), (2, 1, 2), (2, 1, 2)],
        "Y41B" => geometries![(1, 1, 1), (4, 1, 1), (4, 1, 1)],
        "Y42B" => geometries![(1, 1, 1), (2, 1, 1), (2, 1, 1)],
        "YUV9" | "YVU9" => geometries![(1, 1, 1), (4, 1, 4), (4, 1, 4)],
        "Y444" | "GBR" | "RGBP" | "BGRP" => geometries![(1, 1, 1), (1, 1, 1), (1, 1, 1)],
        "GBRA" => geometries![(1, 1, 1), (1, 1, 1), (1, 1, 1), (1, 1, 1)],
        "A420" => geometries![(1, 1, 1), (2, 1, 2), (2, 1, 2), (1, 1, 1)],
        "NV12" | "NV21" => geometries![(1, 1, 1), (2, 2, 2)],
        "NV16" | "NV61" => geometries![(1, 1, 1), (2, 2, 1)],
        "NV24" => geometries![(1, 1, 1), (1, 2, 1)],
        "NV12_10LE32" => geometries![(3, 4, 1), (3, 4, 2)],
        "NV16_10LE32" => geometries![(3, 4, 1), (3, 4, 1)],
        "NV12_10LE40" => geometries![(4, 5, 1), (4, 5, 2)],
        "AV12" => geometries![(1, 1, 1), (2, 2, 2), (1, 1, 1)],
        "P010_10LE" | "P010_10BE" | "P012_LE" | "P012_BE" | "P016_LE" | "P016_BE" => {
            geometries![(1, 2, 1), (2, 4, 2)]
        }
        "I420_10LE" | "I420_10BE" | "I420_12LE" | "I420_12BE" => geometries![(1, 2, 1), (2, 2, 2), (2, 2, 2)],
        "I422_10LE" | "I422_10BE" | "I422_12LE" | "I422_12BE" => geometries![(1, 2, 1), (2, 2, 1), (2, 2, 1)],
        "Y444_10LE" | "Y444_10BE" | "Y444_12LE" | "Y444_12BE" | "Y444_16LE" | "Y444_16BE" | "GBR_10LE"
        | "GBR_10BE" | "GBR_12LE" | "GBR_12BE" | "GBR_16LE" | "GBR_16BE" => {
            geometries![(1, 2, 1), (1, 2, 1), (1, 2, 1)]
        }
        "GBRA_10LE" | "GBRA_10BE" | "GBRA_12LE" | "GBRA_12BE" => {
            geometries![(1, 2, 1), (1, 2, 1), (1, 2, 1), (1, 2, 1)]
        }
        "A420_10LE" | "A420_10BE" => geometries![(1, 2, 1), (2, 2, 2), (2, 2, 2), (1, 2, 1)],
        "A422_10LE" | "A422_10BE" => geometries![(1, 2, 1), (2, 2, 1), (2, 2, 1), (1, 2, 1)],
        "A444_10LE" | "A444_10BE" => geometries![(1, 2, 1), (1, 2, 1), (1, 2, 1), (1, 2, 1)],
        _ => return None,
    })
}

/// What each plane of a `width` × `height` picture of format `format` needs, or `None` if the format is not known here.
///
/// ```
/// use shmflow::meta::{PlaneExtent, plane_extents};
///
/// let planes: Vec<PlaneExtent> = plane_extents("NV12", 641, 481).unwrap().collect();
/// assert_eq!(planes[0], PlaneExtent { rows: 481, row_bytes: 641 });
/// assert_eq!(planes[1], PlaneExtent { rows: 241, row_bytes: 642 });
/// assert!(plane_extents("H264", 640, 480).is_none());
/// ```
pub fn plane_extents(
    format: &str,
    width: u32,
    height: u32,
) -> Option<impl ExactSizeIterator<Item = PlaneExtent> + Clone + std::fmt::Debug + use<>> {
    let geometries = geometries(format)?;
    Some(geometries.iter().map(move |geometry| geometry.extent(width, height)))
}
