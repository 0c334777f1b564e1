//! What a producer, its claims and its published frames share.

use std::cell::Cell;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::primary::PrimaryMonitor;
use super::stalls::Stalls;
use super::{OverflowPolicy, ProducerMode};
use crate::error::{Error, Result};
use crate::layout::peers::flags;
use crate::layout::ring::{MAX_META, RingGeometry};
use crate::layout::words::CONSUMER_BITS;
use crate::lifecycle::{GeometryRequest, crowd, follow, grow, reap};
use crate::protocol::backlog::Limits;
use crate::protocol::claim::{Hint, Reusable, abandon, claim_consumed, claim_oldest};
use crate::protocol::{backlog, publish};
use crate::shm::backing::give_up;
use crate::shm::epoch::Epoch;
use crate::shm::registration::Registration;
use crate::sys::cancel::CancelToken;
use crate::sys::clock::monotonic_coarse_ns;
use crate::sys::files::creation_error;
use crate::sys::machine_time::machine_ns;
use crate::trace;

/// As many of the newest frames as fit into this many bytes are left alone, even if neither consumers nor the history
/// need them. Using the very newest again is right only for large frames. A consumer has a small one still in its own
/// cache (1 or 2 MiB), from which a producer must take every line away: it is faster to let it sink into the cache that all
/// share. But of that, too, a virtual machine has only a part, so that each further slot in rotation is one more that comes
/// from memory. Frames a second beside shmsink's, unthrottled, copied in and read whole (Zen 4, `shmflow-compare --row
/// rate-own-vga --row rate-own`):
///
/// | bytes | VGA I420, 0.46 MB | 1080p NV12, 3.1 MB |
/// |---|---|---|
/// | 0 | 0.59 | 1.16 and 1.27 |
/// | 1 MiB | 0.88 | the same |
/// | 2 MiB | 1.83 | the same |
/// | 4 MiB | 1.48 | the same |
/// | 8 MiB | 1.51 | 0.89 and 0.87 |
/// | 24 MiB | the same | 0.50 and 0.49 |
const WARM_BYTES: u64 = 4 << 20;
/// At most so often a producer looks whether a laggard, or a sleeper that does not wake, is dead.
const PROBE_EVERY_NS: u64 = 50_000_000;
/// So often a producer looks whether the topic's files still have a name, and whether there are consumers without a place.
const LOOK_EVERY_NS: u64 = 1_000_000_000;

/// So often a producer looks through all slots, and so often at most, as long as one of them looks free.
const SCANS: u32 = 3;
const MOST_SCANS: u32 = 32;

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) member: Arc<Registration>,
    pub(super) id: u8,
    pub(super) mode: ProducerMode,
    pub(super) watch: Mutex<PrimaryMonitor>,
    pub(super) overflow_policy: OverflowPolicy,
    pub(super) stall_timeout: Option<Duration>,
    pub(super) cancel_token: CancelToken,
    allow_foreign: bool,
    pub(super) current: Mutex<Current>,
    /// The geometry at the beginning.
    opened: RingGeometry,
    /// The topic's files have lost their names to something that knows nothing of topics.
    orphaned: AtomicBool,
    /// When it was last looked for that, as [`machine_ns`] has it.
    looked: AtomicU64,
    /// Threads that watch for participants that come and go.
    pub(super) watching: Mutex<usize>,
    /// The history of epochs to come; 0 for what it is now.
    pub(super) history: AtomicU32,
    /// Threads that wait for a slot.
    pub(super) waiting: Mutex<usize>,
    /// Consumers that take nothing.
    pub(super) stalls: Mutex<Stalls>,
}

/// How a producer behaves.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) overflow: OverflowPolicy,
    pub(super) stall_timeout: Duration,
    pub(super) cancel_token: CancelToken,
    pub(super) mode: ProducerMode,
    pub(super) allow_foreign: bool,
}

#[derive(Debug)]
pub(super) struct Current {
    pub(super) epoch: Arc<Epoch>,
    hint: Hint,
    probed: u64,
    /// When it was looked whether there are consumers without a place.
    counted: u64,
    /// Gives back the memory of the epoch before.
    freeing: Option<JoinHandle<()>>,
}

impl Current {
    fn new(epoch: Arc<Epoch>) -> Self {
        Self { epoch, hint: Hint::default(), probed: 0, counted: 0, freeing: None }
    }

    fn go_on_in(&mut self, epoch: Arc<Epoch>) {
        let before = std::mem::replace(self, Self::new(epoch));
        if !Arc::ptr_eq(&before.epoch, &self.epoch) {
            self.freeing = give_up(before.epoch);
        }
    }
}

/// How many bytes of a frame and of its metadata a slot must have room for.
#[derive(Clone, Copy, Debug, Default)]
struct Room {
    payload: u64,
    meta: u64,
}

impl Room {
    fn is_in(self, geometry: &RingGeometry) -> bool {
        geometry.slot_capacity >= self.payload && geometry.meta_capacity >= self.meta
    }

    /// The capacity for metadata of an epoch that follows one with `present` bytes: twice as much at least, where that is
    /// allowed, so that metadata that grows slowly does not make an epoch each time.
    fn meta_capacity(self, present: u64) -> u64 {
        if self.meta <= present { present } else { self.meta.max(present.saturating_mul(2).min(MAX_META)) }
    }
}

/// The depth that a new epoch is to have.
#[derive(Clone, Copy, Debug)]
enum Depth {
    AtLeast(u32),
    Exactly(u32),
}

impl Depth {
    /// Whether an epoch of this depth will do, if its slots are large enough.
    fn satisfied_by(self, present: u32) -> bool {
        match self {
            Self::AtLeast(depth) => present >= depth,
            Self::Exactly(_) => true,
        }
    }
}

impl Inner {
    pub(super) fn new(epoch: Arc<Epoch>, policy: Policy) -> Result<Self> {
        let member = Arc::clone(&epoch.member);
        let Some(id) = member.id() else {
            return Err(Error::TooManyProducers { topic: member.topic_shared() });
        };
        let opened = epoch.geometry;
        let current = Mutex::new(Current::new(epoch));
        let Policy { overflow, stall_timeout, cancel_token, mode, allow_foreign } = policy;
        Ok(Self {
            member,
            id,
            mode,
            watch: Mutex::default(),
            overflow_policy: overflow,
            stall_timeout: Some(stall_timeout).filter(|timeout| !timeout.is_zero()),
            cancel_token,
            allow_foreign,
            current,
            opened,
            orphaned: AtomicBool::new(false),
            looked: AtomicU64::new(machine_ns()),
            watching: Mutex::default(),
            waiting: Mutex::default(),
            stalls: Mutex::default(),
            history: AtomicU32::new(0),
        })
    }

    pub(super) fn current(&self) -> MutexGuard<'_, Current> {
        // Nothing under this lock can panic half-way; if it did, the hints would be wrong at worst.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The epoch now in use.
    pub(super) fn epoch(&self) -> Arc<Epoch> {
        Arc::clone(&self.current().epoch)
    }

    /// The geometry of that. In a forked child, where a thread that does not exist there may have the lock for ever, perhaps
    /// the geometry at the beginning.
    pub(super) fn geometry(&self) -> RingGeometry {
        if self.member.peers.is_own_process() {
            self.current().epoch.geometry
        } else {
            self.current.try_lock().map_or(self.opened, |current| current.epoch.geometry)
        }
    }

    /// Takes a slot for `len` bytes; a lossless producer waits for it if it may.
    pub(super) fn take(&self, len: u64, may_wait: bool) -> Result<(Arc<Epoch>, u16)> {
        self.member.check_fork()?;
        let attempt = |current: &mut Current| self.take_slot(current, len);
        let result = if may_wait { self.with_room(attempt) } else { self.try_now(attempt) };
        // Who may not wait has the frame still.
        if result.is_err()
            && may_wait
            && let Some(entry) = self.member.entry()
        {
            entry.lost.fetch_add(1, Relaxed);
        }
        result
    }

    #[inline]
    fn take_slot(&self, current: &mut Current, len: u64) -> Result<(Arc<Epoch>, u16)> {
        // Both on one line that hardly ever changes.
        let header = self.member.peers.header();
        if header.removed.load(Acquire) != 0 || self.orphaned.load(Relaxed) {
            return Err(Error::Removed { topic: self.member.topic_shared() });
        }
        if header.epoch.load(Acquire) > current.epoch.geometry.epoch {
            self.follow(current)?;
        }
        if len > current.epoch.geometry.slot_capacity {
            self.grow_to(current, Room { payload: len, ..Room::default() }, Depth::AtLeast(0))?;
        }
        let is_lossless = self.is_lossless();
        for attempt in 0..MOST_SCANS {
            let Current { epoch, hint, probed, .. } = current;
            if attempt >= SCANS && !self.finds_one_free(epoch) {
                break;
            }
            let Limits { head, unread, owed } = self.limits(epoch);
            let passed = Reusable { cursor: unread, history: protected_frames(&epoch.geometry) };
            if let Some(slot) = claim_consumed(&**epoch, self.id, passed, hint) {
                return self.with_memory(epoch, slot);
            }
            if is_lossless && let Some(slot) = claim_oldest(&**epoch, self.id, owed, hint) {
                return self.with_memory(epoch, slot);
            }
            let now = monotonic_coarse_ns();
            if (unread < head || is_lossless) && now.wrapping_sub(*probed) > PROBE_EVERY_NS {
                // A consumer lags: if it is dead, no frame has to be kept for it.
                *probed = now;
                if reap::reap_dead(epoch)? != 0 {
                    hint.reset();
                    continue;
                }
            }
            if is_lossless {
                // The caller waits: whatever is freed wakes it.
                hint.reset();
                break;
            }
            if let Some(slot) = claim_oldest(&**epoch, self.id, owed, hint) {
                return self.with_memory(epoch, slot);
            }
            if attempt == 0 || attempt >= SCANS || reap::reap_dead(epoch)? != 0 {
                // A consumer that backs off has its bit set for a moment.
                std::thread::yield_now();
                hint.reset();
            }
        }
        self.look_sometimes(&current.epoch, machine_ns());
        let Limits { head, owed, .. } = self.limits(&current.epoch);
        if self.overflow_policy != OverflowPolicy::OverwriteOldest && owed < head {
            return Err(Error::Full { topic: self.member.topic_shared() });
        }
        Err(self.no_slot(&current.epoch))
    }

    /// Whether there is a slot that a producer that overwrites could have. A scan is no snapshot: it misses one that is given back
    /// behind it while the one before it is taken.
    #[cold]
    fn finds_one_free(&self, epoch: &Epoch) -> bool {
        use crate::protocol::Memory;
        self.overflow_policy == OverflowPolicy::OverwriteOldest
            && (0..epoch.geometry.slots).any(|slot| epoch.holders(slot).load(Relaxed) == 0)
    }

    /// A slot just claimed, once it has memory.
    fn with_memory(&self, epoch: &Arc<Epoch>, slot: u16) -> Result<(Arc<Epoch>, u16)> {
        match epoch.reserve_slot(slot) {
            Ok(()) => Ok((Arc::clone(epoch), slot)),
            Err(error) => {
                backlog::free(&self.member.peers, || abandon(&**epoch, self.id, slot));
                Err(creation_error(epoch.topic(), epoch.offsets.payload_stride, error))
            }
        }
    }

    /// Looks, once a second, whether the topic's files were unlinked by something else than shmflow; the next claim is told.
    /// Such a topic is found by nobody any more, while those who have it open notice nothing: logind, for one, empties
    /// `/dev/shm` of what belongs to a user who has logged out (`RemoveIPC=`).
    ///
    /// Not for the way from a claim to the waking of consumers: no frame is to be late because of it. It comes after that, or
    /// where a claim has become no frame.
    pub(super) fn look_sometimes(&self, epoch: &Epoch, now: u64) {
        let looked = self.looked.load(Relaxed);
        if now.wrapping_sub(looked) > LOOK_EVERY_NS
            && self.looked.compare_exchange(looked, now, Relaxed, Relaxed).is_ok()
        {
            self.look_for_names(epoch);
        }
    }

    /// Whether they were, looking now.
    pub(super) fn look_for_names(&self, epoch: &Epoch) -> bool {
        if !epoch.has_names() {
            self.orphaned.store(true, Relaxed);
        }
        self.orphaned.load(Relaxed)
    }

    /// Which frames a claim may take. A producer that overwrites owes nothing to anybody, and spares unread frames within the
    /// depth as long as there is something else.
    #[inline]
    fn limits(&self, epoch: &Epoch) -> Limits {
        let peers = &self.member.peers;
        if self.overflow_policy != OverflowPolicy::OverwriteOldest {
            return backlog::limits(epoch, peers, self.passed_over());
        }
        let (depth, protected) = (epoch.geometry.depth.into(), protected_frames(&epoch.geometry));
        // Where every frame within the depth is kept no cursor needs to be read.
        let (head, cursor) = if protected >= depth {
            (epoch.header().head.load(Acquire), 0)
        } else {
            let limits = backlog::limits(epoch, peers, 0);
            (limits.head, limits.unread)
        };
        Limits { head, unread: cursor.max(head.saturating_sub(depth)), owed: u64::MAX }
    }

    fn no_slot(&self, epoch: &Epoch) -> Error {
        use crate::protocol::Memory;
        let held = |bits: u64| {
            (0..epoch.geometry.slots).filter(|&s| epoch.holders(s).load(Relaxed) & bits != 0).count()
        };
        let why = format!("consumers hold {}, producers {}", held(CONSUMER_BITS), held(!CONSUMER_BITS));
        Error::NoSlot { topic: self.member.topic_shared(), slots: epoch.geometry.slots.into(), why }
    }

    /// Goes on in the newest epoch.
    fn follow(&self, current: &mut Current) -> Result<()> {
        if let Some(new) = follow::newest(&current.epoch, self.allow_foreign)? {
            new.start_backing(true);
            current.go_on_in(new);
        }
        Ok(())
    }

    /// The epoch after `sealed`, for a claim that was made there.
    pub(super) fn after(&self, sealed: &Epoch) -> Result<()> {
        let _events = trace::hold();
        let mut current = self.current();
        if current.epoch.geometry.epoch <= sealed.geometry.epoch { self.follow(&mut current) } else { Ok(()) }
    }

    pub(super) fn grow(&self, slot_capacity: u64, depth: u32) -> Result<()> {
        self.member.check_fork()?;
        self.with_room(|current| {
            let geometry = &current.epoch.geometry;
            if geometry.slot_capacity >= slot_capacity && geometry.depth >= depth {
                return Ok(());
            }
            let room = Room { payload: slot_capacity, ..Room::default() };
            self.grow_to(current, room, Depth::AtLeast(depth))
        })
    }

    /// As `grow` when the slots are too small, but to exactly this depth, which may be less than now.
    pub(super) fn resize(&self, slot_capacity: u64, depth: u32) -> Result<()> {
        self.member.check_fork()?;
        self.with_room(|current| {
            if current.epoch.geometry.slot_capacity >= slot_capacity {
                return Ok(());
            }
            let room = Room { payload: slot_capacity, ..Room::default() };
            self.grow_to(current, room, Depth::Exactly(depth.max(1)))
        })
    }

    /// As `grow`, or with a depth as `resize`, for the metadata.
    pub(super) fn grow_meta(&self, meta_capacity: u64, depth: Option<u32>) -> Result<()> {
        self.member.check_fork()?;
        self.with_room(|current| {
            if current.epoch.geometry.meta_capacity >= meta_capacity {
                return Ok(());
            }
            let depth = depth.map_or(Depth::AtLeast(0), |depth| Depth::Exactly(depth.max(1)));
            self.grow_to(current, Room { meta: meta_capacity, ..Room::default() }, depth)
        })
    }

    fn grow_to(&self, current: &mut Current, room: Room, depth: Depth) -> Result<()> {
        let must_wait = Cell::new(false);
        let enlarged = |epoch: &Epoch| {
            let geometry = &epoch.geometry;
            if room.is_in(geometry) && depth.satisfied_by(geometry.depth) {
                return None;
            }
            if self.is_lossless()
                && self.owes_dropped_epoch(geometry.epoch, epoch.header().head.load(Acquire))
            {
                must_wait.set(true);
                return None;
            }
            // By a quarter at least, so that slowly growing frames do not make an epoch each, and metadata likewise; unless the
            // caller has reckoned with slots of this size.
            let (step, meta_capacity) = match depth {
                Depth::AtLeast(_) => (
                    geometry.slot_capacity.saturating_add(geometry.slot_capacity / 4),
                    room.meta_capacity(geometry.meta_capacity),
                ),
                Depth::Exactly(_) => (0, room.meta.max(geometry.meta_capacity)),
            };
            let spare_slots = u32::from(geometry.slots).saturating_sub(geometry.depth);
            let whole = geometry.history == geometry.depth;
            let new_depth = match depth {
                Depth::AtLeast(depth) => geometry.depth.max(depth),
                Depth::Exactly(depth) => depth,
            };
            Some(GeometryRequest {
                depth: new_depth,
                spare_slots,
                history: match self.history.load(Relaxed) {
                    0 if whole => new_depth,
                    0 => geometry.history.min(new_depth),
                    history => history.min(new_depth),
                },
                slot_capacity: if room.payload > geometry.slot_capacity {
                    room.payload.max(step)
                } else {
                    geometry.slot_capacity
                },
                meta_capacity,
            })
        };
        if let Some(freeing) = current.freeing.take() {
            // What it gives back may be needed. It does not panic.
            let _ = freeing.join();
        }
        let new = grow::grow(&current.epoch, enlarged, self.allow_foreign)?;
        if let Some(entry) = self.member.entry() {
            entry.epoch.store(new.geometry.epoch, Relaxed);
        }
        current.go_on_in(new);
        if must_wait.get() {
            return Err(Error::Full { topic: self.member.topic_shared() });
        }
        Ok(())
    }

    /// Wakes the waiting consumers, after a publication.
    pub(super) fn wake(&self, epoch: &Epoch) {
        let mut crowded = false;
        let nobody = publish::wake(epoch, || {
            crowded = self.member.peers.header().flags.load(Relaxed) & flags::OVERCROWDED != 0;
            crowded || epoch.geometry.allows_read_only()
        });
        if crowded {
            self.disperse_sometimes();
        }
        if nobody {
            // Bits of sleepers, and nobody sleeps: one of them may be dead.
            self.reap_sometimes();
        }
    }

    /// Looks whether there are still consumers without a place.
    fn disperse_sometimes(&self) {
        // Held: a growth in another thread takes the same lock of the same descriptor. There is no hurry while it does.
        let Ok(mut current) = self.current.try_lock() else { return };
        let now = monotonic_coarse_ns();
        if now.wrapping_sub(current.counted) > LOOK_EVERY_NS {
            current.counted = now;
            crowd::disperse(&self.member);
        }
    }

    /// Wakes all sleepers, because of something else than a frame.
    pub(super) fn wake_sleepers(&self) {
        let epoch = self.epoch();
        let grown = self.member.peers.header().epoch.load(Acquire) > epoch.geometry.epoch;
        // They are in the newest epoch. If that cannot be had, they find out at their next look, within a second.
        let newest = if grown { follow::newest(&epoch, self.allow_foreign).ok().flatten() } else { None };
        publish::wake(&**newest.as_ref().unwrap_or(&epoch), || true);
    }

    fn reap_sometimes(&self) {
        let mut current = self.current();
        let now = monotonic_coarse_ns();
        if now.wrapping_sub(current.probed) > PROBE_EVERY_NS {
            current.probed = now;
            let epoch = Arc::clone(&current.epoch);
            drop(current);
            // What cannot be reaped now will be, when a slot is wanted.
            let _ = reap::reap_dead(&epoch);
        }
    }

    /// Looks for dead participants.
    pub(super) fn reap(&self) {
        let epoch = self.epoch();
        // As above.
        let _ = reap::reap_dead(&epoch);
    }
}

/// How many of the newest frames no claim takes as long as there is anything else: the history, or more of them if
/// they are small.
fn protected_frames(geometry: &RingGeometry) -> u64 {
    let warm = WARM_BYTES.checked_div(geometry.slot_capacity).unwrap_or(u64::MAX);
    warm.max(geometry.history.into()).min(geometry.depth.into())
}
