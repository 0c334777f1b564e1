//! All topics of a directory, looked at again and again: what `top`, `metrics` and `serve` show.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use shmflow::{Delivery, Error, FrameTime, ParticipantInfo, Rate, Role, TopicInfo};

use super::stats::Window;
use shmflow::TopicState;
use shmflow::meta::Content;

/// Looks that a history reaches back.
pub(crate) const HISTORY: usize = 120;
/// Intervals between frames that jitter is computed from.
const INTERVALS: usize = 120;

/// What is known of all topics.
#[derive(Debug)]
pub(crate) struct Overview {
    dir: Option<PathBuf>,
    topics: BTreeMap<String, Watched>,
    unreadable: Vec<(String, Error)>,
}

/// How a topic was at one look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moment {
    /// Frames a second since the look before.
    pub(crate) rate: f64,
    /// Frames that the consumer furthest behind had not read.
    pub(crate) lag: u64,
    /// Frames that participants lost or dropped since the look before, a second.
    pub(crate) lost: f64,
}

/// One topic over time.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) info: TopicInfo,
    pub(crate) state: TopicState,
    pub(crate) what: Content,
    /// Frames a second since the look before.
    pub(crate) rate: f64,
    /// The newest looks, the oldest first.
    pub(crate) history: VecDeque<Moment>,
    looked_at: Instant,
    last: Option<FrameTime>,
    intervals: Window,
    /// What each participant published or received since the look before, a second.
    pub(crate) paces: BTreeMap<(u8, u64), Rate>,
}

impl Overview {
    pub(crate) fn new(dir: Option<&Path>) -> Self {
        Self { dir: dir.map(Path::to_path_buf), topics: BTreeMap::new(), unreadable: Vec::new() }
    }

    /// Looks at all topics.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub(crate) fn look(&mut self) -> Result<(), Error> {
        let all = shmflow::inspect_all(self.dir.as_deref())?;
        let mut before = std::mem::take(&mut self.topics);
        self.unreadable.clear();
        for (name, info) in all {
            match info {
                Ok(info) => {
                    let watched = match before.remove(&name) {
                        Some(watched) => watched.again(info),
                        None => Watched::new(info),
                    };
                    self.topics.insert(name, watched);
                }
                Err(error) => self.unreadable.push((name, error)),
            }
        }
        Ok(())
    }

    /// Topics whose files could not be read at the last look.
    pub(crate) fn unreadable(&self) -> &[(String, Error)] {
        &self.unreadable
    }

    /// Why a topic cannot be read.
    pub(crate) fn error_of(&self, topic: &str) -> Option<&Error> {
        self.unreadable.iter().find(|(name, _)| name == topic).map(|(_, error)| error)
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
            history: VecDeque::new(),
            looked_at: Instant::now(),
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
        new.remember(0.0);
        new
    }

    fn again(mut self, info: TopicInfo) -> Self {
        let Some(rate) = info.rate_since(&self.info) else { return Self::new(info) };
        let paces = info.participants.iter().filter_map(|p| {
            let pace = info.rate_of(p, &self.info)?;
            Some(((p.id.id, p.id.generation), pace))
        });
        self.paces = paces.collect();
        let now = Instant::now();
        let span = now.saturating_duration_since(self.looked_at).as_secs_f64();
        let lost = lost_since(&info, &self.info) as f64 / span.max(1e-3);
        self.looked_at = now;
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
        self.remember(lost);
        self
    }

    fn remember(&mut self, lost: f64) {
        if self.history.len() >= HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(Moment { rate: self.rate, lag: self.lag(), lost });
    }

    fn see_frames(&mut self) {
        for frame in &self.info.recent {
            match self.last {
                Some(last) if last.seq >= frame.seq => continue,
                Some(last) if last.seq.checked_add(1) == Some(frame.seq) => {
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

    /// Frames that the consumer furthest behind has not read; of those that take only the newest none are left.
    pub(crate) fn lag(&self) -> u64 {
        let behind = self.info.consumers().filter(|p| p.delivery != Some(Delivery::Latest));
        behind.filter_map(|p| p.lag).max().unwrap_or(0)
    }

    /// Frames that its participants lost or dropped.
    pub(crate) fn lost(&self) -> u64 {
        self.info.participants.iter().map(|p| p.lost).fold(0, u64::saturating_add)
    }

    /// Whether a consumer that lags as far as the ring holds frames, and does not wait for any, has taken none since the look
    /// before, while others came.
    pub(crate) fn has_stalled(&self, p: &ParticipantInfo) -> bool {
        let depth = self.info.geometry.map_or(u64::MAX, |geometry| geometry.depth.into());
        let pace = self.paces.get(&(p.id.id, p.id.generation));
        p.role == Role::Consumer
            && p.active
            && !p.waiting
            && p.lag.is_some_and(|lag| lag >= depth)
            && self.rate > 0.0
            && pace.is_some_and(|pace| pace.frames <= 0.0)
    }

    pub(crate) fn copied(&self) -> u64 {
        self.info.participants.iter().map(|p| p.copied).fold(0, u64::saturating_add)
    }

    /// Slots that consumers hold.
    pub(crate) fn leases(&self) -> u32 {
        self.info.consumers().filter_map(|p| p.held_slots).fold(0, u32::saturating_add)
    }
}

/// Frames that participants lost or dropped between two looks: of those that were there at both, and of those that came.
fn lost_since(info: &TopicInfo, before: &TopicInfo) -> u64 {
    let own = |p: &ParticipantInfo| before.participants.iter().find(|known| known.id == p.id);
    let lost = |p: &ParticipantInfo| p.lost.saturating_sub(own(p).map_or(0, |known| known.lost));
    info.participants.iter().map(lost).fold(0, u64::saturating_add)
}
