//! A frame of a ring, as it is seen from outside.

use std::time::Duration;

use nix::time::ClockId;

use super::ring_snapshot::Stamp;
use super::types::TopicInfo;
use crate::info::ParticipantId;
use crate::meta::{Clock, Content, MetaError, MetaView, Times};
use crate::sys::clock::monotonic_ns;

/// A frame that a ring holds, as far as it can be told without a lease: all but its payload. Of
/// [`TopicInfo::newest`](super::TopicInfo::newest) and [`Monitor`](super::Monitor).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FrameInfo {
    /// Its sequence number.
    pub seq: u64,
    /// Bytes of its payload.
    pub bytes: u64,
    /// The producer that wrote it.
    pub producer: ParticipantId,
    /// When it was published: CLOCK_MONOTONIC in nanoseconds, as this process reads it, in whichever time namespace the
    /// producer is.
    pub published_ns: u64,
    /// The metadata block as it was written; empty if there is none.
    pub meta_bytes: Vec<u8>,
}

/// When a frame was published, and how long it is. Of [`TopicInfo::recent`](super::TopicInfo::recent).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameTime {
    /// Its sequence number.
    pub seq: u64,
    /// Bytes of its payload.
    pub bytes: u64,
    /// When it was published: CLOCK_MONOTONIC in nanoseconds, as this process reads it, in whichever time namespace the
    /// producer is.
    pub published_ns: u64,
}

impl FrameInfo {
    pub(super) fn new(stamp: &Stamp, meta_bytes: Vec<u8>) -> Self {
        Self {
            seq: stamp.seq,
            bytes: stamp.len,
            producer: ParticipantId { id: stamp.owner, generation: stamp.generation },
            published_ns: stamp.published,
            meta_bytes,
        }
    }

    /// Its metadata, which another process wrote: any bytes give a value or an error.
    ///
    /// # Errors
    /// What is wrong with the block.
    pub fn meta(&self) -> Result<MetaView<'_>, MetaError> {
        MetaView::parse(&self.meta_bytes)
    }

    /// What it is: format, size, rate.
    #[must_use]
    pub fn content(&self) -> Content {
        match self.meta() {
            Ok(_) if self.meta_bytes.is_empty() => Content::bytes(),
            Ok(meta) => Content::of(&meta),
            Err(error) => Content::unreadable(&error),
        }
    }

    /// How long ago it was published.
    #[must_use]
    pub fn age(&self) -> Duration {
        Duration::from_nanos(monotonic_ns().saturating_sub(self.published_ns))
    }

    /// How long after its capture it was published. `None` without a capture time, on a clock that this version does not
    /// know, and if it was published before it was captured.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        let captured = capture_on_monotonic(&self.meta().ok()?.times())?;
        let ns = i128::from(self.published_ns) - captured;
        u64::try_from(ns).ok().map(Duration::from_nanos)
    }
}

impl TopicInfo {
    /// What is on the topic: format, size and rate of its newest frame; with an empty summary if it holds none.
    #[must_use]
    pub fn content(&self) -> Content {
        let mut content = self.newest.as_ref().map(FrameInfo::content).unwrap_or_default();
        if self.description.is_some() {
            content.description.clone_from(&self.description);
        }
        content
    }
}

impl FrameTime {
    pub(super) fn new(stamp: &Stamp) -> Self {
        Self { seq: stamp.seq, bytes: stamp.len, published_ns: stamp.published }
    }
}

/// The capture time on CLOCK_MONOTONIC, by what the clocks show now.
fn capture_on_monotonic(times: &Times) -> Option<i128> {
    let captured = i128::from(times.capture_ns?);
    let clock = match times.clock {
        Clock::Monotonic => return Some(captured),
        Clock::Realtime => ClockId::CLOCK_REALTIME,
        Clock::Tai => ClockId::CLOCK_TAI,
        _ => return None,
    };
    let now = clock.now().ok()?;
    let now = i128::from(now.tv_sec()) * 1_000_000_000 + i128::from(now.tv_nsec());
    Some(captured - now + i128::from(monotonic_ns()))
}
