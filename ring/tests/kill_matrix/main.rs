//! The kill matrix: a process dies, or stops, at every point at which it has just changed shared memory or a file, and
//! those who go on check that nothing was hurt. `docs/kill-matrix.md` lists the points.
//!
//! Needs the fail points compiled in: `cargo test -p shmflow --features failpoints --test kill_matrix`.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test's way to fail and to tell"
)]

#[path = "../common/mod.rs"]
mod common;
mod fixture;
mod scenarios;
mod test_process;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use common::Dir;
use fixture::{Survivors, assert_busy};
use scenarios::{Act, Before, Others, Scenario};
use shmflow::failpoint::Action;
use shmflow::{Error, FailPoint, Role};
use test_process::TestProcess;

/// Not a test: what the children are.
#[test]
#[ignore = "played by the children"]
fn test_process() {
    test_process::run_commands();
}

#[test]
fn every_step_has_a_scenario_and_those_of_both_roles_have_two() {
    let mut found = BTreeMap::<FailPoint, BTreeSet<&str>>::new();
    for scenario in scenarios::all() {
        for (step, _) in scenario.steps() {
            found.entry(step).or_default().insert(if scenario.role == Role::Producer { "p" } else { "c" });
        }
    }
    let missing: Vec<_> = FailPoint::ALL.iter().filter(|step| !found.contains_key(step)).collect();
    assert!(missing.is_empty(), "nobody dies at {missing:?}");
    use FailPoint::*;
    for step in [
        OpenLocked,
        JoinLocked,
        JoinCleaned,
        JoinEntry,
        JoinCursor,
        JoinActive,
        ReapLocked,
        ReapHold,
        ReapSleeper,
        ReapMask,
        ReapEntry,
        LeaveMask,
        LeaveBits,
        LeaveEntry,
        RemoveMark,
        RemoveRing,
        RemoveHolds,
        RemovePeers,
    ] {
        assert_eq!(found[&step].len(), 2, "{step} is for both");
    }
}

#[test]
fn death_or_stop_at_every_step_hurts_nobody_else() {
    let only = std::env::var("SHMFLOW_MATRIX_ONLY").unwrap_or_default();
    let mut jobs = Vec::new();
    for scenario in scenarios::all() {
        for (step, times) in scenario.steps() {
            for (i, nth) in times.iter().enumerate() {
                // What a child inherits does not depend on which time it is.
                let with_child = (i == 0).then_some(Action::KillWithChild);
                for action in [Action::Stop, Action::Kill].into_iter().chain(with_child) {
                    let name = format!("{}: {action:?} at {step} {nth}", scenario.name);
                    if name.contains(&only) {
                        jobs.push((name, *scenario, step, *nth, action));
                    }
                }
            }
        }
    }
    // Those that wait for the library's patience to end first: they cost time and no work.
    jobs.sort_by_key(|(_, scenario, step, _, action)| {
        (*action == Action::Stop && scenario.is_locked(*step)) as u8
    });
    let (total, start) = (jobs.len(), Instant::now());
    let (jobs, failed) = (Mutex::new(jobs), Mutex::new(Vec::new()));
    let workers = std::env::var("SHMFLOW_MATRIX_WORKERS").ok().and_then(|n| n.parse().ok()).unwrap_or(8);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((name, scenario, step, nth, action)) = { jobs.lock().unwrap().pop() } {
                    // In a thread of its own, so that a panic says which one it was.
                    let played = std::thread::Builder::new().name(name.clone()).spawn(move || {
                        catch_unwind(AssertUnwindSafe(|| play(&scenario, step, nth, action))).is_ok()
                    });
                    if !played.unwrap().join().unwrap_or(false) {
                        failed.lock().unwrap().push(name);
                    }
                }
            });
        }
    });
    println!(
        "kill matrix: {total} deaths and stops at {} steps in {:?}",
        FailPoint::ALL.len(),
        start.elapsed()
    );
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {total} failed:\n{}", failed.len(), failed.join("\n"));
    assert!(total > 0, "no scenario is called `{only}`");
}

#[test]
fn a_stream_that_goes_on_does_not_end_once_more() {
    let dir = Dir::new();
    let mut producer = TestProcess::start(dir.path(), 100);
    producer.does("producer; write 1; end");
    let mut consumer =
        shmflow::Consumer::builder(fixture::TOPIC).dir(&dir).start(shmflow::StartAt::Oldest).open().unwrap();
    assert_eq!(consumer.recv().unwrap().seq(), 1);
    producer.does("write 1; end");
    assert_eq!(consumer.recv().unwrap().seq(), 2);
    assert!(matches!(consumer.recv(), Err(Error::Ended { .. })));
    // It stops when its next frame is public, and nothing more is done.
    producer.begins("arm PublishIndex 1 stop; write 1");
    producer.meets(Action::Stop, "PublishIndex");
    assert_eq!(consumer.recv().unwrap().seq(), 3);
    let next = consumer.recv_timeout(Duration::from_millis(300));
    assert!(matches!(next, Err(Error::Timeout { .. })), "{next:?}");
    producer.goes_on();
    producer.answers("write");
    producer.leaves();
}

fn play(scenario: &Scenario, step: FailPoint, nth: u64, action: Action) {
    let dir = Dir::new();
    let end = match action {
        Action::Kill => "kill",
        Action::KillWithChild => "kill-with-child",
        Action::Stop => "stop",
    };
    let arm = format!("arm {step} {nth} {end}");
    let mut children: Vec<Option<TestProcess>> =
        (0..4).map(|i| scenario.needs(i).then(|| TestProcess::start(dir.path(), 100 + i as u64))).collect();
    let (mut stopped, mut begun) = (BTreeSet::new(), BTreeSet::new());
    let mut survivors = (scenario.others != Others::Later).then(|| Survivors::open(&dir));
    if let Some(survivors) = &mut survivors {
        survivors.flow(12, || ());
    }
    for before in scenario.before {
        match *before {
            Before::Does(who, what) => children[who].as_mut().unwrap().does(what),
            Before::Dies(who, what) => {
                let mut test_process = children[who].take().unwrap();
                test_process.begins(what);
                test_process.meets(Action::Kill, what);
            }
            Before::Killed(who) => children[who].take().unwrap().is_killed(),
            Before::Stops(who, what) => {
                let test_process = children[who].as_mut().unwrap();
                test_process.begins(&what.replace("{arm}", &arm));
                test_process.meets(Action::Stop, what);
                stopped.insert(who);
            }
            Before::Waits(who, what) => {
                children[who].as_mut().unwrap().begins(what);
                fixture::somebody_waits(&dir);
                begun.insert(who);
            }
            Before::GoesOnToStop(who) => {
                let test_process = children[who].as_mut().unwrap();
                test_process.goes_on();
                test_process.meets(Action::Stop, "its next stop");
            }
        }
    }
    let mut victim = children[0].take().unwrap();
    let mut acts = || {
        match scenario.act {
            Act::Does(what) => victim.begins(&format!("{arm}; {what}")),
            Act::GoesOn => victim.goes_on(),
        }
        victim.meets(action, step.name());
    };
    match &mut survivors {
        Some(survivors) if scenario.others == Others::Busy => survivors.flow(12, acts),
        _ => acts(),
    }
    stopped.remove(&0);
    // Its child lives until this is dropped.
    let mut parent = None;
    let victim = match action {
        Action::Stop => Some(victim),
        Action::Kill => None,
        Action::KillWithChild => {
            parent = Some(victim);
            None
        }
    };
    let locked = victim.is_some() && scenario.is_locked(step);
    match survivors {
        Some(mut survivors) => {
            survivors.flow_and_open(25, &dir, locked);
            let others =
                children.into_iter().enumerate().filter_map(|(i, test_process)| Some((i, test_process?)));
            everybody_goes_on(victim, others, &stopped, &begun);
            survivors.flow(25, || ());
            survivors.part(&dir);
        }
        None => {
            let mut children: Vec<_> = children
                .into_iter()
                .enumerate()
                .filter_map(|(i, test_process)| Some((i, test_process?)))
                .collect();
            if locked {
                assert_busy(&dir);
                everybody_goes_on(victim, children.drain(..), &stopped, &begun);
                let survivors = Survivors::open(&dir);
                flow_and_part(survivors, &dir);
            } else {
                let mut survivors = Survivors::open(&dir);
                survivors.flow_and_open(25, &dir, false);
                everybody_goes_on(victim, children.drain(..), &stopped, &begun);
                flow_and_part(survivors, &dir);
            }
        }
    }
    if let Some(parent) = &mut parent {
        parent.has_a_living_child();
    }
}

fn flow_and_part(mut survivors: Survivors, dir: &Dir) {
    survivors.flow_and_open(25, dir, false);
    survivors.part(dir);
}

/// The stopped victim, those who wait and the other children finish what they began, and leave.
fn everybody_goes_on(
    victim: Option<TestProcess>,
    others: impl Iterator<Item = (usize, TestProcess)>,
    stopped: &BTreeSet<usize>,
    begun: &BTreeSet<usize>,
) {
    let others = others.map(|(i, test_process)| (test_process, stopped.contains(&i), begun.contains(&i)));
    for (mut test_process, was_stopped, has_begun) in
        victim.map(|victim| (victim, true, false)).into_iter().chain(others)
    {
        if was_stopped {
            test_process.goes_on();
            test_process.answers("go on after it was stopped");
        }
        if has_begun {
            test_process.answers("get the slot that it waits for");
        }
        test_process.leaves();
    }
}

impl Scenario {
    /// Whether test process `who` takes part.
    fn needs(&self, who: usize) -> bool {
        who == 0
            || self.before.iter().any(|before| match *before {
                Before::Does(i, _) | Before::Dies(i, _) | Before::Stops(i, _) | Before::Waits(i, _) => {
                    i == who
                }
                Before::Killed(i) | Before::GoesOnToStop(i) => i == who,
            })
    }
}
