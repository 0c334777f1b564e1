//! What a publish costs its sender, by the number of receivers.

use super::{Bench, HD_FRAME, numbers};
use crate::Res;
use crate::report::{Check, Outcome, Table};
use crate::spec::{Kind, Spec};
use crate::stats::{Spread, quantile, sorted};

const COUNTS: [u32; 4] = [0, 1, 8, 32];

#[derive(Clone, Copy, PartialEq)]
enum Situation {
    /// Registered, but they do not read: everything they are owed is overwritten.
    Idle,
    /// All read every frame before the next few are sent; nobody sleeps.
    KeepUp,
    /// The same with 8.3 MB frames and history 1, where a producer looks who is past what to find a warm slot.
    Warm,
    /// Each a process that sleeps until it is woken, at 100 frames a second.
    Asleep,
}

const ROWS: [(&str, Kind, Situation); 9] = [
    ("iceoryx2, receivers do not read", Kind::Iceoryx, Situation::Idle),
    ("shmflow, receivers do not read", Kind::Ring, Situation::Idle),
    ("iceoryx2, keeping up, nobody asleep", Kind::Iceoryx, Situation::KeepUp),
    ("shmflow, keeping up, nobody asleep", Kind::Ring, Situation::KeepUp),
    ("iceoryx2, keeping up, 8.3 MB frames", Kind::Iceoryx, Situation::Warm),
    ("shmflow, keeping up, 8.3 MB frames, history 1", Kind::Ring, Situation::Warm),
    ("bare futex, all asleep", Kind::Bare, Situation::Asleep),
    ("iceoryx2, all asleep", Kind::Iceoryx, Situation::Asleep),
    ("shmflow, all asleep", Kind::Ring, Situation::Asleep),
];

pub(super) fn run(bench: &Bench) -> Res<Outcome> {
    let mut table = Table::new(
        "A publish, 64 bytes, p50 in ns",
        &["with", "0 receivers", "1 receiver", "8 receivers", "32 receivers"],
    );
    // All cells take turns, so that any two may be compared.
    let cells: Vec<Spec> = ROWS
        .iter()
        .flat_map(|(_, kind, situation)| COUNTS.map(|count| spec(bench, *kind, *situation, count)))
        .collect();
    let results = bench.interleaved(bench.pick(5, 1), &cells, |spec| samples(bench, spec))?;
    let mut outcome = Outcome::default();
    for ((name, kind, situation), columns) in ROWS.iter().zip(results.chunks(COUNTS.len())) {
        let cells = columns.iter().map(|rounds| Spread::of_quantile(rounds, 0.5).into());
        table.row(std::iter::once((*name).into()).chain(cells).collect());
        if let ([_, one, _, many], Kind::Ring, false) = (columns, kind, *situation == Situation::Asleep) {
            outcome.checks.push(check(name, one, many));
        }
    }
    table.note(
        "Taking a frame, stamping it and publishing it. Not reading and keeping up: four publishes timed together; all \
         receivers are in one process on the other processor, since 32 processes cannot all keep up there. Asleep: \
         each receiver is a process that is asleep at every publish; the wake-up call is included, and what \
         FUTEX_WAKE alone costs for so many sleepers is the bare row.",
    );
    outcome.tables.push(table);
    Ok(outcome)
}

fn check(name: &str, one: &[Vec<f64>], many: &[Vec<f64>]) -> Check {
    let medians = |rounds: &[Vec<f64>]| -> Vec<f64> {
        rounds.iter().map(|round| quantile(&sorted(round.clone()), 0.5)).collect()
    };
    let ratio = Spread::ratio(&medians(many), &medians(one));
    Check {
        what: format!("a publish with 32 receivers, {name}"),
        wanted: "≤ 1.2 × that with one, round by round".into(),
        got: format!("{ratio} ×"),
        met: ratio.median <= 1.2,
        asserted: false,
    }
}

fn spec(bench: &Bench, kind: Kind, situation: Situation, receivers: u32) -> Spec {
    let sleep = situation == Situation::Asleep;
    Spec {
        bytes: match (kind, situation) {
            (Kind::Bare, _) => 0,
            (_, Situation::Warm) => HD_FRAME,
            _ => 64,
        },
        history: u32::from(situation == Situation::Warm),
        receivers,
        sleep,
        window: u64::from(matches!(situation, Situation::KeepUp | Situation::Warm) && receivers > 0),
        rate: 100,
        millis: if sleep { 300 } else { 80 },
        warm: if sleep { 5 } else { 100 },
        ..bench.spec(kind)
    }
}

fn samples(bench: &Bench, spec: &Spec) -> Res<Vec<f64>> {
    let (sender, _) = match (spec.sleep, spec.window) {
        (true, _) => bench.play(spec, ("paced-send", "paced-receive"), spec.receivers)?,
        (false, 0) => bench.play(spec, ("batch-send", "hold"), u32::from(spec.receivers > 0))?,
        (false, _) => bench.play(spec, ("batch-send", "batch-receive"), 1)?,
    };
    Ok(numbers(&sender, "send"))
}
