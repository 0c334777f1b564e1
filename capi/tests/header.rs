//! The header that is checked in is the one that the source makes, and compilers of C and C++ take it.
//!
//! `SHMFLOW_REGENERATE=1 cargo test -p shmflow-capi --test header` writes it anew.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test's way to fail")]

mod support;

use std::path::Path;

use support::Place;

/// The files of the interface, in the order in which one reads it.
const FILES: [&str; 16] = [
    "status", "fail", "log", "version", "audio", "metadata", "attached", "times", "findings", "options",
    "producer", "claim", "consumer", "wait", "frame", "planes",
];

fn made() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    let builder = FILES.iter().fold(cbindgen::Builder::new().with_config(config), |builder, file| {
        builder.with_src(root.join(format!("src/{file}.rs")))
    });
    let mut made = Vec::new();
    builder.generate().unwrap().write(&mut made);
    let version = ["@MAJOR@", "@MINOR@", "@PATCH@"].into_iter().zip(env!("CARGO_PKG_VERSION").split('.'));
    let made = String::from_utf8(made).unwrap();
    for_c(&version.fold(made, |made, (part, number)| made.replace(part, number)))
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

/// What people deny in their own programs, and so would deny in a header.
const STRICT: [&str; 8] = [
    "-Wconversion",
    "-Wsign-conversion",
    "-Wshadow",
    "-Wundef",
    "-Wcast-align",
    "-Wcast-qual",
    "-Wwrite-strings",
    "-Wredundant-decls",
];

/// As its name says; also a compiler that is not here everywhere.
fn each_compiler(mut check: impl FnMut(&str, &[&str], &str)) {
    let has = |compiler: &str| std::process::Command::new(compiler).arg("--version").output().is_ok();
    for (compilers, standards, ending) in [
        (["gcc", "clang"], ["c99", "c11", "c17", "c2x"], "c"),
        (["g++", "clang++"], ["c++11", "c++14", "c++17", "c++20"], "cc"),
    ] {
        for compiler in compilers.into_iter().filter(|compiler| has(compiler)) {
            for standard in standards {
                let standard = format!("-std={standard}");
                let mut flags = vec![standard.as_str()];
                flags.extend(STRICT);
                let of_language = if ending == "c" {
                    ["-Wstrict-prototypes", "-Wmissing-prototypes"]
                } else {
                    ["-Wold-style-cast", "-Wzero-as-null-pointer-constant"]
                };
                flags.extend(of_language);
                check(compiler, &flags, ending);
            }
        }
    }
}

#[test]
fn compilers_of_c_and_of_cxx_take_both_headers_without_a_warning() {
    let place = Place::new();
    // Every macro that is a number is used, since an unused one is not looked at.
    let header = made();
    let numbers = header.lines().filter_map(|line| line.strip_prefix("#define SHMFLOW_")?.split_once(' '));
    let numbers: Vec<_> = numbers
        .map(|(name, _)| format!("SHMFLOW_{name}"))
        .filter(|name| !name.contains('(') && !["SHMFLOW_H", "SHMFLOW_VERSION"].contains(&name.as_str()))
        .collect();
    assert!(numbers.len() > 50, "{numbers:?}");
    let uses: String = numbers.iter().map(|name| format!("    sum += ({name}) == 0;\n")).collect();
    let text = format!(
        "#include \"shmflow.h\"\n#include \"flow.h\"\nint main(void) {{\n    int sum = 0;\n{uses}    return sum < 0 ? \
         1 : shmflow_last_error_status();\n}}\n"
    );
    each_compiler(|compiler, flags, ending| {
        let source = place.write(&format!("headers.{ending}"), &text);
        place.compile(compiler, &source, "headers", flags);
        place.run(place.path("headers"), &[]);
    });
}

#[test]
fn the_header_says_its_version_and_the_library_the_same() {
    let place = Place::new();
    let text = r#"
#include <stdio.h>
#include <string.h>
#include "shmflow.h"
#if !SHMFLOW_VERSION_AT_LEAST(SHMFLOW_VERSION_MAJOR, SHMFLOW_VERSION_MINOR, SHMFLOW_VERSION_PATCH)
#error "it is not of its own version"
#endif
#if SHMFLOW_VERSION_AT_LEAST(SHMFLOW_VERSION_MAJOR, SHMFLOW_VERSION_MINOR, SHMFLOW_VERSION_PATCH + 1) \
    || SHMFLOW_VERSION_AT_LEAST(SHMFLOW_VERSION_MAJOR, SHMFLOW_VERSION_MINOR + 1, 0) \
    || SHMFLOW_VERSION_AT_LEAST(SHMFLOW_VERSION_MAJOR + 1, 0, 0)
#error "it is not of a later one"
#endif
int main(void) {
    puts(shmflow_version());
    return strcmp(shmflow_version(), SHMFLOW_VERSION);
}
"#;
    let program = place.compile("gcc", &place.write("version.c", text), "version", &["-std=c99", "-Wundef"]);
    assert_eq!(place.run(program, &[]).trim_end(), env!("CARGO_PKG_VERSION"));
}

#[test]
fn what_is_deprecated_is_warned_of_unless_that_is_not_wanted() {
    let place = Place::new();
    let text = "#include \"shmflow.h\"\nSHMFLOW_DEPRECATED(\"use another\") void old(void);\nvoid call(void);\n\
                void call(void) { old(); }\n";
    let source = place.write("deprecated.c", text);
    let compile = |flags: &[&str]| {
        let mut command = std::process::Command::new("gcc");
        let command = command.args(["-std=c99", "-Wpedantic", "-fsyntax-only"]).args(flags);
        let output = command.arg("-I").arg(support::include()).arg(&source).output().unwrap();
        support::succeeded("gcc", &output);
        String::from_utf8(output.stderr).unwrap()
    };
    let warned = compile(&[]);
    assert!(warned.contains("deprecated") && warned.contains("use another"), "{warned}");
    assert_eq!(compile(&["-DSHMFLOW_NO_DEPRECATED"]), "");
}
