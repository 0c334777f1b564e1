//! What a bridge has done, for people and scripts.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

/// What happened to one topic, in one direction.
#[derive(Debug, Default)]
pub struct Counters {
    /// Frames that were given to the network, which may drop them, or that came from it and are in the ring.
    pub frames: AtomicU64,
    /// Payload bytes of these.
    pub bytes: AtomicU64,
    /// Frames that should have come and did not; at the sender, those that its own ring lost.
    pub lost: AtomicU64,
    /// Frames left out on purpose: for a rate, or because nothing could be decoded before a key frame.
    pub omitted: AtomicU64,
    /// Messages that were refused: not what a bridge sends.
    pub refused: AtomicU64,
    /// It is being read at the other side, or here: 0 or 1.
    pub active: AtomicU64,
    /// Error of the clock's offset in nanoseconds, and one more; 0 if it is not known.
    pub clock_error: AtomicU64,
    /// How long the newest frame was on the way, from its publication there, in nanoseconds, and one more; 0 if it is not known.
    pub transit_ns: AtomicU64,
}

impl Counters {
    fn json(&self) -> Value {
        let clock_error = self.clock_error.load(Relaxed).checked_sub(1);
        let transit = self.transit_ns.load(Relaxed).checked_sub(1);
        json!({
            "frames": self.frames.load(Relaxed), "bytes": self.bytes.load(Relaxed), "lost": self.lost.load(Relaxed),
            "omitted": self.omitted.load(Relaxed), "refused": self.refused.load(Relaxed),
            "active": self.active.load(Relaxed) != 0, "clock_error_ns": clock_error,
            "transit_ns": transit,
        })
    }
}

/// All topics of a bridge.
#[derive(Debug, Default)]
pub struct Stats {
    sent: Mutex<BTreeMap<String, Arc<Counters>>>,
    received: Mutex<BTreeMap<String, Arc<Counters>>>,
}

impl Stats {
    fn of(map: &Mutex<BTreeMap<String, Arc<Counters>>>, topic: &str) -> Arc<Counters> {
        let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(map.entry(topic.to_owned()).or_default())
    }

    /// The counters of a topic that is sent.
    #[must_use]
    pub fn sent(&self, topic: &str) -> Arc<Counters> {
        Self::of(&self.sent, topic)
    }

    /// The counters of a topic that is received, by its name here.
    #[must_use]
    pub fn received(&self, topic: &str) -> Arc<Counters> {
        Self::of(&self.received, topic)
    }

    /// All of it, as one object.
    #[must_use]
    pub fn json(&self) -> Value {
        let all = |map: &Mutex<BTreeMap<String, Arc<Counters>>>| {
            let map = map.lock().unwrap_or_else(PoisonError::into_inner);
            Value::Object(map.iter().map(|(topic, counters)| (topic.clone(), counters.json())).collect())
        };
        json!({ "sent": all(&self.sent), "received": all(&self.received) })
    }
}

/// Says something that is not a result. A standard error output that cannot be written to is no reason to fail.
pub(crate) fn note(text: &str) {
    let safe: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    let _ = writeln!(std::io::stderr(), "shmflow-bridge: {safe}");
}
