//! Processes whose CLOCK_MONOTONIC is not this one's.

use std::process::{Command, Stdio};
use std::time::Duration;

use nix::time::ClockId;
use shmflow::meta::{Clock, Meta, Times};
use shmflow::{Consumer, Producer};

use super::common::role::{self, Role};
use super::common::{Dir, wait_until};

/// Far more than any of these tests takes, and less than the machine has been up: a clock cannot be before 0.
const SHIFTS: [&str; 2] = ["--monotonic=1000000", "--monotonic=-10"];

/// Nothing here takes as long.
const SOON: u64 = 8_000_000_000;

fn now() -> u64 {
    Duration::from(ClockId::CLOCK_MONOTONIC.now().unwrap()).as_nanos().try_into().unwrap()
}

/// A process that publishes and receives as it is told, and whose clock is shifted; `None` where that is not permitted.
fn shifted(dir: &Dir, shift: &str) -> Option<Role> {
    let unshare = |what: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--time", "--fork", "--kill-child", shift]).args(what);
        command
    };
    if !unshare(&["true"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        println!("skipped, because this user may not make time namespaces, or there is no unshare");
        return None;
    }
    let mut role = Role::start_as("time_namespaces::role_with_a_clock_of_its_own", dir, |command| {
        let mut wrapped = unshare(&[]);
        wrapped.arg(command.get_program()).args(command.get_args());
        wrapped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        wrapped.stdin(Stdio::piped()).stdout(Stdio::piped());
        *command = wrapped;
    });
    let there: u64 = role.read_reply().parse().unwrap();
    assert!(there.abs_diff(now()) > SOON, "its clock is shifted");
    Some(role)
}

#[test]
#[ignore = "a role of other tests"]
fn role_with_a_clock_of_its_own() {
    let Some(dir) = role::dir() else { return };
    role::say(now());
    let producer = Producer::builder("theirs").dir(&dir).open().unwrap();
    let mut consumer = Consumer::builder("ours").dir(&dir).open().unwrap();
    while let Some(line) = role::heard() {
        match line.as_str() {
            "write" => {
                let times = Times::default().capture_ns(now()).clock(Clock::Monotonic);
                producer.write_with(b"frame", &Meta::default().times(times)).unwrap();
                role::say("ok");
            }
            "recv" => {
                let frame = consumer.recv().unwrap();
                let captured = frame.meta().unwrap().unwrap().times.capture_ns.unwrap();
                role::say(format!("{} {}", now() - captured, now() - frame.published_ns()));
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn times_of_frames_are_right_in_every_time_namespace() {
    for shift in SHIFTS {
        let dir = Dir::new();
        let producer = Producer::builder("ours").dir(&dir).open().unwrap();
        let Some(mut role) = shifted(&dir, shift) else { return };
        wait_until("it has joined", || producer.consumer_count() == 1);

        let times = Times::default().capture_ns(now()).clock(Clock::Monotonic);
        producer.write_with(b"frame", &Meta::default().times(times)).unwrap();
        for age in role.ask("recv").split(' ') {
            assert!(age.parse::<u64>().unwrap() < SOON, "{shift}: {age} ns old over there");
        }

        let mut leases = Consumer::builder("theirs").dir(&dir).open().unwrap();
        let mut copies = Consumer::builder("theirs").dir(&dir).read_only(true).open().unwrap();
        let before = now();
        assert_eq!(role.ask("write"), "ok");
        for frame in [leases.recv().unwrap(), copies.recv().unwrap()] {
            for frame in [frame.clone(), frame.private_copy().unwrap()] {
                let times = frame.meta().unwrap().unwrap().times;
                assert_eq!(times.clock, Clock::Monotonic);
                for moment in [times.capture_ns.unwrap(), frame.published_ns()] {
                    assert!((before..=now()).contains(&moment), "{shift}: {before} {moment}");
                }
            }
        }
        let seen = shmflow::inspect("theirs", Some(dir.path())).unwrap();
        let newest = seen.newest.as_ref().unwrap();
        assert!((before..=now()).contains(&newest.published_ns), "{shift}: {newest:?}");
        assert_eq!(newest.published_ns, seen.recent.last().unwrap().published_ns);
        assert!(newest.latency().is_some_and(|latency| latency < Duration::from_nanos(SOON)), "{shift}");
        assert!(seen.participants.iter().all(|p| p.age < Duration::from_nanos(SOON)), "{shift}: {seen:?}");
    }
}
