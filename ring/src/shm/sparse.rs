//! Reading a ring that may have holes: one whose memory is still being reserved, or that somebody made to have its readers
//! fill them.
//!
//! What is read through a mapping gets memory. So as long as a ring was not seen to have all of its own, only slots
//! without holes are read in place, and the rest by system calls, which leave holes as they are.

use std::sync::atomic::Ordering::Relaxed;

use super::epoch::{Epoch, Part};
use crate::sys::holes;

impl Part {
    /// Whether so many bytes of it have memory, whatever its header says.
    pub(super) fn has(&self, len: u64) -> bool {
        // A forked child has no descriptor: it uses what was looked at before.
        self.file.get().is_none_or(|fd| holes::has_memory_for(fd, len).unwrap_or(false))
    }

    /// Whether a copy of so many bytes may be made.
    fn may_be_copied(&self, len: u64) -> bool {
        self.file.get().is_none_or(|fd| holes::may_be_copied(fd, len).unwrap_or(false))
    }

    fn has_hole(&self, at: u64, len: u64) -> bool {
        self.file.get().is_some_and(|fd| holes::has_hole(fd, at, len))
    }
}

impl Epoch {
    /// Whether the whole ring has memory: it is said to have, and has.
    pub(super) fn is_whole(&self) -> bool {
        if self.whole.load(Relaxed) {
            return true;
        }
        let whole = self.ring.is_reserved() && self.ring.has(self.offsets.file_len);
        if whole {
            self.whole.store(true, Relaxed);
        }
        whole
    }

    /// Whether a slot's payload of this length can be read in place. One that cannot is to be copied.
    pub(crate) fn is_readable_in_place(&self, slot: u16, len: u64) -> bool {
        self.is_whole()
            || self.is_backed(slot)
            || !self.ring.has_hole(self.offsets.payload_of(slot.into()), len)
    }

    /// Whether all of a slot's payload has memory, as it has once its producer has claimed it. What was seen to have is not
    /// looked at again: that takes milliseconds for a large slot.
    fn is_backed(&self, slot: u16) -> bool {
        let Some(backed) = self.backed.get(usize::from(slot)) else { return false };
        if !backed.load(Relaxed)
            && !self.ring.has_hole(self.offsets.payload_of(slot.into()), self.offsets.payload_stride)
        {
            backed.store(true, Relaxed);
        }
        backed.load(Relaxed)
    }

    /// Whether a slot may hold a payload of this length, for which somebody is about to allocate a buffer: no more than there
    /// is memory behind the ring, or a part of what there is here, if the ring is on a disk.
    pub(crate) fn may_hold(&self, len: u64) -> bool {
        len <= self.geometry.slot_capacity
            && ((self.in_memory && self.is_whole()) || self.ring.may_be_copied(len))
    }

    /// Copies out what others may be changing.
    pub(super) fn copy_out(&self, at: usize, dst: &mut [u8]) -> bool {
        // Nor does a copy show what this process has written over a private mapping.
        match self.ring.file.get().filter(|_| self.ring.map.is_private() || !self.is_whole()) {
            Some(fd) => holes::read(fd, at as u64, dst).unwrap_or(false),
            None => self.ring.map.copy_out(at, dst),
        }
    }
}
