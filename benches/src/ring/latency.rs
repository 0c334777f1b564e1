//! From publish to receive, between two processes.

use super::{Bench, number, numbers};
use crate::Res;
use crate::report::{Check, Outcome, Table};
use crate::spec::{Kind, Spec};
use crate::stats::{Spread, quantile, sorted};
use serde_json::Value;

const KINDS: [Kind; 3] = [Kind::Bare, Kind::Iceoryx, Kind::Ring];

struct Situation {
    name: &'static str,
    paced: bool,
    sleep: bool,
}

const SITUATIONS: [Situation; 4] = [
    Situation { name: "spinning, ping-pong", paced: false, sleep: false },
    Situation { name: "spinning, 60 Hz", paced: true, sleep: false },
    Situation { name: "sleeping, ping-pong", paced: false, sleep: true },
    Situation { name: "sleeping, 60 Hz", paced: true, sleep: true },
];

pub(super) fn run(bench: &Bench) -> Res<Outcome> {
    let mut table = Table::new("Publish to receive, 64 bytes", &["situation", "with", "p50 µs", "p99 µs"]);
    let mut outcome = Outcome::default();
    for situation in SITUATIONS {
        let rounds = if situation.paced { bench.pick(9, 1) } else { bench.pick(11, 3) };
        let specs = KINDS.map(|kind| spec(bench, kind, &situation));
        let results = bench.interleaved(rounds, &specs, |spec| samples(bench, spec, &situation))?;
        let mut medians = Vec::new();
        for (kind, rounds) in KINDS.iter().zip(&results) {
            let p50 = Spread::of_quantile(rounds, 0.5).times(1e-3);
            let p99 = Spread::of_quantile(rounds, 0.99).times(1e-3);
            let name = match (kind, situation.sleep) {
                (Kind::Bare, true) => "bare futex",
                (Kind::Bare, false) => "bare cache line",
                _ => kind.name(),
            };
            table.row(vec![situation.name.into(), name.into(), p50.into(), p99.into()]);
            medians
                .push(rounds.iter().map(|round| quantile(&sorted(round.clone()), 0.5)).collect::<Vec<_>>());
        }
        if let [bare, other, ours] = &medians[..] {
            outcome.checks.push(check(&situation, bare, other, ours));
        }
    }
    table.note(
        "Ping-pong: half of a round trip that goes on without a pause; taking a frame, publishing, receiving and \
         giving back included. 60 Hz: from the time stamp written into the frame just before it is published until \
         the receiver reads it; between frames processors idle and caches cool. Where receivers sleep, iceoryx2's \
         event service wakes them.",
    );
    outcome.tables.push(table);
    Ok(outcome)
}

fn spec(bench: &Bench, kind: Kind, situation: &Situation) -> Spec {
    let millis = match (situation.paced, situation.sleep) {
        (true, _) => bench.pick(800, 700),
        (false, true) => 250,
        (false, false) => 100,
    };
    // A ping without bytes is the cache line alone; a paced frame carries its time stamp.
    let bytes = if kind == Kind::Bare && !situation.paced { 0 } else { 64 };
    let warm = if situation.paced { 6 } else { 200 };
    Spec { bytes, sleep: situation.sleep, rate: 60, millis, warm, ..bench.spec(kind) }
}

fn samples(bench: &Bench, spec: &Spec, situation: &Situation) -> Res<Vec<f64>> {
    if !situation.paced {
        let (ping, _) = bench.play(spec, ("ping", "pong"), 1)?;
        return Ok(numbers(&ping, "ns"));
    }
    let (_, receivers) = bench.play(spec, ("paced-send", "paced-receive"), 1)?;
    let lost: f64 = receivers.iter().map(|r: &Value| number(r, "lost")).sum();
    if lost > 0.0 {
        return Err(format!("{lost} frames lost at 60 Hz").into());
    }
    Ok(receivers.iter().flat_map(|r| numbers(r, "late")).collect())
}

fn check(situation: &Situation, bare: &[f64], other: &[f64], ours: &[f64]) -> Check {
    let (yard, limit, name) = match situation.sleep {
        true => (bare, 1.5, "a bare futex"),
        false => (other, 1.0, "iceoryx2"),
    };
    let ratio = Spread::ratio(ours, yard);
    Check {
        what: format!("latency p50, {}", situation.name),
        wanted: format!("≤ {limit} × {name}, round by round"),
        got: format!("{ratio} ×"),
        met: ratio.median <= limit,
        asserted: false,
    }
}
