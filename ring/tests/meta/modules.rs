//! How the crate is cut: the ring carries the bytes of a metadata block, and only `meta/` knows what they say.

use std::fs;
use std::path::Path;

/// The lines of code below `folder` that refer to the module `meta`, each with its file.
fn references(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            references(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.lines().map(str::trim).filter(|line| !line.starts_with("//"));
            let refers = code.filter(|line| line.contains("crate::meta") || names_meta(line));
            found.extend(refers.map(|line| (path.display().to_string(), line.to_owned())));
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
    references(&src, &mut found);
    // Typed frames stand on the metadata, beside it.
    for above in ["meta", "typed"].map(|module| src.join(module)) {
        assert!(above.is_dir(), "{}", above.display());
        found.retain(|(file, _)| !Path::new(file).starts_with(&above));
    }
    let error = (src.join("error.rs").display().to_string(), "Meta(crate::meta::MetaError),".to_owned());
    assert_eq!(found, [error]);
}
