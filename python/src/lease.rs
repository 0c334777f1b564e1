//! The owner of a received frame's memory: shared by the frame object and all views of its bytes.

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use shmflow::{CopyReason, Frame};

/// A frame that counts among its consumer's leases.
#[derive(Debug)]
pub(crate) struct Lease {
    frame: Frame,
    count: Option<Arc<AtomicU32>>,
    /// The program asked for a copy: its arrays can be written.
    own: bool,
}

impl Lease {
    /// Counts unless it is a copy, which costs its producer nothing.
    pub(crate) fn new(frame: Frame, count: &Arc<AtomicU32>) -> Self {
        let count = (!frame.is_copy()).then(|| Arc::clone(count));
        if let Some(count) = &count {
            count.fetch_add(1, Relaxed);
        }
        Self { own: frame.copy_reason() == Some(CopyReason::Requested), frame, count }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.frame
    }

    /// Where the bytes begin. They are this process's own to write, as libraries do that do not ask.
    pub(crate) fn start(&self) -> *mut u8 {
        self.frame.private_ptr().map_or_else(|| self.frame.as_ptr().cast_mut(), NonNull::as_ptr)
    }

    /// Whether the bytes are a copy that the program asked for, to do with as it likes.
    pub(crate) fn is_own(&self) -> bool {
        self.own
    }

    pub(crate) fn frame(&self) -> &Frame {
        &self.frame
    }

    pub(crate) fn len(&self) -> usize {
        self.frame.len()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(count) = &self.count {
            count.fetch_sub(1, Relaxed);
        }
    }
}
