//! The header that is checked in is the one that the source makes, and compilers of C and C++ take it.
//!
//! `SHMFLOW_REGENERATE=1 cargo test -p shmflow-capi --test header` writes it anew.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test's way to fail")]

mod support;

use std::path::Path;

use support::Place;

/// The files of the interface, in the order in which one reads it.
const FILES: [&str; 11] = [
    "status", "fail", "version", "metadata", "attached", "options", "producer", "claim", "consumer", "frame",
    "planes",
];

fn made() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    let builder = FILES.iter().fold(cbindgen::Builder::new().with_config(config), |builder, file| {
        builder.with_src(root.join(format!("src/{file}.rs")))
    });
    let mut made = Vec::new();
    builder.generate().unwrap().write(&mut made);
    for_c(&String::from_utf8(made).unwrap())
}

/// What C has otherwise than Rust: negative numbers in brackets, and no headings in comments.
fn for_c(header: &str) -> String {
    let mut lines = Vec::new();
    let mut safety = false;
    for line in header.lines() {
        match line.rsplit_once(' ') {
            Some((define, number)) if line.starts_with("#define") && number.starts_with('-') => {
                lines.push(format!("{define} ({number})"));
            }
            _ if line.trim() == "* # Safety" => safety = true,
            _ if std::mem::take(&mut safety) => lines.push(line.replacen("* ", "* Safety: ", 1)),
            _ => lines.push(line.to_owned()),
        }
    }
    lines.join("\n") + "\n"
}

#[test]
fn the_header_is_made_from_the_source() {
    let made = made();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/shmflow.h");
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

/// Names of the functions that the header declares.
fn functions(header: &str) -> Vec<String> {
    let lines = header.lines().filter(|line| !line.starts_with([' ', '#', '/', '}']));
    let names = lines.filter_map(|line| line.split_once('(')?.0.rsplit([' ', '*']).next());
    let names: Vec<_> = names.filter(|name| name.starts_with("shmflow_")).map(str::to_owned).collect();
    assert!(names.len() > 40, "the header was not understood: {names:?}");
    names
}

#[test]
fn the_reference_has_every_function() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let reference = std::fs::read_to_string(root.join("../docs/c.md")).unwrap();
    for name in functions(&made()) {
        // In full, or, after another of its kind, the rest of its name.
        let (_, rest) = name.split_once('_').unwrap();
        let rest = rest.split_once('_').unwrap_or(("", rest)).1;
        let known = [format!("{name}`"), format!("{name}("), format!("`_{rest}`")];
        assert!(known.iter().any(|form| reference.contains(form)), "docs/c.md does not have {name}");
    }
}

#[test]
fn every_exported_function_is_in_a_header_and_every_declared_one_exported() {
    let place = Place::new();
    let exported: Vec<String> = place
        .run("nm", &["-D", "--defined-only", place.library("so").to_str().unwrap()])
        .lines()
        .filter_map(|line| line.rsplit_once(" T ").map(|(_, name)| name.to_owned()))
        .collect();
    let header = made();
    let classic = std::fs::read_to_string(support::include().join("flow.h")).unwrap();
    for name in &exported {
        let declared = [&header, &classic].iter().any(|text| text.contains(&format!("{name}(")));
        assert!(declared, "{name} is exported, and in no header");
    }
    let declared = functions(&header);
    for name in &declared {
        assert!(exported.contains(name), "{name} is declared, and not exported");
    }
    for name in ["init_flow", "write_data", "read_data"] {
        assert!(exported.iter().any(|known| known == name), "{name}");
    }
}

#[test]
fn compilers_of_c_and_of_cxx_take_both_headers() {
    let place = Place::new();
    let text = "#include \"shmflow.h\"\n#include \"flow.h\"\nint main(void) { return shmflow_last_error_status(); }\n";
    for (compiler, flags, ending) in [
        ("gcc", &["-std=c99"][..], "c"),
        ("gcc", &["-std=c11", "-Wstrict-prototypes"], "c"),
        ("g++", &["-std=c++11"], "cc"),
        ("g++", &["-std=c++20"], "cc"),
    ] {
        let source = place.write(&format!("headers.{ending}"), text);
        place.compile(compiler, &source, "headers", flags);
        place.run(place.path("headers"), &[]);
    }
}
