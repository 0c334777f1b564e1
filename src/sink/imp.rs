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

use crate::common::clock::{ClockBridge, monotonic_ns};
use crate::common::content::Content;
use crate::common::settings::{ByName as _, Chosen};
use crate::common::{error, lock, messages};

use shmflow::{CancelToken, Error};

use super::clients;
use super::connection::{Connection, CurrentConnection, Outcome};
use super::consumer_wait::{self, ConsumerWait, Passage};
use super::encode::{Encoder, Moment};
use super::key_frames::{self, KeyFrames};
use super::mapping;
use super::metas::LeftOut;
use super::negotiation::Negotiator;
use super::pool::RingPool;
use super::settings::{self, Settings};
use super::stats::Stats;
use super::tags::StreamTags;
use super::watcher::{Next, Watcher};

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("shmflowsink", gst::DebugColorFlags::empty(), Some("Shared-memory sink"))
});

/// State of a `shmflowsink`.
#[derive(Debug, Default)]
pub struct ShmflowSink {
    settings: Mutex<Chosen<Settings>>,
    /// From NULL→READY to READY→NULL.
    connection: Arc<CurrentConnection>,
    watcher: Mutex<Option<Watcher>>,
    negotiator: Mutex<Negotiator>,
    /// Where the streaming thread waits for a consumer.
    consumer_wait: ConsumerWait,
    /// What only the streaming thread uses.
    stream: Mutex<Stream>,
    /// How much later than upstream says the stream is, in nanoseconds of running time, because it was held.
    held_ns: AtomicI64,
    stats: Arc<Stats>,
    key_frames: Mutex<KeyFrames>,
    /// Ends the waits of a lossless sink.
    cancel_token: CancelToken,
}

/// What the streaming thread remembers from frame to frame.
#[derive(Debug, Default)]
struct Stream {
    encoder: Option<Encoder>,
    clock: ClockBridge,
    /// Frames of a live stream whose time was before this moment of `CLOCK_MONOTONIC` became late while it was held.
    skip_before: Option<u64>,
    /// Another producer's frames count.
    standing_by: bool,
    losses: messages::Limiter,
    /// Why the last of them was.
    lost_because: &'static str,
    left_out: LeftOut,
    tags: StreamTags,
    /// It was told that tags do not travel.
    told_of_tags: bool,
    stalled: clients::Stalled,
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

    fn fail(&self, message: gst::ErrorMessage) -> gst::FlowError {
        self.post_error_message(message);
        gst::FlowError::Error
    }

    /// Checks the settings, opens the topic with them, sees who is there, and starts watching who comes and goes.
    fn open(&self) -> Result<(), gst::ErrorMessage> {
        let settings = Settings::clone(&lock(&self.settings));
        settings.check().map_err(|why| gst::error_msg!(gst::ResourceError::Settings, ("{why}")))?;
        self.stats.clear();
        let connection = self.attach(&settings)?;
        drop(self.connection.replace(Some(Arc::clone(&connection))));
        clients::refresh(self, &connection);
        self.watch(&connection)
    }

    /// Opens the topic again if that is due: it was opened in NULL→READY, and the settings may have changed in READY.
    fn follow_settings(&self) -> Result<(), gst::ErrorMessage> {
        let is_current = |connection: Arc<Connection>| connection.settings == **lock(&self.settings);
        if self.connection.get().is_some_and(is_current) {
            return Ok(());
        }
        self.close();
        self.open()
    }

    fn attach(&self, settings: &Settings) -> Result<Arc<Connection>, gst::ErrorMessage> {
        let name = messages::own_name(self.obj().upcast_ref());
        Connection::open(settings, &name, Arc::clone(&self.stats), &self.cancel_token)
            .map(Arc::new)
            .map_err(|error| error::message(&error, "opening the topic for writing"))
    }

    fn watch(&self, connection: &Arc<Connection>) -> Result<(), gst::ErrorMessage> {
        let weak = self.obj().downgrade();
        let watched = Arc::downgrade(connection);
        let changed = move || {
            let (Some(sink), Some(connection)) = (weak.upgrade(), watched.upgrade()) else {
                return Next::Nothing;
            };
            clients::refresh(sink.imp(), &connection);
            Next::Event(key_frames::follow(sink.imp(), &connection))
        };
        let weak = self.obj().downgrade();
        // Not left to the next frame: upstream may be waiting for a consumer, who would look for the topic in vain.
        let removed = move |connection: &Arc<Connection>| {
            if let Some(sink) = weak.upgrade()
                && let Err(message) = sink.imp().recreate(connection)
                && sink.imp().connection.is(connection)
            {
                connection.give_up();
                sink.imp().post_error_message(message);
            }
        };
        let watcher = Watcher::start(connection, changed, removed);
        let watcher = watcher.map_err(|error| {
            gst::error_msg!(gst::ResourceError::Failed, ("No thread could be started: {error}."))
        })?;
        // Unless it was closed meanwhile. What is not needed is dropped after the lock: it waits for its thread.
        let mut current = lock(&self.watcher);
        let unneeded = if self.connection.is(connection) { current.replace(watcher) } else { Some(watcher) };
        drop(current);
        drop(unneeded);
        Ok(())
    }

    /// Makes the topic of a connection that was removed again. Called by the watcher's thread alone, and under no lock: to open a
    /// topic may take seconds, and stopping the element must not wait for it.
    fn recreate(&self, gone: &Arc<Connection>) -> Result<(), gst::ErrorMessage> {
        if !self.connection.is(gone) {
            return Ok(());
        }
        gst::warning!(CAT, imp = self, "the topic was removed, and is recreated");
        let connection = self.attach(&gone.settings)?;
        // The old connection stays until there is a new one: without any, the streaming thread would take it for the end.
        if !self.connection.succeed(gone, &connection) {
            return Ok(());
        }
        self.watch(&connection)
    }

    fn stop_watching(&self) {
        // Taken out first: stopping waits a moment for the thread, and the thread may want the lock.
        let watcher = lock(&self.watcher).take();
        drop(watcher);
    }

    /// Closes the topic.
    fn close(&self) {
        let connection = self.connection.replace(None);
        self.stop_watching();
        drop(connection);
        *self.negotiator() = Negotiator::default();
        *self.key_frames() = KeyFrames::default();
        let sink = self.obj();
        if self.consumer_wait.set_clients(sink.upcast_ref(), 0) {
            sink.notify("num-clients");
        }
    }

    /// Forgets the stream.
    fn reset(&self) {
        let mut stream = std::mem::take(&mut *lock(&self.stream));
        self.report_losses(&mut stream, true);
        self.consumer_wait.reset();
        self.forget_hold();
    }

    /// Waits for a consumer. Being paused and played again does not end the wait. `false` if nobody is waited for any more.
    fn wait_for_connection(&self, stream: &mut Stream) -> Result<bool, gst::FlowError> {
        let sink = self.obj();
        let began = sink.current_running_time();
        loop {
            match self.consumer_wait.passage() {
                Passage::Open => break,
                Passage::Ending => return Ok(false),
                Passage::Wait => sink.wait_preroll().map(drop)?,
            }
        }
        if !sink.is_sync() {
            return Ok(true);
        }
        // Nothing that is live can be had later: what became late meanwhile is left out. A film continues where it was.
        if self.upstream_is_live() {
            stream.skip_before = Some(monotonic_ns());
        } else if let Some(held) = sink.current_running_time().and_then(|now| now.checked_sub(began?)) {
            let held = i64::try_from(held.nseconds()).unwrap_or(i64::MAX);
            self.held_ns.fetch_add(held, Ordering::Relaxed);
            sink.set_ts_offset(sink.ts_offset().saturating_add(held));
            gst::info!(CAT, imp = self, "the stream was held for {} ms", held / 1_000_000);
        }
        Ok(true)
    }

    fn upstream_is_live(&self) -> bool {
        let mut query = gst::query::Latency::new();
        self.obj().sink_pad().peer_query(&mut query) && query.result().0
    }

    /// The running time begins again.
    fn forget_hold(&self) {
        let held = self.held_ns.swap(0, Ordering::Relaxed);
        if held != 0 {
            let sink = self.obj();
            sink.set_ts_offset(sink.ts_offset().saturating_sub(held));
        }
    }

    /// Whether a frame became late while the stream was held, so that showing it now would be a burst.
    fn is_stale(&self, stream: &mut Stream, moment: Moment) -> bool {
        let Some(until) = stream.skip_before else {
            return false;
        };
        let due = moment.capture_ns.saturating_add(moment.latency_ns);
        let stale = due < until;
        if !stale {
            stream.skip_before = None;
        }
        stale
    }

    /// Publishes a frame, unless that is not to be.
    fn publish(
        &self,
        connection: &Connection,
        stream: &mut Stream,
        buffer: &gst::BufferRef,
        moment: Moment,
    ) -> Result<Outcome, gst::FlowError> {
        // Buffers may come without caps, as they do from fakesrc and filesrc.
        let encoder = stream.encoder.get_or_insert_with(|| Encoder::new(None, Content::Bytes));
        let unlike = |why| self.fail(gst::error_msg!(gst::StreamError::Format, ("{why}")));
        let part = encoder.part(buffer).map_err(unlike)?;
        encoder.follow_tags(&stream.tags);
        connection.expect(encoder.wanted(buffer), buffer.size());
        let meta = encoder
            .encode(buffer, part.as_ref().map(|(part, _)| part), moment, &mut stream.left_out)
            .map_err(unlike)?;
        loop {
            let published = connection.publish(buffer, part.as_ref().map(|(part, info)| (part, info)), meta);
            if connection.is_lossless() {
                stream.stalled.report(self, connection);
            }
            match published {
                // It was paused while it waited for consumers. Flushed or stopped, this fails.
                Err(Error::Cancelled { .. }) => self.consumer_wait.until_playing(self.obj().upcast_ref())?,
                published => {
                    return published
                        .map_err(|error| self.fail(error::message(&error, "publishing a frame")));
                }
            }
        }
    }

    /// Counts the result of a frame, and posts the messages that are due.
    fn count(&self, connection: &Connection, stream: &mut Stream, outcome: &Outcome) {
        let stands_by = matches!(outcome, Outcome::Standby);
        if std::mem::replace(&mut stream.standing_by, stands_by) != stands_by {
            let topic = connection.settings.topic.as_deref().unwrap_or_default();
            let what = if stands_by { "shmflow-standby" } else { "shmflow-primary" };
            self.post(gst::Structure::builder(what).field("topic", topic).build());
        }
        match outcome {
            Outcome::InPlace => self.stats.zero_copy.add(1),
            Outcome::Copied => self.stats.copied.add(1),
            Outcome::Standby => self.stats.standby.add(1),
            Outcome::Dropped(why) => self.dropped(stream, why),
            Outcome::Removed => self.dropped(stream, "the topic was removed, and is being recreated"),
        };
    }

    /// Counts the metas of a published frame that did not travel with it, and reports each kind once.
    fn report_left_out(&self, stream: &mut Stream) {
        let (count, news) = stream.left_out.take();
        self.stats.metas_left_out.add(count);
        for (api, why) in news {
            gst::warning!(CAT, imp = self, "metas of the kind {} are left out: {why}", api.name());
            self.post(messages::meta_left_out(api.name(), &why));
        }
    }

    /// Takes the tags of an event, which the next frames bring with them.
    fn take_tags(&self, tags: &gst::TagListRef) {
        let told = {
            let mut stream = lock(&self.stream);
            let left_out = stream.tags.update(tags);
            left_out && !std::mem::replace(&mut stream.told_of_tags, true)
        };
        if told {
            let why = "pictures among them, and long ones, would be in each frame's metadata";
            gst::warning!(CAT, imp = self, "some tags are left out: {why}");
            self.post(messages::meta_left_out("GstTagList", why));
        }
    }

    /// A frame is not published, and lost.
    fn dropped(&self, stream: &mut Stream, why: &'static str) -> u64 {
        gst::log!(CAT, imp = self, "frame not published: {why}");
        stream.losses.count(1);
        stream.lost_because = why;
        let total = self.stats.dropped.add(1);
        self.report_losses(stream, false);
        total
    }

    /// Reports the losses since the last report, once a second at most, or all of them.
    fn report_losses(&self, stream: &mut Stream, all: bool) {
        let due = if all { stream.losses.rest() } else { stream.losses.due() };
        if let Some(count) = due {
            self.post(messages::dropped(count, self.stats.dropped.get(), stream.lost_because));
        }
    }

    fn post(&self, structure: gst::Structure) {
        messages::post(self.obj().upcast_ref(), structure);
    }
}

#[glib::object_subclass]
impl ObjectSubclass for ShmflowSink {
    const NAME: &'static str = "GstShmflowSink";
    type Type = super::ShmflowSink;
    type ParentType = gst_base::BaseSink;

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
        let content = match Content::of(caps) {
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
        let is_bytes =
            stream.encoder.as_ref().is_none_or(|encoder| matches!(encoder.content(), Content::Bytes));
        if buffer.size() == 0 && !is_bytes {
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
            gst::EventView::StreamStart(_) => lock(&self.stream).tags.clear(),
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
