//! Topics of this host, announced to others, and sent to those who read them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use zenoh::Wait;
use zenoh::liveliness::LivelinessToken;
use zenoh::pubsub::{Publisher, Subscriber};
use zenoh::qos::CongestionControl;
use zenoh::query::Queryable;

use crate::encoder::{Encoder, SUFFIX};
use crate::hub::{Context, Event};
use crate::keys::Kind;
use crate::local::{self, LocalTopic};
use crate::pattern;
use crate::pump::{Job, Pump, PumpEnd};
use crate::stats::note;
use crate::wire::{Control, Request};

/// What is said of topics when they are asked for, by their keys.
type Infos = Arc<Mutex<BTreeMap<String, Value>>>;

/// What cannot be sent is tried again after so long.
const RETRY: Duration = Duration::from_secs(5);
/// More bridges are not known as readers of lossless topics.
const MOST_BRIDGES: usize = 10_000;

/// A topic that others know of.
#[derive(Debug)]
struct Announced {
    info: Value,
    info_key: String,
    /// Before the pump: that ends when this is dropped, and publishes no more.
    pump: Option<Pump>,
    /// The topic that is encoded, of one that an encoder makes.
    source: Option<String>,
    encoder: Option<Encoder>,
    publisher: Arc<Publisher<'static>>,
    _token: LivelinessToken,
    /// Somebody reads it, as far as Zenoh knows.
    is_read: bool,
    /// A key frame was asked for before there was a pump.
    key_frame: bool,
    /// When sending it failed.
    failed: Option<Instant>,
}

/// The topics that this bridge sends.
#[derive(Debug)]
pub(crate) struct Outgoing {
    context: Arc<Context>,
    infos: Infos,
    home: u64,
    /// By their names here.
    topics: BTreeMap<String, Announced>,
    /// Bridges that are there: nobody else is waited for.
    bridges: BTreeSet<u128>,
    _info: Queryable<()>,
    _control: Subscriber<()>,
}

impl Outgoing {
    pub(crate) fn new(context: &Arc<Context>) -> zenoh::Result<Self> {
        let infos = Infos::default();
        let asked = Arc::clone(&infos);
        let info = context
            .session
            .declare_queryable(Kind::Info.all_of(&context.id))
            .callback(move |query| {
                let infos = asked.lock().unwrap_or_else(PoisonError::into_inner);
                let key = query.key_expr().as_str();
                if let Some(info) = infos.get(key) {
                    // Whoever asked and is gone has no answer.
                    let _ = query.reply(key, info.to_string()).wait();
                }
            })
            .wait()?;
        let events = context.events.clone();
        let prefix = context.settings.prefix.clone();
        let control = context
            .session
            .declare_subscriber(Kind::Control.all_of(&context.id))
            .callback(move |sample| {
                let topic = Kind::Control.parse(sample.key_expr().as_str()).map(|(_, remote)| remote);
                let topic = topic.and_then(|remote| remote.strip_prefix(&prefix).map(str::to_owned));
                let control = Control::decode(&sample.payload().to_bytes());
                if let (Some(topic), Ok(control)) = (topic, control) {
                    // An error is that of a hub that has ended.
                    let _ = events.send(Event::Control(topic, control));
                }
            })
            .wait()?;
        Ok(Self {
            context: Arc::clone(context),
            infos,
            home: local::home(context.settings.dir.as_deref()),
            topics: BTreeMap::new(),
            bridges: BTreeSet::new(),
            _info: info,
            _control: control,
        })
    }

    /// Whether it sends a topic of this name.
    pub(crate) fn has(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }

    /// Announces what has come, and takes back what has gone.
    pub(crate) fn update(&mut self, found: &[LocalTopic]) {
        let wanted = self.wanted(found);
        self.topics.retain(|name, announced| {
            let topic = wanted.iter().find(|(topic, _)| &topic.name == name);
            // A pump keeps its topic, unless that is removed: then it says so, and ends. What is encoded goes with its source.
            let is_kept = announced.pump.is_some() && announced.source.is_none();
            let stays = topic.map_or(is_kept, |(topic, _)| !topic.is_mirror);
            if !stays {
                self.infos.lock().unwrap_or_else(PoisonError::into_inner).remove(&announced.info_key);
            } else if let Some(encoder) = &mut announced.encoder {
                encoder.look_after();
            }
            stays
        });
        for (topic, source) in &wanted {
            if self.topics.contains_key(&topic.name) || topic.is_own {
                self.announce(topic, source.as_deref());
            }
        }
    }

    /// The topics to send, and from which each is encoded. Those that are encoded are not sent as they are.
    fn wanted(&self, found: &[LocalTopic]) -> Vec<(LocalTopic, Option<String>)> {
        let settings = &self.context.settings;
        let chosen = || found.iter().filter(|topic| pattern::any(&settings.topics, &topic.name));
        let is_source =
            |topic: &LocalTopic| topic.is_raw_video && pattern::any(&settings.encode, &topic.name);
        let is_made = |topic: &LocalTopic| {
            let source = topic.name.strip_suffix(SUFFIX);
            source.is_some_and(|name| chosen().any(|topic| topic.name == name && is_source(topic)))
        };
        let rest = chosen().filter(|topic| !is_made(topic));
        rest.map(|topic| {
            if is_source(topic) {
                let name = format!("{}{SUFFIX}", topic.name);
                (LocalTopic { name, ..topic.clone() }, Some(topic.name.clone()))
            } else {
                (topic.clone(), None)
            }
        })
        .collect()
    }

    fn announce(&mut self, topic: &LocalTopic, source: Option<&str>) {
        let lossless = self.context.settings.lossless;
        let info = json!({
            "depth": topic.depth, "description": topic.description, "lossless": lossless, "home": self.home,
        });
        let is_new = !self.topics.contains_key(&topic.name);
        if is_new {
            match self.declare(topic, source, &info) {
                Ok(announced) => {
                    self.topics.insert(topic.name.clone(), announced);
                }
                Err(error) => {
                    return note(&format!("topic `{}` cannot be announced: {error}", topic.name));
                }
            }
        }
        let Some(announced) = self.topics.get_mut(&topic.name) else { return };
        if is_new || announced.info != info {
            announced.info = info;
            let mut infos = self.infos.lock().unwrap_or_else(PoisonError::into_inner);
            infos.insert(announced.info_key.clone(), announced.info.clone());
        }
        // One whose pump had ended, as the topic was removed and came again.
        let rests = announced.failed.is_some_and(|at| at.elapsed() < RETRY);
        if announced.pump.is_none() && announced.is_read && !rests {
            self.start(&topic.name);
        }
    }

    fn declare(&self, topic: &LocalTopic, source: Option<&str>, info: &Value) -> zenoh::Result<Announced> {
        let Context { session, id, settings, events, .. } = &*self.context;
        let remote = format!("{}{}", settings.prefix, topic.name);
        let control = if settings.lossless { CongestionControl::Block } else { CongestionControl::Drop };
        let publisher =
            session.declare_publisher(Kind::Frames.key(id, &remote)).congestion_control(control).wait()?;
        let (events, name) = (events.clone(), topic.name.clone());
        publisher
            .matching_listener()
            .callback(move |status| {
                // An error is that of a hub that has ended.
                let _ = events.send(Event::Matching(name.clone(), status.matching()));
            })
            .background()
            .wait()?;
        // Who sees the token asks at once.
        let info_key = Kind::Info.key(id, &remote);
        self.infos.lock().unwrap_or_else(PoisonError::into_inner).insert(info_key.clone(), info.clone());
        let token = session.liveliness().declare_token(Kind::Live.key(id, &remote)).wait()?;
        Ok(Announced {
            info: info.clone(),
            info_key,
            pump: None,
            source: source.map(str::to_owned),
            encoder: None,
            publisher: Arc::new(publisher),
            _token: token,
            is_read: false,
            key_frame: false,
            failed: None,
        })
    }

    /// Somebody reads it now, or nobody does.
    pub(crate) fn matching(&mut self, topic: &str, is_read: bool) {
        let Some(announced) = self.topics.get_mut(topic) else { return };
        announced.is_read = is_read;
        match &announced.pump {
            // Its readers may come back, and are owed what they have not got.
            Some(pump) if self.context.settings.lossless => pump.set_read(is_read),
            Some(_) if is_read => {}
            Some(_) => (announced.pump, announced.encoder) = (None, None),
            None if is_read => self.start(topic),
            None => {}
        }
    }

    fn start(&mut self, topic: &str) {
        let Some(announced) = self.topics.get_mut(topic) else { return };
        let settings = &self.context.settings;
        if let Some(source) = &announced.source
            && announced.encoder.is_none()
        {
            let found = shmflow::inspect(topic, settings.dir.as_deref()).ok();
            if found.and_then(|info| LocalTopic::of(&info)).is_some_and(|found| found.has_producer) {
                // Frames of both would mix.
                announced.failed = Some(Instant::now());
                return note(&format!(
                    "topic `{source}` is not encoded: `{topic}` has another producer; leave `{source}` out of --encode, or end that"
                ));
            }
            let start = || Encoder::start(source, settings.dir.as_deref(), &settings.encoder);
            announced.encoder = Some(start());
        }
        let job = Job {
            topic: topic.to_owned(),
            dir: settings.dir.clone(),
            session: self.context.session.clone(),
            publisher: Arc::clone(&announced.publisher),
            counters: self.context.stats.sent(topic),
            max_rate: settings.max_rate,
            lossless: settings.lossless,
            waits: announced.source.is_some(),
            turn: next_turn(),
        };
        let (events, name, turn) = (self.context.events.clone(), topic.to_owned(), job.turn);
        let ended = move |end| {
            // An error is that of a hub that has ended.
            let _ = events.send(Event::PumpEnded(name, turn, end));
        };
        match Pump::start(job, ended) {
            Ok(pump) => {
                if std::mem::take(&mut announced.key_frame) {
                    pump.request(0, Request::KeyFrame);
                }
                announced.pump = Some(pump);
            }
            Err(error) => note(&format!("topic `{topic}` cannot be sent: no thread for it: {error}")),
        }
    }

    /// A pump came to its end by itself.
    pub(crate) fn pump_ended(&mut self, topic: &str, turn: u64, end: PumpEnd) {
        let Some(announced) = self.topics.get_mut(topic) else { return };
        if announced.pump.as_ref().map(Pump::turn) != Some(turn) {
            return;
        }
        (announced.pump, announced.encoder) = (None, None);
        match end {
            PumpEnd::Removed => {
                if let Some(gone) = self.topics.remove(topic) {
                    self.infos.lock().unwrap_or_else(PoisonError::into_inner).remove(&gone.info_key);
                }
                // There may be another of this name.
                let found = shmflow::inspect(topic, self.context.settings.dir.as_deref()).ok();
                if let Some(found) = found.and_then(|info| LocalTopic::of(&info)).filter(|found| found.is_own)
                {
                    self.announce(&found, None);
                }
            }
            // Somebody came back meanwhile.
            PumpEnd::Unwanted if announced.is_read => self.start(topic),
            PumpEnd::Unwanted => {}
            PumpEnd::Failed => announced.failed = Some(Instant::now()),
        }
    }

    /// What a reader asks for.
    pub(crate) fn control(&mut self, topic: &str, control: Control) {
        let Some(announced) = self.topics.get_mut(topic) else { return };
        let waits = matches!(control.request, Request::Start | Request::Ack { .. });
        match &announced.pump {
            // Who is no bridge does not say when it is gone, and would be waited for.
            Some(_) if waits && !self.bridges.contains(&control.reader) => {}
            Some(pump) => pump.request(control.reader, control.request),
            None => announced.key_frame |= control.request == Request::KeyFrame,
        }
    }

    /// A bridge is there, or gone: then it reads nothing.
    pub(crate) fn bridge(&mut self, reader: u128, is_there: bool) {
        if is_there {
            if self.bridges.len() < MOST_BRIDGES {
                self.bridges.insert(reader);
            }
            return;
        }
        self.bridges.remove(&reader);
        for pump in self.topics.values().filter_map(|announced| announced.pump.as_ref()) {
            pump.reader_gone(reader);
        }
    }
}

/// A number that no other turn has, of this bridge or one before it.
fn next_turn() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let started = crate::clock::now().realtime_ns;
    started.wrapping_shl(8).wrapping_add(COUNT.fetch_add(1, Relaxed)) ^ (u64::from(std::process::id()) << 40)
}
