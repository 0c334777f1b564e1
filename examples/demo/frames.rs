//! What both sides note of a frame, so that it can be found again on the other side: when it was due on the clock of
//! the machine, a fingerprint of its visible pixels, and now and then a small picture.

use std::path::Path;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;

use crate::Result;

/// Size of the small pictures.
pub(crate) const THUMB_WIDTH: usize = 320;
pub(crate) const THUMB_HEIGHT: usize = 180;
/// There is one in so many nanoseconds.
const THUMB_EVERY: u64 = 1_200_000_000;

/// One frame, as seen by one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Nanoseconds since the pipeline's base time
    pub(crate) running: u64,
    pub(crate) fingerprint: u64,
}

/// When a buffer is due, in the pipeline's running time.
pub(crate) fn running_time(pad: &gst::Pad, buffer: &gst::BufferRef) -> Option<gst::ClockTime> {
    let event = pad.sticky_event::<gst::event::Segment>(0)?;
    let segment = event.segment().downcast_ref::<gst::ClockTime>()?;
    segment.to_running_time(buffer.pts()?)
}

pub(crate) fn info(pad: &gst::Pad) -> Result<gst_video::VideoInfo> {
    let caps = pad.current_caps().ok_or("a frame without caps")?;
    Ok(gst_video::VideoInfo::from_caps(&caps)?)
}

/// A number that differs when any visible pixel does. Padding is left out: it may be anything.
pub(crate) fn fingerprint(info: &gst_video::VideoInfo, buffer: &gst::BufferRef) -> Result<u64> {
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info)?;
    let format = frame.format_info();
    let mut hash = 0xcbf2_9ce4_8422_2325;
    for plane in 0..frame.n_planes() {
        let (mut width, mut height) = (0, 0);
        for (component, of) in format.plane().iter().enumerate() {
            if *of == plane {
                let component = u8::try_from(component)?;
                let bytes =
                    u32::try_from(format.pixel_stride().get(usize::from(component)).copied().unwrap_or(1))?;
                width = width.max(info.comp_width(component).saturating_mul(bytes));
                height = height.max(info.comp_height(component));
            }
        }
        let stride = frame.plane_stride().get(plane as usize).copied().unwrap_or(0);
        let stride =
            usize::try_from(stride).ok().filter(|stride| *stride > 0).ok_or("a plane without a stride")?;
        for row in frame.plane_data(plane)?.chunks(stride).take(height as usize) {
            hash = mix(hash, row.get(..width as usize).ok_or("a row shorter than the picture")?);
        }
    }
    Ok(hash)
}

/// FNV-1a over words of eight bytes.
fn mix(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut step = |word: u64| hash = (hash ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let mut whole = [0; 8];
        whole.copy_from_slice(word);
        step(u64::from_le_bytes(whole));
    }
    for byte in words.remainder() {
        step(u64::from(*byte));
    }
    hash
}

/// Whether this frame gets a small picture. Both sides decide by the same clock, so both choose the same frames.
pub(crate) fn is_pictured(absolute: u64, info: &gst_video::VideoInfo) -> bool {
    let fps = info.fps();
    let period = match (u64::try_from(fps.numer()), u64::try_from(fps.denom())) {
        (Ok(numer), Ok(denom)) if numer > 0 => 1_000_000_000 * denom / numer,
        _ => 33_333_333,
    };
    absolute % THUMB_EVERY < period
}

/// Writes a small picture of the frame to `<directory>/<who>-<absolute>.bgrx`.
pub(crate) fn picture(
    directory: &Path,
    who: &str,
    absolute: u64,
    info: &gst_video::VideoInfo,
    buffer: &gst::BufferRef,
) -> Result<()> {
    let small = gst_video::VideoInfo::builder(
        gst_video::VideoFormat::Bgrx,
        u32::try_from(THUMB_WIDTH)?,
        u32::try_from(THUMB_HEIGHT)?,
    )
    // The converter converts no frame rate.
    .fps(info.fps())
    .build()?;
    let source = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info)?;
    let target = gst::Buffer::with_size(small.size())?;
    let mut target = gst_video::VideoFrame::from_buffer_writable(target, &small)
        .map_err(|_| "a fresh buffer that cannot be written")?;
    gst_video::VideoConverter::new(info, &small, None)?
        .frame_ref(&source, &mut target.as_mut_video_frame_ref());
    let buffer = target.into_buffer();
    std::fs::write(directory.join(format!("{who}-{absolute}.bgrx")), buffer.map_readable()?.as_slice())?;
    Ok(())
}
