//! The memory behind a large ring: reserved and touched in the background, and given back there.
//!
//! To reserve 332 MB, a ring for 4K video, takes a tenth of a second and more, and to touch all of it several times that:
//! no frame can wait so long, nor can others who want to open the topic. So only the control words of a large ring have
//! memory when it gets its name. A thread of each producer reserves the rest. Until that is done (`reserved` in the header
//! says so) whoever claims a slot reserves that slot's memory first: nobody ever writes where there may be none, which
//! would be a SIGBUS, whoever dies or stands in the middle of this. To reserve twice changes nothing.
//!
//! The threads refer to the mapping only, weakly: they end when the handle goes, and keep no participant alive.

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use super::epoch::{Epoch, Part};
use crate::layout::ring::Offsets;
use crate::layout::view::LoadAcquire;
use crate::protocol::FailPoint;
use crate::protocol::fail_points::fail_point;
use crate::sys::{space, thread};

/// Rings up to this size are reserved and touched when they are made: that takes a millisecond or two.
const AT_ONCE: u64 = 2 << 20;
/// How much a thread does at a time; in between it looks whether anybody needs it, and lets others have the processor,
/// who may be waiting to publish.
const PIECE: u64 = 1 << 20;
const PAUSE: Duration = Duration::from_micros(200);
/// How often, and how many times, a thread looks whether another process is done.
const WAIT: Duration = Duration::from_millis(20);
const LOOKS: u32 = 500;

/// Whether a ring of so many bytes is reserved and touched at once.
pub(crate) const fn is_small(file_len: u64) -> bool {
    file_len <= AT_ONCE
}

impl Part {
    /// Sees to it that a range of a file that we may write has memory, and touches it if the kernel can do both at once.
    fn back(&self, at: u64, len: u64) -> io::Result<()> {
        // It takes no lock of the file, as a reservation does, for which a publishing thread would wait.
        match self.touch(at, len) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EFAULT) => {
                return Err(io::Error::from_raw_os_error(libc::ENOSPC));
            }
            // An older kernel, or a signal.
            Err(_) => space::reserve(self.file.fd()?, at, len)?,
        }
        fail_point(FailPoint::ReservePiece);
        Ok(())
    }

    fn touch(&self, at: u64, len: u64) -> io::Result<()> {
        let (Ok(offset), Ok(size)) = (usize::try_from(at), usize::try_from(len)) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        self.map.touch(offset, size)
    }
}

impl Epoch {
    /// Whether all of it has memory.
    fn is_reserved(&self) -> bool {
        self.header().reserved.load_acquire() != 0
    }

    /// Sees to it that a slot has memory. For its owner, before it writes to it.
    ///
    /// It reserves, and does not touch: to clear the pages of a large frame takes two or three times as long, and a page that is
    /// cleared as the frame is written is in the cache then. (33 MB: 10 ms instead of 20 to 45, and 25 for the whole frame
    /// instead of 45; `shmflow-bench ring --only switch`.)
    pub(crate) fn reserve_slot(&self, slot: u16) -> io::Result<()> {
        // What has got memory keeps it; to look again takes milliseconds for a large frame.
        if self.is_reserved() || self.is_touched(slot) {
            return Ok(());
        }
        let (o, slot) = (&self.offsets, u64::from(slot));
        let meta = self.geometry.meta_capacity;
        if meta != 0 {
            self.ring.back(o.meta_at.saturating_add(slot.saturating_mul(meta)), meta)?;
        }
        space::reserve(self.ring.file.fd()?, o.payload_of(slot), o.payload_stride)?;
        fail_point(FailPoint::ReservePiece);
        Ok(())
    }

    /// Touches what a frame that is about to be published left untouched of its slot. Otherwise its consumers would find
    /// holes there, as long as the ring as a whole is not reserved, and copy it.
    pub(crate) fn fill_slot(&self, slot: u16) {
        if self.is_reserved() || self.is_touched(slot) {
            return;
        }
        let o = &self.offsets;
        // An older kernel cannot; then they copy.
        let _ = self.ring.touch(o.payload_of(slot.into()), o.payload_stride);
        if let Some(backed) = self.backed.get(usize::from(slot)) {
            backed.store(true, Relaxed);
        }
    }

    /// Whether this process has touched a slot.
    fn is_touched(&self, slot: u16) -> bool {
        self.backed.get(usize::from(slot)).is_some_and(|backed| backed.load(Relaxed))
    }

    /// Starts what is left to be done for this mapping: to reserve what has no memory yet, for those who may write it, and
    /// to touch all of it, if that is wanted. Once for each mapping, and without the lifecycle lock.
    pub(crate) fn start_backing(&self, touch: bool) {
        let offsets = self.offsets;
        let reserve = self.ring_writable() && !self.is_reserved();
        let touch = touch && !is_small(offsets.file_len);
        if reserve || touch {
            let ring = Arc::downgrade(&self.ring);
            // Without a thread the owners of slots reserve and touch them as they come to use them.
            let _ = thread::spawn("shmflow-back", move || {
                if reserve {
                    reserve_all(&ring, &offsets, touch)
                } else {
                    touch_all(&ring, &offsets)
                };
            });
        }
    }
}

/// Reserves the whole file, and says so. Ends early if the handle goes, or there is no room: then owners of slots are told.
fn reserve_all(ring: &Weak<Part>, offsets: &Offsets, touch: bool) -> Option<()> {
    in_pieces(ring, offsets, |ring, at, piece| {
        if touch {
            return ring.back(at, piece).ok();
        }
        space::reserve(ring.file.get()?, at, piece).ok()
    })?;
    ring.upgrade()?.set_reserved();
    Some(())
}

/// Fills the page tables of the mapping. Reading is enough to give a hole memory, so this waits for those who reserve it.
fn touch_all(ring: &Weak<Part>, offsets: &Offsets) -> Option<()> {
    for look in 0.. {
        if ring.upgrade()?.is_reserved() {
            break;
        }
        if look == LOOKS {
            return None;
        }
        std::thread::sleep(WAIT);
    }
    if !ring.upgrade()?.has(offsets.file_len) {
        // It is said to have memory, and has not: it is not for us to give it any.
        return None;
    }
    // An older kernel cannot: pages are touched as they come to be used.
    in_pieces(ring, offsets, |ring, at, piece| ring.touch(at, piece).ok())
}

/// The control words, and then the slots in the order in which a producer takes those of a new ring; each from its end, so
/// that this and a producer that writes the first frames meet in the middle and do not wait for each other at every page.
fn in_pieces(
    ring: &Weak<Part>,
    offsets: &Offsets,
    work: impl Fn(&Part, u64, u64) -> Option<()>,
) -> Option<()> {
    let (mut begin, mut end) = (0, offsets.payload_at);
    while begin < end {
        let mut rest = end - begin;
        while rest != 0 {
            let piece = PIECE.min(rest);
            rest -= piece;
            work(&*ring.upgrade()?, begin + rest, piece)?;
            std::thread::sleep(PAUSE);
        }
        begin = end;
        end = end.saturating_add(offsets.payload_stride).min(offsets.file_len);
    }
    Some(())
}

/// Releases an epoch that its handle has left. If nothing else needs it, a thread unmaps it, which for the last process to
/// do so frees its memory: a tenth of a second for what a 4K stream leaves behind.
pub(crate) fn give_up(epoch: Arc<Epoch>) -> Option<JoinHandle<()>> {
    let epoch = Arc::into_inner(epoch)?;
    if is_small(epoch.offsets.file_len) {
        return None;
    }
    // Only the mapping: the participant must not end in a background thread.
    let ring = Arc::clone(&epoch.ring);
    drop(epoch);
    thread::spawn("shmflow-free", move || drop(ring)).ok()
}
