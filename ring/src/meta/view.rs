//! A block read in place.

use super::audio::AudioView;
use super::error::MetaError;
use super::header::MetaHeader;
use super::types::{Crop, Extension, Kind, PerFrame};
use super::video::VideoView;
use super::wire::{
    CROP_LEN, ENTRY_AUDIO, ENTRY_CAPS, ENTRY_CROP, ENTRY_PADDING, ENTRY_VIDEO, RawEntries, get_u32,
};
use super::{Flags, Meta, Times};

/// A metadata block, checked once and read in place: nothing is copied or allocated.
///
/// The bytes must not change meanwhile: a consumer reads the block of a live lease or its private copy of one.
///
/// ```
/// use shmflow::meta::{Meta, MetaView, Times};
///
/// let times = Times::default().pts(40_000_000);
/// let meta = Meta::default().caps("video/x-raw, format=GRAY8").times(times);
/// let block = meta.to_vec()?;
///
/// let view = MetaView::parse(&block)?;
/// assert_eq!(view.caps(), Some("video/x-raw, format=GRAY8"));
/// assert_eq!(view.times().pts, Some(40_000_000));
/// assert_eq!(view.to_meta(), meta);
/// # Ok::<(), shmflow::meta::MetaError>(())
/// ```
#[derive(Debug, Clone)]
pub struct MetaView<'a> {
    header: MetaHeader<'a>,
    caps: Option<&'a str>,
    video: Option<VideoView<'a>>,
    audio: Option<AudioView<'a>>,
    crop: Option<Crop>,
}

impl<'a> MetaView<'a> {
    /// Checks a whole block. Bytes after the length it states are ignored; no bytes at all are a frame without
    /// metadata and give what [`Meta::default`] has.
    ///
    /// Any bytes give a view or an error. A higher minor version is no error: what this version does not know of is
    /// skipped, or kept among the [`extensions`](Self::extensions) if it is an entry.
    ///
    /// # Errors
    /// [`MetaError`] says what is wrong, and with another major version names both.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, MetaError> {
        Self::with_header(MetaHeader::parse(bytes)?)
    }

    /// Checks and reads the entries behind `header`.
    pub(super) fn with_header(header: MetaHeader<'a>) -> Result<Self, MetaError> {
        let mut view = Self { header, caps: None, video: None, audio: None, crop: None };
        for entry in RawEntries::new(header.as_bytes(), header.entries_at()) {
            let entry = entry?;
            let again = match entry.ty {
                ENTRY_CAPS => view.caps.replace(read_caps(entry.value, entry.at)?).is_some(),
                ENTRY_VIDEO => view.video.replace(VideoView::read(entry.value, entry.at)?).is_some(),
                ENTRY_AUDIO => view.audio.replace(AudioView::read(entry.value, entry.at)?).is_some(),
                ENTRY_CROP => view.crop.replace(read_crop(entry.value, entry.at)?).is_some(),
                _ => false,
            };
            if again {
                return Err(MetaError::Duplicate { ty: entry.ty });
            }
        }
        Ok(view)
    }

    /// Major and minor version that the block was written with.
    #[must_use]
    pub fn version(&self) -> (u16, u16) {
        self.header.version()
    }

    /// What the payload is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.header.kind()
    }

    /// What changes from frame to frame: flags, times, offsets.
    #[must_use]
    pub fn per_frame(&self) -> PerFrame {
        self.header.per_frame()
    }

    /// What is special about the frame.
    #[must_use]
    pub fn flags(&self) -> Flags {
        self.per_frame().flags
    }

    /// The frame's times.
    #[must_use]
    pub fn times(&self) -> Times {
        self.per_frame().times
    }

    /// First unit of the frame in the producer's stream.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        self.per_frame().offset
    }

    /// Unit after the frame's last one.
    #[must_use]
    pub fn offset_end(&self) -> Option<u64> {
        self.per_frame().offset_end
    }

    /// The caps text. It was written by the producer: parse it as foreign input.
    #[must_use]
    pub fn caps(&self) -> Option<&'a str> {
        self.caps
    }

    /// The layout of the video frame in the payload. Call [`VideoView::fits`] before touching the payload by it.
    #[must_use]
    pub fn video(&self) -> Option<&VideoView<'a>> {
        self.video.as_ref()
    }

    /// The layout of raw audio in the payload. Call [`AudioView::fits`] before touching the payload by it.
    #[must_use]
    pub fn audio(&self) -> Option<&AudioView<'a>> {
        self.audio.as_ref()
    }

    /// The visible part of the video frame. Not checked against its size: see [`Crop::within`].
    #[must_use]
    pub fn crop(&self) -> Option<Crop> {
        self.crop
    }

    /// Type and value of every other entry, in the order of the block.
    pub fn extensions(&self) -> impl Iterator<Item = (u16, &'a [u8])> + Clone + std::fmt::Debug + use<'a> {
        RawEntries::new(self.header.as_bytes(), self.header.entries_at()).filter_map(|entry| match entry {
            Ok(entry) if entry.ty != ENTRY_PADDING && !has_field(entry.ty) => Some((entry.ty, entry.value)),
            _ => None,
        })
    }

    /// All entries as they are in the block; see [`MetaHeader::entry_bytes`].
    #[must_use]
    pub fn entry_bytes(&self) -> &'a [u8] {
        self.header.entry_bytes()
    }

    /// The whole block, without what may follow it.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.header.as_bytes()
    }

    /// The same as an owned value.
    #[must_use]
    pub fn to_meta(&self) -> Meta {
        let PerFrame { flags, times, offset, offset_end } = self.per_frame();
        Meta {
            kind: self.kind(),
            flags,
            caps: self.caps.map(str::to_owned),
            video: self.video.as_ref().map(VideoView::to_layout),
            audio: self.audio.as_ref().map(AudioView::to_layout),
            times,
            offset,
            offset_end,
            crop: self.crop,
            extensions: self.extensions().map(|(ty, data)| Extension { ty, data: data.to_vec() }).collect(),
        }
    }
}

/// Whether entries of this type have a field of their own in [`Meta`].
pub(super) fn has_field(ty: u16) -> bool {
    matches!(ty, ENTRY_CAPS | ENTRY_VIDEO | ENTRY_CROP | ENTRY_AUDIO)
}

/// What a caps text may not hold, in either direction: C readers would see the rest cut off.
pub(super) const CAPS_NUL: &str = "the caps text holds a NUL character";

fn read_caps(value: &[u8], at: usize) -> Result<&str, MetaError> {
    let bad = |why| MetaError::BadEntry { ty: ENTRY_CAPS, at, why };
    let caps = str::from_utf8(value).map_err(|_| bad("the caps text is not UTF-8"))?;
    if caps.as_bytes().contains(&0) {
        return Err(bad(CAPS_NUL));
    }
    Ok(caps)
}

fn read_crop(value: &[u8], at: usize) -> Result<Crop, MetaError> {
    let short = MetaError::BadEntry { ty: ENTRY_CROP, at, why: "it is shorter than 16 bytes" };
    let value = value.first_chunk::<CROP_LEN>().ok_or(short)?;
    let number = |at| get_u32(value, at).unwrap_or(0);
    Ok(Crop { x: number(0), y: number(4), width: number(8), height: number(12) })
}
