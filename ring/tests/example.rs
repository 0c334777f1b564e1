//! The example of the documentation does what it says.
#![allow(missing_docs)]

mod common;

use std::path::PathBuf;
use std::process::Command;

#[test]
fn the_example_sends_from_one_process_to_another() {
    let dir = common::Dir::new();
    let target = PathBuf::from(std::env::current_exe().unwrap().parent().unwrap().parent().unwrap());
    let output = Command::new(target.join("examples/hello")).env("SHMFLOW_DIR", dir.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text, "hello\nfrom another process\n");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert!(dir.files().is_empty(), "{:?}", dir.files());
}
