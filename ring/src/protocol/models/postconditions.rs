//! What must hold in every model once its roles are over: the survivors reap the dead, find every slot that nobody
//! holds, and continue where the sequence stopped.

use super::plain::Plain;
use super::world::World;
use crate::protocol::claim::{self, Hint};
use crate::protocol::lease::{self, Lease};
use crate::protocol::publish::{self, Published};
use crate::protocol::{Memory, reap, seal};

/// A producer and a consumer that come when everything is over.
const CHECK_PRODUCER: u8 = 7;
const CHECK_CONSUMER: u8 = 62;

pub(super) fn check(world: &World) {
    let epochs: Vec<_> = (0..world.setup.epochs).map(|epoch| world.snapshot(epoch)).collect();
    let oracle = &world.oracle;
    let (dead, stopped) = (oracle.dead(), oracle.stopped());
    for m in &epochs {
        for &(_, id) in dead.iter().filter(|&&(_, id)| !oracle.inherited(id)) {
            reap::reap(m, id, true);
        }
    }

    // Stopped ones are not reaped. Each may hold one slot that its books do not know, and costs no more.
    let mut claimed: Vec<_> =
        epochs.iter().enumerate().map(|(epoch, m)| claim_all(world, epoch, m, stopped.len())).collect();

    // Killed at last, they hold nothing.
    for (epoch, m) in epochs.iter().enumerate() {
        for &(process, id) in &stopped {
            oracle.forget(process);
            reap::reap(m, id, true);
        }
        claimed[epoch].extend(claim_all(world, epoch, m, 0));
    }

    go_on(world, &epochs, &claimed);
    for m in &epochs {
        let asleep = m.sleepers().get() & !stopped.iter().fold(0, |ids, (_, id)| ids | 1 << id);
        assert_eq!(asleep, 0, "a sleeper's bit outlives its sleep");
    }
}

/// Claims every slot that can be had; there must be as many as nobody uses, but for `unknown` ones.
fn claim_all(world: &World, epoch: usize, m: &Plain, unknown: usize) -> Vec<u16> {
    let mut claimed = Vec::new();
    while let Some(slot) = claim::claim_oldest(m, CHECK_PRODUCER, u64::MAX, &mut Hint::default()) {
        assert!(!world.oracle.in_use(epoch, slot), "slot {slot} is in use and was given away");
        claimed.push(slot);
    }
    let stuck = (0..m.slots())
        .filter(|&slot| !world.oracle.in_use(epoch, slot) && m.holders(slot).get() & 1 << CHECK_PRODUCER == 0)
        .count();
    assert!(stuck <= unknown, "{stuck} slots are stuck in epoch {epoch}: {m:?}");
    claimed
}

/// The next frame follows the last one, in the newest epoch that was begun, and can be read.
fn go_on(world: &World, epochs: &[Plain], claimed: &[Vec<u16>]) {
    let (mut newest, mut next) = (0, world.setup.next());
    for (epoch, m) in epochs.iter().enumerate() {
        if let (Some(end), Some(new)) = (seal::sealed_at(m).unwrap(), epochs.get(epoch + 1)) {
            seal::start(new, end).unwrap();
            newest = epoch + 1;
        }
        next = lease::next_seq(m).unwrap().0.max(next);
    }
    world.oracle.check_order(next);
    let m = &epochs[newest];
    let Some(&slot) = claimed[newest].first() else { return };
    let published = publish::publish(m, CHECK_PRODUCER, slot).unwrap();
    if seal::sealed_at(m).unwrap().is_some() {
        return assert_eq!(published, Published::Sealed(next), "a seal does not hold");
    }
    assert_eq!(published, Published::At(next), "the sequence does not go on");
    let taken = Lease::Taken { slot, owner: CHECK_PRODUCER };
    assert_eq!(lease::lease(m, CHECK_CONSUMER, next).unwrap(), taken, "the frame of an heir cannot be read");
    lease::release(m, CHECK_CONSUMER, slot);
}
