//! What travels beside a frame: one versioned, little-endian block that says what the payload is and when it was taken.
//!
//! A block is a fixed header of 128 bytes (kind, flags, times, offsets) and entries of type, length and value (caps
//! text, video or audio layout, crop, private data), each padded to 8 bytes. `docs/metadata.md` has the tables; other languages
//! need a few struct reads.
//!
//! - [`Meta`] owns everything and is what most programs use.
//! - [`EncodedMeta`] is a block encoded once, of which a producer changes only times and flags per frame.
//! - [`MetaView`] reads a block in place, without allocating; [`MetaHeader`] reads only what changes per frame.
//!
//! A block comes from another process: decoding takes any bytes and gives a value or an error, in time and memory
//! bounded by the block's length. A value that was decoded is well-formed, not true: check a layout with
//! [`VideoLayout::fits`] before touching the payload by it.
//!
//! The rest of the crate carries a block's bytes and does not depend on this module, which adds the calls that know what
//! they say to [`Claim`](crate::Claim), [`PublishPermit`](crate::PublishPermit), [`Producer`](crate::Producer) and
//! [`Frame`](crate::Frame).

mod attached;
mod audio;
mod calls;
mod content;
mod detections;
mod encoded;
mod entry;
mod error;
mod flags;
mod format;
mod header;
mod setters;
mod standard;
mod structure;
mod types;
mod video;
mod view;
mod wire;

pub use attached::{
    ActiveFormat, AudioLevel, Caption, CustomMeta, ReferenceTimestamp, Region, SerializedMeta, Tags, TimeCode,
};
pub use audio::{AudioLayout, AudioView};
pub use content::Content;
pub use detections::{Detections, Finding, Object, Relation, Track};
pub use encoded::EncodedMeta;
pub use entry::{Entries, MetaEntry, is_of_frame};
pub use error::MetaError;
pub use flags::Flags;
pub use format::{PlaneExtent, plane_extents};
pub use header::MetaHeader;
pub use structure::Structure;
pub use types::{Clock, Crop, Extension, Kind, PerFrame, Times};
pub use video::{Plane, VideoLayout, VideoView};
pub use view::MetaView;
pub use wire::{
    ALIGN, ENTRY_AUDIO, ENTRY_CAPS, ENTRY_CROP, ENTRY_HEADER_LEN, ENTRY_PADDING, ENTRY_PRIVATE, ENTRY_VIDEO,
    HEADER_LEN, MAGIC, MAX_ENTRIES, MAX_LEN, VERSION_MAJOR, VERSION_MINOR,
};

use setters::setters;
use view::has_field;
use wire::{CROP_LEN, VIDEO_LEN, entry_len, put, put_header};

/// The metadata of one frame.
///
/// ```
/// use shmflow::meta::{Clock, Flags, Kind, Meta, Plane, Times, VideoLayout};
///
/// let meta = Meta::new(Kind::Video)
///     .flags(Flags::DISCONT)
///     .caps("video/x-raw, format=BGRx, width=640, height=480, framerate=30/1")
///     .video(VideoLayout::new("BGRx", 640, 480, [Plane { offset: 0, stride: 2560 }]).fps(30, 1))
///     .times(Times::default().capture_ns(1_000_000).clock(Clock::Monotonic))
///     .extension(0x8000, b"exposure=12ms");
/// assert_eq!(meta.caps.as_deref().unwrap().split(',').next(), Some("video/x-raw"));
///
/// let mut room = [0; 512];
/// let len = meta.encode(&mut room)?;
/// assert_eq!(Meta::decode(&room[..len])?, meta);
/// # Ok::<(), shmflow::meta::MetaError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Meta {
    /// What the payload is.
    pub kind: Kind,
    /// What is special about the frame.
    pub flags: Flags,
    /// GStreamer caps, or any media type with parameters; without NUL.
    pub caps: Option<String>,
    /// The layout of a video frame in the payload.
    pub video: Option<VideoLayout>,
    /// The layout of raw audio in the payload.
    pub audio: Option<AudioLayout>,
    /// When the frame was taken and is to be shown.
    pub times: Times,
    /// First unit (frame number, byte, sample: as the kind has it) of the frame in the producer's stream.
    pub offset: Option<u64>,
    /// Unit after the last one.
    pub offset_end: Option<u64>,
    /// The visible part of a video frame.
    pub crop: Option<Crop>,
    /// Everything else, in the order of the block.
    pub extensions: Vec<Extension>,
}

impl Meta {
    /// Metadata that says of what kind the payload is, and nothing else yet.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self { kind, ..Self::default() }
    }

    setters! {
        flags: Flags,
        video: Option<VideoLayout>,
        audio: Option<AudioLayout>,
        times: Times,
        offset: Option<u64>,
        offset_end: Option<u64>,
        crop: Option<Crop>,
    }

    /// Sets [`caps`](#structfield.caps).
    #[must_use]
    pub fn caps(mut self, caps: impl Into<String>) -> Self {
        self.caps = Some(caps.into());
        self
    }

    /// Adds one to [`extensions`](#structfield.extensions).
    #[must_use]
    pub fn extension(mut self, ty: u16, data: impl Into<Vec<u8>>) -> Self {
        self.extensions.push(Extension::new(ty, data));
        self
    }

    /// Reads a block: [`MetaView::parse`] into an owned value. No bytes at all give [`Meta::default`].
    ///
    /// # Errors
    /// As [`MetaView::parse`].
    pub fn decode(bytes: &[u8]) -> Result<Self, MetaError> {
        MetaView::parse(bytes).map(|view| view.to_meta())
    }

    /// Writes the block to the start of `buffer` and returns its length, a multiple of 8. Allocates nothing; all
    /// bytes up to that length are written, whatever was there, and none behind them.
    ///
    /// # Errors
    /// [`MetaError::NoRoom`] if `buffer` is too small; otherwise what cannot be said in a block. Nothing is written
    /// then.
    pub fn encode(&self, buffer: &mut [u8]) -> Result<usize, MetaError> {
        let needed = self.encoded_len()?;
        let have = buffer.len();
        let total = u32::try_from(needed).map_err(|_| MetaError::TooLarge)?;
        let no_room = MetaError::NoRoom { needed, have };
        let Some(block) = buffer.get_mut(..needed) else {
            return Err(no_room);
        };
        let Some((header, rest)) = block.split_first_chunk_mut::<HEADER_LEN>() else {
            return Err(no_room);
        };
        put_header(header, total, self.kind, &self.per_frame());
        let mut rest = rest;
        if let Some(caps) = &self.caps {
            put_entry(&mut rest, ENTRY_CAPS, caps.as_bytes());
        }
        if let Some(video) = &self.video {
            let mut value = [0; VIDEO_LEN];
            video.put(&mut value);
            put_entry(&mut rest, ENTRY_VIDEO, &value);
        }
        if let Some(crop) = &self.crop {
            let mut value = [0; CROP_LEN];
            put(&mut value, 0, crop.x.to_le_bytes());
            put(&mut value, 4, crop.y.to_le_bytes());
            put(&mut value, 8, crop.width.to_le_bytes());
            put(&mut value, 12, crop.height.to_le_bytes());
            put_entry(&mut rest, ENTRY_CROP, &value);
        }
        if let Some(audio) = &self.audio {
            put_entry_with(&mut rest, ENTRY_AUDIO, audio.value_len(), |value| audio.put(value));
        }
        for extension in &self.extensions {
            put_entry(&mut rest, extension.ty, &extension.data);
        }
        debug_assert!(rest.is_empty(), "encoded_len and encode disagree");
        Ok(needed)
    }

    /// The block as a vector.
    ///
    /// # Errors
    /// What cannot be said in a block.
    pub fn to_vec(&self) -> Result<Vec<u8>, MetaError> {
        let mut bytes = vec![0; self.encoded_len()?];
        self.encode(&mut bytes)?;
        Ok(bytes)
    }

    /// The length [`encode`](Self::encode) needs, in bytes.
    ///
    /// # Errors
    /// What cannot be said in a block.
    pub fn encoded_len(&self) -> Result<usize, MetaError> {
        let bad = |ty, why| MetaError::BadEntry { ty, at: 0, why };
        let mut len = HEADER_LEN;
        let mut entries = self.extensions.len();
        let mut add = |value: usize| -> Result<(), MetaError> {
            len = entry_len(value).and_then(|entry| len.checked_add(entry)).ok_or(MetaError::TooLarge)?;
            Ok(())
        };
        if let Some(caps) = &self.caps {
            if caps.as_bytes().contains(&0) {
                return Err(bad(ENTRY_CAPS, view::CAPS_NUL));
            }
            entries = entries.saturating_add(1);
            add(caps.len())?;
        }
        if let Some(video) = &self.video {
            video.check().map_err(|why| bad(ENTRY_VIDEO, why))?;
            entries = entries.saturating_add(1);
            add(VIDEO_LEN)?;
        }
        if let Some(audio) = &self.audio {
            audio.check().map_err(|why| bad(ENTRY_AUDIO, why))?;
            entries = entries.saturating_add(1);
            add(audio.value_len())?;
        }
        if self.crop.is_some() {
            entries = entries.saturating_add(1);
            add(CROP_LEN)?;
        }
        for extension in &self.extensions {
            if extension.ty == ENTRY_PADDING || has_field(extension.ty) {
                return Err(MetaError::ReservedType { ty: extension.ty });
            }
            add(extension.data.len())?;
        }
        if entries > MAX_ENTRIES {
            return Err(MetaError::TooManyEntries);
        }
        if len > MAX_LEN { Err(MetaError::TooLarge) } else { Ok(len) }
    }

    /// What changes from frame to frame.
    #[must_use]
    pub fn per_frame(&self) -> PerFrame {
        PerFrame { flags: self.flags, times: self.times, offset: self.offset, offset_end: self.offset_end }
    }

    /// Sets what changes from frame to frame.
    pub fn set_per_frame(&mut self, frame: &PerFrame) {
        let PerFrame { flags, times, offset, offset_end } = *frame;
        (self.flags, self.times, self.offset, self.offset_end) = (flags, times, offset, offset_end);
    }
}

/// Writes one entry with its padding to the start of `rest` and moves `rest` behind it. `encoded_len` has made sure
/// of the room.
fn put_entry(rest: &mut &mut [u8], ty: u16, value: &[u8]) {
    put_entry_with(rest, ty, value.len(), |to| to.copy_from_slice(value));
}

/// The same for a value of `len` bytes that `write` writes.
fn put_entry_with(rest: &mut &mut [u8], ty: u16, value_len: usize, write: impl FnOnce(&mut [u8])) {
    let (Some(len), Ok(number)) = (entry_len(value_len), u32::try_from(value_len)) else {
        return;
    };
    let Some((entry, behind)) = std::mem::take(rest).split_at_mut_checked(len) else {
        return;
    };
    *rest = behind;
    if let Some((head, body)) = entry.split_first_chunk_mut::<ENTRY_HEADER_LEN>() {
        *head = [0; ENTRY_HEADER_LEN];
        put(head, 0, ty.to_le_bytes());
        put(head, 4, number.to_le_bytes());
        if let Some((body, padding)) = body.split_at_mut_checked(value_len) {
            write(body);
            padding.fill(0);
        }
    }
}
