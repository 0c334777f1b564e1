//! A block that is encoded once and sent many times.

use super::error::MetaError;
use super::types::PerFrame;
use super::wire::{HEADER_LEN, put_per_frame};
use super::{Meta, MetaView};

/// A block encoded once, of which only flags, times and offsets change from frame to frame.
///
/// A stream's caps and layout rarely change: a producer encodes them when they do, and per frame pays for one copy of
/// some hundred bytes.
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
        Ok(Self { header: *header, entries: entries.to_vec() })
    }

    /// Sets flags, times and offsets; everything else stays.
    #[inline]
    pub fn patch(&mut self, frame: &PerFrame) {
        put_per_frame(&mut self.header, frame);
    }

    /// The block's length in bytes; it never changes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a block is never empty")]
    pub fn len(&self) -> usize {
        HEADER_LEN.saturating_add(self.entries.len())
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
        entries.copy_from_slice(&self.entries);
        Ok(self.len())
    }

    /// The block's entries: equal for equal caps, layout, crop and extensions; see
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
        Self { header, entries }
    }
}
