//! Handles in a forked child.

use shmflow::{Consumer, Error, Liveness, Producer, ProducerMode, inspect};

use super::common::role::{self, Role};
use super::common::{Dir, wait_until};

/// A process with a producer, a consumer, a lease, a claim and a published frame, that forks; both are told what to do.
#[test]
#[ignore = "a role of other tests"]
fn role_of_a_parent() {
    let Some(dir) = role::dir() else { return };
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    producer.write(b"leases").unwrap();
    let frame = consumer.recv().unwrap();
    let claim = producer.claim(10).unwrap();
    let published = producer.claim(5).unwrap().publish().unwrap();
    // SAFETY: the child has one thread, which is this one, and the harness's locks that others held are not touched.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Child => {
            let forked = |result: Result<(), Error>| matches!(result, Err(Error::Forked { .. }));
            let refused = [
                forked(producer.write(b"x").map(drop)),
                forked(producer.claim(1).map(drop)),
                forked(producer.grow(1 << 20, 8)),
                forked(claim.publish().map(drop)),
                forked(consumer.recv().map(drop)),
                forked(consumer.try_recv().map(drop)),
                forked(consumer.set_accepted_caps("x")),
            ];
            let bytes = frame.to_vec() == b"leases" && published.len() == 5;
            let cancel_token = shmflow::CancelToken::new();
            let events = forked(producer.wait_event(producer.events(), None, &cancel_token).map(drop));
            drop((frame, published, consumer));
            drop(producer);
            role::say(format!("{} {bytes} {events}", refused.iter().all(|refused| *refused)));
            // Lives on until it is told, or the test is gone.
            role::heard();
            // SAFETY: ends this process without the harness's leftovers.
            unsafe { libc::_exit(0) };
        }
        nix::unistd::ForkResult::Parent { .. } => {
            // The child owns the input now; this one waits to be killed.
            std::thread::sleep(std::time::Duration::from_secs(60));
            drop((frame, published, claim));
        }
    }
}

#[test]
fn handles_in_a_forked_child_refuse_and_their_end_changes_nothing() {
    let dir = Dir::new();
    let mut parent = Role::start("forked::role_of_a_parent", &dir);
    assert_eq!(parent.read_reply(), "true true true");
    let info = inspect("t", Some(dir.path())).unwrap();
    let held: Vec<_> = info.participants.iter().map(|p| (p.active, p.held_slots, p.claimed_slots)).collect();
    assert_eq!(held, [(true, Some(2), 1), (true, Some(1), 0)], "as the parent has them");
    assert_eq!(dir.files().len(), 3);

    // The child lives on, and does not keep its dead parent alive.
    let other = Producer::builder("t").dir(&dir).open().unwrap();
    assert_eq!(other.consumer_count(), 1);
    nix::sys::signal::kill(parent.pid(), nix::sys::signal::Signal::SIGKILL).unwrap();
    wait_until("the parent's death is seen", || {
        let info = inspect("t", Some(dir.path())).unwrap();
        info.participants.iter().filter(|p| p.liveness == shmflow::Liveness::Alive).count() == 1
    });
    assert_eq!(other.consumer_count(), 0);
    let claims: Vec<_> = (0..other.geometry().slots).map(|_| other.claim(1).unwrap()).collect();
    drop(claims);
    drop(other);
    assert!(dir.files().is_empty());
    parent.tell("end");
}

/// A process with a producer, a consumer and a lease, whose child only sleeps.
#[test]
#[ignore = "a role of other tests"]
fn role_of_a_parent_of_a_sleeper() {
    let Some(dir) = role::dir() else { return };
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    // A larger frame makes a new ring, which this process maps while it makes it.
    for len in [6, 1 << 20] {
        producer.write(&vec![1; len]).unwrap();
    }
    let frames = [consumer.recv().unwrap(), consumer.recv().unwrap()];
    // SAFETY: the child has one thread, which is this one, and touches nothing but pipes.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Child => {
            role::say("asleep");
            role::heard();
            role::say("awake");
            // SAFETY: ends this process without the harness's leftovers.
            unsafe { libc::_exit(0) };
        }
        nix::unistd::ForkResult::Parent { .. } => {
            std::thread::sleep(std::time::Duration::from_secs(60));
            drop(frames);
        }
    }
}

/// A parent that was killed, with a child that lives until it is told something.
fn dead_parent_of_a_sleeper(dir: &Dir) -> Role {
    let mut parent = Role::start("forked::role_of_a_parent_of_a_sleeper", dir);
    assert_eq!(parent.read_reply(), "asleep");
    parent.kill();
    parent
}

#[test]
fn a_child_that_only_sleeps_does_not_keep_its_dead_parent_alive() {
    let dir = Dir::new();
    let mut parent = dead_parent_of_a_sleeper(&dir);
    let info = inspect("t", Some(dir.path())).unwrap();
    assert!(info.participants.iter().all(|p| p.liveness == Liveness::Dead), "{:?}", info.participants);
    let heir = Producer::builder("t").dir(&dir).mode(ProducerMode::Exclusive).open().unwrap();
    let claims: Vec<_> = (0..heir.geometry().slots).map(|_| heir.claim(1).unwrap()).collect();
    drop((claims, heir));
    assert!(dir.files().is_empty());
    assert_eq!(parent.ask("end"), "awake", "the child lived all the time");
}

#[test]
fn what_a_dead_parent_of_a_living_child_left_is_collected() {
    let dir = Dir::new();
    let mut parent = dead_parent_of_a_sleeper(&dir);
    let collected = shmflow::gc(Some(dir.path())).unwrap();
    assert_eq!(collected.removed, ["t"], "{collected:?}");
    assert!(dir.files().is_empty());
    assert_eq!(parent.ask("end"), "awake", "the child lived all the time");
}
