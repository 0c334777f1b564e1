//! A run of a few seconds measures something, and its report gets into a document.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn compare(arguments: &[&str], folder: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_shmflow-compare"))
        .args(arguments)
        .arg("--out")
        .arg(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_quick_run_gives_tables_json_and_plots_and_writes_its_parts_of_a_document() {
    let folder = std::env::temp_dir().join(format!("compare-smoke-{}", std::process::id()));
    let tables = compare(
        &[
            "--quick", "--row", "little", "--peer", "none", "--peer", "shm", "--peer", "shmflow", "--peer",
            "floor",
        ],
        &folder,
    );
    assert!(tables.contains("push→arrival p50"), "{tables}");
    let run: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("compare.json")).unwrap()).unwrap();
    let figures = &run["rows"][0]["peers"]["shm"]["figures"];
    for figure in ["producer_cpu", "consumer_cpu", "p50", "received", "producer_rss", "pss", "shared_length"]
    {
        assert!(figures[figure]["1"].as_f64().is_some_and(|value| value > 0.0), "{figure}: {figures}");
    }
    // The plugin is beside this program once it has been built.
    if run["absent"].get("shmflow").is_none() {
        assert!(std::fs::read_to_string(folder.join("compare-p50.svg")).unwrap().contains("shmflow"));
    }

    let document = folder.join("page.md");
    std::fs::write(&document, "By hand.\n<!-- compare: times -->\nold\n<!-- /compare -->\n").unwrap();
    let write = ["report", "--write", &document.to_string_lossy(), "--pictures", &folder.to_string_lossy()];
    compare(&write, &folder);
    let page = std::fs::read_to_string(&document).unwrap();
    assert!(page.contains("By hand.") && page.contains("| shm |") && !page.contains("old"), "{page}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_quick_run_of_budgets_writes_its_part_of_a_document_and_leaves_the_others() {
    let folder = std::env::temp_dir().join(format!("compare-due-{}", std::process::id()));
    let tables = compare(&["due", "--quick"], &folder);
    assert!(tables.contains("| 60 fps × 1, steady") && tables.contains("| 240 fps × 4, ±300 µs"), "{tables}");
    let run: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("busy-wait.json")).unwrap()).unwrap();
    // The plugin is beside this program once it has been built.
    let peers: &[&str] = if run["absent"].get("shmflow").is_none() {
        &["shm", "shmflow", "shmflow-busy50", "shmflow-busy", "shmflow-busy300"]
    } else {
        &["shm"]
    };
    for row in run["rows"].as_array().unwrap() {
        for peer in peers {
            let figures = &row["peers"][peer]["figures"];
            assert!(figures["p50"]["1"].as_f64().is_some_and(|value| value > 0.0), "{peer}: {row}");
            let expected = figures["expected"]["1"].as_f64();
            assert!(expected.is_some_and(|part| part <= 1.0) == (*peer != "shm"), "{peer}: {row}");
        }
    }

    let document = folder.join("page.md");
    let times = "<!-- compare: times -->\nold\n<!-- /compare -->\n";
    std::fs::write(&document, format!("{times}<!-- compare: due -->\n<!-- /compare -->\n")).unwrap();
    compare(&["report", "--write", &document.to_string_lossy()], &folder);
    let page = std::fs::read_to_string(&document).unwrap();
    assert!(page.starts_with(times) && page.contains("| 60 fps × 1, steady"), "{page}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_row_that_does_not_exist_is_named_with_those_that_do() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_shmflow-compare")).args(["--row", "litle"]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && error.contains("no row litle") && error.contains("little-16"),
        "{error}"
    );
}
