//! The source's hold on its topic: attaching, waiting, noticing that producers went and came.

use std::path::Path;
use std::time::{Duration, Instant};

use shmflow::{
    CancelToken, Consumer, Delivery as RingDelivery, Error, Frame, OnLapped as RingOnLapped, ParticipantId,
    StartAt,
};

use crate::common::enums::{Delivery, OnLapped};

use super::settings::Settings;

/// How often to check the producers while no frame arrives. Their death wakes no process.
const LOOK: Duration = Duration::from_secs(1);

/// What happened.
#[derive(Debug)]
pub(super) enum Event {
    /// A frame came, and whether it was waited for: one that was there already may be old.
    Frame(Frame, bool),
    /// The topic is there and has a producer.
    Connected,
    /// The last producer is gone without having ended the stream, or the topic was removed.
    Disconnected,
    /// Producers are there, and no frame has come for a second.
    Stalled,
    /// For the first second since it was started, no producer has come.
    Waiting,
    /// Everything was read, and the producers ended the stream in order.
    Ended,
    /// The wait was ended from outside.
    Cancelled,
    /// No producer came within the connection timeout.
    TimedOut,
    /// Nothing more can be read.
    Failed(Error),
    /// Nothing to tell: ask again.
    Quiet,
}

impl Event {
    /// Whether no frame comes after it for now.
    pub(super) fn ends_the_stream(&self) -> bool {
        matches!(self, Self::Disconnected | Self::Ended | Self::TimedOut | Self::Failed(_))
    }
}

/// Reads a topic, whether or not it is there now.
#[derive(Debug)]
pub(super) struct Reader {
    settings: Settings,
    name: String,
    cancel_token: CancelToken,
    accepted_caps: String,
    consumer: Option<Consumer>,
    /// This stream has no use for a limit to the rate of frames.
    max_rate_lifted: bool,
    /// Of its frames, those that were looked for and found, as last seen.
    expected: u64,
    /// A producer was seen, and its departure is not yet reported.
    connected: bool,
    stalled: bool,
    /// A producer was there before, or it was told that there is none.
    waiting_reported: bool,
    /// Since when there is no producer; `None` while there is one.
    waiting_since: Option<Instant>,
    /// What comes next, whatever the topic has: a frame that came together with the news of its producer, or an event that
    /// had to wait.
    pending: Option<Event>,
}

impl Reader {
    pub(super) fn new(settings: Settings, name: String, cancel_token: CancelToken) -> Self {
        Self {
            settings,
            name,
            cancel_token,
            accepted_caps: String::new(),
            consumer: None,
            max_rate_lifted: false,
            expected: 0,
            connected: false,
            stalled: false,
            waiting_reported: false,
            waiting_since: None,
            pending: None,
        }
    }

    /// Tells producers what is accepted downstream; whether that is something new.
    pub(super) fn set_accepted_caps(&mut self, accepted_caps: String) -> Result<bool, Error> {
        if self.accepted_caps == accepted_caps {
            return Ok(false);
        }
        self.accepted_caps = accepted_caps;
        match &mut self.consumer {
            Some(consumer) => consumer.set_accepted_caps(&self.accepted_caps).map(|()| true),
            None => Ok(true),
        }
    }

    /// Leaves out everything but the newest frame; how many those are.
    pub(super) fn skip_to_newest(&mut self) -> u64 {
        let Some(consumer) = &mut self.consumer else { return 0 };
        let before = consumer.position();
        // If the topic is gone the next read notices.
        let _ = consumer.skip_to_newest();
        consumer.position().saturating_sub(before)
    }

    /// The newest frame, if there is one after those that were taken. Those in between are left out.
    pub(super) fn newest(&mut self) -> Option<Frame> {
        self.skip_to_newest();
        self.try_next()
    }

    /// Whether there was a newer frame than this one when the topic was opened.
    pub(super) fn was_old_at_opening(&self, frame: &Frame) -> bool {
        self.consumer.as_ref().is_some_and(|consumer| frame.seq().saturating_add(1) < consumer.joined_at())
    }

    /// The next frame if it is there.
    pub(super) fn try_next(&mut self) -> Option<Frame> {
        // An error comes again when it is waited for.
        self.consumer.as_mut()?.try_recv().ok().flatten()
    }

    /// From now on, what is lost when this pipeline is too slow is not more than was overwritten.
    pub(super) fn keep_when_lapped(&mut self) {
        self.settings.on_lapped = OnLapped::Oldest;
        if let Some(consumer) = &mut self.consumer {
            consumer.set_on_lapped(RingOnLapped::Oldest);
        }
    }

    /// Whether there is a limit to the rate of frames.
    pub(super) fn has_max_rate(&self) -> bool {
        self.settings.max_rate > 0.0 && !self.max_rate_lifted
    }

    /// From now on, every frame is read.
    pub(super) fn lift_max_rate(&mut self) {
        self.max_rate_lifted = true;
        if let Some(consumer) = &mut self.consumer {
            consumer.lift_max_rate();
        }
    }

    /// Another stream begins: the limit applies again.
    pub(super) fn restore_max_rate(&mut self) {
        if std::mem::take(&mut self.max_rate_lifted)
            && let Some(consumer) = &mut self.consumer
        {
            // It was accepted when the consumer was opened.
            let _ = consumer.set_max_rate(self.settings.max_rate);
        }
    }

    /// How many frames, of those since the last call, were looked for when they were due, and found.
    pub(super) fn newly_expected(&mut self) -> u64 {
        let Some(consumer) = self.consumer.as_ref().filter(|_| self.settings.busy_wait != 0) else {
            return 0;
        };
        let expected = consumer.stats().expected;
        expected.saturating_sub(std::mem::replace(&mut self.expected, expected))
    }

    /// Asks the producers for a key frame, if that is possible.
    pub(super) fn request_key_frame(&self) {
        if let Some(consumer) = &self.consumer {
            // In a forked child no pipeline runs.
            let _ = consumer.request_key_frame();
        }
    }

    /// Slots beyond which frames are lost, once known.
    pub(super) fn depth(&self) -> u32 {
        self.consumer.as_ref().map_or(0, |consumer| consumer.geometry().depth)
    }

    /// Whether this producer takes part.
    pub(super) fn is_producing(&self, producer: ParticipantId) -> bool {
        self.consumer.as_ref().is_some_and(|consumer| consumer.is_producing(producer))
    }

    /// Has an event come again as the next one.
    pub(super) fn put_back(&mut self, event: Event) {
        self.pending = Some(event);
    }

    /// Waits for something to happen, for about a second at most, or as long as `limit`.
    pub(super) fn next(&mut self, limit: Option<Duration>) -> Event {
        if self.cancel_token.is_cancelled() {
            return Event::Cancelled;
        }
        if let Some(event) = self.pending.take() {
            return event;
        }
        let left = self.time_left();
        if left == Some(Duration::ZERO) {
            return Event::TimedOut;
        }
        let Some(consumer) = &mut self.consumer else {
            return self.attach(left);
        };
        if !self.connected {
            let stream_status = consumer.stream_status();
            if stream_status.producers > 0 && !stream_status.ended {
                return self.connected();
            }
        }
        let wait = [left, limit].into_iter().flatten().fold(LOOK, Duration::min);
        let (received, waited) = match consumer.try_recv() {
            Ok(Some(frame)) => (Ok(frame), false),
            Ok(None) => (consumer.recv_timeout(wait), true),
            Err(error) => (Err(error), false),
        };
        match received {
            Ok(frame) => {
                self.stalled = false;
                if self.connected {
                    return Event::Frame(frame, waited);
                }
                self.pending = Some(Event::Frame(frame, waited));
                self.connected()
            }
            Err(Error::Timeout { .. }) if limit == Some(wait) => Event::Quiet,
            Err(Error::Timeout { .. }) => self.quiet(),
            Err(Error::Cancelled { .. }) => Event::Cancelled,
            Err(Error::Removed { .. }) => {
                self.consumer = None;
                self.disconnected()
            }
            Err(Error::Ended { .. }) => Event::Ended,
            Err(error) => Event::Failed(error),
        }
    }

    /// After an end of stream that is to be ignored: waits for the next producer, or for this one to continue.
    pub(super) fn forget_end(&mut self) {
        self.connected = false;
        self.waiting_since = Some(Instant::now());
    }

    /// No frame arrived for a while: checks the producers.
    fn quiet(&mut self) -> Event {
        if self.consumer.as_ref().is_none_or(|consumer| consumer.stream_status().producers == 0) {
            if !std::mem::replace(&mut self.waiting_reported, true) {
                return Event::Waiting;
            }
            return self.disconnected();
        }
        if self.connected && !std::mem::replace(&mut self.stalled, true) {
            return Event::Stalled;
        }
        Event::Quiet
    }

    fn connected(&mut self) -> Event {
        self.connected = true;
        self.waiting_reported = true;
        self.waiting_since = None;
        Event::Connected
    }

    /// The topic has no producer: reported once.
    fn disconnected(&mut self) -> Event {
        self.waiting_since.get_or_insert_with(Instant::now);
        if std::mem::take(&mut self.connected) { Event::Disconnected } else { Event::Quiet }
    }

    /// What is left of the connection timeout; `None` if there is none, or it does not run now.
    fn time_left(&mut self) -> Option<Duration> {
        let timeout = Some(self.settings.connection_timeout).filter(|timeout| *timeout > 0)?;
        if self.connected {
            return None;
        }
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        Some(Duration::from_millis(u64::from(timeout)).saturating_sub(since.elapsed()))
    }

    fn attach(&mut self, left: Option<Duration>) -> Event {
        // A first wait of a second, to tell whoever mistyped the topic's name.
        let first = (!self.waiting_reported && left.is_none_or(|left| left > LOOK)).then_some(LOOK);
        match self.open(first.or(left)) {
            Ok(consumer) => {
                self.consumer = Some(consumer);
                self.expected = 0;
                Event::Quiet
            }
            Err(Error::Timeout { .. }) if first.is_some() => self.quiet(),
            Err(Error::Timeout { .. }) => Event::TimedOut,
            Err(Error::Cancelled { .. }) => Event::Cancelled,
            // Removed between being found and being opened: whoever removed it was not the last to make it.
            Err(Error::Removed { .. }) => Event::Quiet,
            // A process that was stopped while it opened or closed the topic is in the way, until it continues or dies. The
            // ring has waited for it already.
            Err(Error::Busy { .. }) => Event::Quiet,
            Err(error) => Event::Failed(error),
        }
    }

    fn open(&self, wait: Option<Duration>) -> Result<Consumer, Error> {
        let settings = &self.settings;
        let mut builder = Consumer::builder(settings.topic.as_deref().unwrap_or_default())
            // If this is a live source of anything but packets, it goes on at the newest.
            .start(StartAt::Oldest)
            .on_lapped(match settings.on_lapped {
                OnLapped::Newest => RingOnLapped::Newest,
                OnLapped::Oldest => RingOnLapped::Oldest,
            })
            .delivery(match settings.delivery {
                Delivery::All => RingDelivery::All,
                Delivery::Latest => RingDelivery::Latest,
            })
            .read_only(settings.read_only)
            .busy_wait(Duration::from_micros(settings.busy_wait.into()))
            .allow_foreign_owner(settings.allow_foreign_owner)
            .name(&self.name)
            .accepted_caps(&self.accepted_caps)
            .cancel_token(&self.cancel_token)
            .connect_timeout(wait);
        if settings.max_leases > 0 {
            builder = builder.max_leases(settings.max_leases);
        }
        if self.has_max_rate() {
            builder = builder.max_rate(settings.max_rate);
        }
        if let Some(directory) = &settings.directory {
            builder = builder.dir(Path::new(directory));
        }
        builder.open()
    }
}
