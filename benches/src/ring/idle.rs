//! Processor time of a consumer that waits for frames that do not come.

use super::{Bench, number};
use crate::Res;
use crate::child::{Child, Scene};
use crate::report::{Cell, Check, Outcome, Table};
use crate::spec::{Kind, Spec};

/// Name, transport, and whether it is to wake once a second by itself.
const ROWS: [(&str, Kind, bool); 4] = [
    ("bare futex", Kind::Bare, false),
    ("bare futex, waking once a second", Kind::Bare, true),
    ("iceoryx2", Kind::Iceoryx, false),
    ("shmflow", Kind::Ring, false),
];

pub(super) fn run(bench: &Bench) -> Res<Outcome> {
    let millis = bench.pick(10_000, 4_000);
    let mut table = Table::new("An idle consumer", &["with", "waited s", "CPU ms"]);
    let mut scenes = Vec::new();
    for (name, kind, ticks) in ROWS {
        let frames = if ticks { millis / 1000 } else { 1 };
        let spec = bench.fresh(&Spec { bytes: 4096, sleep: true, millis, frames, ..bench.spec(kind) });
        let mut scene = Scene::new(&spec)?;
        scene.add(Child::spawn("hold", &Spec { receivers: 0, ..spec.clone() })?);
        scene.add(Child::spawn("idle", &spec)?);
        scene.start()?;
        scenes.push((name, kind, scene));
    }
    let mut outcome = Outcome::default();
    for (name, kind, scene) in scenes {
        let results = scene.results()?;
        let idle = results.get(1).ok_or("no result of the idle consumer")?;
        let (seconds, cpu) = (number(idle, "ns") * 1e-9, number(idle, "cpu") * 1e-6);
        table.row(vec![
            name.into(),
            Cell::new(format!("{seconds:.1}"), seconds),
            Cell::new(format!("{cpu:.3}"), cpu),
        ]);
        if kind == Kind::Ring {
            let limit = seconds / 10.0;
            outcome.checks.push(Check {
                what: format!("CPU time of an idle consumer in {seconds:.0} s"),
                wanted: format!("< {limit:.1} ms"),
                got: format!("{cpu:.3} ms"),
                met: cpu < limit,
                asserted: false,
            });
        }
    }
    table.note("A producer is there and sends nothing; all wait at the same time. shmflow wakes once a second to see whether \
         anybody died: the death of a process wakes no futex.");
    outcome.tables.push(table);
    Ok(outcome)
}
