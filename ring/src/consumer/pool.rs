//! Buffers for copies, used again: a fresh one of a few megabytes costs more page faults than its copy takes.

use std::sync::{Arc, Mutex, PoisonError};

/// Buffers kept for later; more are freed.
const KEPT: usize = 4;

#[derive(Clone, Debug, Default)]
pub(super) struct Pool {
    free: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Pool {
    /// A buffer of `len` bytes of unspecified content; `None` if there is no memory for it.
    pub(super) fn take(&self, len: usize) -> Option<Pooled> {
        let recycled = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut bytes = recycled.filter(|bytes| bytes.capacity() >= len).unwrap_or_default();
        // The length is another process's word: that it cannot be had is no reason to die.
        bytes.try_reserve_exact(len.saturating_sub(bytes.len())).ok()?;
        bytes.resize(len, 0);
        Some(Pooled { bytes, pool: self.clone() })
    }
}

/// A buffer that goes back to its pool.
#[derive(Debug)]
pub(super) struct Pooled {
    pub(super) bytes: Vec<u8>,
    pool: Pool,
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
        let address = first.bytes.as_ptr();
        drop(first);
        let again = pool.take(1000).unwrap();
        assert_eq!((again.bytes.as_ptr(), again.bytes.len()), (address, 1000));
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
