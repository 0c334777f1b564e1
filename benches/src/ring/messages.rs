//! Messages per second, from 64 bytes to a 4K picture.

use super::{Bench, DEPTH, HD_FRAME, UHD_FRAME, number};
use crate::Res;
use crate::child::{Child, Scene};
use crate::report::{Cell, Check, Outcome, Table};
use crate::spec::{Kind, Spec, Work};
use crate::stats::Spread;

const SIZES: [(&str, usize); 5] =
    [("64 B", 64), ("4 KiB", 4096), ("1 MiB", 1 << 20), ("8.3 MB", HD_FRAME), ("33 MB", UHD_FRAME)];

/// Frames that may be under way when all have to arrive.
const WINDOW: u64 = 4;

struct Column {
    name: &'static str,
    work: Work,
    window: u64,
}

const COLUMNS: [Column; 4] = [
    Column { name: "untouched, all arrive", work: Work::Untouched, window: WINDOW },
    Column { name: "untouched, overwriting: published / received", work: Work::Untouched, window: 0 },
    Column { name: "one copy in", work: Work::CopyIn, window: WINDOW },
    Column { name: "filled and read whole", work: Work::FillRead, window: WINDOW },
];

/// Who sends: a transport, with our history, or private memory without anybody to send to.
#[derive(Clone, Copy, PartialEq)]
enum Who {
    Memory,
    Bare,
    Iceoryx,
    Ring { history: u32 },
}

const WHO: [(&str, Who); 5] = [
    ("plain memory, one process", Who::Memory),
    ("bare buffers", Who::Bare),
    ("iceoryx2", Who::Iceoryx),
    ("shmflow", Who::Ring { history: 0 }),
    ("shmflow, history 1", Who::Ring { history: 1 }),
];

pub(super) fn run(bench: &Bench) -> Res<Outcome> {
    let mut columns = vec!["size", "with"];
    columns.extend(COLUMNS.iter().map(|column| column.name));
    let mut table = Table::new("Messages per second", &columns);
    let mut outcome = Outcome::default();
    for (size, bytes) in SIZES {
        let mut rows: Vec<Vec<Cell>> =
            WHO.iter().map(|(name, _)| vec![size.into(), (*name).into()]).collect();
        for column in &COLUMNS {
            let who: Vec<usize> = WHO
                .iter()
                .enumerate()
                .filter(|(_, (_, who))| applies(*who, column))
                .map(|(at, _)| at)
                .collect();
            let specs: Vec<Spec> = who.iter().map(|at| spec(bench, WHO[*at].1, column, bytes)).collect();
            let results = bench.interleaved(bench.pick(5, 1), &specs, |spec| rates(bench, spec, column))?;
            let mut measured = results.into_iter();
            let (mut other, mut ours) = (Vec::new(), Vec::new());
            for (at, row) in rows.iter_mut().enumerate() {
                if !who.contains(&at) {
                    row.push(Cell::none());
                    continue;
                }
                let (sent, received): (Vec<f64>, Vec<f64>) =
                    measured.next().unwrap_or_default().into_iter().unzip();
                match WHO[at].1 {
                    Who::Iceoryx => other.clone_from(&sent),
                    Who::Ring { history: 0 } => ours.clone_from(&sent),
                    _ => {}
                }
                let (sent, received) = (Spread::of(sent), Spread::of(received));
                row.push(match column.window {
                    0 => Cell::new(
                        format!("{sent} / {received}"),
                        serde_json::json!([sent.json(), received.json()]),
                    ),
                    _ => sent.into(),
                });
            }
            if column.work == Work::Untouched {
                outcome.checks.push(check(size, column, &other, &ours));
            }
        }
        rows.into_iter().for_each(|row| table.row(row));
    }
    table.note(format!(
        "Both sides spin. «All arrive»: the sender stays at most {WINDOW} frames ahead of what the receiver has given \
         back, counted beside the transport. «Overwriting»: it never waits, the receiver gets what it can. Untouched: \
         8 bytes of each frame are written and read. One copy: from private memory into the frame, with \
         shmflow by `Producer::write`, which goes around the caches from 1 MiB on. Filled and read \
         whole: every byte written in place, then read in place by the other process and checked. All are {DEPTH} \
         frames deep; shmflow's default history is its depth, so that it walks through all of them. Plain memory is \
         one process that does both halves on {DEPTH} private buffers: a memcpy, or a fill followed by a read.",
    ));
    outcome.tables.push(table);
    Ok(outcome)
}

/// The promise is about the transport, hence about frames that nobody touches, and about the crate's defaults.
fn check(size: &str, column: &Column, other: &[f64], ours: &[f64]) -> Check {
    let ratio = Spread::ratio(ours, other);
    Check {
        what: format!("messages/s, {size}, {}", column.name.split(':').next().unwrap_or_default()),
        wanted: "≥ iceoryx2, round by round".into(),
        got: format!("{ratio} ×"),
        met: ratio.median >= 1.0,
        asserted: false,
    }
}

fn applies(who: Who, column: &Column) -> bool {
    match who {
        Who::Memory => column.work != Work::Untouched,
        Who::Bare => column.window > 0,
        Who::Iceoryx | Who::Ring { .. } => true,
    }
}

fn spec(bench: &Bench, who: Who, column: &Column, bytes: usize) -> Spec {
    let (kind, history) = match who {
        // No transport at all, which a bare spec without receivers stands for.
        Who::Memory | Who::Bare => (Kind::Bare, 0),
        Who::Iceoryx => (Kind::Iceoryx, 0),
        Who::Ring { history } => (Kind::Ring, history),
    };
    Spec {
        bytes,
        history,
        work: column.work,
        window: column.window,
        receivers: u32::from(who != Who::Memory),
        millis: bench.pick(150, 80),
        // Every buffer is touched before measuring starts: no page fault is measured.
        warm: u64::from(DEPTH) * 4,
        ..bench.spec(kind)
    }
}

/// Published and received per second.
fn rates(bench: &Bench, spec: &Spec, column: &Column) -> Res<(f64, f64)> {
    let rate = |value: &serde_json::Value| number(value, "frames") / number(value, "ns") * 1e9;
    if spec.receivers == 0 {
        let spec = bench.fresh(spec);
        let mut scene = Scene::new(&spec)?;
        scene.add(Child::spawn("memory", &bench.on(0, &spec))?);
        let results = scene.play()?;
        return Ok(results.first().map_or((f64::NAN, f64::NAN), |value| (rate(value), rate(value))));
    }
    let (sender, receivers) = bench.play(spec, ("rush-send", "rush-receive"), 1)?;
    let received = receivers.first().map_or(f64::NAN, rate);
    if column.window > 0 && receivers.first().is_some_and(|r| number(r, "frames") < number(&sender, "frames"))
    {
        return Err("frames were lost although the sender waited for the receiver".into());
    }
    Ok((rate(&sender), received))
}
