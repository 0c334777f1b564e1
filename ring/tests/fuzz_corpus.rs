//! Replays the fuzzers' corpora: whatever a fuzzer once found stays tested by every ordinary `cargo test`.
//!
//! A further target is one line in [`TARGETS`] and one module; those of texts, which need GStreamer, are replayed by
//! `src/common/fuzz_corpus.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test's way to fail"
)]

use std::fs;
use std::path::{Path, PathBuf};

#[path = "../../fuzz/checks/attach.rs"]
mod attach;
#[path = "../../fuzz/checks/meta.rs"]
mod meta;

/// Reads one input; says whether it was valid.
type Check = fn(&[u8]) -> bool;

/// Name of the target (and of its folder in `fuzz/corpus`) and what it checks.
const TARGETS: &[(&str, Check)] =
    &[("attach", attach::attach), ("attach_live", attach::attach_live), ("meta", meta::check)];

/// Targets that the elements replay.
const OF_TEXTS: [&str; 2] = ["caps", "structure"];

fn fuzz_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

fn inputs(target: &str) -> Vec<PathBuf> {
    let dir = fuzz_dir().join("corpus").join(target);
    let entries = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_input_of_every_corpus_passes() {
    for &(target, check) in TARGETS {
        let mut valid = 0;
        let paths = inputs(target);
        for path in &paths {
            println!("{}", path.display());
            valid += usize::from(check(&fs::read(path).expect("a readable input")));
        }
        // A corpus that only holds rejects, or no rejects, has rotted.
        assert!(valid >= 5, "{target}: {valid} of {} inputs are valid", paths.len());
        assert!(paths.len() - valid >= 5, "{target}: {valid} of {} inputs are valid", paths.len());
    }
}

#[test]
fn every_fuzz_target_has_its_corpus_replayed() {
    let mut targets: Vec<String> = fs::read_dir(fuzz_dir().join("fuzz_targets"))
        .expect("the folder of targets")
        .map(|entry| entry.expect("a readable folder").path())
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    targets.sort();
    let mut replayed: Vec<&str> = TARGETS.iter().map(|&(name, _)| name).chain(OF_TEXTS).collect();
    replayed.sort_unstable();
    assert_eq!(targets, replayed, "fuzz/fuzz_targets and TARGETS differ");
}
