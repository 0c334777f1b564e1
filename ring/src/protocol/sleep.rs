//! Sleeping: how a consumer waits without polling and without costing the producer a system call.

use std::sync::atomic::Ordering::AcqRel;

use super::{FailPoint, Fence, Memory, Word};
use crate::layout::words::bit;

/// Announces that `me` is about to sleep. The value of the futex word, and what `ready` said: if there is nothing to do, sleep as
/// long as the word has this value. The announcement stands until it is [taken back](awake).
///
/// Only the sleeper, or a participant that reaps it, clears the bit: a producer that wakes it does not.
pub(crate) fn prepare<M: Memory>(m: &M, me: u8, ready: impl FnOnce() -> bool) -> (u32, bool) {
    let value = m.wake_value();
    m.sleepers().or(bit(me), AcqRel);
    m.at(FailPoint::SleepBit);
    // Pairs with the fence in `publish::wake`.
    m.fence(Fence::Sleep);
    (value, ready())
}

/// Takes back the announcement.
pub(crate) fn awake<M: Memory>(m: &M, me: u8) {
    m.sleepers().and(!bit(me), AcqRel);
    m.at(FailPoint::SleepClear);
}
