//! The element itself: what GStreamer calls, and how the parts work together.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer_base as gst_base;
use gstreamer_video as gst_video;

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::base_src::CreateSuccess;
use gst_base::subclass::prelude::*;

use crate::common::clock::monotonic_ns;
use crate::common::enums::OnDisconnect;
use crate::common::settings::{ByName as _, Chosen};
use crate::common::{error, lock, messages, uri};

use super::accepted_caps;
use super::deliver::Came;
use super::interrupt::Interrupt;
use super::latency::Latency;
use super::reader::Event;
use super::settings::{self, Settings};
use super::stats::Stats;
use super::stream::Stream;

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("shmflowsrc", gst::DebugColorFlags::empty(), Some("Shared-memory source"))
});

/// State of a `shmflowsrc`.
#[derive(Debug, Default)]
pub struct ShmflowSrc {
    settings: Mutex<Chosen<Settings>>,
    /// What only the streaming thread uses, from READY→PAUSED to PAUSED→READY.
    stream: Mutex<Option<Stream>>,
    /// Ends the streaming thread's waits. Outside `stream`, which is locked during them.
    interrupt: Interrupt,
    pub(super) latency: Mutex<Latency>,
    /// Downstream may accept something else than before.
    accepted_caps_stale: AtomicBool,
    /// The pipeline was paused: what was published meanwhile is old.
    resumed: AtomicBool,
    /// Somebody downstream asked for a key frame.
    key_frame_wanted: AtomicBool,
    pub(super) stats: Stats,
}

impl ShmflowSrc {
    pub(super) fn post(&self, structure: gst::Structure) {
        messages::post(self.obj().upcast_ref(), structure);
    }

    fn topic_event(&self, what: &str) {
        gst::info!(CAT, imp = self, "{what}");
        let topic = lock(&self.settings).topic.clone().unwrap_or_default();
        self.post(gst::Structure::builder(format!("shmflow-{what}")).field("topic", topic).build());
    }

    /// Tells why nothing more will come. With any other result than the end of the stream the base class would post a
    /// second error ("Internal data stream error"), which is all that some applications would show.
    pub(super) fn fail(&self, message: gst::ErrorMessage) -> gst::FlowError {
        self.post_error_message(message);
        gst::FlowError::Eos
    }

    /// Nothing is wrong yet, but a mistyped name looks just like this, and so does another container's `/dev/shm`.
    fn tell_waiting(&self, settings: &Settings) {
        let topic = settings.topic.as_deref().unwrap_or_default();
        let place = shmflow::Topic::new(topic, settings.directory.as_deref().map(Path::new))
            .map(|topic| format!(" in {}", topic.dir().display()))
            .unwrap_or_default();
        let meant = settings.topics_meant();
        gst::element_imp_info!(
            self,
            gst::ResourceError::NotFound,
            ("Waiting for a producer of topic '{topic}'{place}{meant}."),
            // All that gst-launch-1.0 prints of such a message.
            ["Waiting for a producer of topic '{topic}'{place}{meant}."]
        );
    }

    /// Downstream is to be asked again what it accepts and reads.
    pub(super) fn accepted_stale(&self) {
        self.accepted_caps_stale.store(true, Ordering::Relaxed);
    }

    /// Asks downstream again, if that is due, and tells the producers what it accepts.
    fn ask_downstream(&self, stream: &mut Stream) -> Result<(), gst::FlowError> {
        self.follow_downstream(stream);
        if !self.accepted_caps_stale.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        // What it reads may have changed, too: another branch of a tee, another element.
        stream.format = None;
        let accepted = accepted_caps::of(self.obj().src_pad());
        gst::debug!(CAT, imp = self, "downstream accepts {accepted}");
        let news = stream
            .reader
            .set_accepted_caps(accepted)
            .map_err(|error| self.fail(error::message(&error, "stating the accepted caps")))?;
        if news {
            // The time that producers have to follow it starts now.
            stream.refused = None;
        }
        Ok(())
    }

    /// The last producer is gone.
    fn on_disconnect(&self, stream: &mut Stream) -> Result<(), gst::FlowError> {
        stream.discont = true;
        // The next producer has its own time to find a format.
        stream.refused = None;
        let before = *lock(&self.latency);
        let after = before.without_producers();
        *lock(&self.latency) = after;
        self.tell_latency(&before, &after);
        self.topic_event("disconnected");
        match stream.settings.on_disconnect {
            OnDisconnect::None => Ok(()),
            OnDisconnect::Eos => Err(gst::FlowError::Eos),
            OnDisconnect::Error => Err(self.fail(gst::error_msg!(
                gst::ResourceError::Read,
                (
                    "The last producer of topic '{}' left without ending the stream. With on-disconnect=none \
                     (the default) this source would wait for the next one.",
                    stream.settings.topic.as_deref().unwrap_or_default()
                )
            ))),
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
    type Interfaces = (gst::URIHandler,);
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
        let set = lock(&self.settings).set(pspec.name(), value);
        match set {
            Err(why) => gst::warning!(CAT, imp = self, "{why}"),
            Ok(()) if pspec.name() == "is-live" => {
                let live = lock(&self.settings).is_live;
                self.obj().set_live(live);
            }
            Ok(()) => {}
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

impl URIHandlerImpl for ShmflowSrc {
    const URI_TYPE: gst::URIType = gst::URIType::Src;

    fn protocols() -> &'static [&'static str] {
        &[uri::SCHEME]
    }

    fn uri(&self) -> Option<String> {
        uri::of_settings(settings::properties(), &**lock(&self.settings), &Settings::default())
    }

    fn set_uri(&self, address: &str) -> Result<(), glib::Error> {
        let element = self.obj();
        let others = crate::sink::properties();
        uri::give(address, element.upcast_ref(), &self.settings, others, Settings::check)
    }
}

impl GstObjectImpl for ShmflowSrc {}

impl ElementImpl for ShmflowSrc {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Shared-memory source",
                "Source",
                "Receives video, audio, packets or bytes that another process publishes under a topic's name, without copying. \
                 Example: gst-launch-1.0 shmflowsrc topic=video ! autovideosink",
                "The shmflow authors",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            gst::PadTemplate::new(
                "src",
                gst::PadDirection::Src,
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
        let starts = transition == gst::StateChange::ReadyToPaused;
        // Once more when it is put to use: it may have been changed in READY.
        let checks = starts || transition == gst::StateChange::NullToReady;
        let checked = if checks { lock(&self.settings).check() } else { Ok(()) };
        // The lock is let go: a handler of the message may ask for properties.
        if let Err(why) = checked {
            self.post_error_message(gst::error_msg!(gst::ResourceError::Settings, ("{why}")));
            return Err(gst::StateChangeError);
        }
        match transition {
            gst::StateChange::ReadyToPaused => lock(&self.settings).set_in_use(true),
            gst::StateChange::PausedToPlaying => {
                self.resumed.store(true, Ordering::Relaxed);
                self.interrupt.set_paused(false);
            }
            gst::StateChange::PlayingToPaused if lock(&self.settings).is_live => {
                self.interrupt.set_paused(true)
            }
            _ => {}
        }
        let result = self.parent_change_state(transition);
        if starts && result.is_err() || transition == gst::StateChange::PausedToReady {
            lock(&self.settings).set_in_use(false);
        }
        result
    }
}

impl BaseSrcImpl for ShmflowSrc {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = Settings::clone(&lock(&self.settings));
        self.stats.clear();
        *lock(&self.latency) = Latency::default();
        let cancel_token = self.interrupt.start(settings.is_live);
        self.accepted_stale();
        let name = messages::own_name(self.obj().upcast_ref());
        *lock(&self.stream) = Some(Stream::new(settings, name, cancel_token));
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        // The streaming thread has ended. Leases that are still out keep their memory by themselves.
        let stream = lock(&self.stream).take();
        if let Some(mut stream) = stream {
            self.report_losses(&mut stream, true);
        }
        Ok(())
    }

    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        self.interrupt.set_flushing(true);
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        self.interrupt.set_flushing(false);
        Ok(())
    }

    fn event(&self, event: &gst::Event) -> bool {
        // A viewer behind this source asks for a key frame, as webrtcbin and rtph264pay do: the producer's encoder makes it.
        if let gst::EventView::CustomUpstream(custom) = event.view()
            && gst_video::ForceKeyUnitEvent::is(custom)
        {
            self.key_frame_wanted.store(true, Ordering::Relaxed);
            return true;
        }
        self.parent_event(event)
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn negotiate(&self) -> Result<(), gst::LoggableError> {
        // The format is the producer's, and comes with its frames. What is new here is what downstream accepts.
        self.accepted_stale();
        Ok(())
    }

    fn query(&self, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::Latency(query) = query.view_mut()
            && lock(&self.settings).is_live
        {
            let (min, max) = lock(&self.latency).bounds();
            query.set(true, min, max);
            return true;
        }
        BaseSrcImplExt::parent_query(self, query)
    }
}

impl PushSrcImpl for ShmflowSrc {
    fn create(&self, _buffer: Option<&mut gst::BufferRef>) -> Result<CreateSuccess, gst::FlowError> {
        let mut stream = lock(&self.stream);
        let stream = stream.as_mut().ok_or(gst::FlowError::Flushing)?;
        let flushes = self.interrupt.flushes();
        loop {
            if !self.interrupt.wait_until_playing(flushes) {
                return Err(gst::FlowError::Flushing);
            }
            if self.resumed.swap(false, Ordering::Relaxed) && stream.settings.is_live {
                self.resume(stream);
            }
            self.ask_downstream(stream)?;
            // What can be done before the next frame is there does not lie between its publication and its arrival downstream.
            if let Some(format) = &mut stream.format {
                format.prepare();
            }
            self.report_losses(stream, false);
            if self.key_frame_wanted.load(Ordering::Relaxed) && stream.packets.may_ask() {
                self.key_frame_wanted.store(false, Ordering::Relaxed);
                stream.reader.request_key_frame();
            }
            if let Some(frame) = stream.packets.next() {
                if let Some(buffer) = self.deliver(stream, frame, monotonic_ns(), Came::LookedAt)? {
                    return Ok(CreateSuccess::NewBuffer(buffer));
                }
                continue;
            }
            let event = stream.reader.next(stream.patience());
            let buffer = if let Event::Frame(frame, waited) = event {
                let arrived = monotonic_ns();
                if waited {
                    // Downstream may have changed while there was no frame.
                    self.ask_downstream(stream)?;
                }
                let came = if waited { Came::WaitedFor } else { Came::Found };
                self.deliver(stream, frame, arrived, came)?
            } else if let Some(frame) = stream.take_held(event.ends_the_stream()) {
                stream.reader.put_back(event);
                self.ask_downstream(stream)?;
                self.deliver_held(stream, frame)?
            } else {
                self.handle(stream, event)?;
                None
            };
            if let Some(buffer) = buffer {
                return Ok(CreateSuccess::NewBuffer(buffer));
            }
        }
    }
}

impl ShmflowSrc {
    /// What to do about something other than a frame.
    fn handle(&self, stream: &mut Stream, event: Event) -> Result<(), gst::FlowError> {
        match event {
            // Asked again, it says whether this is the end of a flush or of a pause.
            Event::Quiet | Event::Frame(..) | Event::Cancelled => {}
            Event::Connected => {
                stream.discont = true;
                self.topic_event("connected");
            }
            Event::Stalled => self.topic_event("stalled"),
            Event::Waiting => self.tell_waiting(&stream.settings),
            Event::Disconnected => self.on_disconnect(stream)?,
            Event::Ended if stream.settings.ignore_eos => {
                stream.discont = true;
                self.topic_event("ended");
                stream.reader.forget_end();
            }
            Event::Ended => return Err(gst::FlowError::Eos),
            Event::TimedOut => {
                return Err(self.fail(gst::error_msg!(
                    gst::ResourceError::NotFound,
                    (
                        "No producer joined topic '{}' within {} ms (connection-timeout){}. Check that it is running, \
                         with the same topic and directory.",
                        stream.settings.topic.as_deref().unwrap_or_default(),
                        stream.settings.connection_timeout,
                        stream.settings.topics_meant()
                    )
                )));
            }
            Event::Failed(error) => return Err(self.fail(error::message(&error, "reading the topic"))),
        }
        Ok(())
    }
}
