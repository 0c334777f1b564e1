//! The element itself: what GStreamer calls, and how the parts work together.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer_audio as gst_audio;
use gstreamer_base as gst_base;
use gstreamer_video as gst_video;

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;

use crate::common::clock::monotonic_ns;
use crate::common::content::Content;
use crate::common::settings::{ByName as _, Chosen};
use crate::common::{caps_text, lock, messages, uri};

use shmflow::CancelToken;

use super::clients;
use super::connection::{CurrentConnection, Outcome};
use super::consumer_wait::{self, ConsumerWait};
use super::encode::{Encoder, Moment};
use super::key_frames::KeyFrames;
use super::mapping;
use super::negotiation::Negotiator;
use super::pool::RingPool;
use super::publish::Stream;
use super::settings::{self, Settings};
use super::stats::Stats;
use super::watcher::Watcher;

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("shmflowsink", gst::DebugColorFlags::empty(), Some("Shared-memory sink"))
});

/// State of a `shmflowsink`.
#[derive(Debug, Default)]
pub struct ShmflowSink {
    pub(super) settings: Mutex<Chosen<Settings>>,
    /// From NULL→READY to READY→NULL.
    pub(super) connection: Arc<CurrentConnection>,
    pub(super) watcher: Mutex<Option<Watcher>>,
    negotiator: Mutex<Negotiator>,
    /// Where the streaming thread waits for a consumer.
    pub(super) consumer_wait: ConsumerWait,
    /// What only the streaming thread uses.
    pub(super) stream: Mutex<Stream>,
    /// How much later than upstream says the stream is, in nanoseconds of running time, because it was held.
    pub(super) held_ns: AtomicI64,
    pub(super) stats: Arc<Stats>,
    key_frames: Mutex<KeyFrames>,
    /// Ends the waits of a lossless sink.
    pub(super) cancel_token: CancelToken,
}

impl ShmflowSink {
    pub(super) fn negotiator(&self) -> MutexGuard<'_, Negotiator> {
        lock(&self.negotiator)
    }

    pub(super) fn negotiation(&self) -> crate::common::enums::Negotiation {
        lock(&self.settings).negotiation
    }

    pub(super) fn key_frames(&self) -> MutexGuard<'_, KeyFrames> {
        lock(&self.key_frames)
    }

    pub(super) fn consumer_wait(&self) -> &ConsumerWait {
        &self.consumer_wait
    }

    /// The statistics property.
    fn topic_stats(&self) -> gst::Structure {
        let mut structure = self.stats.to_structure();
        structure.set("clients", self.consumer_wait.clients());
        if let Some(connection) = self.connection.get() {
            let geometry = connection.producer.geometry();
            structure.set("epoch", geometry.epoch);
            structure.set("slots", geometry.slots);
            structure.set("depth", geometry.depth);
            structure.set("slot-bytes", geometry.slot_capacity as u64);
            structure.set("reserved-bytes", geometry.reserved_bytes);
            structure.set("slots-upstream", connection.held() as u64);
            structure.set("stalls", connection.producer.stats().stalls);
        }
        structure
    }

    pub(super) fn fail(&self, message: gst::ErrorMessage) -> gst::FlowError {
        self.post_error_message(message);
        gst::FlowError::Error
    }

    /// Forgets the stream.
    fn reset(&self) {
        let mut stream = std::mem::take(&mut *lock(&self.stream));
        self.report_losses(&mut stream, true);
        self.consumer_wait.reset();
        self.forget_hold();
    }

    pub(super) fn post(&self, structure: gst::Structure) {
        messages::post(self.obj().upcast_ref(), structure);
    }
}

#[glib::object_subclass]
impl ObjectSubclass for ShmflowSink {
    const NAME: &'static str = "GstShmflowSink";
    type Type = super::ShmflowSink;
    type ParentType = gst_base::BaseSink;
    type Interfaces = (gst::URIHandler,);

    fn class_init(class: &mut Self::Class) {
        consumer_wait::take_lists_apart(class);
    }
}

impl ObjectImpl for ShmflowSink {
    fn properties() -> &'static [glib::ParamSpec] {
        settings::properties()
    }

    fn signals() -> &'static [glib::subclass::Signal] {
        clients::signals()
    }

    fn constructed(&self) {
        self.parent_constructed();
        let sink = self.obj();
        // The last frame would pin a slot, and has no use here.
        sink.set_enable_last_sample(false);
        // Publishing takes microseconds: the 20 ms that a live pipeline would add for it are pure delay.
        sink.set_processing_deadline(gst::ClockTime::ZERO);
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let set = lock(&self.settings).set(pspec.name(), value);
        if let Err(why) = set {
            gst::warning!(CAT, imp = self, "{why}");
        } else if pspec.name() == "wait-for-connection" {
            // See `consumer_wait`.
            let sink = self.obj();
            let waits = lock(&self.settings).wait_for_connection;
            match waits {
                true => sink.set_element_flags(gst::ElementFlags::SOURCE),
                false => sink.unset_element_flags(gst::ElementFlags::SOURCE),
            }
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "num-clients" => self.consumer_wait.clients().to_value(),
            "dropped" => self.stats.dropped.get().to_value(),
            "topic-stats" => self.topic_stats().to_value(),
            name => lock(&self.settings).get(name).unwrap_or_else(|| pspec.default_value().clone()),
        }
    }
}

impl URIHandlerImpl for ShmflowSink {
    const URI_TYPE: gst::URIType = gst::URIType::Sink;

    fn protocols() -> &'static [&'static str] {
        &[uri::SCHEME]
    }

    fn uri(&self) -> Option<String> {
        uri::of_settings(settings::properties(), &**lock(&self.settings), &Settings::default())
    }

    fn set_uri(&self, address: &str) -> Result<(), glib::Error> {
        let element = self.obj();
        let others = crate::source::properties();
        uri::give(address, element.upcast_ref(), &self.settings, others, Settings::check)
    }
}

impl GstObjectImpl for ShmflowSink {}

impl ElementImpl for ShmflowSink {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Shared-memory sink",
                "Sink",
                "Publishes video, audio, packets or bytes under a topic's name for any number of other processes, without copying. \
                 Example: gst-launch-1.0 videotestsrc ! shmflowsink topic=video",
                "The shmflow authors",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            gst::PadTemplate::new(
                "sink",
                gst::PadDirection::Sink,
                gst::PadPresence::Always,
                &gst::Caps::new_any(),
            )
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
        let opened = match transition {
            gst::StateChange::NullToReady => self.open(),
            gst::StateChange::ReadyToPaused => {
                lock(&self.settings).set_in_use(true);
                self.follow_settings()
            }
            _ => Ok(()),
        };
        if let Err(message) = opened {
            lock(&self.settings).set_in_use(false);
            self.close();
            self.post_error_message(message);
            return Err(gst::StateChangeError);
        }
        match transition {
            gst::StateChange::PausedToPlaying => self.consumer_wait.set_playing(true),
            gst::StateChange::PlayingToPaused => self.consumer_wait.set_playing(false),
            _ => {}
        }
        let result = self.parent_change_state(transition);
        let failed = result.is_err();
        if transition == gst::StateChange::PausedToReady
            || failed && transition == gst::StateChange::ReadyToPaused
        {
            lock(&self.settings).set_in_use(false);
            self.reset();
        }
        if transition == gst::StateChange::ReadyToNull
            || failed && transition == gst::StateChange::NullToReady
        {
            self.close();
            self.reset();
        }
        result
    }

    fn send_event(&self, event: gst::Event) -> bool {
        // Sent to the pipeline's sources, of which this is one only so that it learns of it: see `consumer_wait`. (Flushes, too: passed
        // on upstream they would wait for the stream that is held here.)
        if self.obj().element_flags().contains(gst::ElementFlags::SOURCE) && event.is_downstream() {
            if event.type_() == gst::EventType::Eos {
                self.consumer_wait.end(self.obj().upcast_ref());
            }
            return true;
        }
        self.parent_send_event(event)
    }
}

impl BaseSinkImpl for ShmflowSink {
    fn caps(&self, filter: Option<&gst::Caps>) -> Option<gst::Caps> {
        let mode = self.negotiation();
        Some(self.negotiator().offer(mode, filter.map(|caps| caps.as_ref())))
    }

    fn query(&self, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::AcceptCaps(query) = query.view_mut() {
            // Whatever fits into the ring is accepted: the base class would answer from `caps`, where accepted caps count.
            let accepted = Content::of(query.caps()).is_ok();
            query.set_result(accepted);
            return true;
        }
        BaseSinkImplExt::parent_query(self, query)
    }

    fn set_caps(&self, caps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let content = match Content::of(caps).and_then(|content| caps_text::check(caps).map(|()| content)) {
            Ok(content) => content,
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
            self.post(messages::format_changed(caps));
        }
        lock(&self.stream).encoder = Some(Encoder::new(Some(caps), content));
        if reconfigure {
            // Accepted caps that came after upstream had asked what is accepted, and before it said what it had chosen.
            clients::ask_for_another_format(self);
        }
        Ok(())
    }

    fn propose_allocation(&self, query: &mut gst::query::Allocation) -> Result<(), gst::LoggableError> {
        let (caps, need_pool) = query.get_owned();
        query.add_allocation_meta::<gst_video::VideoMeta>(None);
        query.add_allocation_meta::<gst_audio::AudioMeta>(None);
        // No crop: not every consumer's elements know it, so upstream crops by itself, into a slot.
        let (Some(caps), true, Some(_)) = (caps, need_pool, self.connection.get()) else {
            return Ok(());
        };
        // How large other buffers will be is not known before they are there.
        let Ok(Content::Video(info)) = Content::of(&caps) else {
            return Ok(());
        };
        let Ok(size) = u32::try_from(info.size()) else {
            return Ok(());
        };
        let pool = RingPool::new(&self.connection, mapping::is_fed_by_libav(self.obj().sink_pad()));
        let mut config = pool.config();
        config.set_params(Some(&caps), size, 0, 0);
        config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META.as_ref());
        pool.set_config(config).map_err(|error| gst::loggable_error!(CAT, "{error}"))?;
        // No maximum: decoders refuse a bounded pool, and this one gives out other memory rather than run dry.
        query.add_allocation_pool(Some(&pool), size, 0, 0);
        Ok(())
    }

    fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut connection = self.connection.get().ok_or(gst::FlowError::Flushing)?;
        if connection.is_hopeless() {
            return Err(gst::FlowError::Error);
        }
        let mut stream = lock(&self.stream);
        let is_raw = stream
            .encoder
            .as_ref()
            .is_some_and(|encoder| matches!(encoder.content(), Content::Video(_) | Content::Audio(_)));
        if buffer.size() == 0 && is_raw {
            // Filler for a gap: there is no picture or sound to publish.
            return Ok(gst::FlowSuccess::Ok);
        }
        if connection.settings.wait_for_connection && self.consumer_wait.clients() == 0 {
            if !self.wait_for_connection(&mut stream)? {
                self.dropped(&mut stream, "the stream ends, and no consumer connected");
                return Ok(gst::FlowSuccess::Ok);
            }
            // The topic may have been removed and recreated meanwhile.
            connection = self.connection.get().ok_or(gst::FlowError::Flushing)?;
        }
        let held = self.held_ns.load(Ordering::Relaxed);
        let moment = Moment::of(&self.obj(), &mut stream.clock, held, buffer);
        if self.is_stale(&mut stream, moment) {
            self.dropped(&mut stream, "late, because the stream was held until a consumer connected");
            return Ok(gst::FlowSuccess::Ok);
        }
        let outcome = self.publish(&connection, &mut stream, buffer, moment)?;
        self.count(&connection, &mut stream, &outcome);
        match outcome {
            Outcome::InPlace | Outcome::Copied => {
                self.stats.published.add(1);
                if !stream.left_out.is_empty() {
                    self.report_left_out(&mut stream);
                }
                self.stats.bytes.add(buffer.size() as u64);
                self.stats.latency.record(monotonic_ns().saturating_sub(moment.capture_ns));
                self.report_losses(&mut stream, false);
            }
            Outcome::Removed => {
                if let Some(watcher) = lock(&self.watcher).as_ref() {
                    watcher.tell_removed(&connection);
                }
            }
            Outcome::Dropped(_) | Outcome::Standby => {}
        }
        Ok(gst::FlowSuccess::Ok)
    }

    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        self.cancel_token.cancel();
        self.parent_unlock()
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        self.cancel_token.reset();
        self.parent_unlock_stop()
    }

    fn event(&self, event: gst::Event) -> bool {
        let ends = matches!(event.view(), gst::EventView::Eos(_));
        let restarts = matches!(event.view(), gst::EventView::FlushStop(stop) if stop.resets_time());
        match event.view() {
            gst::EventView::Tag(tag) => self.take_tags(tag.tag()),
            gst::EventView::StreamStart(_) => {
                let description = lock(&self.settings).description.clone();
                lock(&self.stream).tags.begin(description.as_deref());
            }
            _ => {}
        }
        // For an end of stream this returns when its time has come, and fails when it was flushed away.
        let handled = self.parent_event(event);
        if restarts {
            self.forget_hold();
        }
        if ends || restarts {
            self.consumer_wait.reset();
        }
        if ends {
            self.report_losses(&mut lock(&self.stream), true);
        }
        if ends
            && handled
            && let Some(connection) = self.connection.get()
        {
            connection.producer.end();
        }
        handled
    }
}
