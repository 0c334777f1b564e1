//! The layout of a video frame in its payload, and whether it fits there.

use super::error::MetaError;
use super::format::{PlaneExtent, plane_extents};
use super::wire::{
    ENTRY_VIDEO, FORMAT_NAME_LEN, VIDEO_AT_FORMAT, VIDEO_AT_FPS_D, VIDEO_AT_FPS_N, VIDEO_AT_HEIGHT,
    VIDEO_AT_PLANE, VIDEO_AT_PLANES, VIDEO_AT_WIDTH, VIDEO_LEN, VIDEO_MAX_PLANES, VIDEO_PLANE_LEN, get_u32,
    get_u64, put,
};

/// One plane of a video frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Plane {
    /// Where the plane's first row starts, in bytes from the start of the payload.
    pub offset: u64,
    /// Bytes from one row to the next; negative if the rows are stored bottom-up.
    pub stride: i32,
}

/// The layout of an uncompressed video frame in its payload.
///
/// ```
/// use shmflow::meta::{Plane, VideoLayout};
///
/// let planes = [Plane { offset: 0, stride: 640 }, Plane { offset: 640 * 480, stride: 640 }];
/// let layout = VideoLayout::new("NV12", 640, 480, planes).fps(30, 1);
/// assert!(layout.fits(640 * 480 * 3 / 2).is_ok());
/// assert!(layout.fits(640 * 480).is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct VideoLayout {
    /// Name of the pixel format, as GStreamer calls it (`NV12`, `BGRx`): 1 to 24 visible ASCII characters.
    pub format: String,
    /// Width in pixels, not 0.
    pub width: u32,
    /// Height in pixels, not 0.
    pub height: u32,
    /// One to four planes.
    pub planes: Vec<Plane>,
    /// Frames per second as numerator and denominator; 0/1 if the rate is unknown or varies. The denominator is not 0.
    pub fps: (u32, u32),
}

impl VideoLayout {
    /// A picture of `width` × `height` pixels with these planes, at an unknown frame rate. Nothing is checked here:
    /// [`Meta::encode`](super::Meta::encode) refuses what a block cannot say.
    #[must_use]
    pub fn new(
        format: impl Into<String>,
        width: u32,
        height: u32,
        planes: impl IntoIterator<Item = Plane>,
    ) -> Self {
        let (format, planes) = (format.into(), planes.into_iter().collect());
        Self { format, width, height, planes, fps: (0, 1) }
    }

    /// Sets [`fps`](#structfield.fps).
    #[must_use]
    pub fn fps(mut self, numerator: u32, denominator: u32) -> Self {
        self.fps = (numerator, denominator);
        self
    }

    /// Checks that every plane lies within a payload of `len` bytes.
    ///
    /// # Errors
    /// [`MetaError::UnknownFormat`] for a format that [`plane_extents`] does not know: use
    /// [`fits_extents`](Self::fits_extents) there. Otherwise what is wrong with which plane.
    pub fn fits(&self, len: usize) -> Result<(), MetaError> {
        fits(&self.format, self.width, self.height, &self.planes, len)
    }

    /// Like [`fits`](Self::fits), with the plane sizes that the caller knows to be those of the format.
    ///
    /// # Errors
    /// What is wrong with which plane.
    pub fn fits_extents(
        &self,
        extents: impl ExactSizeIterator<Item = PlaneExtent>,
        len: usize,
    ) -> Result<(), MetaError> {
        fits_extents(&self.format, extents, &self.planes, len)
    }

    /// What the block cannot say: shared by both directions, so that whatever was encoded can be decoded.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        check(&self.format, self.width, self.height, self.planes.len(), self.fps)
    }

    /// Writes the entry's value. `self` has passed [`check`](Self::check).
    pub(super) fn put(&self, value: &mut [u8; VIDEO_LEN]) {
        *value = [0; VIDEO_LEN];
        put(value, VIDEO_AT_WIDTH, self.width.to_le_bytes());
        put(value, VIDEO_AT_HEIGHT, self.height.to_le_bytes());
        put(value, VIDEO_AT_FPS_N, self.fps.0.to_le_bytes());
        put(value, VIDEO_AT_FPS_D, self.fps.1.to_le_bytes());
        let planes = self.planes.len().min(VIDEO_MAX_PLANES);
        put(value, VIDEO_AT_PLANES, (planes as u32).to_le_bytes());
        let name = self.format.as_bytes();
        for (to, from) in value.iter_mut().skip(VIDEO_AT_FORMAT).take(FORMAT_NAME_LEN).zip(name) {
            *to = *from;
        }
        let (_, area) = value.split_at_mut(VIDEO_AT_PLANE);
        for (to, plane) in area.chunks_exact_mut(VIDEO_PLANE_LEN).zip(&self.planes) {
            put(to, 0, plane.offset.to_le_bytes());
            put(to, 8, plane.stride.to_le_bytes());
        }
    }
}

/// The video layout of a [`MetaView`](super::MetaView): read in place, nothing allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoView<'a> {
    format: &'a str,
    width: u32,
    height: u32,
    fps: (u32, u32),
    planes: [Plane; VIDEO_MAX_PLANES],
    plane_count: usize,
}

impl<'a> VideoView<'a> {
    /// Name of the pixel format, as GStreamer calls it.
    #[must_use]
    pub fn format(&self) -> &'a str {
        self.format
    }

    /// Width in pixels, not 0.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, not 0.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Frames per second as numerator and denominator (not 0); 0/1 if the rate is unknown or varies.
    #[must_use]
    pub fn fps(&self) -> (u32, u32) {
        self.fps
    }

    /// One to four planes.
    #[must_use]
    pub fn planes(&self) -> &[Plane] {
        self.planes.get(..self.plane_count).unwrap_or(&self.planes)
    }

    /// Checks that every plane is within a payload of `len` bytes; see [`VideoLayout::fits`].
    ///
    /// # Errors
    /// As [`VideoLayout::fits`].
    pub fn fits(&self, len: usize) -> Result<(), MetaError> {
        fits(self.format, self.width, self.height, self.planes(), len)
    }

    /// Like [`fits`](Self::fits), with the plane sizes that the caller knows to be those of the format.
    ///
    /// # Errors
    /// What is wrong with which plane.
    pub fn fits_extents(
        &self,
        extents: impl ExactSizeIterator<Item = PlaneExtent>,
        len: usize,
    ) -> Result<(), MetaError> {
        fits_extents(self.format, extents, self.planes(), len)
    }

    /// The same as an owned value.
    #[must_use]
    pub fn to_layout(&self) -> VideoLayout {
        VideoLayout {
            format: self.format.to_owned(),
            width: self.width,
            height: self.height,
            planes: self.planes().to_vec(),
            fps: self.fps,
        }
    }

    /// Reads the value of the video entry at byte `at`. Bytes after those of this version belong to later ones.
    pub(super) fn read(value: &'a [u8], at: usize) -> Result<Self, MetaError> {
        let bad = |why| MetaError::BadEntry { ty: ENTRY_VIDEO, at, why };
        let value = value.first_chunk::<VIDEO_LEN>().ok_or(bad("it is shorter than 112 bytes"))?;
        let number = |at| get_u32(value, at).unwrap_or(0);
        let (width, height) = (number(VIDEO_AT_WIDTH), number(VIDEO_AT_HEIGHT));
        let fps = (number(VIDEO_AT_FPS_N), number(VIDEO_AT_FPS_D));
        let plane_count = usize::try_from(number(VIDEO_AT_PLANES)).unwrap_or(usize::MAX);
        let (_, name) = value.split_at(VIDEO_AT_FORMAT);
        let name = name.get(..FORMAT_NAME_LEN).unwrap_or(name);
        let name = name.split(|&byte| byte == 0).next().unwrap_or(&[]);
        let format = str::from_utf8(name).map_err(|_| bad("its format name is not ASCII"))?;
        check(format, width, height, plane_count, fps).map_err(bad)?;
        let mut planes = [Plane::default(); VIDEO_MAX_PLANES];
        let (_, area) = value.split_at(VIDEO_AT_PLANE);
        for (plane, from) in planes.iter_mut().zip(area.chunks_exact(VIDEO_PLANE_LEN)).take(plane_count) {
            plane.offset = get_u64(from, 0).unwrap_or(0);
            plane.stride = get_u32(from, 8).unwrap_or(0).cast_signed();
        }
        Ok(Self { format, width, height, fps, planes, plane_count })
    }
}

fn check(format: &str, width: u32, height: u32, planes: usize, fps: (u32, u32)) -> Result<(), &'static str> {
    if format.is_empty() || format.len() > FORMAT_NAME_LEN {
        return Err("its format name has not 1 to 24 characters");
    }
    if !format.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("its format name is not visible ASCII");
    }
    if width == 0 || height == 0 {
        return Err("its width or height is 0");
    }
    if planes == 0 || planes > VIDEO_MAX_PLANES {
        return Err("it has not 1 to 4 planes");
    }
    if fps.1 == 0 {
        return Err("the denominator of its frame rate is 0 (an unknown rate is 0/1)");
    }
    Ok(())
}

fn fits(format: &str, width: u32, height: u32, planes: &[Plane], len: usize) -> Result<(), MetaError> {
    let extents = plane_extents(format, width, height)
        .ok_or_else(|| MetaError::UnknownFormat { format: format.to_owned() })?;
    fits_extents(format, extents, planes, len)
}

fn fits_extents(
    format: &str,
    extents: impl ExactSizeIterator<Item = PlaneExtent>,
    planes: &[Plane],
    len: usize,
) -> Result<(), MetaError> {
    let expected = extents.len();
    if planes.len() != expected {
        return Err(MetaError::PlaneCount { format: format.to_owned(), found: planes.len(), expected });
    }
    let have = u64::try_from(len).unwrap_or(u64::MAX);
    for (number, (plane, extent)) in planes.iter().zip(extents).enumerate() {
        plane.fits(number, extent, have)?;
    }
    Ok(())
}

impl Plane {
    fn fits(&self, number: usize, extent: PlaneExtent, have: u64) -> Result<(), MetaError> {
        let PlaneExtent { rows, row_bytes } = extent;
        let Some(steps) = rows.checked_sub(1) else {
            return Ok(());
        };
        let step = u64::from(self.stride.unsigned_abs());
        if steps > 0 && step < row_bytes {
            return Err(MetaError::Stride { plane: number, stride: self.stride, row_bytes });
        }
        let outside = |needed| MetaError::OutsidePayload { plane: number, needed, have };
        let span = step.checked_mul(u64::from(steps)).ok_or(outside(None))?;
        // Rows that go up in memory end after the last one; those that go down end after the first.
        let last = if self.stride < 0 {
            self.offset.checked_sub(span).ok_or(outside(None))?;
            self.offset
        } else {
            self.offset.checked_add(span).ok_or(outside(None))?
        };
        let needed = last.checked_add(row_bytes).ok_or(outside(None))?;
        if needed > have { Err(outside(Some(needed))) } else { Ok(()) }
    }
}
