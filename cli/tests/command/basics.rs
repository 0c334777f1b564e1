//! Listing, inspecting and removing topics.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::Value;
use shmflow::{Consumer, Producer};

use crate::support::{Dir, Ran, at_a_steady_rate};

#[test]
fn ls_shows_every_topic_on_a_line_of_its_own() {
    let dir = Dir::new();
    let none = dir.run(&["ls"]);
    assert_eq!((none.status(), none.out()), (0, ""), "nothing for those who count lines");
    assert_eq!(none.err(), format!("shmflow: there are no topics in {}\n", dir.0.display()));
    let one = dir.producer("robot/cam0");
    let two = Producer::builder("b").dir(&dir.0).persistent(true).perms(0o644).open().unwrap();
    let consumer = Consumer::builder("robot/cam0").dir(&dir.0).open().unwrap();
    for _ in 0..1500 {
        one.write(b"x").unwrap();
    }
    drop(two);
    let ran = dir.run(&["ls"]);
    let lines: Vec<Vec<&str>> = ran.out().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((ran.status(), ran.err(), lines.len()), (0, "", 3));
    assert_eq!(lines[0][..6], ["TOPIC", "STATE", "PRODUCERS", "CONSUMERS", "PUBLISHED", "FPS"]);
    assert_eq!(lines[1][..5], ["b", "idle", "0", "0", "0"]);
    assert_eq!(lines[2][..6], ["robot/cam0", "live", "1", "1", "1,500", "<2"]);
    assert!(lines[1].contains(&"0644") && lines[2].contains(&"0600"));
    drop(consumer);

    let json = dir.run(&["ls", "--json"]).json();
    assert_eq!(json.as_array().unwrap().len(), 2);
    assert_eq!(json[1]["topic"], "robot/cam0");
    assert_eq!(json[1]["published"], 1500);
    assert_eq!(json[0]["state"], "idle");
    assert_eq!(json[0]["geometry"]["slots"], 10);
}

#[test]
fn the_directory_comes_from_the_option_before_the_environment() {
    let (dir, other) = (Dir::new(), Dir::new());
    let _producer = other.producer("there");
    let path = other.0.to_str().unwrap();
    assert!(dir.run(&["ls"]).err().contains("no topics"));
    for args in [["--dir", path, "ls"], ["ls", "--dir", path]] {
        assert!(dir.run(&args).out().contains("there"));
    }
    let ran = dir.run(&["ls", "--dir", "/nowhere/at/all"]);
    assert_eq!((ran.status(), ran.out()), (1, ""));
    assert!(ran.err().contains("/nowhere/at/all") && ran.err().contains("No such file"), "{}", ran.err());
}

#[test]
fn ls_shows_which_producers_stand_still() {
    let dir = Dir::new();
    let (one, _still) = (dir.producer("moving"), dir.producer("still"));
    let stop = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                one.write(b"x").unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let seen = dir.run(&["ls", "--json"]).json();
        stop.store(true, Relaxed);
        seen
    });
    assert_eq!((seen[0]["topic"].as_str(), seen[1]["topic"].as_str()), (Some("moving"), Some("still")));
    assert!(seen[0]["rate"]["frames_per_second"].as_f64().unwrap() > 1.0, "{seen}");
    assert!(seen[0]["rate_below"].is_null() && seen[1]["rate"].is_null(), "{seen}");
    assert!(seen[1]["rate_below"].as_f64().unwrap() <= 2.0, "{seen}");
}

#[test]
fn a_steady_rate_is_told_as_it_is() {
    let dir = Dir::new();
    let producer = dir.producer("t");
    let mut consumer = Consumer::builder("t").dir(&dir.0).open().unwrap();
    for rate in [25.0, 60.0] {
        for args in [&["info", "t", "--json"][..], &["ls", "--json"]] {
            let mut seen: Vec<(f64, f64, f64)> = at_a_steady_rate(&producer, rate, || {
                (0..7)
                    .map(|run| {
                        // Begun at another moment between two frames each time.
                        std::thread::sleep(Duration::from_millis(6 * run));
                        let start = Instant::now();
                        let mut json = dir.run(args).json();
                        assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
                        if json.is_array() {
                            json = json[0].take();
                        }
                        let number = |of: &Value, name| of["rate"][name].as_f64().unwrap();
                        (
                            number(&json, "frames_per_second"),
                            number(&json, "bytes_per_second"),
                            number(&json["participants"][0], "frames_per_second"),
                        )
                    })
                    .collect()
            });
            seen.sort_by(|one, other| one.0.total_cmp(&other.0));
            // Each but those in which the machine was busy with something else.
            let near = |value: f64| (value / rate - 1.0).abs() < 0.05;
            let good = seen.iter().filter(|(topic, _, producer)| near(*topic) && near(*producer)).count();
            assert!(good >= 5, "{args:?} at {rate}: {seen:?}");
            let (frames, bytes, _) = seen[3];
            assert!((bytes / frames - 1000.0).abs() < 200.0, "{seen:?}");
        }
    }
    assert!(consumer.try_recv().unwrap().is_some());
}

#[test]
fn of_a_slow_topic_a_limit_is_told_and_watching_measures_it() {
    let dir = Dir::new();
    let producer = dir.producer("t");
    at_a_steady_rate(&producer, 1.0, || {
        let json = dir.run(&["info", "t", "--json"]).json();
        assert!(json["rate"].is_null(), "one frame has no rate: {json}");
        let below = json["rate_below"].as_f64().unwrap();
        assert!((0.9..=4.5).contains(&below), "{below}");
        let json = loop {
            let json = dir.run(&["info", "t", "--json"]).json();
            if json["published"].as_u64().unwrap() >= 3 {
                break json;
            }
        };
        // The frames that the ring holds say when they came.
        let rate = json["rate"]["frames_per_second"].as_f64().unwrap();
        assert!((rate - 1.0).abs() < 0.05, "{rate}");
        let mut child = dir
            .command(&["info", "t", "--watch", "--json", "--interval", "0.3"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut rates = lines.filter_map(|line| {
            serde_json::from_str::<Value>(&line.unwrap()).unwrap()["rate"]["frames_per_second"].as_f64()
        });
        let rate = rates.next().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!((rate - 1.0).abs() < 0.05, "{rate}");
    });
}

#[test]
fn an_interval_without_watch_is_not_taken_in_silence() {
    let dir = Dir::new();
    let _producer = dir.producer("t");
    let ran = dir.run(&["info", "t", "--interval", "2"]);
    assert_eq!(ran.status(), 2);
    assert!(ran.err().contains("--watch"), "{}", ran.err());
    assert_eq!(dir.run(&["info", "t"]).status(), 0);
}

#[test]
fn info_tells_who_does_what() {
    let dir = Dir::new();
    let producer = dir.producer("t");
    let mut consumer = Consumer::builder("t")
        .dir(&dir.0)
        .name("view\x1b[2Jer")
        .accepted_caps("video/x-raw\n")
        .open()
        .unwrap();
    for _ in 0..3 {
        producer.write(&[7; 2048]).unwrap();
    }
    let _frame = consumer.recv().unwrap();
    let ran = dir.run(&["info", "t"]);
    assert_eq!((ran.status(), ran.err()), (0, ""));
    for part in
        ["state        live", "3 frames; now fewer than 2/s", "8 deep + 2 spare", "64 KiB per frame", "0600"]
    {
        assert!(ran.out().contains(part), "{part}: {}", ran.out());
    }
    let row = |role: &str| {
        let line = ran.out().lines().find(|line| line.starts_with(role)).unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let pid = std::process::id().to_string();
    let [sent, got] = ["producer", "consumer 8"].map(|role| row(role.split(' ').next().unwrap()));
    assert_eq!(sent[..10], ["producer", "0", "camera", &pid, "alive", "3", "<2", "6", "KiB", "-"]);
    assert_eq!(got[..11], ["consumer", "8", "view[2Jer", &pid, "alive", "1", "<2", "2", "KiB", "2", "0"]);
    assert!(ran.out().contains("accepts video/x-raw\\n"), "{}", ran.out());
    assert!(!ran.out().contains('\x1b'));

    let json = dir.run(&["info", "t", "--json"]).json();
    let consumer = &json["participants"][1];
    assert_eq!((&consumer["lag"], &consumer["held_slots"]), (&Value::from(2), &Value::from(1)));
    assert_eq!(
        (&consumer["liveness"], &consumer["accepted_caps"]),
        (&"alive".into(), &"video/x-raw\n".into())
    );
    assert_eq!((&json["permissions"], &json["rate"]), (&"0600".into(), &Value::Null));
    assert!(consumer["rate_below"].as_f64().unwrap() <= 2.0);
}

#[test]
fn watching_ends_with_the_topic() {
    let dir = Dir::new();
    let producer = dir.producer("t");
    let mut child = dir
        .command(&["info", "t", "--watch", "--json", "--interval", "0.02"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    let first = next();
    assert!(first["rate"].is_null() && first["rate_below"].is_null());
    producer.write(b"12345").unwrap();
    while next()["published"] != 1 {}
    producer.write(b"12345").unwrap();
    loop {
        let look = next();
        if look["published"] == 2 && !look["rate"].is_null() {
            assert!(look["rate"]["frames_per_second"].as_f64().unwrap() > 0.0);
            assert!(look["participants"][0]["rate"]["bytes_per_second"].as_f64().unwrap() > 0.0);
            break;
        }
    }
    drop(producer);
    while let Some(Ok(_)) = lines.next() {}
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!((child.wait().unwrap().code(), told.as_str()), (Some(0), "shmflow: topic `t` is gone\n"));
}

#[test]
fn what_is_not_there_has_a_status_of_its_own() {
    let dir = Dir::new();
    for args in [&["info", "x"][..], &["rm", "x"], &["rm", "--force", "x"]] {
        let ran = dir.run(args);
        assert_eq!((ran.status(), ran.out()), (3, ""), "{args:?}");
        assert!(ran.err().starts_with("shmflow: there is no topic `x` in "), "{}", ran.err());
    }
    let ran = dir.run(&["info", "a\nb"]);
    assert_eq!(ran.status(), 1);
    assert!(ran.err().contains("U+000A"), "{}", ran.err());
}

#[test]
fn rm_spares_what_is_in_use_unless_forced() {
    let dir = Dir::new();
    let producer = dir.producer("t");
    let ran = dir.run(&["rm", "t"]);
    assert_eq!((ran.status(), ran.out()), (4, ""));
    assert!(
        ran.err().contains("in use by producer `camera`") && ran.err().contains("--force"),
        "{}",
        ran.err()
    );
    producer.write(b"still").unwrap();
    drop(Producer::builder("u").dir(&dir.0).persistent(true).open().unwrap());
    let ran = dir.run(&["rm", "gone", "u", "t"]);
    assert_eq!(ran.status(), 3, "the first failure counts");
    assert!(ran.out().starts_with("Removed u, "), "the others are removed: {}", ran.out());
    let ran = dir.run(&["rm", "-f", "t"]);
    assert_eq!((ran.status(), ran.err()), (0, ""));
    assert!(dir.is_empty());
    assert!(matches!(producer.write(b"x"), Err(shmflow::Error::Removed { .. })));
}

#[test]
fn rm_tells_programs_what_it_removed() {
    let dir = Dir::new();
    let _used = dir.producer("used");
    for topic in ["a", "b"] {
        drop(Producer::builder(topic).dir(&dir.0).persistent(true).open().unwrap());
    }
    let bytes = dir.run(&["info", "a", "--json"]).json()["shared_bytes"].clone();
    let ran = dir.run(&["rm", "a", "used", "none", "b", "--json"]);
    assert_eq!((ran.status(), ran.err()), (4, ""), "the first failure counts");
    let told = ran.json();
    assert_eq!((&told["removed"][0]["topic"], &told["removed"][1]["topic"]), (&"a".into(), &"b".into()));
    assert_eq!(told["removed"][0]["bytes"], bytes, "{told}");
    assert_eq!((&told["failed"][0]["topic"], &told["failed"][1]["topic"]), (&"used".into(), &"none".into()));
    assert!(told["failed"][0]["error"].as_str().unwrap().contains("in use by producer `camera`"), "{told}");
    let ran = dir.run(&["rm", "-f", "used", "--json"]);
    assert_eq!((ran.status(), &ran.json()["failed"]), (0, &Value::from(Vec::<Value>::new())));
    assert!(dir.is_empty());
}

#[test]
fn gc_says_what_it_did_and_what_it_left() {
    let dir = Dir::new();
    let _producer = dir.producer("live");
    drop(Producer::builder("stays").dir(&dir.0).persistent(true).open().unwrap());
    drop(Producer::builder("half").dir(&dir.0).persistent(true).open().unwrap());
    std::fs::remove_file(dir.0.join("shmflow.half.ring")).unwrap();
    std::fs::write(dir.0.join("shmflow.broken.peers"), b"junk").unwrap();
    std::fs::write(dir.0.join("shmflow.half.tmp.0000000000000000"), b"junk").unwrap();
    let ran = dir.run(&["gc"]);
    assert_eq!(ran.status(), 0);
    assert!(ran.out().starts_with("Removed half.\n"), "{}", ran.out());
    for part in ["1 unfinished file", "1 topic in use", "1 persistent"] {
        assert!(ran.out().contains(part), "{part}: {}", ran.out());
    }
    assert!(ran.err().contains("broken.peers is not a ring"), "{}", ran.err());
    let json = dir.run(&["gc", "--json"]).json();
    assert_eq!(json["removed"], Value::from(Vec::<Value>::new()));
    let kept: Vec<_> =
        json["skipped"].as_array().unwrap().iter().map(|k| k["reason"].as_str().unwrap()).collect();
    assert_eq!(kept, ["failed", "in use", "persistent"]);
    let ls = dir.run(&["ls"]);
    assert!(ls.out().contains("unreadable") && ls.err().contains("not a ring"));
    assert_eq!(dir.run(&["rm", "broken"]).status(), 1);
    assert_eq!(dir.run(&["rm", "--force", "broken"]).status(), 0);
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let dir = Dir::new();
    let producer = dir.producer("t");
    // More than a pipe holds, and nobody reads it.
    let small = |i| Producer::builder(&format!("topic number {i}")).dir(&dir.0).depth(1).slot_capacity(1);
    let many: Vec<_> = (0..300).map(|i| small(i).meta_capacity(0).prefault(false).open().unwrap()).collect();
    for args in [&["ls", "--json"][..], &["ls"], &["info", "t", "--watch", "--interval", "0.01"]] {
        let mut child = dir.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut told = String::new();
        child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        assert_eq!((child.wait().unwrap().code(), told.as_str()), (Some(0), ""), "{args:?}");
    }
    // And one that is full.
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let ran = Ran(dir.command(&["ls"]).stdout(full).output().unwrap());
    assert_eq!(ran.status(), 1);
    assert!(ran.err().contains("could not write the output"), "{}", ran.err());
    drop((producer, many));
}

#[test]
fn help_explains_with_examples() {
    let dir = Dir::new();
    for (args, parts) in [
        (&["--help"][..], &["ls", "info", "rm", "gc", "SHMFLOW_DIR", "Exit status"][..]),
        (&["help"], &["ls", "info", "Exit status"]),
        (&["help", "info"], &["LAG", "Examples:"]),
        (&["info", "--help"], &["LAG", "--watch", "Examples:"]),
        (&["rm", "--help"], &["--force", "Examples:"]),
        (&["ls", "--help"], &["unfinished", "--json"]),
        (&["gc", "--help"], &["persistent", "sudo shmflow gc"]),
    ] {
        let ran = dir.run(args);
        assert_eq!(ran.status(), 0);
        for part in parts {
            assert!(ran.out().contains(part), "{args:?} does not say {part}");
        }
    }
    assert_eq!(dir.run(&[]).status(), 2);
    assert_eq!(dir.run(&["info", "t", "--interval", "0"]).status(), 2);
}

#[test]
fn topics_of_another_user_are_told_in_one_line_with_advice_that_fits() {
    if !nix::unistd::Uid::effective().is_root() {
        return println!("skipped, because only root can become another user");
    }
    let dir = Dir::new();
    let _producers = ["a", "b", "c"].map(|topic| dir.producer(topic));
    std::fs::set_permissions(&dir.0, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let as_nobody = |args: &[&str]| {
        let mut command = dir.command(args);
        std::os::unix::process::CommandExt::uid(&mut command, 65534);
        std::os::unix::process::CommandExt::gid(&mut command, 65534);
        command.output().map(Ran)
    };
    let Ok(all) = as_nobody(&["ls"]) else {
        return println!("skipped, because that user may not run the command");
    };
    assert_eq!(all.out().lines().count(), 4, "{}", all.out());
    assert!(
        all.err().contains("permission denied to read 3 topics") && all.err().lines().count() == 1,
        "{}",
        all.err()
    );
    let one = as_nobody(&["ls", "a"]).unwrap();
    assert!(one.err().contains("(mode 0600, owner uid 0); run as its owner, or have"), "{}", one.err());
    let rm = as_nobody(&["rm", "a"]).unwrap();
    assert!(rm.status() == 1 && rm.err().contains("cannot remove it for topic `a`"), "{}", rm.err());
    assert!(rm.err().ends_with("; run as the owner of the files, or as root\n"), "{}", rm.err());
    let gc = as_nobody(&["gc"]).unwrap();
    assert!(
        gc.err().contains("permission denied to remove 3 topics") && gc.err().lines().count() == 1,
        "{}",
        gc.err()
    );
}

#[test]
fn who_removes_topics_of_a_mount_without_writing_is_told_what_would_help() {
    let dir = Dir::new();
    for topic in ["a", "b"] {
        drop(Producer::builder(topic).dir(&dir.0).persistent(true).open().unwrap());
    }
    let mounted = |args: &[&str]| {
        let script = "mount --bind \"$SHMFLOW_DIR\" \"$SHMFLOW_DIR\" && \
                      mount -o remount,bind,ro \"$SHMFLOW_DIR\" && exec \"$@\"";
        let inner = dir.command(args);
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh"]).arg(inner.get_program()).args(inner.get_args());
        command.env("SHMFLOW_DIR", &dir.0).output().map(Ran)
    };
    if !mounted(&["ls"]).is_ok_and(|ran| ran.status() == 0) {
        return println!("skipped, because this user may not mount, or there is no unshare");
    }
    let said = |args: &[&str]| {
        let ran = mounted(args).unwrap();
        let told = ran.err().to_owned();
        assert!(told.contains("mounted read-only") && !told.contains("root"), "{args:?}: {told}");
        assert!(!told.contains("open the topic"), "that removes nothing: {told}");
        (ran.status(), told)
    };
    let (status, told) = said(&["gc"]);
    let advice = "is mounted read-only; mount it for writing (docker run -v without `:ro`)\n";
    assert_eq!((status, told.lines().count()), (0, 1), "{told}");
    assert!(told.contains("to remove 2 topics, `a` for one; ") && told.ends_with(advice), "{told}");
    let (status, told) = said(&["rm", "a", "b"]);
    assert_eq!((status, told.lines().count()), (1, 2), "{told}");
    // What is no topic, and what a killed process had not finished.
    std::os::unix::fs::symlink("nowhere", dir.0.join("shmflow.c.peers")).unwrap();
    assert_eq!(said(&["rm", "--force", "c"]).0, 1);
    std::fs::remove_file(dir.0.join("shmflow.c.peers")).unwrap();
    for topic in ["a", "b"] {
        assert_eq!(dir.run(&["rm", topic]).status(), 0);
    }
    std::fs::write(dir.0.join("shmflow.half.tmp.0000000000000000"), b"junk").unwrap();
    let (status, told) = said(&["gc"]);
    assert!(status == 0 && told.contains("cannot remove files on a file system"), "{told}");
    std::fs::remove_file(dir.0.join("shmflow.half.tmp.0000000000000000")).unwrap();
    std::fs::write(dir.0.join("shmflow.half.ring"), b"junk").unwrap();
    assert_eq!(said(&["rm", "half"]).0, 1);
}
