//! Memory for one thread: the same protocol on plain cells.

use std::cell::Cell;
use std::sync::atomic::Ordering;

use crate::protocol::{FailPoint, Fence, Memory, Word};

impl Word for Cell<u64> {
    fn load(&self, _: Ordering) -> u64 {
        self.get()
    }
    fn store(&self, value: u64, _: Ordering) {
        self.set(value);
    }
    fn cas(&self, from: u64, to: u64, _: Ordering) -> Result<(), u64> {
        let found = self.get();
        if found == from {
            self.set(to);
            Ok(())
        } else {
            Err(found)
        }
    }
    fn or(&self, bits: u64, _: Ordering) -> u64 {
        self.replace(self.get() | bits)
    }
    fn and(&self, bits: u64, _: Ordering) -> u64 {
        self.replace(self.get() & bits)
    }
}

/// The control words of one epoch and the sleeper word.
#[derive(Clone, Debug)]
pub(super) struct Plain {
    pub(super) head: Cell<u64>,
    pub(super) first: Cell<u64>,
    pub(super) index: Vec<Cell<u64>>,
    pub(super) state: Vec<Cell<u64>>,
    pub(super) holders: Vec<Cell<u64>>,
    pub(super) sleepers: Cell<u64>,
    pub(super) wake: Cell<u32>,
}

impl Plain {
    /// An epoch that has not started yet.
    pub(super) fn new(slots: u16) -> Self {
        let cells = |n| (0..n).map(|_| Cell::new(0)).collect();
        Self {
            head: Cell::new(0),
            first: Cell::new(0),
            index: cells((2 * usize::from(slots)).next_power_of_two()),
            state: cells(slots.into()),
            holders: cells(slots.into()),
            sleepers: Cell::new(0),
            wake: Cell::new(0),
        }
    }
}

impl Memory for Plain {
    type Word = Cell<u64>;

    fn slots(&self) -> u16 {
        self.state.len() as u16
    }
    fn index_len(&self) -> u64 {
        self.index.len() as u64
    }
    fn head(&self) -> &Cell<u64> {
        &self.head
    }
    fn first(&self) -> &Cell<u64> {
        &self.first
    }
    fn index(&self, seq: u64) -> &Cell<u64> {
        &self.index[(seq % self.index_len()) as usize]
    }
    fn state(&self, slot: u16) -> &Cell<u64> {
        &self.state[usize::from(slot)]
    }
    fn holders(&self, slot: u16) -> &Cell<u64> {
        &self.holders[usize::from(slot)]
    }
    fn sleepers(&self) -> &Cell<u64> {
        &self.sleepers
    }
    fn wake_value(&self) -> u32 {
        self.wake.get()
    }
    fn bump_wake(&self) {
        self.wake.set(self.wake.get().wrapping_add(1));
    }
    fn wake_all(&self) -> usize {
        0
    }
    fn fence(&self, _: Fence) {}
    fn at(&self, _: FailPoint) {}
}
