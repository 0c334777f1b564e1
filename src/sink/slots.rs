//! Slots of the ring as `GstMemory`.
//!
//! The bytes of a claimed slot are given to GStreamer as a memory that upstream elements write into; the ticket to
//! publish it stays here, found again by the memory's address. A ticket is taken out when its frame is published, so
//! that the same memory, should upstream send it a second time, is not found any more and gets copied.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use gstreamer as gst;

use shmflow::{Claim, SlotBuffer, Ticket};

/// Tickets of the slots that upstream has, by the address of their memory.
#[derive(Debug, Default)]
pub(super) struct Slots {
    tickets: Mutex<HashMap<usize, Ticket>>,
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
            // The ticket is dropped after the lock: giving a slot back does things of its own.
            let ticket = slots.lock().remove(&self.address.load(Ordering::Relaxed));
            drop(ticket);
        }
    }
}

impl Slots {
    fn lock(&self) -> MutexGuard<'_, HashMap<usize, Ticket>> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a memory of a claimed slot.
    pub(super) fn wrap(self: &Arc<Self>, claim: Claim) -> gst::Memory {
        let (bytes, ticket) = claim.into_shared();
        let address = Arc::new(AtomicUsize::new(0));
        let memory = gst::Memory::from_mut_slice(OwnedSlot {
            bytes,
            address: Arc::clone(&address),
            slots: Arc::downgrade(self),
        });
        let at = memory.as_ptr() as usize;
        address.store(at, Ordering::Relaxed);
        self.lock().insert(at, ticket);
        memory
    }

    /// The right to publish `buffer` in place, if it has it: it is exactly one whole memory, made here from a slot of
    /// the current epoch, not published before, and nobody is writing to it. From then on nobody can.
    pub(super) fn take(&self, buffer: &gst::BufferRef) -> Option<Ready> {
        if buffer.n_memory() != 1 {
            return None;
        }
        let memory = buffer.peek_memory(0);
        if memory.parent().is_some() || memory.offset() != 0 || memory.size() == 0 {
            return None;
        }
        let address = memory.as_ptr() as usize;
        let current = self.lock().get(&address).map(Ticket::is_current)?;
        // Fails while upstream still has it mapped for writing.
        let readable = memory.map_readable().ok()?;
        let len = readable.size();
        let ticket = current.then(|| self.lock().remove(&address)).flatten()?;
        // SAFETY: the memory is alive, the buffer holds it. The flag keeps every later attempt to map it for writing,
        // by whoever kept a reference, from succeeding: GStreamer makes a copy then. GStreamer itself sets such flags
        // without synchronisation; the read mapping held here excludes a writer at this moment.
        unsafe {
            let object = memory.as_ptr().cast_mut().cast::<gst::ffi::GstMiniObject>();
            (*object).flags |= gst::ffi::GST_MINI_OBJECT_FLAG_LOCK_READONLY;
        }
        drop(readable);
        Some(Ready { ticket, len })
    }

    /// How many slots upstream has.
    pub(super) fn held(&self) -> usize {
        self.lock().len()
    }
}

/// A slot whose memory nobody can write to any more.
#[derive(Debug)]
pub(super) struct Ready {
    ticket: Ticket,
    len: usize,
}

impl Ready {
    pub(super) fn publish(mut self, meta: &shmflow::meta::Meta) -> shmflow::Result<u64> {
        self.ticket.set_meta(meta)?;
        // SAFETY: a `Ready` exists only for a memory that is marked read-only and was not mapped for writing.
        unsafe { self.ticket.publish(self.len) }
    }
}
