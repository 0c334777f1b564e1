//! Where the samples of a buffer lie: GStreamer's `AudioInfo` and `AudioMeta` ↔ the frame's `AudioLayout`.

use gstreamer as gst;
use gstreamer_audio as gst_audio;

use shmflow::meta::{AudioLayout, AudioView, MetaError};

/// Where the samples of a buffer lie.
///
/// # Errors
/// A sentence for display, when the buffer has fewer samples than its `AudioMeta` says.
pub(crate) fn layout(buffer: &gst::BufferRef, info: &gst_audio::AudioInfo) -> Result<AudioLayout, String> {
    let size = buffer.size();
    let audio = match buffer.meta::<gst_audio::AudioMeta>() {
        Some(meta) => of_samples(info, meta.samples(), meta.offsets()),
        None => implied(info, size),
    };
    audio
        .fits(size)
        .map_err(|error| format!("A buffer of {size} bytes does not match its audio metadata: {error}."))?;
    Ok(audio)
}

/// The samples that `size` bytes have room for, one channel after the other if they are not interleaved.
fn implied(info: &gst_audio::AudioInfo, size: usize) -> AudioLayout {
    let samples = size.checked_div(bytes_per_frame(info)).unwrap_or(0);
    let channel = samples.saturating_mul(usize::try_from(info.width()).unwrap_or(0) / 8);
    let offsets: Vec<usize> = (0..info.channels() as usize).map(|n| n.saturating_mul(channel)).collect();
    of_samples(info, samples, &offsets)
}

fn bytes_per_frame(info: &gst_audio::AudioInfo) -> usize {
    usize::try_from(info.bpf()).unwrap_or(0)
}

fn of_samples(info: &gst_audio::AudioInfo, samples: usize, offsets: &[usize]) -> AudioLayout {
    let planar = info.layout() == gst_audio::AudioLayout::NonInterleaved;
    let planes = offsets.iter().map(|offset| *offset as u64).filter(|_| planar);
    AudioLayout::new(info.format().to_string(), info.rate(), info.channels(), samples as u64)
        .channel_mask(channel_mask(info))
        .planes(planes)
}

/// Which loudspeakers the channels are for; 0 if none are named.
fn channel_mask(info: &gst_audio::AudioInfo) -> u64 {
    let positions = info.positions().unwrap_or_default();
    gst_audio::AudioChannelPosition::positions_to_mask(positions, false).unwrap_or(0)
}

/// Samples, and for each channel where they start, for a frame whose samples are not interleaved; for one whose samples are, no
/// starts, and `None` if they fill it.
///
/// # Errors
/// A sentence: which samples are not within its `len` bytes, or which number is not that of its caps.
pub(crate) fn planes(
    view: Option<&AudioView<'_>>,
    info: &gst_audio::AudioInfo,
    len: usize,
) -> Result<Option<(usize, Vec<usize>)>, String> {
    let planar = info.layout() == gst_audio::AudioLayout::NonInterleaved;
    let layout = match view {
        Some(view) => {
            let said = (view.format(), view.rate(), view.channels(), view.planes().len() != 0);
            if said != (&*info.format().to_string(), info.rate(), info.channels(), planar) {
                return Err(format!(
                    "its audio layout ({} {} Hz, channels: {}) is not that of its caps",
                    view.format(),
                    view.rate(),
                    view.channels()
                ));
            }
            view.to_layout()
        }
        None => implied(info, len),
    };
    layout.fits(len).map_err(|error: MetaError| error.to_string())?;
    let fills = layout.samples == implied(info, len).samples;
    if !planar && fills {
        return Ok(None);
    }
    let number = |number: u64| usize::try_from(number).map_err(|_| "its samples are too many".to_owned());
    let offsets = layout.planes.iter().map(|offset| number(*offset)).collect::<Result<Vec<_>, _>>()?;
    Ok(Some((number(layout.samples)?, offsets)))
}

/// Samples of each channel in a frame of `len` bytes.
pub(crate) fn samples(view: Option<&AudioView<'_>>, info: &gst_audio::AudioInfo, len: usize) -> u32 {
    let implied = || len.checked_div(bytes_per_frame(info)).unwrap_or(0) as u64;
    u32::try_from(view.map_or_else(implied, AudioView::samples)).unwrap_or(u32::MAX)
}
