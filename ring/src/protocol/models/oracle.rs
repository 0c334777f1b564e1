//! The books of a model: what really happened, in the order in which loom ran it, and what must not have.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use super::world::{End, Setup, old_payload};

/// What somebody does with a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Owns it: claimed, not published.
    Writes,
    /// Produced the frame in it and has not released the slot.
    Keeps,
    /// Leases the frame in it.
    Reads,
}

/// Who uses a slot (epoch and number) for what, by role.
type Users = BTreeMap<(usize, u16), Vec<(usize, Use)>>;

/// Owners, frames and deaths. Wrong entries panic: that is how a model fails.
#[derive(Debug)]
pub(super) struct Oracle {
    first: u64,
    used: RefCell<Users>,
    published: RefCell<BTreeMap<u64, u64>>,
    in_flight: RefCell<BTreeMap<usize, u64>>,
    received: RefCell<Vec<(usize, u64, u64)>>,
    notes: RefCell<Vec<(usize, &'static str, u64)>>,
    dead: RefCell<BTreeSet<u8>>,
    stopped: RefCell<BTreeSet<u8>>,
    successors: RefCell<BTreeSet<u8>>,
    roles: RefCell<BTreeMap<usize, u8>>,
    ids: RefCell<BTreeMap<u8, u8>>,
    threads: RefCell<BTreeMap<u8, u32>>,
    gone: Cell<bool>,
    wakers: Cell<Option<u32>>,
    fault_fired: Cell<bool>,
    violation: RefCell<Option<String>>,
}

impl Oracle {
    pub(super) fn new(setup: &Setup) -> Self {
        Self {
            first: setup.next(),
            used: RefCell::default(),
            published: RefCell::new(setup.frames.iter().map(|&(seq, _)| (seq, old_payload(seq))).collect()),
            in_flight: RefCell::default(),
            received: RefCell::default(),
            notes: RefCell::default(),
            dead: RefCell::new(setup.dead.iter().copied().collect()),
            stopped: RefCell::default(),
            successors: RefCell::default(),
            roles: RefCell::default(),
            ids: RefCell::new(setup.dead.iter().map(|&id| (id, id)).collect()),
            threads: RefCell::default(),
            gone: Cell::new(false),
            wakers: Cell::new(None),
            fault_fired: Cell::new(false),
            violation: RefCell::default(),
        }
    }

    // Slots.

    pub(super) fn claimed(&self, epoch: usize, slot: u16, role: usize) {
        let mut used = self.used.borrow_mut();
        let users = used.entry((epoch, slot)).or_default();
        assert!(users.is_empty(), "two owners: role {role} claims slot {slot}, which is in use: {users:?}");
        users.push((role, Use::Writes));
    }

    pub(super) fn leased(&self, epoch: usize, slot: u16, role: usize) {
        let mut used = self.used.borrow_mut();
        let users = used.entry((epoch, slot)).or_default();
        assert!(
            users.iter().all(|&(_, what)| what != Use::Writes),
            "two owners: role {role} leases slot {slot}, which is being written: {users:?}"
        );
        users.push((role, Use::Reads));
    }

    /// From here on `role` only keeps the slot that it wrote; to be called before anybody can see the frame.
    pub(super) fn publishing(&self, epoch: usize, slot: u16, role: usize, payload: u64) {
        self.change(epoch, slot, role, Use::Writes, Some(Use::Keeps));
        self.in_flight.borrow_mut().insert(role, payload);
    }

    pub(super) fn published(&self, role: usize, seq: u64) {
        let payload = self.in_flight.borrow_mut().remove(&role).unwrap();
        let before = self.published.borrow_mut().insert(seq, payload);
        assert_eq!(before, None, "two frames have sequence {seq}");
    }

    pub(super) fn not_published(&self, epoch: usize, slot: u16, role: usize) {
        self.in_flight.borrow_mut().remove(&role);
        self.change(epoch, slot, role, Use::Keeps, Some(Use::Writes));
    }

    pub(super) fn letting_go(&self, epoch: usize, slot: u16, role: usize) {
        self.change(epoch, slot, role, Use::Keeps, None);
    }

    pub(super) fn abandoning(&self, epoch: usize, slot: u16, role: usize) {
        self.change(epoch, slot, role, Use::Writes, None);
    }

    pub(super) fn releasing(&self, epoch: usize, slot: u16, role: usize) {
        self.change(epoch, slot, role, Use::Reads, None);
    }

    fn change(&self, epoch: usize, slot: u16, role: usize, from: Use, to: Option<Use>) {
        let mut used = self.used.borrow_mut();
        let users = used.entry((epoch, slot)).or_default();
        let at = users.iter().position(|&user| user == (role, from));
        let at = at.unwrap_or_else(|| panic!("role {role} does not own slot {slot}: {users:?}"));
        match to {
            Some(to) => users[at].1 = to,
            None => drop(users.swap_remove(at)),
        }
    }

    /// Whether any of the roles, dead ones apart, still uses the slot.
    pub(super) fn in_use(&self, epoch: usize, slot: u16) -> bool {
        self.used.borrow().get(&(epoch, slot)).is_some_and(|users| !users.is_empty())
    }

    // Frames.

    /// `role` read frame `seq`.
    pub(super) fn received(&self, role: usize, seq: u64, payload: [u64; 2]) {
        assert_eq!(payload[0], payload[1], "torn: role {role} read frame {seq}");
        let mut received = self.received.borrow_mut();
        let last = received.iter().rev().find(|&&(who, ..)| who == role).map(|&(_, seq, _)| seq);
        assert!(last < Some(seq), "role {role} read frame {seq} after {last:?}");
        received.push((role, seq, payload[0]));
    }

    /// How many frames `role` read.
    pub(super) fn count(&self, role: usize) -> usize {
        self.received.borrow().iter().filter(|&&(who, ..)| who == role).count()
    }

    /// How many new frames were published by roles that know it.
    pub(super) fn count_published(&self) -> usize {
        self.published.borrow().range(self.first..).count()
    }

    /// Something that a model wants to see at its end.
    pub(super) fn note(&self, role: usize, what: &'static str, value: u64) {
        self.notes.borrow_mut().push((role, what, value));
    }

    pub(super) fn notes(&self, what: &'static str) -> Vec<(usize, u64)> {
        let notes = self.notes.borrow();
        notes.iter().filter(|note| note.1 == what).map(|&(role, _, value)| (role, value)).collect()
    }

    /// The sequences `first..next` were published without gap or repeat, and whoever read one read its payload.
    pub(super) fn check_order(&self, next: u64) {
        let published = self.published.borrow();
        let unaccounted: Vec<_> = (self.first..next).filter(|seq| !published.contains_key(seq)).collect();
        // Only a publisher that was killed or stopped does not know that its frame is out.
        let in_flight = self.in_flight.borrow();
        assert!(
            unaccounted.len() <= in_flight.len(),
            "gap: nobody published {unaccounted:?} of {}..{next}",
            self.first
        );
        let last = published.last_key_value().map_or(0, |(&seq, _)| seq);
        assert!(last < next, "frame {last} is out, but the next one is {next}");
        let mut seen = BTreeMap::new();
        for &(role, seq, payload) in self.received.borrow().iter() {
            match published.get(&seq) {
                Some(&original) => assert_eq!(payload, original, "role {role} read another frame as {seq}"),
                None => assert!(
                    in_flight.values().any(|&flying| flying == payload),
                    "role {role} read {payload} as frame {seq}, which nobody published"
                ),
            }
            assert_eq!(*seen.entry(seq).or_insert(payload), payload, "two frames were read as {seq}");
        }
    }

    // Participants.

    /// `role` is played by a thread of `process`, whose participant is `id`.
    pub(super) fn seated(&self, role: usize, process: u8, id: u8) {
        self.roles.borrow_mut().insert(role, process);
        self.ids.borrow_mut().insert(process, id);
        *self.threads.borrow_mut().entry(process).or_default() += 1;
    }

    pub(super) fn is_dead(&self, process: u8) -> bool {
        self.dead.borrow().contains(&process)
    }

    pub(super) fn ended(&self, process: u8, end: End) {
        self.gone.set(true);
        match end {
            End::Death => self.dead.borrow_mut().insert(process),
            End::Stop | End::LostLock => self.stopped.borrow_mut().insert(process),
        };
    }

    /// One thread of `process` is over; whether that was the last thread of a dead process.
    pub(super) fn thread_exited(&self, process: u8) -> bool {
        let mut threads = self.threads.borrow_mut();
        let left = threads.entry(process).or_default();
        *left -= 1;
        *left == 0 && self.is_dead(process)
    }

    /// What `process` used is nobody's any more.
    pub(super) fn forget(&self, process: u8) {
        let roles = self.roles.borrow();
        let gone = |role| roles.get(&role) == Some(&process);
        self.used.borrow_mut().values_mut().for_each(|users| users.retain(|&(role, _)| !gone(role)));
    }

    /// The dead that may still hold something: processes that died, with the ids that they had.
    pub(super) fn dead(&self) -> Vec<(u8, u8)> {
        let ids = self.ids.borrow();
        self.dead.borrow().iter().map(|process| (*process, ids[process])).collect()
    }

    /// The stopped processes, with their ids.
    pub(super) fn stopped(&self) -> Vec<(u8, u8)> {
        let (ids, dead) = (self.ids.borrow(), self.dead.borrow());
        let stopped = self.stopped.borrow();
        stopped.iter().filter(|process| !dead.contains(process)).map(|p| (*p, ids[p])).collect()
    }

    /// `process` got an id that somebody else had.
    pub(super) fn inherits(&self, process: u8) {
        self.successors.borrow_mut().insert(process);
    }

    pub(super) fn inherited_by(&self, process: u8) -> bool {
        self.successors.borrow().contains(&process)
    }

    /// Whether a living process has `id` although another one died with it.
    pub(super) fn inherited(&self, id: u8) -> bool {
        let ids = self.ids.borrow();
        self.successors.borrow().iter().any(|heir| ids[heir] == id && !self.is_dead(*heir))
    }

    /// Whether any participant ended before its role was over.
    pub(super) fn any_gone(&self) -> bool {
        self.gone.get()
    }

    /// The bits of participants that ended before their roles were over.
    pub(super) fn gone_ids(&self) -> u64 {
        let ended = self.dead().into_iter().chain(self.stopped());
        ended.fold(0, |ids, (_, id)| ids | 1 << id)
    }

    pub(super) fn fault_fired(&self) {
        self.fault_fired.set(true);
    }

    pub(super) fn was_struck(&self) -> bool {
        self.fault_fired.get()
    }

    // Sleepers.

    pub(super) fn set_wakers(&self, wakers: u32) {
        self.wakers.set((wakers != 0).then_some(wakers));
    }

    pub(super) fn waker_done(&self) -> bool {
        self.wakers.set(self.wakers.get().map(|left| left - 1));
        self.wakers_gone()
    }

    pub(super) fn wakers_gone(&self) -> bool {
        self.wakers.get() == Some(0)
    }

    // Verdict.

    pub(super) fn violated(&self, what: String) {
        self.violation.borrow_mut().get_or_insert(what);
    }

    pub(super) fn violation(&self) -> Option<String> {
        self.violation.borrow().clone()
    }
}
