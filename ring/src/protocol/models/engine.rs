//! Runs a scenario under loom: every interleaving within its bound, in several orders of its roles, and again with
//! each role dying and stopping at each step that it reaches.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::postconditions;
use super::world::{End, Fate, Gone, Seat, Setup, Trace, World};
use crate::protocol::{FailPoint, Mutant};

/// One thread of a model.
pub(super) struct Role {
    /// The participant whose thread this is.
    pub(super) id: u8,
    /// Its process: the same number, unless the participant's id was somebody else's before.
    pub(super) process: u8,
    pub(super) act: fn(&Seat),
    /// Whether this role can wake sleepers; a sleeper that sleeps after all of these are over has missed its wake-up.
    pub(super) wakes: bool,
}

impl Role {
    pub(super) const fn new(id: u8, act: fn(&Seat)) -> Self {
        Self { id, process: id, act, wakes: false }
    }

    /// A process that takes an id which a dead one had.
    pub(super) const fn newcomer(id: u8, act: fn(&Seat)) -> Self {
        Self { id, process: 100 + id, act, wakes: false }
    }

    pub(super) const fn waking(id: u8, act: fn(&Seat)) -> Self {
        Self { id, process: id, act, wakes: true }
    }
}

/// A model.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) setup: fn() -> Setup,
    pub(super) roles: &'static [Role],
    /// What must hold at the end beyond what holds in every model.
    pub(super) verdict: fn(&World),
    /// Bound on preemptions, where everything would be too much. `LOOM_MAX_PREEMPTIONS` overrides it, and
    /// `SHMFLOW_MODELS_DEEPER` adds to it.
    pub(super) preemptions: Option<usize>,
    /// The same when a role dies or stops: there are as many runs as there are steps.
    pub(super) preemptions_ending: Option<usize>,
}

impl Scenario {
    /// How roles end early. Where nobody probes whether others live and each process has one thread, a death takes the
    /// same course as a stop until the roles are over, and then the stopped ones are killed: one run shows both.
    fn ends(&self) -> &'static [End] {
        let alone =
            |role: &Role| self.roles.iter().filter(|other| other.process == role.process).count() == 1;
        if (self.setup)().locks.is_empty() && self.roles.iter().all(alone) {
            &[End::Stop]
        } else {
            &[End::Death, End::Stop]
        }
    }
}

/// What an exploration found.
pub(super) struct Report {
    pub(super) iterations: usize,
    /// How many of them a death or stop really happened in.
    pub(super) fault_fired: usize,
    pub(super) violation: Option<String>,
    pub(super) reached: BTreeSet<(usize, FailPoint, u32)>,
}

#[derive(Default)]
struct Tally {
    iterations: AtomicUsize,
    fault_fired: AtomicUsize,
    violation: Mutex<Option<String>>,
}

/// Explores one order of the roles with at most one of them ending early. Stops at the first violation.
pub(super) fn explore(
    scenario: &'static Scenario,
    order: &[usize],
    fate: Option<Fate>,
    mutant: Option<Mutant>,
    bound: Option<usize>,
) -> Report {
    let tally = Arc::new(Tally::default());
    let trace = Arc::new(Trace::default());
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(bound.map(|n| n + deeper()));
    builder.max_branches = 10_000;
    builder.checkpoint_interval = usize::MAX;
    let run = {
        let (tally, trace, order) = (Arc::clone(&tally), Arc::clone(&trace), order.to_vec());
        // Steps are learnt from the runs in which everybody survives.
        let learn = fate.is_none().then_some(trace);
        move || {
            tally.iterations.fetch_add(1, Relaxed);
            let world = once(scenario, &order, fate, mutant, learn.as_ref());
            if world.oracle.was_struck() {
                tally.fault_fired.fetch_add(1, Relaxed);
            }
            if let Some(violation) = world.oracle.violation() {
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
        reached: std::mem::take(&mut *trace.lock().unwrap()),
    }
}

/// How much `make loom` adds to every bound: `SHMFLOW_MODELS_DEEPER=1`.
pub(super) fn deeper() -> usize {
    std::env::var("SHMFLOW_MODELS_DEEPER").map_or(0, |n| n.parse().unwrap())
}

/// One execution under loom.
fn once(
    scenario: &'static Scenario,
    order: &[usize],
    fate: Option<Fate>,
    mutant: Option<Mutant>,
    trace: Option<&Arc<Trace>>,
) -> Rc<World> {
    let world = Rc::new(World::new((scenario.setup)(), mutant));
    world.oracle.set_wakers(scenario.roles.iter().filter(|role| role.wakes).count() as u32);
    let mut seats: Vec<_> = order
        .iter()
        .map(|&i| {
            let role = &scenario.roles[i];
            world.oracle.seated(i, role.process, role.id);
            (role, Seat::new(&world, i, (role.id, role.process), fate, trace.cloned()))
        })
        .collect();
    let last = seats.pop();
    let threads: Vec<_> =
        seats.into_iter().map(|(role, seat)| loom::thread::spawn(move || sit(role, &seat))).collect();
    if let Some((role, seat)) = last {
        sit(role, &seat);
    }
    for thread in threads {
        let _ = thread.join();
    }
    if world.oracle.violation().is_none()
        && let Err(panic) = catch_unwind(AssertUnwindSafe(|| {
            postconditions::check(&world);
            (scenario.verdict)(&world);
        }))
    {
        let what = message(panic.as_ref()).unwrap_or_else(|| resume_unwind(panic));
        world.oracle.violated(what);
    }
    world
}

/// Plays a role until it is over or the participant is gone.
fn sit(role: &Role, seat: &Seat) {
    let (world, oracle) = (&seat.world, &seat.world.oracle);
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (role.act)(seat))) {
        match panic.downcast::<Gone>() {
            Ok(gone) => oracle.ended(role.process, gone.0),
            Err(panic) => match message(panic.as_ref()) {
                Some(what) => oracle.violated(what),
                None => resume_unwind(panic),
            },
        }
    }
    if oracle.thread_exited(role.process) {
        // The last thread of a killed process is gone: now the kernel drops its locks.
        oracle.forget(role.process);
        if let Some(other) = seat.reaped_when_it_ended() {
            world.read_unlock(other);
        }
        if role.process == role.id || oracle.inherited_by(role.process) {
            world.drop_write_lock(role.id);
        }
    }
    if role.wakes {
        // The models sleep in the first epoch only.
        world.waker_done();
    }
}

pub(super) fn message(panic: &(dyn std::any::Any + Send)) -> Option<String> {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
}

/// What this thread has used: what else runs on the machine does not count.
pub(super) fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

/// As they stand, and the other way round.
pub(super) fn orders(roles: usize) -> [Vec<usize>; 2] {
    [(0..roles).collect(), (0..roles).rev().collect()]
}

/// The steps that a scenario reaches with hardly a preemption.
pub(super) fn reaches(scenario: &'static Scenario) -> BTreeSet<FailPoint> {
    let order: Vec<_> = (0..scenario.roles.len()).collect();
    explore(scenario, &order, None, None, Some(1)).reached.into_iter().map(|(_, step, _)| step).collect()
}

/// Explores a scenario in both orders, as it is and with every role dying and stopping at every step, and fails on any
/// violation. `steps` are those that must be reached; `floor` is how many interleavings each order must have at least.
pub(super) fn prove(scenario: &'static Scenario, floor: usize, steps: &[FailPoint]) {
    let began = cpu_time();
    let (mut alive, mut ending, mut runs) = (0, 0, 0);
    for order in orders(scenario.roles.len()) {
        let whole = explore(scenario, &order, None, None, scenario.preemptions);
        assert_eq!(whole.violation, None, "{}, roles in order {order:?}", scenario.name);
        assert!(
            whole.iterations >= floor,
            "{}: only {} interleavings with roles in order {order:?}, which proves too little",
            scenario.name,
            whole.iterations
        );
        alive += whole.iterations;
        let reached: BTreeSet<_> = whole.reached.iter().map(|&(_, step, _)| step).collect();
        let missing: Vec<_> = steps.iter().filter(|step| !reached.contains(step)).collect();
        assert!(missing.is_empty(), "{}: never reaches {missing:?}", scenario.name);
        for (role, step, after) in whole.reached {
            for &end in scenario.ends() {
                let fate = Fate { role, step, after, end };
                let mut bound = scenario.preemptions_ending;
                let mut report = explore(scenario, &order, Some(fate), None, bound);
                while report.fault_fired == 0
                    && report.violation.is_none()
                    && bound < scenario.preemptions.or(Some(8))
                {
                    // Out of reach with so few preemptions.
                    bound = bound.map(|bound| bound + 1);
                    report = explore(scenario, &order, Some(fate), None, bound);
                }
                assert_eq!(report.violation, None, "{}, order {order:?}, {fate:?}", scenario.name);
                assert!(report.fault_fired > 0, "{}, order {order:?}: {fate:?} never happens", scenario.name);
                ending += report.iterations;
                runs += 1;
            }
        }
    }
    println!(
        "model | {} | {alive} | {runs} ends, {ending} | {:.1} s",
        scenario.name,
        (cpu_time() - began).as_secs_f32()
    );
}

/// Explores a scenario with a wrong protocol, and fails if nobody notices in either order.
pub(super) fn refute(scenario: &'static Scenario, mutant: Mutant) {
    refute_within(scenario, mutant, scenario.preemptions);
}

/// As [`refute`], with another bound on preemptions.
pub(super) fn refute_within(scenario: &'static Scenario, mutant: Mutant, bound: Option<usize>) {
    let mut caught = Vec::new();
    for order in orders(scenario.roles.len()) {
        let report = explore(scenario, &order, None, Some(mutant), bound);
        if let Some(violation) = report.violation {
            caught.push((report.iterations, violation));
        }
    }
    announce(scenario.name, mutant, &caught);
}

/// As [`refute`], for a mutant that does harm only when somebody ends early.
pub(super) fn refute_ending(scenario: &'static Scenario, mutant: Mutant, fate: Fate) {
    let mut caught = Vec::new();
    for order in orders(scenario.roles.len()) {
        let report = explore(scenario, &order, Some(fate), Some(mutant), scenario.preemptions_ending);
        if let Some(violation) = report.violation {
            caught.push((report.iterations, violation));
        }
    }
    announce(scenario.name, mutant, &caught);
}

/// Explores a scenario in both orders with one end only, which must happen at least `floor` times in one of them.
pub(super) fn prove_ending(scenario: &'static Scenario, fate: Fate, floor: usize) {
    let began = cpu_time();
    let (mut iterations, mut fault_fired) = (0, 0);
    for order in orders(scenario.roles.len()) {
        let report = explore(scenario, &order, Some(fate), None, scenario.preemptions_ending);
        assert_eq!(report.violation, None, "{}, order {order:?}, {fate:?}", scenario.name);
        iterations += report.iterations;
        fault_fired += report.fault_fired;
    }
    assert!(
        fault_fired >= floor,
        "{}: {fate:?} happens only {fault_fired} times in {iterations}",
        scenario.name
    );
    println!(
        "model | {} | 0 | 1 end, {iterations} | {:.1} s",
        scenario.name,
        (cpu_time() - began).as_secs_f32()
    );
}

pub(super) fn announce(name: &str, mutant: Mutant, caught: &[(usize, String)]) {
    let first = caught.iter().min_by_key(|(iterations, _)| *iterations);
    let Some((iterations, violation)) = first else {
        panic!("{name}: nothing notices {mutant:?}");
    };
    println!(
        "mutant | {mutant:?} | {name} | in {} of 2 orders, after {iterations} | {}",
        caught.len(),
        violation.lines().next().unwrap_or_default()
    );
}
