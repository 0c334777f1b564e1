//! Raw audio: the layout of its samples.
#![allow(unsafe_code, reason = "exported names, and C's pointers")]

use std::ffi::{c_char, c_void};

use ring::meta::{AudioLayout, MetaError};

use crate::args::{self, Versioned};
use crate::fail::{Failure, Result, guard, guard_or};
use crate::frame::Frame;
use crate::status::{SHMFLOW_NO_METADATA, Status};

/// The layout of raw audio in a frame. Call shmflow_audio_init, then set the fields; metadata.audio takes it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Audio {
    /// Size of this structure as the program knows it. Set by shmflow_audio_init.
    pub size: usize,
    /// Name of the sample format as GStreamer has it, "S16LE" or "F32LE". Not NULL.
    pub format: *const c_char,
    /// Where the samples of each channel start, in bytes from the start of the frame: as many numbers as there are channels, if
    /// those of a channel follow each other (planar). NULL (default): those of one moment are beside each other (interleaved).
    pub channel_offsets: *const u64,
    /// Samples of each channel in the frame.
    pub samples: u64,
    /// Which loudspeakers the channels are for, as GStreamer's channel-mask; 0 (default): none are named.
    pub channel_mask: u64,
    /// Samples per second and channel.
    pub rate: u32,
    /// Channels, 1 to 1024.
    pub channels: u32,
}

const _: () = assert!(size_of::<Audio>() == Audio::LEAST);

// SAFETY: integers and pointers, the size first, no padding but behind the pointers, as asserted.
unsafe impl Versioned for Audio {
    const LEAST: usize = (3 * size_of::<usize>()).next_multiple_of(align_of::<u64>()) + 24;
}

impl Audio {
    const DEFAULT: Self = Self {
        size: size_of::<Self>(),
        format: std::ptr::null(),
        channel_offsets: std::ptr::null(),
        samples: 0,
        channel_mask: 0,
        rate: 0,
        channels: 0,
    };
}

/// The layout as the crate has it; `None` for NULL.
///
/// # Safety
/// NULL, or what `shmflow_producer_write` asks for.
pub(crate) unsafe fn given(audio: *const Audio) -> Result<Option<AudioLayout>> {
    if audio.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's.
    let (given, format) = unsafe {
        let given = args::read(audio, Audio::DEFAULT, "audio")?;
        (given, args::text(given.format, "audio.format")?)
    };
    let mut layout = AudioLayout::new(format, given.rate, given.channels, given.samples);
    if !given.channel_offsets.is_null() {
        let count = usize::try_from(given.channels).unwrap_or(usize::MAX);
        // SAFETY: as many as there are channels, says the caller.
        layout =
            layout.planes(unsafe { args::numbers(given.channel_offsets, count, "audio.channel_offsets") }?);
    }
    Ok(Some(layout.channel_mask(given.channel_mask)))
}

/// The caps of such audio.
pub(crate) fn caps_of(audio: &AudioLayout) -> String {
    let AudioLayout { format, rate, channels, channel_mask, planes, .. } = audio;
    let layout = if planes.is_empty() { "interleaved" } else { "non-interleaved" };
    let mut caps = format!(
        "audio/x-raw, format=(string){format}, layout=(string){layout}, rate=(int){rate}, channels=(int){channels}"
    );
    // GStreamer knows where one and two channels are.
    if *channels > 2 || *channel_mask != 0 {
        caps.push_str(&format!(", channel-mask=(bitmask){channel_mask:#018x}"));
    }
    caps
}

/// Sets every field to its default. Call it as shmflow_audio_init(&audio, sizeof audio).
///
/// # Safety
/// audio points to size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_audio_init(audio: *mut Audio, size: usize) -> Status {
    let default = Audio { size, ..Audio::DEFAULT };
    // SAFETY: the caller's.
    guard(|| unsafe { args::write(audio, size, default, "audio") })
}

fn layout(frame: &Frame) -> Result<&AudioLayout> {
    let layout = frame.meta()?.audio.as_ref();
    layout.ok_or_else(|| Failure::Said(SHMFLOW_NO_METADATA, "the frame carries no audio layout".into()))
}

/// The layout of the frame's audio. Call it as shmflow_frame_audio(frame, &audio, sizeof audio). SHMFLOW_OK means that all samples
/// were checked to be within the frame, and SHMFLOW_INVALID_METADATA that they are not. With SHMFLOW_UNKNOWN_FORMAT the fields
/// are set, unchecked. SHMFLOW_NO_METADATA if it is not audio. Its format and channel_offsets are valid as long as the frame.
///
/// # Safety
/// frame is a frame; audio points to size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_audio(frame: *const Frame, audio: *mut Audio, size: usize) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        unsafe { args::write(audio, size, Audio { size, ..Audio::DEFAULT }, "audio") }?;
        // SAFETY: the caller's.
        let frame = unsafe { args::object(frame, "frame") }?;
        let found = layout(frame)?;
        let fits = found.fits(frame.ring.len());
        if !matches!(fits, Ok(()) | Err(MetaError::UnknownFormat { .. })) {
            return Ok(fits?);
        }
        let offsets = &found.planes;
        let found = Audio {
            size,
            format: frame.audio_format(),
            channel_offsets: if offsets.is_empty() { std::ptr::null() } else { offsets.as_ptr() },
            samples: found.samples,
            channel_mask: found.channel_mask,
            rate: found.rate,
            channels: found.channels,
        };
        // SAFETY: the caller's.
        unsafe { args::write(audio, size, found, "audio") }?;
        Ok(fits?)
    })
}

/// The first sample of a channel. If samples are interleaved, the next one of the channel is as many samples further as there are
/// channels, else the next one in memory. NULL if there is no such channel, or it is not within the frame.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_audio_channel(frame: *const Frame, channel: u32) -> *const c_void {
    guard_or(std::ptr::null(), || {
        // SAFETY: the caller's.
        let frame = unsafe { args::object(frame, "frame") }?;
        let found = layout(frame)?;
        found.fits(frame.ring.len())?;
        let nowhere =
            || Failure::argument(format!("there is no channel {channel}: it has {}", found.channels));
        if channel >= found.channels {
            return Err(nowhere());
        }
        let at = if found.planes.is_empty() {
            // All of a moment have the same size.
            let moment = u64::try_from(frame.ring.len()).unwrap_or(0).checked_div(found.samples).unwrap_or(0);
            found.sample_bytes().unwrap_or(0).checked_mul(channel.into()).filter(|at| *at <= moment)
        } else {
            usize::try_from(channel).ok().and_then(|channel| found.planes.get(channel).copied())
        };
        let at = at.and_then(|at| usize::try_from(at).ok()).ok_or_else(nowhere)?;
        Ok(frame.ring.get(at..).ok_or_else(nowhere)?.as_ptr().cast())
    })
}
