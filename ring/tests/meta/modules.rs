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

/// The first names of all paths in `code` that begin with one of `roots`.
fn names_after<'a>(code: &'a str, roots: &[&str]) -> Vec<&'a str> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for root in roots {
        for (at, _) in code.match_indices(root).filter(|(at, _)| !code[..*at].ends_with(is_name)) {
            let path = &code[at + root.len()..];
            let Some(group) = path.strip_prefix('{') else {
                found.extend(path.split(|c| !is_name(c)).next());
                continue;
            };
            let mut depth = 0;
            // One that begins with `self`, or a group within the group, names nothing of its own.
            let items = group.split(|c| {
                depth += i32::from(c == '{') - i32::from(c == '}');
                depth < 0 || (depth == 0 && c == ',')
            });
            let end = group.find("};").unwrap_or(group.len());
            let items = items.filter(|item| item.as_ptr().addr() < group.as_ptr().addr() + end);
            found.extend(items.filter_map(|item| item.trim().split(|c| !is_name(c)).next()));
        }
    }
    found
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

#[test]
fn the_files_of_a_module_stand_on_one_another_too() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (module, lowest_first) in [
        ("shm", &["participants", "shared", "registration", "epoch", "sparse", "backing"][..]),
        ("lifecycle", &["files", "whole", "reap", "recovery", "follow", "grow", "leave", "crowd", "open"]),
    ] {
        let folder = src.join(module);
        let mut there: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .filter(|name| name != "mod")
            .collect();
        there.sort_by_key(|name| lowest_first.iter().position(|known| known == name));
        assert_eq!(there, lowest_first, "the files of {module}");
        for (place, name) in lowest_first.iter().enumerate() {
            let text = fs::read_to_string(folder.join(name).with_extension("rs")).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            let code: String = code.lines().filter(|line| !line.trim().starts_with("//")).collect();
            let mut above = names_after(&code, &["super::", &format!("crate::{module}::")]);
            above.retain(|used| lowest_first[place..].contains(used));
            assert_eq!(above, [""; 0], "{module}/{name}.rs stands below");
        }
    }
}

#[test]
fn paths_are_read_with_their_groups() {
    let code =
        "use super::a::X; use super::{b::{self, Y}, c, self}; fn f() { super::d::g(); my_super::e::h() }";
    assert_eq!(names_after(code, &["super::"]), ["a", "b", "c", "self", "d"]);
}
