//! Topics of other hosts, and which of them are shown here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use serde_json::Value;
use zenoh::Wait;
use zenoh::pubsub::Subscriber;
use zenoh::qos::Priority;
use zenoh::sample::SampleKind;

use crate::hub::{Context, Event};
use crate::keys::Kind;
use crate::local::LocalTopic;
use crate::mirror::{Look, Mirror, MirrorEnd};
use crate::outgoing::Outgoing;
use crate::pattern;
use crate::ping::OriginClock;
use crate::stats::note;

/// How long it is waited for what a bridge says of its topic.
const INFO_TIMEOUT: Duration = Duration::from_secs(3);

/// More topics are not shown, whatever others announce, nor remembered.
const MOST: usize = 1000;
/// What cannot be shown is tried again after so long.
const RETRY: Duration = Duration::from_secs(5);

/// A bridge that has a topic.
#[derive(Debug)]
struct Candidate {
    origin: String,
    /// Once it is known.
    look: Option<Look>,
    /// It is being asked what that is.
    asked: bool,
}

/// The topics that others send.
#[derive(Debug)]
pub(crate) struct Incoming {
    context: Arc<Context>,
    /// By their names here, the bridge that came first in front.
    candidates: BTreeMap<String, Vec<Candidate>>,
    mirrors: BTreeMap<String, Mirror>,
    /// Those that cannot be shown, of which that was told.
    refused: BTreeSet<String>,
    /// When showing them failed.
    failed: BTreeMap<String, Instant>,
    clocks: BTreeMap<String, Arc<OriginClock>>,
}

impl Incoming {
    pub(crate) fn new(context: &Arc<Context>) -> Self {
        Self {
            context: Arc::clone(context),
            candidates: BTreeMap::new(),
            mirrors: BTreeMap::new(),
            refused: BTreeSet::new(),
            failed: BTreeMap::new(),
            clocks: BTreeMap::new(),
        }
    }

    /// Listens to what others announce.
    pub(crate) fn listen(&self) -> zenoh::Result<Subscriber<()>> {
        let events = self.context.events.clone();
        let own = self.context.id.clone();
        self.context
            .session
            .liveliness()
            .declare_subscriber(Kind::Live.all())
            .history(true)
            .callback(move |sample| {
                if let Some((origin, topic)) = Kind::Live.parse(sample.key_expr().as_str())
                    && origin != own
                {
                    let is_there = sample.kind() == SampleKind::Put;
                    // An error is that of a hub that has ended.
                    let _ = events.send(Event::Remote { origin, topic, is_there });
                }
            })
            .wait()
    }

    /// A bridge has a topic, or no more.
    pub(crate) fn remote(&mut self, origin: String, topic: &str, is_there: bool, own: Option<&Outgoing>) {
        if !pattern::any(&self.context.settings.topics, topic) {
            return;
        }
        if let Err(error) = shmflow::Topic::new(topic, None) {
            if is_there {
                self.refuse(topic, &format!("a topic of another host is left out: {error}"));
            } else {
                self.refused.remove(topic);
            }
            return;
        }
        let is_known = self.candidates.contains_key(topic);
        if is_there && !is_known && self.candidates.len() >= MOST {
            return self.refuse(topic, &too_many(topic));
        }
        if is_there {
            let candidates = self.candidates.entry(topic.to_owned()).or_default();
            // More than one of a name is for bridges that were started again, and hosts that share it.
            if candidates.len() < MOST && !candidates.iter().any(|candidate| candidate.origin == origin) {
                candidates.push(Candidate { origin: origin.clone(), look: None, asked: true });
                self.ask(&origin, topic);
            }
        } else if let Some(candidates) = self.candidates.get_mut(topic) {
            candidates.retain(|candidate| candidate.origin != origin);
            if candidates.is_empty() {
                self.candidates.remove(topic);
                self.refused.remove(topic);
                self.failed.remove(topic);
            }
            self.evaluate(topic, own);
        } else {
            self.refused.remove(topic);
        }
    }

    /// Says once why a topic is not shown.
    fn refuse(&mut self, topic: &str, why: &str) {
        if self.refused.len() < 2 * MOST && self.refused.insert(topic.to_owned()) {
            note(why);
        }
    }

    /// Asks what is said of a topic.
    fn ask(&self, origin: &str, topic: &str) {
        let answer = Answer {
            events: self.context.events.clone(),
            origin: origin.to_owned(),
            topic: topic.to_owned(),
        };
        let asked = self
            .context
            .session
            .get(Kind::Info.key(origin, topic))
            .timeout(INFO_TIMEOUT)
            // Not behind frames, nor in their way.
            .priority(Priority::InteractiveHigh)
            .callback(move |reply| {
                if let Ok(sample) = reply.result() {
                    answer.tell(&String::from_utf8_lossy(&sample.payload().to_bytes()));
                }
            })
            .wait();
        if let Err(error) = asked {
            note(&format!("topic `{topic}` of another host: cannot ask for it: {error}"));
        }
    }

    /// What a bridge says of its topic.
    pub(crate) fn info(&mut self, origin: &str, topic: &str, text: &str, own: Option<&Outgoing>) {
        let Some(candidates) = self.candidates.get_mut(topic) else { return };
        if let Some(candidate) = candidates.iter_mut().find(|candidate| candidate.origin == origin) {
            candidate.asked = false;
            if !text.is_empty() {
                candidate.look = Some(look(text));
            }
        }
        self.evaluate(topic, own);
    }

    /// The topics of this host are others now: perhaps a name is free.
    pub(crate) fn update(&mut self, own: Option<&Outgoing>) {
        self.ask_again();
        let hidden = |topic: &&String| !self.mirrors.contains_key(*topic);
        for topic in self.candidates.keys().filter(hidden).cloned().collect::<Vec<_>>() {
            self.evaluate(&topic, own);
        }
    }

    /// Asks for what was not answered.
    fn ask_again(&mut self) {
        let mut unknown = Vec::new();
        for (topic, candidates) in &mut self.candidates {
            for candidate in candidates.iter_mut().filter(|one| one.look.is_none() && !one.asked) {
                candidate.asked = true;
                unknown.push((candidate.origin.clone(), topic.clone()));
            }
        }
        for (origin, topic) in unknown {
            self.ask(&origin, &topic);
        }
    }

    /// Decides whether a topic is shown, and from whom it comes.
    fn evaluate(&mut self, topic: &str, own: Option<&Outgoing>) {
        let known = self.candidates.get(topic).into_iter().flatten();
        let known = known.filter_map(|one| Some((one.origin.clone(), one.look.clone()?)));
        let candidates: Vec<_> = known.collect();
        if let Some(mirror) = self.mirrors.get(topic) {
            let home = mirror.home();
            let stays = candidates.iter().any(|(origin, _)| mirror.comes_from(origin));
            let next = candidates.iter().find(|(_, look)| !stays && look.home == home).cloned();
            match next {
                Some((origin, look)) => {
                    let clock = self.clock(&origin);
                    if let Some(mirror) = self.mirrors.get(topic) {
                        mirror.come_from(clock, look);
                    }
                }
                // Those of another host are not what its consumers read. Without any it ends, and makes way.
                None => mirror.set_present(stays),
            }
            if candidates.iter().any(|(_, look)| look.home != home) {
                self.refuse(topic, &format!(
                    "topic `{topic}` is there on more than one other host, and is shown from the first of them only; \
                     give their bridges a --prefix each"
                ));
            }
            return;
        }
        let Some((origin, look)) = candidates.into_iter().next() else { return };
        if self.failed.get(topic).is_some_and(|at| at.elapsed() < RETRY) {
            return;
        }
        if self.mirrors.len() >= MOST {
            return self.refuse(topic, &too_many(topic));
        }
        if let Some(by) = self.taken(topic, own) {
            return self.refuse(topic, &format!(
                "topic `{topic}` of another host is not shown here: {by} has that name, and frames of both would mix; \
                 give the other bridge a --prefix"
            ));
        }
        self.refused.remove(topic);
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let number = COUNT.fetch_add(1, Relaxed);
        let clock = self.clock(&origin);
        match Mirror::start(&self.context, topic, number, look, clock) {
            Ok(mirror) => {
                self.mirrors.insert(topic.to_owned(), mirror);
            }
            Err(error) => {
                note(&format!("topic `{topic}` of another host cannot be shown: no thread for it: {error}"));
            }
        }
    }

    fn clock(&mut self, origin: &str) -> Arc<OriginClock> {
        let candidates = &self.candidates;
        let is_there = |id: &String| candidates.values().flatten().any(|candidate| &candidate.origin == id);
        self.clocks.retain(|id, _| id == origin || is_there(id));
        let new = || Arc::new(OriginClock::new(origin));
        Arc::clone(self.clocks.entry(origin.to_owned()).or_insert_with(new))
    }

    /// Who has the name, if it is not free.
    fn taken(&self, topic: &str, own: Option<&Outgoing>) -> Option<String> {
        if own.is_some_and(|own| own.has(topic)) {
            return Some("a topic of this host".into());
        }
        let info = shmflow::inspect(topic, self.context.settings.dir.as_deref()).ok()?;
        let local = LocalTopic::of(&info)?;
        if local.is_mirror {
            return Some("another bridge of this host".into());
        }
        (local.has_producer || local.is_own).then(|| "a producer of this host".into())
    }

    /// A mirror came to its end by itself.
    pub(crate) fn mirror_ended(&mut self, topic: &str, number: u64, end: MirrorEnd, own: Option<&Outgoing>) {
        if self.mirrors.get(topic).map(Mirror::number) != Some(number) {
            return;
        }
        self.mirrors.remove(topic);
        match end {
            // A look after some time tries again.
            MirrorEnd::Failed => {
                self.failed.insert(topic.to_owned(), Instant::now());
            }
            // A candidate may have come meanwhile.
            MirrorEnd::Gone | MirrorEnd::Removed | MirrorEnd::Taken => self.evaluate(topic, own),
        }
    }
}

/// Tells the hub what was answered; that there was no answer, when it is dropped without one.
struct Answer {
    events: Sender<Event>,
    origin: String,
    topic: String,
}

impl Answer {
    fn tell(&self, text: &str) {
        let (origin, topic, text) = (self.origin.clone(), self.topic.clone(), text.to_owned());
        // An error is that of a hub that has ended.
        let _ = self.events.send(Event::Info { origin, topic, text });
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // What was told before counts.
        self.tell("");
    }
}

fn too_many(topic: &str) -> String {
    format!("topic `{topic}` of another host is not shown here: {MOST} are, and no more may be")
}

/// From another host: whatever it says gives something.
fn look(text: &str) -> Look {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let depth = value.get("depth").and_then(Value::as_u64).unwrap_or(8).clamp(1, 1024);
    let description = value.get("description").and_then(Value::as_str).map(|text| {
        let mut line = String::new();
        for char in text.chars().filter(|char| !char.is_control()) {
            if line.len() + char.len_utf8() > 1000 {
                break;
            }
            line.push(char);
        }
        line
    });
    Look {
        depth: u32::try_from(depth).unwrap_or(8),
        description: description.filter(|line| !line.is_empty()),
        lossless: value.get("lossless").and_then(Value::as_bool).unwrap_or(false),
        home: value.get("home").and_then(Value::as_u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_said_of_a_topic_is_taken_with_care() {
        let said = look(r#"{"depth": 4, "description": "Front\ndoor", "lossless": true}"#);
        assert_eq!((said.depth, said.description.as_deref(), said.lossless), (4, Some("Frontdoor"), true));
        let long = look(&format!(r#"{{"depth": 99999999999, "description": "{}"}}"#, "é".repeat(900)));
        assert_eq!((long.depth, long.description.map(|text| text.len())), (1024, Some(1000)));
        for nothing in ["", "null", "[]", r#"{"depth": -1}"#, r#"{"depth": "x", "lossless": 1}"#] {
            assert_eq!((look(nothing).depth, look(nothing).lossless), (8, false), "{nothing}");
        }
    }

    proptest! {
        #[test]
        fn any_text_says_something(text: String) {
            let look = look(&text);
            prop_assert!((1..=1024).contains(&look.depth));
        }
    }
}
