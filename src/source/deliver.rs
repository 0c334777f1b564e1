//! What happens to a frame on its way downstream.

use std::time::{Duration, Instant};

use gstreamer as gst;

use gst::subclass::prelude::*;
use gstreamer_base::prelude::*;
use shmflow::Frame;
use shmflow::meta::{Kind, MetaError, MetaHeader, PerFrame};

use crate::common::clock::{clock_time, monotonic_ns};
use crate::common::messages;
use crate::common::timing::{Arrival, FrameTimes, Placement};

use super::format::{Format, FrameCaps, FrameError};
use super::imp::{CAT, ShmflowSrc};
use super::stream::Stream;

/// For how long a frame from before the pipeline's start is kept back, in case that a newer one follows.
const SOON: Duration = Duration::from_millis(250);

/// How a frame came to be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// Just when it was published.
    WaitedFor,
    /// It was there.
    Found,
    /// It was taken before, to find the newest key frame.
    LookedAt,
}

impl ShmflowSrc {
    /// Goes on after a pause.
    pub(super) fn resume(&self, stream: &mut Stream) {
        self.stats.skipped.add(stream.skip_to_newest());
    }

    /// A buffer of a frame that came at `at_ns`; `None` if it is left out or kept back.
    pub(super) fn deliver(
        &self,
        stream: &mut Stream,
        frame: Frame,
        at_ns: u64,
        came: Came,
    ) -> Result<Option<gst::Buffer>, gst::FlowError> {
        if stream.held.take().is_some() {
            self.stats.skipped.add(1);
        }
        let Some(frame) = self.begin_or_go_on(stream, frame, came == Came::LookedAt) else { return Ok(None) };
        self.count_arrival(stream, &frame);
        self.place(stream, frame, at_ns, came == Came::WaitedFor, false)
    }

    /// A buffer of the frame that was kept back.
    pub(super) fn deliver_held(
        &self,
        stream: &mut Stream,
        frame: Frame,
    ) -> Result<Option<gst::Buffer>, gst::FlowError> {
        self.place(stream, frame, monotonic_ns(), false, true)
    }

    fn place(
        &self,
        stream: &mut Stream,
        frame: Frame,
        at_ns: u64,
        waited: bool,
        is_newest: bool,
    ) -> Result<Option<gst::Buffer>, gst::FlowError> {
        let clock = stream.clock.running(&*self.obj());
        let arrival = Arrival { at_ns, waited, is_newest, producer: frame.producer(), clock };
        let mut block = std::mem::take(&mut stream.block);
        if stream.block_of.take() != Some((frame.producer(), frame.seq())) {
            frame.read_meta(&mut block);
        }
        let result = self.buffer(stream, frame, &block, &arrival);
        stream.block = block;
        match result {
            Ok(buffer) => Ok(buffer),
            Err(FrameError::Corrupt(why)) => {
                gst::warning!(CAT, imp = self, "a frame is skipped: {why}");
                self.skip(stream, &why);
                Ok(None)
            }
            Err(FrameError::NotAccepted) => {
                self.skip(stream, "the elements after shmflowsrc do not accept its caps");
                Ok(None)
            }
            Err(FrameError::Unsupported(why)) => {
                Err(self.fail(gst::error_msg!(gst::StreamError::Format, ("{why}"))))
            }
            Err(FrameError::Flow(error)) => Err(error),
        }
    }

    pub(super) fn skip(&self, stream: &mut Stream, why: &str) {
        stream.discont = true;
        self.stats.skipped.add(1);
        why.clone_into(&mut stream.skipped_because);
        stream.skips.count(1);
    }

    /// Of sound, and of packets, nothing may be left out between two.
    fn refuse_max_rate(&self, stream: &mut Stream) {
        stream.reader.lift_max_rate();
        gst::element_imp_warning!(
            self,
            gst::StreamError::Format,
            (
                "max-rate has no effect: topic {} carries sound or an encoded stream, of which each part needs those \
                 before it. Decode it first, and leave pictures out afterwards (videorate max-rate=… drop-only=true).",
                stream.settings.topic.as_deref().unwrap_or_default()
            )
        );
    }

    fn count_arrival(&self, stream: &mut Stream, frame: &Frame) {
        let lost = frame.lost_before();
        if lost > 0 {
            stream.discont = true;
            self.stats.lost.add(lost);
            stream.losses.count(lost);
        }
        let expected = stream.reader.newly_expected();
        if expected > 0 {
            self.stats.expected.add(expected);
        }
        let last = stream.last_seq.replace(frame.seq());
        if stream.reader.has_max_rate() {
            // Left out on request: counted, and no reason for a warning.
            let before = last.map_or(frame.seq(), |last| last.saturating_add(1));
            self.stats.skipped.add(frame.seq().saturating_sub(before).saturating_sub(lost));
        }
        if stream.producer.replace(frame.producer()).is_some_and(|before| before != frame.producer()) {
            stream.discont = true;
            stream.looked_ns = 0;
        }
    }

    /// The buffer of a frame with this metadata; `None` if it is kept back.
    fn buffer(
        &self,
        stream: &mut Stream,
        frame: Frame,
        block: &[u8],
        arrival: &Arrival,
    ) -> Result<Option<gst::Buffer>, FrameError> {
        let corrupt = |error: MetaError| FrameError::Corrupt(error.to_string());
        let header = MetaHeader::parse(block).map_err(corrupt)?;
        let per_frame = header.per_frame();
        // Packets are decoded, each with those before it: of them none is left out because it is old.
        let is_packet = header.kind() == Kind::Packet;
        let arrival = &Arrival { is_newest: arrival.is_newest || is_packet, ..*arrival };
        let is_raw = matches!(header.kind(), Kind::Video | Kind::Audio);
        if (is_packet || header.kind() == Kind::Audio) && stream.reader.has_max_rate() {
            self.refuse_max_rate(stream);
        }
        let times = FrameTimes::of(&per_frame.times, !is_raw);
        // Of a frame that turns out to be of no use nothing is kept.
        let mut timeline = stream.timeline;
        let (placed, reorder_ns, corrected) = match timeline.place(stream.settings.is_live, &times, arrival) {
            Placement::BeforeStart => {
                stream.timeline = timeline;
                stream.held = Some((frame, Instant::now() + SOON));
                stream.discont = true;
                return Ok(None);
            }
            Placement::Unclocked => (None, None, false),
            Placement::At { running_ns, reorder_ns, corrected } => (Some(running_ns), reorder_ns, corrected),
        };
        if !stream.format.as_ref().is_some_and(|format| format.fits(&header, frame.len())) {
            let view = header.view().map_err(corrupt)?;
            let format = match stream.format.take() {
                Some(format) if format.is_of(&view) => stream.format.insert(format),
                _ => {
                    let caps = FrameCaps::of(&view, stream.settings.caps.as_ref())?;
                    let downstream = self.set_format(stream, &caps)?;
                    if !(is_packet || header.kind() == Kind::Audio) {
                        stream.reader.restore_max_rate();
                    }
                    stream.format.insert(Format::new(caps, downstream))
                }
            };
            format.learn(&view, frame.len())?;
            self.follow_tags(&mut stream.tags, &view)?;
        }
        self.follow_latency(stream, &times, arrival);
        let Some(format) = &mut stream.format else { return Err(FrameError::NotAccepted) };
        let (len, copied) = (frame.len(), frame.is_copy() || format.copies());
        let mut buffer = format.wrap(frame, &per_frame, &self.stats.leases)?;
        let fresh = buffer.make_mut();
        let passed_over = format.attach(fresh, header.entry_bytes())?;
        if passed_over > 0 {
            self.stats.metas_passed_over.add(u64::from(passed_over));
        }
        // Without a time of its own the base class stamps the buffer, if do-timestamp is set.
        if !self.obj().does_timestamp() {
            let (pts, dts) = times.of_buffer(placed, reorder_ns);
            fresh.set_pts(pts.and_then(clock_time));
            fresh.set_dts(dts.and_then(clock_time));
        }
        if std::mem::take(&mut stream.discont) {
            fresh.set_flags(gst::BufferFlags::DISCONT);
        }
        stream.timeline = timeline;
        if corrected {
            self.stats.restamped.add(1);
            stream.corrections.count(1);
        }
        self.count(len, copied, &per_frame, arrival.at_ns);
        Ok(Some(buffer))
    }

    fn count(&self, len: usize, copied: bool, per_frame: &PerFrame, at_ns: u64) {
        self.stats.received.add(1);
        self.stats.bytes.add(len as u64);
        if copied { &self.stats.copied } else { &self.stats.zero_copy }.add(1);
        if let Some(capture) = FrameTimes::captured(&per_frame.times) {
            self.stats.latency.record(at_ns.saturating_sub(capture));
        }
    }

    /// Reports what was lost, skipped or corrected since the last report, once a second at most, or all of it.
    pub(super) fn report_losses(&self, stream: &mut Stream, all: bool) {
        let due = |limiter: &mut messages::Limiter| if all { limiter.rest() } else { limiter.due() };
        if let Some(count) = due(&mut stream.losses) {
            self.post(messages::lost(count, self.stats.lost.get()));
        }
        if let Some(count) = due(&mut stream.skips) {
            self.post(messages::skipped(count, self.stats.skipped.get(), &stream.skipped_because));
        }
        if let Some(count) = due(&mut stream.corrections) {
            gst::info!(CAT, imp = self, "{count} frames got new timestamps");
            self.post(messages::restamped(count, self.stats.restamped.get()));
        }
    }
}
