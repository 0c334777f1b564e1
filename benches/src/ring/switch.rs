//! A switch to larger frames in a running stream, beside a stream that begins with such.

use super::{Bench, DEPTH, UHD_FRAME, numbers};
use crate::Res;
use crate::child::{Child, Scene};
use crate::report::{Check, Outcome, Table};
use crate::spec::{Kind, Spec, Work};
use crate::stats::{Spread, quantile, sorted};
use serde_json::Value;

/// A 720p picture with four bytes per pixel.
const SMALL_FRAME: usize = 1280 * 720 * 4;
const RATE: u64 = 60;
/// Of 720p, before the switch, and of 4K: half a second, and one.
const BEFORE: u64 = 30;
const FRAMES: u64 = 60;
/// How late a frame may be: two frame times, in milliseconds.
const LIMIT: f64 = 2e3 / RATE as f64;

/// Name, transport, whether the topic is made for the first 4K frame, and what is written into frames.
const ROWS: [(&str, Kind, bool, Work); 8] = [
    ("little touched, 720p to 4K", Kind::Ring, false, Work::Untouched),
    ("little touched, 720p to 4K", Kind::Iceoryx, false, Work::Untouched),
    ("little touched, a new 4K topic", Kind::Ring, true, Work::Untouched),
    ("little touched, a new 4K topic", Kind::Iceoryx, true, Work::Untouched),
    ("filled whole, 720p to 4K", Kind::Ring, false, Work::FillRead),
    ("filled whole, 720p to 4K", Kind::Iceoryx, false, Work::FillRead),
    ("filled whole, a new 4K topic", Kind::Ring, true, Work::FillRead),
    ("filled whole, a new 4K topic", Kind::Iceoryx, true, Work::FillRead),
];

/// Of one run, in milliseconds: how late the 4K frames were published, and the consumer's longest gap between two frames.
struct Found {
    late: Vec<f64>,
    gap: f64,
}

impl Found {
    fn latest(&self) -> f64 {
        self.late.iter().copied().fold(0.0, f64::max)
    }

    fn number(&self, number: usize) -> f64 {
        self.late.get(number).copied().unwrap_or(f64::NAN)
    }
}

pub(super) fn run(bench: &Bench) -> Res<Outcome> {
    let mut table = Table::new(
        "The first 4K frames (33 MB) of a stream of 60 frames a second: milliseconds late when published",
        &["frames", "with", "first", "second", "latest", "median", "consumer's longest gap"],
    );
    let specs = ROWS.map(|(_, kind, fresh, work)| Spec {
        bytes: UHD_FRAME,
        before_bytes: SMALL_FRAME,
        before: if fresh { 0 } else { BEFORE },
        frames: FRAMES,
        fresh,
        work,
        sleep: true,
        rate: RATE,
        history: 1,
        ..bench.spec(kind)
    });
    let results = bench.interleaved(bench.pick(5, 3), &specs, |spec| found(bench, spec))?;
    let mut outcome = Outcome::default();
    for ((name, kind, ..), rounds) in ROWS.iter().zip(&results) {
        let each = |get: &dyn Fn(&Found) -> f64| Spread::of(rounds.iter().map(get).collect());
        let latest = each(&Found::latest);
        table.row(vec![
            (*name).into(),
            kind.name().into(),
            each(&|found| found.number(0)).into(),
            each(&|found| found.number(1)).into(),
            latest.into(),
            each(&|found| quantile(&sorted(found.late.clone()), 0.5)).into(),
            each(&|found| found.gap).into(),
        ]);
        if *kind == Kind::Ring {
            outcome.checks.push(Check {
                what: format!("the latest of the first 4K frames, {name}"),
                wanted: format!("≤ {LIMIT:.1} ms, two frame times, in each run"),
                got: format!("{latest} ms"),
                met: latest.max <= LIMIT,
                asserted: false,
            });
        }
    }
    table.note(format!(
        "Late: from a frame's time to the end of its publication, filling included. A switch: {BEFORE} frames of 720p, then \
         {FRAMES} of 4K. A new topic: the time of its first frame is when its producer begins to open it, and the consumer, \
         which waits for the topic, counts its first gap from then. shmflow: {DEPTH} deep, history 1. iceoryx2: {DEPTH} deep, \
         with the allocation strategy of its example of growing frames (power of two), and its event service. Nothing is pinned, since \
         what makes room in the background would be pinned, too."
    ));
    outcome.tables.push(table);
    Ok(outcome)
}

fn found(bench: &Bench, spec: &Spec) -> Res<Found> {
    let spec = bench.fresh(spec);
    let mut scene = Scene::new(&spec)?;
    scene.add(Child::spawn("switch-send", &spec)?);
    scene.add(Child::spawn("switch-receive", &spec)?);
    let results = scene.play().map_err(|e| format!("{}, switch: {e}", spec.kind))?;
    let [sender, receiver] = &results[..] else { return Err("not two results".into()) };
    let (late, arrivals) = (numbers(sender, "late"), numbers(receiver, "arrivals"));
    let before = if spec.fresh { sender.get("begin") } else { receiver.get("last_before") };
    let before = before.and_then(Value::as_f64).ok_or("nothing came before the first 4K frame")?;
    if late.len() < 2 || arrivals.is_empty() {
        return Err(format!("{} 4K frames were published, {} arrived", late.len(), arrivals.len()).into());
    }
    let from = std::iter::once(before).chain(arrivals.iter().copied());
    let gap = from.zip(&arrivals).map(|(from, to)| (to - from) * 1e-6).fold(0.0, f64::max);
    Ok(Found { late: late.iter().map(|ns| ns * 1e-6).collect(), gap })
}
