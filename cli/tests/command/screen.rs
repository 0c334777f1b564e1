//! What is drawn on a terminal: `top`, `view`, and tables that fit.

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
            text.contains("GRAY8 64×48 @ 30") && text.contains("viewer") && text.contains("camera")
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
fn view_draws_the_picture() {
    let dir = Dir::new();
    let producer = Producer::builder("cam").dir(&dir.0).meta_capacity(1024).open().unwrap();
    publish(&producer, &grey(Duration::ZERO));
    let drawn = |protocol: &str| {
        let view = Pty::new(&dir, &["view", "cam", "--protocol", protocol, "--count", "1"], 80, 24);
        let (status, raw) = view.finish();
        assert_eq!(status, 0, "{}", String::from_utf8_lossy(&raw));
        let raw = String::from_utf8(raw).unwrap();
        assert!(raw.contains("cam  frame 1  GRAY8 64×48 @ 30"), "{raw}");
        raw
    };
    let blocks = drawn("blocks");
    // 23 rows, in the shape of the picture.
    assert_eq!(blocks.matches('▀').count(), 23 * 61);
    assert!(blocks.contains("\u{1b}[38;2;0;0;0;48;2;0;0;0m"));
    assert!(drawn("kitty").contains("\u{1b}_Ga=T,f=24,"));
    assert!(drawn("sixel").contains("\u{1b}Pq\"1;1;"));
}

#[test]
fn view_goes_on_until_it_is_told_to_stop() {
    let dir = Dir::new();
    let producer = Producer::builder("cam").dir(&dir.0).meta_capacity(1024).open().unwrap();
    let mut view = Pty::new(&dir, &["view", "cam", "--protocol", "blocks", "--fps", "50"], 40, 12);
    for number in 1..4 {
        publish(&producer, &grey(Duration::ZERO));
        view.wait("the next frame", |text| text.contains(&format!("frame {number} ")));
    }
    view.press("q");
    assert_eq!(view.finish().0, 0);
    let view = Pty::new(&dir, &["view", "cam"], 40, 12);
    // It asks the terminal, which does not answer, and takes half blocks.
    let mut view = view;
    view.wait("half blocks", |text| text.contains('▀'));
    producer.end();
    assert_eq!(view.finish().0, 0, "it ends with the stream");
    let ran = dir.run(&["view", "cam"]);
    assert!(ran.status() == 1 && ran.err().contains("needs a terminal"), "{}", ran.err());
}

#[test]
fn view_shows_the_cursor_again_when_the_topic_is_removed() {
    let dir = Dir::new();
    let producer = Producer::builder("cam").dir(&dir.0).meta_capacity(1024).open().unwrap();
    publish(&producer, &grey(Duration::ZERO));
    let mut view = Pty::new(&dir, &["view", "cam", "--protocol", "blocks"], 40, 12);
    view.wait("a picture", |text| text.contains('▀'));
    shmflow::remove("cam", Some(&dir.0), true).unwrap();
    let (status, raw) = view.finish();
    let raw = String::from_utf8_lossy(&raw);
    assert!(
        status == 0 && raw.contains("\u{1b}[?25l") && raw.trim_end().ends_with("\u{1b}[?25h"),
        "{status}: {raw}"
    );
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
