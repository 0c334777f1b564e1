//! A block that is encoded once and sent many times.

use super::entry::MetaEntry;
use super::error::MetaError;
use super::types::PerFrame;
use super::wire::{ALIGN, AT_TOTAL_LEN, HEADER_LEN, MAX_ENTRIES, MAX_LEN, RawEntries, put, put_per_frame};
use super::{Meta, MetaView, put_entry};

/// A block encoded once, of which only flags, times and offsets change from frame to frame, and entries that belong to one
/// frame are added and taken away.
///
/// A stream's caps and layout rarely change: a producer encodes them when they do, and per frame pays for one copy of
/// some hundred bytes, and for what the frame has of its own.
///
/// ```
/// use shmflow::meta::{EncodedMeta, Meta, PerFrame, Times};
///
/// let mut block = EncodedMeta::new(&Meta::default().caps("audio/x-raw"))?;
/// let mut room = [0; 256];
/// for frame in 0..3 {
///     let times = Times::default().pts(frame * 20_000_000);
///     block.patch(&PerFrame::default().times(times));
///     let len = block.write_to(&mut room)?;
///     assert_eq!(Meta::decode(&room[..len])?.times, times);
/// }
/// # Ok::<(), shmflow::meta::MetaError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedMeta {
    header: [u8; HEADER_LEN],
    entries: Vec<u8>,
    /// Those of the frame alone; kept for its memory.
    frame_entries: Vec<u8>,
    /// How many more entries a frame may have.
    left: usize,
}

impl EncodedMeta {
    /// Encodes `meta`.
    ///
    /// # Errors
    /// What cannot be said in a block; see [`Meta::encode`].
    pub fn new(meta: &Meta) -> Result<Self, MetaError> {
        let bytes = meta.to_vec()?;
        let needed = MetaError::Truncated { needed: HEADER_LEN, have: bytes.len() };
        let (header, entries) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(needed)?;
        Ok(Self::of_parts(*header, entries.to_vec()))
    }

    fn of_parts(header: [u8; HEADER_LEN], entries: Vec<u8>) -> Self {
        let left = MAX_ENTRIES.saturating_sub(RawEntries::new(&entries, 0).count());
        Self { header, entries, frame_entries: Vec::new(), left }
    }

    /// Sets flags, times and offsets; everything else stays.
    #[inline]
    pub fn patch(&mut self, frame: &PerFrame) {
        put_per_frame(&mut self.header, frame);
    }

    /// Takes away the entries that were added with [`push_entry`](Self::push_entry).
    #[inline]
    pub fn clear_entries(&mut self) {
        if !self.frame_entries.is_empty() {
            self.left = self.left.saturating_add(RawEntries::new(&self.frame_entries, 0).count());
            self.frame_entries.clear();
            self.put_len();
        }
    }

    /// Adds an entry of the next frame, after all others.
    ///
    /// # Errors
    /// What cannot be said in a block; [`MetaError::TooManyEntries`]. Nothing is added then.
    pub fn push_entry<E: MetaEntry>(&mut self, entry: &E) -> Result<(), MetaError> {
        let value = entry.to_value()?;
        let needed = super::wire::entry_len(value.len()).ok_or(MetaError::TooLarge)?;
        if self.left == 0 {
            return Err(MetaError::TooManyEntries);
        }
        if self.len().saturating_add(needed) > MAX_LEN {
            return Err(MetaError::TooLarge);
        }
        let at = self.frame_entries.len();
        self.frame_entries.resize(at.saturating_add(needed), 0);
        let (_, mut room) = self.frame_entries.split_at_mut(at);
        put_entry(&mut room, E::TYPE, &value);
        self.left = self.left.saturating_sub(1);
        self.put_len();
        Ok(())
    }

    fn put_len(&mut self) {
        debug_assert!(self.len().is_multiple_of(ALIGN), "every entry is padded");
        let len = u32::try_from(self.len()).unwrap_or(u32::MAX);
        put(&mut self.header, AT_TOTAL_LEN, len.to_le_bytes());
    }

    /// The block's length in bytes; it changes only with the entries of a frame.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a block is never empty")]
    pub fn len(&self) -> usize {
        HEADER_LEN.saturating_add(self.entries.len()).saturating_add(self.frame_entries.len())
    }

    /// Writes the block to the start of `buffer` and returns its length.
    ///
    /// # Errors
    /// [`MetaError::NoRoom`] if `buffer` is too small; nothing is written then.
    #[inline]
    pub fn write_to(&self, buffer: &mut [u8]) -> Result<usize, MetaError> {
        let no_room = MetaError::NoRoom { needed: self.len(), have: buffer.len() };
        let Some(block) = buffer.get_mut(..self.len()) else {
            return Err(no_room);
        };
        let Some((header, entries)) = block.split_first_chunk_mut::<HEADER_LEN>() else {
            return Err(no_room);
        };
        *header = self.header;
        if let Some((stream, frame)) = entries.split_at_mut_checked(self.entries.len()) {
            stream.copy_from_slice(&self.entries);
            frame.copy_from_slice(&self.frame_entries);
        }
        Ok(self.len())
    }

    /// The block's entries, without those of one frame: equal for equal caps, layout, crop and extensions; see
    /// [`MetaHeader::entry_bytes`](super::MetaHeader::entry_bytes).
    #[must_use]
    pub fn entry_bytes(&self) -> &[u8] {
        &self.entries
    }
}

impl From<&MetaView<'_>> for EncodedMeta {
    /// Takes a block over as it is, unknown entries and padding included, with the version and header of this crate.
    fn from(view: &MetaView<'_>) -> Self {
        let mut header = [0; HEADER_LEN];
        let entries = view.entry_bytes().to_vec();
        // Parsed from a block whose length fits 32 bits, and the header here is not longer than the one there.
        let total = u32::try_from(HEADER_LEN.saturating_add(entries.len())).unwrap_or(u32::MAX);
        super::wire::put_header(&mut header, total, view.kind(), &view.per_frame());
        Self::of_parts(header, entries)
    }
}
