//! The element itself: what GStreamer calls, and how the parts work together.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer_base as gst_base;
use gstreamer_video as gst_video;

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::base_src::CreateSuccess;
use gst_base::subclass::prelude::*;
use shmflow::meta::MetaView;
use shmflow::{Frame, Unblocker};

use crate::common::clock::{ClockBridge, monotonic_ns};
use crate::common::enums::OnDisconnect;
use crate::common::timing::{self, Placement};
use crate::common::{error, formats, tell};

use super::decode::{self, Described, Format, Unusable};
use super::latency::Latency;
use super::reader::{Event, Reader};
use super::settings::{self, Settings};
use super::stats::Stats;
use super::wish;

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("shmflowsrc", gst::DebugColorFlags::empty(), Some("Shared-memory video source"))
});

/// For how long frames that downstream does not take are left out before that is an error: the producer, told of what
/// is wanted here, may be about to change its format.
const ADAPT: Duration = Duration::from_secs(1);

/// State of a `shmflowsrc`.
#[derive(Debug, Default)]
pub struct ShmflowSrc {
    settings: Mutex<Settings>,
    /// What only the streaming thread uses, from READY→PAUSED to PAUSED→READY.
    stream: Mutex<Option<Stream>>,
    /// Ends the streaming thread's waits. Outside `stream`, which is locked during them.
    unblocker: Mutex<Unblocker>,
    latency: Mutex<Latency>,
    /// Downstream may accept something else than before.
    wish_stale: AtomicBool,
    /// The pipeline was paused: what was published meanwhile is old.
    resumed: AtomicBool,
    stats: Stats,
}

/// What the streaming thread remembers from frame to frame.
#[derive(Debug)]
struct Stream {
    settings: Settings,
    reader: Reader,
    format: Option<Format>,
    clock: ClockBridge,
    /// The next frame does not continue the one before.
    discont: bool,
    producer: Option<shmflow::ParticipantId>,
    /// Since when frames come that downstream does not take.
    refused_since: Option<Instant>,
    /// Capture time of the first frame, for a source that is not live.
    first_capture: Option<u64>,
    losses: tell::Limiter,
    damages: tell::Limiter,
}

/// A frame was captured before the pipeline started that received it.
#[derive(Debug)]
struct BeforeStart;

/// No code here panics while it holds one of these locks; if another thread's did, its data are still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ShmflowSrc {
    fn post(&self, structure: gst::Structure) {
        tell::post(self.obj().upcast_ref(), structure);
    }

    fn topic_event(&self, what: &str) {
        gst::info!(CAT, imp = self, "{what}");
        let topic = lock(&self.settings).topic.clone().unwrap_or_default();
        self.post(gst::Structure::builder(format!("shmflow-{what}")).field("topic", topic).build());
    }

    fn fail(&self, message: gst::ErrorMessage) -> gst::FlowError {
        self.post_error_message(message);
        gst::FlowError::Error
    }

    /// The last producer is gone.
    fn on_disconnect(&self, stream: &mut Stream) -> Result<(), gst::FlowError> {
        stream.discont = true;
        // The next producer's frames say what is then.
        let mut latency = lock(&self.latency);
        *latency = latency.without_producers();
        drop(latency);
        self.topic_event("disconnected");
        match stream.settings.on_disconnect {
            OnDisconnect::None => Ok(()),
            OnDisconnect::Eos => Err(gst::FlowError::Eos),
            OnDisconnect::Error => Err(self.fail(gst::error_msg!(
                gst::ResourceError::Read,
                (
                    "The last producer of topic '{}' is gone without ending the stream. With on-disconnect=none \
                     (the default) this source would wait for the next one.",
                    stream.settings.topic.as_deref().unwrap_or_default()
                )
            ))),
        }
    }

    /// A buffer of a frame, `None` if the frame is to be left out.
    fn deliver(&self, stream: &mut Stream, frame: Frame) -> Result<Option<gst::Buffer>, gst::FlowError> {
        self.count_arrival(stream, &frame);
        let block = frame.meta_bytes();
        let view = MetaView::parse(&block);
        let result = view.map_err(|error| Unusable::Damaged(error.to_string())).and_then(|view| {
            match decode::describe(&view, stream.format.as_ref(), stream.settings.caps.as_ref())? {
                Described::Same => {}
                Described::New(format) => match self.adopt(stream, format) {
                    Ok(true) => {}
                    Ok(false) => return Ok(Ok(None)),
                    Err(error) => return Ok(Err(error)),
                },
            }
            self.buffer(stream, frame, &view).map(Ok)
        });
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
        if !pad.peer_query_accept_caps(&format.caps) {
            stream.format = None;
            let since = *stream.refused_since.get_or_insert_with(Instant::now);
            if since.elapsed() < ADAPT {
                self.stats.skipped.add(1);
                stream.discont = true;
                return Ok(false);
            }
            return Err(self.not_negotiated(&format.caps));
        }
        stream.refused_since = None;
        if source.set_caps(&format.caps).is_err() {
            if pad.pad_flags().contains(gst::PadFlags::FLUSHING) {
                return Err(gst::FlowError::Flushing);
            }
            return Err(self.not_negotiated(&format.caps));
        }
        let mut query = gst::query::Allocation::new(Some(&format.caps), false);
        format.strides_understood =
            pad.peer_query(&mut query) && query.find_allocation_meta::<gst_video::VideoMeta>().is_some();
        self.post(tell::format_changed(&format.caps));
        stream.format = Some(format);
        Ok(true)
    }

    fn not_negotiated(&self, caps: &gst::Caps) -> gst::FlowError {
        let wanted = self.obj().src_pad().peer_query_caps(None);
        self.post_error_message(gst::error_msg!(
            gst::CoreError::Negotiation,
            (
                "The elements after shmflowsrc do not take the frames of this topic. Put videoconvert after shmflowsrc \
                 (and videoscale, if the size is asked for)."
            ),
            ["frames have: {caps}; accepted are: {wanted}"]
        ));
        gst::FlowError::NotNegotiated
    }

    /// The buffer of a frame whose format is known, `None` if it is from before this pipeline's start.
    fn buffer(
        &self,
        stream: &mut Stream,
        frame: Frame,
        view: &MetaView<'_>,
    ) -> Result<Option<gst::Buffer>, Unusable> {
        let times = view.times();
        let capture = decode::capture_ns(&times);
        let Ok(pts) = self.pts(stream, capture) else {
            self.stats.skipped.add(1);
            stream.discont = true;
            return Ok(None);
        };
        let Some(format) = &stream.format else {
            return Ok(None);
        };
        let (len, mut copied, producer) = (frame.len(), frame.is_copy(), frame.producer());
        let mut buffer = decode::wrap(frame, view, format, &self.stats.leases)?;
        if decode::needs_packing(view, format) {
            buffer = decode::packed(buffer, format)?;
            copied = true;
        }
        let fresh = buffer.make_mut();
        // Without a time of its own the base class stamps the buffer, if do-timestamp is set.
        if !self.obj().does_timestamp() {
            fresh.set_pts(pts);
        }
        if std::mem::take(&mut stream.discont) {
            fresh.set_flags(gst::BufferFlags::DISCONT);
        }
        let fps = format.info.fps();
        let rate = (u32::try_from(fps.numer()).unwrap_or(0), u32::try_from(fps.denom()).unwrap_or(0));
        let frame_ns = timing::frame_duration(rate.0, rate.1);
        let depth = stream.reader.depth();
        self.follow_latency(|latency| {
            latency.updated(producer, times.latency_ns.unwrap_or(0), frame_ns, depth)
        });
        self.stats.received.add(1);
        self.stats.bytes.add(len as u64);
        if copied { &self.stats.copied } else { &self.stats.zero_copy }.add(1);
        if let Some(capture) = capture {
            self.stats.latency.record(monotonic_ns().saturating_sub(capture));
        }
        Ok(Some(buffer))
    }

    /// The running time of a frame, as far as there is a clock; `Err` if it was captured before this pipeline started.
    fn pts(&self, stream: &mut Stream, capture: Option<u64>) -> Result<Option<gst::ClockTime>, BeforeStart> {
        let source = self.obj();
        if !stream.settings.is_live {
            // Not bound to a clock: the first frame is at 0.
            let first = *stream.first_capture.get_or_insert(capture.unwrap_or(0));
            return Ok(Some(gst::ClockTime::from_nseconds(capture.unwrap_or(first).saturating_sub(first))));
        }
        let (Some(clock), Some(base)) = (source.clock(), source.base_time()) else {
            return Ok(None);
        };
        Ok(match timing::place(capture, base.nseconds(), stream.clock.offset(&clock)) {
            Placement::BeforeStart => return Err(BeforeStart),
            Placement::At(running) if running < gst::ClockTime::MAX.nseconds() => {
                Some(gst::ClockTime::from_nseconds(running))
            }
            // Of a frame that does not say when it was captured, the arrival is known.
            Placement::At(_) | Placement::Unknown => Some(clock.time().saturating_sub(base)),
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

    fn topic_stats(&self) -> gst::Structure {
        let mut structure = self.stats.to_structure();
        let latency = *lock(&self.latency);
        structure.set("depth", latency.depth());
        structure.set("producer-latency", latency.pipeline_ns());
        structure
    }
}

#[glib::object_subclass]
impl ObjectSubclass for ShmflowSrc {
    const NAME: &'static str = "GstShmflowSrc";
    type Type = super::ShmflowSrc;
    type ParentType = gst_base::PushSrc;
}

impl ObjectImpl for ShmflowSrc {
    fn properties() -> &'static [glib::ParamSpec] {
        settings::properties()
    }

    fn constructed(&self) {
        self.parent_constructed();
        let source = self.obj();
        source.set_format(gst::Format::Time);
        source.set_live(lock(&self.settings).is_live);
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = lock(&self.settings);
        if !settings.set(pspec.name(), value) {
            gst::warning!(CAT, imp = self, "property {} cannot be set", pspec.name());
        } else if pspec.name() == "is-live" {
            let live = settings.is_live;
            drop(settings);
            self.obj().set_live(live);
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "dropped" => self.stats.dropped().to_value(),
            "topic-stats" => self.topic_stats().to_value(),
            name => lock(&self.settings).get(name).unwrap_or_else(|| pspec.default_value().clone()),
        }
    }
}

impl GstObjectImpl for ShmflowSrc {}

impl ElementImpl for ShmflowSrc {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Shared-memory video source",
                "Source/Video",
                "Receives raw video that another process publishes under a topic's name, without copying. \
                 Example: gst-launch-1.0 shmflowsrc topic=video ! autovideosink",
                "The shmflow authors",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            gst::PadTemplate::new("src", gst::PadDirection::Src, gst::PadPresence::Always, formats::all())
                .into_iter()
                .collect()
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::NullToReady
            && let Err(why) = lock(&self.settings).check()
        {
            self.post_error_message(gst::error_msg!(gst::ResourceError::Settings, ("{why}")));
            return Err(gst::StateChangeError);
        }
        if transition == gst::StateChange::PausedToPlaying {
            self.resumed.store(true, Ordering::Relaxed);
        }
        self.parent_change_state(transition)
    }
}

impl BaseSrcImpl for ShmflowSrc {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        self.stats.clear();
        *lock(&self.latency) = Latency::default();
        let unblocker = Unblocker::new();
        *lock(&self.unblocker) = unblocker.clone();
        self.wish_stale.store(true, Ordering::Relaxed);
        let reader = Reader::new(settings.clone(), tell::own_name(self.obj().upcast_ref()), unblocker);
        *lock(&self.stream) = Some(Stream {
            settings,
            reader,
            format: None,
            clock: ClockBridge::default(),
            discont: true,
            producer: None,
            refused_since: None,
            first_capture: None,
            losses: tell::Limiter::default(),
            damages: tell::Limiter::default(),
        });
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        // The streaming thread has ended. Leases that are still out keep their memory by themselves.
        let stream = lock(&self.stream).take();
        drop(stream);
        Ok(())
    }

    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        lock(&self.unblocker).unblock();
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        lock(&self.unblocker).reset();
        Ok(())
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn negotiate(&self) -> Result<(), gst::LoggableError> {
        // The format is the producer's, and comes with its frames. What is new here is what downstream accepts.
        self.wish_stale.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn query(&self, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::Latency(query) = query.view_mut()
            && lock(&self.settings).is_live
        {
            let (min, max) = lock(&self.latency).bounds();
            query.set(true, gst::ClockTime::from_nseconds(min), max.map(gst::ClockTime::from_nseconds));
            return true;
        }
        BaseSrcImplExt::parent_query(self, query)
    }
}

impl PushSrcImpl for ShmflowSrc {
    fn create(&self, _buffer: Option<&mut gst::BufferRef>) -> Result<CreateSuccess, gst::FlowError> {
        let mut stream = lock(&self.stream);
        let stream = stream.as_mut().ok_or(gst::FlowError::Flushing)?;
        loop {
            if self.wish_stale.swap(false, Ordering::Relaxed) {
                let wish = wish::of(self.obj().src_pad());
                gst::debug!(CAT, imp = self, "downstream accepts {wish}");
                stream
                    .reader
                    .set_wish(wish)
                    .map_err(|error| self.fail(error::message(&error, "telling what is accepted")))?;
            }
            if self.resumed.swap(false, Ordering::Relaxed) && stream.settings.is_live {
                stream.reader.skip_to_newest();
                stream.discont = true;
            }
            match stream.reader.next() {
                Event::Quiet => {}
                Event::Frame(frame) => {
                    if let Some(buffer) = self.deliver(stream, frame)? {
                        return Ok(CreateSuccess::NewBuffer(buffer));
                    }
                }
                Event::Connected => {
                    stream.discont = true;
                    self.topic_event("connected");
                }
                Event::Stalled => self.topic_event("stalled"),
                Event::Disconnected => self.on_disconnect(stream)?,
                Event::Ended if stream.settings.ignore_eos => {
                    stream.discont = true;
                    self.topic_event("ended");
                    stream.reader.forget_end();
                }
                Event::Ended => return Err(gst::FlowError::Eos),
                Event::Unblocked => return Err(gst::FlowError::Flushing),
                Event::TimedOut => {
                    return Err(self.fail(gst::error_msg!(
                        gst::ResourceError::NotFound,
                        (
                            "No producer came to topic '{}' within {} ms (connection-timeout). Is it running, with the \
                             same topic and directory?",
                            stream.settings.topic.as_deref().unwrap_or_default(),
                            stream.settings.connection_timeout
                        )
                    )));
                }
                Event::Failed(error) => return Err(self.fail(error::message(&error, "reading the topic"))),
            }
        }
    }
}
