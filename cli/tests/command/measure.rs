//! `hz`, `delay`, `bw`, `echo`, `metrics`: what is measured of a topic without joining it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use serde_json::Value;
use shmflow::meta::{Detections, Finding, Meta, Object, Region};

use crate::support::{Dir, LONG, Pty, Ran, at_a_steady_rate};
use crate::what::{grey, publish};

/// Runs the command while frames are published.
fn while_publishing(dir: &Dir, rate: f64, args: &[&str]) -> Ran {
    let producer = dir.producer("t");
    at_a_steady_rate(&producer, rate, || dir.run(args))
}

#[test]
fn hz_tells_the_rate_and_how_even_it_is() {
    let dir = Dir::new();
    let ran = while_publishing(&dir, 50.0, &["hz", "t", "-c", "2", "--json"]);
    let lines: Vec<Value> = ran.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((ran.status(), lines.len()), (0, 2), "{}", ran.err());
    let last = &lines[1];
    let number = |name: &str| last[name].as_f64().unwrap();
    assert!((number("frames_per_second") / 50.0 - 1.0).abs() < 0.1, "{last}");
    assert!(number("min") <= number("mean") && number("mean") <= number("max"), "{last}");
    assert!((number("mean") - 0.02).abs() < 0.002 && number("window") >= 40.0, "{last}");
    assert_eq!(dir.run(&["hz", "none"]).status(), 3);
}

#[test]
fn hz_delay_and_bw_print_as_ros_does() {
    let dir = Dir::new();
    let hz = while_publishing(&dir, 100.0, &["hz", "t", "-c", "1"]);
    let lines: Vec<_> = hz.out().lines().collect();
    assert!(lines[0].starts_with("average rate: ") && lines[1].starts_with("\tmin: 0."), "{}", hz.out());
    assert!(
        lines[1].contains("s max: ") && lines[1].contains("s std dev: ") && lines[1].contains(" window: ")
    );
    let bw = while_publishing(&dir, 100.0, &["bw", "t", "-c", "1"]);
    assert!(
        bw.out().contains("KiB/s from ") && bw.out().contains("\tFrame size mean: 1000 B min: 1000 B"),
        "{}",
        bw.out()
    );
    let bare = while_publishing(&dir, 100.0, &["delay", "t", "-c", "1"]);
    assert!(bare.out().contains("carry no capture time"), "{}", bare.out());
    let silent = {
        let _producer = dir.producer("t");
        dir.run(&["hz", "t", "-c", "1", "--interval", "0.1"])
    };
    assert_eq!(silent.out(), "no new frames\n");
}

#[test]
fn delay_is_the_time_from_capture_to_publication() {
    let dir = Dir::new();
    let producer = dir.producer("t");
    let mut child =
        dir.command(&["delay", "t", "--json", "--interval", "0.3"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let delay = loop {
        publish(&producer, &grey(Duration::from_millis(70)));
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        if let Some(mean) = line["mean"].as_f64() {
            break mean;
        }
    };
    assert!((0.07..0.1).contains(&delay), "{delay}");
    drop(producer);
    assert!(lines.by_ref().all(|line| line.is_ok()));
    assert_eq!(child.wait().unwrap().code(), Some(0), "it ends with the topic");
}

#[test]
fn echo_tells_the_metadata_as_lines_and_as_json() {
    let dir = Dir::new();
    let producer = shmflow::Producer::builder("t").dir(&dir.0).meta_capacity(4096).open().unwrap();
    let found = Detections::new(vec![Finding::Object(Object::new("cat", 0.5, 1, 2, 3, 4))], Vec::new());
    let meta = grey(Duration::ZERO).entry(&found).unwrap();
    let meta: Meta =
        meta.entry(&Region::new("face", 1, 2, 3, 4)).unwrap().extension(0x8001, b"\x01\xff".to_vec());
    publish(&producer, &meta);
    let json = dir.run(&["echo", "t", "-n", "1", "--json"]).json();
    let told = &json["meta"];
    assert_eq!((&json["seq"], &json["bytes"], &told["kind"]), (&1.into(), &3072.into(), &"video".into()));
    assert_eq!((&told["video"]["format"], &told["video"]["fps"][0]), (&"GRAY8".into(), &30.into()));
    assert_eq!(told["detections"][0]["findings"][0]["label"], "cat");
    assert_eq!((&told["regions"][0]["kind"], &told["regions"][0]["height"]), (&"face".into(), &4.into()));
    assert_eq!(told["others"][0]["hex"], "01ff");
    let text = dir.run(&["echo", "t", "-n", "1"]);
    for part in ["seq: 1\n", "  video:\n    ", "format: GRAY8", "label: cat", "clock: monotonic", "\n---\n"] {
        assert!(text.out().contains(part), "{part}: {}", text.out());
    }
    // Nothing that a frame says steers the terminal.
    publish(&producer, &Meta::new(shmflow::meta::Kind::Bytes).caps("a/b, x=\u{1b}[2J"));
    assert!(!dir.run(&["echo", "t", "-n", "1"]).out().contains('\u{1b}'));
}

#[test]
fn a_name_that_was_mistyped_is_told_with_those_like_it() {
    let dir = Dir::new();
    let _producer = dir.producer("camera");
    for command in ["echo", "hz", "delay", "bw"] {
        let ran = dir.run(&[command, "camrea"]);
        assert!(
            ran.status() == 3 && ran.err().contains("did you mean `camera`?"),
            "{command}: {}",
            ran.err()
        );
    }
}

#[test]
fn a_topic_that_is_damaged_is_told_in_one_line() {
    let dir = Dir::new();
    std::fs::write(dir.0.join("shmflow.broken.peers"), "junk").unwrap();
    let picture = dir.0.join("picture.png");
    let picture = picture.to_str().unwrap();
    for args in [
        &["info", "broken"][..],
        &["hz", "broken"],
        &["delay", "broken"],
        &["bw", "broken"],
        &["echo", "broken"],
        &["grab", "broken", picture],
        &["record", "broken", "-o", "run.mcap"],
        &["recv", "broken"],
        &["rm", "broken"],
    ] {
        let ran = Ran(dir.command(args).current_dir(&dir.0).output().unwrap());
        assert_eq!(
            (ran.status(), ran.out(), ran.err().lines().count()),
            (1, "", 1),
            "{args:?}: {}",
            ran.err()
        );
        assert!(ran.err().starts_with("shmflow: ") && ran.err().contains("is not a ring of topic `broken`"));
    }
    let (status, raw) = Pty::new(&dir, &["view", "broken"], 200, 24).finish();
    let raw = String::from_utf8(raw).unwrap();
    assert_eq!((status, raw.lines().count()), (1, 1), "{raw:?}");
    assert!(raw.starts_with("shmflow: ") && raw.contains("is not a ring of topic `broken`"), "{raw:?}");
    assert_eq!(std::fs::read_dir(&dir.0).unwrap().count(), 1, "nothing was made");
}

#[test]
fn metrics_are_those_of_all_topics_and_participants() {
    let dir = Dir::new();
    let producer = dir.producer("quo\"te");
    publish(&producer, &grey(Duration::from_millis(30)));
    let mut consumer = shmflow::Consumer::builder("quo\"te").dir(&dir.0).name("view").open().unwrap();
    let _frame = consumer.recv().unwrap();
    let ran = dir.run(&["metrics"]);
    for line in [
        "# TYPE shmflow_topic_frames_total counter",
        "shmflow_topic_frames_total{topic=\"quo\\\"te\"} 1",
        "shmflow_topic_nominal_rate{topic=\"quo\\\"te\"} 30",
        "role=\"consumer\",id=\"8\",generation=\"2\",name=\"view\"} 1",
        "shmflow_unreadable_topics 0",
    ] {
        assert!(ran.out().contains(line), "{line}: {}", ran.out());
    }
    for line in ran.out().lines().filter(|line| !line.starts_with('#')) {
        assert!(line.rsplit_once(' ').unwrap().1.parse::<f64>().is_ok(), "{line}");
    }
}

#[test]
fn metrics_are_served_by_http() {
    let dir = Dir::new();
    let _producer = dir.producer("t");
    let mut child =
        dir.command(&["metrics", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("http://").unwrap().strip_suffix("/metrics").unwrap().to_owned();
    let ask = |request: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    // One who says nothing does not keep others waiting for long.
    let silent = TcpStream::connect(&address).unwrap();
    let answer = ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("text/plain; version=0.0.4")
            && answer.contains("shmflow_topic_live{topic=\"t\"} 1\n")
    );
    assert!(ask("GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 404"));
    assert!(ask("POST /metrics HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 405"));
    drop(silent);
    // Nor does one who says little at a time, for ever.
    let mut slow = TcpStream::connect(&address).unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let drip = std::thread::spawn(move || {
        while stopped
            .recv_timeout(Duration::from_millis(100))
            .is_err_and(|error| error == RecvTimeoutError::Timeout)
            && slow.write_all(b"x").is_ok()
        {}
    });
    let (answered, answers) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| answered.send(ask("GET /metrics HTTP/1.1\r\n\r\n")));
        let answer = answers.recv_timeout(LONG);
        drop(stop);
        assert!(
            answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 OK")),
            "it waits for the slow one"
        );
    });
    drip.join().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ran = dir.run(&["metrics", "--listen", &taken.local_addr().unwrap().to_string()]);
    assert!(ran.status() == 1 && ran.err().contains("cannot listen at"), "{}", ran.err());
}
