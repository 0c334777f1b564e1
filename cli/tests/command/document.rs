//! `docs/cli.md` shows sessions: each is run, line by line.

use std::process::Command;

use crate::support::{Dir, Ran};

/// The blocks of a document that are sessions: what is typed after `$ `, and what came of it.
fn sessions(text: &str) -> Vec<Vec<(String, Vec<String>)>> {
    let mut found = Vec::new();
    for block in text.split("```console\n").skip(1) {
        let block = block.split("\n```").next().unwrap();
        let mut session: Vec<(String, Vec<String>)> = Vec::new();
        for line in block.lines() {
            match (line.strip_prefix("$ "), session.last_mut()) {
                (Some(typed), _) => session.push((typed.to_owned(), Vec::new())),
                (None, Some((_, output))) => output.push(line.to_owned()),
                (None, None) => panic!("a session begins with a command: {line}"),
            }
        }
        found.push(session);
    }
    found
}

/// Whether a line is as the document has it: numbers differ from run to run, and `…` stands for anything.
fn is_like(shown: &str, got: &str) -> bool {
    let words = |line: &str| -> Vec<String> {
        let masked = |word: &str| {
            let digits = word.chars().any(|c| c.is_ascii_digit());
            if digits { "0".to_owned() } else { word.to_owned() }
        };
        line.split_whitespace()
            .filter(|word| !matches!(*word, "µs" | "ms" | "s" | "B" | "KiB" | "MiB"))
            .map(masked)
            .collect()
    };
    match shown.split_once('…') {
        Some((before, _)) => {
            let (before, got) = (words(before), words(got));
            got.len() >= before.len()
                && got[..before.len().saturating_sub(1)] == before[..before.len().saturating_sub(1)]
        }
        None => words(shown) == words(got),
    }
}

#[test]
fn the_sessions_of_the_document_are_what_happens() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md")).unwrap();
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_shmflow")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let all = sessions(&text);
    assert!(all.len() >= 5, "{}", all.len());
    for session in all {
        let dir = Dir::new();
        for (typed, shown) in session {
            let mut command = Command::new("bash");
            command
                .args(["-c", &format!("cd \"$SHMFLOW_DIR\"; {typed}")])
                .env("SHMFLOW_DIR", &dir.0)
                .env("PATH", &path);
            let ran = Ran(command.output().unwrap());
            let all = format!("{}{}", ran.out(), ran.err()).replace(dir.0.to_str().unwrap(), "/dev/shm");
            let got: Vec<_> = all.lines().collect();
            let alike =
                got.len() == shown.len() && shown.iter().zip(&got).all(|(shown, got)| is_like(shown, got));
            assert!(alike, "$ {typed}\n{}\n--- but the document has\n{}", got.join("\n"), shown.join("\n"));
        }
    }
}
