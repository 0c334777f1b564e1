//! `doctor`: each of its findings, brought about.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use shmflow::{Consumer, Producer};

use crate::support::{Dir, LONG, Ran};
use crate::what::{Holder, grey, publish};

/// The exit status, and what was found.
fn doctor(dir: &Dir) -> (i32, Vec<Value>) {
    found(dir.command(&["doctor", "--json"]))
}

fn found(mut command: Command) -> (i32, Vec<Value>) {
    let ran = Ran(command.output().unwrap());
    let all = ran.json().as_array().unwrap().clone();
    for bad in all.iter().filter(|one| one["level"] != "ok") {
        assert!(bad["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "{bad}");
    }
    (ran.status(), all)
}

/// The doctor, run by another command.
fn by(dir: &Dir, program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).arg(env!("CARGO_BIN_EXE_shmflow")).args(["doctor", "--json"]);
    command.env("SHMFLOW_DIR", &dir.0);
    command
}

/// The doctor where a script has mounted what it wants to, and may end with `exec setpriv … "$@"`.
fn where_mounted(dir: &Dir, script: &str) -> Option<(i32, Vec<Value>)> {
    let may = Command::new("unshare").args(["--mount", "true"]).stderr(Stdio::null()).status();
    if !may.is_ok_and(|status| status.success()) {
        println!("skipped, because this user may not mount, or there is no unshare");
        return None;
    }
    let script = format!("set -e; {script}; exec \"$@\"");
    Some(found(by(dir, "unshare", &["--mount", "bash", "-c", &script, "sh"])))
}

fn has(found: &[Value], level: &str, about: &str, part: &str) -> bool {
    found.iter().any(|one| {
        one["level"] == level && one["about"] == about && one["what"].as_str().unwrap().contains(part)
    })
}

#[test]
fn the_doctor_finds_what_is_left_and_what_is_damaged_each_with_a_remedy() {
    let dir = Dir::new();
    let _sound = dir.producer("sound");
    let (_, found) = doctor(&dir);
    assert!(
        has(&found, "ok", "directory", "is on a tmpfs") && has(&found, "ok", "topics", "1 topic in order"),
        "{found:?}"
    );
    assert!(has(&found, "ok", "kernel", "Linux ") || has(&found, "note", "kernel", "Linux "), "{found:?}");
    assert!(found.iter().any(|one| one["about"] == "plugin"), "{found:?}");

    std::fs::write(dir.0.join("shmflow.broken.peers"), b"junk").unwrap();
    // As a program leaves it that was killed: files without a lock on them.
    let dead = dir.producer("dead");
    dead.write(b"x").unwrap();
    let files = || std::fs::read_dir(&dir.0).unwrap().map(|entry| entry.unwrap().path());
    let of_dead = files().filter(|path| path.to_string_lossy().contains(".dead."));
    let copies: Vec<_> = of_dead.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
    drop(dead);
    copies.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
    let (status, found) = doctor(&dir);
    assert_eq!(status, 5);
    assert!(has(&found, "problem", "topics", "broken.peers is not a ring"), "{found:?}");
    assert!(has(&found, "note", "topics", "1 topic of programs that died: dead"), "{found:?}");
    let text = dir.run(&["doctor"]);
    assert!(text.status() == 5 && text.out().contains("→ shmflow rm --force broken"), "{}", text.out());
}

#[test]
fn the_doctor_knows_a_disk_and_a_directory_that_is_not_there() {
    let dir = Dir::new();
    let disk = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let ran = dir.run(&["doctor", "--json", "--dir", disk.to_str().unwrap()]);
    let found = ran.json().as_array().unwrap().clone();
    // Where that is a tmpfs itself there is no disk to be found.
    if !has(&found, "ok", "directory", "is on a tmpfs") {
        assert!(has(&found, "problem", "directory", "every frame would be written to it"), "{found:?}");
        assert_eq!(ran.status(), 5);
    }
    let ran = dir.run(&["doctor", "--dir", "/nowhere/at/all"]);
    assert!(ran.status() == 5 && ran.out().contains("/nowhere/at/all: No such file"), "{}", ran.out());
}

#[test]
fn the_doctor_tells_who_waits_and_who_loses_frames() {
    let dir = Dir::new();
    let producer = Producer::builder("cam").dir(&dir.0).persistent(true).depth(2).open().unwrap();
    let mut viewer = Consumer::builder("cam").dir(&dir.0).name("viewer").open().unwrap();
    assert!(has(&doctor(&dir).1, "ok", "topics", "1 topic in order"));
    for _ in 0..10 {
        producer.write(b"x").unwrap();
    }
    while viewer.try_recv().unwrap().is_some() {}
    let lost = viewer.stats().lost;
    let (_, found) = doctor(&dir);
    let pid = std::process::id();
    let told = format!("`viewer` (pid {pid}) of topic `cam` has lost {lost} of 10 frames");
    assert!(lost != 0 && has(&found, "note", "topics", &told), "{told}: {found:?}");
    assert!(has(&found, "ok", "topics", "0 topics in order"), "{found:?}");
    drop(viewer);
    assert!(has(&doctor(&dir).1, "ok", "topics", "1 topic in order"));

    let _viewer = Consumer::builder("cam").dir(&dir.0).name("viewer").open().unwrap();
    drop(producer);
    let (_, found) = doctor(&dir);
    assert!(
        has(&found, "note", "topics", "1 consumer of topic `cam` waits: it has no producer"),
        "{found:?}"
    );
    let remedy =
        found.iter().find_map(|one| one["remedy"].as_str().filter(|text| text.contains("--ipc=host")));
    assert!(remedy.is_some(), "{found:?}");
}

#[test]
fn the_doctor_tells_who_accepts_nothing_of_what_is_sent() {
    let dir = Dir::new();
    let producer = Producer::builder("cam").dir(&dir.0).meta_capacity(1024).open().unwrap();
    let consumer =
        |caps| Consumer::builder("cam").dir(&dir.0).name("viewer").accepted_caps(caps).open().unwrap();
    let other = consumer("video/x-raw, format=(string){ I420, NV12 }; image/jpeg");
    assert!(has(&doctor(&dir).1, "ok", "topics", "1 topic in order"), "nothing is sent yet");
    publish(&producer, &grey(Duration::ZERO));
    let told = "accepts video/x-raw, format=(string){ I420, NV12 }; image/jpeg, and the topic carries video/x-raw, format=(string)GRAY8";
    let (_, found) = doctor(&dir);
    assert!(has(&found, "note", "topics", told), "{found:?}");
    drop(other);
    let _fitting = [consumer("video/x-raw, format=(string){ I420, GRAY8 }"), consumer("video/x-raw")];
    let (_, found) = doctor(&dir);
    assert!(!has(&found, "note", "topics", "accepts"), "{found:?}");
}

#[test]
fn the_doctor_tells_who_is_stopped_and_what_stands_still() {
    let dir = Dir::new();
    let producer = Producer::builder("cam").dir(&dir.0).meta_capacity(1024).open().unwrap();
    publish(&producer, &grey(Duration::ZERO));
    let holder = Holder::new(&dir, "cam");
    holder.signal(Signal::SIGSTOP);
    let stopped = format!("`holder` (pid {}) of topic `cam` is stopped", holder.pid());
    let (start, mut seen) = (Instant::now(), doctor(&dir));
    // It says that it has 30 frames a second, and there is one.
    let stalled = "the producer of topic `cam` lives, and has published nothing for long";
    while !has(&seen.1, "problem", "topics", &stopped) || !has(&seen.1, "note", "topics", stalled) {
        assert!(start.elapsed() < LONG, "{seen:?}");
        seen = doctor(&dir);
    }
    assert_eq!(seen.0, 5);
    let remedy = format!("kill -CONT {}, or end it", holder.pid());
    assert!(seen.1.iter().any(|one| one["remedy"] == remedy.as_str()), "{seen:?}");
    holder.signal(Signal::SIGCONT);
    while has(&seen.1, "problem", "topics", "is stopped") {
        assert!(start.elapsed() < LONG, "{seen:?}");
        seen = doctor(&dir);
    }
}

#[test]
fn the_doctor_reads_metadata_as_consumers_do() {
    let dir = Dir::new();
    let producer = dir.producer("t");
    let mut claim = producer.claim(4).unwrap();
    claim.set_meta_bytes(b"this is no metadata block").unwrap();
    claim.publish().unwrap();
    let (status, found) = doctor(&dir);
    assert!(has(&found, "problem", "topics", "the metadata of topic `t` cannot be read: "), "{found:?}");
    assert_eq!(status, 5);
}

#[test]
fn the_doctor_knows_limits_that_are_too_low() {
    let dir = Dir::new();
    let limited = |limit: &str| found(by(&dir, "bash", &["-c", &format!("{limit}; exec \"$0\" \"$@\"")]));
    let (status, found) = limited("ulimit -f 1000");
    assert!(has(&found, "problem", "limits", "files may have 1000 KiB at most"), "{found:?}");
    assert_eq!(status, 5);
    let (_, found) = limited("ulimit -n 100");
    assert!(has(&found, "note", "limits", "100 open files at most"), "{found:?}");
    let (_, found) = limited("true");
    assert!(has(&found, "ok", "limits", "files may be as large as rings"), "{found:?}");
    assert!(!has(&found, "note", "limits", "open files"), "{found:?}");
}

/// A folder for `PATH` whose gst-inspect-1.0 is this script.
fn inspector(dir: &Dir, script: &str) -> PathBuf {
    let tools = dir.0.join("tools");
    let _ = std::fs::create_dir(&tools);
    let tool = tools.join("gst-inspect-1.0");
    std::fs::write(&tool, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&tool, PermissionsExt::from_mode(0o755)).unwrap();
    tools
}

fn showing(file: &Path, version: &str) -> String {
    let file = file.display();
    format!("echo '  Filename                 {file}'; echo '  Version                  {version}'")
}

#[test]
fn the_doctor_knows_the_plugin_that_gstreamer_loads() {
    let dir = Dir::new();
    let looked = |path: &Path| {
        let mut command = dir.command(&["doctor", "--json"]);
        command.env("PATH", path);
        found(command)
    };
    let (_, found) = looked(Path::new("/nowhere"));
    assert!(has(&found, "note", "plugin", "gst-inspect-1.0 is not installed"), "{found:?}");
    let (status, found) = looked(&inspector(&dir, "exit 1"));
    assert!(has(&found, "problem", "plugin", "GStreamer does not find shmflowsink"), "{found:?}");
    assert_eq!(status, 5);
    let file = Path::new("/opt/old/libgstshmflow.so");
    let (_, found) = looked(&inspector(&dir, &showing(file, "0.0.1")));
    let told = "GStreamer loads /opt/old/libgstshmflow.so of version 0.0.1, and this command is of ";
    assert!(has(&found, "note", "plugin", told), "{found:?}");
    let (_, found) = looked(&inspector(&dir, &showing(file, env!("CARGO_PKG_VERSION"))));
    assert!(has(&found, "ok", "plugin", "GStreamer loads /opt/old/libgstshmflow.so"), "{found:?}");
}

/// A shared library under other names, as ours would be: it is the C library's mathematics, whose code does nothing here.
struct Copies(PathBuf);

impl Copies {
    fn new() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("copies-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn add(&self, folder: &str, name: &str, more: &[u8]) -> PathBuf {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let mut paths = maps.lines().filter_map(|line| line.find('/').map(|at| &line[at..]));
        let any = paths.find(|path| path.contains("/libm.so") || path.contains("/libgcc_s.so")).unwrap();
        let mut bytes = std::fs::read(any).unwrap();
        bytes.extend(more);
        std::fs::create_dir_all(self.0.join(folder)).unwrap();
        let path = self.0.join(folder).join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_doctor_knows_which_copies_of_libraries_processes_use() {
    let dir = Dir::new();
    let _producer = dir.producer("t");
    let copies = Copies::new();
    let [one, same] = ["one", "two"].map(|folder| copies.add(folder, "libgstshmflow.so", b""));
    let other = copies.add("other", "libgstshmflow.so", b"of another version");
    let looked = |loaded: &Path| {
        let mut command = dir.command(&["doctor", "--json"]);
        command.env("PATH", inspector(&dir, &showing(loaded, "1")));
        found(command).1
    };
    let first = Holder::with_library(&dir, "t", &one);
    assert!(!has(&looked(&one), "note", "versions", ""), "there is one copy");
    let found = looked(&other);
    let told = format!(
        "different copies are in use: {} (process {}), {} (GStreamer programs that begin now)",
        one.display(),
        first.pid(),
        other.display()
    );
    assert!(has(&found, "note", "versions", &told), "{told}: {found:?}");
    {
        let _second = Holder::with_library(&dir, "t", &same);
        assert!(!has(&looked(&same), "note", "versions", ""), "they are the same");
        let c = copies.add("one", "libshmflow.so.0.1.0", b"c");
        let _third = Holder::with_library(&dir, "t", &c);
        assert!(!has(&looked(&one), "note", "versions", ""), "that is another library");
    }
    {
        let second = Holder::with_library(&dir, "t", &other);
        let found = looked(&one);
        let told = format!("{} (process {})", other.display(), second.pid());
        assert!(has(&found, "note", "versions", &told), "{told}: {found:?}");
    }
    std::fs::remove_file(&one).unwrap();
    copies.add("one", "libgstshmflow.so", b"newer");
    let found = looked(&one);
    let told = format!("process {} uses {}, which was replaced since it began", first.pid(), one.display());
    assert!(has(&found, "note", "versions", &told), "{told}: {found:?}");
    assert!(!has(&found, "note", "versions", "different copies"), "{found:?}");
}

#[test]
fn the_doctor_knows_directories_that_are_not_as_they_should_be() {
    let dir = Dir::new();
    let mode = |mode| std::fs::set_permissions(&dir.0, PermissionsExt::from_mode(mode)).unwrap();
    let name = dir.0.display();
    mode(0o777);
    let (status, found) = doctor(&dir);
    let told = format!("anyone may remove anyone's files in {name} (mode 0777)");
    assert!(has(&found, "problem", "directory", &told), "{found:?}");
    assert_eq!(status, 5);
    mode(0o1777);
    assert!(!has(&doctor(&dir).1, "problem", "directory", "anyone"));
    mode(0o755);
    std::fs::write(dir.0.join("file"), b"").unwrap();
    let file = dir.0.join("file");
    let ran = dir.run(&["doctor", "--json", "--dir", file.to_str().unwrap()]);
    let no_directory = format!("{} is no directory", file.display());
    assert!(has(ran.json().as_array().unwrap(), "problem", "directory", &no_directory), "{}", ran.out());
    std::fs::remove_file(file).unwrap();
    if !nix::unistd::Uid::effective().is_root() {
        return println!("the rest is skipped, because only root can become another user");
    }
    let _producer = dir.producer("t");
    let mut command = dir.command(&["doctor", "--json"]);
    std::os::unix::process::CommandExt::uid(&mut command, 65534);
    std::os::unix::process::CommandExt::gid(&mut command, 65534);
    if command.output().is_err() {
        return println!("the rest is skipped, because that user may not run the command");
    }
    let (_, found) = self::found(command);
    let told = format!("{name} cannot be written to (mode 0755, owner root)");
    assert!(has(&found, "problem", "directory", &told), "{found:?}");
    assert!(has(&found, "problem", "topics", "permission denied"), "{found:?}");
}

#[test]
fn the_doctor_knows_file_systems_that_will_not_do() {
    let dir = Dir::new();
    for (mount, level, about, told) in [
        (
            "mount -t ramfs none \"$SHMFLOW_DIR\"",
            "problem",
            "directory",
            "on a file system that cannot hold a ring",
        ),
        ("mount -t tmpfs -o size=32m none \"$SHMFLOW_DIR\"", "problem", "room", "32 MiB of 32 MiB free"),
        ("mount -t tmpfs -o size=200m none \"$SHMFLOW_DIR\"", "note", "room", "200 MiB of 200 MiB free"),
        (
            "mount -t tmpfs -o size=1g,nr_inodes=2 none \"$SHMFLOW_DIR\"; touch \"$SHMFLOW_DIR/file\"",
            "problem",
            "room",
            "has no room for another file",
        ),
        ("mount -t tmpfs -o size=1g,ro none \"$SHMFLOW_DIR\"", "note", "directory", "is mounted read-only"),
    ] {
        let Some((status, found)) = where_mounted(&dir, mount) else { return };
        assert!(has(&found, level, about, told), "{mount}: {found:?}");
        assert!(level == "note" || status == 5, "{mount}");
    }
}

#[test]
fn the_doctor_knows_what_logind_would_remove() {
    let dir = Dir::new();
    let user = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    let as_user = Command::new(user.split(' ').next().unwrap())
        .args(user.split(' ').skip(1))
        .args([env!("CARGO_BIN_EXE_shmflow"), "--version"])
        .output();
    if !as_user.is_ok_and(|ran| ran.status.success()) {
        return println!("skipped, because there is no other user who may run the command");
    }
    // A machine with systemd, where users have no names.
    let system = "for place in /run /etc /var/lib; do mount -t tmpfs none $place; done; \
                  mkdir -p /run/systemd/system /etc/systemd/logind.conf.d /var/lib/systemd/linger";
    for (more, level, told) in [
        ("true", "note", "logind removes 65534's topics"),
        ("echo RemoveIPC=yes > /etc/systemd/logind.conf", "note", "logind removes 65534's topics"),
        (
            "echo RemoveIPC=yes > /etc/systemd/logind.conf; echo RemoveIPC=no > /etc/systemd/logind.conf.d/ours.conf",
            "ok",
            "logind leaves topics alone",
        ),
        ("touch /var/lib/systemd/linger/65534", "ok", "65534 lingers: topics stay"),
    ] {
        let script = format!("{system}; {more}; exec {user} \"$@\"");
        let Some((_, found)) = where_mounted(&dir, &script) else { return };
        assert!(has(&found, level, "RemoveIPC", told), "{more}: {found:?}");
    }
}
