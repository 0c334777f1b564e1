//! System calls per message, counted by `strace`.

use super::{Bench, HD_FRAME};
use crate::Res;
use crate::child::{Child, Scene};
use crate::report::{Cell, Check, Outcome, Table};
use crate::role::MARK;
use crate::spec::{Kind, Spec};
use crate::stats::short;
use std::collections::BTreeMap;
use std::path::Path;

const KINDS: [Kind; 3] = [Kind::Bare, Kind::Iceoryx, Kind::Ring];

struct Situation {
    name: &'static str,
    roles: (&'static str, &'static str),
    sleep: bool,
    lossless: bool,
    frames: u64,
}

const RUSH: (&str, &str) = ("rush-send", "rush-receive");
const PACED: (&str, &str) = ("paced-send", "paced-receive");

const SITUATIONS: [Situation; 4] = [
    Situation { name: "nobody asleep", roles: RUSH, sleep: false, lossless: false, frames: 10_000 },
    Situation { name: "nobody asleep, lossless", roles: RUSH, sleep: false, lossless: true, frames: 10_000 },
    Situation { name: "one sleeper", roles: PACED, sleep: true, lossless: false, frames: 200 },
    Situation { name: "one sleeper, lossless", roles: PACED, sleep: true, lossless: true, frames: 200 },
];

pub(super) fn run(bench: &Bench) -> Res<Outcome> {
    let mut table = Table::new("System calls per message", &["situation", "with", "sender", "receiver"]);
    let mut outcome = Outcome::default();
    table.note(
        "Counted by strace between two marks, 8.3 MB frames, untouched. One sleeper: 200 frames a second, so that the \
         receiver is asleep at each; the sender paces itself without system calls. What the first frames of a new ring cost is before the mark.",
    );
    if let Err(e) = std::process::Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status() {
        table.note(format!("Not measured: strace cannot be started ({e})."));
        outcome.tables.push(table);
        return Ok(outcome);
    }
    for situation in &SITUATIONS {
        // Only ours has the choice.
        for kind in KINDS.into_iter().filter(|kind| !situation.lossless || *kind == Kind::Ring) {
            let spec = Spec {
                bytes: HD_FRAME,
                sleep: situation.sleep,
                lossless: situation.lossless,
                window: 4,
                frames: situation.frames,
                rate: 200,
                spin: true,
                warm: 20,
                mark: true,
                ..bench.spec(kind)
            };
            let [sender, receiver] = counts(bench, &spec, situation.roles)?;
            table.row(vec![
                situation.name.into(),
                kind.name().into(),
                cell(&sender, situation.frames),
                cell(&receiver, situation.frames),
            ]);
            if kind == Kind::Ring {
                outcome.checks.extend(checks(situation, &sender, &receiver));
            }
        }
    }
    outcome.tables.push(table);
    Ok(outcome)
}

type Counts = BTreeMap<String, u64>;

fn per_frame(counts: &Counts, frames: u64) -> f64 {
    counts.values().sum::<u64>() as f64 / frames.max(1) as f64
}

fn cell(counts: &Counts, frames: u64) -> Cell {
    let each = per_frame(counts, frames);
    let names: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    let names =
        if names.is_empty() { String::new() } else { format!(" ({} in {frames} frames)", names.join(", ")) };
    Cell::new(format!("{}{names}", short(each)), each)
}

/// Wake-up calls are counted exactly. Beside them the sender may look, at most twenty times a second, whether a
/// sleeper that nothing woke is dead: with a busy machine a few of these fall into the 200 frames.
fn checks(situation: &Situation, sender: &Counts, receiver: &Counts) -> Vec<Check> {
    let check = |what: &str, count: u64, allowed: u64, wanted: &str| Check {
        what: format!("{what}, {}", situation.name),
        wanted: wanted.to_owned(),
        got: format!("{count} in {} frames", situation.frames),
        met: count <= allowed,
        asserted: true,
    };
    let all = |counts: &Counts| counts.values().sum::<u64>();
    if !situation.sleep {
        return vec![
            check("system calls of the sender", all(sender), 0, "0"),
            check("system calls of the receiver", all(receiver), 0, "0"),
        ];
    }
    let wakes = sender.get("futex").copied().unwrap_or(0);
    vec![
        check("wake-up calls", wakes, situation.frames, "at most one per message"),
        check(
            "other system calls of the sender",
            all(sender).saturating_sub(wakes),
            situation.frames / 10,
            "few",
        ),
    ]
}

/// What sender and receiver called between their marks.
fn counts(bench: &Bench, spec: &Spec, roles: (&'static str, &'static str)) -> Res<[Counts; 2]> {
    let spec = bench.fresh(spec);
    let log = |side: &str| std::env::temp_dir().join(format!("{}.{}.{side}.strace", spec.run, spec.topic));
    let logs = [log("sender"), log("receiver")];
    let result = (|| {
        let mut scene = Scene::new(&spec)?;
        for (side, (role, log)) in [roles.0, roles.1].into_iter().zip(&logs).enumerate() {
            let wrapper = ["strace", "-f", "-qq", "-o", &log.to_string_lossy()].map(str::to_owned);
            scene.add(Child::spawn_under(&wrapper, role, &bench.on(side, &spec))?);
        }
        scene.play()?;
        Ok([between_marks(&read(&logs[0])?)?, between_marks(&read(&logs[1])?)?])
    })();
    for log in logs {
        let _ = std::fs::remove_file(log);
    }
    result
}

fn read(log: &Path) -> Res<String> {
    std::fs::read_to_string(log).map_err(|e| format!("cannot read {}: {e}", log.display()).into())
}

/// Counts the calls that begin between the first two marks of a log.
fn between_marks(log: &str) -> Res<Counts> {
    let mark = format!("getpgid({MARK})");
    let mut counts = Counts::new();
    let mut marks = 0;
    for line in log.lines() {
        // "1234  futex(0x7f…) = 1"; with an unfinished call its end is a line "1234  <... futex resumed>".
        let call =
            line.trim_start().split_once(char::is_whitespace).map_or("", |(_, call)| call.trim_start());
        if call.starts_with(&mark) {
            marks += 1;
        } else if marks == 1
            && let Some((name, _)) = call.split_once('(')
            && !call.starts_with('<')
        {
            *counts.entry(name.to_owned()).or_default() += 1;
        }
    }
    if marks < 2 {
        return Err(format!("strace shows {marks} of 2 marks: may it trace here (ptrace)?").into());
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_calls_between_the_marks_count() {
        let log = "10 mmap(NULL) = 0\n10 getpgid(1073741809) = -1 ESRCH\n10 futex(0x1, FUTEX_WAKE, 1) = 1\n\
                   11 futex(0x1, FUTEX_WAIT <unfinished ...>\n11 <... futex resumed>) = 0\n\
                   10 getpgid(1073741809) = -1 ESRCH\n10 write(1) = 1\n";
        let counts = between_marks(log).unwrap();
        assert_eq!(counts.into_iter().collect::<Vec<_>>(), [("futex".to_owned(), 2)]);
    }

    #[test]
    fn a_log_without_marks_is_an_error() {
        assert!(between_marks("10 futex(0x1) = 0\n").is_err());
    }
}
