//! What is drawn on a terminal: `top`, and tables that fit; and what is left of it.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use shmflow::{Consumer, Producer};
use unicode_width::UnicodeWidthStr;

use crate::support::{Dir, Pty, at_a_steady_rate};
use crate::what::{grey, publish};

#[test]
fn top_shows_topics_and_participants_in_80_columns() {
    let dir = Dir::new();
    let camera =
        Producer::builder("robot/front").dir(&dir.0).name("camera").meta_capacity(1024).open().unwrap();
    let _rear = dir.producer("robot/rear");
    let lidar = dir.producer("lidar with a name that is longer than any column");
    let _viewer = Consumer::builder("robot/front").dir(&dir.0).name("viewer").open().unwrap();
    publish(&camera, &grey(Duration::from_millis(20)));
    at_a_steady_rate(&lidar, 50.0, || {
        let mut top = Pty::new(&dir, &["top", "--interval", "0.2"], 80, 24);
        let text = top
            .wait("the table", |text| text.contains("FPS") && text.contains("  front") && text.contains('█'));
        assert!(text.lines().all(|line| line.width() <= 80));
        for part in [
            "3 topics",
            "by name",
            "robot/",
            "  rear",
            "live",
            "lidar with",
            "TOPIC",
            "JITTER",
            "LATENCY",
            "HELD",
        ] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        top.press("j");
        top.wait("the participants of the second", |text| {
            ["GRAY8 64×48 @ 30", "Front door", "viewer", "camera"].iter().all(|part| text.contains(part))
        });
        top.press("\r");
        top.wait("no participants", |text| !text.contains("viewer"));
        top.press("s");
        top.wait("another order", |text| text.contains("by state") && !text.contains("robot/\n"));
        top.press("/rear\r");
        top.wait("a filter", |text| text.contains("/rear") && !text.contains("front"));
        top.press("q");
        let (status, raw) = top.finish();
        assert_eq!(status, 0);
        let raw = String::from_utf8_lossy(&raw).into_owned();
        assert!(raw.contains("\u{1b}[?1049h") && raw.contains("\u{1b}[?1049l"), "the screen is given back");
    });
}

/// A row of the table: what is below each title. Numbers end where their titles end.
fn row(text: &str, topic: &str) -> impl Fn(&str) -> String {
    let cells = |line: &str| line.chars().collect::<Vec<_>>();
    let line = |with: &str| text.lines().find(|line| line.trim_start().starts_with(with)).unwrap_or_default();
    let (head, row) = (line("TOPIC").to_owned(), cells(line(topic)));
    move |title| {
        let at = head.find(&format!(" {title} ")).unwrap_or_else(|| panic!("{title}: {head}"));
        let end = at + 1 + title.len();
        let before: String = row.iter().take(end).collect();
        if before.ends_with(' ') { String::new() } else { before.split(' ').next_back().unwrap().to_owned() }
    }
}

/// One whose consumer holds a frame, and has another as a copy; has lost some, and three are left.
fn behind(dir: &Dir) -> (Producer, Consumer, [shmflow::Frame; 2]) {
    let producer = Producer::builder("slow").dir(&dir.0).depth(4).meta_capacity(1024).open().unwrap();
    let mut consumer = Consumer::builder("slow").dir(&dir.0).max_leases(1).open().unwrap();
    for _ in 0..10 {
        publish(&producer, &grey(Duration::from_millis(25)));
    }
    let frames = [consumer.recv().unwrap(), consumer.recv().unwrap()];
    assert!(!frames[0].is_copy() && frames[1].is_copy());
    assert_eq!(consumer.stats().lost, 10 - 2 - 3);
    (producer, consumer, frames)
}

#[test]
fn top_tells_numbers_and_sorts_by_them() {
    let dir = Dir::new();
    let (_producer, consumer, _frames) = behind(&dir);
    let lost = consumer.stats().lost;
    let (fast, other) = (dir.producer("fast"), dir.producer("other"));
    at_a_steady_rate(&fast, 100.0, || {
        at_a_steady_rate(&other, 20.0, || {
            let mut top = Pty::new(&dir, &["top", "--interval", "0.3"], 100, 24);
            let text = top.wait("three rows", |text| {
                ["fast ", "other ", "slow "].iter().all(|name| text.contains(&format!("\n{name}")))
                    && row(text, "fast")("FPS").parse::<f64>().is_ok_and(|fps| fps > 30.0)
            });
            let slow = row(&text, "slow");
            let told = ["LAG", "LOST", "COPIED", "HELD", "FPS"].map(slow);
            assert_eq!(told, ["3", &lost.to_string(), "1", "1", "0.0"], "{text}");
            let slow = row(&text, "slow");
            let latency: f64 = slow("LATENCY").strip_suffix("ms").unwrap().parse().unwrap();
            assert!((24.0..1000.0).contains(&latency), "{text}");
            assert!(slow("AGE").ends_with('s'), "{text}");
            assert_eq!(
                ["LAG", "LOST", "COPIED", "HELD", "LATENCY"].map(row(&text, "fast")),
                ["0", "0", "0", "0", ""]
            );
            top.press("ss");
            let order = |text: &str, names: [&str; 3]| {
                let at = names.map(|name| text.find(&format!("\n{name} ")));
                at.iter().all(Option::is_some) && at.is_sorted()
            };
            top.wait("the fastest first", |text| {
                text.contains("by fps")
                    && !text.contains("reversed")
                    && order(text, ["fast", "other", "slow"])
            });
            top.press("r");
            top.wait("the slowest first", |text| {
                text.contains("by fps, reversed") && order(text, ["slow", "other", "fast"])
            });
            top.press("p");
            top.wait("a pause", |text| text.contains("  paused"));
            let _new = dir.producer("new");
            top.press("p");
            top.wait("it goes on", |text| !text.contains("  paused") && text.contains("\nnew "));
            top.press("q");
            assert_eq!(top.finish().0, 0);
        });
    });
    let told = dir.run(&["top", "--json", "--count", "1", "--filter", "slow"]).json();
    for (name, value) in [("lag", 3), ("lost", lost), ("copied", 1), ("leases", 1)] {
        assert_eq!(told[0][name], value, "{name}: {told}");
    }
}

#[test]
fn top_shows_what_cannot_be_read() {
    let dir = Dir::new();
    let producer = dir.producer("zoo");
    producer.write(b"x").unwrap();
    std::fs::write(dir.0.join("shmflow.broken.peers"), "junk").unwrap();
    let words = |text: &str, name: &str| -> Vec<String> {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().map(str::to_owned).collect()
    };
    let mut top = Pty::new(&dir, &["top", "--interval", "0.1"], 100, 24);
    let text = top.wait("both topics, and why one cannot be read", |text| {
        text.contains("zoo") && text.replace('\n', " ").contains("is not a ring of topic `broken`")
    });
    assert!(text.contains("2 topics, 1 unreadable, "), "{text}");
    assert_eq!(words(&text, "broken"), ["broken", "unreadable"], "{text}");
    top.press("s");
    let rows = |text: &str| text.find("\nzoo ").zip(text.find("\nbroken "));
    top.wait("by state", |text| text.contains("by state") && rows(text).is_some_and(|(zoo, it)| zoo < it));
    top.press("s");
    top.wait("by rate", |text| text.contains("by fps") && rows(text).is_some_and(|(zoo, it)| zoo < it));
    // It is mended, and broken again.
    std::fs::remove_file(dir.0.join("shmflow.broken.peers")).unwrap();
    top.wait("one topic", |text| text.contains("1 topic, ") && !text.contains("broken"));
    producer.end();
    drop(producer);
    top.wait("none", |text| text.contains("there are no topics"));
    std::fs::write(dir.0.join("shmflow.broken.peers"), "junk").unwrap();
    let text = top.wait("nothing else is there", |text| text.contains("1 topic, 1 unreadable, "));
    assert_eq!(words(&text, "broken"), ["broken", "unreadable"], "{text}");
    top.press("q");
    assert_eq!(top.finish().0, 0);

    let _sound = dir.producer("sound");
    let ran = dir.run(&["top", "--json", "--count", "1"]);
    let (seen, listed) = (ran.json(), dir.run(&["ls", "--json"]).json());
    assert_eq!((&seen[0], &seen[1]["topic"]), (&listed[0], &"sound".into()), "{seen}");
    assert_eq!((&seen[0]["state"], &seen[0]["permissions"]), (&"unreadable".into(), &"0644".into()));
    assert!(seen[0]["error"].as_str().unwrap().contains("is not a ring"), "{seen}");
    let ran = dir.run(&["top", "--json", "--count", "1", "--filter", "ROK"]);
    assert_eq!(ran.json().as_array().unwrap().len(), 1, "{}", ran.out());
}

#[test]
fn top_waits_for_a_directory_that_is_not_there() {
    let dir = Dir::new();
    let place = dir.0.join("later");
    let path = place.to_str().unwrap();
    let mut top = Pty::new(&dir, &["top", "--interval", "0.1", "--dir", path], 100, 24);
    let missing = |text: &str| text.replace('\n', " ").contains("No such file");
    for _ in 0..2 {
        let text = top.wait("what is wrong", missing);
        assert!(text.contains("q quit") && !text.contains("topics,") && !text.contains("STATE"), "{text}");
        std::fs::create_dir(&place).unwrap();
        let _producer = Producer::builder("cam").dir(&place).open().unwrap();
        top.wait("the topic", |text| text.contains("cam") && text.contains("1 topic, "));
        std::fs::remove_dir_all(&place).unwrap();
    }
    top.wait("what is wrong again", missing);
    top.press("q");
    assert_eq!(top.finish().0, 0);
    let ran = dir.run(&["top", "--json", "--count", "1", "--dir", path]);
    assert!(ran.status() == 1 && ran.err().contains("No such file"), "{}", ran.err());
}

#[test]
fn top_lives_with_any_size() {
    let dir = Dir::new();
    let _producers: Vec<_> = (0..30).map(|i| dir.producer(&format!("topic{i}"))).collect();
    for (columns, rows) in [(1, 1), (20, 5), (200, 60), (80, 3)] {
        let top = Pty::new(&dir, &["top", "--count", "2", "--interval", "0.05"], columns, rows);
        assert_eq!(top.finish().0, 0, "{columns} × {rows}");
    }
}

#[test]
fn top_for_scripts_writes_lines() {
    let dir = Dir::new();
    let producer = dir.producer("t");
    let ran = at_a_steady_rate(&producer, 100.0, || {
        dir.run(&["top", "--json", "--count", "3", "--interval", "0.2"])
    });
    assert_eq!((ran.status(), ran.out().lines().count()), (0, 3), "{}", ran.err());
    let last: serde_json::Value = serde_json::from_str(ran.out().lines().last().unwrap()).unwrap();
    let rate = last[0]["rate"]["frames_per_second"].as_f64().unwrap();
    assert!((rate / 100.0 - 1.0).abs() < 0.2 && last[0]["jitter_seconds"].is_f64(), "{last}");
    let ran = dir.run(&["top"]);
    assert!(ran.status() == 1 && ran.err().contains("needs a terminal"), "{}", ran.err());
}

#[test]
fn a_terminal_is_given_back_by_who_is_told_to_end() {
    let dir = Dir::new();
    let producer = Producer::builder("cam").dir(&dir.0).meta_capacity(1024).open().unwrap();
    publish(&producer, &grey(Duration::ZERO));
    let top: (&[&str], _, _) = (&["top", "--interval", "60"], "cam", ["\u{1b}[?1049l", "\u{1b}[?25h"]);
    let view: (&[&str], _, _) =
        (&["view", "cam", "--protocol", "blocks", "--fps", "0.02"], "▀", ["\u{1b}[?25h", "\u{1b}[?25h"]);
    for (arguments, shown, undone) in [top, view] {
        let mut screen = Pty::new(&dir, arguments, 80, 24);
        screen.wait("a picture", |text| text.contains(shown));
        assert!(!screen.is_for_lines(), "{arguments:?}");
        let (is_for_lines, status, raw) = screen.terminate();
        assert_eq!((is_for_lines, status.signal()), (true, Some(15)), "{arguments:?}");
        let raw = String::from_utf8_lossy(&raw).into_owned();
        assert!(undone.iter().all(|text| raw.contains(text)), "{arguments:?}: {raw:?}");
    }
}

#[test]
fn it_is_given_back_also_where_the_signal_itself_ends_nothing() {
    let dir = Dir::new();
    let producer = Producer::builder("cam").dir(&dir.0).meta_capacity(1024).open().unwrap();
    publish(&producer, &grey(Duration::ZERO));
    let mut top = Pty::ignoring_kill(&dir, &["top", "--interval", "60"], 80, 24);
    top.wait("a picture", |text| text.contains("cam"));
    let (is_for_lines, status, _) = top.terminate();
    assert_eq!((is_for_lines, status.code()), (true, Some(143)));
}

#[test]
fn what_was_not_begun_is_not_undone() {
    let dir = Dir::new();
    let (status, raw) = Pty::new(&dir, &["view", "cam"], 80, 24).finish();
    let raw = String::from_utf8_lossy(&raw);
    assert!(status != 0 && !raw.contains('\u{1b}') && !raw.starts_with("\r\n"), "{raw:?}");
}

#[test]
fn tables_fit_the_terminal() {
    let dir = Dir::new();
    let producers = ["robot/front", "robot/rear"].map(|topic| {
        let producer = Producer::builder(topic).dir(&dir.0).meta_capacity(1024).open().unwrap();
        publish(&producer, &grey(Duration::ZERO));
        producer
    });
    for columns in [200, 80, 60, 30] {
        let (status, raw) = Pty::new(&dir, &["ls"], columns, 24).finish();
        let text = String::from_utf8(raw).unwrap();
        assert!(status == 0 && text.contains("robot/\r\n  front"), "{text}");
        assert!(
            text.lines().all(|line| line.trim_end().width() <= usize::from(columns)),
            "{columns}:\n{text}"
        );
        assert_eq!(text.contains("GRAY8 64×48"), columns >= 60, "{columns}:\n{text}");
    }
    let (_, raw) = Pty::new(&dir, &["info", "robot/front"], 60, 24).finish();
    let table: Vec<_> = String::from_utf8(raw)
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("ROLE") || line.starts_with("producer"))
        .map(|line| line.trim_end().width())
        .collect();
    assert!(table.len() == 2 && table.iter().all(|width| *width <= 60), "{table:?}");
    drop(producers);
}
