//! Programs in C, compiled as people compile them, in one process and in several.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test's way to fail")]

mod support;

use std::path::Path;
use std::process::Output;

use support::{Place, Running, c, succeeded, wait_until};

#[test]
fn every_function_does_what_it_says() {
    let place = Place::new();
    assert_eq!(place.run(place.program("exercise"), &[]), "done\n");
    assert!(place.left().is_empty(), "{:?}", place.left());
}

#[test]
fn with_the_library_inside_the_program_too() {
    let place = Place::new();
    let program = place.compile_static(&c("exercise.c"), "static");
    // No library is to be found at run time.
    let output = place.command(&program).env_remove("LD_LIBRARY_PATH").output().unwrap();
    succeeded("static", &output);
    assert!(place.left().is_empty(), "{:?}", place.left());
}

#[test]
fn from_cxx_too() {
    let place = Place::new();
    let program = place.compile("g++", &c("exercise.c"), "cxx", &["-x", "c++", "-std=c++17"]);
    assert_eq!(place.run(program, &[]), "done\n");
}

#[test]
fn errors_have_a_text_and_what_happens_is_logged() {
    let place = Place::new();
    assert_eq!(place.run(place.program("messages"), &[]), "done\n");
    assert!(place.left().is_empty(), "{:?}", place.left());
}

#[test]
fn consumers_may_be_there_before_their_topics_and_many_wait_together() {
    let place = Place::new();
    let said = place.run(place.program("waiting"), &[]);
    let threads: u32 = said.split(' ').next().unwrap().parse().unwrap();
    // For each, where the kernel has no `futex_waitv`.
    assert!(threads == 130_u32.div_ceil(63) || threads == 130, "{said}");
    assert!(said.ends_with("done\n") && place.left().is_empty(), "{said} {:?}", place.left());
}

#[test]
fn what_hangs_on_a_frame_goes_there_and_back() {
    let place = Place::new();
    assert_eq!(place.run(place.program("metas"), &[]), "done\n");
    assert!(place.left().is_empty(), "{:?}", place.left());
}

/// `shmflow.hpp`, by each standard that it is for, with and without exceptions.
#[test]
fn the_wrapper_for_cxx_does_what_it_says() {
    let place = Place::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cxx/wrapper.cc");
    for (name, flags) in [
        ("cxx17", &["-std=c++17"][..]),
        ("cxx20", &["-std=c++20"]),
        ("sanitized", &["-std=c++20", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]),
        ("no-exceptions", &["-std=c++17", "-fno-exceptions", "-fno-rtti"]),
    ] {
        let strict = [
            "-Wconversion",
            "-Wsign-conversion",
            "-Wshadow",
            "-Wold-style-cast",
            "-Wzero-as-null-pointer-constant",
        ];
        let program = place.compile("g++", &source, name, &[flags, &strict].concat());
        assert_eq!(place.run(program, &[]), "done\n", "{name}");
        assert!(place.left().is_empty(), "{name}: {:?}", place.left());
    }
}

#[test]
fn null_and_nonsense_give_errors() {
    let place = Place::new();
    assert_eq!(place.run(place.program("invalid_args"), &[]), "done\n");
    assert!(place.left().is_empty(), "{:?}", place.left());
}

/// Runs a program under valgrind, which finds uses of freed or uninitialised memory, and leaks.
fn valgrind(place: &Place, name: &str) -> Output {
    let program = place.program(name);
    let mut command = place.command("valgrind");
    command
        .args(["--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect"])
        .args(["--show-leak-kinds=definite,indirect", "--quiet"])
        .arg(&program);
    command.output().unwrap()
}

#[test]
fn memory_is_used_well() {
    let place = Place::new();
    for name in ["exercise", "invalid_args", "messages", "metas"] {
        succeeded(&format!("valgrind {name}"), &valgrind(&place, name));
    }
    // It would have noticed.
    let leak = valgrind(&place, "leak");
    assert_eq!(leak.status.code(), Some(9), "{leak:?}");
}

/// The same by the compiler's own means, which see other things: the stack, and what the program itself does.
#[test]
fn the_address_sanitizer_finds_nothing() {
    let place = Place::new();
    for name in ["exercise", "invalid_args", "messages", "metas", "waiting"] {
        let flags = ["-std=c99", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
        let program = place.compile("gcc", &c(&format!("{name}.c")), name, &flags);
        assert!(place.run(program, &[]).ends_with("done\n"));
    }
}

#[test]
fn frames_go_from_process_to_process_in_place() {
    let place = Place::new();
    let program = place.program("roles");
    let mut sender = place.start(&program, &["send", "c/frames", "100"]);
    assert_eq!(sender.hear(), "ready");
    let mut receivers = ["receive", "poll", "poll"].map(|role| place.start(&program, &[role, "c/frames"]));
    for receiver in &mut receivers {
        assert_eq!(receiver.hear(), "ready");
    }
    let info = ring::inspect("c/frames", Some(place.topics())).unwrap();
    assert_eq!(info.description.as_deref(), Some("Numbers from C"));
    sender.tell("go");
    for receiver in receivers {
        assert_eq!(receiver.finish(), "100 frames");
    }
    sender.finish();
    assert!(place.left().is_empty(), "{:?}", place.left());
}

#[test]
fn a_consumer_may_be_there_first() {
    let place = Place::new();
    let program = place.program("roles");
    // It waits for the topic.
    let mut receiver = place.start(&program, &["poll", "late"]);
    let mut sender = place.start(&program, &["send", "late", "10"]);
    assert_eq!((sender.hear().as_str(), receiver.hear().as_str()), ("ready", "ready"));
    sender.tell("go");
    assert_eq!(receiver.finish(), "10 frames");
    sender.finish();
}

#[test]
fn a_killed_consumer_that_held_frames_leaves_nothing_behind() {
    let place = Place::new();
    let program = place.program("roles");
    let producer = ring::Producer::builder("held").dir(place.topics()).depth(6).open().unwrap();
    for round in 0..3u8 {
        for _ in 0..3 {
            producer.write(&[round; 100]).unwrap();
        }
        let mut holder = place.start(&program, &["hold", "held", "3"]);
        assert_eq!(holder.hear(), "holding");
        let info = ring::inspect("held", Some(place.topics())).unwrap();
        assert!(info.participants.iter().any(|participant| participant.held_slots == Some(3)), "{info:?}");
        holder.kill();
    }
    wait_until("its death is seen", || producer.consumer_count() == 0);
    // Every slot can be had: nobody's hold stayed.
    let claims: Vec<_> = (0..producer.geometry().slots).map(|_| producer.claim(1).unwrap()).collect();
    drop(claims);
    drop(producer);
    assert!(place.left().is_empty(), "{:?}", place.left());
}

/// A process that reads `topic` with these options, ready.
fn selecting(place: &Place, program: &Path, options: &[&str]) -> Running {
    let mut running = place.start(program, &[&["topic"], options].concat());
    assert_eq!(running.hear(), "ready");
    running
}

fn answer(running: &mut Running, line: &str) -> String {
    running.tell(line);
    running.hear()
}

#[test]
fn consumers_take_the_newest_or_their_share_or_what_is_next_or_so_many_a_second() {
    let place = Place::new();
    let program = place.program("selecting");
    let producer = ring::Producer::builder("topic").dir(place.topics()).depth(32).open().unwrap();
    let write = |count| {
        for _ in 0..count {
            producer.write(b"x").unwrap();
        }
    };
    write(3);
    let mut all = selecting(&place, &program, &[]);
    let mut next = selecting(&place, &program, &["next"]);
    let mut latest = selecting(&place, &program, &["latest"]);
    let mut seldom = selecting(&place, &program, &["rate=0.001"]);
    let mut shares = [0, 1, 2].map(|index| selecting(&place, &program, &[&format!("share={index}/3")]));
    assert_eq!(answer(&mut next, "take"), "took, skipped 0");
    assert_eq!(answer(&mut seldom, "take"), "took 3, skipped 0");
    write(4);
    assert_eq!(answer(&mut all, "take"), "took 1 2 3 4 5 6 7, skipped 0");
    assert_eq!(answer(&mut next, "take"), "took 4 5 6 7, skipped 0");
    assert_eq!(answer(&mut latest, "take"), "took 7, skipped 0");
    assert_eq!(answer(&mut seldom, "take"), "took, skipped 0");
    let said: Vec<_> = shares.iter_mut().map(|share| answer(share, "take")).collect();
    assert_eq!(said, ["took 3 6, skipped 0", "took 1 4 7, skipped 0", "took 2 5, skipped 0"]);
    for running in [all, next, latest, seldom].into_iter().chain(shares) {
        assert_eq!(running.finish(), "");
    }
}

#[test]
fn a_consumer_looks_for_frames_that_are_due() {
    let place = Place::new();
    let producer = ring::Producer::builder("topic").dir(place.topics()).open().unwrap();
    let mut busy = selecting(&place, &place.program("selecting"), &["busy=2000"]);
    busy.tell("expect");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                producer.write(b"x").unwrap();
                std::thread::sleep(std::time::Duration::from_millis(4));
            }
        });
        let said = busy.hear();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(said, "expected");
    });
    busy.finish();
}

#[test]
fn a_consumer_does_not_take_what_is_too_old() {
    use ring::meta::{Clock, Kind, Meta, Times};
    let place = Place::new();
    let producer = ring::Producer::builder("topic").dir(place.topics()).open().unwrap();
    let now =
        std::time::Duration::from(nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).unwrap());
    for captured in [now - now / 2, now] {
        let times = Times::default().capture_ns(captured.as_nanos() as u64).clock(Clock::Monotonic);
        producer.write_with(b"x", &Meta::new(Kind::Bytes).times(times)).unwrap();
    }
    let limit = format!("age={}", (now / 4).as_millis());
    let mut fresh = selecting(&place, &place.program("selecting"), &[&limit]);
    assert_eq!(answer(&mut fresh, "take"), "took 2, skipped 1");
    fresh.finish();
}

#[test]
fn what_a_consumer_writes_onto_a_frame_is_its_own() {
    let place = Place::new();
    let program = place.program("selecting");
    let producer = ring::Producer::builder("topic").dir(place.topics()).open().unwrap();
    let mut reader = ring::Consumer::builder("topic").dir(place.topics()).open().unwrap();
    let mut writing = selecting(&place, &program, &["private"]);
    let mut other = selecting(&place, &program, &[]);
    for _ in 0..10 {
        producer.write(&[b'x'; 10_000]).unwrap();
        assert_eq!(answer(&mut writing, "scribble"), "reads !, others x");
        assert_eq!(answer(&mut other, "scribble"), "not to be written");
        assert_eq!(*reader.recv().unwrap(), [b'x'; 10_000]);
    }
    writing.finish();
    other.finish();
}

#[test]
fn a_signal_handler_may_end_a_wait() {
    let place = Place::new();
    let producer = ring::Producer::builder("signal").dir(place.topics()).open().unwrap();
    let mut waiter = place.start(place.program("roles"), &["wait", "signal"]);
    assert_eq!(waiter.hear(), "ready");
    waiter.interrupt();
    assert_eq!(waiter.finish(), "interrupted");
    assert_eq!(producer.consumer_count(), 0);
}

#[test]
fn in_a_forked_child_everything_is_refused() {
    let place = Place::new();
    let mut parent = place.start(place.program("roles"), &["fork", "forked"]);
    assert_eq!(parent.hear(), "child");
    parent.tell("go on");
    assert_eq!(parent.finish(), "parent");
    assert!(place.left().is_empty(), "{:?}", place.left());
}
