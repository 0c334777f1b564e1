//! Reading frames from a topic.

mod arrival;
mod builder;
mod busy_wait;
mod copy_reason;
mod filter;
mod frame;
mod key_frame;
mod pending;
mod place;
mod poll_fd;
mod pool;
mod receive;
mod selection;
mod wait;
mod wait_condition;
mod watchers;

pub use builder::{ConsumerBuilder, OnLapped};
pub use copy_reason::CopyReason;
pub(crate) use filter::Filter;
pub use frame::{Frame, SharedMapping};
pub use pending::PendingConsumer;

use std::sync::atomic::{AtomicU32, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::info::{ConsumerInfo, Geometry, ParticipantId};
use crate::layout::peers::CAPS_BYTES;
use crate::layout::view::LoadAcquire;
use crate::layout::words::{PRODUCERS, bit};
use crate::lifecycle::files::Mode;
use crate::lifecycle::follow;
use crate::protocol::fail_points::fail_point;
use crate::protocol::lease::{newest_readable, next_seq};
use crate::protocol::{FailPoint, Memory, backlog};
use crate::shm::epoch::Epoch;
use crate::shm::participants::End;
use crate::sys::cancel::CancelToken;
use crate::sys::clock::Deadline;
use crate::trace::ConsumerTrace;
use pool::Pool;

/// Reads frames from a topic, each once and in order. `Send`; several threads need a consumer each.
///
/// ```
/// # let dir = std::env::temp_dir().join(format!("shmflow-doc-c-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir).unwrap();
/// let producer = shmflow::Producer::builder("doc/consumer").dir(&dir).open()?;
/// let mut consumer = shmflow::Consumer::builder("doc/consumer").dir(&dir).open()?;
/// producer.write(b"hello")?;
/// let frame = consumer.recv()?;             // a lease: no copy was made
/// assert_eq!((&*frame, frame.seq(), frame.lost_before()), (&b"hello"[..], 1, 0));
/// producer.end();
/// assert!(matches!(consumer.recv(), Err(shmflow::Error::Ended { .. })));
/// # drop((frame, consumer, producer)); std::fs::remove_dir_all(&dir).unwrap();
/// # Ok::<(), shmflow::Error>(())
/// ```
#[derive(Debug)]
pub struct Consumer {
    epoch: Arc<Epoch>,
    /// Epochs left behind, which leases may keep mapped.
    old: Vec<Weak<Epoch>>,
    mode: Mode,
    cursor: u64,
    joined_at: u64,
    /// Frames lost since the last received frame.
    lost: u64,
    on_lapped: OnLapped,
    selection: selection::Selection,
    filter: Filter,
    max_leases: u32,
    allow_copies: bool,
    always_copy: bool,
    /// If it is to be reported that no producer is left: the newest producer, by its generation, of which that was.
    known_absence: Option<u64>,
    /// Leases given out and not dropped yet.
    leases: Arc<AtomicU32>,
    pool: Pool,
    cancel_token: CancelToken,
    stats: ConsumerStats,
    /// The newest end that is not to be reported: it was reported already, or was there before this consumer.
    known_end: Option<End>,
    pace: arrival::ArrivalTimer,
    busy_wait: busy_wait::BusyWait,
    /// Set once the program has asked for a descriptor.
    poll_fd: Option<poll_fd::ReadyFd>,
    /// As long as it has no place among the participants, but would like one.
    placeless: Option<Box<place::Placeless>>,
    /// What it was before its topic was there, to be that again.
    origin: Option<Box<PendingConsumer>>,
    room: frame::FrameAlloc,
    /// What was told of copies and losses.
    trace: ConsumerTrace,
}

/// What a consumer has received so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumerStats {
    /// Frames received.
    pub received: u64,
    /// Frames lost: overwritten before they were read.
    pub lost: u64,
    /// Frames received as copies.
    pub copied: u64,
    /// Frames that were looked for when they were due, and found ([`busy_wait`](ConsumerBuilder::busy_wait)).
    pub expected: u64,
    /// Payload bytes received.
    pub bytes: u64,
    /// Frames received that were not given out, since they were older than [`max_age`](ConsumerBuilder::max_age).
    pub skipped: u64,
    /// Leases held now.
    pub leases: u32,
}

/// The producers of a topic, and whether its stream has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamStatus {
    /// Producers that are alive.
    pub producers: u32,
    /// The stream has ended: every producer ended it, or the last one did before it left.
    pub ended: bool,
}

/// How many epochs at once are looked into for the newest frame; more than ever have names.
const EPOCHS_AHEAD: u32 = 8;

/// Whether accepted caps fit into a participant's entry.
fn check_accepted_caps(caps: &str) -> Result<()> {
    if caps.len() > CAPS_BYTES {
        let what = format!("accepted caps of {} bytes (at most {CAPS_BYTES})", caps.len());
        return Err(Error::InvalidArgument { what });
    }
    Ok(())
}

impl Consumer {
    /// Opens a topic that is there, with default settings.
    ///
    /// # Errors
    /// Those of [`ConsumerBuilder::open`].
    pub fn open(topic: &str) -> Result<Self> {
        Self::builder(topic).open()
    }

    /// Settings to open a topic with.
    pub fn builder(topic: &str) -> ConsumerBuilder {
        ConsumerBuilder::new(topic)
    }

    /// The topic's name.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.epoch.member.topic_name()
    }

    /// This consumer among the topic's participants; `None` if it is not registered, and so receives copies. One that opened
    /// when there was no place tries again from time to time.
    #[must_use]
    pub fn id(&self) -> Option<ParticipantId> {
        let member = &self.epoch.member;
        member.id().map(|id| ParticipantId { id, generation: member.generation() })
    }

    /// The next frame; waits for it without a limit.
    ///
    /// # Errors
    /// [`Error::Ended`], once for each end, when everything was read and the producers ended the stream. It may go on
    /// later: the next call waits for that. [`Error::NoProducer`] and [`Error::WouldCopy`] if the builder asked for them
    /// ([`report_no_producer`](ConsumerBuilder::report_no_producer),
    /// [`allow_copies`](ConsumerBuilder::allow_copies)). [`Error::Cancelled`]; [`Error::Removed`] if the topic was removed: open it
    /// again; [`Error::Corrupt`].
    pub fn recv(&mut self) -> Result<Frame> {
        self.recv_until(None)
    }

    /// The next frame; waits for it at most `timeout`.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), and [`Error::Timeout`].
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Frame> {
        self.recv_until(Some(Deadline::after(timeout)))
    }

    /// The next frame if there is one. Makes no system call (one or two when it finds nothing and
    /// [`poll_fd`](Self::poll_fd) is in use, and when it checks, every five seconds at most, whether the topic still
    /// exists). Does not report the end of the stream.
    ///
    /// # Errors
    /// [`Error::Removed`] if the topic is gone and every frame of it was read; [`Error::Corrupt`].
    pub fn try_recv(&mut self) -> Result<Option<Frame>> {
        self.epoch.member.check_fork()?;
        let frame = self.poll()?;
        if frame.is_none() {
            self.check_removed()?;
            if self.poll_fd.is_none() && !self.rests_before_a_frame() && self.pace.on_empty_poll() {
                self.awaited().check_peers()?;
            }
            self.rearm();
        } else {
            self.rearm_after_frame();
        }
        Ok(frame)
    }

    /// Frames until the stream ends or an error occurs; the error, other than the end, is the last item. Another
    /// iterator waits for the stream to continue.
    pub fn iter(&mut self) -> Iter<'_> {
        Iter { consumer: self, done: false }
    }

    /// Cancels waits from other threads.
    #[must_use]
    pub fn cancel_token(&self) -> CancelToken {
        self.cancel_token.clone()
    }

    /// Skips all frames in the ring but the newest (of its [share](ConsumerBuilder::share)). They do not count as lost.
    ///
    /// # Errors
    /// [`Error::Removed`], [`Error::Corrupt`].
    pub fn skip_to_newest(&mut self) -> Result<()> {
        self.epoch.member.check_fork()?;
        // Those after a sealed one may be empty, or have nothing for us: then the newest is further back. Entered only if it
        // is in them, since the names of those that we have yet to follow into are kept.
        let mut ahead = Arc::clone(&self.epoch);
        let (mut own, mut any) = (None, None);
        for _ in 0..EPOCHS_AHEAD {
            let (next, sealed) = next_seq(&*ahead).map_err(|c| ahead.corrupt(c))?;
            let newest = newest_readable(&*ahead, self.cursor.max(1)).map_err(|c| ahead.corrupt(c))?;
            let from = self.cursor.max(ahead.first().load_acquire());
            if let Some(seq) = newest.and_then(|newest| self.newest_own(&ahead, from, newest)) {
                own = Some((Arc::clone(&ahead), seq));
            }
            if newest.is_some() || (!sealed && any.is_none()) {
                any = Some((Arc::clone(&ahead), newest.unwrap_or(next)));
            }
            if !sealed {
                break;
            }
            ahead = match follow::next(&ahead, self.mode) {
                Ok(next) => next,
                // It comes again when what there is was received.
                Err(_) if own.is_some() => break,
                Err(error) => return Err(error),
            };
        }
        if let Some((epoch, seq)) = own.or(any) {
            if !Arc::ptr_eq(&epoch, &self.epoch) {
                self.enter(epoch);
            }
            self.advance(seq.max(self.cursor));
        }
        Ok(())
    }

    /// States the caps that this consumer accepts, for producers to read: as GStreamer writes them; empty for not stated.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] beyond 8192 bytes.
    pub fn set_accepted_caps(&mut self, caps: &str) -> Result<()> {
        check_accepted_caps(caps)?;
        self.epoch.member.check_fork()?;
        if let Some(origin) = &mut self.origin {
            origin.set_accepted_caps(caps)?;
        }
        if let Some(id) = self.epoch.member.id() {
            ConsumerInfo::write(&self.epoch.member.peers, id, caps);
        } else if let Some(placeless) = &mut self.placeless {
            placeless.accepted_caps = caps.into();
        }
        Ok(())
    }

    /// The topic's producers, and whether its stream has ended.
    #[must_use]
    pub fn stream_status(&self) -> StreamStatus {
        let peers = &self.epoch.member.peers;
        StreamStatus { producers: peers.producers().count_ones(), ended: peers.end().is_some() }
    }

    /// Whether a producer of this topic, such as that of a [`Frame`], is registered and alive.
    #[must_use]
    pub fn is_producing(&self, producer: ParticipantId) -> bool {
        let peers = &self.epoch.member.peers;
        producer.id < PRODUCERS
            && peers.producers() & bit(producer.id) != 0
            && peers.load(&peers.participant(producer.id).generation) == producer.generation
    }

    /// The geometry of the ring now being read.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        Geometry::of(&self.epoch.geometry)
    }

    /// The sequence number of the next frame to be received.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.cursor
    }

    /// The sequence number from which on frames were published after this consumer was opened. Those before it are history.
    #[must_use]
    pub fn joined_at(&self) -> u64 {
        self.joined_at
    }

    /// What this consumer has received so far.
    #[must_use]
    pub fn stats(&self) -> ConsumerStats {
        ConsumerStats { leases: self.leases.load(Relaxed), ..self.stats }
    }

    /// The topic's name, for errors that may come again and again: a time-out makes no copy of it.
    fn topic_shared(&self) -> Arc<str> {
        self.epoch.member.topic_shared()
    }

    #[cfg(any(test, feature = "zerocopy"))]
    pub(crate) fn member(&self) -> &Arc<crate::shm::registration::Registration> {
        &self.epoch.member
    }

    /// The next wanted sequence, for us and for the producers that choose slots, or wait for one.
    fn advance(&mut self, cursor: u64) {
        self.advance_held(cursor);
        let member = &self.epoch.member;
        // No producer waits for one that is not registered, and one that only reads could not wake it.
        if member.id().is_some() {
            backlog::free(&member.peers, || ());
        }
    }

    /// As `advance`, past one frame whose slot we hold: nothing is free before that is released.
    fn advance_held(&mut self, cursor: u64) {
        self.cursor = cursor;
        if let Some(entry) = self.epoch.member.entry() {
            // Producers learn which frame it wants next. We look at each, since the epoch may end before that one.
            entry.cursor.store(self.selection.next(cursor), SeqCst);
            fail_point(FailPoint::LeaseCursor);
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // First: its thread uses the sleeper bit.
        self.poll_fd = None;
        self.epoch.member.deactivate();
    }
}

/// Frames of a consumer, from [`Consumer::iter`].
#[derive(Debug)]
pub struct Iter<'a> {
    consumer: &'a mut Consumer,
    done: bool,
}

impl Iterator for Iter<'_> {
    type Item = Result<Frame>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.consumer.recv();
        self.done = item.is_err();
        match item {
            Err(Error::Ended { .. }) => None,
            item => Some(item),
        }
    }
}

impl<'a> IntoIterator for &'a mut Consumer {
    type Item = Result<Frame>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}
