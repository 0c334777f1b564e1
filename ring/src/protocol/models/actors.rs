//! Runs models of the protocols beside the ring: a *scene* of shared words, and a few *actors*, each a thread. Every
//! interleaving within a bound (the same in `make loom`: one deeper, some take minutes), in both orders of the actors, and
//! again with actors that die or stop at each step.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed};
use std::sync::{Arc, Mutex};

use loom::sync::atomic::{AtomicU32, AtomicU64, fence};
use loom::thread::{self, Thread};

use super::engine::{announce, cpu_time, message, orders};
use crate::protocol::{FailPoint, Fence, Mutant, Shared, Word};

impl Word for AtomicU64 {
    fn load(&self, order: Ordering) -> u64 {
        Self::load(self, order)
    }
    fn store(&self, value: u64, order: Ordering) {
        Self::store(self, value, order);
    }
    fn cas(&self, from: u64, to: u64, order: Ordering) -> Result<(), u64> {
        self.compare_exchange(from, to, order, Acquire).map(|_| ())
    }
    fn or(&self, bits: u64, order: Ordering) -> u64 {
        self.fetch_or(bits, order)
    }
    fn and(&self, bits: u64, order: Ordering) -> u64 {
        self.fetch_and(bits, order)
    }
}

/// What the actors of a model share.
pub(super) trait Scene: Sized + 'static {
    fn new(mutant: Option<Mutant>) -> Self;
    /// What every scene has.
    fn common(&self) -> &Common;
    /// The kernel's part when `actor` is killed.
    fn killed(&self, _actor: usize) {}
    /// After everything is over; `end` is how an actor ended early.
    fn verdict(&self, end: Option<End>);
}

/// An actor that ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) actor: usize,
    /// At this of its steps.
    pub(super) step: u32,
    /// Killed, so that the kernel drops its locks, or stopped.
    pub(super) killed: bool,
}

/// A model.
pub(super) struct Model<S: Scene> {
    pub(super) name: &'static str,
    pub(super) actors: &'static [fn(&Actor<S>)],
    pub(super) preemptions: Option<usize>,
    /// Those of them that may die or stop; none where all are threads of one process.
    pub(super) mortal: &'static [usize],
    /// Bound on preemptions for each of their ends.
    pub(super) preemptions_ending: Option<usize>,
}

/// What every scene has: the mutant, who runs, who sleeps, and what to say if it goes wrong.
#[derive(Debug)]
pub(super) struct Common {
    mutant: Option<Mutant>,
    /// loom runs a fence together with the access before it, and explores no orders of fences: see `world.rs`.
    fences: AtomicU64,
    /// Actors that are neither over nor asleep.
    awake: Cell<usize>,
    sleepers: RefCell<Vec<Sleeper>>,
    /// Whoever wakes the last sleepers has seen what all that are over or asleep have done.
    clock: AtomicU64,
    violation: RefCell<Option<String>>,
    steps: RefCell<BTreeMap<usize, u32>>,
    fault_fired: Cell<bool>,
}

impl Common {
    pub(super) fn new(mutant: Option<Mutant>) -> Self {
        Self {
            mutant,
            fences: AtomicU64::new(0),
            awake: Cell::new(0),
            sleepers: RefCell::default(),
            clock: AtomicU64::new(0),
            violation: RefCell::default(),
            steps: RefCell::default(),
            fault_fired: Cell::new(false),
        }
    }

    pub(super) fn mutant(&self, which: Mutant) -> bool {
        self.mutant == Some(which)
    }

    pub(super) fn fence(&self, which: Fence) {
        if !self.mutant(Mutant::Without(which)) {
            self.fences.fetch_add(1, Relaxed);
            fence(Ordering::SeqCst);
        }
    }

    /// One actor less is awake. The last one wakes those who sleep, and tells them that nobody else would have.
    fn one_less(&self) {
        self.clock.fetch_add(1, AcqRel);
        self.awake.set(self.awake.get() - 1);
        if self.awake.get() == 0 {
            for sleeper in self.sleepers.take() {
                self.wake(&sleeper, Fate::Rescued);
            }
        }
    }

    fn wake(&self, sleeper: &Sleeper, fate: Fate) {
        if sleeper.fate.get() == Fate::Asleep {
            self.awake.set(self.awake.get() + 1);
        }
        if matches!(sleeper.fate.get(), Fate::Asleep | Fate::LiesDown) {
            sleeper.fate.set(fate);
            sleeper.thread.unpark();
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    LiesDown,
    Asleep,
    Woken,
    /// By nobody: everything else is over, or asleep too.
    Rescued,
}

#[derive(Clone, Debug)]
struct Sleeper {
    thread: Thread,
    fate: Rc<Cell<Fate>>,
    /// The words on which it sleeps.
    words: Vec<*const AtomicU32>,
}

/// A futex word, or an event descriptor. The kernel promises that comparison and wake-up of one word have an order.
#[derive(Debug)]
pub(super) struct Futex {
    pub(super) word: AtomicU32,
    /// Stands for the lock of the hash bucket.
    bucket: AtomicU64,
}

impl Futex {
    pub(super) fn new(value: u32) -> Self {
        Self { word: AtomicU32::new(value), bucket: AtomicU64::new(0) }
    }

    pub(super) fn wake_all(&self, common: &Common) {
        self.bucket.fetch_add(1, AcqRel);
        let at = &raw const self.word;
        let (woken, others): (Vec<_>, Vec<_>) =
            common.sleepers.take().into_iter().partition(|sleeper| sleeper.words.contains(&at));
        *common.sleepers.borrow_mut() = others;
        woken.iter().for_each(|sleeper| common.wake(sleeper, Fate::Woken));
    }

    /// Whether somebody sleeps on it.
    pub(super) fn has_sleeper(&self, common: &Common) -> bool {
        let at = &raw const self.word;
        let sleepers = common.sleepers.borrow();
        sleepers.iter().any(|sleeper| sleeper.fate.get() == Fate::Asleep && sleeper.words.contains(&at))
    }

    /// The value, read by the kernel: what was changed before a wake-up that came before is seen.
    fn value(&self) -> u32 {
        self.word.load(Relaxed)
    }
}

/// Sleeps while every word has its value. False if nothing but a tick would have ended that.
pub(super) fn wait_any(common: &Common, words: &[(&Futex, u32)]) -> bool {
    let fate = Rc::new(Cell::new(Fate::LiesDown));
    let sleeper = Sleeper { thread: thread::current(), fate: Rc::clone(&fate), words: Vec::new() };
    common.sleepers.borrow_mut().push(sleeper);
    for (futex, _) in words {
        futex.bucket.fetch_add(1, AcqRel);
        // No other actor runs between the change of the bucket and this.
        let mut sleepers = common.sleepers.borrow_mut();
        if let Some(sleeper) = sleepers.iter_mut().find(|sleeper| Rc::ptr_eq(&sleeper.fate, &fate)) {
            sleeper.words.push(&raw const futex.word);
        }
    }
    let changed = words.iter().any(|(futex, value)| futex.value() != *value);
    common.clock.fetch_add(1, AcqRel);
    if changed || fate.get() != Fate::LiesDown {
        common.sleepers.borrow_mut().retain(|sleeper| !Rc::ptr_eq(&sleeper.fate, &fate));
        return true;
    }
    fate.set(Fate::Asleep);
    common.one_less();
    while fate.get() == Fate::Asleep {
        thread::park();
    }
    fate.get() == Fate::Woken
}

/// As `poll` of an event descriptor: sleeps until it is readable, however often it is woken in vain.
pub(super) fn poll(common: &Common, event: &Futex) -> bool {
    loop {
        if !wait_any(common, &[(event, 0)]) {
            return false;
        }
        event.bucket.fetch_add(1, AcqRel);
        if event.value() != 0 {
            return true;
        }
    }
}

/// A byte that is locked for writing by its owner while that lives, and for reading by those who reap it.
#[derive(Debug)]
pub(super) struct Lock {
    word: AtomicU64,
    /// Actors that lock it for reading.
    readers: RefCell<Vec<usize>>,
}

const OWNED: u64 = 1 << 32;

impl Lock {
    pub(super) fn new(owned: bool) -> Self {
        Self { word: AtomicU64::new(if owned { OWNED } else { 0 }), readers: RefCell::default() }
    }

    pub(super) fn is_owned(&self) -> bool {
        self.word.load(Acquire) >= OWNED
    }

    pub(super) fn try_read(&self, actor: usize) -> bool {
        let mut found = self.word.load(Acquire);
        while found < OWNED {
            match self.word.compare_exchange(found, found + 1, AcqRel, Acquire) {
                Ok(_) => {
                    self.readers.borrow_mut().push(actor);
                    return true;
                }
                Err(now) => found = now,
            }
        }
        false
    }

    pub(super) fn try_write(&self) -> bool {
        self.word.compare_exchange(0, OWNED, AcqRel, Acquire).is_ok()
    }

    pub(super) fn write_unlock(&self) {
        self.word.fetch_and(!OWNED, AcqRel);
    }

    /// Gives back, or loses, what `actor` has locked for reading.
    pub(super) fn read_unlock(&self, actor: usize) {
        let held = self.readers.borrow().contains(&actor);
        if held {
            self.readers.borrow_mut().retain(|&reader| reader != actor);
            self.word.fetch_sub(1, AcqRel);
        }
    }
}

/// One thread of a model.
pub(super) struct Actor<S> {
    scene: Rc<S>,
    pub(super) number: usize,
    end: Option<End>,
}

impl<S: Scene> Shared for Actor<S> {
    type Word = AtomicU64;

    fn fence(&self, which: Fence) {
        self.common().fence(which);
    }
    fn at(&self, _: FailPoint) {
        self.step();
    }
    fn mutant(&self, which: Mutant) -> bool {
        self.common().mutant(which)
    }
}

impl<S> Deref for Actor<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.scene
    }
}

/// What an actor that ends early unwinds with.
struct Gone;

impl<S: Scene> Actor<S> {
    /// A step at which it may die or stop.
    pub(super) fn step(&self) {
        let common = self.common();
        let mut steps = common.steps.borrow_mut();
        let step = steps.entry(self.number).or_default();
        *step += 1;
        if self.end.is_some_and(|end| end.actor == self.number && end.step == *step) {
            drop(steps);
            common.fault_fired.set(true);
            resume_unwind(Box::new(Gone));
        }
    }
}

struct Report {
    iterations: usize,
    fault_fired: usize,
    violation: Option<String>,
    /// How many steps each actor made at most.
    steps: BTreeMap<usize, u32>,
}

#[derive(Default)]
struct Tally {
    iterations: AtomicUsize,
    fault_fired: AtomicUsize,
    violation: Mutex<Option<String>>,
    steps: Mutex<BTreeMap<usize, u32>>,
}

fn explore<S: Scene>(
    model: &'static Model<S>,
    order: &[usize],
    end: Option<End>,
    mutant: Option<Mutant>,
) -> Report {
    let bound = if end.is_some() { model.preemptions_ending } else { model.preemptions };
    let tally = Arc::new(Tally::default());
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(bound);
    builder.max_branches = 10_000;
    builder.checkpoint_interval = usize::MAX;
    let run = {
        let (tally, order) = (Arc::clone(&tally), order.to_vec());
        move || {
            tally.iterations.fetch_add(1, Relaxed);
            let scene = once(model, &order, end, mutant);
            let common = scene.common();
            tally.fault_fired.fetch_add(usize::from(common.fault_fired.get()), Relaxed);
            for (&actor, &steps) in common.steps.borrow().iter() {
                let mut most = tally.steps.lock().unwrap();
                let most = most.entry(actor).or_default();
                *most = steps.max(*most);
            }
            if let Some(violation) = common.violation.take() {
                tally.violation.lock().unwrap().get_or_insert(violation);
                resume_unwind(Box::new("violation"));
            }
        }
    };
    let explored = catch_unwind(AssertUnwindSafe(|| builder.check(run)));
    let violation = tally.violation.lock().unwrap().take();
    Report {
        iterations: tally.iterations.load(Relaxed),
        fault_fired: tally.fault_fired.load(Relaxed),
        violation: violation
            .or_else(|| explored.err().map(|panic| message(panic.as_ref()).unwrap_or_default())),
        steps: std::mem::take(&mut *tally.steps.lock().unwrap()),
    }
}

fn once<S: Scene>(
    model: &'static Model<S>,
    order: &[usize],
    end: Option<End>,
    mutant: Option<Mutant>,
) -> Rc<S> {
    let scene = Rc::new(S::new(mutant));
    scene.common().awake.set(order.len());
    let mut actors: Vec<_> =
        order.iter().map(|&number| Actor { scene: Rc::clone(&scene), number, end }).collect();
    let last = actors.pop();
    let threads: Vec<_> =
        actors.into_iter().map(|actor| thread::spawn(move || play(model, &actor))).collect();
    if let Some(actor) = last {
        play(model, &actor);
    }
    for thread in threads {
        let _ = thread.join();
    }
    let common = scene.common();
    let clean = common.violation.borrow().is_none();
    if clean {
        // What was to happen to the actor may not have.
        let end = end.filter(|_| common.fault_fired.get());
        note_violation(common, catch_unwind(AssertUnwindSafe(|| scene.verdict(end))));
    }
    scene
}

fn play<S: Scene>(model: &Model<S>, actor: &Actor<S>) {
    let common = actor.common();
    let played = catch_unwind(AssertUnwindSafe(|| (model.actors[actor.number])(actor)));
    match played {
        Err(panic) if panic.is::<Gone>() => {
            if actor.end.is_some_and(|end| end.killed) {
                actor.scene.killed(actor.number);
            }
        }
        played => note_violation(common, played),
    }
    common.one_less();
}

fn note_violation(common: &Common, played: std::thread::Result<()>) {
    if let Err(panic) = played {
        let what = message(panic.as_ref()).unwrap_or_else(|| resume_unwind(panic));
        common.violation.borrow_mut().get_or_insert(what);
    }
}

/// Explores a model in both orders, and each early end of its mortal actors; fails on any violation, and if there are
/// fewer than `floor` interleavings in one of the orders.
pub(super) fn prove<S: Scene>(model: &'static Model<S>, floor: usize) {
    let began = cpu_time();
    let (mut alive, mut ending, mut runs) = (0, 0, 0);
    for order in orders(model.actors.len()) {
        let whole = explore(model, &order, None, None);
        assert_eq!(whole.violation, None, "{}, actors in order {order:?}", model.name);
        let few = format!("{}: only {} interleavings prove too little", model.name, whole.iterations);
        assert!(whole.iterations >= floor, "{few}");
        alive += whole.iterations;
        for &actor in model.mortal {
            let steps = whole.steps.get(&actor).copied().unwrap_or_default();
            assert_ne!(steps, 0, "{}: actor {actor} has no step at which it could end", model.name);
            for (step, killed) in (1..=steps).flat_map(|step| [(step, true), (step, false)]) {
                let end = End { actor, step, killed };
                let report = explore(model, &order, Some(end), None);
                assert_eq!(report.violation, None, "{}, order {order:?}, {end:?}", model.name);
                assert_ne!(report.fault_fired, 0, "{}, order {order:?}: {end:?} never happens", model.name);
                ending += report.iterations;
                runs += 1;
            }
        }
    }
    let time = (cpu_time() - began).as_secs_f32();
    println!("model | {} | {alive} | {runs} ends, {ending} | {time:.1} s", model.name);
}

/// Explores a model with a wrong protocol, and fails if nobody notices in either order.
pub(super) fn refute<S: Scene>(model: &'static Model<S>, mutant: Mutant) {
    refute_ending(model, mutant, None);
}

/// As [`refute`], for a mutant that does harm only when an actor ends early.
pub(super) fn refute_ending<S: Scene>(model: &'static Model<S>, mutant: Mutant, end: Option<End>) {
    let mut caught = Vec::new();
    for order in orders(model.actors.len()) {
        let report = explore(model, &order, end, Some(mutant));
        if let Some(violation) = report.violation {
            caught.push((report.iterations, violation));
        }
    }
    announce(model.name, mutant, &caught);
}
