//! Processor time of a video stream: pictures filled and read whole, the receiver keeping up.

use super::{Bench, DEPTH, HD_FRAME, number, numbers};
use crate::Res;
use crate::report::{Check, Outcome, Table};
use crate::spec::{Kind, Spec, Work};
use crate::stats::{Spread, quantile};
use serde_json::Value;

/// Name, transport, depth, history.
const ROWS: [(&str, Kind, u32, u32); 5] = [
    ("two plain buffers, no ring", Kind::Bare, 2, 0),
    ("eight plain buffers, no ring", Kind::Bare, 8, 0),
    ("iceoryx2, 8 deep", Kind::Iceoryx, DEPTH, 0),
    ("shmflow, 8 deep, history 1 (warm slots)", Kind::Ring, DEPTH, 1),
    ("shmflow, 8 deep, history 8 (all slots in turn)", Kind::Ring, DEPTH, DEPTH),
];

pub(super) fn run(bench: &Bench) -> Res<Outcome> {
    let mut table = Table::new(
        "8.3 MB frames, filled and read whole, 200 a second: milliseconds per frame",
        &[
            "with",
            "sender CPU",
            "receiver CPU",
            "both",
            "of two buffers",
            "fill",
            "read",
            "take, publish, wake µs",
        ],
    );
    let specs = ROWS.map(|(_, kind, depth, history)| Spec {
        bytes: HD_FRAME,
        work: Work::FillRead,
        sleep: true,
        rate: 200,
        millis: bench.pick(120, 200),
        warm: 15,
        depth,
        history,
        ..bench.spec(kind)
    });
    let results = bench.interleaved(bench.pick(21, 2), &specs, |spec| {
        let (sender, receivers) = bench.play(spec, ("paced-send", "paced-receive"), 1)?;
        Ok((sender, receivers.into_iter().next().unwrap_or(Value::Null)))
    })?;
    let both = |rounds: &[(Value, Value)]| -> Vec<f64> {
        rounds.iter().map(|(tx, rx)| (number(tx, "cpu") + number(rx, "cpu")) * 1e-6).collect()
    };
    // Rounds are compared with the same round of the yardstick: what else the machine does falls on both.
    let yard = results.first().map(|rounds| both(rounds)).unwrap_or_default();
    let mut outcome = Outcome::default();
    for ((name, kind, _, history), rounds) in ROWS.iter().zip(&results) {
        let each = |get: &dyn Fn(&(Value, Value)) -> f64| Spread::of(rounds.iter().map(get).collect());
        let sum = both(rounds);
        let ratio = Spread::ratio(&sum, &yard);
        let median = |value: &Value, name: &str| quantile(&numbers(value, name), 0.5);
        table.row(vec![
            (*name).into(),
            each(&|(tx, _)| number(tx, "cpu") * 1e-6).into(),
            each(&|(_, rx)| number(rx, "cpu") * 1e-6).into(),
            Spread::of(sum).into(),
            ratio.into(),
            each(&|(tx, _)| median(tx, "fill") * 1e-6).into(),
            each(&|(_, rx)| median(rx, "read") * 1e-6).into(),
            each(&|(tx, _)| median(tx, "send") * 1e-3).into(),
        ]);
        if (*kind, *history) == (Kind::Ring, 1) {
            outcome.checks.push(Check {
                what: "processor time per 8.3 MB frame, filled and read whole".into(),
                wanted: "≤ 1.05 × two plain buffers".into(),
                got: format!("{ratio} ×"),
                met: ratio.median <= 1.05,
                asserted: false,
            });
        }
    }
    table.note(
        "The receiver sleeps between frames. CPU: user and system time of the whole process per frame, pacing and \
         wake-ups included. The plain buffers are handed over with a counter and a bare futex. Fill and read: wall \
         time of the loop alone; what history 1 gains is that the slots it uses stay in the cache.",
    );
    outcome.tables.push(table);
    Ok(outcome)
}
