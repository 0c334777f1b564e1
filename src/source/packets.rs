//! Encoded streams: where to begin, and what is worth nothing.
//!
//! A delta unit can be decoded only after the key frame it builds on and all units in between. So whoever joins, or lost
//! some, goes on at the newest key frame that the ring has; without one it leaves delta units out until one comes, and
//! asks the producers for it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use shmflow::Frame;
use shmflow::meta::{Flags, Kind, MetaHeader};

use super::imp::ShmflowSrc;
use super::stream::Stream;

/// Whoever needs a key frame asks so often at most. (Sinks ask encoders no more often, whoever asks them.)
const ASK_EVERY: Duration = Duration::from_millis(500);

/// What is known of a frame before it is looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// No packet at all: it depends on nothing.
    Whole,
    /// A packet that decoding can begin with.
    Key,
    /// Parameters that decoding needs, in a packet of their own.
    Header,
    /// Worth nothing without what came before it.
    Delta,
}

impl Unit {
    /// Of a frame's metadata; damaged ones are found out later.
    pub(super) fn of(block: &[u8]) -> Self {
        let Ok(header) = MetaHeader::parse(block) else { return Self::Whole };
        if header.kind() != Kind::Packet {
            return Self::Whole;
        }
        let flags = header.per_frame().flags;
        // Encoders mark key frames that begin with parameters as headers, too.
        match (flags.contains(Flags::DELTA_UNIT), flags.contains(Flags::HEADER)) {
            (false, _) => Self::Key,
            (true, true) => Self::Header,
            (true, false) => Self::Delta,
        }
    }
}

/// Where a source is in an encoded stream.
#[derive(Debug, Default)]
pub(super) struct Packets {
    /// Those that were looked at already, to find the newest key frame.
    ready: VecDeque<Frame>,
    /// Delta units are worth nothing now.
    broken: bool,
    /// It is not known yet where the stream goes on: at its start, or after a pause.
    joined: bool,
    /// After a pause: all that is there is old.
    rejoins: bool,
    /// Packets came.
    seen: bool,
    asked: Option<Instant>,
}

impl Packets {
    /// The next of those that were looked at already.
    pub(super) fn next(&mut self) -> Option<Frame> {
        self.ready.pop_front()
    }

    /// Joins again, after a pause, if these are packets; how many are left out.
    pub(super) fn rejoin(&mut self) -> Option<u64> {
        self.joined = false;
        self.rejoins = self.seen;
        let left_out = self.ready.len() as u64;
        self.ready.clear();
        self.seen.then_some(left_out)
    }

    /// Begins anew with `first` and those after it that are there already: at the newest key frame among them. The frame
    /// to go on with, and those left out.
    fn begin(
        &mut self,
        first: (Frame, Unit),
        mut next: impl FnMut() -> Option<(Frame, Unit)>,
    ) -> (Option<Frame>, Vec<Frame>) {
        let mut out = Vec::new();
        let mut one = Some(first);
        self.broken = true;
        while let Some((frame, unit)) = one {
            let lost = frame.lost_before() > 0;
            match unit {
                Unit::Key | Unit::Whole => {
                    // Parameters just before it are its own.
                    out.extend(self.drop_pictures());
                    self.broken = false;
                    self.ready.push_back(frame);
                }
                Unit::Header => self.ready.push_back(frame),
                Unit::Delta if lost || self.broken => {
                    out.extend(self.ready.drain(..));
                    self.broken = true;
                    out.push(frame);
                }
                Unit::Delta => self.ready.push_back(frame),
            }
            one = next();
        }
        (self.ready.pop_front(), out)
    }

    /// Takes out all but the parameters at the end.
    fn drop_pictures(&mut self) -> Vec<Frame> {
        let mut block = Vec::new();
        let is_header = |frame: &Frame, block: &mut Vec<u8>| {
            frame.read_meta(block);
            Unit::of(block) == Unit::Header
        };
        let headers = self.ready.iter().rev().take_while(|frame| is_header(frame, &mut block)).count();
        let pictures = self.ready.len().saturating_sub(headers);
        self.ready.drain(..pictures).collect()
    }

    /// Whether this unit is to be left out; `lost`: something before it is missing.
    fn leaves_out(&mut self, unit: Unit, lost: bool) -> bool {
        self.broken |= lost;
        match unit {
            Unit::Delta => self.broken,
            Unit::Key | Unit::Whole => {
                self.broken = false;
                false
            }
            Unit::Header => false,
        }
    }

    /// Whether it is time to ask for a key frame.
    pub(super) fn may_ask(&mut self) -> bool {
        let may = self.asked.is_none_or(|asked| asked.elapsed() >= ASK_EVERY);
        if may {
            self.asked = Some(Instant::now());
        }
        may
    }
}

impl ShmflowSrc {
    /// The frame to go on with, if one of a live stream is to be left out, or some are there already.
    pub(super) fn begin_or_go_on(&self, stream: &mut Stream, frame: Frame, is_ready: bool) -> Option<Frame> {
        let mut block = std::mem::take(&mut stream.block);
        frame.read_meta(&mut block);
        let unit = Unit::of(&block);
        let mut block_of = Some((frame.producer(), frame.seq()));
        let begins = !std::mem::replace(&mut stream.packets.joined, true);
        let is_live = stream.settings.is_live;
        // The ring was joined at its oldest frame, in case that it has packets. What was published since then is not old, even if
        // more of it is there already: who waits for a stream gets its first frame.
        let is_old = begins
            && (std::mem::take(&mut stream.packets.rejoins) || stream.reader.was_old_at_opening(&frame));
        let frame = if unit == Unit::Whole {
            Some(if is_old && is_live { stream.reader.newest().unwrap_or(frame) } else { frame })
        } else {
            if !std::mem::replace(&mut stream.packets.seen, true) {
                // Where some are lost, a key frame among what is left is worth more than the newest.
                stream.reader.keep_when_lapped();
            }
            let lost = frame.lost_before() > 0;
            // What another producer made continues nothing, but it comes in time: what follows it is not old.
            let is_other = stream.is_of_another_producer(&frame);
            if (is_old || lost) && is_live && !is_ready {
                block_of = None;
                self.join(stream, (frame, unit), &mut block)
            } else if stream.packets.leaves_out(unit, lost || begins || is_other) {
                self.leave_out(stream, &frame);
                None
            } else {
                Some(frame)
            }
        };
        (stream.block, stream.block_of) = (block, block_of);
        if frame.is_none() && stream.packets.broken && stream.packets.may_ask() {
            stream.reader.request_key_frame();
        }
        frame
    }

    /// Goes on at the newest key frame that is there.
    fn join(&self, stream: &mut Stream, first: (Frame, Unit), block: &mut Vec<u8>) -> Option<Frame> {
        let reader = &mut stream.reader;
        // What is published meanwhile comes, too, but not for ever.
        let mut left = u64::from(reader.depth()).saturating_mul(2);
        let next = || {
            left = left.checked_sub(1)?;
            let frame = reader.try_next()?;
            frame.read_meta(block);
            let unit = Unit::of(block);
            Some((frame, unit))
        };
        let (frame, left_out) = stream.packets.begin(first, next);
        for frame in &left_out {
            self.leave_out(stream, frame);
        }
        frame
    }

    fn leave_out(&self, stream: &mut Stream, frame: &Frame) {
        let lost = frame.lost_before();
        self.stats.lost.add(lost);
        stream.losses.count(lost);
        self.skip(stream, "it cannot be decoded without the key frame before it");
    }
}
