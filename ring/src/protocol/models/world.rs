//! The memory of the models: one topic with its epochs, liveness locks and futex, in loom's atomics, and a *seat*
//! from which one thread of one participant sees it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release};

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU64, fence};

use super::futex::Futex;
use super::oracle::Oracle;
use super::plain::Plain;
use crate::layout::words::{Entry, PRODUCERS, State, bit};
use crate::protocol::{FailPoint, Fence, Memory, Mutant, Word};

/// The participant that published the frames that are there when a model begins; it has left.
pub(super) const FOUNDER: u8 = 6;
/// Consumers that a model can have registered: ids from [`PRODUCERS`] on.
const MODEL_CONSUMERS: u8 = 2;
/// More accesses of control words than any role makes: whoever gets there runs in circles.
const ENDLESS: u32 = 600;

/// One control word under loom.
#[derive(Debug)]
pub(super) struct LoomWord {
    word: AtomicU64,
    /// The newest value, for the check after everything is over: loom runs nothing between an access and the change
    /// of this.
    newest: Cell<u64>,
}

impl LoomWord {
    fn new(value: u64) -> Self {
        Self { word: AtomicU64::new(value), newest: Cell::new(value) }
    }

    /// Its newest value, once everything is over.
    pub(super) fn newest(&self) -> u64 {
        self.newest.get()
    }

    fn changed(&self, old: u64, new: u64) -> u64 {
        self.newest.set(new);
        old
    }
}

impl Word for LoomWord {
    fn load(&self, order: Ordering) -> u64 {
        self.word.load(order)
    }
    fn store(&self, value: u64, order: Ordering) {
        self.word.store(value, order);
        self.newest.set(value);
    }
    fn cas(&self, from: u64, to: u64, order: Ordering) -> Result<(), u64> {
        self.word.compare_exchange(from, to, order, Acquire).map(|_| self.newest.set(to))
    }
    fn or(&self, bits: u64, order: Ordering) -> u64 {
        let old = self.word.fetch_or(bits, order);
        self.changed(old, old | bits)
    }
    fn and(&self, bits: u64, order: Ordering) -> u64 {
        let old = self.word.fetch_and(bits, order);
        self.changed(old, old & bits)
    }
}

/// What a model starts from.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) slots: u16,
    pub(super) index_len: u64,
    /// Frames that are published: sequence and slot. The sequences are contiguous.
    pub(super) frames: &'static [(u64, u16)],
    /// 1, or 2 when the model grows the topic.
    pub(super) epochs: usize,
    /// Whether payload is read while it may be written (relaxed words), or only under a hold (race-checked).
    pub(super) copied: bool,
    /// Which participants' liveness is probed.
    pub(super) locks: &'static [u8],
    /// Participants that died before the model begins.
    pub(super) dead: &'static [u8],
    /// Slots that are in other states than the frames give them.
    pub(super) states: &'static [(u16, State)],
    /// Holder bits, by slot.
    pub(super) holders: &'static [(u16, u64)],
    pub(super) sleepers: u64,
    /// Registered consumers and their cursors.
    pub(super) cursors: &'static [(u8, u64)],
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            slots: 2,
            index_len: 4,
            frames: &[],
            epochs: 1,
            copied: false,
            locks: &[],
            dead: &[],
            states: &[],
            holders: &[],
            sleepers: 0,
            cursors: &[],
        }
    }
}

impl Setup {
    /// The first sequence that a model publishes.
    pub(super) fn next(&self) -> u64 {
        self.frames.iter().map(|&(seq, _)| seq + 1).max().unwrap_or(1)
    }
}

/// The payload of frame `seq` that was there before.
pub(super) fn old_payload(seq: u64) -> u64 {
    1000 + seq
}

/// The payload of a slot: plain memory whose races loom reports, or two words that may be copied at any time.
#[derive(Debug)]
enum Payload {
    LockedTopic { race: UnsafeCell<()>, value: Cell<u64> },
    Copied([AtomicU64; 2]),
}

impl Payload {
    fn new(copied: bool, value: u64) -> Self {
        if copied {
            Self::Copied([AtomicU64::new(value), AtomicU64::new(value)])
        } else {
            Self::LockedTopic { race: UnsafeCell::new(()), value: Cell::new(value) }
        }
    }

    fn write_half(&self, half: usize, new: u64) {
        match self {
            Self::LockedTopic { race, value } => {
                race.with_mut(|_| value.set(if half == 0 { u64::MAX } else { new }))
            }
            Self::Copied(words) => words[half].store(new, Relaxed),
        }
    }

    fn read_half(&self, half: usize) -> u64 {
        match self {
            Self::LockedTopic { race, value } => race.with(|_| value.get()),
            Self::Copied(words) => words[half].load(Relaxed),
        }
    }
}

/// The files of one epoch.
#[derive(Debug)]
struct Epoch {
    head: LoomWord,
    first: LoomWord,
    index: Vec<LoomWord>,
    state: Vec<LoomWord>,
    holders: Vec<LoomWord>,
    payload: Vec<Payload>,
    futex: Futex,
}

impl Epoch {
    fn new(setup: &Setup, started: bool) -> Self {
        let frames = if started { setup.frames } else { &[] };
        let entry = |i| {
            let newest = frames.iter().rev().find(|&&(seq, _)| seq % setup.index_len == i);
            newest.map_or(0, |&(seq, slot)| Entry::new(seq, slot).pack())
        };
        let newest = |slot| frames.iter().rev().find(|&&(_, at)| at == slot).map(|&(seq, _)| seq);
        let relic =
            |slot| setup.states.iter().find(|&&(at, _)| started && at == slot).map(|&(_, state)| state);
        let published = |seq| State::Published { seq, owner: FOUNDER };
        let state = |slot| relic(slot).unwrap_or_else(|| newest(slot).map_or(State::Free, published));
        let holders =
            |slot| setup.holders.iter().find(|&&(at, _)| started && at == slot).map_or(0, |&(_, bits)| bits);
        let payload = |slot| newest(slot).map_or(0, old_payload);
        Self {
            head: LoomWord::new(if started { setup.next() } else { 0 }),
            first: LoomWord::new(if started { 1 } else { 0 }),
            index: (0..setup.index_len).map(|i| LoomWord::new(entry(i))).collect(),
            state: (0..setup.slots).map(|slot| LoomWord::new(state(slot).pack())).collect(),
            holders: (0..setup.slots).map(|slot| LoomWord::new(holders(slot))).collect(),
            payload: (0..setup.slots).map(|slot| Payload::new(setup.copied, payload(slot))).collect(),
            futex: Futex::default(),
        }
    }
}

/// Everything that the roles of a model share, and the books in which the model keeps what really happened.
#[derive(Debug)]
pub(super) struct World {
    pub(super) setup: Setup,
    epochs: Vec<Epoch>,
    sleepers: LoomWord,
    pub(super) active: LoomWord,
    pub(super) latest: LoomWord,
    pub(super) cursors: Vec<LoomWord>,
    pub(super) waiters: LoomWord,
    pub(super) freed: Futex,
    /// Threads of a producer that wait, where two share its bit: a lock of its process.
    pub(super) threads: loom::sync::Mutex<usize>,
    fences: AtomicU64,
    locks: BTreeMap<u8, LoomWord>,
    mutant: Option<Mutant>,
    pub(super) oracle: Oracle,
}

/// A participant's byte is write-locked by its owner.
const OWNED: u64 = 1 << 32;

impl World {
    pub(super) fn new(setup: Setup, mutant: Option<Mutant>) -> Self {
        let cursor =
            |id| setup.cursors.iter().find(|&&(at, _)| at == id).map_or(u64::MAX, |&(_, cursor)| cursor);
        let lock = |id| if setup.dead.contains(&id) { 0 } else { OWNED };
        Self {
            epochs: (0..setup.epochs).map(|epoch| Epoch::new(&setup, epoch == 0)).collect(),
            sleepers: LoomWord::new(setup.sleepers),
            active: LoomWord::new(setup.cursors.iter().fold(0, |ids, &(id, _)| ids | bit(id))),
            latest: LoomWord::new(0),
            cursors: (0..MODEL_CONSUMERS).map(|i| LoomWord::new(cursor(PRODUCERS + i))).collect(),
            waiters: LoomWord::new(0),
            freed: Futex::default(),
            threads: loom::sync::Mutex::new(0),
            fences: AtomicU64::new(0),
            locks: setup.locks.iter().map(|&id| (id, LoomWord::new(lock(id)))).collect(),
            mutant,
            oracle: Oracle::new(&setup),
            setup,
        }
    }

    /// The control words of one epoch as they are now that every role is over.
    pub(super) fn snapshot(&self, epoch: usize) -> Plain {
        let files = &self.epochs[epoch];
        let copy = |words: &[LoomWord]| words.iter().map(|word| word.newest.clone()).collect();
        Plain {
            head: files.head.newest.clone(),
            first: files.first.newest.clone(),
            index: copy(&files.index),
            state: copy(&files.state),
            holders: copy(&files.holders),
            sleepers: self.sleepers.newest.clone(),
            wake: Cell::new(0),
        }
    }

    /// Probes `id`'s lock and takes it for reading, as a reaper does; false while the owner lives.
    pub(super) fn try_read_lock(&self, id: u8) -> bool {
        let Some(lock) = self.locks.get(&id) else { return self.oracle.is_dead(id) };
        let mut found = lock.load(Acquire);
        if self.mutant == Some(Mutant::ReapUnlocked) {
            return found < OWNED;
        }
        while found < OWNED {
            match lock.cas(found, found + 1, AcqRel) {
                Ok(()) => return true,
                Err(now) => found = now,
            }
        }
        false
    }

    pub(super) fn read_unlock(&self, id: u8) {
        if let Some(lock) = self.locks.get(&id)
            && self.mutant != Some(Mutant::ReapUnlocked)
        {
            lock.word.fetch_sub(1, AcqRel);
        }
    }

    /// Takes `id`'s byte as a new participant does; false while the owner lives or anyone reaps.
    pub(super) fn try_write_lock(&self, id: u8) -> bool {
        self.locks.get(&id).is_some_and(|lock| lock.cas(0, OWNED, AcqRel).is_ok())
    }

    /// What the kernel does when the last thread of `id` is gone.
    pub(super) fn drop_write_lock(&self, id: u8) {
        if let Some(lock) = self.locks.get(&id) {
            lock.word.fetch_and(!OWNED, AcqRel);
        }
    }

    /// A role that may wake others is over; sleepers that nobody is left to wake must not sleep.
    pub(super) fn waker_done(&self) {
        let gone = || self.oracle.waker_done();
        // Before it shows that nobody is left: see `rescue_if`.
        self.freed.settle();
        self.epochs[0].futex.rescue_if(gone);
        self.freed.rescue_if(|| self.oracle.wakers_gone());
    }
}

/// How a participant ends in the middle of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// It is killed: the kernel drops its locks.
    Death,
    /// It is stopped: it continues to hold its locks.
    Stop,
    /// It continues, but the kernel takes it for dead.
    LostLock,
}

/// Where one role of a model ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fate {
    pub(super) role: usize,
    pub(super) step: FailPoint,
    /// It gets past the step this many times.
    pub(super) after: u32,
    pub(super) end: End,
}

/// What a participant that ends unwinds with.
pub(super) struct Gone(pub(super) End);

/// What one role knows of itself.
#[derive(Debug)]
struct Who {
    id: u8,
    process: u8,
    role: usize,
    fate: Option<Fate>,
    /// Steps that this role reached, and how often.
    reached: RefCell<BTreeMap<FailPoint, u32>>,
    trace: Option<std::sync::Arc<Trace>>,
    accesses: Cell<u32>,
    payloads: Cell<u64>,
    /// Whose byte it has read-locked.
    reaping: Cell<Option<u8>>,
}

/// The steps that a model reaches: role, step and how often.
pub(super) type Trace = std::sync::Mutex<BTreeSet<(usize, FailPoint, u32)>>;

/// One thread of one participant, with its view of one epoch.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    pub(super) world: Rc<World>,
    epoch: usize,
    who: Rc<Who>,
}

impl Seat {
    pub(super) fn new(
        world: &Rc<World>,
        role: usize,
        (id, process): (u8, u8),
        fate: Option<Fate>,
        trace: Option<std::sync::Arc<Trace>>,
    ) -> Self {
        let who = Who {
            id,
            process,
            role,
            fate: fate.filter(|fate| fate.role == role),
            reached: RefCell::default(),
            trace,
            accesses: Cell::new(0),
            payloads: Cell::new(0),
            reaping: Cell::new(None),
        };
        Self { world: Rc::clone(world), epoch: 0, who: Rc::new(who) }
    }

    pub(super) fn id(&self) -> u8 {
        self.who.id
    }

    pub(super) fn process(&self) -> u8 {
        self.who.process
    }

    pub(super) fn role(&self) -> usize {
        self.who.role
    }

    /// Remembers whose byte this one has locked for reading.
    pub(super) fn reaping(&self, id: Option<u8>) {
        self.who.reaping.set(id);
    }

    /// Whose byte it had locked for reading when it ended.
    pub(super) fn reaped_when_it_ended(&self) -> Option<u8> {
        self.who.reaping.take()
    }

    /// The same seat, looking at another epoch.
    pub(super) fn in_epoch(&self, epoch: usize) -> Self {
        Self { epoch, ..self.clone() }
    }

    pub(super) fn epoch(&self) -> usize {
        self.epoch
    }

    fn files(&self) -> &Epoch {
        self.count_access();
        &self.world.epochs[self.epoch]
    }

    /// For each access of a control word.
    pub(super) fn count_access(&self) {
        let n = self.who.accesses.get() + 1;
        self.who.accesses.set(n);
        assert!(n < ENDLESS, "no end: {n} accesses of control words in one role");
        // The process of this thread was killed meanwhile, by what another of its threads ran into.
        if self.world.oracle.is_dead(self.who.process) {
            std::panic::resume_unwind(Box::new(Gone(End::Death)));
        }
    }

    /// A payload that no other frame of the model has.
    pub(super) fn next_payload(&self) -> u64 {
        let n = self.who.payloads.get();
        self.who.payloads.set(n + 1);
        10 * self.who.role as u64 + n + 1
    }

    pub(super) fn write(&self, slot: u16, payload: u64) {
        self.files().payload[usize::from(slot)].write_half(0, payload);
        self.at(FailPoint::PublishPayload);
        self.files().payload[usize::from(slot)].write_half(1, payload);
        self.at(FailPoint::PublishMeta);
    }

    pub(super) fn read(&self, slot: u16) -> [u64; 2] {
        let payload = &self.files().payload[usize::from(slot)];
        let first = payload.read_half(0);
        if self.world.setup.copied {
            self.at(FailPoint::CopyHalf);
        }
        [first, payload.read_half(1)]
    }

    /// Sleeps on the futex word while it has `value`. False: only the coarse tick would have woken us.
    pub(super) fn sleep(&self, value: u32) -> bool {
        self.files().futex.wait(value, &self.world.oracle)
    }
}

impl Memory for Seat {
    type Word = LoomWord;

    fn slots(&self) -> u16 {
        self.world.setup.slots
    }
    fn index_len(&self) -> u64 {
        self.world.setup.index_len
    }
    fn head(&self) -> &LoomWord {
        &self.files().head
    }
    fn first(&self) -> &LoomWord {
        &self.files().first
    }
    fn index(&self, seq: u64) -> &LoomWord {
        &self.files().index[(seq % self.world.setup.index_len) as usize]
    }
    fn state(&self, slot: u16) -> &LoomWord {
        &self.files().state[usize::from(slot)]
    }
    fn holders(&self, slot: u16) -> &LoomWord {
        &self.files().holders[usize::from(slot)]
    }
    fn sleepers(&self) -> &LoomWord {
        self.files();
        &self.world.sleepers
    }
    fn wake_value(&self) -> u32 {
        let order = if self.mutant(Mutant::RelaxedWakeWord) { Relaxed } else { Acquire };
        self.files().futex.value(order)
    }
    fn bump_wake(&self) {
        let order = if self.mutant(Mutant::RelaxedWakeWord) { Relaxed } else { Release };
        self.files().futex.bump(order);
    }
    fn wake_all(&self) -> usize {
        self.files().futex.wake_all()
    }
    fn fence(&self, which: Fence) {
        if !self.mutant(Mutant::Without(which)) {
            // loom runs a fence together with the access before it and explores no orders of fences. This access, which
            // orders nothing else, makes it do so.
            self.world.fences.fetch_add(1, Relaxed);
            fence(Ordering::SeqCst);
        }
    }

    fn at(&self, step: FailPoint) {
        let mut reached = self.who.reached.borrow_mut();
        let times = reached.entry(step).or_default();
        *times += 1;
        if let Some(trace) = &self.who.trace {
            trace.lock().unwrap().insert((self.who.role, step, *times - 1));
        }
        if let Some(fate) = self.who.fate
            && fate.step == step
            && fate.after + 1 == *times
        {
            drop(reached);
            self.world.oracle.fault_fired();
            if fate.end == End::LostLock {
                self.world.drop_write_lock(self.id());
                return;
            }
            std::panic::resume_unwind(Box::new(Gone(fate.end)));
        }
    }

    fn mutant(&self, which: Mutant) -> bool {
        self.world.mutant == Some(which)
    }
}
