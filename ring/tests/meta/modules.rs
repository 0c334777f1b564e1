//! How the crate is cut: the ring carries the bytes of a metadata block, and only `meta/` knows what they say; what is below
//! knows nothing of what is above.

use std::fs;
use std::path::Path;

/// The lines of code below `folder` that `refers` picks, each with its file.
fn references(folder: &Path, refers: &dyn Fn(&str) -> bool, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            references(&path, refers, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            // Unit tests stand at the end of a file, and may use everything.
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            let lines = code.lines().map(str::trim).filter(|line| !line.starts_with("//"));
            let picked = lines.filter(|line| refers(line));
            found.extend(picked.map(|line| (path.display().to_string(), line.to_owned())));
        }
    }
}

/// Whether a line has a path through something called `meta`.
fn names_meta(line: &str) -> bool {
    line.match_indices("meta::")
        .any(|(at, _)| !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_'))
}

#[test]
fn the_ring_knows_no_more_of_metadata_than_its_bytes_and_that_there_is_an_error() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    references(&src, &|line| line.contains("crate::meta") || names_meta(line), &mut found);
    // Typed frames stand on the metadata, beside it, and so does what tells people what is on a topic.
    for above in ["meta", "typed", "admin/frame_info.rs"].map(|module| src.join(module)) {
        assert!(above.exists(), "{}", above.display());
        found.retain(|(file, _)| !Path::new(file).starts_with(&above));
    }
    let error = (src.join("error.rs").display().to_string(), "Meta(crate::meta::MetaError),".to_owned());
    assert_eq!(found, [error]);
}

#[test]
fn consumers_load_what_they_may_have_mapped_read_only_as_that_allows() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut lines = Vec::new();
    references(&src.join("consumer"), &|_| true, &mut lines);
    // As one line, since a long one is broken before each call.
    let code: String = lines.into_iter().map(|(_, line)| line).collect();
    let words = code.split("header().").skip(1);
    let found: Vec<&str> = words
        .filter_map(|after| {
            let end = after.find(|c: char| !(c.is_alphanumeric() || c == '_'))?;
            after[end..].starts_with(".load(").then(|| &after[..end])
        })
        .collect();
    assert_eq!(found, [""; 0], "`ParticipantTable::load` and `LoadAcquire` are for that");
}

#[test]
fn what_is_below_does_not_know_what_stands_on_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let handles = ["consumer", "producer", "admin", "typed", "tokio"];
    for (module, above) in [
        ("layout", &["protocol", "shm", "lifecycle"][..]),
        ("protocol", &["sys", "shm", "lifecycle"]),
        ("sys", &["shm", "lifecycle"]),
        ("shm", &["lifecycle"]),
        ("lifecycle", &[]),
    ] {
        let mut found = Vec::new();
        let above: Vec<String> = above.iter().chain(&handles).map(|name| format!("crate::{name}")).collect();
        let refers = |line: &str| above.iter().any(|path| line.contains(path.as_str()));
        references(&src.join(module), &refers, &mut found);
        assert_eq!(found, [], "{module} stands below");
    }
}
