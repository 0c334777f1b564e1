//! Processor time of a consumer that waits for frames that do not come.

use super::{Bench, number};
use crate::Res;
use crate::child::{Child, Scene};
use crate::report::{Cell, Check, Outcome, Table};
use crate::spec::{Kind, Spec};

const KINDS: [Kind; 3] = [Kind::Bare, Kind::Iceoryx, Kind::Ring];

pub(super) fn run(bench: &Bench) -> Res<Outcome> {
    let millis = bench.pick(10_000, 4_000);
    let mut table = Table::new("An idle consumer", &["with", "waited s", "CPU ms"]);
    let mut scenes = Vec::new();
    for kind in KINDS {
        let spec = bench.fresh(&Spec { bytes: 4096, sleep: true, millis, ..bench.spec(kind) });
        let mut scene = Scene::new(&spec)?;
        scene.add(Child::spawn("hold", &Spec { receivers: 0, ..spec.clone() })?);
        scene.add(Child::spawn("idle", &spec)?);
        scene.start()?;
        scenes.push((kind, scene));
    }
    let mut outcome = Outcome::default();
    for (kind, scene) in scenes {
        let results = scene.results()?;
        let idle = results.get(1).ok_or("no result of the idle consumer")?;
        let (seconds, cpu) = (number(idle, "ns") * 1e-9, number(idle, "cpu") * 1e-6);
        let name = if kind == Kind::Bare { "bare futex" } else { kind.name() };
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
    table.note("A producer is there and sends nothing; all wait at the same time.");
    outcome.tables.push(table);
    Ok(outcome)
}
