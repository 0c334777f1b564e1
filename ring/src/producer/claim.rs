//! Claims and what becomes of them.
#![allow(unsafe_code)]

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::inner::Inner;
use super::slot::OwnSlot;
use crate::error::{Error, Result};
use crate::meta::{EncodedMeta, Meta};

/// A slot in shared memory to write a frame into. Dropped unpublished, it is abandoned.
///
/// Its bytes are what an earlier frame left there; they start at a multiple of 4096 in memory.
#[derive(Debug)]
pub struct Claim {
    slot: OwnSlot,
    len: usize,
}

impl Claim {
    pub(super) fn new(inner: &Arc<Inner>, len: usize) -> Result<Self> {
        Ok(Self { slot: OwnSlot::claim(inner, len as u64)?, len })
    }

    /// Bytes that the slot can hold; `len()` of the slice is what was asked for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        usize::try_from(self.slot.epoch().geometry.slot_capacity).unwrap_or(usize::MAX)
    }

    /// Makes the frame shorter or longer, up to the capacity.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond the capacity.
    pub fn set_len(&mut self, len: usize) -> Result<()> {
        if len > self.capacity() {
            let topic = self.slot.inner().member.topic_name().into();
            return Err(Error::TooLarge { topic, needed: len as u64, max: self.capacity() as u64 });
        }
        self.len = len;
        Ok(())
    }

    /// Copies `bytes` to the start of the frame, around the caches where that is faster.
    pub(super) fn fill(&mut self, bytes: &[u8]) {
        let bytes = bytes.get(..self.len).unwrap_or(bytes);
        // SAFETY: not published, and `&mut self` says that nobody has a reference to the bytes.
        let filled = unsafe { self.slot.fill(bytes) };
        debug_assert!(filled, "a claim is as large as it was asked for");
    }

    /// Copies `bytes` to the start of the frame; bytes beyond the frame's length are ignored. Large copies go around the
    /// caches where that is faster, which writing through the slice cannot.
    pub fn copy_from(&mut self, bytes: &[u8]) {
        self.fill(bytes);
    }

    /// Adds metadata, or replaces it.
    ///
    /// # Errors
    /// [`Error::Meta`] if it cannot be encoded or is larger than the topic has room for.
    pub fn set_meta(&mut self, meta: &Meta) -> Result<()> {
        // SAFETY: not published; `&mut self`.
        unsafe { self.slot.set_meta(|block| meta.encode(block)) }
    }

    /// As [`set_meta`](Self::set_meta), of metadata that was encoded before and is the same for many frames.
    ///
    /// # Errors
    /// As there.
    pub fn set_encoded_meta(&mut self, meta: &EncodedMeta) -> Result<()> {
        // SAFETY: as above.
        unsafe { self.slot.set_meta(|block| meta.write_to(block)) }
    }

    /// Adds an encoded metadata block, or replaces it.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if it is larger than the topic has room for.
    pub fn set_meta_bytes(&mut self, block: &[u8]) -> Result<()> {
        // SAFETY: not published; `&mut self`.
        unsafe { self.slot.set_meta_bytes(block) }
    }

    /// Publishes the frame.
    ///
    /// # Errors
    /// [`Error::Standby`] in primary mode, if another producer is the primary; [`Error::Corrupt`]. The frame is
    /// dropped then. If the topic moved to a new epoch meanwhile the frame is copied there once, and fails as
    /// [`Producer::claim`](super::Producer::claim) does.
    pub fn publish(self) -> Result<Published> {
        if !self.slot.inner().try_become_primary() {
            return Err(Error::Standby { topic: self.slot.inner().member.topic_name().into() });
        }
        // SAFETY: `self` is consumed; `Published` only reads.
        let seq = unsafe { self.slot.publish(self.len as u64)? };
        Ok(Published { slot: self.slot, len: self.len, seq })
    }

    /// Splits the claim, for frameworks that own their buffers: the bytes go to the framework, the permit publishes.
    /// The slot is free again when both are dropped and no consumer holds it.
    #[must_use]
    pub fn into_parts(self) -> (SlotBuffer, PublishPermit) {
        let slot = Arc::new(self.slot);
        (SlotBuffer { slot: Arc::clone(&slot), len: self.len }, PublishPermit { slot })
    }
}

impl Deref for Claim {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the slot is ours alone until it is published, which consumes `self`; initialised, because files are.
        unsafe { std::slice::from_raw_parts(self.slot.payload(), self.len) }
    }
}

impl DerefMut for Claim {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `&mut self`.
        unsafe { std::slice::from_raw_parts_mut(self.slot.payload(), self.len) }
    }
}

/// A frame that was published. As long as this lives, the producer's process may read it in place.
#[derive(Debug)]
pub struct Published {
    slot: OwnSlot,
    len: usize,
    seq: u64,
}

impl Published {
    /// Its sequence number; the first frame of a topic has 1.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }
}

impl Deref for Published {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: published frames are not written to; our bit keeps the slot from being claimed.
        unsafe { std::slice::from_raw_parts(self.slot.payload(), self.len) }
    }
}

/// The bytes of a claim that a framework owns. See [`Claim::into_parts`].
#[derive(Debug)]
pub struct SlotBuffer {
    slot: Arc<OwnSlot>,
    len: usize,
}

impl AsRef<[u8]> for SlotBuffer {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: our bit keeps the slot; nobody writes to it but through `as_mut`.
        unsafe { std::slice::from_raw_parts(self.slot.payload(), self.len) }
    }
}

impl AsMut<[u8]> for SlotBuffer {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `&mut self`; once published nobody calls this, by the contract of `PublishPermit::publish`.
        unsafe { std::slice::from_raw_parts_mut(self.slot.payload(), self.len) }
    }
}

/// The right to publish a claim whose bytes a framework owns. See [`Claim::into_parts`].
#[derive(Debug)]
pub struct PublishPermit {
    slot: Arc<OwnSlot>,
}

impl PublishPermit {
    /// Adds metadata, or replaces it.
    ///
    /// # Errors
    /// As [`Claim::set_meta`]; [`Error::InvalidArgument`] after publication.
    pub fn set_meta(&mut self, meta: &Meta) -> Result<()> {
        self.check_unpublished()?;
        // SAFETY: not published; `&mut self`, and the buffer cannot reach the metadata.
        unsafe { self.slot.set_meta(|block| meta.encode(block)) }
    }

    /// As [`Claim::set_encoded_meta`]; [`Error::InvalidArgument`] also after publication.
    ///
    /// # Errors
    /// As said.
    pub fn set_encoded_meta(&mut self, meta: &EncodedMeta) -> Result<()> {
        self.check_unpublished()?;
        // SAFETY: as above.
        unsafe { self.slot.set_meta(|block| meta.write_to(block)) }
    }

    /// As [`Claim::set_meta_bytes`]; [`Error::InvalidArgument`] also after publication.
    ///
    /// # Errors
    /// As said.
    pub fn set_meta_bytes(&mut self, block: &[u8]) -> Result<()> {
        self.check_unpublished()?;
        // SAFETY: as above.
        unsafe { self.slot.set_meta_bytes(block) }
    }

    fn check_unpublished(&self) -> Result<()> {
        if self.is_published() {
            return Err(Error::InvalidArgument {
                what: "a frame's metadata cannot change after its publication".into(),
            });
        }
        Ok(())
    }

    /// Whether it was published.
    #[must_use]
    pub fn is_published(&self) -> bool {
        self.slot.seq().is_some()
    }

    /// The epoch that the slot belongs to.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.slot.epoch().geometry.epoch
    }

    /// Whether the producer still works in that epoch: only then publication needs no copy.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.epoch() == self.slot.inner().geometry().epoch
    }

    /// Bytes that the slot can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        usize::try_from(self.slot.epoch().geometry.slot_capacity).unwrap_or(usize::MAX)
    }

    /// Publishes the first `len` bytes of the slot; the sequence number.
    ///
    /// # Errors
    /// As [`Claim::publish`]; [`Error::InvalidArgument`] if it was published already.
    ///
    /// # Safety
    /// From now on no code may write through the [`SlotBuffer`].
    pub unsafe fn publish(&mut self, len: usize) -> Result<u64> {
        if len > self.capacity() {
            let topic = self.slot.inner().member.topic_name().into();
            return Err(Error::TooLarge { topic, needed: len as u64, max: self.capacity() as u64 });
        }
        if !self.slot.inner().try_become_primary() {
            return Err(Error::Standby { topic: self.slot.inner().member.topic_name().into() });
        }
        // SAFETY: passed on to the caller.
        unsafe { self.slot.publish(len as u64) }
    }
}
