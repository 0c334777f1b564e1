//! Getting at the next frame.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use super::frame::{Body, Leased};
use super::pool::Pooled;
use super::{Consumer, Frame, OnLapped};
use crate::error::{Error, Result};
use crate::info::ParticipantId;
use crate::layout::words::{PRODUCERS, bit};
use crate::lifecycle::follow;
use crate::protocol::fail_points::fail_point;
use crate::protocol::lease::{Lease, copy, lease, newest_readable, next_seq, oldest_readable, over_budget};
use crate::protocol::{FailPoint, Memory};
use crate::shm::backing::give_up;
use crate::shm::epoch::Epoch;

/// Old epochs that leases of one consumer may keep in memory; beyond it, it receives copies.
const PINNED_EPOCHS: usize = 2;

impl Consumer {
    /// The next frame if there is one.
    pub(super) fn poll(&mut self) -> Result<Option<Frame>> {
        // Each round either returns, loses at least one frame, or goes on to a later epoch. Frames that are lost faster
        // than one can look for them are for the next call.
        for _ in 0..self.epoch.index_len().saturating_mul(2) {
            match self.look()? {
                Look::Frame(frame) => return Ok(Some(frame)),
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
                what: format!("slot {slot} claims to hold more than fits"),
            });
        };
        let producer = ParticipantId { id: owner, generation: leased.generation() };
        let body = if let Some(reason) = self.must_copy(leased.slot()) {
            self.trace.copied(self.epoch.member.topic_name(), Some(id), reason);
            let buffer = self.pool.take(leased.len());
            leased.copy(buffer)
        } else {
            Body::Leased(leased)
        };
        Ok(Look::Frame(self.deliver(body, producer)))
    }

    /// Why the lease just taken is one too many, for us or for the producers; `None` if it is not.
    fn must_copy(&mut self, slot: u16) -> Option<&'static str> {
        if self.leases.load(Relaxed) > self.max_leases {
            return Some("it holds as many leases as it may");
        }
        self.old.retain(|epoch| epoch.strong_count() != 0);
        if self.old.len() > PINNED_EPOCHS {
            return Some("its leases keep too many old epochs in memory");
        }
        // Each producer needs a slot to write into, and one must be left to change over.
        let producers = (self.epoch.member.peers.active() & (bit(PRODUCERS) - 1)).count_ones().max(1);
        over_budget(&*self.epoch, slot, producers.saturating_add(1))
            .then_some("producers would run short of slots")
    }

    /// Reads the frame without holding its slot.
    fn copy_out(&mut self) -> Result<Result<Frame, Lease>> {
        let epoch = Arc::clone(&self.epoch);
        let copied = copy(&*epoch, self.cursor, |slot| read_slot(&epoch, slot, |len| self.pool.take(len)));
        match copied.map_err(|corruption| epoch.corrupt(corruption))? {
            Ok((Some((payload, meta, generation)), owner)) => {
                let producer = ParticipantId { id: owner, generation };
                self.trace.copied(epoch.member.topic_name(), None, why_unregistered(&epoch));
                Ok(Ok(self.deliver(Body::Copied { payload, meta }, producer)))
            }
            Ok((None, _)) => {
                self.lose(self.cursor.saturating_add(1));
                let what = "a slot claims to hold more than fits".into();
                Err(Error::Corrupt { topic: self.topic().into(), what })
            }
            Err(why) => Ok(Err(why)),
        }
    }

    fn deliver(&mut self, body: Body, producer: ParticipantId) -> Frame {
        let copied = matches!(body, Body::Copied { .. });
        let frame = Frame::new(
            &mut self.room,
            body,
            self.cursor,
            std::mem::take(&mut self.lost),
            producer,
            self.epoch.geometry.epoch,
        );
        self.advance(self.cursor.saturating_add(1));
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
    fn not_yet(&mut self) -> Result<Look> {
        let first = self.epoch.first().load(Acquire);
        if self.cursor < first {
            self.advance(first);
            return Ok(Look::Again);
        }
        Ok(Look::Nothing)
    }

    /// Goes on where frames are still readable.
    fn lapped(&mut self) -> Result<Look> {
        let find = match self.on_lapped {
            OnLapped::Oldest => oldest_readable(&*self.epoch, self.cursor),
            OnLapped::Newest => newest_readable(&*self.epoch, self.cursor),
        };
        let next = match find.map_err(|corruption| self.epoch.corrupt(corruption))? {
            Some(seq) => seq,
            None => next_seq(&*self.epoch).map_err(|corruption| self.epoch.corrupt(corruption))?.0,
        };
        self.lose(next.max(self.cursor.saturating_add(1)));
        Ok(Look::Again)
    }

    fn lose(&mut self, next: u64) {
        let lost = next.saturating_sub(self.cursor);
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
        self.old.retain(|epoch| epoch.strong_count() != 0);
        let left = std::mem::replace(&mut self.epoch, new);
        self.old.push(Arc::downgrade(&left));
        // What still needs it are leases.
        give_up(left);
        // An epoch in between whose name is gone: its frames are lost.
        let first = self.epoch.first().load(Acquire);
        if first > self.cursor {
            self.lose(first);
        }
        Ok(())
    }
}

/// Why a consumer has no bit to lease with.
pub(super) fn why_unregistered(epoch: &Epoch) -> &'static str {
    if epoch.member.peers.writable() { "there are as many consumers as can lease" } else { "it only reads" }
}

enum Look {
    Frame(Frame),
    Nothing,
    Again,
}

/// Copies a slot that may be changing; `None` if its lengths are out of range.
fn read_slot(
    epoch: &Epoch,
    slot: u16,
    buffer: impl FnOnce(usize) -> Pooled,
) -> Option<(Pooled, Vec<u8>, u64)> {
    let header = epoch.slot(slot);
    let len = header.len.load(Relaxed);
    let meta_len = header.meta_len.load(Relaxed);
    if len > epoch.geometry.slot_capacity || meta_len > epoch.geometry.meta_capacity {
        return None;
    }
    let mut payload = buffer(usize::try_from(len).ok()?);
    let mut meta = vec![0; usize::try_from(meta_len).ok()?];
    #[cfg(feature = "failpoints")]
    {
        let half = payload.bytes.len() / 2;
        let (one, two) = payload.bytes.split_at_mut(half);
        let copied = epoch.copy_payload(slot, 0, one);
        fail_point(FailPoint::CopyHalf);
        if !(copied && epoch.copy_payload(slot, half, two)) {
            return None;
        }
    }
    #[cfg(not(feature = "failpoints"))]
    if !epoch.copy_payload(slot, 0, &mut payload.bytes) {
        return None;
    }
    epoch.copy_meta(slot, &mut meta).then(|| (payload, meta, header.generation.load(Relaxed)))
}
