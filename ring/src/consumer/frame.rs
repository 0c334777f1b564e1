//! A received frame: a lease on a slot, or a copy.
#![allow(unsafe_code)]

use std::fmt;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::CopyReason;
use super::pool::{Pool, Pooled};
use super::receive::Unreadable;
use crate::info::ParticipantId;
use crate::protocol::{backlog, lease};
use crate::shm::epoch::Epoch;
use crate::sys::machine_time::from_machine;
use crate::sys::map::Mapping;

/// A frame. Dereferences to its bytes; clones are the same frame.
///
/// Usually a lease: the bytes are the producer's, in shared memory, and stay as they are until the last clone is
/// dropped, on any thread, even after the consumer is gone. See [`is_copy`](Self::is_copy) for when they are not.
///
/// # Whom this trusts
/// That the bytes stay as they are is the word of all processes that may write the topic's `ring` and `holds` files. A
/// `&[u8]` of a lease is sound only if they keep it: if one of them writes there nevertheless, the behaviour is undefined.
/// Files of your own, or of root, which are all that is opened without
/// [`allow_foreign_owner`](crate::ConsumerBuilder::allow_foreign_owner), are written by processes that could do worse to
/// yours, unless `perms` lets others in.
///
/// A program that does not trust its producers reads by [`copy_to`](Self::copy_to) or [`to_vec`](Self::to_vec), or opens the topic
/// [`read_only`](crate::ConsumerBuilder::read_only), so that every frame is such a copy. Those are sound whatever others
/// do: at worst the copy is a mixture of what was there at different times. [`len`](Self::len), the metadata and everything
/// else but the bytes never depend on that trust.
#[derive(Clone)]
pub struct Frame {
    inner: Arc<Inner>,
}

struct Inner {
    body: Body,
    seq: u64,
    lost_before: u64,
    producer: ParticipantId,
    epoch: u64,
}

pub(super) enum Body {
    Leased(Leased),
    Copied { payload: Pooled, meta: Vec<u8>, published_ns: u64, reason: CopyReason },
}

/// A ring in memory, shared and read-only: see [`Frame::shared_mapping`].
#[derive(Clone, Debug)]
pub struct SharedMapping {
    map: Arc<Mapping>,
}

impl SharedMapping {
    /// Where it begins: at a page. A store is a segmentation fault; others change what no frame of this consumer refers to.
    #[must_use]
    pub fn as_ptr(&self) -> *const u8 {
        self.map.bytes_ptr(0, 0).map_or(std::ptr::null(), |start| start.as_ptr().cast_const())
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Memory for the next frame, allocated while there is nothing else to do.
///
/// Without it a spinning ping-pong takes 0.61 to 0.63 µs instead of 0.58 to 0.60 (`make bench`, three runs of each in turn);
/// where the receiver sleeps, or frames come at the pace of video, the difference is lost among the others.
#[derive(Debug, Default)]
pub(super) struct FrameAlloc(Option<Arc<MaybeUninit<Inner>>>);

impl FrameAlloc {
    /// Has memory ready from now on.
    pub(super) fn prepare(&mut self) {
        if self.0.is_none() {
            self.0 = Some(Arc::new_uninit());
        }
    }

    fn fill(&mut self, inner: Inner) -> Arc<Inner> {
        let Some(mut room) = self.0.take() else { return Arc::new(inner) };
        // No other code ever had it.
        let Some(place) = Arc::get_mut(&mut room) else { return Arc::new(inner) };
        place.write(inner);
        // SAFETY: written just now.
        unsafe { room.assume_init() }
    }
}

/// A slot that this consumer's bit protects.
pub(super) struct Leased {
    epoch: Arc<Epoch>,
    slot: u16,
    id: u8,
    payload: NonNull<u8>,
    len: usize,
    meta_len: usize,
    count: Arc<AtomicU32>,
}

// SAFETY: `payload` points to bytes that nobody writes while the lease lives, in memory that `epoch` keeps mapped.
unsafe impl Send for Leased {}
// SAFETY: as above; nothing in it changes.
unsafe impl Sync for Leased {}

impl Leased {
    /// Takes over a bit that was set; `None`, the bit cleared, if the slot's lengths are out of range.
    pub(super) fn new(epoch: Arc<Epoch>, slot: u16, id: u8, count: &Arc<AtomicU32>) -> Option<Self> {
        let header = epoch.slot(slot);
        let (len, meta_len) = (header.len.load(Relaxed), header.meta_len.load(Relaxed));
        let payload = epoch.payload(slot, len).filter(|_| meta_len <= epoch.geometry.meta_capacity);
        let (Some(payload), Ok(len), Ok(meta_len)) =
            (payload, usize::try_from(len), usize::try_from(meta_len))
        else {
            // The caller goes on past it, and tells those who wait.
            lease::release(&*epoch, id, slot);
            return None;
        };
        count.fetch_add(1, Relaxed);
        Some(Self { epoch, slot, id, payload, len, meta_len, count: Arc::clone(count) })
    }

    /// Generation of the producer.
    pub(super) fn generation(&self) -> u64 {
        self.epoch.slot(self.slot).generation.load(Relaxed)
    }

    fn published_ns(&self) -> u64 {
        from_machine(self.epoch.slot(self.slot).published.load(Relaxed))
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The payload and the metadata, copied.
    pub(super) fn copy(&self, mut payload: Pooled, reason: CopyReason) -> Result<Body, Unreadable> {
        if !self.copy_to(&mut payload) {
            return Err(Unreadable::Lengths);
        }
        let mut meta = Vec::new();
        self.read_meta(&mut meta);
        Ok(Body::Copied { payload, meta, published_ns: self.published_ns(), reason })
    }

    /// Copies the first bytes of the payload, which no reference leads to meanwhile. `false` if it has fewer.
    fn copy_to(&self, dst: &mut [u8]) -> bool {
        dst.len() <= self.len && self.epoch.copy_payload(self.slot, 0, dst)
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: published, and our bit keeps it from being claimed; producers keep to the protocol by the trust that
        // write permission is. (Who does not trust them calls `copy_to`.)
        unsafe { std::slice::from_raw_parts(self.payload.as_ptr(), self.len) }
    }

    fn read_meta(&self, block: &mut Vec<u8>) {
        block.resize(self.meta_len, 0);
        let copied = self.epoch.copy_meta(self.slot, block);
        debug_assert!(copied, "the length was checked");
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Relaxed);
        if self.epoch.member.peers.is_own_process() {
            backlog::free(&self.epoch.member.peers, || lease::release(&*self.epoch, self.id, self.slot));
        }
    }
}

impl Frame {
    pub(super) fn new(
        room: &mut FrameAlloc,
        body: Body,
        seq: u64,
        lost_before: u64,
        producer: ParticipantId,
        epoch: u64,
    ) -> Self {
        Self { inner: room.fill(Inner { body, seq, lost_before, producer, epoch }) }
    }

    /// Its sequence number: rises by one with each frame of the topic, from 1.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.inner.seq
    }

    /// How many frames this consumer lost between the one before and this.
    #[must_use]
    pub fn lost_before(&self) -> u64 {
        self.inner.lost_before
    }

    /// The producer that wrote it.
    #[must_use]
    pub fn producer(&self) -> ParticipantId {
        self.inner.producer
    }

    /// When it was published: CLOCK_MONOTONIC in nanoseconds, as this process reads it, in whichever time namespace the producer
    /// is. For those who measure or record: the ring itself does not depend on it.
    #[must_use]
    pub fn published_ns(&self) -> u64 {
        match &self.inner.body {
            Body::Leased(leased) => leased.published_ns(),
            Body::Copied { published_ns, .. } => *published_ns,
        }
    }

    /// The epoch it was published in.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.inner.epoch
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.inner.body {
            Body::Leased(leased) => leased.len,
            Body::Copied { payload, .. } => payload.len(),
        }
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies its first bytes, as many as there are and fit; how many that were.
    ///
    /// Sound even if a process that may write the topic breaks the protocol and changes them meanwhile.
    ///
    /// ```
    /// # let dir = std::env::temp_dir().join(format!("shmflow-doc-copy-{}", std::process::id()));
    /// # std::fs::create_dir_all(&dir).unwrap();
    /// # let producer = shmflow::Producer::builder("doc/copy").dir(&dir).open()?;
    /// # let mut consumer = shmflow::Consumer::builder("doc/copy").dir(&dir).open()?;
    /// # producer.write(b"hello")?;
    /// let frame = consumer.recv()?;
    /// let mut buffer = [0; 1024];
    /// let copied = frame.copy_to(&mut buffer);
    /// assert_eq!(&buffer[..copied], b"hello");
    /// # drop((frame, consumer, producer)); std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok::<(), shmflow::Error>(())
    /// ```
    pub fn copy_to(&self, buffer: &mut [u8]) -> usize {
        let len = self.len().min(buffer.len());
        let Some(buffer) = buffer.get_mut(..len) else { return 0 };
        match &self.inner.body {
            Body::Leased(leased) => {
                if !leased.copy_to(buffer) {
                    // The file was cut short.
                    return 0;
                }
            }
            Body::Copied { payload, .. } => buffer.copy_from_slice(payload.get(..len).unwrap_or_default()),
        }
        len
    }

    /// Its bytes, copied as [`copy_to`](Self::copy_to) does.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len()];
        let copied = self.copy_to(&mut bytes);
        bytes.truncate(copied);
        bytes
    }

    /// Where the bytes begin, if this process may write them: those of a copy, and of a lease of a consumer that is
    /// [`copy_on_write`](crate::ConsumerBuilder::copy_on_write). `None` for any other lease, where a store is a segmentation
    /// fault. For bindings to foreign code, which is not stopped by a `&[u8]`.
    ///
    /// What is written there is seen by this process alone, by all clones of this frame, and by no later frame.
    /// [`copy_to`](Self::copy_to) of a lease still gives what the producer wrote. The pointer is valid as long as the frame or a
    /// clone of it; the caller ensures that no `&[u8]` of the frame exists while it writes.
    #[must_use]
    pub fn private_ptr(&self) -> Option<NonNull<u8>> {
        match &self.inner.body {
            Body::Leased(leased) => leased.epoch.ring.map.is_private().then_some(leased.payload),
            Body::Copied { payload, .. } => payload.start(),
        }
    }

    /// The same frame with memory of its own, which [`private_ptr`](Self::private_ptr) may write, and without a lease. `None` if
    /// there is no memory for it.
    #[must_use]
    pub fn private_copy(&self) -> Option<Self> {
        let mut payload = Pool::default().take(self.len())?;
        payload.copy_from_slice(self);
        let (meta, published_ns) = (self.meta_bytes(), self.published_ns());
        let body = Body::Copied { payload, meta, published_ns, reason: CopyReason::Requested };
        let Inner { seq, lost_before, producer, epoch, .. } = *self.inner;
        Some(Self { inner: Arc::new(Inner { body, seq, lost_before, producer, epoch }) })
    }

    /// The shared mapping that this frame is in, and where in it the bytes begin: for drivers, which are told once of memory that
    /// they may read. All frames of an [epoch](Self::epoch) have the same. `None` for copies, and as long as not all of the ring
    /// has memory.
    ///
    /// The bytes stay as they are as long as the frame, the mapping as long as what is returned.
    #[must_use]
    pub fn shared_mapping(&self) -> Option<(SharedMapping, usize)> {
        let Body::Leased(leased) = &self.inner.body else { return None };
        let (map, offset) = leased.epoch.shared_mapping(leased.slot)?;
        Some((SharedMapping { map: Arc::clone(map) }, offset))
    }

    /// Whether the bytes are a private copy, which begins at a multiple of 4096 as a lease does. [`CopyReason`] lists when.
    #[must_use]
    pub fn is_copy(&self) -> bool {
        self.copy_reason().is_some()
    }

    /// Why the bytes are a private copy; `None` for a lease. See
    /// [`allow_copies`](crate::ConsumerBuilder::allow_copies) to have none.
    #[must_use]
    pub fn copy_reason(&self) -> Option<CopyReason> {
        match self.inner.body {
            Body::Leased(_) => None,
            Body::Copied { reason, .. } => Some(reason),
        }
    }

    /// The metadata block as it was written; empty if there is none.
    #[must_use]
    pub fn meta_bytes(&self) -> Vec<u8> {
        let mut block = Vec::new();
        self.read_meta(&mut block);
        block
    }

    /// Replaces the content of `block` by the metadata block as it was written, empty if there is none. Allocates only if
    /// `block` has too little room: for consumers that read frame after frame.
    pub fn read_meta(&self, block: &mut Vec<u8>) {
        match &self.inner.body {
            Body::Leased(leased) => leased.read_meta(block),
            Body::Copied { meta, .. } => block.clone_from(meta),
        }
    }
}

/// Of a lease, sound only as far as those who may write the topic keep to the protocol: see [`Frame`].
impl Deref for Frame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.inner.body {
            Body::Leased(leased) => leased.bytes(),
            Body::Copied { payload, .. } => payload,
        }
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("seq", &self.seq())
            .field("len", &self.len())
            .field("lost_before", &self.lost_before())
            .field("producer", &self.producer())
            .field("is_copy", &self.is_copy())
            .finish_non_exhaustive()
    }
}
