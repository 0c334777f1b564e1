//! The classic interface of three calls, from Python's `ctypes`, as its programs use it.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test's way to fail")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Place, Running, succeeded, wait_until};

const WIDTH: usize = 1280;
const HEIGHT: usize = 720;
const IMAGE: usize = WIDTH * HEIGHT * 3;
/// A ring for twenty of them.
const SIZE: usize = 20 * (IMAGE + 8);

struct Classic {
    place: Place,
    script: PathBuf,
    library: String,
}

impl Classic {
    fn new() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/classic.py");
        let place = Place::new();
        let library = place.library("so").to_str().unwrap().to_owned();
        Self { place, script, library }
    }

    /// `classic.py COMMAND ARGUMENTS`, to its end; what it printed, and what it said to people.
    fn run(&self, arguments: &[&str]) -> (String, String) {
        let mut command = self.place.command("python3");
        let output = command.arg(&self.script).arg(&self.library).args(arguments).output().unwrap();
        succeeded(&format!("classic.py {arguments:?}"), &output);
        let text = |bytes| String::from_utf8(bytes).unwrap().trim_end().to_owned();
        (text(output.stdout), text(output.stderr))
    }

    fn start(&self, arguments: &[&str]) -> Running {
        let script = self.script.to_str().unwrap();
        let arguments: Vec<_> = [script, &self.library].iter().chain(arguments).copied().collect();
        self.place.start("python3", &arguments)
    }

    /// A pipeline that finds the plugin of this build.
    fn pipeline(&self, text: &str) -> Command {
        let plugins = self.place.path("plugins");
        std::fs::create_dir_all(&plugins).unwrap();
        let _ = std::os::unix::fs::symlink(
            support::products().join("deps/libgstshmflow.so"),
            plugins.join("libgstshmflow.so"),
        );
        let mut command = self.place.command("gst-launch-1.0");
        command
            .arg("-q")
            .args(text.split_whitespace())
            .env("GST_PLUGIN_PATH", plugins)
            .env("GST_REGISTRY", self.place.path("registry.bin"));
        command
    }
}

fn number(number: usize) -> String {
    number.to_string()
}

/// What `classic.py` writes as image `seed`.
fn image(seed: usize, size: usize) -> Vec<u8> {
    (0..251usize).map(|i| ((i * 7 + seed) & 255) as u8).cycle().take(size).collect()
}

fn ids(range: std::ops::RangeInclusive<usize>) -> String {
    range.map(number).collect::<Vec<_>>().join(" ")
}

#[test]
fn an_image_outlives_the_program_that_wrote_it() {
    let classic = Classic::new();
    let (size, image) = (number(SIZE), number(IMAGE));
    classic.run(&["write", "image", &size, &image, "1", "1"]);
    assert!(!classic.place.left().is_empty());
    // Neither who comes and goes, nor `gc`, takes it away.
    ring::gc(Some(classic.place.topics())).unwrap();
    for _ in 0..2 {
        assert_eq!(classic.run(&["read", "image", &size]), ("1".into(), String::new()));
    }
    // Another writer goes on in it.
    classic.run(&["write", "image", &size, &image, "2", "3"]);
    assert_eq!(classic.run(&["read", "image", &size]).0, ids(1..=4));
    let info = ring::inspect("image", Some(classic.place.topics())).unwrap();
    assert!(info.persistent && info.geometry.unwrap().depth == 20, "{info:?}");
    assert!(info.participants.is_empty(), "they left in order: {info:?}");
}

#[test]
fn programs_that_write_one_image_each_need_not_agree_on_its_size() {
    let classic = Classic::new();
    for (id, size) in [(1, 3000), (2, 900), (3, 4000), (4, 1)] {
        classic.run(&["write", "sizes", "100000", &number(size), &number(id), "1"]);
    }
    assert_eq!(classic.run(&["read", "sizes", "100000"]).0, ids(1..=4));
    // Too large for the ring that is there: it gets another one, within the size that was given.
    classic.run(&["write", "sizes", "100000", "20000", "5", "2"]);
    assert_eq!(classic.run(&["read", "sizes", "100000"]).0, ids(5..=6));
    let info = ring::inspect("sizes", Some(classic.place.topics())).unwrap();
    assert_eq!(info.geometry.unwrap().depth, 100_000 / 20_008);
}

#[test]
fn an_image_that_is_larger_than_the_ring_that_was_asked_for_is_not_silent() {
    let classic = Classic::new();
    let write = |topic: &str, count| classic.run(&["write", topic, "4194304", "5242880", "1", count]).1;
    let said = write("large", "3");
    assert_eq!(said.lines().count(), 1, "{said}");
    let bytes =
        ring::inspect("large", Some(classic.place.topics())).unwrap().geometry.unwrap().reserved_bytes;
    assert!(said.contains("5242880") && said.contains("4194304") && said.contains("5242888"), "{said}");
    assert!(said.contains(&format!("{bytes} bytes of shared memory")), "{said}");
    // Who joins it makes nothing.
    assert_eq!(write("large", "1"), "");
}

#[test]
fn nothing_is_made_before_the_first_write() {
    let classic = Classic::new();
    assert_eq!(classic.run(&["read", "nobody", "100000"]), (String::new(), String::new()));
    assert!(classic.place.left().is_empty(), "{:?}", classic.place.left());
}

#[test]
fn a_reader_follows_in_order_and_one_that_is_lapped_goes_on_at_the_oldest() {
    let classic = Classic::new();
    // Room for ten images of a thousand bytes.
    let (size, image) = (number(10 * 1008), number(1000));
    let mut reader = classic.start(&["follow", "line", &size, &image]);
    assert_eq!(reader.hear(), "ready");
    classic.run(&["write", "line", &size, &image, "1", "1"]);
    reader.tell("next");
    assert_eq!(reader.hear(), "1 True");
    classic.run(&["write", "line", &size, &image, "2", "3"]);
    for expected in ["2 ", "3 ", "4 True"] {
        reader.tell("next");
        // Whether there is one more was asked, and took it.
        let said = reader.hear();
        assert!(said.starts_with(expected), "{said}");
        if said.ends_with("False") {
            break;
        }
    }
    reader.finish();

    let mut reader = classic.start(&["follow", "laps", &size, &image]);
    assert_eq!(reader.hear(), "ready");
    classic.run(&["write", "laps", &size, &image, "1", "1"]);
    reader.tell("next");
    assert_eq!(reader.hear(), "1 True");
    classic.run(&["write", "laps", &size, &image, "2", "50"]);
    reader.tell("next");
    let said = reader.hear();
    let id: usize = said.split(' ').next().unwrap().parse().unwrap();
    // At least the ten newest of the 51 are there, and the few slots more that the ring has.
    assert!((38..=42).contains(&id), "{said}");
    reader.finish();
    let everything = classic.run(&["read", "laps", &size]).0;
    assert_eq!(everything, ids(everything.split(' ').next().unwrap().parse().unwrap()..=51));
}

#[test]
fn one_process_may_write_and_read_and_turn_to_other_topics() {
    let classic = Classic::new();
    let (out, err) = classic.run(&["both", "roles"]);
    assert_eq!(out, "both");
    assert!(err.contains("skipped") && err.lines().count() == 1, "{err}");
}

#[test]
fn nonsense_is_said_now_and_then_and_crashes_nothing() {
    let classic = Classic::new();
    let (out, err) = classic.run(&["nonsense", "bad"]);
    assert_eq!(out, "lived");
    let lines = err.lines().count();
    // More than ten thousand errors within a moment; a machine that is busy may take some seconds for them.
    assert!((1..30).contains(&lines), "{err}");
    assert!(err.lines().all(|line| line.starts_with("shmflow: ")), "{err}");
    assert!(err.contains("init_flow"), "{err}");
}

#[test]
fn it_joins_the_topic_of_an_element_and_reads_what_that_writes() {
    let classic = Classic::new();
    let sink = Running::start(classic.pipeline(
        "videotestsrc is-live=true pattern=white ! video/x-raw,format=BGR,width=320,height=240,framerate=30/1 \
         ! shmflowsink topic=element",
    ));
    let (said, _) = classic.run(&["white", "element", &number(320 * 240 * 3), "10"]);
    assert_eq!(said, "white");
    sink.interrupt();
    sink.finish();
    // It was the element's topic, and went with it.
    wait_until("it is gone", || classic.place.left().is_empty());
}

#[test]
fn an_element_shows_what_it_wrote() {
    let classic = Classic::new();
    classic.run(&["write", "shown", &number(SIZE), &number(IMAGE), "1", "1"]);
    let output = classic
        .pipeline(
            "shmflowsrc topic=shown num-buffers=1 caps=video/x-raw,format=BGR,width=1280,height=720,framerate=10/1 \
             ! filesink location=shown.raw",
        )
        .output()
        .unwrap();
    succeeded("gst-launch-1.0", &output);
    let shown = std::fs::read(classic.place.path("shown.raw")).unwrap();
    assert!(shown == image(1, IMAGE), "{} bytes, other than were written", shown.len());
}

/// The same calls from C, with its own header.
#[test]
fn from_c_too() {
    let classic = Classic::new();
    let text = r#"
#include <string.h>
#include "flow.h"
static char topic[] = "plain", image[] = "image", buffer[100];
int main(void) {
    init_flow(topic, sizeof buffer);
    if (read_data(buffer) != 0) return 1;
    write_data(image, sizeof image);
    if (read_data(buffer) != 1 || read_data(buffer + 50) != 0) return 2;
    return memcmp(buffer, "\0\0\0\16\0\0\0\1image", 14) == 0 ? 0 : 3;
}
"#;
    let source = classic.place.write("plain.c", text);
    let program = classic.place.compile("gcc", &source, "plain", &["-std=c99"]);
    classic.place.run(program, &[]);
}
