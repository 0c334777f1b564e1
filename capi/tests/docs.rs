//! `docs/c.md`: what is written there compiles without a warning, runs, and does what it says.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test's way to fail")]

mod support;

use std::path::Path;

use support::Place;

const STRICT: [&str; 3] = ["-Wconversion", "-Wsign-conversion", "-Wwrite-strings"];

/// The blocks of a language, in order.
fn blocks(language: &str) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/c.md");
    let page = std::fs::read_to_string(page).unwrap();
    let fence = format!("\n```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("\n```").next().unwrap().to_owned()).collect()
}

/// What the page takes for granted: the variables that its blocks share, and what a program does with a row.
const BEFORE: &str = r#"
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "shmflow.h"
#include "flow.h"

static shmflow_producer *producer;
static shmflow_consumer *consumer;
static shmflow_claim *claim;
static shmflow_frame *frame;
static int socket_fd = -1;
static unsigned rows;
static void row(const unsigned char *pixels, uint64_t bytes) { rows += bytes == 1920 && pixels[0] == 128; }
"#;

/// What has to have come of it.
const AFTER: &str = r#"
    shmflow_consumer_close(consumer);
    shmflow_producer_close(producer);
    shmflow_set_log(SHMFLOW_LOG_OFF, NULL, NULL);
    printf("%u rows, status %s\n", rows, shmflow_status_name(shmflow_last_error_status()));
    return 0;
}
"#;

#[test]
fn the_blocks_of_c_are_one_program() {
    let place = Place::new();
    let all = blocks("c");
    assert!(all.len() > 10, "{} blocks", all.len());
    // Functions stand before it.
    let is_function = |block: &&String| block.starts_with("static void ") || block.starts_with("void ");
    let (functions, statements): (Vec<_>, Vec<_>) = all.iter().partition(is_function);
    let mut program = BEFORE.to_owned();
    for block in functions {
        program.push_str(block);
        program.push('\n');
    }
    program.push_str("int main(void) {\n");
    for block in statements {
        // In a scope of its own, but for what the next ones use too.
        let shared = ["producer *producer;", "consumer *consumer;", "claim *claim;", "frame *frame;"];
        let lines = block.lines().filter(|line| !shared.iter().any(|one| *line == format!("shmflow_{one}")));
        program.push_str("{\n");
        lines.for_each(|line| program.extend(["    ", line, "\n"]));
        program.push_str("}\n");
        // The first frame is published by the block of detections, after it was described: one more for who reads planes.
        if block.contains("shmflow_consumer_open(\"video\"") {
            program.push_str(
                "{ shmflow_metadata m; shmflow_metadata_init(&m, sizeof m); m.format = \"NV12\"; m.width = 1920;\n  \
                 m.height = 1080; static unsigned char p[1920 * 1620]; memset(p, 128, sizeof p);\n  \
                 shmflow_producer_write(producer, p, sizeof p, &m, NULL); }\n",
            );
        }
    }
    program.push_str(AFTER);
    let source = place.write("page.c", &program);
    let flags: Vec<_> = ["-std=c99", "-D_POSIX_C_SOURCE=200809L"].into_iter().chain(STRICT).collect();
    let said = place.run(place.compile("gcc", &source, "page", &flags), &[]);
    let lines: Vec<_> = said.lines().collect();
    // Waiting for several things found none.
    assert_eq!(lines, ["car at 10, 20", "1080 rows, status SHMFLOW_TIMEOUT"]);
    assert!(place.left().is_empty(), "{:?}", place.left());
}

#[test]
fn the_programs_in_cxx_run() {
    let place = Place::new();
    let all = blocks("cpp");
    let [camera, without_exceptions] = &all[..] else { panic!("{} blocks", all.len()) };
    let run = |name: &str, text: &str, flags: &[&str]| {
        let source = place.write(&format!("{name}.cc"), text);
        let flags = [&["-std=c++17"][..], flags, &STRICT].concat();
        place.run(place.compile("g++", &source, name, &flags), &[])
    };
    let frame = |number| format!("{number}: GRAY8 307200 bytes\n  cat 0.9\n");
    assert_eq!(run("camera", camera, &[]), [1, 2, 3].map(frame).concat());
    assert_eq!(run("without", without_exceptions, &["-fno-exceptions"]), "5 bytes\n");
    assert!(place.left().is_empty(), "{:?}", place.left());
}
