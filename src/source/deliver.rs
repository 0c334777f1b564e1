//! What happens to a frame on its way downstream.

use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer_video as gst_video;

use gst::prelude::*;
use gst::subclass::prelude::*;
use gstreamer_base::prelude::*;
use shmflow::meta::{MetaError, MetaHeader, PerFrame};
use shmflow::{Frame, Unblocker};

use crate::common::clock::{ClockBridge, monotonic_ns};
use crate::common::tell;
use crate::common::timing::{self, ClockOffset, Placement};

use super::decode::{self, Described, Format, Unusable};
use super::imp::{CAT, ShmflowSrc, lock};
use super::latency::Latency;
use super::reader::Reader;
use super::settings::Settings;
use super::template::Template;

/// For how long frames that downstream does not take are left out before that is an error, and how many of them at
/// least: the producer, told of what is wanted here, may be about to change its format. A queue in front of its sink
/// holds a second of frames of the old one, and a camera of one frame a second takes as long for the next.
const ADAPT: Duration = Duration::from_secs(2);
const ADAPT_FRAMES: u32 = 3;

/// For how long frames captured before this pipeline's start may keep coming. Beyond it their times are not those of
/// their capture: a producer with sync=false that is slower than its own timestamps falls behind the clock for ever.
const EARLY: Duration = Duration::from_secs(1);

/// Frames that downstream does not take, one after the other.
#[derive(Debug)]
pub(super) struct Refused {
    since: Instant,
    frames: u32,
}

impl Refused {
    fn first() -> Self {
        Self { since: Instant::now(), frames: 0 }
    }

    /// Counts one more; whether that is to be put up with.
    fn another(&mut self) -> bool {
        self.frames = self.frames.saturating_add(1);
        self.frames <= ADAPT_FRAMES || self.since.elapsed() < ADAPT
    }
}

/// What the streaming thread remembers from frame to frame.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) settings: Settings,
    pub(super) reader: Reader,
    pub(super) format: Option<Format>,
    /// What frames of this format look like, as far as the last one told.
    template: Option<Template>,
    /// The metadata of the frame at hand; kept for its memory.
    block: Vec<u8>,
    clock: ClockBridge,
    /// As it was before the wait for the frame at hand.
    timeline: Timeline,
    /// The next frame does not continue the one before.
    pub(super) discont: bool,
    pub(super) producer: Option<shmflow::ParticipantId>,
    /// While frames come that downstream does not take.
    pub(super) refused: Option<Refused>,
    /// Since when frames come that were captured before this pipeline started.
    early_since: Option<Instant>,
    /// Capture time of the first frame, for a source that is not live.
    pub(super) first_capture: Option<u64>,
    /// What the last frame said of its latency: its producer, that one's, its rate, and the depth of the ring.
    pub(super) said: Option<(shmflow::ParticipantId, u64, (u32, u32), u32)>,
    pub(super) losses: tell::Limiter,
    pub(super) damages: tell::Limiter,
}

impl Stream {
    pub(super) fn new(settings: Settings, name: String, unblocker: Unblocker) -> Self {
        Self {
            reader: Reader::new(settings.clone(), name, unblocker),
            settings,
            format: None,
            template: None,
            block: Vec::new(),
            clock: ClockBridge::default(),
            timeline: Timeline::default(),
            discont: true,
            producer: None,
            refused: None,
            early_since: None,
            first_capture: None,
            said: None,
            losses: tell::Limiter::default(),
            damages: tell::Limiter::default(),
        }
    }
}

/// How times of frames become times of buffers.
#[derive(Debug, Default, Clone, Copy)]
struct Timeline {
    /// The pipeline's base time and its clock's difference to `CLOCK_MONOTONIC`, if it has a clock.
    running: Option<(u64, ClockOffset)>,
    /// The base class stamps each buffer with its arrival.
    stamps_arrival: bool,
}

/// Whether all of downstream takes these caps: many elements, asked to accept, answer for themselves alone.
fn is_wanted(pad: &gst::Pad, caps: &gst::Caps) -> bool {
    pad.peer_query_caps(Some(caps)).can_intersect(caps)
}

/// A frame was captured before the pipeline started that received it.
#[derive(Debug)]
struct BeforeStart;

impl ShmflowSrc {
    /// A buffer of a frame, `None` if the frame is to be left out.
    pub(super) fn deliver(
        &self,
        stream: &mut Stream,
        frame: Frame,
    ) -> Result<Option<gst::Buffer>, gst::FlowError> {
        self.count_arrival(stream, &frame);
        let mut block = std::mem::take(&mut stream.block);
        frame.read_meta(&mut block);
        let result = self.read(stream, frame, &block);
        stream.block = block;
        match result {
            Ok(delivered) => delivered,
            Err(Unusable::Damaged(why)) => {
                gst::warning!(CAT, imp = self, "a frame is left out: {why}");
                self.leave_out(stream, &why);
                Ok(None)
            }
            Err(Unusable::Wrong(why)) => Err(self.fail(gst::error_msg!(gst::StreamError::Format, ("{why}")))),
        }
    }

    /// The buffer of a frame with this metadata. What is the same as in the frame before is not parsed again.
    fn read(
        &self,
        stream: &mut Stream,
        frame: Frame,
        block: &[u8],
    ) -> Result<Result<Option<gst::Buffer>, gst::FlowError>, Unusable> {
        let damaged = |error: MetaError| Unusable::Damaged(error.to_string());
        let header = MetaHeader::parse(block).map_err(damaged)?;
        let known = stream.format.is_some()
            && stream.template.as_ref().is_some_and(|template| template.fits(&header, frame.len()));
        if !known {
            let view = header.view().map_err(damaged)?;
            match decode::describe(&view, stream.format.as_ref(), stream.settings.caps.as_ref())? {
                Described::Same => {}
                Described::New(format) => match self.adopt(stream, format) {
                    Ok(true) => {}
                    Ok(false) => return Ok(Ok(None)),
                    Err(error) => return Ok(Err(error)),
                },
            }
            let Some(format) = &stream.format else {
                return Ok(Ok(None));
            };
            stream.template = None;
            stream.template = Some(Template::new(&view, format, frame.len())?);
        }
        self.buffer(stream, frame, &header.per_frame()).map(Ok)
    }

    /// What can be done before the next frame is there is done here: it does not lie between its publication and its
    /// arrival downstream then.
    pub(super) fn prepare(&self, stream: &mut Stream) {
        stream.timeline = self.timeline(stream);
        if let Some(template) = &mut stream.template {
            template.prepare();
        }
    }

    fn leave_out(&self, stream: &mut Stream, why: &str) {
        stream.discont = true;
        let total = self.stats.skipped.add(1);
        if let Some(count) = stream.damages.count(1) {
            self.post(tell::lost(count, total, why));
        }
    }

    fn count_arrival(&self, stream: &mut Stream, frame: &Frame) {
        let lost = frame.lost_before();
        if lost > 0 {
            stream.discont = true;
            let total = self.stats.lost.add(lost);
            if let Some(count) = stream.losses.count(lost) {
                self.post(tell::lost(count, total, "overwritten before they could be read"));
            }
        }
        if stream.producer.replace(frame.producer()).is_some_and(|before| before != frame.producer()) {
            stream.discont = true;
        }
    }

    /// Takes over a new format; `false` if downstream does not want it and the producer may still change.
    fn adopt(&self, stream: &mut Stream, mut format: Format) -> Result<bool, gst::FlowError> {
        let source = self.obj();
        let pad = source.src_pad();
        let accepted = pad.peer_query_accept_caps(&format.caps);
        if !(accepted && is_wanted(pad, &format.caps)) {
            stream.format = None;
            if stream.refused.get_or_insert_with(Refused::first).another() {
                self.leave_out(stream, "the elements after shmflowsrc do not take its caps");
                return Ok(false);
            }
        }
        // Even then it may take them: some elements that are asked say only what they like best.
        if !accepted || source.set_caps(&format.caps).is_err() {
            if pad.pad_flags().contains(gst::PadFlags::FLUSHING) {
                return Err(gst::FlowError::Flushing);
            }
            return Err(self.not_negotiated(&format));
        }
        stream.refused = None;
        let mut query = gst::query::Allocation::new(Some(&format.caps), false);
        format.strides_understood =
            pad.peer_query(&mut query) && query.find_allocation_meta::<gst_video::VideoMeta>().is_some();
        self.post(tell::format_changed(&format.caps));
        stream.format = Some(format);
        Ok(true)
    }

    fn not_negotiated(&self, format: &Format) -> gst::FlowError {
        let wanted = self.obj().src_pad().peer_query_caps(None);
        let (caps, info) = (&format.caps, &format.info);
        self.fail(gst::error_msg!(
            gst::CoreError::Negotiation,
            (
                "The elements after shmflowsrc do not take the frames of this topic ({}, {}×{}). Put videoconvert after \
                 shmflowsrc (and videoscale, if the size is asked for).",
                info.name(),
                info.width(),
                info.height()
            ),
            ["frames have: {caps}; accepted are: {wanted}"]
        ))
    }

    /// The buffer of a frame whose format is known, `None` if it is from before this pipeline's start.
    fn buffer(
        &self,
        stream: &mut Stream,
        frame: Frame,
        per_frame: &PerFrame,
    ) -> Result<Option<gst::Buffer>, Unusable> {
        let capture = decode::capture_ns(&per_frame.times);
        let Ok(pts) = self.pts(stream, capture) else {
            self.stats.skipped.add(1);
            stream.discont = true;
            return Ok(None);
        };
        let (Some(format), Some(template)) = (&stream.format, &mut stream.template) else {
            return Ok(None);
        };
        let (len, mut copied, producer) = (frame.len(), frame.is_copy(), frame.producer());
        let mut buffer = template.wrap(frame, per_frame, &self.stats.leases)?;
        if template.packs {
            buffer = decode::packed(buffer, format)?;
            copied = true;
        }
        let fresh = buffer.make_mut();
        // Without a time of its own the base class stamps the buffer, if do-timestamp is set.
        if !stream.timeline.stamps_arrival {
            fresh.set_pts(pts);
        }
        if std::mem::take(&mut stream.discont) {
            fresh.set_flags(gst::BufferFlags::DISCONT);
        }
        let rate = format.rate;
        let said = (producer, per_frame.times.latency_ns.unwrap_or(0), rate, stream.reader.depth());
        if stream.said != Some(said) {
            stream.said = Some(said);
            let frame_ns = timing::frame_duration(rate.0, rate.1);
            self.follow_latency(|latency| latency.updated(producer, said.1, frame_ns, said.3));
        }
        self.stats.received.add(1);
        self.stats.bytes.add(len as u64);
        if copied { &self.stats.copied } else { &self.stats.zero_copy }.add(1);
        if let Some(capture) = capture {
            self.stats.latency.record(monotonic_ns().saturating_sub(capture));
        }
        Ok(Some(buffer))
    }

    fn timeline(&self, stream: &mut Stream) -> Timeline {
        let source = self.obj();
        let running = match (source.clock(), source.base_time()) {
            (Some(clock), Some(base)) => Some((base.nseconds(), stream.clock.offset(&clock))),
            _ => None,
        };
        Timeline { running, stamps_arrival: source.does_timestamp() }
    }

    /// The running time of a frame, as far as there is a clock; `Err` if it was captured before this pipeline started.
    fn pts(&self, stream: &mut Stream, capture: Option<u64>) -> Result<Option<gst::ClockTime>, BeforeStart> {
        if !stream.settings.is_live {
            // Not bound to a clock: the first frame is at 0.
            let first = *stream.first_capture.get_or_insert(capture.unwrap_or(0));
            return Ok(Some(gst::ClockTime::from_nseconds(capture.unwrap_or(first).saturating_sub(first))));
        }
        let Some((base, offset)) = stream.timeline.running else {
            return Ok(None);
        };
        let place = timing::place(capture, base, offset);
        if place != Placement::BeforeStart {
            stream.early_since = None;
        } else if stream.early_since.get_or_insert_with(Instant::now).elapsed() < EARLY {
            return Err(BeforeStart);
        }
        Ok(match place {
            Placement::At(running) if running < gst::ClockTime::MAX.nseconds() => {
                Some(gst::ClockTime::from_nseconds(running))
            }
            // Of a frame that does not say when it was captured, or cannot have been captured then, the arrival is known.
            Placement::At(_) | Placement::Unknown | Placement::BeforeStart => {
                self.obj().current_running_time()
            }
        })
    }

    /// Has the pipeline ask for the latency again when it changed.
    fn follow_latency(&self, change: impl FnOnce(Latency) -> Latency) {
        let (before, now) = {
            let mut latency = lock(&self.latency);
            let before = *latency;
            *latency = change(before);
            (before, *latency)
        };
        if now != before && now.bounds() != before.bounds() {
            gst::debug!(CAT, imp = self, "latency is now {:?}", now.bounds());
            let source = self.obj();
            let _ = source.post_message(gst::message::Latency::builder().src(&*source).build());
        }
    }
}
