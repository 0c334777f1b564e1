//! What roles are made of: the protocol's operations as producers, consumers and reapers use them, with the books kept.

use super::world::Seat;
use crate::protocol::claim::{self, Hint, Reusable};
use crate::protocol::lease::{self, Lease};
use crate::protocol::publish::{self, Published};
use crate::protocol::{FailPoint, Memory, reap, sleep};

/// No consumer is registered and nothing is kept for late joiners: every frame is consumed.
pub(super) const ALL_PASSED: Reusable = Reusable { cursor: u64::MAX, history: 0 };
/// Every frame is unread: no frame is consumed.
pub(super) const NONE_PASSED: Reusable = Reusable { cursor: 0, history: 0 };

impl Seat {
    pub(super) fn claim_consumed(&self, passed: Reusable) -> Option<u16> {
        let slot = claim::claim_consumed(self, self.id(), passed, &mut Hint::default())?;
        self.world.oracle.claimed(self.epoch(), slot, self.role());
        Some(slot)
    }

    pub(super) fn claim_oldest(&self) -> Option<u16> {
        let slot = claim::claim_oldest(self, self.id(), u64::MAX, &mut Hint::default())?;
        self.world.oracle.claimed(self.epoch(), slot, self.role());
        Some(slot)
    }

    /// Claims the slot of frame `seq` and no other.
    pub(super) fn claim_frame(&self, seq: u64) -> Option<u16> {
        let slot = claim::take_frame(self, self.id(), seq)?;
        self.world.oracle.claimed(self.epoch(), slot, self.role());
        Some(slot)
    }

    /// Fills a claimed slot and publishes it, and releases it unless the epoch is sealed.
    pub(super) fn publish(&self, slot: u16) -> Published {
        let payload = self.next_payload();
        self.write(slot, payload);
        let published = self.publish_written(slot, payload);
        if let Published::At(_) = published {
            publish::wake(self, || false);
            self.release_published(slot);
        }
        published
    }

    pub(super) fn publish_written(&self, slot: u16, payload: u64) -> Published {
        let oracle = &self.world.oracle;
        oracle.publishing(self.epoch(), slot, self.role(), payload);
        let published = publish::publish(self, self.id(), slot).unwrap();
        match published {
            Published::At(seq) => oracle.published(self.role(), seq),
            Published::Sealed(_) => oracle.not_published(self.epoch(), slot, self.role()),
        }
        published
    }

    pub(super) fn release_published(&self, slot: u16) {
        self.world.oracle.letting_go(self.epoch(), slot, self.role());
        claim::release_published(self, self.id(), slot);
    }

    pub(super) fn abandon(&self, slot: u16) {
        self.world.oracle.abandoning(self.epoch(), slot, self.role());
        claim::abandon(self, self.id(), slot);
    }

    /// Claims whatever is there, publishes into it and wakes; the sequence, if a slot could be had.
    pub(super) fn produce(&self) -> Option<u64> {
        let slot = self.claim_oldest()?;
        match self.publish(slot) {
            Published::At(seq) => Some(seq),
            Published::Sealed(_) => None,
        }
    }

    pub(super) fn lease(&self, n: u64) -> Lease {
        let lease = lease::lease(self, self.id(), n).unwrap();
        if let Lease::Taken { slot, .. } = lease {
            self.world.oracle.leased(self.epoch(), slot, self.role());
            self.at(FailPoint::LeaseTaken);
        }
        lease
    }

    pub(super) fn release(&self, slot: u16) {
        self.world.oracle.releasing(self.epoch(), slot, self.role());
        lease::release(self, self.id(), slot);
    }

    /// Leases frame `n`, reads it and gives it back.
    pub(super) fn consume(&self, n: u64) -> Lease {
        let lease = self.lease(n);
        if let Lease::Taken { slot, .. } = lease {
            self.world.oracle.received(self.role(), n, self.read(slot));
            self.at(FailPoint::LeaseCursor);
            self.release(slot);
        }
        lease
    }

    /// Reads frame `n` without holding it.
    pub(super) fn copy(&self, n: u64) -> Option<Lease> {
        match lease::copy(self, n, |slot| self.read(slot)).unwrap() {
            Ok((payload, _)) => {
                self.world.oracle.received(self.role(), n, payload);
                None
            }
            Err(why) => Some(why),
        }
    }

    /// Waits for frame `n` or the seal at `n`, and reads it. None: only the coarse tick woke us, and it is not there.
    pub(super) fn wait_for(&self, n: u64) -> Option<Lease> {
        let mut awaited = true;
        loop {
            let lease = self.consume(n);
            if lease != Lease::NotYet || !awaited {
                return (lease != Lease::NotYet).then_some(lease);
            }
            let (value, is_there) = sleep::prepare(self, self.id(), || self.is_there(n));
            if !is_there {
                awaited = self.sleep(value);
            }
            sleep::awake(self, self.id());
            if !awaited {
                self.world.oracle.note(self.role(), "overslept", n);
            }
        }
    }

    fn is_there(&self, n: u64) -> bool {
        lease::next_seq(self).is_ok_and(|(next, sealed)| next > n || (sealed && next == n))
    }

    /// Reaps `id` in every epoch if it is dead, as a producer does, and wakes everybody.
    pub(super) fn try_reap(&self, id: u8) -> bool {
        self.try_reap_as(id, true)
    }

    pub(super) fn try_reap_as(&self, id: u8, may_write_ring: bool) -> bool {
        if !self.world.try_read_lock(id) {
            return false;
        }
        self.reaping(Some(id));
        self.at(FailPoint::ReapLocked);
        for epoch in 0..self.world.setup.epochs {
            let m = self.in_epoch(epoch);
            reap::reap(&m, id, may_write_ring);
            if may_write_ring {
                publish::wake(&m, || true);
            }
        }
        self.world.read_unlock(id);
        self.reaping(None);
        true
    }

    /// Takes its id, which a dead process had, and cleans what that one left. False: somebody still reaps it.
    ///
    /// Reaps before it takes the id: stopped in between, it costs the others an id and not the slots.
    pub(super) fn inherit(&self) -> bool {
        if !self.try_reap(self.id()) || !self.world.try_write_lock(self.id()) {
            return false;
        }
        self.world.oracle.inherits(self.process());
        self.at(FailPoint::JoinLocked);
        for epoch in 0..self.world.setup.epochs {
            reap::reap(&self.in_epoch(epoch), self.id(), true);
        }
        self.at(FailPoint::JoinCleaned);
        true
    }
}
