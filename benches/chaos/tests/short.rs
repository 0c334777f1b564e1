//! A short run of the faults that need no more than this program, so that `make chaos` does not rot. `make test` also runs all of
//! them for a second each, with pipelines, C and Python.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

use std::path::Path;
use std::process::Command;

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
