//! The sink's hold on its topic: the settings that it was opened with, the producer, its slots in upstream's hands, and the
//! ring's size.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gstreamer as gst;
use gstreamer_video as gst_video;

use shmflow::meta::{EncodedMeta, MAX_LEN};
use shmflow::{CancelToken, Error, OverflowPolicy, Producer, ProducerMode as RingMode};

use crate::common::cut::Part;
use crate::common::enums::{LeakyType, ProducerMode};
use crate::common::lock;

use super::depth::{INITIAL_META, Size, Wanted};
use super::pool::Slots;
use super::settings::Settings;
use super::stats::Stats;

/// Buffers of ordinary memory after which the ring is deepened: one or two are a passing shortage.
const SHORTAGE: u32 = 3;
/// As many buffers in slots later, a shortage has passed. Not with the first of them: upstream may keep just one buffer too
/// many, and be short of it once in a dozen frames for ever.
const PASSED: u32 = 300;

/// Slots that upstream never gets: one to copy into, while the one before is being read.
const KEPT_BACK: usize = 2;

/// Room for the frames of a topic that nobody has described yet. The first frame's size replaces it.
const INITIAL_CAPACITY: usize = 4096;

/// The sink's open topic, if it has one: shared with the pools that upstream holds, which may outlive both.
#[derive(Debug, Default)]
pub(super) struct CurrentConnection(Mutex<Option<Arc<Connection>>>);

impl CurrentConnection {
    pub(super) fn get(&self) -> Option<Arc<Connection>> {
        lock(&self.0).clone()
    }

    /// Puts another in its place. The one before is closed by whoever drops it, outside of any lock.
    #[must_use = "dropping it closes the topic"]
    pub(super) fn replace(&self, connection: Option<Arc<Connection>>) -> Option<Arc<Connection>> {
        std::mem::replace(&mut *lock(&self.0), connection)
    }

    /// Puts `new` in the place of `old`, if that is still there.
    pub(super) fn succeed(&self, old: &Arc<Connection>, new: &Arc<Connection>) -> bool {
        let mut current = lock(&self.0);
        let is_there = current.as_ref().is_some_and(|connection| Arc::ptr_eq(connection, old));
        if is_there {
            *current = Some(Arc::clone(new));
        }
        is_there
    }

    pub(super) fn is(&self, connection: &Arc<Connection>) -> bool {
        lock(&self.0).as_ref().is_some_and(|current| Arc::ptr_eq(current, connection))
    }
}

/// An open topic.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) settings: Settings,
    pub(super) producer: Producer,
    pub(super) stats: Arc<Stats>,
    slots: Arc<Slots>,
    /// Buffers of ordinary memory that the pool gave out lately.
    shortage: AtomicU32,
    /// Buffers in slots since the last one that was not.
    plenty: AtomicU32,
    size: Size,
    /// Somebody removed the topic.
    removed: AtomicBool,
    /// And it could not be recreated.
    hopeless: AtomicBool,
}

/// What became of a frame.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Published without a copy.
    InPlace,
    /// Copied once and published.
    Copied,
    /// Not published; why.
    Dropped(&'static str),
    /// Another producer's frames count, and nothing is lost.
    Standby,
    /// The topic is gone.
    Removed,
}

impl Connection {
    /// `cancel_token` ends the waits of a lossless sink.
    pub(super) fn open(
        settings: &Settings,
        name: &str,
        stats: Arc<Stats>,
        cancel_token: &CancelToken,
    ) -> Result<Self, Error> {
        let topic = settings.topic.as_deref().unwrap_or_default();
        let size = Size::of(settings);
        let depth = size.depth_within(INITIAL_CAPACITY, INITIAL_META)?;
        let mut builder = Producer::builder(topic)
            .depth(depth)
            .spare_slots(settings.spare_slots)
            .history(settings.history.clamp(1, depth))
            .slot_capacity(INITIAL_CAPACITY)
            .meta_capacity(INITIAL_META)
            .perms(settings.perms)
            .persistent(settings.persistent)
            .allow_foreign_owner(settings.allow_foreign_owner)
            .name(name)
            .overflow_policy(match settings.leaky_type {
                LeakyType::Upstream => OverflowPolicy::DropNew,
                LeakyType::Downstream => OverflowPolicy::OverwriteOldest,
                LeakyType::None => OverflowPolicy::Lossless,
            })
            .stall_timeout(Duration::from_millis(settings.stall_timeout.into()))
            .cancel_token(cancel_token)
            .mode(match settings.producer_mode {
                ProducerMode::Shared => RingMode::Shared,
                ProducerMode::Exclusive => RingMode::Exclusive,
                ProducerMode::Primary => RingMode::Primary {
                    takeover_timeout: Duration::from_millis(u64::from(settings.takeover_timeout)),
                },
            });
        if let Some(directory) = &settings.directory {
            builder = builder.dir(Path::new(directory));
        }
        if let Some(description) = &settings.description {
            builder = builder.description(description);
        }
        Ok(Self {
            settings: settings.clone(),
            producer: builder.open()?,
            stats,
            slots: Arc::default(),
            shortage: AtomicU32::new(0),
            plenty: AtomicU32::new(0),
            size,
            removed: AtomicBool::new(false),
            hopeless: AtomicBool::new(false),
        })
    }

    /// A slot as memory of `len` bytes for upstream to write into; `None` when none can be had now. Never waits for
    /// anybody (making a ring takes the time to reserve its memory).
    pub(super) fn memory(&self, len: usize) -> Option<gst::Memory> {
        // A lossless sink may have to wait before it enlarges the ring, and waits in its own thread.
        let is_large_enough = || self.producer.geometry().slot_capacity >= len;
        let has_room = if self.is_lossless() { is_large_enough() } else { self.make_room(len).is_ok() };
        let claim = (has_room && self.may_give_out()).then(|| self.producer.try_claim(len));
        if let Some(Ok(claim)) = claim {
            if self.shortage.load(Ordering::Relaxed) != 0
                && self.plenty.fetch_add(1, Ordering::Relaxed) >= PASSED
            {
                self.shortage.store(0, Ordering::Relaxed);
            }
            return Some(self.slots.wrap(claim));
        }
        self.stats.pool_fallbacks.add(1);
        // Frames that are owed to consumers make no shortage of slots, however deep the ring is.
        if has_room && !matches!(claim, Some(Err(Error::Full { .. }))) {
            self.note_shortage();
        }
        None
    }

    pub(super) fn is_lossless(&self) -> bool {
        self.settings.leaky_type == LeakyType::None
    }

    fn note_shortage(&self) {
        self.plenty.store(0, Ordering::Relaxed);
        self.shortage.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether upstream may have one more slot. It never gets all: without one to copy into, a frame in ordinary memory
    /// could not be published, and if upstream then waits for that, nothing ever moves again.
    fn may_give_out(&self) -> bool {
        let slots = usize::try_from(self.producer.geometry().slots).unwrap_or(usize::MAX);
        self.slots.held() < slots.saturating_sub(KEPT_BACK)
    }

    /// Publishes a frame: in place if it is in one of our slots, else with one copy. Of a frame that was cropped only
    /// the `part` that is meant gets into the topic, as `info` describes it. [`Error::Cancelled`] if it was to wait for
    /// consumers and the wait was ended.
    pub(super) fn publish(
        &self,
        buffer: &gst::BufferRef,
        part: Option<(&Part, &gst_video::VideoInfo)>,
        meta: &EncodedMeta,
    ) -> Result<Outcome, Error> {
        if self.is_removed() {
            return Ok(Outcome::Removed);
        }
        if !self.producer.try_become_primary() {
            return Ok(Outcome::Standby);
        }
        // Before this frame: a lossless sink might wait for ever for a slot that upstream and consumers keep between them.
        self.deepen_if_short();
        if meta.len() > INITIAL_META {
            self.make_room_for_meta(meta.len())?;
        }
        let result = match part {
            Some((part, info)) => self.cut(buffer, part, info, meta).map(|()| Outcome::Copied),
            None => match self.slots.take(buffer) {
                Some(ready) => ready.publish(meta).map(|_| Outcome::InPlace),
                None => self.copy(buffer, meta).map(|()| Outcome::Copied),
            },
        };
        match result {
            Err(Error::Full { .. }) => Ok(Outcome::Dropped("consumers have not read the frames before it")),
            Err(Error::NoSlot { .. }) => Ok(Outcome::Dropped("every slot is held by consumers or upstream")),
            Err(Error::Standby { .. }) => Ok(Outcome::Standby),
            Err(Error::Removed { .. }) => {
                self.removed.store(true, Ordering::Release);
                Ok(Outcome::Removed)
            }
            result => result,
        }
    }

    /// Whether a frame could not be published because the topic is gone.
    pub(super) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    /// The topic is gone, and cannot be recreated.
    pub(super) fn give_up(&self) {
        self.hopeless.store(true, Ordering::Release);
    }

    pub(super) fn is_hopeless(&self) -> bool {
        self.hopeless.load(Ordering::Acquire)
    }

    fn cut(
        &self,
        buffer: &gst::BufferRef,
        part: &Part,
        info: &gst_video::VideoInfo,
        meta: &EncodedMeta,
    ) -> Result<(), Error> {
        self.make_room(info.size())?;
        let mut slot = gst::Buffer::new();
        let fresh = slot.make_mut();
        fresh.append_memory(self.slots.wrap(self.producer.claim(info.size())?));
        // What the slot held before would show between rows.
        if let Ok(mut map) = fresh.map_writable() {
            map.fill(0);
        }
        let unreadable = |_| Error::InvalidArgument {
            what: "a cropped buffer whose memory cannot be mapped for reading".into(),
        };
        part.copy(buffer, info, fresh).map_err(unreadable)?;
        match self.slots.take(&slot) {
            Some(ready) => ready.publish(meta).map(drop),
            // The ring was replaced meanwhile, which the next frame sees.
            None => self.copy(&slot, meta),
        }
    }

    fn copy(&self, buffer: &gst::BufferRef, meta: &EncodedMeta) -> Result<(), Error> {
        let len = buffer.size();
        self.make_room(len)?;
        let mut claim = self.producer.claim(len).inspect_err(|error| {
            if matches!(error, Error::NoSlot { .. }) {
                self.note_shortage();
            }
        })?;
        let unreadable =
            || Error::InvalidArgument { what: "a buffer whose memory cannot be mapped for reading".into() };
        if buffer.n_memory() == 1 {
            let bytes = buffer.peek_memory(0).map_readable().map_err(|_| unreadable())?;
            claim.copy_from(&bytes);
        } else {
            let mut rest: &mut [u8] = &mut claim;
            for memory in buffer.iter_memories() {
                let bytes = memory.map_readable().map_err(|_| unreadable())?;
                let (here, behind) = rest.split_at_mut_checked(bytes.size()).ok_or_else(unreadable)?;
                here.copy_from_slice(&bytes);
                rest = behind;
            }
        }
        claim.set_encoded_meta(meta)?;
        claim.publish().map(drop)
    }

    /// What the stream that comes wants of the ring, where the user left it to us.
    pub(super) fn expect(&self, wanted: Wanted, len: usize) {
        if !self.size.expect(wanted) {
            return;
        }
        if self.settings.history == 0 {
            self.producer.set_history(if wanted.packets { u32::MAX } else { 1 });
        }
        // Where the slots are too small for it, the depth follows with their size.
        let geometry = self.producer.geometry();
        let capacity = geometry.slot_capacity;
        if capacity >= len
            && let Ok(depth) = self.size.depth_within(capacity, geometry.meta_capacity)
        {
            // No room for more is no reason to stop.
            let _ = self.producer.grow(capacity, depth);
        }
    }

    /// Makes the ring's slots large enough for frames of `len` bytes, as deep as they are to be.
    fn make_room(&self, len: usize) -> Result<(), Error> {
        let geometry = self.producer.geometry();
        if geometry.slot_capacity >= len {
            return Ok(());
        }
        let capacity = self.size.capacity(len, geometry.meta_capacity);
        let depth = self.size.depth_within(capacity, geometry.meta_capacity)?;
        if self.size.may_shrink() {
            self.producer.resize(capacity, depth)
        } else {
            self.producer.grow(capacity, depth)
        }
    }

    /// The same for `len` bytes of metadata. Slots that upstream has in hand then are of the ring before: what is in them is
    /// copied once.
    fn make_room_for_meta(&self, len: usize) -> Result<(), Error> {
        let geometry = self.producer.geometry();
        if geometry.meta_capacity >= len {
            return Ok(());
        }
        if !self.size.may_shrink() {
            return self.producer.grow_meta(len);
        }
        // Twice what it has at least, where there is room for that.
        let twice = len.max(geometry.meta_capacity.saturating_mul(2).min(MAX_LEN));
        let depth = |room| self.size.depth_within(geometry.slot_capacity, room);
        let (room, depth) = match depth(twice) {
            Ok(depth) => (twice, depth),
            Err(_) => (len, depth(len)?),
        };
        self.producer.resize_meta(room, depth)
    }

    /// Deepens the ring when upstream keeps more buffers than there are slots.
    fn deepen_if_short(&self) {
        if self.shortage.load(Ordering::Relaxed) < SHORTAGE {
            return;
        }
        self.shortage.store(0, Ordering::Relaxed);
        // No lock is held: to reserve memory takes a while, and upstream asks for slots meanwhile. Only this thread, which
        // publishes, changes these.
        let Some(before) = self.size.deepen() else { return };
        let geometry = self.producer.geometry();
        let capacity = geometry.slot_capacity;
        // No room for more is no reason to stop: frames continue to be copied.
        let grown = self
            .size
            .depth_within(capacity, geometry.meta_capacity)
            .and_then(|depth| if depth > before { self.producer.grow(capacity, depth) } else { Ok(()) });
        match grown {
            Ok(()) => {}
            // Only the wait was ended.
            Err(Error::Cancelled { .. }) => {
                self.size.restore(before);
                self.shortage.store(SHORTAGE, Ordering::Relaxed);
            }
            Err(_) => self.size.stay(before),
        }
    }

    /// How many slots upstream has in hand.
    pub(super) fn held(&self) -> usize {
        self.slots.held()
    }
}
