//! A slot that this process owns: from the claim to the last reference.
#![allow(unsafe_code)]

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release, Ordering::SeqCst,
};

use super::inner::Inner;
use crate::error::{Error, Result};
use crate::protocol::publish::{Published, publish};
use crate::protocol::{FailPoint, Memory, backlog, claim};
use crate::shm::epoch::Epoch;
use crate::sys::machine_time::machine_ns;

/// The slot's bit is ours as long as this lives: no other participant writes into it, published or not.
#[derive(Debug)]
pub(super) struct OwnSlot {
    inner: Arc<Inner>,
    epoch: Arc<Epoch>,
    slot: u16,
    payload: NonNull<u8>,
    /// 0 until the frame is public, then its sequence.
    seq: AtomicU64,
    /// The frame is public in this slot, and not as a copy in a later epoch.
    in_place: AtomicBool,
    meta_len: AtomicU64,
}

// SAFETY: `payload` points into shared memory that `epoch` keeps mapped; who reads or writes it when is decided
// by the types that hand out slices of it.
unsafe impl Send for OwnSlot {}
// SAFETY: as above; everything else in it is `Sync`.
unsafe impl Sync for OwnSlot {}

impl OwnSlot {
    pub(super) fn claim(inner: &Arc<Inner>, len: u64, may_wait: bool) -> Result<Self> {
        let (epoch, slot) = inner.take(len, may_wait)?;
        let Some(payload) = epoch.payload(slot, len) else {
            claim::abandon(&*epoch, inner.id, slot);
            return Err(Error::TooLarge {
                topic: inner.member.topic_name().into(),
                needed: len,
                max: epoch.geometry.slot_capacity,
            });
        };
        let (seq, meta_len) = (AtomicU64::new(0), AtomicU64::new(0));
        let in_place = AtomicBool::new(false);
        Ok(Self { inner: Arc::clone(inner), epoch, slot, payload, seq, in_place, meta_len })
    }

    pub(super) fn epoch(&self) -> &Arc<Epoch> {
        &self.epoch
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Start of the payload; valid for the slot's capacity as long as `self` lives.
    pub(super) fn payload(&self) -> *mut u8 {
        self.payload.as_ptr()
    }

    /// The sequence, once published.
    pub(super) fn seq(&self) -> Option<u64> {
        Some(self.seq.load(Acquire)).filter(|&seq| seq != 0)
    }

    /// Copies bytes to the start of the payload.
    ///
    /// # Safety
    /// The slot is not published, and no reference to its payload exists.
    pub(super) unsafe fn fill(&self, bytes: &[u8]) -> bool {
        #[cfg(feature = "failpoints")]
        {
            let (one, two) = bytes.split_at(bytes.len() / 2);
            // SAFETY: passed on to the caller.
            let written = unsafe { self.epoch.write_payload(self.slot, 0, one) };
            self.epoch.at(FailPoint::PublishPayload);
            // SAFETY: as above.
            written && unsafe { self.epoch.write_payload(self.slot, one.len(), two) }
        }
        #[cfg(not(feature = "failpoints"))]
        // SAFETY: passed on to the caller.
        unsafe {
            self.epoch.write_payload(self.slot, 0, bytes)
        }
    }

    /// Has `write` put a metadata block into the slot's room for it, from its start, and say how long it is.
    ///
    /// # Safety
    /// The slot is not published, and nobody else calls this at the same time.
    pub(super) unsafe fn set_meta_with<E>(
        &self,
        write: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<()>
    where
        Error: From<E>,
    {
        // SAFETY: we own the slot; nobody else makes references to its metadata.
        let len = unsafe { self.epoch.with_meta(self.slot, write) };
        match len {
            Some(len) => self.meta_len.store(len? as u64, Relaxed),
            None => self.meta_len.store(0, Relaxed),
        }
        Ok(())
    }

    /// Copies an encoded metadata block into the slot.
    ///
    /// # Safety
    /// As [`set_meta_with`](Self::set_meta_with).
    pub(super) unsafe fn set_meta_bytes(&self, block: &[u8]) -> Result<()> {
        // SAFETY: passed on to the caller.
        if !unsafe { self.epoch.write_meta(self.slot, block) } {
            return Err(Error::InvalidArgument {
                what: format!(
                    "a metadata block of {} bytes (topic `{}` has room for {})",
                    block.len(),
                    self.inner.member.topic_name(),
                    self.epoch.geometry.meta_capacity
                ),
            });
        }
        self.meta_len.store(block.len() as u64, Relaxed);
        Ok(())
    }

    /// Publishes the first `len` bytes. In a sealed epoch the frame is copied once into the one that follows.
    ///
    /// # Safety
    /// From now on no code writes to the payload through this slot.
    pub(super) unsafe fn publish(&self, len: u64) -> Result<u64> {
        self.inner.member.check_fork()?;
        if self.seq().is_some() {
            return Err(Error::InvalidArgument { what: "a slot is published only once".into() });
        }
        let entry = self.inner.member.entry();
        // Before the frame is there: a consumer that has just read it must not find the stream ended.
        let ended = entry.map_or(0, |entry| entry.ended.load(Relaxed));
        if let (Some(entry), true) = (entry, ended != 0) {
            entry.ended.store(0, SeqCst);
        }
        let published = match self.commit(len) {
            Ok(Published::At(seq)) => {
                self.in_place.store(true, Release);
                Ok(seq)
            }
            Ok(Published::Sealed(_)) => self.migrate(len),
            Err(error) => Err(error),
        };
        if let Ok(seq) = published {
            self.seq.store(seq, Release);
        }
        match (&published, entry) {
            (Ok(_), Some(entry)) => {
                entry.frames.fetch_add(1, Relaxed);
                entry.bytes.fetch_add(len, Relaxed);
            }
            (Err(_), Some(entry)) if ended != 0 => entry.ended.store(ended, SeqCst),
            _ => {}
        }
        published
    }

    /// Publishes the slot, unless its epoch has ended, and wakes the consumers that wait for it.
    fn commit(&self, len: u64) -> Result<Published> {
        let epoch = &*self.epoch;
        let header = epoch.slot(self.slot);
        header.len.store(len.min(epoch.geometry.slot_capacity), Relaxed);
        header.meta_len.store(self.meta_len.load(Relaxed), Relaxed);
        header.generation.store(self.inner.member.generation(), Relaxed);
        epoch.fill_slot(self.slot);
        let now = machine_ns();
        header.published.store(now, Relaxed);
        epoch.at(FailPoint::PublishMeta);
        let published =
            publish(epoch, self.inner.id, self.slot).map_err(|corruption| epoch.corrupt(corruption))?;
        if matches!(published, Published::At(_)) {
            self.inner.wake(epoch);
            self.inner.look_sometimes(epoch, now);
        }
        Ok(published)
    }

    /// The epoch was sealed while we wrote: the frame is copied into its successor and published there.
    fn migrate(&self, len: u64) -> Result<u64> {
        const EPOCHS: usize = 8;
        self.inner.after(&self.epoch)?;
        for _ in 0..EPOCHS {
            let new = Self::claim(&self.inner, len, true)?;
            let size = usize::try_from(len).unwrap_or(usize::MAX);
            let mut block = vec![0; usize::try_from(self.meta_len.load(Relaxed)).unwrap_or(0)];
            // SAFETY: both slots are ours and hold `len` bytes, this one is no longer written to, and nobody else has
            // the new one's bytes yet.
            unsafe {
                std::ptr::copy_nonoverlapping(self.payload().cast_const(), new.payload(), size);
                if self.epoch.copy_meta(self.slot, &mut block) {
                    new.set_meta_bytes(&block)?;
                }
            }
            if let Published::At(seq) = new.commit(len)? {
                // `new` releases its slot: nothing in this process refers to the copy.
                new.in_place.store(true, Release);
                return Ok(seq);
            }
            self.inner.after(&new.epoch)?;
        }
        Err(Error::Busy {
            topic: self.inner.member.topic_name().into(),
            waited: std::time::Duration::ZERO,
            what: "publish, because its geometry keeps changing, into".into(),
        })
    }
}

impl Drop for OwnSlot {
    fn drop(&mut self) {
        if !self.inner.member.peers.is_own_process() {
            return; // a forked child's copy
        }
        let in_place = self.in_place.load(Acquire);
        backlog::free(&self.inner.member.peers, || {
            if in_place {
                claim::release_published(&*self.epoch, self.inner.id, self.slot);
            } else {
                claim::abandon(&*self.epoch, self.inner.id, self.slot);
            }
        });
        if !in_place {
            // A producer that publishes nothing is to notice, too.
            self.inner.look_sometimes(&self.epoch, machine_ns());
        }
    }
}
