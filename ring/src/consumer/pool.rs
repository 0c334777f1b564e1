//! Buffers for copies, used again: a fresh one of a few megabytes costs more page faults than its copy takes.

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// Buffers kept for later; more are freed.
const KEPT: usize = 4;
/// As a slot's payload is aligned: what a program does with a frame does not depend on whether it got a copy.
const ALIGN: usize = 4096;

#[derive(Clone, Debug, Default)]
pub(super) struct Pool {
    free: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Pool {
    /// A buffer of `len` bytes of unspecified content; `None` if there is no memory for it.
    pub(super) fn take(&self, len: usize) -> Option<Pooled> {
        let recycled = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        // As much as it may take to begin at a multiple of the alignment.
        let needed = len.checked_add(ALIGN - 1)?;
        let mut bytes = recycled.filter(|bytes| bytes.capacity() >= needed).unwrap_or_default();
        // The length is another process's word: that it cannot be had is no reason to die.
        bytes.try_reserve_exact(needed.saturating_sub(bytes.len())).ok()?;
        bytes.resize(needed, 0);
        let start = bytes.as_ptr().align_offset(ALIGN);
        let address = AtomicPtr::new(bytes.as_mut_ptr().wrapping_add(start));
        Some(Pooled { bytes, start, address, len, pool: self.clone() })
    }
}

/// A buffer that goes back to its pool.
#[derive(Debug)]
pub(super) struct Pooled {
    bytes: Vec<u8>,
    start: usize,
    /// The same, to write by. It never changes: a plain pointer could not be sent to another thread.
    address: AtomicPtr<u8>,
    len: usize,
    pool: Pool,
}

impl Pooled {
    /// Where it begins, for foreign code that writes to it.
    pub(super) fn start(&self) -> Option<NonNull<u8>> {
        NonNull::new(self.address.load(Relaxed))
    }
}

impl Deref for Pooled {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(self.start..).and_then(|bytes| bytes.get(..self.len)).unwrap_or_default()
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..).and_then(|bytes| bytes.get_mut(..self.len)).unwrap_or_default()
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        // Without waiting: in a forked child, which may drop frames, another thread of the parent can have it for ever.
        if let Ok(mut free) = self.pool.free.try_lock()
            && free.len() < KEPT
        {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_used_again_and_not_hoarded() {
        let pool = Pool::default();
        let first = pool.take(4096).unwrap();
        let address = first.as_ptr();
        assert_eq!((first.len(), address.addr() % ALIGN), (4096, 0));
        drop(first);
        let again = pool.take(1000).unwrap();
        assert_eq!((again.as_ptr(), again.len()), (address, 1000));
        drop((0..10).map(|_| pool.take(64)).collect::<Vec<_>>());
        assert_eq!(pool.free.lock().unwrap().len(), KEPT);
    }

    #[test]
    fn no_memory_is_no_reason_to_die() {
        assert!(Pool::default().take(usize::MAX / 2).is_none());
        assert!(Pool::default().take(isize::MAX as usize + 1).is_none());
    }

    #[test]
    fn a_buffer_is_dropped_although_the_pool_is_locked() {
        let pool = Pool::default();
        let buffer = pool.take(4096).unwrap();
        let free = pool.free.lock().unwrap();
        drop(buffer);
        assert!(free.is_empty());
    }
}
