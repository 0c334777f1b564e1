//! One epoch as mapped by one handle: the real memory that the protocol runs on.
#![allow(unsafe_code)]

use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, Ordering::Relaxed, compiler_fence, fence};
use std::sync::{Arc, OnceLock};

use super::registration::Registration;
use crate::error::{Error, Result};
use crate::layout::VERSION;
use crate::layout::ring::{
    BadGeometry, HOLDS_MAGIC, Header, HoldsHeader, LINE, Offsets, PAGE, RingGeometry, Slot,
};
use crate::layout::view::{Array, LoadAcquire};
use crate::protocol::{Corruption, FailPoint, Fence, Memory, Word, seal};
use crate::sys::files::is_linked;
use crate::sys::fork::GuardedFd;
use crate::sys::futex;
use crate::sys::holes::is_in_memory;
use crate::sys::map::{Access, Mapping};
use crate::topic::Topic;

/// A mapped file, and a descriptor of it by which to see whether it still has a name.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) map: Mapping,
    pub(crate) file: GuardedFd,
}

impl Part {
    /// Of a ring: whether all of it has memory.
    pub(crate) fn is_reserved(&self) -> bool {
        // SAFETY: used only within this function.
        let header = unsafe { Array::<Header>::new(&self.map, 0, PAGE as usize, 1) };
        header.is_some_and(|header| header.get(0).reserved.load_acquire() != 0)
    }

    /// Of a ring that we may write: says that all of it has memory.
    pub(super) fn set_reserved(&self) {
        // SAFETY: used only within this function.
        let header = unsafe { Array::<Header>::new(&self.map, 0, PAGE as usize, 1) };
        if let Some(header) = header.filter(|_| self.map.access() == Access::ReadWrite) {
            header.get(0).reserved.store(1, Ordering::Release);
        }
    }
}

/// The mapped files of an epoch, and the registration on whose behalf they are used.
#[derive(Debug)]
pub(crate) struct Epoch {
    header: Array<Header>,
    index: Array<AtomicU64>,
    slots: Array<Slot>,
    holders: Option<Array<AtomicU64>>,
    /// The only owner but for a thread that works on the memory of it.
    pub(crate) ring: Arc<Part>,
    holds: Option<Part>,
    /// Slots that this handle has seen to have memory.
    pub(super) backed: Box<[AtomicBool]>,
    /// All of the ring was seen to have memory.
    pub(super) whole: AtomicBool,
    /// The ring is on a memory file system.
    pub(super) in_memory: bool,
    /// Page faults of this process when a slot's payload last had no private pages: see [`Mapping::refresh`].
    fresh: Box<[AtomicU64]>,
    /// The whole file, shared and read-only, for those who ask for its address.
    shared: OnceLock<Option<Arc<Mapping>>>,
    /// Stands in for words that this handle may not write and never does.
    nothing: AtomicU64,
    pub(crate) geometry: RingGeometry,
    pub(crate) offsets: Offsets,
    pub(crate) member: Arc<Registration>,
}

impl Epoch {
    /// Puts together mapped files, whose geometry was read by [`read_geometry`].
    pub(crate) fn new(
        member: Arc<Registration>,
        geometry: RingGeometry,
        ring: Part,
        holds: Option<Part>,
    ) -> Result<Self, &'static str> {
        let offsets = geometry.offsets();
        let slots = usize::from(geometry.slots);
        let at = |offset: u64| usize::try_from(offset).map_err(|_| "it is larger than this machine's memory");
        if let Some(holds) = &holds {
            check_holds(&holds.map, &geometry)?;
        }
        // SAFETY: the views live beside the mappings, in one structure.
        let (header, index, slots_view, holders) = unsafe {
            (
                Array::new(&ring.map, 0, PAGE as usize, 1),
                Array::new(&ring.map, at(offsets.index_at)?, 8, at(offsets.index_len)?),
                Array::new(&ring.map, at(offsets.slots_at)?, LINE, slots),
                holds.as_ref().map(|holds| Array::new(&holds.map, PAGE as usize, LINE, slots)),
            )
        };
        let (Some(header), Some(index), Some(slots)) = (header, index, slots_view) else {
            return Err("it is too short");
        };
        let holders = match holders {
            Some(None) => return Err("its holder words are too few"),
            Some(holders) => holders,
            None => None,
        };
        // Frames are large, and what is in them may be nobody else's business.
        let (payloads, end) = (at(offsets.payload_at)?, at(offsets.file_len)?);
        ring.map.leave_out_of_dumps(payloads, end.saturating_sub(payloads));
        let in_memory = ring.file.get().is_some_and(is_in_memory);
        let nothing = AtomicU64::new(0);
        let fresh = (0..geometry.slots).map(|_| AtomicU64::new(u64::MAX)).collect();
        let backed = (0..geometry.slots).map(|_| AtomicBool::new(false)).collect();
        Ok(Self {
            header,
            index,
            slots,
            holders,
            nothing,
            ring: Arc::new(ring),
            holds,
            backed,
            fresh,
            shared: OnceLock::new(),
            whole: AtomicBool::new(false),
            in_memory,
            geometry,
            offsets,
            member,
        })
    }

    /// Writes the headers of new files that have no names yet.
    /// All of the ring has memory if it is `reserved`; else what is in front of the metadata has.
    pub(crate) fn initialise(
        geometry: &RingGeometry,
        ring: &Mapping,
        first: u64,
        reserved: bool,
    ) -> Result<(), &'static str> {
        // SAFETY: used only within this function.
        let header = unsafe { Array::<Header>::new(ring, 0, PAGE as usize, 1) }.ok_or("it is too short")?;
        geometry.write(header.get(0));
        header.get(0).first.store(first, Relaxed);
        header.get(0).reserved.store(reserved.into(), Relaxed);
        header.get(0).head.store(first, Ordering::SeqCst);
        Ok(())
    }

    /// As [`initialise`](Self::initialise), for `holds`.
    pub(crate) fn initialise_holds(geometry: &RingGeometry, holds: &Mapping) -> Result<(), &'static str> {
        // SAFETY: used only within this function.
        let header =
            unsafe { Array::<HoldsHeader>::new(holds, 0, PAGE as usize, 1) }.ok_or("it is too short")?;
        let header = header.get(0);
        header.version.store(VERSION, Relaxed);
        header.epoch.store(geometry.epoch, Relaxed);
        header.id.store(geometry.holds, Relaxed);
        header.slots.store(geometry.slots.into(), Relaxed);
        header.magic.store(HOLDS_MAGIC, Ordering::SeqCst);
        Ok(())
    }

    pub(crate) fn header(&self) -> &Header {
        self.header.get(0)
    }

    pub(crate) fn slot(&self, slot: u16) -> &Slot {
        self.slots.get(usize::from(slot))
    }

    pub(crate) fn topic(&self) -> &Topic {
        self.member.peers.topic()
    }

    /// Whether the files that others find this epoch by have their names, as far as can be seen. One that has a successor
    /// may be nameless.
    pub(crate) fn has_names(&self) -> bool {
        let peers = &self.member.peers;
        let all_linked =
            || [Some(&*self.ring), self.holds.as_ref()].into_iter().flatten().all(|p| is_linked(&p.file));
        // In this order: its names go after it was sealed.
        let succeeded = || {
            peers.load(&peers.header().epoch) > self.geometry.epoch
                || !matches!(seal::sealed_at(self), Ok(None))
        };
        peers.has_name() && (all_linked() || succeeded())
    }

    /// The futex word of this epoch.
    pub(crate) fn wake_word(&self) -> &std::sync::atomic::AtomicU32 {
        &self.header().wake
    }

    /// Whether this handle may write the ring: producers may, consumers never do.
    pub(crate) fn ring_writable(&self) -> bool {
        self.ring.map.access() == Access::ReadWrite
    }

    /// Where slot `slot`'s payload of `len` bytes lies; `None` if it is longer than the capacity.
    pub(crate) fn payload(&self, slot: u16, len: u64) -> Option<NonNull<u8>> {
        if slot >= self.geometry.slots || len > self.geometry.slot_capacity {
            return None;
        }
        self.ring.map.bytes_ptr(self.payload_at(slot)?, usize::try_from(len).ok()?)
    }

    /// Drops what this process has written onto a slot's payload by a private mapping. `false` if it is not to be read in place.
    pub(crate) fn refresh(&self, slot: u16) -> bool {
        // All of the slot, whatever the length of this frame: the next one may be longer.
        let len = usize::try_from(self.offsets.payload_stride);
        let (Some(at), Ok(len), Some(fresh)) =
            (self.payload_at(slot), len, self.fresh.get(usize::from(slot)))
        else {
            return false;
        };
        self.ring.map.refresh(at, len, fresh).is_ok()
    }

    /// The whole ring in a shared mapping that is read-only, and where in it a slot's payload begins. `None` if not all of it has
    /// memory, or the system refuses.
    pub(crate) fn shared_mapping(&self, slot: u16) -> Option<(&Arc<Mapping>, usize)> {
        // Who asks may touch all of it.
        if !self.is_whole() {
            return None;
        }
        let map = || {
            let len = usize::try_from(self.offsets.file_len).ok()?;
            let map = Mapping::new(self.ring.file.get()?, len, Access::ReadOnly, false).ok()?;
            map.leave_out_of_dumps(0, len);
            Some(Arc::new(map))
        };
        // In a forked child somebody may have been at it who is not there, and it could not be had.
        let shared =
            if self.ring.file.is_own_process() { self.shared.get_or_init(map) } else { self.shared.get()? };
        Some((shared.as_ref()?, self.payload_at(slot)?))
    }

    /// Copies out `dst.len()` bytes of payload, which may be changing meanwhile.
    pub(crate) fn copy_payload(&self, slot: u16, at: usize, dst: &mut [u8]) -> bool {
        let end = at.checked_add(dst.len()).is_some_and(|end| end as u64 <= self.geometry.slot_capacity);
        end && self.payload_at(slot).is_some_and(|from| self.copy_out(from + at, dst))
    }

    /// Copies `src` into the payload at `at`.
    ///
    /// # Safety
    /// The caller owns the slot, and no reference to its bytes exists.
    pub(crate) unsafe fn write_payload(&self, slot: u16, at: usize, src: &[u8]) -> bool {
        let end = at.checked_add(src.len()).is_some_and(|end| end as u64 <= self.geometry.slot_capacity);
        // SAFETY: passed on to the caller.
        end && self.payload_at(slot).is_some_and(|from| unsafe { self.ring.map.copy_in(from + at, src) })
    }

    /// Copies out a slot's metadata block, which may be changing meanwhile.
    pub(crate) fn copy_meta(&self, slot: u16, dst: &mut [u8]) -> bool {
        let fits = dst.len() as u64 <= self.geometry.meta_capacity;
        fits && self.meta_at(slot).is_some_and(|from| self.copy_out(from, dst))
    }

    /// Writes a slot's metadata block.
    ///
    /// # Safety
    /// The caller owns the slot.
    pub(crate) unsafe fn write_meta(&self, slot: u16, src: &[u8]) -> bool {
        let fits = src.len() as u64 <= self.geometry.meta_capacity;
        // SAFETY: passed on to the caller; nobody ever makes a reference to metadata.
        fits && self.meta_at(slot).is_some_and(|to| unsafe { self.ring.map.copy_in(to, src) })
    }

    /// Lets `fill` write a slot's metadata block in place.
    ///
    /// # Safety
    /// The caller owns the slot, and no other reference to its metadata exists.
    pub(crate) unsafe fn with_meta<R>(&self, slot: u16, fill: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        let len = usize::try_from(self.geometry.meta_capacity).ok()?;
        let block = self.ring.map.bytes_ptr(self.meta_at(slot)?, len).filter(|_| self.ring_writable())?;
        // SAFETY: mapped and writable; exclusive by the caller's word; initialised, because files are.
        Some(fill(unsafe { std::slice::from_raw_parts_mut(block.as_ptr(), len) }))
    }

    fn payload_at(&self, slot: u16) -> Option<usize> {
        usize::try_from(self.offsets.payload_at + u64::from(slot) * self.offsets.payload_stride).ok()
    }

    fn meta_at(&self, slot: u16) -> Option<usize> {
        usize::try_from(self.offsets.meta_at + u64::from(slot) * self.geometry.meta_capacity).ok()
    }

    /// An error about words that no honest participant leaves.
    pub(crate) fn corrupt(&self, what: Corruption) -> Error {
        Error::Corrupt { topic: self.topic().name().into(), what: what.what().into() }
    }
}

/// Reads and checks the geometry of a ring of which at least the first page is mapped.
pub(crate) fn read_geometry(ring: &Mapping, file_len: u64) -> Result<RingGeometry, BadGeometry> {
    // SAFETY: used only within this function.
    let header = unsafe { Array::<Header>::new(ring, 0, PAGE as usize, 1) };
    RingGeometry::read(header.ok_or(BadGeometry::Other("it is too short"))?.get(0), file_len)
}

/// First sequence, next sequence and futex value of a ring of which at least the first page is mapped.
pub(crate) fn read_progress(ring: &Mapping) -> Option<(u64, u64)> {
    // SAFETY: used only within this function.
    let header = unsafe { Array::<Header>::new(ring, 0, PAGE as usize, 1) }?;
    let header = header.get(0);
    Some((header.first.load_acquire(), header.head.load_acquire()))
}

fn check_holds(holds: &Mapping, geometry: &RingGeometry) -> Result<(), &'static str> {
    // SAFETY: used only within this function.
    let header = unsafe { Array::<HoldsHeader>::new(holds, 0, PAGE as usize, 1) }.ok_or("it is too short")?;
    let header = header.get(0);
    let right = header.magic.load(Relaxed) == HOLDS_MAGIC
        && header.version.load(Relaxed) == VERSION
        && header.epoch.load(Relaxed) == geometry.epoch
        && header.id.load(Relaxed) == geometry.holds
        && header.slots.load(Relaxed) == u64::from(geometry.slots);
    if right { Ok(()) } else { Err("its holder words belong to another ring") }
}

impl Word for AtomicU64 {
    #[inline(always)]
    fn load(&self, order: Ordering) -> u64 {
        if order == Ordering::Acquire { self.load_acquire() } else { Self::load(self, order) }
    }
    #[inline(always)]
    fn store(&self, value: u64, order: Ordering) {
        Self::store(self, value, order);
    }
    #[inline(always)]
    fn cas(&self, from: u64, to: u64, order: Ordering) -> Result<(), u64> {
        self.compare_exchange(from, to, order, Ordering::Acquire).map(|_| ())
    }
    #[inline(always)]
    fn or(&self, bits: u64, order: Ordering) -> u64 {
        self.fetch_or(bits, order)
    }
    #[inline(always)]
    fn and(&self, bits: u64, order: Ordering) -> u64 {
        self.fetch_and(bits, order)
    }
}

impl Memory for Epoch {
    type Word = AtomicU64;

    #[inline(always)]
    fn slots(&self) -> u16 {
        self.geometry.slots
    }
    #[inline(always)]
    fn index_len(&self) -> u64 {
        self.offsets.index_len
    }
    #[inline(always)]
    fn head(&self) -> &AtomicU64 {
        &self.header().head
    }
    #[inline(always)]
    fn first(&self) -> &AtomicU64 {
        &self.header().first
    }
    #[inline(always)]
    fn index(&self, seq: u64) -> &AtomicU64 {
        self.index.get((seq & (self.offsets.index_len - 1)) as usize)
    }
    #[inline(always)]
    fn state(&self, slot: u16) -> &AtomicU64 {
        &self.slot(slot).state
    }
    #[inline(always)]
    fn holders(&self, slot: u16) -> &AtomicU64 {
        match &self.holders {
            Some(holders) => holders.get(usize::from(slot)),
            None => &self.nothing,
        }
    }
    #[inline(always)]
    fn sleepers(&self) -> &AtomicU64 {
        if self.member.peers.writable() { &self.member.peers.header().sleepers } else { &self.nothing }
    }
    #[inline(always)]
    fn wake_value(&self) -> u32 {
        self.wake_word().load_acquire()
    }
    #[inline(always)]
    fn bump_wake(&self) {
        self.wake_word().fetch_add(1, Ordering::AcqRel);
    }
    fn wake_all(&self) -> usize {
        // It fails only for addresses that are not mapped.
        futex::wake_all(self.wake_word()).unwrap_or(0)
    }
    /// On x86-64 a fence for the compiler is enough, and spares the `mfence`: each of these follows a locked
    /// read-modify-write, which is a full barrier, without a store in between (`Claim`: the holder bit; `Wake`: the
    /// futex word; `Sleep`: the sleeper bit; `Budget`: the holder bit), except `Copy`, which keeps loads in order, and
    /// there they are.
    #[inline(always)]
    fn fence(&self, which: Fence) {
        // Consumers that are not registered set no bit before they sleep.
        let implied = which != Fence::Sleep || self.member.id().is_some();
        if cfg!(target_arch = "x86_64") && implied {
            compiler_fence(Ordering::SeqCst);
        } else {
            fence(Ordering::SeqCst);
        }
    }
    #[inline(always)]
    fn at(&self, step: FailPoint) {
        crate::protocol::fail_points::fail_point(step);
    }
}
