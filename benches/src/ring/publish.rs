//! What a publish costs its sender, by the number of receivers.

use super::{Bench, numbers};
use crate::Res;
use crate::report::{Check, Outcome, Table};
use crate::spec::{Kind, Spec};
use crate::stats::Spread;

const COUNTS: [u32; 4] = [0, 1, 8, 32];

#[derive(Clone, Copy, PartialEq)]
enum Situation {
    /// Registered, but they do not read: everything they are owed is overwritten.
    Idle,
    /// All read every frame before the next few are sent; nobody sleeps.
    KeepUp,
    /// Each a process that sleeps until it is woken, at 100 frames a second.
    Asleep,
}

const ROWS: [(&str, Kind, Situation); 7] = [
    ("iceoryx2, receivers do not read", Kind::Iceoryx, Situation::Idle),
    ("shmflow, receivers do not read", Kind::Ring, Situation::Idle),
    ("iceoryx2, keeping up, nobody asleep", Kind::Iceoryx, Situation::KeepUp),
    ("shmflow, keeping up, nobody asleep", Kind::Ring, Situation::KeepUp),
    ("bare futex, all asleep", Kind::Bare, Situation::Asleep),
    ("iceoryx2, all asleep", Kind::Iceoryx, Situation::Asleep),
    ("shmflow, all asleep", Kind::Ring, Situation::Asleep),
];

pub(super) fn run(bench: &Bench) -> Res<Outcome> {
    let mut table = Table::new(
        "A publish, 64 bytes, p50 in ns",
        &["with", "0 receivers", "1 receiver", "8 receivers", "32 receivers"],
    );
    // All cells of a column take turns, so that rows may be compared.
    let mut columns = Vec::new();
    for count in COUNTS {
        let specs = ROWS.map(|(_, kind, situation)| spec(bench, kind, situation, count));
        columns.push(bench.interleaved(bench.pick(3, 1), &specs, |spec| samples(bench, spec))?);
    }
    let mut outcome = Outcome::default();
    for (at, (name, kind, situation)) in ROWS.iter().enumerate() {
        let spreads: Vec<Spread> = columns
            .iter()
            .filter_map(|column| column.get(at))
            .map(|rounds| Spread::of_quantile(rounds, 0.5))
            .collect();
        table.row(
            std::iter::once((*name).into()).chain(spreads.iter().map(|spread| (*spread).into())).collect(),
        );
        if let ([_, one, _, many], Kind::Ring, false) = (&spreads[..], kind, *situation == Situation::Asleep)
        {
            outcome.checks.push(Check {
                what: format!("a publish with 32 receivers, {name}"),
                wanted: format!("≤ 1.2 × that with one ({:.0} ns)", one.median),
                got: format!("{:.0} ns = {:.2} ×", many.median, many.median / one.median),
                met: many.median <= 1.2 * one.median,
                asserted: false,
            });
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

fn spec(bench: &Bench, kind: Kind, situation: Situation, receivers: u32) -> Spec {
    let sleep = situation == Situation::Asleep;
    Spec {
        bytes: if kind == Kind::Bare { 0 } else { 64 },
        receivers,
        sleep,
        window: u64::from(situation == Situation::KeepUp && receivers > 0),
        rate: 100,
        millis: if sleep { bench.pick(500, 200) } else { bench.pick(150, 80) },
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
