//! The layout of a block of audio samples in its payload, and whether it fits there.

use super::error::MetaError;
use super::wire::{
    AUDIO_AT_CHANNELS, AUDIO_AT_FORMAT, AUDIO_AT_LAYOUT, AUDIO_AT_MASK, AUDIO_AT_PLANE, AUDIO_AT_RATE,
    AUDIO_AT_SAMPLES, AUDIO_MAX_CHANNELS, AUDIO_PLANE_LEN, ENTRY_AUDIO, FORMAT_NAME_LEN, get_u32, get_u64,
    put,
};

/// The samples of one channel one after the other, instead of those of one moment.
const PLANAR: u32 = 1;

/// The layout of raw audio in its payload.
///
/// ```
/// use shmflow::meta::AudioLayout;
///
/// let stereo = AudioLayout::new("S16LE", 48_000, 2, 240).channel_mask(0x3);
/// assert!(stereo.fits(240 * 2 * 2).is_ok());
/// let planar = AudioLayout::new("F32LE", 48_000, 2, 240).planes([0, 240 * 4]);
/// assert!(planar.fits(240 * 4).is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct AudioLayout {
    /// Name of the sample format, as GStreamer calls it (`S16LE`, `F32LE`): 1 to 24 visible ASCII characters.
    pub format: String,
    /// Samples per second and channel, not 0.
    pub rate: u32,
    /// Channels, 1 to 1024.
    pub channels: u32,
    /// Which loudspeakers the channels are for, one bit each as GStreamer's `channel-mask` has it; 0 if none are named.
    pub channel_mask: u64,
    /// Samples of each channel in the payload.
    pub samples: u64,
    /// Empty if the samples of one moment are beside each other (interleaved). Otherwise, for each channel, where its
    /// samples start, in bytes from the start of the payload.
    pub planes: Vec<u64>,
}

impl AudioLayout {
    /// Interleaved samples without named loudspeakers. Nothing is checked here: [`Meta::encode`](super::Meta::encode)
    /// refuses what a block cannot say.
    #[must_use]
    pub fn new(format: impl Into<String>, rate: u32, channels: u32, samples: u64) -> Self {
        Self { format: format.into(), rate, channels, channel_mask: 0, samples, planes: Vec::new() }
    }

    /// Sets [`channel_mask`](#structfield.channel_mask).
    #[must_use]
    pub fn channel_mask(mut self, mask: u64) -> Self {
        self.channel_mask = mask;
        self
    }

    /// Sets [`planes`](#structfield.planes).
    #[must_use]
    pub fn planes(mut self, offsets: impl IntoIterator<Item = u64>) -> Self {
        self.planes = offsets.into_iter().collect();
        self
    }

    /// Bytes that a sample takes in memory; `None` for a format that is not known here.
    #[must_use]
    pub fn sample_bytes(&self) -> Option<u64> {
        sample_bytes(&self.format)
    }

    /// Checks that every sample is within a payload of `len` bytes.
    ///
    /// # Errors
    /// [`MetaError::UnknownFormat`] for a format whose samples' size is not known; otherwise which plane is outside.
    pub fn fits(&self, len: usize) -> Result<(), MetaError> {
        fits(&self.format, self.channels, self.samples, self.planes.iter().copied(), len)
    }

    /// What the block cannot say: shared by both directions, so that whatever was encoded can be decoded.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        check(&self.format, self.rate, self.channels)?;
        let wanted = usize::try_from(self.channels).unwrap_or(usize::MAX);
        if self.planes.is_empty() || self.planes.len() == wanted {
            Ok(())
        } else {
            Err("it has not one plane for each channel")
        }
    }

    /// Bytes of the entry's value.
    pub(super) fn value_len(&self) -> usize {
        AUDIO_AT_PLANE.saturating_add(self.planes.len().saturating_mul(AUDIO_PLANE_LEN))
    }

    /// Writes the entry's value, of [`value_len`](Self::value_len) bytes. `self` has passed [`check`](Self::check).
    pub(super) fn put(&self, value: &mut [u8]) {
        value.fill(0);
        put(value, AUDIO_AT_RATE, self.rate.to_le_bytes());
        put(value, AUDIO_AT_CHANNELS, self.channels.to_le_bytes());
        put(value, AUDIO_AT_MASK, self.channel_mask.to_le_bytes());
        put(value, AUDIO_AT_SAMPLES, self.samples.to_le_bytes());
        let layout = if self.planes.is_empty() { 0 } else { PLANAR };
        put(value, AUDIO_AT_LAYOUT, layout.to_le_bytes());
        let name = self.format.as_bytes();
        for (to, from) in value.iter_mut().skip(AUDIO_AT_FORMAT).take(FORMAT_NAME_LEN).zip(name) {
            *to = *from;
        }
        let area = value.get_mut(AUDIO_AT_PLANE..).unwrap_or_default();
        for (to, offset) in area.chunks_exact_mut(AUDIO_PLANE_LEN).zip(&self.planes) {
            put(to, 0, offset.to_le_bytes());
        }
    }
}

/// The audio layout of a [`MetaView`](super::MetaView): read in place, nothing allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioView<'a> {
    format: &'a str,
    rate: u32,
    channels: u32,
    channel_mask: u64,
    samples: u64,
    planes: &'a [u8],
}

impl<'a> AudioView<'a> {
    /// Name of the sample format, as GStreamer calls it.
    #[must_use]
    pub fn format(&self) -> &'a str {
        self.format
    }

    /// Samples per second and channel, not 0.
    #[must_use]
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Channels, 1 to 1024.
    #[must_use]
    pub fn channels(&self) -> u32 {
        self.channels
    }

    /// Which loudspeakers the channels are for; 0 if none are named.
    #[must_use]
    pub fn channel_mask(&self) -> u64 {
        self.channel_mask
    }

    /// Samples of each channel in the payload.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Where the samples of each channel start; nothing if they are interleaved.
    pub fn planes(&self) -> impl ExactSizeIterator<Item = u64> + Clone + std::fmt::Debug + use<'a> {
        self.planes.chunks_exact(AUDIO_PLANE_LEN).map(|plane| get_u64(plane, 0).unwrap_or(0))
    }

    /// Checks that every sample is within a payload of `len` bytes; see [`AudioLayout::fits`].
    ///
    /// # Errors
    /// As [`AudioLayout::fits`].
    pub fn fits(&self, len: usize) -> Result<(), MetaError> {
        fits(self.format, self.channels, self.samples, self.planes(), len)
    }

    /// The same as an owned value.
    #[must_use]
    pub fn to_layout(&self) -> AudioLayout {
        AudioLayout {
            format: self.format.to_owned(),
            rate: self.rate,
            channels: self.channels,
            channel_mask: self.channel_mask,
            samples: self.samples,
            planes: self.planes().collect(),
        }
    }

    /// Reads the value of the audio entry at byte `at`. Bytes after those of this version belong to later ones.
    pub(super) fn read(value: &'a [u8], at: usize) -> Result<Self, MetaError> {
        let bad = |why| MetaError::BadEntry { ty: ENTRY_AUDIO, at, why };
        let (fixed, planes) =
            value.split_at_checked(AUDIO_AT_PLANE).ok_or(bad("it is shorter than 56 bytes"))?;
        let number = |at| get_u32(fixed, at).unwrap_or(0);
        let (rate, channels) = (number(AUDIO_AT_RATE), number(AUDIO_AT_CHANNELS));
        let name =
            fixed.get(AUDIO_AT_FORMAT..).and_then(|tail| tail.get(..FORMAT_NAME_LEN)).unwrap_or_default();
        let name = name.split(|&byte| byte == 0).next().unwrap_or(&[]);
        let format = str::from_utf8(name).map_err(|_| bad("its format name is not ASCII"))?;
        check(format, rate, channels).map_err(bad)?;
        let planes = match number(AUDIO_AT_LAYOUT) {
            0 => &[],
            PLANAR => {
                let len = usize::try_from(channels).unwrap_or(usize::MAX).saturating_mul(AUDIO_PLANE_LEN);
                planes.get(..len).ok_or(bad("it has not one plane for each channel"))?
            }
            _ => return Err(bad("its layout is neither interleaved nor planar")),
        };
        let long = |at| get_u64(fixed, at).unwrap_or(0);
        let (channel_mask, samples) = (long(AUDIO_AT_MASK), long(AUDIO_AT_SAMPLES));
        Ok(Self { format, rate, channels, channel_mask, samples, planes })
    }
}

fn check(format: &str, rate: u32, channels: u32) -> Result<(), &'static str> {
    if format.is_empty() || format.len() > FORMAT_NAME_LEN {
        return Err("its format name has not 1 to 24 characters");
    }
    if !format.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("its format name is not visible ASCII");
    }
    if rate == 0 {
        return Err("its rate is 0");
    }
    if channels == 0 || channels > AUDIO_MAX_CHANNELS {
        return Err("it has not 1 to 1024 channels");
    }
    Ok(())
}

/// Bytes of one sample of one channel in memory.
fn sample_bytes(format: &str) -> Option<u64> {
    // As GStreamer names them: sign, bits that count, bits in memory if those are more, byte order.
    let bits = format.strip_suffix("LE").or_else(|| format.strip_suffix("BE")).unwrap_or(format);
    match bits {
        "S8" | "U8" => Some(1),
        "S16" | "U16" => Some(2),
        "S18" | "U18" | "S20" | "U20" | "S24" | "U24" => Some(3),
        "S24_32" | "U24_32" | "S20_32" | "U20_32" | "S32" | "U32" | "F32" => Some(4),
        "F64" => Some(8),
        _ => None,
    }
}

fn fits(
    format: &str,
    channels: u32,
    samples: u64,
    planes: impl ExactSizeIterator<Item = u64>,
    len: usize,
) -> Result<(), MetaError> {
    let each = sample_bytes(format).ok_or_else(|| MetaError::UnknownFormat { format: format.to_owned() })?;
    let have = u64::try_from(len).unwrap_or(u64::MAX);
    let outside = |plane, needed| MetaError::OutsidePayload { plane, needed, have };
    let bytes = samples.checked_mul(each);
    let within = |plane: usize, needed: Option<u64>| match needed {
        Some(needed) if needed <= have => Ok(()),
        needed => Err(outside(plane, needed)),
    };
    if planes.len() == 0 {
        return within(0, bytes.and_then(|bytes| bytes.checked_mul(channels.into())));
    }
    for (plane, offset) in planes.enumerate() {
        within(plane, bytes.and_then(|bytes| offset.checked_add(bytes)))?;
    }
    Ok(())
}
