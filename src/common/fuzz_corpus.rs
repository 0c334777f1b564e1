//! Replays the corpora of the fuzzers that read texts, as `ring/tests/fuzz_corpus.rs` does those of all others.

use std::fs;
use std::path::Path;

use super::texts::{check_caps, check_structure};

#[test]
fn every_text_of_the_corpora_is_read_or_refused() {
    for (target, check) in [("caps", check_caps as fn(&[u8]) -> bool), ("structure", check_structure)] {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let entries = fs::read_dir(corpus).expect("the folder of the corpus");
        let texts: Vec<_> =
            entries.map(|entry| fs::read(entry.expect("an entry").path()).expect("readable")).collect();
        let valid = texts.iter().filter(|text| check(text)).count();
        // A corpus that only holds rejects, or no rejects, has rotted.
        assert!(valid >= 5 && texts.len() - valid >= 5, "{target}: {valid} of {} are valid", texts.len());
    }
}
