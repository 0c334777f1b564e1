//! The bridge: what happens here and there comes together in one thread.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use zenoh::sample::SampleKind;
use zenoh::{Session, Wait};

use crate::incoming::Incoming;
use crate::local::{self, LocalTopic, Watch};
use crate::mirror::MirrorEnd;
use crate::outgoing::Outgoing;
use crate::pattern::Pattern;
use crate::pump::PumpEnd;
use crate::session::{self, Network};
use crate::stats::{Stats, note};
use crate::wire::Control;
use crate::{clock, keys};

/// What a bridge is to do.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The directory of the topics; `None` for the ring's default.
    pub dir: Option<PathBuf>,
    /// Which topics, by their names here.
    pub topics: Vec<Pattern>,
    /// Send this host's topics.
    pub send: bool,
    /// Show other hosts' topics here.
    pub receive: bool,
    /// In front of the names of this host's topics elsewhere; with its slash.
    pub prefix: String,
    /// Frames a second of each topic at most.
    pub max_rate: Option<f64>,
    /// Which topics of raw video are encoded before they are sent.
    pub encode: Vec<Pattern>,
    /// Elements of GStreamer that do that, as `gst-launch-1.0` takes them.
    pub encoder: String,
    /// What is sent comes whole, and the producer waits for it.
    pub lossless: bool,
    /// Permissions of the topics that it makes, as 0o640; `None` for the ring's default.
    pub perms: Option<u32>,
    /// The network.
    pub network: Network,
}

/// What every part of a bridge needs.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) session: Session,
    /// This bridge's Zenoh id, as text.
    pub(crate) id: String,
    /// And as a number.
    pub(crate) number: u128,
    pub(crate) settings: Settings,
    pub(crate) stats: Arc<Stats>,
    pub(crate) events: Sender<Event>,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// The topics of this host.
    Local(Vec<LocalTopic>),
    /// A topic that is sent is read, or no more.
    Matching(String, bool),
    /// A reader asks for something.
    Control(String, Control),
    /// A pump came to its end.
    PumpEnded(String, u64, PumpEnd),
    /// Another bridge has a topic, or no more.
    Remote { origin: String, topic: String, is_there: bool },
    /// What is said of it.
    Info { origin: String, topic: String, text: String },
    /// A mirror came to its end.
    MirrorEnded(String, u64, MirrorEnd),
    /// Another bridge is there, or no more.
    Bridge(u128, bool),
    /// The end.
    Stop,
}

/// Ends a bridge, from any thread.
#[derive(Clone, Debug)]
pub struct Stop(Sender<Event>);

impl Stop {
    /// Ends it.
    pub fn stop(&self) {
        // An error is that of a bridge that has ended.
        let _ = self.0.send(Event::Stop);
    }
}

/// A bridge that runs until it is stopped.
#[derive(Debug)]
pub struct Bridge {
    context: Arc<Context>,
    events: Receiver<Event>,
}

impl Bridge {
    /// Joins the network.
    ///
    /// # Errors
    /// Why it cannot, for people.
    pub fn new(settings: Settings) -> Result<Self, String> {
        let session = session::open(&settings.network)?;
        let id = session.zid().to_string();
        let number = number(&id).unwrap_or_default();
        let (sender, events) = channel();
        let stats = Arc::default();
        let context = Context { session, id, number, settings, stats, events: sender };
        Ok(Self { context: Arc::new(context), events })
    }

    /// What it does.
    #[must_use]
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.context.stats)
    }

    /// To end it.
    #[must_use]
    pub fn stopper(&self) -> Stop {
        Stop(self.context.events.clone())
    }

    /// Works until it is stopped.
    ///
    /// # Errors
    /// Why it cannot, for people.
    pub fn run(self) -> Result<(), String> {
        let told = |error: zenoh::Error| format!("cannot take part in the network: {error}");
        let Context { session, id, settings, .. } = &*self.context;
        let _clock = session
            .declare_queryable(keys::clock(id))
            .callback(|query| {
                // Whoever asked and is gone has no answer.
                let _ = query.reply(query.key_expr().clone(), clock::now().encode()).wait();
            })
            .wait()
            .map_err(told)?;
        let mut outgoing = settings.send.then(|| Outgoing::new(&self.context)).transpose().map_err(told)?;
        let mut incoming = settings.receive.then(|| Incoming::new(&self.context));
        let _token = session.liveliness().declare_token(keys::bridge(id)).wait().map_err(told)?;
        let events = self.context.events.clone();
        let _bridges = session
            .liveliness()
            .declare_subscriber(format!("{}/bridge/*", keys::ROOT))
            .history(true)
            .callback(move |sample| {
                let number = keys::parse_bridge(sample.key_expr().as_str()).map(number);
                if let Some(Some(number)) = number {
                    // An error is that of a hub that has ended.
                    let _ = events.send(Event::Bridge(number, sample.kind() == SampleKind::Put));
                }
            })
            .wait()
            .map_err(told)?;
        self.watch()?;
        let _remote = incoming.as_ref().map(Incoming::listen).transpose().map_err(told)?;
        while let Ok(event) = self.events.recv() {
            match (event, &mut outgoing, &mut incoming) {
                (Event::Local(topics), outgoing, incoming) => {
                    if let Some(outgoing) = &mut *outgoing {
                        outgoing.update(&topics);
                    }
                    if let Some(incoming) = incoming {
                        incoming.update(outgoing.as_ref());
                    }
                }
                (Event::Matching(topic, is_read), Some(outgoing), _) => outgoing.matching(&topic, is_read),
                (Event::Control(topic, control), Some(outgoing), _) => outgoing.control(&topic, control),
                (Event::PumpEnded(topic, turn, end), Some(outgoing), _) => {
                    outgoing.pump_ended(&topic, turn, end);
                }
                (Event::Bridge(reader, is_there), Some(outgoing), _) => outgoing.bridge(reader, is_there),
                (Event::Remote { origin, topic, is_there }, outgoing, Some(incoming)) => {
                    incoming.remote(origin, &topic, is_there, outgoing.as_ref());
                }
                (Event::Info { origin, topic, text }, outgoing, Some(incoming)) => {
                    incoming.info(&origin, &topic, &text, outgoing.as_ref());
                }
                (Event::MirrorEnded(topic, number, end), outgoing, Some(incoming)) => {
                    incoming.mirror_ended(&topic, number, end, outgoing.as_ref());
                }
                (Event::Stop, ..) => break,
                _ => {}
            }
        }
        Ok(())
    }

    /// A thread that looks for topics of this host. It ends with the program.
    fn watch(&self) -> Result<(), String> {
        let (events, dir) = (self.context.events.clone(), self.context.settings.dir.clone());
        let look = move || {
            let mut watch = Watch::new(dir.as_deref());
            let mut told = None;
            loop {
                match local::topics(dir.as_deref()) {
                    Ok(topics) => {
                        if events.send(Event::Local(topics)).is_err() {
                            return;
                        }
                        told = None;
                    }
                    Err(error) if told.as_ref() == Some(&error) => {}
                    Err(error) => {
                        note(&error);
                        told = Some(error);
                    }
                }
                watch.wait();
            }
        };
        std::thread::Builder::new()
            .name("bridge-watch".into())
            .spawn(look)
            .map(|_| ())
            .map_err(|error| format!("no thread to look for topics: {error}"))
    }
}

/// A Zenoh id as a number.
fn number(text: &str) -> Option<u128> {
    u128::from_str_radix(text, 16).ok()
}
