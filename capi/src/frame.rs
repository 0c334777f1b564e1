//! A received frame: its bytes, its place in the stream, its metadata.
#![allow(unsafe_code, reason = "exported names, and C's pointers")]

use std::ffi::{CString, c_char, c_void};
use std::sync::{Arc, OnceLock};

use ring::meta::{Meta, MetaError};

use crate::args;
use crate::attached::Attached;
use crate::fail::{Failure, Result, guard, guard_or};
use crate::metadata::{SHMFLOW_NO_OFFSET, SHMFLOW_NO_TIME};
use crate::status::{SHMFLOW_NO_METADATA, Status};

/// A received frame: a lease, so that its bytes do not change until it is released. Any threads may use and release it,
/// also after its consumer is closed.
#[derive(Debug)]
pub struct Frame {
    pub(crate) ring: ring::Frame,
    /// Decoded at the first request.
    said: OnceLock<Said>,
    attached: OnceLock<Attached>,
}

/// The decoded metadata block of the frame.
#[derive(Debug)]
pub(crate) struct Said {
    block: Vec<u8>,
    /// `None` for bare bytes.
    pub(crate) meta: Result<Option<Meta>, MetaError>,
    caps: Option<CString>,
    format: Option<CString>,
    audio_format: Option<CString>,
}

impl Frame {
    /// Passes it to C, which then has one reference.
    pub(crate) fn give(ring: ring::Frame) -> *mut Self {
        Arc::into_raw(Arc::new(Self { ring, said: OnceLock::new(), attached: OnceLock::new() })).cast_mut()
    }

    fn said(&self) -> &Said {
        self.said.get_or_init(|| {
            let block = self.ring.meta_bytes();
            let meta = if block.is_empty() { Ok(None) } else { Meta::decode(&block).map(Some) };
            let known = meta.as_ref().ok().and_then(Option::as_ref);
            // Neither has a NUL: decoding checks that.
            let text = |text: &str| CString::new(text).ok();
            let caps = known.and_then(|meta| text(meta.caps.as_deref()?));
            let format = known.and_then(|meta| text(&meta.video.as_ref()?.format));
            let audio_format = known.and_then(|meta| text(&meta.audio.as_ref()?.format));
            Said { block, meta, caps, format, audio_format }
        })
    }

    pub(crate) fn audio_format(&self) -> *const c_char {
        self.said().audio_format.as_ref().map_or(std::ptr::null(), |format| format.as_ptr())
    }

    /// What hangs on it; `None` on bare bytes.
    pub(crate) fn attached(&self) -> Result<Option<&Attached>> {
        match &self.said().meta {
            Ok(Some(meta)) => Ok(Some(self.attached.get_or_init(|| Attached::of(meta)))),
            Ok(None) => Ok(None),
            Err(error) => Err(error.clone().into()),
        }
    }

    /// The metadata, or why there are none.
    pub(crate) fn meta(&self) -> Result<&Meta> {
        match &self.said().meta {
            Ok(Some(meta)) => Ok(meta),
            Ok(None) => {
                Err(Failure::Said(SHMFLOW_NO_METADATA, "the frame has no metadata: it is bare bytes".into()))
            }
            Err(error) => Err(error.clone().into()),
        }
    }
}

/// Adds a reference to the frame: each reference has to be released. Returns frame; NULL if it is NULL.
///
/// # Safety
/// frame is NULL or not released yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_ref(frame: *mut Frame) -> *mut Frame {
    guard_or(std::ptr::null_mut(), || {
        // SAFETY: the caller's; it came from `Arc::into_raw`.
        unsafe {
            args::object(frame, "frame")?;
            Arc::increment_strong_count(frame);
        }
        Ok(frame)
    })
}

/// Releases a reference; after the last one the bytes may be overwritten. Any thread may call it. NULL is ignored.
///
/// # Safety
/// frame is NULL or a reference that was not released yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_release(frame: *mut Frame) {
    guard(|| {
        if !frame.is_null() {
            // SAFETY: the caller's; it came from `Arc::into_raw`.
            unsafe {
                args::object(frame, "frame")?;
                drop(Arc::from_raw(frame.cast_const()));
            }
        }
        Ok(())
    });
}

/// The value that a function without a status returns for a frame; `otherwise`, if there is none.
///
/// # Safety
/// `frame` is NULL or a frame.
unsafe fn of<T>(frame: *const Frame, otherwise: T, get: impl FnOnce(&Frame) -> Result<T>) -> T {
    // SAFETY: the caller's.
    guard_or(otherwise, || get(unsafe { args::object(frame, "frame") }?))
}

/// The bytes: shmflow_frame_length of them, in shared memory unless shmflow_frame_is_copy. They are read-only: writing to
/// them ends the process (but see shmflow_frame_private_data). They stay the same if every process that may write the topic keeps to the protocol; a program that
/// does not trust those processes takes shmflow_frame_copy. NULL if frame is NULL.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_data(frame: *const Frame) -> *const c_void {
    // SAFETY: the caller's.
    unsafe { of(frame, std::ptr::null(), |frame| Ok(frame.ring.as_ptr().cast())) }
}

/// The bytes, if this process may write them: those of a copy, and of a consumer with copy_on_write. What is written there is
/// seen by this process alone, and is gone with the frame; shmflow_frame_copy still gives what the producer wrote, unless the frame
/// is a copy. For libraries that write where they should not, or draw in place. NULL for any other frame, where writing ends the
/// process.
///
/// # Safety
/// frame is NULL or a frame. No other thread reads the bytes while they are written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_private_data(frame: *const Frame) -> *mut c_void {
    let start =
        |frame: &Frame| frame.ring.private_ptr().map_or(std::ptr::null_mut(), |start| start.as_ptr().cast());
    // SAFETY: the caller's.
    unsafe { of(frame, std::ptr::null_mut(), |frame| Ok(start(frame))) }
}

/// The number of bytes of the frame.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_length(frame: *const Frame) -> usize {
    // SAFETY: the caller's.
    unsafe { of(frame, 0, |frame| Ok(frame.ring.len())) }
}

/// Copies its first bytes, at most length of them, into buffer; returns how many. The copy does not change, whatever the
/// processes do that may write the topic.
///
/// # Safety
/// frame is NULL or a frame. buffer points to length bytes, which no other thread uses meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_copy(
    frame: *const Frame,
    buffer: *mut c_void,
    length: usize,
) -> usize {
    // SAFETY: the caller's.
    unsafe { of(frame, 0, |frame| Ok(frame.ring.copy_to(args::buffer(buffer, length, "buffer")?))) }
}

/// Its sequence number: rises by one with each frame of the topic, from 1.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_sequence(frame: *const Frame) -> u64 {
    // SAFETY: the caller's.
    unsafe { of(frame, 0, |frame| Ok(frame.ring.seq())) }
}

/// The number of frames that its consumer lost between the previous frame and this one.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_lost_before(frame: *const Frame) -> u64 {
    // SAFETY: the caller's.
    unsafe { of(frame, 0, |frame| Ok(frame.ring.lost_before())) }
}

/// The generation of the producer that wrote it: a number that no other participant of this topic ever has.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_producer(frame: *const Frame) -> u64 {
    // SAFETY: the caller's.
    unsafe { of(frame, 0, |frame| Ok(frame.ring.producer().generation)) }
}

/// The epoch in which it was published: counts the geometries that the ring has had, from 1.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_epoch(frame: *const Frame) -> u64 {
    // SAFETY: the caller's.
    unsafe { of(frame, 0, |frame| Ok(frame.ring.epoch())) }
}

/// 1 if its bytes are a private copy: its consumer is read-only, or holds too many frames. 0 otherwise.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_is_copy(frame: *const Frame) -> i32 {
    // SAFETY: the caller's.
    unsafe { of(frame, 0, |frame| Ok(frame.ring.is_copy().into())) }
}

/// Whether the frame has valid metadata: SHMFLOW_OK; SHMFLOW_NO_METADATA for bare bytes; SHMFLOW_INVALID_METADATA if they
/// cannot be decoded. In the last two cases the functions below return their values for "not known".
///
/// # Safety
/// frame is a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_metadata_status(frame: *const Frame) -> Status {
    // SAFETY: the caller's.
    guard(|| unsafe { args::object(frame, "frame") }?.meta().map(drop))
}

/// When it was captured, in nanoseconds of shmflow_frame_clock; SHMFLOW_NO_TIME if that is not known.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_capture_time(frame: *const Frame) -> u64 {
    // SAFETY: the caller's.
    unsafe { time(frame, |meta| meta.times.capture_ns) }
}

/// The clock of its capture time: SHMFLOW_CLOCK_..., or a number of a later version.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_clock(frame: *const Frame) -> u32 {
    // SAFETY: the caller's.
    unsafe { of(frame, 0, |frame| Ok(frame.meta()?.times.clock.to_raw().into())) }
}

/// Its presentation time in its producer's stream, in nanoseconds; SHMFLOW_NO_TIME if that is not known.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_pts(frame: *const Frame) -> u64 {
    // SAFETY: the caller's.
    unsafe { time(frame, |meta| meta.times.pts) }
}

/// Its decoding time in its producer's stream, in nanoseconds; SHMFLOW_NO_TIME if that is not known.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_dts(frame: *const Frame) -> u64 {
    // SAFETY: the caller's.
    unsafe { time(frame, |meta| meta.times.dts) }
}

/// How long it lasts, in nanoseconds; SHMFLOW_NO_TIME if that is not known.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_duration(frame: *const Frame) -> u64 {
    // SAFETY: the caller's.
    unsafe { time(frame, |meta| meta.times.duration) }
}

/// How long after capture its producer publishes a frame at the latest, in nanoseconds; SHMFLOW_NO_TIME if that is not
/// known.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_latency(frame: *const Frame) -> u64 {
    // SAFETY: the caller's.
    unsafe { time(frame, |meta| meta.times.latency_ns) }
}

/// Its first unit in its producer's stream (frame number, byte, sample); SHMFLOW_NO_OFFSET if that is not known.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_offset(frame: *const Frame) -> u64 {
    // SAFETY: the caller's.
    unsafe { of(frame, SHMFLOW_NO_OFFSET, |frame| Ok(frame.meta()?.offset.unwrap_or(SHMFLOW_NO_OFFSET))) }
}

/// The unit after its last one; SHMFLOW_NO_OFFSET if that is not known.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_offset_end(frame: *const Frame) -> u64 {
    // SAFETY: the caller's.
    unsafe { of(frame, SHMFLOW_NO_OFFSET, |frame| Ok(frame.meta()?.offset_end.unwrap_or(SHMFLOW_NO_OFFSET))) }
}

/// # Safety
/// `frame` is NULL or a frame.
unsafe fn time(frame: *const Frame, get: impl FnOnce(&Meta) -> Option<u64>) -> u64 {
    // SAFETY: the caller's.
    unsafe { of(frame, SHMFLOW_NO_TIME, |frame| Ok(get(frame.meta()?).unwrap_or(SHMFLOW_NO_TIME))) }
}

/// Its flags: SHMFLOW_FLAG_..., combined by OR, and others that docs/metadata.md lists.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_flags(frame: *const Frame) -> u32 {
    // SAFETY: the caller's.
    unsafe { of(frame, 0, |frame| Ok(frame.meta()?.flags.bits())) }
}

/// Its GStreamer caps, or another media type with parameters; NULL if it carries none. Valid as long as the frame.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_caps(frame: *const Frame) -> *const c_char {
    // SAFETY: the caller's.
    unsafe { of(frame, std::ptr::null(), |frame| text(frame.said(), frame.meta()?, |said| &said.caps)) }
}

/// Name of its pixel format, as GStreamer has it ("BGR", "NV12"); NULL if it is not a video frame. Valid as long as the
/// frame.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_format(frame: *const Frame) -> *const c_char {
    // SAFETY: the caller's.
    unsafe { of(frame, std::ptr::null(), |frame| text(frame.said(), frame.meta()?, |said| &said.format)) }
}

/// A text of metadata that were decoded.
fn text(said: &Said, _: &Meta, get: impl FnOnce(&Said) -> &Option<CString>) -> Result<*const c_char> {
    Ok(get(said).as_ref().map_or(std::ptr::null(), |text| text.as_ptr()))
}

/// Its metadata block as it was written, in the format of docs/metadata.md; *length receives its number of bytes. NULL
/// and 0 for bare bytes. Valid as long as the frame. Returned also if the block cannot be decoded.
///
/// # Safety
/// frame is NULL or a frame; length points to a size_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_metadata_block(
    frame: *const Frame,
    length: *mut usize,
) -> *const c_void {
    guard_or(std::ptr::null(), || {
        // SAFETY: the caller's.
        let place = unsafe { args::place(length, "length") }?;
        place.write(0);
        // SAFETY: the caller's.
        let block = &unsafe { args::object(frame, "frame") }?.said().block;
        place.write(block.len());
        Ok(if block.is_empty() { std::ptr::null() } else { block.as_ptr().cast() })
    })
}
