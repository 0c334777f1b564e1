//! A consumer that found no place among the participants when it opened asks for one later.

use std::time::Duration;

use super::Consumer;
use crate::lifecycle::open::Delivery;
use crate::lifecycle::{Options, crowd};
use crate::sys::clock::monotonic_coarse_ns;

/// How often it asks, at most.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// What it will say of itself when it gets one.
#[derive(Debug)]
pub(super) struct Placeless {
    name: String,
    pub(super) accepted_caps: String,
    delivery: Delivery,
    /// When it last asked.
    asked: u64,
}

impl Placeless {
    pub(super) fn new(options: Options) -> Self {
        let Options { name, accepted_caps, delivery, .. } = options;
        Self { name, accepted_caps, delivery, asked: monotonic_coarse_ns() }
    }
}

impl Consumer {
    /// Asks for a place, if it is time to.
    pub(super) fn register_sometimes(&mut self) {
        // Where its watcher sleeps there is no asking: that is for the next time, and does not count.
        if self.placeless.is_none() || self.is_watched() {
            return;
        }
        let Some(placeless) = &mut self.placeless else { return };
        let now = monotonic_coarse_ns();
        if Duration::from_nanos(now.saturating_sub(placeless.asked)) >= ASK_EVERY {
            placeless.asked = now;
            self.register_now();
        }
    }

    /// Asks for a place. If there is none it stays as it is: whatever else may be wrong is found by who looks for frames.
    pub(crate) fn register_now(&mut self) {
        let is_watched = self.is_watched();
        let Some(placeless) = &self.placeless else { return };
        let latest = placeless.delivery == Delivery::Latest;
        let Placeless { name, accepted_caps, .. } = &**placeless;
        if !is_watched && crowd::try_register(&self.epoch, name, accepted_caps, self.cursor, latest) {
            self.placeless = None;
        }
    }

    /// Whether a watcher may be asleep for it, without a bit. While it rests it is not.
    fn is_watched(&self) -> bool {
        self.poll_fd.as_ref().is_some_and(|poll_fd| !poll_fd.rests())
    }
}
