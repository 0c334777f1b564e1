//! Primary and standby: which of several producers' frames count.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

use super::ProducerMode;
use super::inner::Inner;
use crate::protocol::primary::{self, owner_word};
use crate::sys::clock::monotonic_ns;

/// What a standby producer has seen of the primary.
#[derive(Debug, Default)]
pub(super) struct PrimaryMonitor {
    primary: u64,
    /// What it has published, and how often it has waited.
    frames: u64,
    since: u64,
}

impl Inner {
    /// Whether this producer's frames count now; takes over if the primary is gone.
    ///
    /// Two standby producers decide by a CAS. A stopped primary that continues later finds itself replaced at its next
    /// frame; one that it was just publishing takes its place in the sequence, harmlessly.
    pub(super) fn try_become_primary(&self) -> bool {
        let ProducerMode::Primary { takeover_timeout } = self.mode else { return true };
        let peers = &self.member.peers;
        if !peers.is_own_process() {
            return false; // a forked child's copy
        }
        let me = owner_word(self.id, self.member.generation());
        primary::lead(peers, me, |found, id| {
            let entry = peers.participant(id);
            // One that waits for a consumer publishes nothing, and is not stopped.
            let frames = entry.frames.load(Relaxed).wrapping_add(entry.waits.load(Relaxed));
            let now = monotonic_ns();
            let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
            if (watch.primary, watch.frames) != (found, frames) {
                *watch = PrimaryMonitor { primary: found, frames, since: now };
            }
            !takeover_timeout.is_zero()
                && u128::from(now.saturating_sub(watch.since)) > takeover_timeout.as_nanos()
        })
    }
}
