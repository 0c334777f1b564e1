//! When a frame is shown: from what it says of its times, and when it came, to the running time of the receiving pipeline.
//!
//! Everything that decides a timestamp is here, and reads no clock: [`Timeline::place`] is given the frame's times and its
//! arrival, and remembers what it decided.
//!
//! A source that is live trusts the moment of capture, within reason: nothing was captured after it came, and a frame is
//! not much later than the latency that its producer states. A producer whose frames are later than that for a second
//! or longer makes them more slowly than its own timestamps say, or keeps its latency to itself: its times are shifted to
//! those of their arrival, as evenly as it made them. Whatever a producer's clock does, times never step back, but for packets
//! that come in the order of decoding and say only when they are shown.
//!
//! A source that is not live is bound to no clock: it keeps the distances between the frames' own times, whichever of them
//! they have, and starts at 0.

use shmflow::ParticipantId;
use shmflow::meta::{Clock, Times};

use super::clock::{MAX_NS, RunningClock};

/// The most latency that a producer may state; a jitter buffer or an encoder's look-ahead takes seconds, not minutes.
const MAX_LATENCY_NS: u64 = 60_000_000_000;
/// The most between decoding and showing: sixteen pictures of two a second.
const MAX_REORDER_NS: u64 = 8_000_000_000;
/// A frame that is so much later than its producer's latency allows is dropped by displays as a rule (20 ms for their own
/// work, and 20 ms of lateness).
const TOLERANCE_NS: i128 = 40_000_000;
/// For how long frames must be late before that is the producer's way, and not a moment's trouble.
const PERSISTENT_NS: u64 = 1_000_000_000;
/// How much later, or earlier, than expected a frame of a late producer may be before more, or less, is expected of it.
const SHIFT_NS: (i128, i128) = (15_000_000, 40_000_000);
/// In a source that is not live, a step back by more is a new start of the producer's clock.
const RESTART_NS: i128 = 1_000_000_000;
/// The distance of packets that would otherwise get the same time: those from before the start, which come all at once.
const PACKET_NS: u64 = 1_000_000;
/// Packets from before the start are so much faster, and take no longer than this.
const HURRY: i128 = 32;
const CATCH_UP_NS: i128 = 100_000_000;
/// Producers that a topic can have.
const PRODUCERS: usize = 8;

/// What a frame says of its times, as far as it can be true.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FrameTimes {
    /// On `CLOCK_MONOTONIC`; of a packet that says when it is decoded, that much earlier, or later, than its capture.
    pub(crate) capture_ns: Option<u64>,
    /// In the producer's own stream, likewise.
    pub(crate) pts_ns: Option<u64>,
    pub(crate) duration_ns: Option<u64>,
    /// Of the producer's pipeline.
    pub(crate) latency_ns: u64,
    /// How much later it is shown than decoded, in nanoseconds: packets come in the order of decoding. `None` if it does not
    /// say when it is decoded.
    pub(crate) reorder_ns: Option<i64>,
    /// Whether it says when it is shown.
    pub(crate) has_pts: bool,
    /// It is not a picture or sound: what is not of the same moment must not get the same time. Parsers take a time that
    /// does not change for none.
    pub(crate) is_packet: bool,
}

impl FrameTimes {
    /// When a frame was captured, on `CLOCK_MONOTONIC`, if its metadata, which may say anything, says so.
    pub(crate) fn captured(times: &Times) -> Option<u64> {
        times.capture_ns.filter(|ns| *ns <= MAX_NS && times.clock == Clock::Monotonic)
    }

    /// Of a frame's metadata, which may say anything. The order of what is to be `decoded` is that of decoding.
    pub(crate) fn of(times: &Times, decoded: bool) -> Self {
        let known = |time: Option<u64>| time.filter(|ns| *ns <= MAX_NS);
        let (pts, dts) = (known(times.pts), known(times.dts));
        // Without a time to be shown at, what is said of the capture is of the decoding.
        let reorder =
            dts.filter(|_| decoded).map(|dts| pts.map_or(0, |pts| pts.cast_signed() - dts.cast_signed()));
        let reorder_ns = reorder.filter(|ns| ns.unsigned_abs() <= MAX_REORDER_NS);
        let earlier = |time: u64| time.saturating_sub_signed(reorder_ns.unwrap_or(0));
        Self {
            capture_ns: Self::captured(times).map(earlier),
            pts_ns: pts.map(earlier).or(dts),
            reorder_ns,
            has_pts: pts.is_some(),
            is_packet: decoded,
            duration_ns: known(times.duration),
            latency_ns: times.latency_ns.unwrap_or(0).min(MAX_LATENCY_NS),
        }
    }
}

impl FrameTimes {
    /// When the buffer is shown and decoded, which is `placed` at this running time, and shown so much later than decoded.
    pub(crate) fn of_buffer(
        &self,
        placed: Option<u64>,
        reorder_ns: Option<i64>,
    ) -> (Option<u64>, Option<u64>) {
        let Some((placed, reorder)) = placed.zip(reorder_ns) else { return (placed, None) };
        let pts = self.has_pts.then(|| placed.saturating_add_signed(reorder));
        (pts, Some(placed))
    }

    /// Whether it may be shown before the one that came before it: a packet that comes in the order of decoding, and says only when
    /// it is shown, as Matroska has them.
    fn may_step_back(&self) -> bool {
        self.is_packet && self.has_pts && self.reorder_ns.is_none()
    }

    /// The least running time that it may have after `last`.
    fn floor(&self, last: i128) -> i128 {
        if self.may_step_back() { last - i128::from(MAX_REORDER_NS) } else { last }
    }
}

/// How a frame came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// When, on `CLOCK_MONOTONIC`.
    pub(crate) at_ns: u64,
    /// It was waited for, so that it came when it was published. A frame that was there already may be old because this
    /// pipeline is slow.
    pub(crate) waited: bool,
    /// Nothing newer has come for a while.
    pub(crate) is_newest: bool,
    pub(crate) producer: ParticipantId,
    /// The receiving pipeline's clock, if it has one.
    pub(crate) clock: Option<RunningClock>,
}

/// Where a frame falls in the timeline of the pipeline that receives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// At this running time, in nanoseconds, and shown so much later than that, if it says when it is decoded. `corrected`: it
    /// is not what the frame's own times would have given.
    At { running_ns: u64, reorder_ns: Option<i64>, corrected: bool },
    /// It was captured before the pipeline started. If it stays the newest it is to be shown as such; otherwise it is left
    /// out, since it would be shown together with the next.
    BeforeStart,
    /// The pipeline has no clock.
    Unclocked,
}

/// What a source that is not live goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Basis {
    Capture,
    /// Each producer has a stream of its own.
    Pts(ParticipantId),
    Arrival,
}

/// Whether a producer's times can be trusted.
#[derive(Debug, Default, Clone, Copy)]
struct Trust {
    generation: u64,
    /// When the first came of the late frames that came one after the other.
    late_since: Option<u64>,
    /// Its frames are so much later than their times, for good.
    shift: Option<i128>,
}

/// Packets from before the start, which come all at once, get the time from the arrival of the first on: as they were decoded
/// and shown, but faster. So pictures keep the order in which they are shown.
#[derive(Debug, Clone, Copy)]
struct Hurried {
    /// The running time of the first, and what it became.
    from: i128,
    to: i128,
}

impl Hurried {
    /// What becomes of a running time, until the stream has caught up.
    fn at(&self, time: i128) -> i128 {
        let span = (self.to - self.from).max(1);
        self.to + (time - self.from).saturating_mul((span / HURRY).min(CATCH_UP_NS)) / span
    }
}

/// How times of frames become times of buffers.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Timeline {
    /// The running time of the last frame; of packets in the order of decoding, the latest.
    last: Option<u64>,
    producers: [Trust; PRODUCERS],
    /// The last packet's own time.
    own: Option<u64>,
    /// As long as packets from before the start are not caught up with.
    hurried: Option<Hurried>,
    /// For a source that is not live: what is subtracted.
    origin: Option<(Basis, i128)>,
}

impl Timeline {
    /// The place of a frame, which is the next one unless the answer is [`Placement::BeforeStart`].
    pub(crate) fn place(&mut self, is_live: bool, frame: &FrameTimes, arrival: &Arrival) -> Placement {
        let mut placement = if is_live { self.live(frame, arrival) } else { self.not_live(frame, arrival) };
        if let Placement::At { running_ns, .. } = &mut placement {
            if frame.is_packet {
                let own = frame.capture_ns.or(frame.pts_ns);
                let is_same = std::mem::replace(&mut self.own, own) == own;
                let is_taken =
                    |last: u64| *running_ns == last || *running_ns < last && !frame.may_step_back();
                if let Some(last) = self.last.filter(|last| !is_same && is_taken(*last)) {
                    *running_ns = bounded(i128::from(last) + i128::from(PACKET_NS));
                }
            }
            // What steps back in the order of decoding is no new end.
            let end = self.last.filter(|last| i128::from(*running_ns) >= frame.floor((*last).into()));
            self.last = Some(end.map_or(*running_ns, |end| end.max(*running_ns)));
        }
        placement
    }

    fn live(&mut self, frame: &FrameTimes, arrival: &Arrival) -> Placement {
        let running = |at| arrival.clock.and_then(|clock| clock.running_ns(at));
        let Some(now) = running(arrival.at_ns) else {
            return Placement::Unclocked;
        };
        // Where a frame belongs that is shown as soon as it came: the pipeline adds the latency again.
        let due = now - i128::from(frame.latency_ns);
        let shift = self.shift(frame, arrival).unwrap_or(0);
        let captured = frame.capture_ns.and_then(running);
        let (time, corrected) = match captured {
            None => (due, false),
            Some(captured) if captured > now => (now, captured > now + TOLERANCE_NS),
            // A frame that was not waited for says nothing of the shift, which may be too large for it.
            Some(captured) if shift != 0 => ((captured + shift).min(due + SHIFT_NS.1), true),
            Some(captured) if captured < 0 && self.last.is_none() => {
                if !arrival.is_newest {
                    return Placement::BeforeStart;
                }
                self.hurried = frame.is_packet.then(|| Hurried { from: captured, to: due.max(0) });
                (due, false)
            }
            Some(captured) => (captured, false),
        };
        self.hurried = self.hurried.filter(|hurried| captured.is_some_and(|own| own < hurried.at(own)));
        let hurried = self.hurried.zip(captured);
        let time = hurried.map_or(time, |(hurried, own)| time.max(hurried.at(own)));
        // A new base time makes what was decided before it meaningless. (A shift may be a little too large.)
        let last = self.last.map(i128::from).filter(|last| *last <= now + SHIFT_NS.1).unwrap_or(0);
        let floor = frame.floor(last);
        let placed = time.max(floor).max(0);
        // A latency changes with the producer, and with it, for a moment, the order.
        let stepped_back = self.last.is_some() && floor - time > TOLERANCE_NS + i128::from(frame.latency_ns);
        let shown = |reorder: i64| {
            let (hurried, own) = hurried?;
            let own = own + i128::from(reorder);
            i64::try_from(own.max(hurried.at(own)) - placed).ok()
        };
        let reorder_ns = frame.reorder_ns.map(|reorder| shown(reorder).unwrap_or(reorder));
        Placement::At { running_ns: bounded(placed), reorder_ns, corrected: corrected || stepped_back }
    }

    /// How much later this producer's frames come than its times and its latency allow, if they do so for a while.
    fn shift(&mut self, frame: &FrameTimes, arrival: &Arrival) -> Option<i128> {
        let trust = self.producers.get_mut(usize::from(arrival.producer.id))?;
        if trust.generation != arrival.producer.generation {
            *trust = Trust { generation: arrival.producer.generation, ..Trust::default() };
        }
        let capture = frame.capture_ns?;
        if !arrival.waited {
            return trust.shift;
        }
        let late_by = i128::from(arrival.at_ns) - i128::from(capture) - i128::from(frame.latency_ns);
        if late_by <= TOLERANCE_NS {
            trust.late_since = None;
            // Only what is well in time ends it, so that it does not come and go with each frame.
            trust.shift = trust.shift.filter(|_| late_by > TOLERANCE_NS / 2);
        } else {
            let since = *trust.late_since.get_or_insert(arrival.at_ns);
            if arrival.at_ns.saturating_sub(since) >= PERSISTENT_NS {
                trust.shift.get_or_insert(late_by);
            }
        }
        let (later, earlier) = SHIFT_NS;
        let expected = |shift: &i128| (*shift - earlier..=*shift + later).contains(&late_by);
        trust.shift = trust.shift.map(|shift| if expected(&shift) { shift } else { late_by });
        trust.shift
    }

    /// The stream was interrupted on this side: who was late before is not late because of what comes after.
    pub(crate) fn interrupted(&mut self) {
        for trust in &mut self.producers {
            trust.late_since = None;
        }
    }

    fn not_live(&mut self, frame: &FrameTimes, arrival: &Arrival) -> Placement {
        let (basis, value) = match (frame.capture_ns, frame.pts_ns) {
            (Some(capture), _) => (Basis::Capture, capture),
            (None, Some(pts)) => (Basis::Pts(arrival.producer), pts),
            (None, None) => (Basis::Arrival, arrival.at_ns),
        };
        let value = i128::from(value);
        // Where a frame belongs that just follows the last one.
        let next = self.last.map_or(0, |last| last.saturating_add(frame.duration_ns.unwrap_or(0)));
        let last = i128::from(self.last.unwrap_or(0));
        let time = match self.origin {
            Some((before, origin)) if before == basis => value - origin,
            _ => i128::from(next),
        };
        let restarted = time + RESTART_NS + i128::from(frame.latency_ns) < last || time > i128::from(MAX_NS);
        let time = if restarted { i128::from(next) } else { time };
        if restarted || self.origin.is_none_or(|(before, _)| before != basis) {
            self.origin = Some((basis, value - time));
        }
        let running_ns = bounded(time.max(frame.floor(last)));
        Placement::At { running_ns, reorder_ns: frame.reorder_ns, corrected: restarted }
    }
}

/// A running time, which is never negative here, as one that GStreamer can hold.
fn bounded(running: i128) -> u64 {
    u64::try_from(running).unwrap_or(0).min(MAX_NS)
}

/// How long one frame lasts, in nanoseconds; `None` when the rate is unknown or variable (0/1).
pub(crate) fn frame_duration((numerator, denominator): (u32, u32)) -> Option<u64> {
    u64::from(denominator).checked_mul(1_000_000_000)?.checked_div(u64::from(numerator)).filter(|d| *d > 0)
}

/// How long a buffer's content lasts in running time, of which a segment's `rate` makes more or less.
pub(crate) fn running_duration(duration_ns: u64, rate: f64) -> u64 {
    let rate = rate.abs();
    if rate == 1.0 || rate < f64::EPSILON {
        return duration_ns;
    }
    // Beyond 2^53 ns, which is 104 days, it is rounded.
    (duration_ns as f64 / rate).round() as u64
}

#[cfg(test)]
mod tests;
