//! Frames of one topic into the network, as long as they are wanted there.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use shmflow::meta::{Clock, Flags, MetaHeader};
use shmflow::{CancelToken, Consumer, Delivery, Error, Frame, StartAt, Topic};
use zenoh::bytes::ZBytes;
use zenoh::pubsub::Publisher;
use zenoh::qos::CongestionControl;
use zenoh::{Session, Wait};

use crate::local::{MIRROR, identity};
use crate::readers::{GRACE, Readers};
use crate::stats::{Counters, note};
use crate::wire::{FrameHeader, Request, What};

/// Messages that may be on their way unacknowledged, and bytes of these, on a lossless topic.
const WINDOW: usize = 16;
const WINDOW_BYTES: usize = 32 << 20;
/// Without a word from the readers for so long, the oldest message is sent again.
const PROBE: Duration = Duration::from_secs(3);

/// What is to be pumped.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) topic: String,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) session: Session,
    pub(crate) publisher: Arc<Publisher<'static>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) max_rate: Option<f64>,
    pub(crate) lossless: bool,
    /// Its topic may not be there yet: an encoder makes it.
    pub(crate) waits: bool,
    /// Tells this pump from all others.
    pub(crate) turn: u64,
}

/// Why a pump came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PumpEnd {
    /// Nobody reads it any more.
    Unwanted,
    /// The topic is gone.
    Removed,
    /// It failed, and told why.
    Failed,
}

/// What others want of a pump.
#[derive(Debug)]
struct Wanted {
    stop: bool,
    key_frame: bool,
    /// Send again what was not acknowledged.
    again: bool,
    /// There is no reader, since then.
    unread_since: Option<Instant>,
    readers: Readers,
}

#[derive(Debug)]
struct Shared {
    cancel: CancelToken,
    wanted: Mutex<Wanted>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that pumps.
#[derive(Debug)]
pub(crate) struct Pump {
    shared: Arc<Shared>,
    turn: u64,
    thread: Option<JoinHandle<()>>,
}

impl Pump {
    /// Begins; `ended` is called when it is over, and not when it was stopped.
    pub(crate) fn start(job: Job, ended: impl FnOnce(PumpEnd) + Send + 'static) -> std::io::Result<Self> {
        let readers = Readers::new(Instant::now());
        let wanted = Wanted { stop: false, key_frame: false, again: false, unread_since: None, readers };
        let shared = Arc::new(Shared {
            cancel: CancelToken::new(),
            wanted: Mutex::new(wanted),
            changed: Condvar::new(),
        });
        let turn = job.turn;
        let own = Arc::clone(&shared);
        let run = move || {
            job.counters.active.store(1, Relaxed);
            let end = Running::new(&job, &own).run();
            job.counters.active.store(0, Relaxed);
            if !own.lock().stop {
                ended(end);
            }
        };
        let thread = std::thread::Builder::new().name("bridge-send".into()).spawn(run)?;
        Ok(Self { shared, turn, thread: Some(thread) })
    }

    pub(crate) fn turn(&self) -> u64 {
        self.turn
    }

    /// What a reader asks for.
    pub(crate) fn request(&self, reader: u128, request: Request) {
        let mut wanted = self.shared.lock();
        match request {
            Request::Start => {
                wanted.readers.start(reader);
                wanted.again = true;
                self.shared.cancel.cancel();
            }
            Request::Stop => wanted.readers.stop(reader, Instant::now()),
            Request::KeyFrame => {
                wanted.key_frame = true;
                self.shared.cancel.cancel();
            }
            Request::Ack { turn, index } if turn == self.turn => wanted.readers.ack(reader, index),
            Request::Ack { .. } => {}
        }
        drop(wanted);
        self.shared.changed.notify_all();
    }

    /// A reader's bridge is gone. It is waited for, some time.
    pub(crate) fn reader_gone(&self, reader: u128) {
        self.shared.lock().readers.gone(reader, Instant::now());
        self.shared.changed.notify_all();
    }

    /// A lossless one waits some time for readers to come back.
    pub(crate) fn set_read(&self, is_read: bool) {
        let mut wanted = self.shared.lock();
        wanted.unread_since = (!is_read).then(Instant::now);
        wanted.again |= is_read;
        drop(wanted);
        self.shared.cancel.cancel();
        self.shared.changed.notify_all();
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.cancel.cancel();
        self.shared.changed.notify_all();
        // A panic over there was told there.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A message that was not acknowledged yet.
struct Sent {
    header: FrameHeader,
    meta: Vec<u8>,
    payload: Option<Frame>,
}

impl Sent {
    fn len(&self) -> usize {
        self.meta.len() + self.payload.as_ref().map_or(0, Frame::len)
    }
}

struct Running<'a> {
    job: &'a Job,
    shared: &'a Shared,
    stream: u64,
    index: u64,
    seq: u64,
    omitted: u64,
    /// It keeps to a rate: not of streams whose frames need those before them.
    thinned: bool,
    told_end: bool,
    in_flight: VecDeque<Sent>,
    heard: Instant,
}

impl<'a> Running<'a> {
    fn new(job: &'a Job, shared: &'a Shared) -> Self {
        Self {
            job,
            shared,
            stream: 0,
            index: 0,
            seq: 0,
            omitted: 0,
            thinned: job.max_rate.is_some(),
            told_end: false,
            in_flight: VecDeque::new(),
            heard: Instant::now(),
        }
    }

    fn run(mut self) -> PumpEnd {
        let opened = loop {
            match self.open() {
                Err(Error::Cancelled { .. }) if self.heed(None) => return PumpEnd::Unwanted,
                Err(Error::Cancelled { .. }) => {}
                opened => break opened,
            }
        };
        let mut consumer = match opened {
            Ok(consumer) => consumer,
            Err(Error::TopicNotFound { .. } | Error::Removed { .. }) => return PumpEnd::Removed,
            Err(error) => {
                note(&format!("cannot send: {error}"));
                return PumpEnd::Failed;
            }
        };
        loop {
            if self.heed(Some(&consumer)) {
                return PumpEnd::Unwanted;
            }
            if self.is_window_full() {
                self.wait_for_acknowledgement();
                continue;
            }
            match self.next(&mut consumer) {
                Ok(Some(frame)) => self.send_frame(&mut consumer, frame),
                Ok(None) | Err(Error::Ended { .. }) => {
                    self.told_end = true;
                    self.send(What::End, None, 0, Vec::new(), None);
                }
                Err(Error::Cancelled { .. } | Error::Timeout { .. }) => {}
                Err(Error::Removed { .. }) => {
                    self.send(What::Removed, None, 0, Vec::new(), None);
                    self.wait_for_readers();
                    return PumpEnd::Removed;
                }
                Err(error) => {
                    note(&format!("sending stops: {error}"));
                    return PumpEnd::Failed;
                }
            }
        }
    }

    /// Opens the topic, and knows which of those that had this name it is.
    fn open(&mut self) -> Result<Consumer, Error> {
        let job = self.job;
        let builder = || {
            let delivery = if job.lossless { Delivery::All } else { Delivery::Latest };
            let mut builder = Consumer::builder(&job.topic).name(MIRROR).start(StartAt::Oldest);
            builder = builder.delivery(delivery).cancel_token(&self.shared.cancel);
            if let Some(rate) = job.max_rate {
                builder = builder.max_rate(rate);
            }
            if job.waits {
                builder = builder.connect_timeout(None);
            }
            if let Some(dir) = &job.dir { builder.dir(dir) } else { builder }
        };
        let path = Topic::new(&job.topic, job.dir.as_deref())?.peers_path();
        loop {
            let before = identity(&path);
            let consumer = match builder().open() {
                Err(Error::PermissionDenied { .. } | Error::ForeignOwner { .. }) => {
                    if job.lossless {
                        note(&format!(
                            "topic `{}` may only be read by this bridge: its producer does not wait for it, and frames may be lost",
                            job.topic
                        ));
                    }
                    builder().read_only(true).allow_foreign_owner(true).open()?
                }
                opened => opened?,
            };
            if before == identity(&path) {
                self.stream = before;
                return Ok(consumer);
            }
        }
    }

    /// Does what others want; whether to stop.
    fn heed(&mut self, consumer: Option<&Consumer>) -> bool {
        // Before looking: what is wanted after that cancels again.
        self.shared.cancel.reset();
        let mut wanted = self.shared.lock();
        let acked = wanted.readers.acked(Instant::now());
        let is_over = wanted
            .unread_since
            .is_some_and(|since| wanted.readers.is_empty() || !self.job.lossless || since.elapsed() > GRACE);
        if wanted.stop || is_over {
            return true;
        }
        let key_frame = consumer.is_some() && std::mem::take(&mut wanted.key_frame);
        let mut again = std::mem::take(&mut wanted.again);
        let is_read = wanted.unread_since.is_none();
        drop(wanted);
        if key_frame && let Some(consumer) = consumer {
            // A failure is that of a fork, which this program does not make.
            let _ = consumer.request_key_frame();
        }
        let before = self.in_flight.len();
        while self.in_flight.front().is_some_and(|sent| sent.header.index <= acked) {
            self.in_flight.pop_front();
        }
        if self.in_flight.len() != before {
            self.heard = Instant::now();
        }
        again &= is_read;
        if again || is_read && !self.in_flight.is_empty() && self.heard.elapsed() > PROBE {
            self.heard = Instant::now();
            let count = if again { self.in_flight.len() } else { 1 };
            let mut is_base = true;
            for sent in self.in_flight.iter().take(count) {
                let header = FrameHeader { base: is_base, ..sent.header };
                self.put(&header, &sent.meta, sent.payload.as_ref());
                is_base = false;
            }
        }
        false
    }

    /// What is on its way when a lossless topic is removed arrives, too.
    fn wait_for_readers(&mut self) {
        let start = Instant::now();
        while !self.heed(None) && !self.in_flight.is_empty() && start.elapsed() < GRACE {
            self.wait_for_acknowledgement();
        }
    }

    fn wait_for_acknowledgement(&self) {
        let mut wanted = self.shared.lock();
        let acked = wanted.readers.acked(Instant::now());
        let is_missing = self.in_flight.front().is_some_and(|sent| sent.header.index > acked);
        if !wanted.stop && !wanted.again && is_missing {
            let _ = self.shared.changed.wait_timeout(wanted, PROBE / 3);
        }
    }

    fn is_window_full(&self) -> bool {
        let bytes: usize = self.in_flight.iter().map(Sent::len).sum();
        self.in_flight.len() >= WINDOW || bytes >= WINDOW_BYTES
    }

    /// The next frame; `None` for an end that was there before us.
    fn next(&self, consumer: &mut Consumer) -> Result<Option<Frame>, Error> {
        // Asked first: what is published between the two is no end. One that keeps to a rate may yet have to take a frame.
        let ended = consumer.stream_status().ended && !self.thinned;
        match consumer.try_recv()? {
            Some(frame) => Ok(Some(frame)),
            None if ended && !self.told_end => Ok(None),
            None if self.job.lossless => consumer.recv_timeout(PROBE / 3).map(Some),
            None => consumer.recv().map(Some),
        }
    }

    fn send_frame(&mut self, consumer: &mut Consumer, frame: Frame) {
        self.told_end = false;
        let meta = frame.meta_bytes();
        let times = MetaHeader::parse(&meta).map(|header| header.per_frame()).unwrap_or_default();
        let is_delta = times.flags.contains(Flags::DELTA_UNIT);
        if is_delta {
            // Of those each needs the ones before it.
            consumer.lift_max_rate();
            self.thinned = false;
        }
        let capture_ns = times.times.capture_ns.filter(|_| times.times.clock == Clock::Monotonic);
        if self.seq != 0 {
            let gap = frame.seq().saturating_sub(self.seq).saturating_sub(1);
            // What a delta unit needs, and has not got, is lost.
            let omitted = if is_delta { 0 } else { gap.saturating_sub(frame.lost_before()) };
            self.omitted += omitted;
            self.job.counters.omitted.fetch_add(omitted, Relaxed);
        }
        self.seq = frame.seq();
        let counters = &self.job.counters;
        counters.frames.fetch_add(1, Relaxed);
        counters.bytes.fetch_add(frame.len() as u64, Relaxed);
        counters.lost.fetch_add(frame.lost_before(), Relaxed);
        let published_ns = frame.published_ns();
        self.send(What::Frame, capture_ns, published_ns, meta, Some(frame));
    }

    fn send(
        &mut self,
        what: What,
        capture_ns: Option<u64>,
        published_ns: u64,
        meta: Vec<u8>,
        payload: Option<Frame>,
    ) {
        self.index += 1;
        let header = FrameHeader {
            what,
            lossless: self.job.lossless,
            thinned: self.thinned,
            base: self.in_flight.is_empty(),
            stream: self.stream,
            turn: self.job.turn,
            index: self.index,
            seq: self.seq,
            omitted: self.omitted,
            capture_ns,
            published_ns,
        };
        if self.in_flight.is_empty() {
            self.heard = Instant::now();
        }
        self.put(&header, &meta, payload.as_ref());
        if self.job.lossless {
            self.in_flight.push_back(Sent { header, meta, payload });
        }
    }

    /// The payload is the frame's bytes where they are: they are copied once, into the packets of the network.
    fn put(&self, header: &FrameHeader, meta: &[u8], payload: Option<&Frame>) {
        let payload = payload.map_or_else(ZBytes::new, |frame| Bytes::from_owner(frame.clone()).into());
        let attachment = header.encode(meta);
        // An error is that of a session that is closed: the end is near.
        let _ = match header.what {
            What::Frame => self.job.publisher.put(payload).attachment(attachment).wait(),
            // These are not said again: on a link that is busy they wait for their turn.
            What::End | What::Removed => self
                .job
                .session
                .put(self.job.publisher.key_expr().clone(), payload)
                .congestion_control(CongestionControl::Block)
                .attachment(attachment)
                .wait(),
        };
    }
}
