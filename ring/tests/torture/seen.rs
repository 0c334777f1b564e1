//! What a consumer has seen, and that it was all right.

use std::collections::HashMap;

use shmflow::Frame;

use crate::common::payload::check;

/// What a consumer has seen so far.
#[derive(Default)]
pub(crate) struct Seen {
    next: Option<u64>,
    /// The newest frame of each writer.
    counts: HashMap<u64, u64>,
}

impl Seen {
    pub(crate) fn take(&mut self, frame: &Frame) -> (u64, u64) {
        let (tag, count) = check(frame).unwrap_or_else(|why| panic!("{why}: {frame:?}"));
        if let Some(next) = self.next.replace(frame.seq() + 1) {
            assert_eq!(frame.seq(), next + frame.lost_before(), "a gap or a repeat: {frame:?}");
        }
        // Each writer publishes one frame after the other.
        let before = self.counts.insert(tag, count).unwrap_or(0);
        assert!(count > before, "frame {count} of writer {tag} after {before}: {frame:?}");
        (tag, count)
    }
}
