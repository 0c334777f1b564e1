//! The topics that somebody watches. Each has a thread that takes its newest frames and makes pictures of them
//! ([`encoder`](super::encoder)), only while viewers wait for one, and the same for all of them.
//!
//! A viewer that does not read asks for nothing, and costs nothing: it holds no lease and not more than the one picture that is
//! being sent.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use futures_util::future::{Either, select};
use shmflow::Error;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::encoder;
use super::shot::{SIZES, Shot, Size};
use crate::text;

/// Topics that are watched at once, at most: each takes a thread, a consumer's place and memory for a frame.
const MOST: usize = 64;
/// To open a topic, and to take and convert a frame, takes no longer, unless the machine is overloaded.
const CHECK: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) fps: u32,
    pub(super) quality: u8,
}

/// Why there is no picture.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) text: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = match error {
            Error::TopicNotFound { .. } => StatusCode::NOT_FOUND,
            Error::Removed { .. } | Error::Ended { .. } | Error::NoProducer { .. } => StatusCode::GONE,
            Error::InvalidTopicName { .. } => StatusCode::BAD_REQUEST,
            Error::PermissionDenied { .. }
            | Error::ForeignOwner { .. }
            | Error::ReadOnlyNotAllowed { .. } => StatusCode::FORBIDDEN,
            Error::Busy { .. } | Error::Timeout { .. } => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, text::safe(&error.to_string()))
    }
}

/// All topics that are watched.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) dir: Option<PathBuf>,
    pub(super) settings: Settings,
    stopped: watch::Receiver<bool>,
    topics: Mutex<Topics>,
    /// So many pictures are made at once, whatever is watched: the machine's other cores are the producers'.
    turns: Semaphore,
    /// Pictures that were made, ever.
    made: AtomicU64,
}

#[derive(Debug, Default)]
struct Topics {
    watched: HashMap<String, Arc<Channel>>,
    threads: Vec<JoinHandle<()>>,
}

/// From the thread of a topic to its viewers.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) topic: String,
    demand: Mutex<Demand>,
    changed: Condvar,
    shown: [watch::Sender<Shown>; SIZES.len()],
}

#[derive(Debug, Default)]
struct Demand {
    /// Viewers that wait for a picture, by its size.
    waiting: [u32; SIZES.len()],
    /// How often somebody began to wait.
    asked: u64,
    /// The thread has ended, or will.
    closed: bool,
}

/// The newest picture.
#[derive(Clone, Debug, Default)]
struct Shown {
    /// It was the newest when so many had asked.
    checked: u64,
    what: Option<Result<Arc<Shot>, Refusal>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Live {
    pub(super) fn new(dir: Option<&Path>, settings: Settings, stopped: watch::Receiver<bool>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            dir: dir.map(Path::to_path_buf),
            settings,
            stopped,
            topics: Mutex::default(),
            turns: Semaphore::new((cores / 4).max(1)),
            made: AtomicU64::new(0),
        }
    }

    /// Pictures that were made of frames since the start, whoever looked.
    pub(super) fn made(&self) -> u64 {
        self.made.load(Relaxed)
    }

    pub(super) fn count_picture(&self) {
        self.made.fetch_add(1, Relaxed);
    }

    /// The newest picture of a topic, waiting so long for another one than the viewer `has`; `None` if there is none.
    pub(super) async fn next(
        self: &Arc<Self>,
        topic: &str,
        size: Size,
        has: Option<&str>,
        patience: Duration,
    ) -> Result<Option<Arc<Shot>>, Refusal> {
        match select(pin!(self.stopped()), pin!(self.newest(topic, size, has, patience))).await {
            Either::Left(_) => Err(Self::ends()),
            Either::Right((result, _)) => result,
        }
    }

    fn ends() -> Refusal {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "shmflow serve ends")
    }

    async fn newest(
        self: &Arc<Self>,
        topic: &str,
        size: Size,
        has: Option<&str>,
        patience: Duration,
    ) -> Result<Option<Arc<Shot>>, Refusal> {
        let waiting = loop {
            // One that is about to end takes nobody any more.
            if let Some(waiting) = Waiting::begin(&self.channel(topic)?, size) {
                break waiting;
            }
        };
        let mut shown = waiting.channel.shown(size).subscribe();
        let current = match timeout(CHECK, shown.wait_for(|shown| shown.checked >= waiting.ticket)).await {
            Ok(Ok(shown)) => shown.what.clone().transpose()?,
            _ => {
                return Err(Refusal::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the picture was not ready in time",
                ));
            }
        };
        let held = match current {
            Some(shot) if has.is_none_or(|has| has != shot.tag) => return Ok(Some(shot)),
            current => current.map(|shot| shot.tag.clone()),
        };
        let is_other = |shown: &Shown| match &shown.what {
            Some(Ok(shot)) => Some(&shot.tag) != held.as_ref(),
            Some(Err(_)) => true,
            None => false,
        };
        match timeout(patience, shown.wait_for(is_other)).await {
            Ok(Ok(shown)) => shown.what.clone().transpose(),
            _ => Ok(None),
        }
    }

    /// Ends when the program does.
    pub(super) async fn stopped(&self) {
        let _ = self.stopped.clone().wait_for(|stopped| *stopped).await;
    }

    pub(super) fn is_stopped(&self) -> bool {
        *self.stopped.borrow()
    }

    fn channel(self: &Arc<Self>, topic: &str) -> Result<Arc<Channel>, Refusal> {
        let mut topics = lock(&self.topics);
        if let Some(channel) = topics.watched.get(topic) {
            return Ok(Arc::clone(channel));
        }
        let unavailable = |text| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text);
        if self.is_stopped() {
            return Err(Self::ends());
        }
        if topics.watched.len() >= MOST {
            return Err(unavailable(format!("{MOST} topics are watched already, and no more at a time")));
        }
        topics.threads.retain(|thread| !thread.is_finished());
        let channel = Arc::new(Channel {
            topic: topic.to_owned(),
            demand: Mutex::default(),
            changed: Condvar::new(),
            shown: Default::default(),
        });
        let (live, own, runtime) = (Arc::clone(self), Arc::clone(&channel), Handle::current());
        let thread = std::thread::Builder::new()
            .name("pictures".into())
            .spawn(move || encoder::run(&live, &own, &runtime))
            .map_err(|error| unavailable(format!("no thread can be started: {error}")))?;
        topics.threads.push(thread);
        topics.watched.insert(topic.to_owned(), Arc::clone(&channel));
        Ok(channel)
    }

    /// Waits until a picture may be made. By then the program may have been stopped.
    pub(super) fn take_turn(&self, runtime: &Handle) -> Option<tokio::sync::SemaphorePermit<'_>> {
        runtime.block_on(self.turns.acquire()).ok()
    }

    /// Nobody watches this topic any more: or somebody came meanwhile, and `false` is returned.
    pub(super) fn close_unwatched(&self, channel: &Channel) -> bool {
        let mut topics = lock(&self.topics);
        let mut demand = lock(&channel.demand);
        if demand.waiting != [0; SIZES.len()] && !self.is_stopped() {
            return false;
        }
        demand.closed = true;
        topics.watched.remove(&channel.topic);
        true
    }

    /// This topic cannot be watched any more.
    pub(super) fn close_with(&self, channel: &Channel, refusal: &Refusal) {
        let mut topics = lock(&self.topics);
        lock(&channel.demand).closed = true;
        topics.watched.remove(&channel.topic);
        for size in SIZES {
            let shown = Shown { checked: u64::MAX, what: Some(Err(refusal.clone())) };
            channel.shown(size).send_replace(shown);
        }
    }

    /// Waits for all threads, so that each consumer leaves its topic. After the stop.
    pub(super) fn end(&self) {
        let threads = {
            let mut topics = lock(&self.topics);
            topics.watched.values().for_each(|channel| channel.changed.notify_all());
            std::mem::take(&mut topics.threads)
        };
        for thread in threads {
            // One that panicked has told so.
            let _ = thread.join();
        }
    }
}

impl Channel {
    fn shown(&self, size: Size) -> &watch::Sender<Shown> {
        let [full, small] = &self.shown;
        match size {
            Size::Full => full,
            Size::Small => small,
        }
    }

    /// Waits until viewers wait: how often somebody asked up to now. `None` if nobody does until then.
    pub(super) fn wait_for_viewers(&self, until: Instant, live: &Live) -> Option<u64> {
        let mut demand = lock(&self.demand);
        while demand.waiting == [0; SIZES.len()] && !live.is_stopped() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            demand = self.changed.wait_timeout(demand, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        (!live.is_stopped()).then_some(demand.asked)
    }

    /// Sizes that viewers wait for.
    pub(super) fn wanted(&self) -> impl Iterator<Item = Size> {
        let waiting = lock(&self.demand).waiting;
        SIZES.into_iter().zip(waiting).filter_map(|(size, count)| (count != 0).then_some(size))
    }

    /// Whether this is what is shown in that size.
    pub(super) fn shows(&self, size: Size, tag: &str) -> bool {
        matches!(&self.shown(size).borrow().what, Some(Ok(shot)) if shot.tag == tag)
    }

    /// This is the newest.
    pub(super) fn show(&self, size: Size, asked: u64, shot: Shot) {
        self.shown(size).send_modify(|shown| {
            shown.checked = shown.checked.max(asked);
            shown.what = Some(Ok(Arc::new(shot)));
        });
    }

    /// What is shown, if anything is, was the newest when so many had asked.
    pub(super) fn confirm(&self, size: Size, asked: u64) {
        self.shown(size).send_modify(|shown| shown.checked = shown.checked.max(asked));
    }
}

/// A viewer that waits for a picture, until this is dropped.
struct Waiting {
    channel: Arc<Channel>,
    size: Size,
    ticket: u64,
}

impl Waiting {
    fn begin(channel: &Arc<Channel>, size: Size) -> Option<Self> {
        let mut demand = lock(&channel.demand);
        if demand.closed {
            return None;
        }
        demand.asked += 1;
        demand.count(size, |count| count.saturating_add(1));
        let ticket = demand.asked;
        channel.changed.notify_all();
        Some(Self { channel: Arc::clone(channel), size, ticket })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        lock(&self.channel.demand).count(self.size, |count| count.saturating_sub(1));
    }
}

impl Demand {
    fn count(&mut self, size: Size, change: impl FnOnce(u32) -> u32) {
        let [full, small] = &mut self.waiting;
        let count = match size {
            Size::Full => full,
            Size::Small => small,
        };
        *count = change(*count);
    }
}
