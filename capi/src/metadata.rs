//! The metadata that a producer sets for a frame.
#![allow(unsafe_code, reason = "exported names, and C's pointers")]

use std::ffi::c_char;

use ring::meta::{Clock, Crop, Flags, Kind, Meta, Plane, Times, VideoLayout, plane_extents};

use crate::args::{self, Versioned};
use crate::audio::{self, Audio};
use crate::fail::{Failure, Result, guard};
use crate::status::{SHMFLOW_INVALID_METADATA, SHMFLOW_UNKNOWN_FORMAT, Status};

/// A time that is not known.
pub const SHMFLOW_NO_TIME: u64 = 0xffff_ffff_ffff_ffff;
/// An offset that is not known.
pub const SHMFLOW_NO_OFFSET: u64 = 0xffff_ffff_ffff_ffff;

/// The clock of the capture time is not known.
pub const SHMFLOW_CLOCK_UNKNOWN: u32 = 0;
/// CLOCK_MONOTONIC as this process reads it; times are translated between processes with different time namespaces.
pub const SHMFLOW_CLOCK_MONOTONIC: u32 = 1;
/// CLOCK_REALTIME: since 1970, UTC.
pub const SHMFLOW_CLOCK_REALTIME: u32 = 2;
/// CLOCK_TAI: since 1970, without leap seconds, as PTP has it.
pub const SHMFLOW_CLOCK_TAI: u32 = 3;

/// The frame does not continue the previous frame.
pub const SHMFLOW_FLAG_DISCONT: u32 = 1;
/// The frame is corrupted.
pub const SHMFLOW_FLAG_CORRUPTED: u32 = 2;
/// The frame is filler for a gap.
pub const SHMFLOW_FLAG_GAP: u32 = 4;
/// The frame cannot be decoded without earlier frames.
pub const SHMFLOW_FLAG_DELTA_UNIT: u32 = 32;
/// The frame was captured live.
pub const SHMFLOW_FLAG_LIVE: u32 = 512;
/// The frame is interlaced.
pub const SHMFLOW_FLAG_INTERLACED: u32 = 65536;
/// The top field comes first.
pub const SHMFLOW_FLAG_TFF: u32 = 131_072;

/// The maximum number of planes of a frame.
pub const SHMFLOW_MAX_PLANES: usize = 4;

/// The position of a plane in the bytes of a frame.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct PlaneLayout {
    /// Where its first row starts, in bytes from the start of the frame.
    pub offset: u64,
    /// Bytes from one row to the next; negative if the rows are stored bottom-up.
    pub stride: i32,
    /// Zero.
    pub reserved: u32,
}

/// The metadata of a frame. Call shmflow_metadata_init, then set the fields that are known.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Metadata {
    /// Size of this structure as the program knows it. Set by shmflow_metadata_init.
    pub size: usize,
    /// Name of the pixel format as GStreamer has it, "BGR" or "NV12". NULL: not a video frame.
    pub format: *const c_char,
    /// GStreamer caps. NULL: made from format, size and rate, for a video frame, or from audio; none, for others.
    pub caps: *const c_char,
    /// When the frame was captured, in nanoseconds of the clock below, or SHMFLOW_NO_TIME (default).
    pub capture_time: u64,
    /// Presentation time in this producer's stream, in nanoseconds, or SHMFLOW_NO_TIME (default).
    pub pts: u64,
    /// How long the frame lasts, in nanoseconds, or SHMFLOW_NO_TIME (default).
    pub duration: u64,
    /// The positions of the planes, if plane_count is not 0.
    pub planes: [PlaneLayout; SHMFLOW_MAX_PLANES],
    /// The clock of capture_time: SHMFLOW_CLOCK_.... Default SHMFLOW_CLOCK_MONOTONIC.
    pub clock: u32,
    /// SHMFLOW_FLAG_..., combined by OR. Default 0.
    pub flags: u32,
    /// Width of a video frame, in pixels.
    pub width: u32,
    /// Height of a video frame, in pixels.
    pub height: u32,
    /// Frames per second, numerator. 0: the rate is not known, or varies.
    pub fps_n: u32,
    /// Frames per second, denominator. Default 1.
    pub fps_d: u32,
    /// The number of entries in planes. 0 (default): rows without padding, plane after plane, as shmflow_video_size counts
    /// them.
    pub plane_count: u32,
    /// The visible part of a video frame, in pixels; all of it if crop_width is 0 (default).
    pub crop_x: u32,
    /// See crop_x.
    pub crop_y: u32,
    /// See crop_x.
    pub crop_width: u32,
    /// See crop_x.
    pub crop_height: u32,
    /// Zero.
    pub reserved: u32,
    /// The layout of raw audio. NULL (default): not audio.
    pub audio: *const Audio,
    /// Decoding time in this producer's stream, in nanoseconds, or SHMFLOW_NO_TIME (default). Of packets whose order of decoding is
    /// not that of showing.
    pub dts: u64,
    /// How long after capture this producer publishes a frame at the latest, in nanoseconds, or SHMFLOW_NO_TIME (default).
    pub latency: u64,
    /// First unit of the frame in this producer's stream (frame number, byte, sample), or SHMFLOW_NO_OFFSET (default).
    pub offset: u64,
    /// Unit after the last one, or SHMFLOW_NO_OFFSET (default).
    pub offset_end: u64,
}

// SAFETY: integers and pointers, the size first, no padding (a test counts).
unsafe impl Versioned for Metadata {
    const LEAST: usize = if size_of::<usize>() == 8 { 168 } else { size_of::<Self>() - 4 * 8 };
}

impl Metadata {
    const DEFAULT: Self = Self {
        size: size_of::<Self>(),
        format: std::ptr::null(),
        caps: std::ptr::null(),
        capture_time: SHMFLOW_NO_TIME,
        pts: SHMFLOW_NO_TIME,
        duration: SHMFLOW_NO_TIME,
        planes: [PlaneLayout { offset: 0, stride: 0, reserved: 0 }; SHMFLOW_MAX_PLANES],
        clock: SHMFLOW_CLOCK_MONOTONIC,
        flags: 0,
        width: 0,
        height: 0,
        fps_n: 0,
        fps_d: 1,
        plane_count: 0,
        crop_x: 0,
        crop_y: 0,
        crop_width: 0,
        crop_height: 0,
        reserved: 0,
        audio: std::ptr::null(),
        dts: SHMFLOW_NO_TIME,
        latency: SHMFLOW_NO_TIME,
        offset: SHMFLOW_NO_OFFSET,
        offset_end: SHMFLOW_NO_OFFSET,
    };

    /// # Safety
    /// Its texts are texts or NULL.
    unsafe fn to_meta(self) -> Result<Meta> {
        // SAFETY: the caller's.
        let (format, caps) =
            unsafe { (args::optional_text(self.format, "format")?, args::optional_text(self.caps, "caps")?) };
        let video = format.map(|format| self.video(format)).transpose()?;
        // SAFETY: the caller's.
        let audio = unsafe { audio::given(self.audio) }?;
        let (kind, caps_of_it) = match (&video, &audio) {
            (Some(_), Some(_)) => return Err(Failure::argument("a frame is either video (format) or audio")),
            (Some(video), None) => (Kind::Video, Some(caps_of(video))),
            (None, Some(audio)) => (Kind::Audio, Some(audio::caps_of(audio))),
            (None, None) => (caps.map_or(Kind::Bytes, Kind::of_caps), None),
        };
        let caps = caps.map(str::to_owned).or(caps_of_it);
        let time = |time: u64| (time != SHMFLOW_NO_TIME).then_some(time);
        let capture_ns = time(self.capture_time);
        // Without a time there is no clock.
        let clock = u16::try_from(self.clock)
            .map_err(|_| Failure::argument(format!("clock is {}, which is not a valid clock", self.clock)))?;
        let times = Times::default()
            .capture_ns(capture_ns)
            .clock(if capture_ns.is_some() { Clock::from_raw(clock) } else { Clock::Unknown })
            .pts(time(self.pts))
            .dts(time(self.dts))
            .duration(time(self.duration))
            .latency_ns(time(self.latency));
        let offset = |offset: u64| (offset != SHMFLOW_NO_OFFSET).then_some(offset);
        let mut meta = Meta::new(kind)
            .flags(Flags::from_bits(self.flags))
            .times(times)
            .offset(offset(self.offset))
            .offset_end(offset(self.offset_end))
            .crop(self.crop(video.as_ref())?)
            .video(video)
            .audio(audio);
        meta.caps = caps;
        Ok(meta)
    }

    fn video(&self, format: &str) -> Result<VideoLayout> {
        let fps = match (self.fps_n, self.fps_d) {
            (0, _) => (0, 1),
            (_, 0) => return Err(Failure::argument("fps_d is 0 (an unknown rate is 0/1)")),
            fps => fps,
        };
        let count = usize::try_from(self.plane_count).unwrap_or(usize::MAX);
        let planes = match self.planes.get(..count) {
            Some([]) => packed(format, self.width, self.height)?.0,
            Some(planes) => {
                planes.iter().map(|plane| Plane { offset: plane.offset, stride: plane.stride }).collect()
            }
            None => {
                return Err(Failure::argument(format!("plane_count is {count} (at most 4)")));
            }
        };
        Ok(VideoLayout::new(format, self.width, self.height, planes).fps(fps.0, fps.1))
    }

    fn crop(&self, video: Option<&VideoLayout>) -> Result<Option<Crop>> {
        if self.crop_width == 0 {
            return Ok(None);
        }
        let crop = Crop { x: self.crop_x, y: self.crop_y, width: self.crop_width, height: self.crop_height };
        if video.is_some_and(|video| crop.within(video.width, video.height)) {
            return Ok(Some(crop));
        }
        Err(Failure::Said(SHMFLOW_INVALID_METADATA, "the crop is not within the video frame".into()))
    }
}

/// The metadata of a frame, as the crate has them; `None` for bare bytes.
///
/// # Safety
/// NULL, or what `shmflow_producer_write` asks for.
pub(crate) unsafe fn given(metadata: *const Metadata) -> Result<Option<Meta>> {
    if metadata.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's.
    unsafe { args::read(metadata, Metadata::DEFAULT, "metadata")?.to_meta() }.map(Some)
}

/// Whether the layout fits a frame of `len` bytes. Formats that are not known here are not checked.
pub(crate) fn check_fit(meta: &Meta, len: usize) -> Result<()> {
    let video = meta.video.as_ref().map(|video| video.fits(len));
    let audio = meta.audio.as_ref().map(|audio| audio.fits(len));
    for fits in video.into_iter().chain(audio) {
        match fits {
            Ok(()) | Err(ring::meta::MetaError::UnknownFormat { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Rows without padding, plane after plane, and the bytes of them all.
fn packed(format: &str, width: u32, height: u32) -> Result<(Vec<Plane>, usize)> {
    if width == 0 || height == 0 {
        return Err(Failure::argument("width or height is 0"));
    }
    let Some(extents) = plane_extents(format, width, height) else {
        return Err(Failure::Said(
            SHMFLOW_UNKNOWN_FORMAT,
            format!(
                "the pixel format {format:?} is not known: set the positions of its planes (plane_count, planes)"
            ),
        ));
    };
    let too_large = || Failure::argument(format!("a frame of {width} × {height} pixels is too large"));
    let mut planes = Vec::new();
    let mut offset = 0u64;
    for extent in extents {
        let stride = i32::try_from(extent.row_bytes).map_err(|_| too_large())?;
        planes.push(Plane { offset, stride });
        let bytes = extent.row_bytes.checked_mul(extent.rows.into());
        offset = bytes.and_then(|bytes| offset.checked_add(bytes)).ok_or_else(too_large)?;
    }
    let size = usize::try_from(offset).map_err(|_| too_large())?;
    args::check_len(size, "a frame")?;
    Ok((planes, size))
}

fn caps_of(video: &VideoLayout) -> String {
    let VideoLayout { format, width, height, fps: (n, d), .. } = video;
    format!(
        "video/x-raw, format=(string){format}, width=(int){width}, height=(int){height}, framerate=(fraction){n}/{d}"
    )
}

/// Bytes of a video frame whose rows have no padding and whose planes follow each other: what to claim for it if
/// plane_count is 0. SHMFLOW_UNKNOWN_FORMAT if the planes of the format are not known.
///
/// # Safety
/// format is a text; bytes points to a size_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_video_size(
    format: *const c_char,
    width: u32,
    height: u32,
    bytes: *mut usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (format, bytes) = unsafe { (args::text(format, "format")?, args::place(bytes, "bytes")?) };
        bytes.write(packed(format, width, height)?.1);
        Ok(())
    })
}

/// Sets every field to its default. Call it as shmflow_metadata_init(&metadata, sizeof metadata).
///
/// # Safety
/// metadata points to size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_metadata_init(metadata: *mut Metadata, size: usize) -> Status {
    // SAFETY: the caller's.
    guard(|| unsafe { args::write(metadata, size, Metadata { size, ..Metadata::DEFAULT }, "metadata") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn the_first_version_is_what_it_was() {
        assert_eq!(Metadata::LEAST, 7 * 8 + 4 * 16 + 12 * 4);
        assert_eq!(Metadata::LEAST, std::mem::offset_of!(Metadata, dts));
        assert_eq!(size_of::<Metadata>(), Metadata::LEAST + 4 * 8);
    }

    #[test]
    fn the_flags_are_those_of_the_metadata() {
        for (number, flag) in [
            (SHMFLOW_FLAG_DISCONT, Flags::DISCONT),
            (SHMFLOW_FLAG_CORRUPTED, Flags::CORRUPTED),
            (SHMFLOW_FLAG_GAP, Flags::GAP),
            (SHMFLOW_FLAG_DELTA_UNIT, Flags::DELTA_UNIT),
            (SHMFLOW_FLAG_LIVE, Flags::LIVE),
            (SHMFLOW_FLAG_INTERLACED, Flags::INTERLACED),
            (SHMFLOW_FLAG_TFF, Flags::TFF),
        ] {
            assert_eq!(number, flag.bits());
        }
        assert_eq!(Clock::from_raw(SHMFLOW_CLOCK_TAI as u16), Clock::Tai);
    }

    #[test]
    fn packed_frames_have_no_padding() {
        let (planes, size) = packed("NV12", 641, 481).unwrap();
        let [luma, chroma] = &planes[..] else { panic!("{planes:?}") };
        assert_eq!((luma.stride, chroma.offset, chroma.stride), (641, 641 * 481, 642));
        assert_eq!(size, 641 * 481 + 642 * 241);
        for (format, width, height) in
            [("BGR", u32::MAX, 1), ("BGR", 0, 1), ("NOPE", 1, 1), ("ARGB64", 1 << 28, 1)]
        {
            assert!(packed(format, width, height).is_err(), "{format} {width} {height}");
        }
    }
}
