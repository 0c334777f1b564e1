//! The element itself: what GStreamer calls, and how the parts work together.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer_base as gst_base;

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::base_src::CreateSuccess;
use gst_base::subclass::prelude::*;
use shmflow::Unblocker;

use crate::common::enums::OnDisconnect;
use crate::common::{error, formats, tell};

use super::deliver::Stream;
use super::latency::Latency;
use super::reader::Event;
use super::settings::{self, Settings};
use super::stats::Stats;
use super::wish;

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("shmflowsrc", gst::DebugColorFlags::empty(), Some("Shared-memory video source"))
});

/// State of a `shmflowsrc`.
#[derive(Debug, Default)]
pub struct ShmflowSrc {
    settings: Mutex<Settings>,
    /// What only the streaming thread uses, from READY→PAUSED to PAUSED→READY.
    stream: Mutex<Option<Stream>>,
    /// Ends the streaming thread's waits. Outside `stream`, which is locked during them.
    unblocker: Mutex<Unblocker>,
    pub(super) latency: Mutex<Latency>,
    /// Downstream may accept something else than before.
    wish_stale: AtomicBool,
    /// The pipeline was paused: what was published meanwhile is old.
    resumed: AtomicBool,
    pub(super) stats: Stats,
}

/// No code here panics while it holds one of these locks; if another thread's did, its data are still whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ShmflowSrc {
    pub(super) fn post(&self, structure: gst::Structure) {
        tell::post(self.obj().upcast_ref(), structure);
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
        gst::element_imp_info!(
            self,
            gst::ResourceError::NotFound,
            ("Waiting for a producer of topic '{topic}'{place}."),
            // All that gst-launch-1.0 prints of such a message.
            ["Waiting for a producer of topic '{topic}'{place}."]
        );
    }

    /// The base class sees that downstream wants something else only between two frames, and none may come until the
    /// producers know of it.
    fn look_downstream(&self) {
        if self.obj().src_pad().needs_reconfigure() {
            self.wish_stale.store(true, Ordering::Relaxed);
        }
    }

    /// The last producer is gone.
    fn on_disconnect(&self, stream: &mut Stream) -> Result<(), gst::FlowError> {
        stream.discont = true;
        // The next producer's frames say what is then, and it has its own time to find a format.
        stream.said = None;
        stream.refused = None;
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
        let name = tell::own_name(self.obj().upcast_ref());
        *lock(&self.stream) = Some(Stream::new(settings, name, unblocker));
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

    // Instead of `PushSrcImpl::create`, which is called by way of this one: some code less that is not in the caches by the
    // time that the next frame comes.
    fn create(
        &self,
        _offset: u64,
        _buffer: Option<&mut gst::BufferRef>,
        _length: u32,
    ) -> Result<CreateSuccess, gst::FlowError> {
        let mut stream = lock(&self.stream);
        let stream = stream.as_mut().ok_or(gst::FlowError::Flushing)?;
        loop {
            if self.wish_stale.swap(false, Ordering::Relaxed) {
                let wish = wish::of(self.obj().src_pad());
                gst::debug!(CAT, imp = self, "downstream accepts {wish}");
                let news = stream
                    .reader
                    .set_wish(wish)
                    .map_err(|error| self.fail(error::message(&error, "telling what is accepted")))?;
                if news {
                    // The time that producers have to follow it starts now.
                    stream.refused = None;
                }
            }
            if self.resumed.swap(false, Ordering::Relaxed) && stream.settings.is_live {
                stream.reader.skip_to_newest();
                stream.discont = true;
                stream.refused = None;
            }
            self.prepare(stream);
            match stream.reader.next() {
                Event::Quiet => self.look_downstream(),
                Event::Frame(frame) => {
                    if let Some(buffer) = self.deliver(stream, frame)? {
                        return Ok(CreateSuccess::NewBuffer(buffer));
                    }
                    self.look_downstream();
                }
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

impl PushSrcImpl for ShmflowSrc {}
