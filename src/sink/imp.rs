//! The element itself: what GStreamer calls, and how the parts work together.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer_base as gst_base;
use gstreamer_video as gst_video;

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;

use crate::common::clock::{ClockBridge, monotonic_ns};
use crate::common::{formats, tell};

use super::announce;
use super::clients;
use super::encode::{Encoder, Moment};
use super::gate::Gate;
use super::link::{CurrentLink, Link, Outcome};
use super::negotiation::Negotiator;
use super::pool::RingPool;
use super::settings::{self, Settings};
use super::stats::Stats;
use super::timeline::Timeline;
use super::watcher::Watcher;

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("shmflowsink", gst::DebugColorFlags::empty(), Some("Shared-memory video sink"))
});

/// State of a `shmflowsink`.
#[derive(Debug, Default)]
pub struct ShmflowSink {
    pub(super) settings: Mutex<Settings>,
    /// From NULL→READY to READY→NULL.
    pub(super) link: Arc<CurrentLink>,
    pub(super) watcher: Mutex<Option<Watcher>>,
    /// Held while the topic is made anew, or closed for good.
    pub(super) renewing: Mutex<()>,
    negotiator: Mutex<Negotiator>,
    /// Where the streaming thread waits for a consumer.
    gate: Gate,
    /// What only the streaming thread uses.
    stream: Mutex<Stream>,
    /// The segment, the clock or the base time may be others than before.
    timeline_stale: AtomicBool,
    pub(super) stats: Arc<Stats>,
}

/// What the streaming thread remembers from frame to frame.
#[derive(Debug, Default)]
struct Stream {
    encoder: Option<Encoder>,
    clock: ClockBridge,
    /// For the next frame.
    timeline: Option<Timeline>,
    /// Frames whose time was before this moment of `CLOCK_MONOTONIC` became late while waiting for a consumer.
    skip_before: Option<u64>,
    losses: tell::Limiter,
}

/// No code here panics while it holds one of these locks; if another thread's did, its data are still whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ShmflowSink {
    pub(super) fn link(&self) -> Option<Arc<Link>> {
        self.link.get()
    }

    pub(super) fn negotiator(&self) -> MutexGuard<'_, Negotiator> {
        lock(&self.negotiator)
    }

    pub(super) fn negotiation(&self) -> crate::common::enums::Negotiation {
        lock(&self.settings).negotiation
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The statistics property.
    fn topic_stats(&self) -> gst::Structure {
        let mut structure = self.stats.to_structure();
        structure.set("clients", self.gate.clients());
        if let Some(link) = self.link() {
            let geometry = link.producer.geometry();
            structure.set("epoch", geometry.epoch);
            structure.set("slots", geometry.slots);
            structure.set("depth", geometry.depth);
            structure.set("slot-bytes", geometry.capacity as u64);
            structure.set("reserved-bytes", geometry.reserved_bytes);
            structure.set("slots-upstream", link.held() as u64);
        }
        structure
    }

    /// What a buffer's time means now.
    fn timeline(&self, stream: &mut Stream) -> Timeline {
        let stale = self.timeline_stale.swap(false, Ordering::AcqRel);
        let known = stream.timeline.take().filter(|_| !stale);
        known.unwrap_or_else(|| Timeline::of(&self.obj(), &mut stream.clock))
    }

    /// Waits for a consumer if that is wanted. Being paused and played again does not end the wait.
    fn wait_for_connection(&self, stream: &mut Stream) -> Result<(), gst::FlowError> {
        while !self.gate.is_open() {
            self.obj().wait_preroll()?;
        }
        stream.skip_before = Some(monotonic_ns());
        Ok(())
    }

    /// Whether a frame became late while the stream was held, so that showing it now would be a burst.
    fn is_stale(&self, stream: &mut Stream, moment: Moment) -> bool {
        let Some(until) = stream.skip_before else {
            return false;
        };
        let stale = self.obj().is_sync()
            && moment.capture_ns.is_some_and(|capture| capture.saturating_add(moment.latency_ns) < until);
        if !stale {
            stream.skip_before = None;
        }
        stale
    }

    fn check_and_open(&self) -> Result<(), gst::ErrorMessage> {
        lock(&self.settings)
            .check()
            .map_err(|why| gst::error_msg!(gst::ResourceError::Settings, ("{why}")))?;
        self.stats.clear();
        self.open()
    }

    /// Leaves the topic and forgets the stream.
    fn shut(&self) {
        let renewing = lock(&self.renewing);
        self.close();
        drop(renewing);
        *lock(&self.stream) = Stream::default();
        *self.negotiator() = Negotiator::default();
        let sink = self.obj();
        if self.gate.set_clients(sink.upcast_ref(), 0) {
            sink.notify("num-clients");
        }
    }

    pub(super) fn fail(&self, message: gst::ErrorMessage) -> gst::FlowError {
        self.post_error_message(message);
        gst::FlowError::Error
    }
}

#[glib::object_subclass]
impl ObjectSubclass for ShmflowSink {
    const NAME: &'static str = "GstShmflowSink";
    type Type = super::ShmflowSink;
    type ParentType = gst_base::BaseSink;
}

impl ObjectImpl for ShmflowSink {
    fn properties() -> &'static [glib::ParamSpec] {
        settings::properties()
    }

    fn signals() -> &'static [glib::subclass::Signal] {
        announce::signals()
    }

    fn constructed(&self) {
        self.parent_constructed();
        let sink = self.obj();
        // The last frame would pin a slot, and is of use to nobody here.
        sink.set_enable_last_sample(false);
        // Publishing takes microseconds: the 20 ms that a live pipeline would add for it are pure delay.
        sink.set_processing_deadline(gst::ClockTime::ZERO);
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        if !lock(&self.settings).set(pspec.name(), value) {
            gst::warning!(CAT, imp = self, "property {} cannot be set", pspec.name());
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "num-clients" => self.gate.clients().to_value(),
            "dropped" => self.stats.dropped.get().to_value(),
            "topic-stats" => self.topic_stats().to_value(),
            name => lock(&self.settings).get(name).unwrap_or_else(|| pspec.default_value().clone()),
        }
    }
}

impl GstObjectImpl for ShmflowSink {}

impl ElementImpl for ShmflowSink {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Shared-memory video sink",
                "Sink/Video",
                "Publishes raw video under a topic's name for any number of other processes, without copying. \
                 Example: gst-launch-1.0 videotestsrc ! shmflowsink topic=video",
                "The shmflow authors",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            gst::PadTemplate::new("sink", gst::PadDirection::Sink, gst::PadPresence::Always, formats::all())
                .into_iter()
                .collect()
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        // Not in `start`: when that fails, the base class posts an error of its own after the one that says why.
        if transition == gst::StateChange::NullToReady
            && let Err(message) = self.check_and_open()
        {
            self.shut();
            self.post_error_message(message);
            return Err(gst::StateChangeError);
        }
        // Before the base class lets the streaming thread go on with another base time, and maybe another clock.
        self.timeline_stale.store(true, Ordering::Release);
        match transition {
            gst::StateChange::PausedToPlaying => self.gate.set_playing(true),
            gst::StateChange::PlayingToPaused => self.gate.set_playing(false),
            _ => {}
        }
        let result = self.parent_change_state(transition);
        let failed = transition == gst::StateChange::NullToReady && result.is_err();
        if failed || transition == gst::StateChange::ReadyToNull {
            self.shut();
        }
        result
    }
}

impl BaseSinkImpl for ShmflowSink {
    fn caps(&self, filter: Option<&gst::Caps>) -> Option<gst::Caps> {
        let mode = self.negotiation();
        Some(self.negotiator().offer(mode, filter.map(|caps| caps.as_ref())))
    }

    fn query(&self, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::AcceptCaps(query) = query.view_mut() {
            // Whatever fits into the ring is accepted: the base class would answer from `caps`, where wishes count.
            let accepted = formats::check(query.caps()).is_ok();
            query.set_result(accepted);
            return true;
        }
        BaseSinkImplExt::parent_query(self, query)
    }

    fn set_caps(&self, caps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let info = match formats::check(caps) {
            Ok(info) => info,
            Err(why) => {
                self.post_error_message(gst::error_msg!(gst::StreamError::Format, ("{why}")));
                return Err(gst::loggable_error!(CAT, "{why}"));
            }
        };
        gst::debug!(CAT, imp = self, "frames are now {caps}");
        let mode = self.negotiation();
        let (changed, reconfigure) = {
            let mut negotiator = self.negotiator();
            let before = negotiator.current.replace(caps.clone());
            (before.is_some_and(|before| before != *caps), negotiator.should_reconfigure(mode))
        };
        if changed {
            tell::post(self.obj().upcast_ref(), tell::format_changed(caps));
        }
        lock(&self.stream).encoder = Some(Encoder::new(caps, info));
        if reconfigure {
            // A wish that came after upstream had asked what is accepted, and before it said what it had chosen.
            clients::ask_for_another_format(self);
        }
        Ok(())
    }

    fn propose_allocation(&self, query: &mut gst::query::Allocation) -> Result<(), gst::LoggableError> {
        let (caps, need_pool) = query.get_owned();
        query.add_allocation_meta::<gst_video::VideoMeta>(None);
        query.add_allocation_meta::<gst_video::VideoCropMeta>(None);
        let (Some(caps), true, Some(_)) = (caps, need_pool, self.link()) else {
            return Ok(());
        };
        let Ok(info) = formats::check(&caps) else {
            return Ok(());
        };
        let Ok(size) = u32::try_from(info.size()) else {
            return Ok(());
        };
        let pool = RingPool::new(&self.link);
        let mut config = pool.config();
        config.set_params(Some(&caps), size, 0, 0);
        config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META.as_ref());
        pool.set_config(config).map_err(|error| gst::loggable_error!(CAT, "{error}"))?;
        // No maximum: decoders refuse a bounded pool, and this one gives out other memory rather than run dry.
        query.add_allocation_pool(Some(&pool), size, 0, 0);
        Ok(())
    }

    fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let link = self.link().ok_or(gst::FlowError::Flushing)?;
        if buffer.size() == 0 {
            // Filler for a gap: there is no picture to publish.
            return Ok(gst::FlowSuccess::Ok);
        }
        let mut stream = lock(&self.stream);
        if lock(&self.settings).wait_for_connection && self.gate.clients() == 0 {
            self.wait_for_connection(&mut stream)?;
        }
        let moment = self.timeline(&mut stream).moment(buffer);
        if self.is_stale(&mut stream, moment) {
            self.stats.dropped.add(1);
            return Ok(gst::FlowSuccess::Ok);
        }
        let stream = &mut *stream;
        let Some(encoder) = &mut stream.encoder else {
            return Err(gst::FlowError::NotNegotiated);
        };
        let meta = encoder
            .encode(buffer, moment)
            .map_err(|why| self.fail(gst::error_msg!(gst::StreamError::Format, ("{why}"))))?;
        match self.publish(&link, buffer, meta)? {
            Outcome::Dropped(why) => {
                let total = self.stats.dropped.add(1);
                gst::log!(CAT, imp = self, "frame not published: {why}");
                if let Some(count) = stream.losses.count(1) {
                    tell::post(self.obj().upcast_ref(), tell::lost(count, total, why));
                }
            }
            outcome => {
                self.stats.published.add(1);
                self.stats.bytes.add(buffer.size() as u64);
                let counter = if matches!(outcome, Outcome::InPlace) {
                    &self.stats.zero_copy
                } else {
                    &self.stats.copied
                };
                counter.add(1);
                if let Some(capture) = moment.capture_ns {
                    self.stats.latency.record(monotonic_ns().saturating_sub(capture));
                }
            }
        }
        stream.timeline = Some(Timeline::of(&self.obj(), &mut stream.clock));
        Ok(gst::FlowSuccess::Ok)
    }

    fn event(&self, event: gst::Event) -> bool {
        let ends = matches!(event.view(), gst::EventView::Eos(_));
        let restarts = matches!(event.view(), gst::EventView::Segment(_) | gst::EventView::FlushStop(_));
        // For an end of stream this returns when its time has come, and fails when it was flushed away.
        let handled = self.parent_event(event);
        if restarts {
            self.timeline_stale.store(true, Ordering::Release);
        }
        if ends
            && handled
            && let Some(link) = self.link()
        {
            link.producer.end();
        }
        handled
    }
}
