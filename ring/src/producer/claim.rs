//! Claims and what becomes of them.
#![allow(unsafe_code)]

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::inner::Inner;
use super::slot::OwnSlot;
use crate::error::{Error, Result};

/// A slot in shared memory to write a frame into. Dropped unpublished, it is abandoned.
///
/// Its bytes are what an earlier frame left there; they start at a multiple of 4096 in memory.
#[derive(Debug)]
pub struct Claim {
    slot: OwnSlot,
    len: usize,
}

impl Claim {
    pub(super) fn new(inner: &Arc<Inner>, len: usize, may_wait: bool) -> Result<Self> {
        Ok(Self { slot: OwnSlot::claim(inner, len as u64, may_wait)?, len })
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

    /// Has `write` put a metadata block into the slot, from the start of the room given, and say how long it is: so a
    /// block is encoded where it stays. What is in a block the ring does not know.
    pub(crate) fn set_meta_with<E>(&mut self, write: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<()>
    where
        Error: From<E>,
    {
        // SAFETY: not published; `&mut self`.
        unsafe { self.slot.set_meta_with(write) }
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
            return Err(Error::Standby { topic: self.slot.inner().member.topic_shared() });
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
        // SAFETY: as above, and `&mut self`; once published nobody calls this, by the contract of `PublishPermit::publish_unchecked`.
        unsafe { std::slice::from_raw_parts_mut(self.slot.payload(), self.len) }
    }
}

/// The right to publish a claim whose bytes a framework owns. See [`Claim::into_parts`].
#[derive(Debug)]
pub struct PublishPermit {
    slot: Arc<OwnSlot>,
}

impl PublishPermit {
    /// As [`Claim::set_meta_with`]; [`Error::InvalidArgument`] also after publication.
    pub(crate) fn set_meta_with<E>(&mut self, write: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<()>
    where
        Error: From<E>,
    {
        self.check_unpublished()?;
        // SAFETY: not published; `&mut self`, and the buffer cannot reach the metadata.
        unsafe { self.slot.set_meta_with(write) }
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

    /// Publishes the slot once the framework has given its buffer back, as [`Claim::publish`] does.
    ///
    /// ```
    /// # let dir = std::env::temp_dir().join(format!("shmflow-doc-permit-{}", std::process::id()));
    /// # std::fs::create_dir_all(&dir).unwrap();
    /// # let producer = shmflow::Producer::builder("doc/permit").dir(&dir).open()?;
    /// let (mut buffer, permit) = producer.claim(5)?.into_parts();
    /// buffer.as_mut().copy_from_slice(b"hello"); // on whatever thread, by whatever library
    /// assert_eq!(permit.publish(buffer)?.seq(), 1);
    /// # drop(producer); std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok::<(), shmflow::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Claim::publish`]; [`Error::InvalidArgument`] if `buffer` is that of another claim, or if it was published
    /// already.
    pub fn publish(self, buffer: SlotBuffer) -> Result<Published> {
        let refused = |what: &str| Err(Error::InvalidArgument { what: what.into() });
        let SlotBuffer { slot, len } = buffer;
        if !Arc::ptr_eq(&self.slot, &slot) {
            return refused("the buffer given back is not that of this claim");
        }
        drop(slot);
        match Arc::into_inner(self.slot) {
            Some(slot) if slot.seq().is_none() => Claim { slot, len }.publish(),
            _ => refused("a slot is published only once"),
        }
    }

    /// Publishes the first `len` bytes of the slot while the framework still has its buffer; the sequence number.
    ///
    /// # Errors
    /// As [`Claim::publish`]; [`Error::InvalidArgument`] if it was published already.
    ///
    /// # Safety
    /// From now on nothing may write through the [`SlotBuffer`].
    pub unsafe fn publish_unchecked(&mut self, len: usize) -> Result<u64> {
        if len > self.capacity() {
            let topic = self.slot.inner().member.topic_name().into();
            return Err(Error::TooLarge { topic, needed: len as u64, max: self.capacity() as u64 });
        }
        if !self.slot.inner().try_become_primary() {
            return Err(Error::Standby { topic: self.slot.inner().member.topic_shared() });
        }
        // SAFETY: passed on to the caller.
        unsafe { self.slot.publish(len as u64) }
    }
}
