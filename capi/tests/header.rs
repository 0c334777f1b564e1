//! The header that is checked in is the one that the source makes.
//!
//! `SHMFLOW_REGENERATE=1 cargo test -p shmflow-capi --test header` writes it anew.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test's way to fail")]

use std::path::Path;

#[test]
fn the_header_is_made_from_the_source() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    let mut builder = cbindgen::Builder::new().with_config(config);
    // In the order in which one reads them.
    for file in ["status", "fail", "version", "metadata", "options", "producer", "claim", "consumer", "frame", "planes"] {
        builder = builder.with_src(root.join(format!("src/{file}.rs")));
    }
    let mut made = Vec::new();
    builder.generate().unwrap().write(&mut made);
    let made = String::from_utf8(made).unwrap();
    let path = root.join("include/shmflow.h");
    if std::env::var_os("SHMFLOW_REGENERATE").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    if checked_in != made {
        let differs = checked_in.lines().zip(made.lines()).position(|(a, b)| a != b);
        panic!(
            "capi/include/shmflow.h is not what the source makes (line {:?}): \
             SHMFLOW_REGENERATE=1 cargo test -p shmflow-capi --test header",
            differs.map(|line| line + 1)
        );
    }
}
