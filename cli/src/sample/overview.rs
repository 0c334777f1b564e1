//! All topics of a directory, looked at again and again: what `top` and `metrics` show.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;

use shmflow::{Error, FrameTime, TopicInfo};

use super::stats::Window;
use shmflow::TopicState;
use shmflow::meta::Content;

/// Looks that a history reaches back.
pub(crate) const HISTORY: usize = 60;
/// Intervals between frames that jitter is computed from.
const INTERVALS: usize = 120;

/// What is known of all topics.
#[derive(Debug)]
pub(crate) struct Overview {
    dir: Option<PathBuf>,
    topics: BTreeMap<String, Watched>,
}

/// One topic over time.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) info: TopicInfo,
    pub(crate) state: TopicState,
    pub(crate) what: Content,
    /// Frames a second since the look before.
    pub(crate) rate: f64,
    /// Those of the newest looks, the oldest first.
    pub(crate) rates: VecDeque<f64>,
    last: Option<FrameTime>,
    intervals: Window,
    /// Frames and bytes that each participant had at the look before, and what came since, a second.
    pub(crate) paces: BTreeMap<(u8, u64), f64>,
}

impl Overview {
    pub(crate) fn new(dir: Option<&Path>) -> Self {
        Self { dir: dir.map(Path::to_path_buf), topics: BTreeMap::new() }
    }

    /// Looks at all topics. Topics that cannot be read are left out, and counted.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub(crate) fn look(&mut self) -> Result<usize, Error> {
        let mut unreadable = 0;
        let mut before = std::mem::take(&mut self.topics);
        for (name, info) in shmflow::inspect_all(self.dir.as_deref())? {
            match info {
                Ok(info) => {
                    let watched = match before.remove(&name) {
                        Some(watched) => watched.again(info),
                        None => Watched::new(info),
                    };
                    self.topics.insert(name, watched);
                }
                Err(_) => unreadable += 1,
            }
        }
        Ok(unreadable)
    }

    pub(crate) fn topics(&self) -> impl Iterator<Item = &Watched> {
        self.topics.values()
    }

    pub(crate) fn get(&self, topic: &str) -> Option<&Watched> {
        self.topics.get(topic)
    }
}

impl Watched {
    fn new(info: TopicInfo) -> Self {
        let mut new = Self {
            state: info.state(),
            what: info.content(),
            rate: 0.0,
            rates: VecDeque::new(),
            last: None,
            intervals: Window::new(INTERVALS),
            paces: BTreeMap::new(),
            info,
        };
        new.see_frames();
        new.rate = match super::flow::Flow::of(&new.info).pace() {
            super::meter::Pace::Measured { frames, .. } => frames,
            super::meter::Pace::Below(_) => 0.0,
        };
        new.rates.push_back(new.rate);
        new
    }

    fn again(mut self, info: TopicInfo) -> Self {
        let Some(rate) = info.rate_since(&self.info) else { return Self::new(info) };
        let paces = info.participants.iter().filter_map(|p| {
            let pace = info.rate_of(p, &self.info)?.frames;
            Some(((p.id.id, p.id.generation), pace))
        });
        self.paces = paces.collect();
        let before = self.last;
        self.state = info.state();
        if info.newest.is_some() {
            self.what = info.content();
        }
        self.info = info;
        self.see_frames();
        // Between two frames lie whole intervals; between two looks not.
        self.rate = match (before, self.last) {
            (Some(from), Some(to)) if to.seq > from.seq && to.published_ns > from.published_ns => {
                (to.seq - from.seq) as f64 / ((to.published_ns - from.published_ns) as f64 / 1e9)
            }
            _ => rate.frames,
        };
        if self.rates.len() >= HISTORY {
            self.rates.pop_front();
        }
        self.rates.push_back(self.rate);
        self
    }

    fn see_frames(&mut self) {
        for frame in &self.info.recent {
            match self.last {
                Some(last) if last.seq >= frame.seq => continue,
                Some(last) if last.seq + 1 == frame.seq => {
                    let interval = frame.published_ns.saturating_sub(last.published_ns);
                    self.intervals.push(interval as f64 / 1e9);
                }
                _ => {}
            }
            self.last = Some(*frame);
        }
    }

    /// The standard deviation of the time between two frames.
    pub(crate) fn jitter(&self) -> Option<Duration> {
        let stats = self.intervals.stats().filter(|stats| stats.count >= 2)?;
        Duration::try_from_secs_f64(stats.deviation).ok()
    }

    pub(crate) fn age(&self) -> Option<Duration> {
        self.info.newest.as_ref().map(shmflow::FrameInfo::age)
    }

    pub(crate) fn latency(&self) -> Option<Duration> {
        self.info.newest.as_ref().and_then(shmflow::FrameInfo::latency)
    }

    /// Frames that the consumer furthest behind has not read.
    pub(crate) fn lag(&self) -> u64 {
        self.info.consumers().filter_map(|p| p.lag).max().unwrap_or(0)
    }

    /// Frames that its participants lost or dropped.
    pub(crate) fn lost(&self) -> u64 {
        self.info.participants.iter().map(|p| p.lost).fold(0, u64::saturating_add)
    }

    pub(crate) fn copied(&self) -> u64 {
        self.info.participants.iter().map(|p| p.copied).fold(0, u64::saturating_add)
    }

    /// Slots that consumers hold.
    pub(crate) fn leases(&self) -> u32 {
        self.info.consumers().filter_map(|p| p.held_slots).fold(0, u32::saturating_add)
    }
}
