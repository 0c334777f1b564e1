//! Holds the list of fail points in `docs/kill-matrix.md` against the code.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

use shmflow::FailPoint;

#[test]
fn the_document_lists_every_point_and_what_a_death_there_leaves() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/kill-matrix.md")).unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let listed: Vec<(String, &str)> = rows
        .iter()
        .map(|row| (row[0].trim_end_matches("**L**").trim().trim_matches('`').to_owned(), row[1]))
        .collect();
    let points: Vec<(String, &str)> =
        FailPoint::ALL.iter().map(|step| (step.name().to_owned(), step.what())).collect();
    assert_eq!(listed, points);
    for row in rows {
        assert!(row.len() == 4 && row.iter().all(|cell| !cell.is_empty()), "{row:?}");
    }
}
