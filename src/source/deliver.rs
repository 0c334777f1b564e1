//! What happens to a frame on its way downstream.

use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer_video as gst_video;

use gst::prelude::*;
use gst::subclass::prelude::*;
use gstreamer_base::prelude::*;
use shmflow::meta::{Kind, MetaError, MetaHeader, MetaView, PerFrame, Tags};
use shmflow::{CancelToken, Frame, ParticipantId};

use crate::common::clock::{ClockBridge, clock_time, monotonic_ns};
use crate::common::metas::tags;
use crate::common::misfit::misfit;
use crate::common::timing::{Arrival, FrameTimes, Placement, Timeline};
use crate::common::{lock, messages};

use super::format::{Downstream, Format, FrameCaps, FrameError};
use super::imp::{CAT, ShmflowSrc};
use super::latency::Latency;
use super::packets::Packets;
use super::reader::Reader;
use super::settings::Settings;

/// For how long frames that downstream does not take are left out before that is an error, and how many of them at
/// least: the producer, told of what is wanted here, may be about to change its format. A queue in front of its sink
/// holds a second of frames of the old one, and a camera of one frame a second takes as long for the next.
const ADAPT: Duration = Duration::from_secs(2);
const ADAPT_FRAMES: u32 = 3;

/// For how long a frame from before the pipeline's start is kept back, in case that a newer one follows.
const SOON: Duration = Duration::from_millis(250);

/// How often it is looked whether the producers that were heard are still there.
const LOOK_NS: u64 = 1_000_000_000;

/// After which time a question that was not answered is asked again: at first, and at most.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(64));

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

/// What the streaming thread remembers from frame to frame.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) settings: Settings,
    pub(super) reader: Reader,
    pub(super) format: Option<Format>,
    pub(super) packets: Packets,
    /// The tags that downstream has.
    tags: Vec<Tags>,
    /// The metadata of the frame at hand; kept for its memory.
    pub(super) block: Vec<u8>,
    clock: ClockBridge,
    timeline: Timeline,
    /// A frame from before the pipeline's start, and until when it waits for a newer one.
    held: Option<(Frame, Instant)>,
    /// The next frame does not continue the one before.
    pub(super) discont: bool,
    producer: Option<ParticipantId>,
    /// While frames come that downstream does not take.
    pub(super) refused: Option<Refused>,
    /// When to ask downstream again what it can read, and how long after that.
    ask_again: Option<(Instant, Duration)>,
    /// When it was last looked which producers there are.
    looked_ns: u64,
    pub(super) losses: messages::Limiter,
    skips: messages::Limiter,
    /// Why the last of them was.
    skipped_because: String,
    corrections: messages::Limiter,
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
            clock: ClockBridge::default(),
            timeline: Timeline::default(),
            held: None,
            discont: true,
            producer: None,
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
    fn skip_to_newest(&mut self) -> u64 {
        let held = u64::from(self.held.take().is_some());
        self.timeline.interrupted();
        self.discont = true;
        self.refused = None;
        let left_out = self.packets.rejoin().unwrap_or_else(|| self.reader.skip_to_newest());
        left_out.saturating_add(held)
    }

    /// Whether another producer than before made this frame.
    pub(super) fn is_of_another_producer(&self, frame: &Frame) -> bool {
        self.producer.is_some_and(|before| before != frame.producer())
    }
}

/// Whether all of downstream takes these caps: many elements, asked to accept, answer for themselves alone.
fn is_wanted(pad: &gst::Pad, caps: &gst::Caps) -> bool {
    pad.peer_query_caps(Some(caps)).can_intersect(caps)
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
        frame.read_meta(&mut block);
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

    fn count_arrival(&self, stream: &mut Stream, frame: &Frame) {
        let lost = frame.lost_before();
        if lost > 0 {
            stream.discont = true;
            self.stats.lost.add(lost);
            stream.losses.count(lost);
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
        let times = FrameTimes::of(&per_frame.times, !is_raw);
        // Of a frame that turns out to be of no use nothing is kept.
        let mut timeline = stream.timeline;
        let (placed, corrected) = match timeline.place(stream.settings.is_live, &times, arrival) {
            Placement::BeforeStart => {
                stream.timeline = timeline;
                stream.held = Some((frame, Instant::now() + SOON));
                stream.discont = true;
                return Ok(None);
            }
            Placement::Unclocked => (None, false),
            Placement::At { running_ns, corrected } => (Some(running_ns), corrected),
        };
        if !stream.format.as_ref().is_some_and(|format| format.fits(&header, frame.len())) {
            let view = header.view().map_err(corrupt)?;
            let format = match stream.format.take() {
                Some(format) if format.is_of(&view) => stream.format.insert(format),
                _ => {
                    let caps = FrameCaps::of(&view, stream.settings.caps.as_ref())?;
                    let downstream = self.set_format(stream, &caps)?;
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
            let (pts, dts) = times.of_buffer(placed);
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
        if let Some(capture) = FrameTimes::of(&per_frame.times, false).capture_ns {
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

    /// Has the tags sent downstream, after caps and segment and before the next buffer, if they changed.
    fn follow_tags(&self, known: &mut Vec<Tags>, view: &MetaView<'_>) -> Result<(), FrameError> {
        let corrupt = |why: String| FrameError::Corrupt(why);
        let found: Vec<Tags> =
            view.entries().take(2).collect::<Result<_, _>>().map_err(|error| corrupt(error.to_string()))?;
        if *known == found {
            return Ok(());
        }
        for one in &found {
            if !known.contains(one) {
                let list =
                    tags::of_text(one).map_err(|why| corrupt(format!("its tags are not usable: {why}")))?;
                self.send(gst::event::Tag::new(list));
            }
        }
        for one in known.iter().filter(|one| found.iter().all(|other| other.is_global != one.is_global)) {
            // There are none any more: what is known downstream is replaced by nothing.
            let none = tags::of_text(&Tags::new("taglist").is_global(one.is_global))
                .map_err(|why| corrupt(why.to_owned()))?;
            self.send(gst::event::Tag::new(none));
        }
        *known = found;
        Ok(())
    }

    /// The base class keeps it until the next buffer. (Asked for directly: the element's own call takes the lock of a state
    /// change, which may be waiting for this thread.)
    fn send(&self, event: gst::Event) {
        gst::debug!(CAT, imp = self, "sending {event:?}");
        let _ = self.parent_send_event(event);
    }

    /// Agrees on caps with the elements downstream, and asks what they read.
    fn set_format(&self, stream: &mut Stream, of: &FrameCaps) -> Result<Downstream, FrameError> {
        let source = self.obj();
        let pad = source.src_pad();
        let Some(caps) = &of.caps else { return self.without_caps(pad) };
        let accepted = pad.peer_query_accept_caps(caps);
        if !(accepted && is_wanted(pad, caps)) && stream.refused.get_or_insert_with(Refused::first).another()
        {
            return Err(FrameError::NotAccepted);
        }
        let before = pad.current_caps();
        // Even then it may take them: some elements that are asked say only what they like best.
        if !accepted || source.set_caps(caps).is_err() {
            if pad.pad_flags().contains(gst::PadFlags::FLUSHING) {
                return Err(FrameError::Flow(gst::FlowError::Flushing));
            }
            return Err(FrameError::Flow(self.not_negotiated(of)));
        }
        stream.refused = None;
        if before.as_ref() != Some(caps) {
            self.post(messages::format_changed(caps));
        }
        let mut query = gst::query::Allocation::new(Some(caps), false);
        let answered = pad.peer_query(&mut query);
        let now = Instant::now();
        stream.ask_again = (!answered).then(|| {
            let after = stream.ask_again.map_or(ASK_AGAIN.0, |(_, after)| (after * 2).min(ASK_AGAIN.1));
            (now + after, after)
        });
        Ok(Downstream {
            strides: answered && query.find_allocation_meta::<gst_video::VideoMeta>().is_some(),
            crop: answered && query.find_allocation_meta::<gst_video::VideoCropMeta>().is_some(),
        })
    }

    /// Frames that say nothing of what they hold, and of which the user says nothing either.
    fn without_caps(&self, pad: &gst::Pad) -> Result<Downstream, FrameError> {
        if pad.current_caps().is_some() {
            return Err(FrameError::Corrupt("it carries no caps, and frames before it did".to_owned()));
        }
        if pad.peer_query_caps(None).is_any() {
            return Ok(Downstream::default());
        }
        Err(FrameError::Unsupported(
            "The frames of this topic carry no caps. Set the caps property, for example \
             caps=video/x-raw,format=BGR,width=640,height=480,framerate=30/1."
                .to_owned(),
        ))
    }

    /// Has downstream asked again what it can read, when it said that it changed, or did not answer while frames have to
    /// be copied for it.
    pub(super) fn follow_downstream(&self, stream: &mut Stream) {
        if self.obj().src_pad().needs_reconfigure() {
            self.accepted_stale();
        }
        if let Some((when, _)) = stream.ask_again
            && stream.format.as_ref().is_some_and(Format::copies)
            && when <= Instant::now()
        {
            stream.format = None;
        }
    }

    fn not_negotiated(&self, of: &FrameCaps) -> gst::FlowError {
        let wanted = self.obj().src_pad().peer_query_caps(None);
        let none = gst::Caps::new_empty();
        let caps = of.caps.as_ref().unwrap_or(&none);
        let misfit = misfit(caps, &wanted);
        let what =
            if misfit.fields.is_empty() { String::new() } else { format!(": {}", misfit.fields.join(", ")) };
        self.fail(gst::error_msg!(
            gst::CoreError::Negotiation,
            (
                "The elements after shmflowsrc do not accept the frames of this topic ({}){what}. \
                 Put {} after shmflowsrc.",
                of.content.describe(Some(caps)),
                misfit.converters.join(" and ")
            ),
            ["frames have: {caps}; accepted are: {wanted}"]
        ))
    }

    /// Has the pipeline ask for the latency again when it changed.
    fn follow_latency(&self, stream: &mut Stream, times: &FrameTimes, arrival: &Arrival) {
        let (now, producer) = (arrival.at_ns, arrival.producer);
        let rate = stream.format.as_ref().map_or((0, 1), |format| format.rate);
        let (before, after) = {
            let mut latency = lock(&self.latency);
            let before = *latency;
            let news = latency.update(producer, times.latency_ns, rate, stream.reader.depth(), now);
            let look = now.saturating_sub(stream.looked_ns) >= LOOK_NS;
            if look {
                stream.looked_ns = now;
                latency.forget(now, |producer| stream.reader.is_producing(producer));
            }
            if !news && !look {
                return;
            }
            (before, *latency)
        };
        self.tell_latency(&before, &after);
    }

    pub(super) fn tell_latency(&self, before: &Latency, after: &Latency) {
        if after.bounds() != before.bounds() {
            gst::debug!(CAT, imp = self, "latency is now {:?}", after.bounds());
            let source = self.obj();
            let _ = source.post_message(gst::message::Latency::builder().src(&*source).build());
        }
    }
}
