//! What `ls` and `info` tell of what is on a topic, and of how its participants are.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shmflow::meta::{Clock, Kind, Meta, Plane, Tags, Times, VideoLayout};
use shmflow::{Consumer, Producer};

use crate::support::{Dir, LONG, Ran, at_a_steady_rate};

/// A frame of 64×48 grey pixels at 30 frames a second, taken a while ago, with a description.
pub(crate) fn grey(ago: Duration) -> Meta {
    let layout = VideoLayout::new("GRAY8", 64, 48, [Plane { offset: 0, stride: 64 }]).fps(30, 1);
    let now = nix::time::ClockId::CLOCK_MONOTONIC.now().unwrap();
    let captured = (Duration::from(now) - ago).as_nanos() as u64;
    let times = Times::default().capture_ns(captured).clock(Clock::Monotonic).latency_ns(40_000_000);
    let caps = "video/x-raw, format=(string)GRAY8, width=(int)64, height=(int)48, framerate=(fraction)30/1";
    Meta::new(Kind::Video)
        .video(layout)
        .caps(caps)
        .times(times)
        .entry(&Tags::new("taglist, description=(string)\"Front\\ door\""))
        .unwrap()
}

pub(crate) fn publish(producer: &Producer, meta: &Meta) {
    let mut claim = producer.claim(64 * 48).unwrap();
    claim.set_meta(meta).unwrap();
    claim.publish().unwrap();
}

fn described(dir: &Dir, topic: &str) -> Producer {
    let producer = Producer::builder(topic).dir(&dir.0).name("camera").meta_capacity(1024).open().unwrap();
    publish(&producer, &grey(Duration::from_millis(25)));
    producer
}

#[test]
fn what_is_on_a_topic_is_the_first_thing_told() {
    let dir = Dir::new();
    let _producer = described(&dir, "cam");
    let ls = dir.run(&["ls"]);
    assert!(ls.out().contains("GRAY8 64×48 @ 30") && ls.out().contains("Front door"), "{}", ls.out());
    let info = dir.run(&["info", "cam"]);
    for part in [
        "what         GRAY8 64×48 @ 30",
        "caps         video/x-raw, format=(string)GRAY8, width=(int)64",
        "nominal rate 30 frames/s",
        "description  Front door",
        "newest frame number 1, 3 KiB, ",
        " ago; published 25 ms after its capture, within 40 ms as declared",
    ] {
        assert!(info.out().contains(part), "{part}: {}", info.out());
    }
    for json in [dir.run(&["info", "cam", "--json"]).json(), dir.run(&["ls", "--json"]).json()[0].take()] {
        assert_eq!(
            (&json["format"], &json["width"], &json["height"]),
            (&"GRAY8".into(), &64.into(), &48.into())
        );
        assert_eq!((&json["nominal_rate"][0], &json["description"]), (&30.into(), &"Front door".into()));
        let newest = &json["newest"];
        assert_eq!((&newest["seq"], &newest["bytes"]), (&1.into(), &3072.into()));
        assert!((0.02..0.04).contains(&newest["latency_seconds"].as_f64().unwrap()), "{newest}");
        assert_eq!(newest["declared_latency_seconds"], 0.04);
        assert!(newest["age_seconds"].as_f64().unwrap() < 20.0);
    }
}

#[test]
fn a_topic_is_described_before_it_has_a_frame() {
    let dir = Dir::new();
    let _producer = Producer::builder("cam").dir(&dir.0).description("Front door").open().unwrap();
    assert!(dir.run(&["ls"]).out().contains("Front door"));
    let info = dir.run(&["info", "cam"]);
    assert!(
        info.out().contains("description  Front door\n") && !info.out().contains("\nwhat"),
        "{}",
        info.out()
    );
    assert_eq!(dir.run(&["info", "cam", "--json"]).json()["description"], "Front door");
}

#[test]
fn the_rate_of_a_topic_is_that_of_all_its_producers() {
    let dir = Dir::new();
    let producers = [dir.producer("t"), dir.producer("t")];
    let run = |args: &[&str]| {
        at_a_steady_rate(&producers[0], 20.0, || {
            at_a_steady_rate(&producers[1], 30.0, || dir.run(args).json())
        })
    };
    let near = |value: &serde_json::Value, wanted: f64| {
        let value = value.as_f64().unwrap_or_default();
        assert!((value / wanted - 1.0).abs() < 0.15, "{value} instead of {wanted}");
    };
    let listed = run(&["ls", "--json"]);
    near(&listed[0]["rate"]["frames_per_second"], 50.0);
    near(&listed[0]["rate"]["bytes_per_second"], 50_000.0);
    let info = run(&["info", "t", "--json"]);
    near(&info["rate"]["frames_per_second"], 50.0);
    let own: Vec<_> = info["participants"].as_array().unwrap().iter().map(|p| &p["rate"]).collect();
    near(&own[0]["frames_per_second"], 20.0);
    near(&own[1]["frames_per_second"], 30.0);
    near(&own[1]["bytes_per_second"], 30_000.0);
}

#[test]
fn ages_and_delays_are_right_in_another_time_namespace() {
    for shift in ["--monotonic=1000000", "--monotonic=-20"] {
        let unshare = ["--time", "--fork", "--kill-child", shift];
        let may = Command::new("unshare").args(unshare).arg("true").stderr(Stdio::null()).status();
        if !may.is_ok_and(|status| status.success()) {
            return println!(
                "skipped, because this user may not make time namespaces, or there is no unshare"
            );
        }
        let dir = Dir::new();
        let producer = described(&dir, "cam");
        let run = |args: &[&str]| {
            let inner = dir.command(args);
            let mut command = Command::new("unshare");
            command.args(unshare).arg(inner.get_program()).args(inner.get_args()).env("SHMFLOW_DIR", &dir.0);
            Ran(command.output().unwrap())
        };
        publish(&producer, &grey(Duration::from_millis(25)));
        let info = run(&["info", "cam", "--json"]).json();
        let number = |value: &serde_json::Value| value.as_f64().unwrap();
        assert!((0.0..15.0).contains(&number(&info["newest"]["age_seconds"])), "{shift}: {info}");
        assert!((0.02..0.04).contains(&number(&info["newest"]["latency_seconds"])), "{shift}: {info}");
        assert!((0.0..15.0).contains(&number(&info["participants"][0]["age_seconds"])), "{shift}: {info}");
        let echoed = run(&["echo", "cam", "-n", "1", "--json"]).json();
        let (published, captured) = (number(&echoed["published_ns"]), number(&echoed["meta"]["capture_ns"]));
        assert!((0.02e9..0.04e9).contains(&(published - captured)), "{shift}: {echoed}");
        // And the other way round.
        assert_eq!(run(&["send", "theirs", "/proc/version", "--whole", "--persistent"]).status(), 0);
        let theirs = dir.run(&["info", "theirs", "--json"]).json();
        assert!((0.0..15.0).contains(&number(&theirs["newest"]["age_seconds"])), "{shift}: {theirs}");
    }
}

#[test]
fn a_stream_that_has_gone_silent_is_stalled() {
    let dir = Dir::new();
    let producer = described(&dir, "cam");
    let start = Instant::now();
    let state = || dir.run(&["info", "cam", "--json"]).json()["state"].as_str().unwrap().to_owned();
    while state() != "stalled" {
        assert!(start.elapsed() < Duration::from_secs(20));
    }
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert!(dir.run(&["info", "cam"]).out().contains("stalled: its producer lives"));
    publish(&producer, &grey(Duration::ZERO));
    assert_eq!(state(), "live");
    producer.end();
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(state(), "live", "one that has ended is not");
}

#[test]
fn metadata_that_cannot_be_read_is_told_as_such() {
    let dir = Dir::new();
    let producer = dir.producer("t");
    let mut claim = producer.claim(4).unwrap();
    claim.set_meta_bytes(b"this is no metadata block").unwrap();
    claim.publish().unwrap();
    let ran = dir.run(&["info", "t"]);
    assert_eq!(ran.status(), 0);
    assert!(ran.out().contains("what         unreadable metadata: "), "{}", ran.out());
    assert!(dir.run(&["ls", "--json"]).json()[0]["metadata_error"].is_string());
}

/// The command `hold`, below: a process with a consumer.
pub(crate) struct Holder(Child);

impl Holder {
    pub(crate) fn new(dir: &Dir, topic: &str) -> Self {
        Self::begin(dir, topic, None)
    }

    /// One that has loaded a shared library.
    pub(crate) fn with_library(dir: &Dir, topic: &str, library: &Path) -> Self {
        Self::begin(dir, topic, Some(library))
    }

    fn begin(dir: &Dir, topic: &str, library: Option<&Path>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "what::hold", "--nocapture", "--ignored"]).env("SHMFLOW_DIR", &dir.0);
        if let Some(library) = library {
            command.env("LD_PRELOAD", library);
        }
        let mut child = command.env("HOLD_TOPIC", topic).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        lines.map_while(Result::ok).find(|line| line.contains("holding")).unwrap();
        Self(child)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().cast_signed()), signal).unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "a process for the tests"]
fn hold() {
    let Ok(topic) = std::env::var("HOLD_TOPIC") else { return };
    let _consumer = Consumer::builder(&topic).name("holder").open().unwrap();
    #[allow(clippy::print_stdout, reason = "read by the test")]
    {
        println!("holding");
    }
    loop {
        std::thread::park();
    }
}

#[test]
fn a_stopped_process_is_told_and_one_that_takes_nothing() {
    let dir = Dir::new();
    let producer = dir.producer("t");
    let holder = Holder::new(&dir, "t");
    let consumer = || {
        let json =
            crate::support::at_a_steady_rate(&producer, 100.0, || dir.run(&["info", "t", "--json"]).json());
        let found =
            json["participants"].as_array().unwrap().iter().find(|p| p["role"] == "consumer").cloned();
        found.unwrap()
    };
    let _ = consumer();
    let stalled = consumer();
    assert_eq!((&stalled["stopped"], &stalled["stalled"]), (&false.into(), &true.into()), "{stalled}");
    holder.signal(Signal::SIGSTOP);
    let start = Instant::now();
    while consumer()["stopped"] != true {
        assert!(start.elapsed() < Duration::from_secs(20));
    }
    let told = dir.run(&["info", "t"]);
    let line = told.out().lines().find(|line| line.contains("holder")).unwrap().to_owned();
    assert!(line.contains(" stopped "), "{line}");
    holder.signal(Signal::SIGCONT);
    while consumer()["stopped"] != false {
        assert!(start.elapsed() < Duration::from_secs(20));
    }
}

#[test]
fn what_may_not_be_read_still_shows_its_mode_and_owner() {
    let dir = Dir::new();
    let path = dir.0.join("shmflow.broken.peers");
    std::fs::write(&path, b"junk").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let user = std::env::var("USER").unwrap_or_default();
    let ran = dir.run(&["ls"]);
    let line = ran.out().lines().nth(1).unwrap().to_owned();
    assert!(line.starts_with("broken  unreadable") && line.contains("0640"), "{line} {user}");
    let json = dir.run(&["ls", "--json"]).json();
    assert_eq!((&json[0]["permissions"], json[0]["owner_uid"].is_u64()), (&"0640".into(), true));
}

#[test]
fn a_missing_topic_leads_to_those_with_names_like_it() {
    let dir = Dir::new();
    let _producers = ["robot/cam0", "robot/cam1", "lidar"].map(|topic| dir.producer(topic));
    for (asked, suggested) in
        [("cam0", "did you mean `robot/cam0` or `robot/cam1`?"), ("lidra", "did you mean `lidar`?")]
    {
        for command in ["info", "rm"] {
            let ran = dir.run(&[command, asked]);
            assert_eq!(ran.status(), 3);
            assert!(ran.err().contains(suggested), "{}", ran.err());
        }
    }
    assert!(!dir.run(&["info", "microphone"]).err().contains("did you mean"));
    let ran = dir.run(&["ls", "robto/"]);
    assert_eq!((ran.status(), ran.out()), (3, ""));
    assert_eq!(dir.run(&["ls", "robot/"]).out().lines().count(), 3);
}

#[test]
fn output_that_was_closed_is_a_failure() {
    let dir = Dir::new();
    let _producer = dir.producer("t");
    let program = env!("CARGO_BIN_EXE_shmflow");
    let shell = |line: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", line]).env("SHMFLOW", program).env("SHMFLOW_DIR", &dir.0);
        Ran(command.output().unwrap())
    };
    let closed = shell("\"$SHMFLOW\" ls >&-");
    assert_eq!((closed.status(), closed.err().contains("standard output")), (1, true), "{}", closed.err());
    // Help is what was asked for, too; a command line that is not understood is told elsewhere.
    for asked in ["--help", "help", "help ls", "ls --help", "--version"] {
        let closed = shell(&format!("\"$SHMFLOW\" {asked} >&-"));
        assert_eq!((closed.status(), closed.err().contains("standard output")), (1, true), "{asked}");
        let full = shell(&format!("\"$SHMFLOW\" {asked} >/dev/full"));
        assert_eq!((full.status(), full.err().contains("could not write the output")), (1, true), "{asked}");
        assert!(shell(&format!("\"$SHMFLOW\" {asked}")).out().ends_with('\n'), "{asked}");
        assert_eq!(shell(&format!("\"$SHMFLOW\" {asked} | true")).err(), "", "{asked}");
    }
    assert_eq!(shell("\"$SHMFLOW\" nonsense >&-").status(), 2);
    assert_eq!(shell("\"$SHMFLOW\" ls >/dev/null").status(), 0);
    assert_eq!(shell("\"$SHMFLOW\" ls <>/dev/null >&0").status(), 0, "open for both is open");
}

/// Producers of so many small topics.
fn many(dir: &Dir, depth: u32) -> Vec<Producer> {
    let small =
        |i| Producer::builder(&format!("group/topic{i:03}")).dir(&dir.0).depth(depth).slot_capacity(1);
    (0..300).map(|i| small(i).meta_capacity(0).prefault(false).open().unwrap()).collect()
}

#[test]
fn the_rates_of_many_topics_are_told_at_once() {
    let dir = Dir::new();
    let producers = many(&dir, 4);
    let stop = AtomicBool::new(false);
    let publish = |some: &[Producer]| {
        let start = Instant::now();
        for number in 0_u32.. {
            // A ring has less than the quarter of a second that a rate needs.
            std::thread::sleep((Duration::from_millis(20) * number).saturating_sub(start.elapsed()));
            if stop.load(Relaxed) {
                return;
            }
            for producer in some {
                producer.write(b"x").unwrap();
            }
        }
    };
    let listed = std::thread::scope(|scope| {
        producers.chunks(100).for_each(|some| drop(scope.spawn(|| publish(some))));
        let begin = Instant::now();
        let mut listed = Vec::new();
        // Half a second at most to see frames come; the rest is for a machine that does much else, and may be too late for once.
        while begin.elapsed() < LONG
            && !matches!(listed.last(), Some((300, took)) if *took < Duration::from_secs(2))
        {
            let start = Instant::now();
            let ran = dir.run(&["ls", "--json"]);
            let took = start.elapsed();
            let all = ran.json();
            let has_rate = |topic: &&serde_json::Value| topic["rate"]["frames_per_second"].is_number();
            listed.push((all.as_array().unwrap().iter().filter(has_rate).count(), took));
        }
        stop.store(true, Relaxed);
        listed
    });
    assert!(matches!(listed.last(), Some((300, took)) if *took < Duration::from_secs(2)), "{listed:?}");
}

#[test]
fn many_topics_are_listed_at_once() {
    let dir = Dir::new();
    let _many = many(&dir, 1);
    // Their rates are known after half a second of silence.
    std::thread::sleep(Duration::from_millis(600));
    let mut times: Vec<_> = (0..5)
        .map(|_| {
            let start = Instant::now();
            let ran = dir.run(&["ls"]);
            assert_eq!((ran.status(), ran.out().lines().count()), (0, 301));
            start.elapsed()
        })
        .collect();
    times.sort();
    assert!(times[0] < Duration::from_millis(400), "{times:?}");
}
