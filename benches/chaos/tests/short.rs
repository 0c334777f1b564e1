//! A short run of the faults that need no more than this program, so that `make chaos` does not rot. `make test` also runs all of
//! them for a second each, with pipelines, C and Python.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Faults of each kind, each of them a second or two.
const FAULTS: [&str; 8] = [
    "kill-rust",
    "remove-ring",
    "truncate-idle",
    "scribble",
    "limit-file-size",
    "opens",
    "sequence",
    "versions",
];

fn chaos(words: &[&str], json: &Path) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shmflow-chaos"));
    command.args(["--quick", "--products", "/nowhere", "--json"]).arg(json);
    command
        .arg("--markdown")
        .arg(json.with_extension("md"))
        .args(words)
        .env("PYTHON", "/nowhere")
        .output()
        .unwrap()
}

#[test]
fn every_kind_of_fault_is_borne_and_told_of() {
    let json = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chaos.json");
    let words: Vec<&str> = FAULTS.iter().flat_map(|name| ["--only", *name]).collect();
    let output = chaos(&words, &json);
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    let report: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    for name in FAULTS {
        let row = report["faults"].as_array().unwrap().iter().find(|row| row["fault"] == name).unwrap();
        assert!(row["tried"].as_u64().unwrap() > 0, "{name}: {row}");
        assert!(said.contains(&format!("(`{name}`) |")), "no row for {name}: {said}");
    }
}

#[test]
fn a_fault_that_is_not_there_is_an_error() {
    let output =
        chaos(&["--only", "no-such-fault"], &Path::new(env!("CARGO_TARGET_TMPDIR")).join("none.json"));
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("--list"));
}

#[test]
fn what_is_not_there_is_named_and_fails_a_strict_run() {
    for (words, passes) in [(&["--only", "forked"][..], true), (&["--only", "forked", "--strict"], false)] {
        let output = chaos(words, &Path::new(env!("CARGO_TARGET_TMPDIR")).join("strict.json"));
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.success(), passes, "{said}");
        for missing in ["libshmflow.so is not there", "no package shmflow"] {
            assert!(said.contains(missing), "{said}");
        }
    }
}

/// The directories of a process's run.
fn places(pid: u32) -> Vec<PathBuf> {
    let start = format!("shmflow-chaos-{pid}-");
    [Path::new("/dev/shm"), &std::env::temp_dir()]
        .iter()
        .flat_map(|parent| std::fs::read_dir(parent).unwrap().flatten())
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&start))
        .map(|entry| entry.path())
        .collect()
}

/// A run that has topics.
fn running(name: &str) -> Child {
    let json = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // The tests may themselves be run by somebody who ignores signals, as a shell's background does.
    let child = Command::new("env")
        .args(["--default-signal=HUP,INT,TERM", env!("CARGO_BIN_EXE_shmflow-chaos")])
        .args(["--seconds", "600", "--only", "kill-rust", "--products", "/nowhere", "--json"])
        .arg(&json)
        .arg("--markdown")
        .arg(json.with_extension("md"))
        .env("PYTHON", "/nowhere")
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while !places(child.id()).iter().any(|place| place.join("shmflow.near.ring").exists()) {
        assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", places(child.id()));
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

#[test]
fn a_run_that_is_told_to_stop_leaves_nothing_and_one_that_is_killed_is_swept_away() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let mut child = running("stopped.json");
        kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        assert!(!child.wait().unwrap().success());
        assert_eq!(places(child.id()), Vec::<PathBuf>::new(), "after {signal}");
    }
    let (mut dead, mut alive) = (running("dead.json"), running("alive.json"));
    dead.kill().unwrap();
    dead.wait().unwrap();
    let output = chaos(&["--only", "sequence"], &Path::new(env!("CARGO_TARGET_TMPDIR")).join("next.json"));
    assert!(output.status.success());
    assert_eq!(places(dead.id()), Vec::<PathBuf>::new());
    assert!(!places(alive.id()).is_empty(), "a run that goes on keeps its topics");
    kill(Pid::from_raw(alive.id().cast_signed()), Signal::SIGTERM).unwrap();
    alive.wait().unwrap();
}
