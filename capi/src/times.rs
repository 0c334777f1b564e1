//! Times of a frame beside those of its metadata, and its captions.
#![allow(unsafe_code, reason = "exported names, and C's pointers")]

use std::ffi::{CString, c_char, c_void};

use ring::meta::{Caption as RingCaption, ReferenceTimestamp, TimeCode as RingTimeCode};

use crate::args::{self, Versioned};
use crate::attached::{all, beyond};
use crate::claim::Claim;
use crate::fail::{Result, guard, guard_or};
use crate::frame::Frame;
use crate::metadata::SHMFLOW_NO_TIME;
use crate::status::Status;

/// Captions are CEA-608 byte pairs.
pub const SHMFLOW_CAPTION_CEA608: u32 = 1;
/// CEA-608 as SMPTE ST 334-1 Annex A has it.
pub const SHMFLOW_CAPTION_CEA608_S334: u32 = 2;
/// CEA-708, cc_data.
pub const SHMFLOW_CAPTION_CEA708: u32 = 3;
/// CEA-708 as a caption distribution packet.
pub const SHMFLOW_CAPTION_CEA708_CDP: u32 = 4;

/// Numbers of frames are dropped, to keep up with the clock.
pub const SHMFLOW_TIME_CODE_DROP_FRAME: u32 = 1;
/// The time code is of interlaced video.
pub const SHMFLOW_TIME_CODE_INTERLACED: u32 = 2;

/// A time code as SMPTE ST 12-1 has it. Call shmflow_time_code_init, then set the fields.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct TimeCode {
    /// Size of this structure as the program knows it. Set by shmflow_time_code_init.
    pub size: usize,
    /// When the time code was 0 last, in microseconds since 1970, UTC; if has_daily_jam.
    pub daily_jam_us: i64,
    /// How many seconds that moment's zone is east of UTC.
    pub daily_jam_offset: i32,
    /// 1 if these two are known. Default 0.
    pub has_daily_jam: i32,
    /// Frames per second, numerator.
    pub fps_n: u32,
    /// Frames per second, denominator. Default 1.
    pub fps_d: u32,
    /// SHMFLOW_TIME_CODE_..., combined by OR. Default 0.
    pub flags: u32,
    /// Hours.
    pub hours: u32,
    /// Minutes.
    pub minutes: u32,
    /// Seconds.
    pub seconds: u32,
    /// Frame within the second.
    pub frames: u32,
    /// 1 or 2 for a field of an interlaced frame, else 0.
    pub field_count: u32,
}

/// Closed captions of a frame. Call shmflow_caption_init, then set the fields.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Caption {
    /// Size of this structure as the program knows it. Set by shmflow_caption_init.
    pub size: usize,
    /// The bytes.
    pub data: *const c_void,
    /// How many.
    pub length: usize,
    /// SHMFLOW_CAPTION_....
    pub kind: u32,
    /// Zero.
    pub reserved: u32,
}

/// A time of a frame on a clock that caps name. Call shmflow_reference_time_init, then set the fields.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ReferenceTime {
    /// Size of this structure as the program knows it. Set by shmflow_reference_time_init.
    pub size: usize,
    /// The caps that name the clock, "timestamp/x-ntp". Not NULL.
    pub reference: *const c_char,
    /// More of it, a GStreamer structure as text; or NULL (default).
    pub info: *const c_char,
    /// The time in nanoseconds.
    pub timestamp: u64,
    /// How long the frame lasts, in nanoseconds, or SHMFLOW_NO_TIME (default).
    pub duration: u64,
}

const _: () = assert!(
    size_of::<TimeCode>() == TimeCode::LEAST
        && size_of::<Caption>() == Caption::LEAST
        && size_of::<ReferenceTime>() == ReferenceTime::LEAST
);

/// Bytes up to a field of 8 bytes that comes after so many.
const fn aligned(bytes: usize) -> usize {
    bytes.next_multiple_of(align_of::<u64>())
}

// SAFETY: integers, the size first, no padding but behind the size, as asserted.
unsafe impl Versioned for TimeCode {
    const LEAST: usize = aligned(size_of::<usize>()) + 48;
}

// SAFETY: integers and a pointer, the size first, no padding, as asserted.
unsafe impl Versioned for Caption {
    const LEAST: usize = 8 + 3 * size_of::<usize>();
}

// SAFETY: integers and pointers, the size first, no padding but behind the pointers, as asserted.
unsafe impl Versioned for ReferenceTime {
    const LEAST: usize = aligned(3 * size_of::<usize>()) + 16;
}

impl TimeCode {
    const DEFAULT: Self = Self {
        size: size_of::<Self>(),
        daily_jam_us: 0,
        daily_jam_offset: 0,
        has_daily_jam: 0,
        fps_n: 0,
        fps_d: 1,
        flags: 0,
        hours: 0,
        minutes: 0,
        seconds: 0,
        frames: 0,
        field_count: 0,
    };
}

impl Caption {
    const DEFAULT: Self = Self {
        size: size_of::<Self>(),
        data: std::ptr::null(),
        length: 0,
        kind: SHMFLOW_CAPTION_CEA708,
        reserved: 0,
    };
}

impl ReferenceTime {
    const DEFAULT: Self = Self {
        size: size_of::<Self>(),
        reference: std::ptr::null(),
        info: std::ptr::null(),
        timestamp: 0,
        duration: SHMFLOW_NO_TIME,
    };
}

/// Sets every field to its default. Call it as shmflow_time_code_init(&time_code, sizeof time_code).
///
/// # Safety
/// time_code points to size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_time_code_init(time_code: *mut TimeCode, size: usize) -> Status {
    let default = TimeCode { size, ..TimeCode::DEFAULT };
    // SAFETY: the caller's.
    guard(|| unsafe { args::write(time_code, size, default, "time_code") })
}

/// Sets every field to its default. Call it as shmflow_caption_init(&caption, sizeof caption).
///
/// # Safety
/// caption points to size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_caption_init(caption: *mut Caption, size: usize) -> Status {
    let default = Caption { size, ..Caption::DEFAULT };
    // SAFETY: the caller's.
    guard(|| unsafe { args::write(caption, size, default, "caption") })
}

/// Sets every field to its default. Call it as shmflow_reference_time_init(&time, sizeof time).
///
/// # Safety
/// time points to size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_reference_time_init(time: *mut ReferenceTime, size: usize) -> Status {
    let default = ReferenceTime { size, ..ReferenceTime::DEFAULT };
    // SAFETY: the caller's.
    guard(|| unsafe { args::write(time, size, default, "time") })
}

/// Adds a time code to the frame, after shmflow_claim_set_metadata.
/// SHMFLOW_INVALID_METADATA if the topic has no room for so much metadata: see shmflow_producer_grow_metadata.
///
/// # Safety
/// claim is from shmflow_producer_claim; time_code is initialised.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_claim_add_time_code(
    claim: *mut Claim,
    time_code: *const TimeCode,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (claim, given) = unsafe {
            (args::object_mut(claim, "claim")?, args::given(time_code, TimeCode::DEFAULT, "time_code")?)
        };
        let fps = (given.fps_n, given.fps_d);
        let jam = (given.has_daily_jam != 0).then_some((given.daily_jam_us, given.daily_jam_offset));
        let code = RingTimeCode::new(fps, given.hours, given.minutes, given.seconds, given.frames);
        let code = code.flags(given.flags).field_count(given.field_count).daily_jam(jam);
        claim.add(|meta| meta.entry(&code))
    })
}

/// Adds closed captions to the frame, after shmflow_claim_set_metadata.
/// SHMFLOW_INVALID_METADATA if the topic has no room for so much metadata: see shmflow_producer_grow_metadata.
///
/// # Safety
/// claim is from shmflow_producer_claim; caption is initialised, and its data are length bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_claim_add_caption(claim: *mut Claim, caption: *const Caption) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (claim, given, data) = unsafe {
            let given = args::given(caption, Caption::DEFAULT, "caption")?;
            (args::object_mut(claim, "claim")?, given, args::bytes(given.data, given.length, "caption.data")?)
        };
        claim.add(|meta| meta.entry(&RingCaption::new(given.kind, data)))
    })
}

/// Adds a time of the frame on another clock, after shmflow_claim_set_metadata.
/// SHMFLOW_INVALID_METADATA if the topic has no room for so much metadata: see shmflow_producer_grow_metadata.
///
/// # Safety
/// claim is from shmflow_producer_claim; time is initialised, and its texts are texts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_claim_add_reference_time(
    claim: *mut Claim,
    time: *const ReferenceTime,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (claim, given, reference, info) = unsafe {
            let given = args::given(time, ReferenceTime::DEFAULT, "time")?;
            let reference = args::text(given.reference, "time.reference")?;
            (
                args::object_mut(claim, "claim")?,
                given,
                reference,
                args::optional_text(given.info, "time.info")?,
            )
        };
        let duration = (given.duration != SHMFLOW_NO_TIME).then_some(given.duration);
        let time = ReferenceTimestamp::new(reference, given.timestamp).duration(duration);
        claim.add(|meta| meta.entry(&time.info(info.map(str::to_owned))))
    })
}

/// How many time codes the frame has. 0 if frame is NULL, or its metadata cannot be read.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_time_code_count(frame: *const Frame) -> usize {
    // SAFETY: the caller's.
    guard_or(0, || Ok(time_codes(unsafe { args::object(frame, "frame") }?)?.len()))
}

/// A time code of the frame. Call it as shmflow_frame_time_code(frame, index, &time_code, sizeof time_code).
///
/// # Safety
/// frame is a frame; time_code points to size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_time_code(
    frame: *const Frame,
    index: usize,
    time_code: *mut TimeCode,
    size: usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let all = time_codes(unsafe { args::object(frame, "frame") }?)?;
        let one = all.get(index).ok_or_else(|| beyond("time code", index, all.len()))?;
        let found = TimeCode {
            size,
            daily_jam_us: one.daily_jam.unwrap_or_default().0,
            daily_jam_offset: one.daily_jam.unwrap_or_default().1,
            has_daily_jam: one.daily_jam.is_some().into(),
            fps_n: one.fps.0,
            fps_d: one.fps.1,
            flags: one.flags,
            hours: one.hours,
            minutes: one.minutes,
            seconds: one.seconds,
            frames: one.frames,
            field_count: one.field_count,
        };
        // SAFETY: the caller's.
        unsafe { args::write(time_code, size, found, "time_code") }
    })
}

/// How many entries of closed captions the frame has. 0 if frame is NULL, or its metadata cannot be read.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_caption_count(frame: *const Frame) -> usize {
    // SAFETY: the caller's.
    guard_or(0, || Ok(captions(unsafe { args::object(frame, "frame") }?)?.len()))
}

/// Closed captions of the frame. Call it as shmflow_frame_caption(frame, index, &caption, sizeof caption). Their bytes are valid
/// as long as the frame.
///
/// # Safety
/// frame is a frame; caption points to size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_caption(
    frame: *const Frame,
    index: usize,
    caption: *mut Caption,
    size: usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let all = captions(unsafe { args::object(frame, "frame") }?)?;
        let one = all.get(index).ok_or_else(|| beyond("caption", index, all.len()))?;
        let found = Caption {
            size,
            data: one.data.as_ptr().cast(),
            length: one.data.len(),
            kind: one.kind,
            reserved: 0,
        };
        // SAFETY: the caller's.
        unsafe { args::write(caption, size, found, "caption") }
    })
}

/// How many times on other clocks the frame has. 0 if frame is NULL, or its metadata cannot be read.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_reference_time_count(frame: *const Frame) -> usize {
    // SAFETY: the caller's.
    guard_or(0, || Ok(references(unsafe { args::object(frame, "frame") }?)?.len()))
}

/// A time on another clock of the frame. Call it as shmflow_frame_reference_time(frame, index, &time, sizeof time). Its
/// texts are valid as long as the frame.
///
/// # Safety
/// frame is a frame; time points to size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_reference_time(
    frame: *const Frame,
    index: usize,
    time: *mut ReferenceTime,
    size: usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let all = references(unsafe { args::object(frame, "frame") }?)?;
        let (one, reference, info) =
            all.get(index).ok_or_else(|| beyond("reference time", index, all.len()))?;
        let found = ReferenceTime {
            size,
            reference: reference.as_ptr(),
            info: info.as_ref().map_or(std::ptr::null(), |info| info.as_ptr()),
            timestamp: one.timestamp,
            duration: one.duration.unwrap_or(SHMFLOW_NO_TIME),
        };
        // SAFETY: the caller's.
        unsafe { args::write(time, size, found, "time") }
    })
}

fn time_codes(frame: &Frame) -> Result<&[RingTimeCode]> {
    all(frame, |attached| &attached.time_codes)
}

fn captions(frame: &Frame) -> Result<&[RingCaption]> {
    all(frame, |attached| &attached.captions)
}

fn references(frame: &Frame) -> Result<&[(ReferenceTimestamp, CString, Option<CString>)]> {
    all(frame, |attached| &attached.references)
}
