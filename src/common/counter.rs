//! A counter that one thread raises and others read.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts up; nothing is ordered by it.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`; the sum.
    pub fn add(&self, n: u64) -> u64 {
        self.0.fetch_add(n, Ordering::Relaxed).wrapping_add(n)
    }

    /// The sum.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Starts again at 0.
    pub fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}
