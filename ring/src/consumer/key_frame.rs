//! Encoded streams: a consumer that has no key frame to begin with asks for one.

use std::sync::atomic::Ordering::SeqCst;

use super::{Consumer, OnLapped};
use crate::error::Result;

impl Consumer {
    /// Asks the producers of an encoded stream for a key frame: a consumer that joined, or lost frames, can use nothing
    /// before one. Producers see it in [`Producer::key_frame_requests`](crate::Producer::key_frame_requests), and those
    /// that wait for events wake; whether they heed it is up to them. `false` if this consumer is not registered, and so
    /// cannot ask: opened [`read_only`](crate::ConsumerBuilder::read_only), or one too many.
    ///
    /// Costs a system call where a producer waits for events. It is for the one who asks to wait a moment before asking
    /// again.
    ///
    /// # Errors
    /// [`Error::Forked`](crate::Error::Forked) in a forked child.
    pub fn request_key_frame(&self) -> Result<bool> {
        let member = &self.epoch.member;
        member.check_fork()?;
        if member.id().is_none() {
            return Ok(false);
        }
        // Dead or stopped after the first line: whoever notices anything else notices this, too.
        member.peers.header().key_requests.fetch_add(1, SeqCst);
        member.peers.notify();
        Ok(true)
    }

    /// Changes where to continue after frames were overwritten: for a stream that turns out to be one of packets, of which
    /// those after a key frame are worth having.
    pub fn set_on_lapped(&mut self, on_lapped: OnLapped) {
        self.on_lapped = on_lapped;
    }
}
