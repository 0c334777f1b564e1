//! The frames of a mirror, from the network into its ring.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use shmflow::Error;
use zenoh::Wait;
use zenoh::bytes::ZBytes;
use zenoh::pubsub::Subscriber;
use zenoh::sample::Sample;

use super::Shared;
use crate::inlet::Then;
use crate::keys::Kind;
use crate::ping::OriginClock;
use crate::queue::{Pushed, Queue};
use crate::stats::note;
use crate::wire::{FrameHeader, Malformed, Request};

impl Shared {
    /// A message, in whichever thread it comes.
    fn take(
        &self,
        origin: &OriginClock,
        header: &FrameHeader,
        block: &[u8],
        payload: &ZBytes,
        is_queued: bool,
    ) {
        let offset = origin.offset();
        let error = offset.map_or(0, |offset| offset.error_ns.saturating_add(1));
        self.counters.clock_error.store(error, Relaxed);
        let mut inlet = self.inlet();
        let taken = inlet.take(header, block, payload, offset);
        let then = match taken {
            Ok(then) => then,
            Err(Error::Cancelled { .. }) => return,
            Err(Error::Removed { .. }) => Then { lost_topic: true, ..Then::default() },
            Err(error) => {
                let counter = if matches!(error, Error::Meta(_)) {
                    &self.counters.refused
                } else {
                    &self.counters.lost
                };
                counter.fetch_add(1, Relaxed);
                if inlet.may_tell() {
                    note(&format!("topic `{}`: a frame is left out: {error}", self.topic));
                }
                Then::default()
            }
        };
        drop(inlet);
        // Without a ring it comes again, for the next one.
        if header.lossless && !then.lost_topic {
            *self.acked() = (header.turn, header.index);
            let ack = Request::Ack { turn: header.turn, index: header.index };
            // A queue has a thread of its own; a thread of the network may not wait.
            if is_queued { self.ask(origin.origin(), ack) } else { self.try_ask(origin.origin(), ack) }
        }
        if then.key_frame {
            self.try_ask(origin.origin(), Request::KeyFrame);
        }
        if then.removed || then.lost_topic {
            let mut orders = self.orders();
            orders.removed |= then.removed;
            orders.lost_topic |= then.lost_topic;
            drop(orders);
            self.cancel.cancel();
        }
    }

    fn refuse(&self, error: Malformed) {
        self.counters.refused.fetch_add(1, Relaxed);
        if self.refused_told.swap(1, Relaxed) == 0 {
            note(&format!("topic `{}`: a message of another host is refused: {error}", self.topic));
        }
    }

    /// Asks for the frames of the topic.
    pub(super) fn subscribe(self: &Arc<Self>, clock: &Arc<OriginClock>) -> zenoh::Result<Subscription> {
        // The first frame's time is to be right, too.
        clock.follow(&self.context.session);
        let (this, origin) = (Arc::clone(self), Arc::clone(clock));
        let is_lossless = self.orders().look.lossless;
        let write = {
            let (this, origin) = (Arc::clone(self), Arc::clone(clock));
            move |header: &FrameHeader, block: &[u8], payload: &ZBytes| {
                this.take(&origin, header, block, payload, true);
            }
        };
        let queue = is_lossless.then(|| Queue::start(write)).transpose()?;
        let callback = move |sample: Sample| {
            let attachment = sample.attachment().map(ZBytes::to_bytes).unwrap_or_default();
            match FrameHeader::decode(&attachment) {
                Ok((header, block)) => {
                    let Some(queue) = &queue else {
                        return this.take(&origin, &header, block, sample.payload(), false);
                    };
                    match queue.push(&header, block, sample.payload()) {
                        Pushed::Fine => {}
                        Pushed::Known => {
                            let (turn, index) = *this.acked();
                            this.try_ask(origin.origin(), Request::Ack { turn, index });
                        }
                        Pushed::AfterGap => this.try_ask(origin.origin(), Request::Start),
                    }
                }
                Err(error) => this.refuse(error),
            }
        };
        let subscriber = self
            .context
            .session
            .declare_subscriber(Kind::Frames.key(clock.origin(), &self.topic))
            .callback(callback)
            .wait()?;
        self.ask(clock.origin(), Request::Start);
        self.counters.active.store(1, Relaxed);
        Ok(Subscription { shared: Arc::clone(self), clock: Arc::clone(clock), _subscriber: subscriber })
    }
}

/// Frames come as long as this is there.
pub(super) struct Subscription {
    shared: Arc<Shared>,
    clock: Arc<OriginClock>,
    _subscriber: Subscriber<()>,
}

impl Subscription {
    /// The bridge that they come from.
    pub(super) fn origin(&self) -> &str {
        self.clock.origin()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shared.counters.active.store(0, Relaxed);
        self.shared.ask(self.clock.origin(), Request::Stop);
    }
}
