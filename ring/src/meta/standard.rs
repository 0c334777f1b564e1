//! The default positions of the planes of a picture.

use super::format::plane_extents;
use super::video::{Plane, VideoLayout};

impl VideoLayout {
    /// How GStreamer lays out a `width` × `height` picture of a format when nothing else is asked for, and how many bytes
    /// that takes. Elements that do not look at strides and offsets understand such frames, too. The rate is left unknown.
    ///
    /// `None` for a format that [`plane_extents`] does not know, for a width or height of 0, and for sizes beyond what
    /// strides of 32 bits can say. (Rows of `UYVP`, `Y210` and `Y212` of odd width are laid out as GStreamer 1.24 does it;
    /// earlier ones make them too short for their last pixel.)
    ///
    /// ```
    /// use shmflow::meta::{Plane, VideoLayout};
    ///
    /// let (layout, size) = VideoLayout::standard("I420", 321, 241).unwrap();
    /// assert_eq!(layout.planes[0], Plane { offset: 0, stride: 324 });
    /// assert_eq!(layout.planes[1], Plane { offset: 324 * 242, stride: 164 });
    /// assert_eq!(size, 324 * 242 + 2 * 164 * 121);
    /// assert!(layout.fits(size as usize).is_ok());
    /// ```
    #[must_use]
    pub fn standard(format: &str, width: u32, height: u32) -> Option<(Self, u64)> {
        if width == 0 || height == 0 {
            return None;
        }
        let mut size = 0_u64;
        let mut planes = Vec::with_capacity(4);
        // Some formats have room for an even number of rows.
        let rows_of = if has_even_rows(format) { height.checked_next_multiple_of(2)? } else { height };
        for (plane, alike) in
            plane_extents(format, width, height)?.zip(plane_extents(format, width, rows_of)?)
        {
            let stride = plane.row_bytes.checked_next_multiple_of(alignment(format))?;
            planes.push(Plane { offset: size, stride: i32::try_from(stride).ok()? });
            size = size.checked_add(stride.checked_mul(u64::from(alike.rows))?)?;
        }
        Some((Self { format: format.into(), width, height, planes, fps: (0, 1) }, size))
    }
}

/// What the length of a row is a multiple of.
fn alignment(format: &str) -> u64 {
    match format {
        "v210" => 128,
        "NV12_10LE40" => 5,
        _ => 4,
    }
}

fn has_even_rows(format: &str) -> bool {
    let starts = ["I420", "I422", "YV12", "NV12", "NV21", "A42", "AV12", "P01", "GRAY10_LE32"];
    starts.iter().any(|start| format.starts_with(start))
}
