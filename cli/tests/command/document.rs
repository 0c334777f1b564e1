//! `docs/cli.md` shows sessions: each is run, line by line.

use std::process::{Command, Stdio};

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
            .filter(|word| {
                let unit = word.strip_suffix("/s").unwrap_or(word);
                !matches!(unit, "ns" | "µs" | "ms" | "s" | "B" | "KiB" | "MiB" | "GiB")
            })
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

/// Whether the shell says this, of a program in the background.
fn is_of_a_job(line: &str) -> bool {
    let number = line.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    number.is_some_and(|(number, _)| number.parse::<u32>().is_ok())
}

/// Runs the lines of a session in one shell, as a person does: what came of each of them.
fn run(dir: &Dir, session: &[(String, Vec<String>)]) -> Vec<String> {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_shmflow")).parent().unwrap();
    let outputs = Dir::new();
    let out = |number: usize| outputs.0.join(number.to_string());
    // With its jobs in groups, as at a terminal.
    let mut script = "set -m; cd \"$SHMFLOW_DIR\"\n".to_owned();
    for (number, (typed, _)) in session.iter().enumerate() {
        script += &format!("{{ {typed}\n}} > {} 2>&1\n", out(number).display());
    }
    // What still runs beside it, such as a producer.
    script += "for job in $(jobs -p); do kill -- -$job; done 2> /dev/null; wait";
    let mut command = Command::new("bash");
    command.args(["-c", &script]).env("SHMFLOW_DIR", &dir.0).stdin(Stdio::null());
    command.env("PATH", format!("{}:{}", program.display(), std::env::var("PATH").unwrap()));
    let ran = Ran(command.output().unwrap());
    let read = |number| std::fs::read_to_string(out(number)).unwrap_or_else(|_| panic!("{}", ran.err()));
    (0..session.len()).map(|number| read(number).replace(dir.0.to_str().unwrap(), "/dev/shm")).collect()
}

#[test]
fn the_sessions_of_the_document_are_what_happens() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md")).unwrap();
    let all = sessions(&text);
    assert!(all.len() >= 5, "{}", all.len());
    for session in all {
        let dir = Dir::new();
        for ((typed, shown), got) in session.iter().zip(run(&dir, &session)) {
            let got: Vec<_> = got.lines().filter(|line| !is_of_a_job(line)).collect();
            let alike =
                got.len() == shown.len() && shown.iter().zip(&got).all(|(shown, got)| is_like(shown, got));
            assert!(alike, "$ {typed}\n{}\n--- but the document has\n{}", got.join("\n"), shown.join("\n"));
        }
    }
}

#[test]
fn every_command_of_the_table_is_in_a_session_or_needs_a_person() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md")).unwrap();
    let all = sessions(&text);
    let typed: Vec<_> = all.iter().flatten().map(|(typed, _)| typed.as_str()).collect();
    let table = text.split("\n\n").find(|part| part.contains("| `ls`, `info TOPIC` |")).unwrap();
    let names = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let names = names.flat_map(|cell| cell.split("`, `")).map(|name| name.split([' ', '`']).next().unwrap());
    let mut count = 0;
    for name in names.filter(|name| !["top", "view", "completions", "man"].contains(name)) {
        count += 1;
        assert!(typed.iter().any(|line| line.contains(&format!("shmflow {name}"))), "no session has {name}");
    }
    assert!(count > 15, "{table}");
}
