//! Sleeping: how a consumer waits without polling and without costing the producer a system call.

use std::sync::atomic::Ordering::AcqRel;

use super::{FailPoint, Fence, Memory, Word};
use crate::layout::words::bit;

/// Announces that `me` is about to sleep. `Some(value)`: sleep on the futex word as long as it has this value.
/// `None`: `ready` said that there is something to do; the bit is cleared again.
///
/// Only the sleeper, or a participant that reaps it, clears the bit: a producer that wakes it does not.
pub(crate) fn prepare<M: Memory>(m: &M, me: u8, ready: impl FnOnce() -> bool) -> Option<u32> {
    let value = m.wake_value();
    m.sleepers().or(bit(me), AcqRel);
    m.at(FailPoint::SleepBit);
    // Pairs with the fence in `publish::wake`.
    m.fence(Fence::Sleep);
    if ready() {
        awake(m, me);
        return None;
    }
    Some(value)
}

/// Takes back the announcement.
pub(crate) fn awake<M: Memory>(m: &M, me: u8) {
    m.sleepers().and(!bit(me), AcqRel);
    m.at(FailPoint::SleepClear);
}
