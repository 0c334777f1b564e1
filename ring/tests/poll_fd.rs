//! The descriptor of a consumer, as an event loop sees it.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test's way to fail")]

mod common;

use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::time::{Duration, Instant};

use common::role::{self, Role};
use common::{Dir, pattern, wait_until};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use shmflow::{Consumer, Error, Frame, Producer};

fn is_readable(consumer: &mut Consumer, limit: PollTimeout) -> bool {
    let fd = consumer.poll_fd().unwrap();
    poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], limit).unwrap() == 1
}

/// Whether there is something to fetch, now.
fn readable(consumer: &mut Consumer) -> bool {
    is_readable(consumer, PollTimeout::ZERO)
}

/// Waits until there is something to fetch.
fn await_readable(consumer: &mut Consumer) {
    assert!(is_readable(consumer, PollTimeout::from(30_000u16)), "nothing became readable");
}

fn fetch(consumer: &mut Consumer) -> Result<Frame, Error> {
    consumer.recv_timeout(Duration::ZERO)
}

/// Looks until there is nothing, which makes the descriptor unreadable.
fn drain(consumer: &mut Consumer) {
    while consumer.try_recv().unwrap().is_some() {}
}

fn watchers() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok())
        .filter(|name| name.trim() == "shmflow-watch")
        .count()
}

fn pair(dir: &Dir) -> (Producer, Consumer) {
    let producer = Producer::builder("t").dir(dir).open().unwrap();
    let consumer = Consumer::builder("t").dir(dir).open().unwrap();
    (producer, consumer)
}

#[test]
fn it_is_readable_while_frames_wait_and_not_when_there_are_none() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    drain(&mut consumer);
    for round in 0..50 {
        for i in 0..3 {
            producer.write(&pattern(i, 100)).unwrap();
        }
        await_readable(&mut consumer);
        for _ in 0..3 {
            // Level-triggered: as long as something is left.
            assert!(readable(&mut consumer), "round {round}");
            fetch(&mut consumer).unwrap();
        }
        assert!(matches!(fetch(&mut consumer), Err(Error::Timeout { .. })));
        assert!(!readable(&mut consumer), "round {round}");
    }
}

#[test]
fn an_event_loop_wakes_once_for_each_frame() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    drain(&mut consumer);
    for i in 0..500 {
        producer.write(&pattern(i, 100)).unwrap();
        await_readable(&mut consumer);
        fetch(&mut consumer).unwrap();
        assert!(!readable(&mut consumer), "frame {i} was the last one");
    }
}

#[test]
fn whether_something_is_there_can_be_asked_without_taking_it() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    consumer.poll_fd().unwrap();
    assert!(!consumer.is_ready().unwrap() && !readable(&mut consumer));
    producer.write(b"1").unwrap();
    assert!(consumer.is_ready().unwrap() && consumer.is_ready().unwrap());
    await_readable(&mut consumer);
    fetch(&mut consumer).unwrap();
    producer.end();
    assert!(consumer.is_ready().unwrap());
    assert!(matches!(fetch(&mut consumer), Err(Error::Ended { .. })));
    assert!(!consumer.is_ready().unwrap());
    consumer.cancel_token().cancel();
    assert!(consumer.is_ready().unwrap());
}

#[test]
fn frames_fetched_before_the_watcher_saw_them_leave_no_false_level_behind() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    consumer.poll_fd().unwrap();
    drain(&mut consumer);
    for i in 0..2000 {
        producer.write(&pattern(i, 8)).unwrap();
        drain(&mut consumer);
    }
    // The watcher may still be about to say what was fetched long ago; one look each makes it quiet.
    wait_until("quiet", || {
        drain(&mut consumer);
        !is_readable(&mut consumer, PollTimeout::from(20u16))
    });
    producer.write(b"x").unwrap();
    await_readable(&mut consumer);
    assert_eq!(&*fetch(&mut consumer).unwrap(), b"x");
}

#[test]
fn an_end_is_told_once_and_the_stream_may_go_on() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    producer.write(b"1").unwrap();
    producer.end();
    await_readable(&mut consumer);
    assert_eq!(&*fetch(&mut consumer).unwrap(), b"1");
    assert!(readable(&mut consumer), "the end is something to fetch too");
    assert!(matches!(fetch(&mut consumer), Err(Error::Ended { .. })));
    assert!(!readable(&mut consumer), "it was told");
    assert!(matches!(fetch(&mut consumer), Err(Error::Timeout { .. })), "who asks again is not");
    producer.write(b"2").unwrap();
    await_readable(&mut consumer);
    assert_eq!(&*fetch(&mut consumer).unwrap(), b"2");
    assert!(matches!(fetch(&mut consumer), Err(Error::Timeout { .. })));
    producer.end();
    await_readable(&mut consumer);
    assert!(matches!(fetch(&mut consumer), Err(Error::Ended { .. })));
}

#[test]
fn an_end_that_comes_while_nothing_waits_makes_it_readable() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    drain(&mut consumer);
    assert!(!readable(&mut consumer) || fetch(&mut consumer).is_err());
    drop({
        producer.write(b"1").unwrap();
        producer.end();
        producer
    });
    await_readable(&mut consumer);
    assert_eq!(&*fetch(&mut consumer).unwrap(), b"1");
    await_readable(&mut consumer);
    assert!(matches!(fetch(&mut consumer), Err(Error::Ended { .. })));
}

#[test]
fn a_removal_makes_it_readable_for_good() {
    let dir = Dir::new();
    let (_producer, mut consumer) = pair(&dir);
    drain(&mut consumer);
    consumer.poll_fd().unwrap();
    shmflow::remove("t", Some(dir.path()), true).unwrap();
    for _ in 0..3 {
        await_readable(&mut consumer);
        assert!(matches!(fetch(&mut consumer), Err(Error::Removed { .. })));
    }
}

#[test]
fn the_deletion_of_the_files_by_hand_is_seen_by_the_tick() {
    let dir = Dir::new();
    let (_producer, mut consumer) = pair(&dir);
    drain(&mut consumer);
    for file in dir.files() {
        std::fs::remove_file(dir.path().join(file)).unwrap();
    }
    wait_until("it is seen", || match fetch(&mut consumer) {
        Err(Error::Timeout { .. }) => {
            is_readable(&mut consumer, PollTimeout::from(1000u16));
            false
        }
        result => matches!(result, Err(Error::Removed { .. })),
    });
}

#[test]
fn the_cancel_token_makes_it_readable_until_it_is_reset() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    drain(&mut consumer);
    consumer.poll_fd().unwrap();
    let cancel_token = consumer.cancel_token();
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| cancel_token.cancel());
        for _ in 0..3 {
            await_readable(&mut consumer);
            // At first it may be readable without reason.
            wait_until("cancelled", || matches!(fetch(&mut consumer), Err(Error::Cancelled { .. })));
        }
    });
    assert!(start.elapsed() < Duration::from_secs(20));
    cancel_token.reset();
    assert!(matches!(fetch(&mut consumer), Err(Error::Timeout { .. })));
    assert!(!readable(&mut consumer));
    producer.write(b"on").unwrap();
    await_readable(&mut consumer);
    assert_eq!(&*fetch(&mut consumer).unwrap(), b"on");
}

#[test]
fn recv_waits_through_it_and_can_be_cancelled_and_times_out() {
    let dir = Dir::new();
    let (producer, mut consumer) = pair(&dir);
    consumer.poll_fd().unwrap();
    assert!(matches!(consumer.recv_timeout(Duration::from_millis(30)), Err(Error::Timeout { .. })));
    let cancel_token = consumer.cancel_token();
    std::thread::scope(|scope| {
        let receiver = scope.spawn(|| consumer.recv());
        cancel_token.cancel();
        assert!(matches!(receiver.join().unwrap(), Err(Error::Cancelled { .. })));
    });
    cancel_token.reset();
    std::thread::scope(|scope| {
        let receiver = scope.spawn(|| consumer.recv().unwrap().to_vec());
        producer.write(b"woken").unwrap();
        assert_eq!(receiver.join().unwrap(), b"woken");
    });
}

#[test]
fn it_goes_on_through_growth() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).slot_capacity(100).open().unwrap();
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    drain(&mut consumer);
    let fd = consumer.poll_fd().unwrap().as_raw_fd();
    for size in [100, 10_000, 100_000, 1_000_000] {
        for i in 0..3 {
            producer.write(&pattern(i, size)).unwrap();
            await_readable(&mut consumer);
            // Readable without reason is allowed, and there is one at each seal.
            let frame = loop {
                match fetch(&mut consumer) {
                    Err(Error::Timeout { .. }) => await_readable(&mut consumer),
                    frame => break frame.unwrap(),
                }
            };
            assert_eq!(&*frame, pattern(i, size));
        }
    }
    assert_eq!(consumer.poll_fd().unwrap().as_raw_fd(), fd, "an event loop keeps the number");
    assert!(consumer.geometry().epoch > 2);
}

#[test]
fn a_consumer_that_only_reads_has_one_too() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).perms(0o644).open().unwrap();
    let mut consumer = Consumer::builder("t").dir(&dir).read_only(true).open().unwrap();
    consumer.poll_fd().unwrap();
    for i in 0..20 {
        drain(&mut consumer);
        assert!(!readable(&mut consumer));
        producer.write(&pattern(i, 100)).unwrap();
        await_readable(&mut consumer);
        assert_eq!(&*fetch(&mut consumer).unwrap(), pattern(i, 100));
    }
}

/// A consumer that polls, in a process of its own.
#[test]
#[ignore = "a role of other tests"]
fn role_of_a_poller() {
    let Some(dir) = role::dir() else { return };
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    drain(&mut consumer);
    role::say("ready");
    loop {
        await_readable(&mut consumer);
        match fetch(&mut consumer) {
            Ok(frame) => role::say(format!("{} {}", frame.seq(), frame.len())),
            Err(Error::Timeout { .. }) => {}
            Err(Error::Ended { .. }) => break role::say("ended"),
            Err(error) => break role::say(error),
        }
    }
}

#[test]
fn across_processes_it_wakes_and_its_death_leaves_nothing() {
    let dir = Dir::new();
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    for round in 0..5 {
        let mut poller = Role::start("role_of_a_poller", &dir);
        assert_eq!(poller.read_reply(), "ready");
        let seq = producer.write(&[0; 77]).unwrap();
        // A late joiner is offered what came before, too.
        wait_until("its frame", || poller.read_reply() == format!("{seq} 77"));
        if round == 4 {
            producer.end();
            assert_eq!(poller.read_reply(), "ended");
            poller.finish();
        } else {
            poller.kill();
        }
    }
    wait_until("only the producer is left", || producer.consumer_count() == 0);
    // Every slot can be had: nobody's bit stayed.
    let claims: Vec<_> = (0..producer.geometry().slots).map(|_| producer.claim(1).unwrap()).collect();
    drop(claims);
    drop(producer);
    assert!(dir.files().is_empty());
}

/// A process with a consumer whose descriptor is in use, that forks.
#[test]
#[ignore = "a role of other tests"]
fn role_of_a_forking_poller() {
    let Some(dir) = role::dir() else { return };
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    drain(&mut consumer);
    let fd = consumer.poll_fd().unwrap().as_raw_fd();
    // SAFETY: the child makes plain calls only, and ends by `_exit`.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Child => {
            // SAFETY: asks whether the number is open, which is all that the test wants to know.
            let closed = unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1;
            let refused = matches!(consumer.poll_fd(), Err(Error::Forked { .. }))
                && matches!(consumer.try_recv(), Err(Error::Forked { .. }))
                && matches!(consumer.recv_timeout(Duration::ZERO), Err(Error::Forked { .. }));
            drop(consumer);
            role::say(format!("child {closed} {refused}"));
            // SAFETY: ends this process without the harness's leftovers.
            unsafe { libc::_exit(0) };
        }
        nix::unistd::ForkResult::Parent { child } => {
            nix::sys::wait::waitpid(child, None).unwrap();
            // What the child did concerns nobody here.
            producer.write(b"still").unwrap();
            await_readable(&mut consumer);
            role::say(format!("parent {}", fetch(&mut consumer).is_ok()));
        }
    }
}

#[test]
fn in_a_forked_child_it_is_closed_and_refused() {
    let dir = Dir::new();
    let mut role = Role::start("role_of_a_forking_poller", &dir);
    assert_eq!(role.read_reply(), "child true true");
    assert_eq!(role.read_reply(), "parent true");
    role.finish();
    assert!(dir.files().is_empty());
}

/// Consumers of several topics, each of which gets its frames. How many watchers they have.
fn many(dir: &Path, count: usize) -> usize {
    let topics: Vec<_> = (0..count.div_ceil(20)).map(|i| format!("many/{i}")).collect();
    let producers: Vec<_> =
        topics.iter().map(|topic| Producer::builder(topic).dir(dir).open().unwrap()).collect();
    let topic_of = |i: usize| &topics[i % topics.len()];
    let open = |i| Consumer::builder(topic_of(i)).dir(dir).open().unwrap();
    let mut consumers: Vec<_> = (0..count).map(open).collect();
    consumers.iter_mut().for_each(drain);
    for consumer in &mut consumers {
        consumer.poll_fd().unwrap();
    }
    for round in 0..5 {
        for producer in &producers {
            producer.write(&pattern(round, 50)).unwrap();
        }
        for consumer in &mut consumers {
            await_readable(consumer);
            // Readable without reason, as always at first.
            wait_until("its frame", || match fetch(consumer) {
                Err(Error::Timeout { .. }) => false,
                frame => *frame.unwrap() == pattern(round, 50),
            });
        }
    }
    // By now each has run, and has its name.
    let there = watchers();
    // Some go, and the others stay.
    consumers.truncate(count / 2);
    for producer in &producers {
        producer.write(b"on").unwrap();
    }
    for consumer in &mut consumers {
        await_readable(consumer);
        assert_eq!(&*fetch(consumer).unwrap(), b"on");
    }
    drop(consumers);
    assert_eq!(watchers(), 0, "threads outlive their consumers");
    there
}

#[test]
#[ignore = "a role of other tests"]
fn role_of_many_pollers() {
    let Some(dir) = role::dir() else { return };
    role::say(many(&dir, 130));
}

#[test]
fn one_thread_watches_for_many_consumers() {
    let dir = Dir::new();
    let mut role = Role::start("role_of_many_pollers", &dir);
    let watchers: usize = role.read_reply().parse().unwrap();
    assert_eq!(watchers, if has_waitv() { 130_usize.div_ceil(63) } else { 130 });
    role.finish();
    assert!(dir.files().is_empty());
}

fn has_waitv() -> bool {
    // SAFETY: no words at all, which a kernel that has the call refuses.
    unsafe { libc::syscall(libc::SYS_futex_waitv, 0, 0, 0, 0, 0) };
    !matches!(nix::Error::last(), nix::Error::ENOSYS | nix::Error::EPERM)
}

/// As on a kernel before 5.16.
#[test]
#[ignore = "a role of other tests"]
fn role_of_pollers_without_waitv() {
    let Some(dir) = role::dir() else { return };
    let step = |code: u32, k: u32, jt, jf| libc::sock_filter { code: code as u16, jt, jf, k };
    // The number of the call; if it is that of `futex_waitv`: ENOSYS; else: go on.
    let mut program = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, libc::SYS_futex_waitv as u32, 0, 1),
        step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32, 0, 0),
        step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let program = libc::sock_fprog { len: 4, filter: program.as_mut_ptr() };
    nix::sys::prctl::set_no_new_privs().unwrap();
    // SAFETY: a filter of as many steps, which the kernel checks.
    let filtered = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_TSYNC,
            &program,
        )
    };
    assert_eq!(filtered, 0, "{}", nix::Error::last());
    assert!(!has_waitv());
    role::say(many(&dir, 6));
}

#[test]
fn where_a_thread_cannot_sleep_on_several_words_each_consumer_has_its_own() {
    let dir = Dir::new();
    let mut role = Role::start("role_of_pollers_without_waitv", &dir);
    assert_eq!(role.read_reply(), "6");
    role.finish();
    assert!(dir.files().is_empty());
}

/// Alone in its process, since it counts threads and system calls.
#[test]
#[ignore = "a role of other tests"]
fn role_of_an_idle_poller() {
    let Some(dir) = role::dir() else { return };
    let _producer = Producer::builder("t").dir(&dir).open().unwrap();
    for _ in 0..20 {
        let mut consumers: Vec<_> =
            (0..5).map(|_| Consumer::builder("t").dir(&dir).open().unwrap()).collect();
        assert_eq!(watchers(), 0, "nobody asked for one yet");
        for consumer in &mut consumers {
            drain(consumer);
            consumer.poll_fd().unwrap();
            consumer.poll_fd().unwrap();
        }
        wait_until("one for them all", || watchers() == 1);
    }
    let gone = watchers();
    let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
    consumer.poll_fd().unwrap();
    drain(&mut consumer);
    let switches = || -> u64 {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        tasks
            .filter_map(|task| {
                let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
                let status = std::fs::read_to_string(task.path().join("status")).ok()?;
                let line = status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"))?.trim();
                (name.trim() == "shmflow-watch").then(|| line.parse::<u64>().ok())?
            })
            .sum()
    };
    let (before, start) = (switches(), Instant::now());
    while start.elapsed() < Duration::from_secs(3) {
        is_readable(&mut consumer, PollTimeout::from(3000u16));
        drain(&mut consumer);
    }
    let slept = switches() - before;
    role::say(format!("{gone} {slept} {}", start.elapsed().as_secs()));
}

#[test]
fn the_thread_ends_with_the_consumer_and_sleeps_meanwhile() {
    let dir = Dir::new();
    let mut role = Role::start("role_of_an_idle_poller", &dir);
    let said = role.read_reply();
    let numbers: Vec<u64> = said.split(' ').map(|n| n.parse().unwrap()).collect();
    assert_eq!(numbers[0], 0, "threads outlive their consumers");
    // Once a second, and a few on the way there; seconds are measured, since a loaded machine may stretch them.
    assert!(numbers[1] <= 2 * numbers[2] + 8, "{} wake-ups in {} s", numbers[1], numbers[2]);
    role.finish();
}

/// The niceness of the watchers.
fn watchers_nice() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let stats = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok());
    let field = |stat: String| {
        stat.rsplit_once(')').and_then(|(_, fields)| Some(fields.split_whitespace().nth(16)?.to_owned()))
    };
    let mut nice: Vec<_> = stats.filter(|stat| stat.contains("(shmflow-watch)")).filter_map(field).collect();
    nice.sort();
    nice
}

#[test]
#[ignore = "a role of other tests"]
fn role_of_pollers_of_different_urgency() {
    let Some(dir) = role::dir() else { return };
    let _producer = Producer::builder("t").dir(&dir).open().unwrap();
    let open = || {
        let mut consumer = Consumer::builder("t").dir(&dir).open().unwrap();
        consumer.poll_fd().unwrap();
        consumer
    };
    let patient = std::thread::scope(|scope| {
        let patient = scope.spawn(|| {
            rustix::process::setpriority_process(None, 7).unwrap();
            [open(), open()]
        });
        patient.join().unwrap()
    });
    let urgent = [open(), open()];
    wait_until("they run", || watchers() == if has_waitv() { 2 } else { 4 });
    let mut nice = watchers_nice();
    nice.dedup();
    drop((patient, urgent));
    role::say(format!("{nice:?}"));
}

#[test]
fn who_is_urgent_has_no_watcher_that_is_not() {
    let dir = Dir::new();
    let mut role = Role::start("role_of_pollers_of_different_urgency", &dir);
    let nice = role.read_reply();
    role.finish();
    // (The tests themselves may be nice.)
    assert_eq!(nice.matches(',').count(), 1, "{nice}");
}
