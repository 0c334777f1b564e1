//! All topics as they are now, looked at for all who ask within a second, and only then.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use serde_json::{Map, Value, json};
use shmflow::Error;

use crate::picture;
use crate::sample::overview::{Overview, Watched};
use crate::{json, ls, metrics};

/// A look is good for so long: a little less than the page's second.
const FRESH: Duration = Duration::from_millis(900);
/// When nobody has asked for so long, what was before is no history.
const FORGOTTEN: Duration = Duration::from_secs(10);

/// Looks at all topics for those who ask.
#[derive(Debug)]
pub(super) struct Sampler {
    dir: Option<PathBuf>,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    overview: Overview,
    at: Option<Instant>,
    /// All of it as JSON, once somebody wants it.
    topics: Option<Bytes>,
}

impl Sampler {
    pub(super) fn new(dir: Option<&Path>) -> Self {
        let seen = Seen { overview: Overview::new(dir), at: None, topics: None };
        Self { dir: dir.map(Path::to_path_buf), seen: Mutex::new(seen) }
    }

    /// What there is now, or was not long ago.
    fn look<T>(&self, tell: impl FnOnce(&mut Seen) -> T) -> Result<T, Error> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let age = seen.at.map(|at| at.elapsed());
        if age.is_none_or(|age| age >= FRESH) {
            if age.is_some_and(|age| age >= FORGOTTEN) {
                seen.overview = Overview::new(self.dir.as_deref());
            }
            // After an error, too, all is looked at again.
            (seen.at, seen.topics) = (None, None);
            seen.overview.look()?;
            seen.at = Some(Instant::now());
        }
        Ok(tell(&mut seen))
    }

    /// As `shmflow ls --json`.
    pub(super) fn topics(&self) -> Result<Bytes, Error> {
        self.look(|seen| {
            let text = seen.topics.take().unwrap_or_else(|| {
                let mut all: Vec<_> =
                    seen.overview.topics().map(|topic| (&topic.info.topic, told(topic))).collect();
                let unreadable = seen.overview.unreadable().iter();
                all.extend(unreadable.map(|(topic, error)| {
                    (topic, json::unreadable(topic, error, ls::access(topic, self.dir.as_deref())))
                }));
                all.sort_by(|one, other| one.0.cmp(other.0));
                Value::from(all.into_iter().map(|(_, value)| value).collect::<Vec<_>>()).to_string().into()
            });
            seen.topics.insert(text).clone()
        })
    }

    /// As `shmflow info --json`.
    pub(super) fn topic(&self, name: &str) -> Result<Value, Error> {
        match self.look(|seen| seen.overview.get(name).map(told))? {
            Some(topic) => Ok(topic),
            // It came just now, or cannot be read, or the error says which one was meant.
            None => shmflow::inspect(name, self.dir.as_deref()).map(|info| json::topic(&info, None, None)),
        }
    }

    /// Rate, lag and losses at the newest looks, the oldest first.
    pub(super) fn history(&self) -> Result<Value, Error> {
        self.look(|seen| {
            let of = |topic: &Watched| {
                let rate: Vec<_> = topic.history.iter().map(|moment| moment.rate).collect();
                let lag: Vec<_> = topic.history.iter().map(|moment| moment.lag).collect();
                let lost: Vec<_> = topic.history.iter().map(|moment| moment.lost).collect();
                json!({ "rate": rate, "lag": lag, "lost": lost })
            };
            let all = seen.overview.topics().map(|topic| (topic.info.topic.clone(), of(topic)));
            Value::Object(all.collect::<Map<_, _>>())
        })
    }

    /// As `shmflow metrics`.
    pub(super) fn metrics(&self) -> Result<String, Error> {
        self.look(|seen| metrics::of(&seen.overview))
    }
}

fn told(topic: &Watched) -> Value {
    let mut value = json::watched(topic);
    let frame = topic.info.newest.as_ref();
    let missing = frame.and_then(|frame| match frame.meta() {
        Ok(meta) => picture::missing(&meta),
        Err(error) => Some(error.to_string()),
    });
    value["lost_per_second"] = topic.history.back().map(|moment| moment.lost).into();
    value["no_picture"] = missing.into();
    value
}
