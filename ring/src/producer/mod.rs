//! Writing frames into a topic.

#[cfg(feature = "tokio")]
mod async_events;
mod builder;
mod claim;
#[cfg(test)]
mod fork_tests;
mod inner;
mod primary;
mod slot;
mod stalls;
mod wait;

#[cfg(feature = "tokio")]
pub use async_events::ProducerEvents;
pub use builder::{OverflowPolicy, ProducerBuilder, ProducerMode};
pub use claim::{Claim, PublishPermit, Published, SlotBuffer};

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::info::{ConsumerInfo, Geometry, ParticipantId};
use crate::protocol::FailPoint;
use crate::protocol::backlog::ids;
use crate::protocol::events;
use crate::protocol::fail_points::fail_point;
use crate::protocol::lease::next_seq;
use crate::sys::cancel::CancelToken;
use crate::sys::{futex, space};
use inner::Inner;

/// Writes frames into a topic. `Send + Sync`: all methods take `&self`.
///
/// A producer waits for consumers only with [`OverflowPolicy::Lossless`]. When it is dropped it leaves the topic; claims and published frames
/// that its process still references stay protected until they are dropped too.
///
/// ```
/// # let dir = std::env::temp_dir().join(format!("shmflow-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir).unwrap();
/// let producer = shmflow::Producer::builder("doc/producer").dir(&dir).depth(4).open()?;
/// let mut slot = producer.claim(5)?;         // memory shared with every consumer
/// slot.copy_from_slice(b"hello");
/// assert_eq!(slot.publish()?.seq(), 1);      // no copy was made
/// assert_eq!(producer.write(b"world")?, 2);  // for bytes in the program's memory: one copy
/// # drop(producer); std::fs::remove_dir_all(&dir).unwrap();
/// # Ok::<(), shmflow::Error>(())
/// ```
#[derive(Debug)]
pub struct Producer {
    inner: Arc<Inner>,
}

/// What a producer has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProducerStats {
    /// Frames published.
    pub published: u64,
    /// Frames dropped because no slot could be had, or the policy forbade to overwrite.
    pub dropped: u64,
    /// Payload bytes published.
    pub bytes: u64,
    /// How often a consumer was passed over because it took nothing for the
    /// [`stall_timeout`](ProducerBuilder::stall_timeout).
    pub stalls: u64,
}

impl Producer {
    /// Opens a topic with default settings, making it if it is not there.
    ///
    /// # Errors
    /// Those of [`ProducerBuilder::open`].
    pub fn open(topic: &str) -> Result<Self> {
        Self::builder(topic).open()
    }

    /// Settings to open a topic with.
    pub fn builder(topic: &str) -> ProducerBuilder {
        ProducerBuilder::new(topic)
    }

    /// What is unwise about the topic's directory, for a log: it is on a disk, to which the system writes every frame.
    ///
    /// ```
    /// # let dir = std::env::temp_dir().join(format!("shmflow-doc-disk-{}", std::process::id()));
    /// # std::fs::create_dir_all(&dir).unwrap();
    /// # let producer = shmflow::Producer::builder("doc/disk").dir(&dir).open()?;
    /// if let Some(warning) = producer.directory_warning() {
    ///     eprintln!("{warning}");
    /// }
    /// # drop(producer); std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok::<(), shmflow::Error>(())
    /// ```
    #[must_use]
    pub fn directory_warning(&self) -> Option<String> {
        let dir = self.inner.member.peers.topic().dir();
        space::is_disk(dir).then(|| {
            format!(
                "topic `{}` is in {}, which is on a disk: the system writes every frame to it; use a directory on tmpfs, as \
                 /dev/shm is",
                self.topic(),
                dir.display()
            )
        })
    }

    /// The topic's name.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.inner.member.topic_name()
    }

    #[cfg(feature = "zerocopy")]
    pub(crate) fn member(&self) -> &crate::shm::registration::Registration {
        &self.inner.member
    }

    /// This producer among the topic's participants.
    #[must_use]
    pub fn id(&self) -> ParticipantId {
        ParticipantId { id: self.inner.id, generation: self.inner.member.generation() }
    }

    /// Takes a slot to write `len` bytes into. A frame that is larger than the slots moves the topic to a new epoch.
    ///
    /// # Errors
    /// [`Error::NoSlot`] if every slot is held, [`Error::Full`] if the policy forbids to overwrite unread frames (both
    /// count the frame as dropped). A [lossless](OverflowPolicy::Lossless) producer waits instead, until [`Error::Cancelled`];
    /// [`Error::NoSlot`] if none came free although no consumer is owed anything. [`Error::NoSpace`] if the topic would have to grow and cannot, [`Error::Removed`] if
    /// the topic was removed: open it again.
    pub fn claim(&self, len: usize) -> Result<Claim> {
        Claim::new(&self.inner, len, true)
    }

    /// As [`claim`](Self::claim), for threads that must not wait: where a [lossless](OverflowPolicy::Lossless) producer would,
    /// this gives [`Error::Full`] or [`Error::NoSlot`]. Nothing counts as dropped: the program still has the frame.
    ///
    /// # Errors
    /// As said, and as [`claim`](Self::claim).
    pub fn try_claim(&self, len: usize) -> Result<Claim> {
        Claim::new(&self.inner, len, false)
    }

    /// Publishes a copy of `bytes`; the frame's sequence number.
    ///
    /// # Errors
    /// As [`claim`](Self::claim) and [`Claim::publish`].
    pub fn write(&self, bytes: &[u8]) -> Result<u64> {
        let mut claim = self.claim(bytes.len())?;
        claim.fill(bytes);
        Ok(claim.publish()?.seq())
    }

    /// Moves the topic to slots of at least `capacity` bytes and a depth of at least `depth`, ahead of need.
    /// Nothing happens if it has them.
    ///
    /// # Errors
    /// [`Error::NoSpace`] if there is no room beside the old ones; [`Error::Busy`] if a stopped process is in the way.
    pub fn grow(&self, slot_capacity: usize, depth: u32) -> Result<()> {
        self.inner.grow(slot_capacity as u64, depth)
    }

    /// Moves the topic to slots of exactly `capacity` bytes and a depth of exactly `depth` frames, which
    /// may be fewer than now: for producers with a fixed number of bytes to use. Nothing happens if the slots are large enough.
    ///
    /// # Errors
    /// As [`grow`](Self::grow).
    pub fn resize(&self, slot_capacity: usize, depth: u32) -> Result<()> {
        self.inner.resize(slot_capacity as u64, depth)
    }

    /// Has the epochs to come keep this many of the newest frames for consumers that join late (as many as they are deep, if
    /// that is less): for a producer that learns only later what it publishes. The present one stays as it is: call this
    /// before [`grow`](Self::grow) or [`resize`](Self::resize).
    pub fn set_history(&self, frames: u32) {
        self.inner.history.store(frames.max(1), Relaxed);
    }

    /// Moves the topic to slots with room for at least `capacity` bytes of metadata, ahead of need. Nothing happens if they
    /// have it. The next frame that is claimed has the room; one that was claimed before has not.
    ///
    /// A frame may have 16 MiB of metadata. The new room is twice the old one at least, so that metadata that grows slowly
    /// does not make an epoch each time.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for more than 16 MiB; otherwise as [`grow`](Self::grow).
    pub fn grow_meta(&self, capacity: usize) -> Result<()> {
        self.inner.grow_meta(capacity as u64, None)
    }

    /// As [`grow_meta`](Self::grow_meta) to a depth of exactly `depth` frames, as [`resize`](Self::resize) has it.
    ///
    /// # Errors
    /// As [`grow_meta`](Self::grow_meta).
    pub fn resize_meta(&self, capacity: usize, depth: u32) -> Result<()> {
        self.inner.grow_meta(capacity as u64, Some(depth))
    }

    /// The geometry of the ring now in use.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        Geometry::of(&self.inner.geometry())
    }

    /// Ends the stream after the newest frame. Consumers that have read every frame get [`Error::Ended`], once every
    /// producer has ended the stream or left. Publishing again revokes it.
    pub fn end(&self) {
        if self.inner.member.check_fork().is_err() {
            return; // the parent's stream continues
        }
        let epoch = self.inner.epoch();
        if let (Ok((next, _)), Some(entry)) = (next_seq(&*epoch), self.inner.member.entry()) {
            entry.ended.store(next.max(1), SeqCst);
            fail_point(FailPoint::EndNoted);
            self.inner.wake_sleepers();
        }
    }

    /// The number of registered consumers that are alive. Read-only consumers are not registered.
    #[must_use]
    pub fn consumer_count(&self) -> usize {
        self.inner.member.peers.consumers().count_ones() as usize
    }

    /// The registered consumers that are alive, with the caps that each accepts.
    #[must_use]
    pub fn consumers(&self) -> Vec<ConsumerInfo> {
        let peers = &self.inner.member.peers;
        let alive = peers.consumers();
        ids(alive).map(|id| ConsumerInfo::read(peers, id)).collect()
    }

    /// A counter that changes whenever a participant joins, leaves, changes its accepted caps or asks for a key frame.
    #[must_use]
    pub fn events(&self) -> u32 {
        self.inner.member.peers.header().events.load(SeqCst)
    }

    /// How often a consumer has asked for a key frame, ever, on this topic: see
    /// [`Consumer::request_key_frame`](crate::Consumer::request_key_frame). A producer of an encoded stream compares it with
    /// what it saw before, whenever [`events`](Self::events) has changed, and has its encoder make a key frame: once in half
    /// a second, say, however many ask.
    #[must_use]
    pub fn key_frame_requests(&self) -> u64 {
        self.inner.member.peers.header().key_requests.load(SeqCst)
    }

    /// Sleeps until [`events`](Self::events) is no longer `last`, for at most `timeout` (`None`: for ever) or until
    /// `cancel_token` is cancelled; its value then. Also wakes once a second to see whether a participant died, or the topic is
    /// gone.
    ///
    /// # Errors
    /// [`Error::Cancelled`], [`Error::Timeout`]; [`Error::Removed`] if the topic was removed: open it again.
    pub fn wait_event(
        &self,
        last: u32,
        timeout: Option<Duration>,
        cancel_token: &CancelToken,
    ) -> Result<u32> {
        self.inner.wait_event(last, timeout, cancel_token)
    }

    /// Whether this producer is the one whose frames count: always in shared and exclusive mode; in primary mode only
    /// for the primary. A standby takes over if the primary is dead, or has published nothing for longer than the
    /// takeover timeout.
    #[must_use]
    pub fn try_become_primary(&self) -> bool {
        self.inner.try_become_primary()
    }

    /// What this producer has done so far.
    #[must_use]
    pub fn stats(&self) -> ProducerStats {
        let Some(entry) = self.inner.member.entry() else { return ProducerStats::default() };
        ProducerStats {
            published: entry.frames.load(Relaxed),
            dropped: entry.lost.load(Relaxed),
            bytes: entry.bytes.load(Relaxed),
            stalls: self.inner.stall_count(),
        }
    }

    /// The registered consumers that this producer passes over now, because they took nothing for the
    /// [`stall_timeout`](ProducerBuilder::stall_timeout).
    #[must_use]
    pub fn stalled_consumers(&self) -> Vec<ConsumerInfo> {
        let peers = &self.inner.member.peers;
        ids(self.inner.passed_over()).map(|id| ConsumerInfo::read(peers, id)).collect()
    }

    /// Cancels waits for a slot from other threads. See [`ProducerBuilder::cancel_token`].
    #[must_use]
    pub fn cancel_token(&self) -> CancelToken {
        self.inner.cancel_token.clone()
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        if self.inner.has_ended() {
            // Those who died before us go before us: the last one to go decides whether the stream has ended.
            self.inner.reap();
        }
        let member = &self.inner.member;
        member.deactivate();
        if member.check_fork().is_ok() && member.peers.end().is_some() {
            // Perhaps because the others had ended, and only this one had not.
            self.inner.wake_sleepers();
        }
    }
}

impl Inner {
    fn has_ended(&self) -> bool {
        self.member.peers.is_own_process()
            && self.member.entry().is_some_and(|entry| entry.ended.load(SeqCst) != 0)
    }

    fn wait_event(&self, last: u32, timeout: Option<Duration>, cancel_token: &CancelToken) -> Result<u32> {
        let tick = Duration::from_secs(1);
        let topic = || self.member.topic_shared();
        let deadline = timeout.map(crate::sys::clock::Deadline::after);
        let header = self.member.peers.header();
        self.member.check_fork()?;
        self.watch_events(true);
        let result = loop {
            let now = header.events.load(SeqCst);
            if cancel_token.is_cancelled() {
                break Err(Error::Cancelled { topic: topic() });
            } else if header.removed.load(SeqCst) != 0 {
                break Err(Error::Removed { topic: topic() });
            } else if now != last {
                break Ok(now);
            } else if deadline.is_some_and(|d| d.has_passed()) {
                break Err(Error::Timeout {
                    topic: topic(),
                    what: "no participant came, went or changed its accepted caps".into(),
                });
            }
            let left = deadline.map_or(tick, |d| d.remaining().min(tick));
            // Why it woke does not matter: everything is looked at again. A failure shows as a timeout.
            let woken = futex::wait_any(&[(&header.events, last)], &[(cancel_token.word(), 0)], Some(left));
            if !matches!(woken, Ok(futex::Woken::Woken | futex::Woken::Changed)) {
                self.reap();
                if self.look_for_names(&self.epoch()) {
                    break Err(Error::Removed { topic: topic() });
                }
            }
        };
        self.watch_events(false);
        result
    }

    /// One more thread of this producer watches, or one less.
    fn watch_events(&self, begins: bool) {
        let mut threads = self.watching.lock().unwrap_or_else(PoisonError::into_inner);
        let change = if begins { events::begin } else { events::finish };
        change(&self.member.peers, self.id, &mut threads);
    }
}
