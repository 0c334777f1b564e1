//! Getting at the next frame.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::frame::{Body, Leased};
use super::pool::{Pool, Pooled};
use super::{Consumer, CopyReason, Frame, OnLapped};
use crate::error::{Error, Result};
use crate::info::ParticipantId;
use crate::layout::view::LoadAcquire;
use crate::layout::words::{PRODUCERS, bit};
use crate::lifecycle::follow;
use crate::protocol::fail_points::fail_point;
use crate::protocol::lease::{Lease, copy, lease, newest_readable, next_seq, oldest_readable, over_budget};
use crate::protocol::{FailPoint, Memory};
use crate::shm::backing::give_up;
use crate::shm::epoch::Epoch;
use crate::sys::clock::monotonic_ns;
use crate::sys::machine_time::from_machine;

/// Old epochs that leases of one consumer may keep in memory; beyond it, it receives copies.
const PINNED_EPOCHS: usize = 2;

impl Consumer {
    /// The next frame if there is one.
    pub(super) fn poll(&mut self) -> Result<Option<Frame>> {
        self.register_sometimes();
        if self.selection.rests_until() != 0 {
            return Ok(None);
        }
        if self.selection.is_latest() && self.awaited().has_frame() {
            self.skip_to_newest()?;
        }
        // Each round either returns, loses at least one frame, or goes on to a later epoch. Frames that are lost faster
        // than one can look for them are for the next call.
        for _ in 0..self.epoch.index_len().saturating_mul(2) {
            let before = self.selection;
            match self.look()? {
                Look::Frame(frame) if self.filter.wants(&frame) => return Ok(Some(frame)),
                Look::Frame(frame) => self.skip(&frame, before),
                Look::Nothing => {
                    self.room.prepare();
                    return Ok(None);
                }
                Look::Again => {}
            }
        }
        Ok(None)
    }

    fn look(&mut self) -> Result<Look> {
        if self.is_unwanted() {
            return self.pass_over();
        }
        let outcome = match self.epoch.member.id() {
            Some(id) => match lease(&*self.epoch, id, self.cursor) {
                Ok(Lease::Taken { slot, owner }) => return self.take(slot, id, owner),
                other => other,
            },
            None => match self.copy_out()? {
                Ok(frame) => return Ok(Look::Frame(frame)),
                Err(why) => Ok(why),
            },
        };
        match outcome.map_err(|corruption| self.epoch.corrupt(corruption))? {
            Lease::NotYet => self.not_yet(),
            // The index still knows frames whose slots were taken long ago: whoever wants the newest is not to look for
            // the oldest that is left, frame by frame.
            Lease::Lost if self.on_lapped == OnLapped::Newest => self.lapped(),
            Lease::Lost | Lease::Taken { .. } => {
                self.lose(self.cursor.saturating_add(1));
                Ok(Look::Again)
            }
            Lease::Lapped => self.lapped(),
            Lease::Sealed => {
                self.follow()?;
                Ok(Look::Again)
            }
        }
    }

    /// Makes a frame of a slot on which our bit is set.
    fn take(&mut self, slot: u16, id: u8, owner: u8) -> Result<Look> {
        fail_point(FailPoint::LeaseTaken);
        let Some(leased) = Leased::new(Arc::clone(&self.epoch), slot, id, &self.leases) else {
            self.lose(self.cursor.saturating_add(1));
            return Err(Error::Corrupt {
                topic: self.topic().into(),
                what: format!("the lengths of slot {slot} exceed its capacity"),
            });
        };
        let producer = ParticipantId { id: owner, generation: leased.generation() };
        let len = leased.len() as u64;
        let body = match self.must_copy(slot, len) {
            Some(reason) if !self.allow_copies => return Err(self.would_copy(reason)),
            Some(reason) => {
                buffer(&self.epoch, len, &self.pool).and_then(|buffer| leased.copy(buffer, reason))
            }
            None => Ok(Body::Leased(leased)),
        };
        match body {
            Ok(body) => Ok(Look::Frame(self.deliver(body, producer))),
            Err(why) => Err(self.unreadable(why)),
        }
    }

    /// Whether the lease just taken is one too many, for us or for the producers, or its bytes cannot be read in place.
    fn must_copy(&mut self, slot: u16, len: u64) -> Option<CopyReason> {
        if self.always_copy {
            return Some(CopyReason::Requested);
        }
        if self.leases.load(Relaxed) > self.max_leases {
            return Some(CopyReason::MaxLeases(self.max_leases));
        }
        self.old.retain(|epoch| epoch.strong_count() != 0);
        if self.old.len() > PINNED_EPOCHS {
            return Some(CopyReason::OldEpochs);
        }
        // Each producer needs a slot to write into, and one must be left to change over.
        let producers = (self.epoch.member.peers.active() & (bit(PRODUCERS) - 1)).count_ones().max(1);
        if over_budget(&*self.epoch, slot, producers.saturating_add(1)) {
            return Some(CopyReason::SlotsNeeded);
        }
        if !self.epoch.is_readable_in_place(slot, len) {
            return Some(CopyReason::Holes);
        }
        // The bit is ours: the bytes stay as they are from now on, and no frame of ours refers to this slot.
        (!self.epoch.refresh(slot)).then_some(CopyReason::NotPrivate)
    }

    /// The frame stays where it is: the next attempt finds it, if it is not overwritten by then.
    fn would_copy(&self, reason: CopyReason) -> Error {
        Error::WouldCopy { topic: self.topic_shared(), reason }
    }

    /// Without a place and without copies: an error if there is a frame, else what there is instead.
    fn refuse_copy(&mut self, reason: CopyReason) -> Result<Result<Frame, Lease>> {
        let corrupt = |corruption| self.epoch.corrupt(corruption);
        if let Err(instead) = copy(&*self.epoch, self.cursor, |_| ()).map_err(corrupt)? {
            return Ok(Err(instead));
        }
        // Places are given out in the newest epoch only, and in a sealed one nothing is overwritten: it would wait for ever.
        let (seal, sealed) = next_seq(&*self.epoch).map_err(corrupt)?;
        if !sealed {
            return Err(self.would_copy(reason));
        }
        self.lose(seal);
        Ok(Err(Lease::Sealed))
    }

    /// Reads the frame without holding its slot.
    fn copy_out(&mut self) -> Result<Result<Frame, Lease>> {
        let reason = if self.mode.write_holds { CopyReason::NotRegistered } else { CopyReason::ReadOnly };
        if !self.allow_copies {
            return self.refuse_copy(reason);
        }
        let epoch = Arc::clone(&self.epoch);
        let copied = copy(&*epoch, self.cursor, |slot| read_slot(&epoch, slot, &self.pool));
        match copied.map_err(|corruption| epoch.corrupt(corruption))? {
            Ok((Ok((payload, meta, generation, published_ns)), owner)) => {
                let producer = ParticipantId { id: owner, generation };
                Ok(Ok(self.deliver(Body::Copied { payload, meta, published_ns, reason }, producer)))
            }
            Ok((Err(why), _)) => Err(self.unreadable(why)),
            Err(why) => Ok(Err(why)),
        }
    }

    /// Goes past a frame that cannot be copied.
    fn unreadable(&mut self, why: Unreadable) -> Error {
        self.lose(self.cursor.saturating_add(1));
        let topic = self.topic().into();
        let what = match why {
            Unreadable::Lengths => "a slot claims to hold more than fits".into(),
            Unreadable::Holes(len) => format!(
                "a slot claims to hold {len} bytes, and there is not so much memory behind the ring; the process that made it does \
                 not follow the protocol, or it is on a disk, and there is less than twice as much memory free"
            ),
            Unreadable::NoMemory(len) => {
                let source = std::io::ErrorKind::OutOfMemory.into();
                return Error::Io { topic, what: format!("copy a frame of {len} bytes"), source };
            }
        };
        Error::Corrupt { topic, what }
    }

    fn deliver(&mut self, body: Body, producer: ParticipantId) -> Frame {
        let copied = matches!(body, Body::Copied { .. });
        if let Body::Copied { reason, .. } = &body {
            let member = &self.epoch.member;
            self.trace.copied(member.topic_name(), member.id(), reason.as_str());
        }
        let frame = Frame::new(
            &mut self.room,
            body,
            self.cursor,
            std::mem::take(&mut self.lost),
            producer,
            self.epoch.geometry.epoch,
        );
        let next = self.cursor.saturating_add(1);
        if self.selection.next(next) == next {
            self.advance_held(next);
        } else {
            // What comes first is for others: who waits to write that need not wait until this frame is released.
            self.advance(next);
        }
        self.selection.taken();
        if self.busy_wait.is_on() {
            self.busy_wait.arrived(frame.seq(), frame.published_ns(), monotonic_ns());
        }
        self.stats.received += 1;
        self.stats.copied += u64::from(copied);
        self.stats.bytes += frame.len() as u64;
        if let Some(entry) = self.epoch.member.entry() {
            // Nobody else writes these.
            entry.frames.store(self.stats.received, Relaxed);
            entry.bytes.store(self.stats.bytes, Relaxed);
            entry.copied.store(self.stats.copied, Relaxed);
        }
        frame
    }

    /// Nothing at the cursor. An epoch that has only just started may begin after it.
    pub(super) fn not_yet(&mut self) -> Result<Look> {
        let first = self.epoch.first().load_acquire();
        if self.cursor < first {
            self.advance(first);
            return Ok(Look::Again);
        }
        Ok(Look::Nothing)
    }

    /// Goes on where frames are still readable.
    pub(super) fn lapped(&mut self) -> Result<Look> {
        let find = match self.on_lapped {
            OnLapped::Oldest => oldest_readable(&*self.epoch, self.cursor),
            OnLapped::Newest => newest_readable(&*self.epoch, self.cursor).map(|found| {
                found.map(|newest| self.newest_own(&self.epoch, self.cursor, newest).unwrap_or(newest))
            }),
        };
        let next = match find.map_err(|corruption| self.epoch.corrupt(corruption))? {
            Some(seq) => seq,
            None => next_seq(&*self.epoch).map_err(|corruption| self.epoch.corrupt(corruption))?.0,
        };
        self.lose(next.max(self.cursor.saturating_add(1)));
        Ok(Look::Again)
    }

    fn lose(&mut self, next: u64) {
        let lost = self.selection.lost(self.cursor, next);
        self.lost = self.lost.saturating_add(lost);
        self.stats.lost = self.stats.lost.saturating_add(lost);
        let member = &self.epoch.member;
        self.trace.lost(member.topic_name(), member.id(), lost);
        if let Some(entry) = self.epoch.member.entry() {
            entry.lost.store(self.stats.lost, Relaxed);
        }
        self.advance(next);
    }

    /// Goes on in the epoch after this one, which is sealed at the cursor.
    pub(super) fn follow(&mut self) -> Result<()> {
        let new = follow::next(&self.epoch, self.mode)?;
        self.enter(new);
        // Epochs in between whose names are gone: their frames are lost.
        let first = self.epoch.first().load_acquire();
        if first > self.cursor {
            self.lose(first);
        }
        Ok(())
    }

    /// Goes on in a later epoch.
    pub(super) fn enter(&mut self, new: Arc<Epoch>) {
        follow::enter(&new, self.mode);
        if let Some(poll_fd) = &self.poll_fd {
            poll_fd.leave_epoch();
        }
        self.old.retain(|epoch| epoch.strong_count() != 0);
        let left = std::mem::replace(&mut self.epoch, new);
        self.old.push(Arc::downgrade(&left));
        // What still needs it are leases.
        give_up(left);
    }
}

pub(super) enum Look {
    Frame(Frame),
    Nothing,
    Again,
}

/// Why a frame cannot be copied.
pub(super) enum Unreadable {
    /// Its lengths are out of range.
    Lengths,
    /// It is longer than all the memory that is behind the ring, or, of one on a disk, than what may be spent on it here.
    Holes(u64),
    /// This process has no memory for the copy.
    NoMemory(u64),
}

/// A buffer for a slot's payload. Its length is what its producer says.
fn buffer(epoch: &Epoch, len: u64, pool: &Pool) -> Result<Pooled, Unreadable> {
    if !epoch.may_hold(len) {
        return Err(Unreadable::Holes(len));
    }
    usize::try_from(len).ok().and_then(|len| pool.take(len)).ok_or(Unreadable::NoMemory(len))
}

/// Copies a slot that may be changing: payload, metadata, the producer's generation, the time of publication.
fn read_slot(epoch: &Epoch, slot: u16, pool: &Pool) -> Result<(Pooled, Vec<u8>, u64, u64), Unreadable> {
    let header = epoch.slot(slot);
    let (len, meta_len) = (header.len.load(Relaxed), header.meta_len.load(Relaxed));
    if len > epoch.geometry.slot_capacity || meta_len > epoch.geometry.meta_capacity {
        return Err(Unreadable::Lengths);
    }
    let mut payload = buffer(epoch, len, pool)?;
    let mut meta = vec![0; usize::try_from(meta_len).map_err(|_| Unreadable::Lengths)?];
    // In two halves, for a producer to come in between.
    let half = if cfg!(feature = "failpoints") { payload.len() / 2 } else { 0 };
    let (one, two) = payload.split_at_mut(half);
    let mut copied = epoch.copy_payload(slot, 0, one);
    fail_point(FailPoint::CopyHalf);
    copied &= epoch.copy_payload(slot, half, two) && epoch.copy_meta(slot, &mut meta);
    // It fails if the file was cut short.
    if !copied {
        return Err(Unreadable::Lengths);
    }
    Ok((payload, meta, header.generation.load(Relaxed), from_machine(header.published.load(Relaxed))))
}
