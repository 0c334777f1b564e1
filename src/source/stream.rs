//! What the streaming thread remembers from frame to frame.

use std::time::{Duration, Instant};

use shmflow::meta::Tags;
use shmflow::{CancelToken, Frame, ParticipantId};

use crate::common::clock::ClockBridge;
use crate::common::messages;
use crate::common::timing::Timeline;

use super::format::Format;
use super::negotiate::Refused;
use super::packets::Packets;
use super::reader::Reader;
use super::settings::Settings;

/// What the streaming thread remembers from frame to frame.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) settings: Settings,
    pub(super) reader: Reader,
    pub(super) format: Option<Format>,
    pub(super) packets: Packets,
    /// The tags that downstream has.
    pub(super) tags: Vec<Tags>,
    /// The metadata of the frame at hand; kept for its memory.
    pub(super) block: Vec<u8>,
    /// Whose metadata that is, if it was read already: the producer and sequence number of its frame.
    pub(super) block_of: Option<(ParticipantId, u64)>,
    pub(super) clock: ClockBridge,
    pub(super) timeline: Timeline,
    /// A frame from before the pipeline's start, and until when it waits for a newer one.
    pub(super) held: Option<(Frame, Instant)>,
    /// The next frame does not continue the one before.
    pub(super) discont: bool,
    pub(super) producer: Option<ParticipantId>,
    /// The frame that came last, by its number, where some are to be left out (`max-rate`).
    pub(super) last_seq: Option<u64>,
    /// While frames come that downstream does not take.
    pub(super) refused: Option<Refused>,
    /// When to ask downstream again what it can read, and how long after that.
    pub(super) ask_again: Option<(Instant, Duration)>,
    /// When it was last looked which producers there are.
    pub(super) looked_ns: u64,
    pub(super) losses: messages::Limiter,
    pub(super) skips: messages::Limiter,
    /// Why the last of them was.
    pub(super) skipped_because: String,
    pub(super) corrections: messages::Limiter,
}

impl Stream {
    pub(super) fn new(settings: Settings, name: String, cancel_token: CancelToken) -> Self {
        Self {
            reader: Reader::new(settings.clone(), name, cancel_token),
            settings,
            format: None,
            packets: Packets::default(),
            tags: Vec::new(),
            block: Vec::new(),
            block_of: None,
            clock: ClockBridge::default(),
            timeline: Timeline::default(),
            held: None,
            discont: true,
            producer: None,
            last_seq: None,
            refused: None,
            ask_again: None,
            looked_ns: 0,
            losses: messages::Limiter::default(),
            skips: messages::Limiter::default(),
            skipped_because: String::new(),
            corrections: messages::Limiter::default(),
        }
    }

    /// How long to wait for the next frame, if something is to be done then.
    pub(super) fn patience(&self) -> Option<Duration> {
        self.held.as_ref().map(|(_, until)| until.saturating_duration_since(Instant::now()))
    }

    /// The frame that was kept back, when nothing newer followed soon, or nothing will.
    pub(super) fn take_held(&mut self, nothing_follows: bool) -> Option<Frame> {
        let due = |(_, until): &(Frame, Instant)| nothing_follows || *until <= Instant::now();
        Some(self.held.take_if(|held| due(held))?.0)
    }

    /// Frames that are there are old, but for the newest, or the newest key frame; how many are left out now.
    pub(super) fn skip_to_newest(&mut self) -> u64 {
        let held = u64::from(self.held.take().is_some());
        self.timeline.interrupted();
        self.discont = true;
        self.last_seq = None;
        self.refused = None;
        let left_out = self.packets.rejoin().unwrap_or_else(|| self.reader.skip_to_newest());
        left_out.saturating_add(held)
    }

    /// Whether another producer than before made this frame.
    pub(super) fn is_of_another_producer(&self, frame: &Frame) -> bool {
        self.producer.is_some_and(|before| before != frame.producer())
    }
}
