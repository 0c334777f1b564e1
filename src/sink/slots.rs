//! Slots of the ring as `GstMemory`.
//!
//! The bytes of a claimed slot are given to GStreamer as a memory that upstream elements write into; the ticket to
//! publish it stays here, found again by the memory's address. A ticket is taken out when its frame is published, so
//! that the same memory, should upstream send it a second time, is not found any more and gets copied.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use gstreamer as gst;

use shmflow::meta::EncodedMeta;
use shmflow::{Claim, SlotBuffer, Ticket};

/// Tickets of the slots that upstream has, by the address of their memory.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// There are as many as upstream holds buffers, a handful, so that looking at each beats hashing.
    tickets: Mutex<Vec<(usize, Ticket)>>,
    /// Memories alive, published or not.
    held: AtomicUsize,
}

/// What a `GstMemory` owns: the slot's bytes. With it goes the ticket, before the memory's address can be used again.
struct OwnedSlot {
    bytes: SlotBuffer,
    /// 0 until the memory is there.
    address: Arc<AtomicUsize>,
    slots: Weak<Slots>,
}

impl AsMut<[u8]> for OwnedSlot {
    fn as_mut(&mut self) -> &mut [u8] {
        self.bytes.as_mut()
    }
}

impl AsRef<[u8]> for OwnedSlot {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

impl Drop for OwnedSlot {
    fn drop(&mut self) {
        if let Some(slots) = self.slots.upgrade() {
            slots.held.fetch_sub(1, Ordering::Relaxed);
            // The ticket is dropped after the lock: giving a slot back does things of its own.
            let ticket = take(&mut slots.lock(), self.address.load(Ordering::Relaxed));
            drop(ticket);
        }
    }
}

/// Takes out the ticket of the memory at this address.
fn take(tickets: &mut Vec<(usize, Ticket)>, address: usize) -> Option<Ticket> {
    let index = tickets.iter().position(|(at, _)| *at == address)?;
    Some(tickets.swap_remove(index).1)
}

impl Slots {
    fn lock(&self) -> MutexGuard<'_, Vec<(usize, Ticket)>> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a memory of a claimed slot.
    pub(super) fn wrap(self: &Arc<Self>, claim: Claim) -> gst::Memory {
        self.held.fetch_add(1, Ordering::Relaxed);
        let (bytes, ticket) = claim.into_shared();
        let address = Arc::new(AtomicUsize::new(0));
        let memory = gst::Memory::from_mut_slice(OwnedSlot {
            bytes,
            address: Arc::clone(&address),
            slots: Arc::downgrade(self),
        });
        let at = memory.as_ptr() as usize;
        address.store(at, Ordering::Relaxed);
        self.lock().push((at, ticket));
        memory
    }

    /// The right to publish `buffer` in place, if it has it: it is exactly one whole memory, made here from a slot of
    /// the current epoch, and not published before. From then on nobody can map it for writing.
    ///
    /// A mapping that is open already is no obstacle (see `mapping`): libav's decoders keep a read-write mapping of every
    /// reference frame, and only read it once it was pushed. That upstream does not write to what it has pushed is the
    /// rule of every GStreamer pipeline.
    pub(super) fn take(&self, buffer: &gst::BufferRef) -> Option<Ready> {
        if buffer.n_memory() != 1 {
            return None;
        }
        let memory = buffer.peek_memory(0);
        if memory.parent().is_some() || memory.offset() != 0 || memory.size() == 0 {
            return None;
        }
        let address = memory.as_ptr() as usize;
        let ticket = {
            let mut tickets = self.lock();
            if !tickets.iter().find(|(at, _)| *at == address)?.1.is_current() {
                return None;
            }
            take(&mut tickets, address)?
        };
        // SAFETY: the memory is alive, the buffer holds it. GStreamer itself sets such flags without synchronisation. From
        // here on every attempt to map it for writing, by whoever kept a reference, fails, and GStreamer makes a copy.
        unsafe {
            let object = memory.as_ptr().cast_mut().cast::<gst::ffi::GstMiniObject>();
            (*object).flags |= gst::ffi::GST_MINI_OBJECT_FLAG_LOCK_READONLY;
        }
        Some(Ready { ticket, len: memory.size() })
    }

    /// How many slots upstream has: those it is filling, and those it keeps after they were published.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// A slot whose memory nobody can map for writing any more.
#[derive(Debug)]
pub(super) struct Ready {
    ticket: Ticket,
    len: usize,
}

impl Ready {
    pub(super) fn publish(mut self, meta: &EncodedMeta) -> shmflow::Result<u64> {
        self.ticket.set_encoded_meta(meta)?;
        // SAFETY: a `Ready` exists only for a memory that is marked read-only; see `Slots::take` for mappings made before.
        unsafe { self.ticket.publish(self.len) }
    }
}
