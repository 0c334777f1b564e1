//! A video frame: its size, and the positions of its planes.
#![allow(unsafe_code, reason = "exported names, and C's pointers")]

use std::ffi::c_void;

use ring::meta::{MetaError, VideoLayout, plane_extents};

use crate::args::{self, Versioned};
use crate::fail::{Failure, Result, guard, guard_or};
use crate::frame::Frame;
use crate::status::{SHMFLOW_NO_METADATA, SHMFLOW_UNKNOWN_FORMAT, Status};

/// One plane of a video frame. Row y starts at data + y * stride and has row_bytes bytes, all within the frame.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Plane {
    /// Its first row.
    pub data: *const c_void,
    /// The same, in bytes from the start of the frame.
    pub offset: u64,
    /// Bytes of a row that hold pixels.
    pub row_bytes: u64,
    /// Bytes from one row to the next; negative if the rows are stored bottom-up.
    pub stride: i32,
    /// Number of rows.
    pub rows: u32,
}

// SAFETY: integers and a pointer, no padding.
unsafe impl Versioned for Plane {
    const LEAST: usize = 32;
}

/// The visible part of a video frame, in pixels.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Crop {
    /// Pixels left of the visible part.
    pub x: u32,
    /// Pixels above the visible part.
    pub y: u32,
    /// Its width.
    pub width: u32,
    /// Its height.
    pub height: u32,
}

// SAFETY: integers, no padding.
unsafe impl Versioned for Crop {
    const LEAST: usize = 16;
}

impl Frame {
    fn video(&self) -> Result<&VideoLayout> {
        self.meta()?
            .video
            .as_ref()
            .ok_or_else(|| Failure::Said(SHMFLOW_NO_METADATA, "the frame carries no video layout".into()))
    }

    fn plane(&self, index: u32) -> Result<(Plane, Result<()>)> {
        let video = self.video()?;
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let Some(plane) = video.planes.get(index) else {
            return Err(Failure::argument(format!(
                "there is no plane {index}: it has {}",
                video.planes.len()
            )));
        };
        let where_it_is = |data, row_bytes, rows| Plane {
            data,
            offset: plane.offset,
            row_bytes,
            stride: plane.stride,
            rows,
        };
        match video.fits(self.ring.len()) {
            Ok(()) => {}
            Err(MetaError::UnknownFormat { .. }) => {
                let why = format!(
                    "the planes of the format {} are not known here and cannot be checked: use offset and stride",
                    video.format
                );
                let failure = Failure::Said(SHMFLOW_UNKNOWN_FORMAT, why);
                return Ok((where_it_is(std::ptr::null(), 0, 0), Err(failure)));
            }
            Err(error) => return Err(error.into()),
        }
        let extent = plane_extents(&video.format, video.width, video.height)
            .and_then(|mut extents| extents.nth(index))
            .ok_or_else(|| Failure::argument("there is no such plane"))?;
        let start = usize::try_from(plane.offset).ok().and_then(|offset| self.ring.get(offset..));
        let start = start.ok_or_else(|| Failure::argument("there is no such plane"))?;
        Ok((where_it_is(start.as_ptr().cast(), extent.row_bytes, extent.rows), Ok(())))
    }
}

/// Width of a video frame, in pixels; 0 if it is not a video frame.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_width(frame: *const Frame) -> u32 {
    // SAFETY: the caller's.
    guard_or(0, || Ok(unsafe { args::object(frame, "frame") }?.video()?.width))
}

/// Height of a video frame, in pixels; 0 if it is not a video frame.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_height(frame: *const Frame) -> u32 {
    // SAFETY: the caller's.
    guard_or(0, || Ok(unsafe { args::object(frame, "frame") }?.video()?.height))
}

/// Frames per second, as a fraction; 0/1 if the rate is not known, or varies. SHMFLOW_NO_METADATA if it is not a video frame.
///
/// # Safety
/// frame is a frame; numerator and denominator point to numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_rate(
    frame: *const Frame,
    numerator: *mut u32,
    denominator: *mut u32,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (n, d) =
            unsafe { (args::place(numerator, "numerator")?, args::place(denominator, "denominator")?) };
        n.write(0);
        d.write(1);
        // SAFETY: the caller's.
        let fps = unsafe { args::object(frame, "frame") }?.video()?.fps;
        n.write(fps.0);
        d.write(fps.1);
        Ok(())
    })
}

/// How many planes a video frame has: 1 to 4; 0 if it is not a video frame.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_plane_count(frame: *const Frame) -> u32 {
    guard_or(0, || {
        // SAFETY: the caller's.
        let count = unsafe { args::object(frame, "frame") }?.video()?.planes.len();
        Ok(u32::try_from(count).unwrap_or(0))
    })
}

/// A plane of the frame. Call it as shmflow_frame_plane(frame, 0, &plane, sizeof plane). SHMFLOW_OK means that all planes
/// were checked to be within the frame, and SHMFLOW_INVALID_METADATA that they are not. With SHMFLOW_UNKNOWN_FORMAT only
/// offset and stride are set, unchecked.
///
/// # Safety
/// frame is a frame; plane points to size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_plane(
    frame: *const Frame,
    index: u32,
    plane: *mut Plane,
    size: usize,
) -> Status {
    guard(|| {
        let nothing = Plane { data: std::ptr::null(), offset: 0, row_bytes: 0, stride: 0, rows: 0 };
        // SAFETY: the caller's.
        unsafe {
            args::write(plane, size, nothing, "plane")?;
            let (found, checked) = args::object(frame, "frame")?.plane(index)?;
            args::write(plane, size, found, "plane")?;
            checked
        }
    })
}

/// The visible part of a video frame: all of it if the producer set no crop, or one that exceeds the frame. Call it as
/// shmflow_frame_crop(frame, &crop, sizeof crop).
///
/// # Safety
/// frame is a frame; crop points to size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_crop(frame: *const Frame, crop: *mut Crop, size: usize) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        unsafe {
            args::write(crop, size, Crop { x: 0, y: 0, width: 0, height: 0 }, "crop")?;
            let frame = args::object(frame, "frame")?;
            let video = frame.video()?;
            let said = frame.meta()?.crop.filter(|crop| crop.within(video.width, video.height));
            let visible =
                said.map_or(Crop { x: 0, y: 0, width: video.width, height: video.height }, |crop| Crop {
                    x: crop.x,
                    y: crop.y,
                    width: crop.width,
                    height: crop.height,
                });
            args::write(crop, size, visible, "crop")
        }
    })
}
