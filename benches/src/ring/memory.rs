//! Shared memory that one topic reserves.

use super::{Bench, DEPTH};
use crate::Res;
use crate::child::{Child, Scene, shared_files};
use crate::report::{Cell, Check, Outcome, Table};
use crate::spec::{Kind, Spec};
use crate::transport::{iceoryx_prefix, ring_prefix};
use std::os::unix::fs::MetadataExt as _;

/// A 4K picture with three bytes per pixel.
const FRAME: usize = 3840 * 2160 * 3;
/// What is sent before the memory is looked at.
const FRAMES: u64 = 60;
/// Slots that shmflow keeps beyond its depth by default.
const RESERVE: u64 = 2;

pub(super) fn run(bench: &Bench) -> Res<Outcome> {
    let mut table = Table::new(
        "Shared memory for one 4K BGR topic (24.9 MB frames)",
        &["with", "files", "length MB", "in frames", "in memory MB, no consumer", "with one"],
    );
    let mut outcome = Outcome::default();
    let rows = [
        ("shmflow, 8 frames deep", Kind::Ring, DEPTH),
        ("iceoryx2, its defaults (2 deep)", Kind::Iceoryx, 0),
        ("iceoryx2, 8 frames deep", Kind::Iceoryx, DEPTH),
    ];
    for (name, kind, depth) in rows {
        let spec = Spec { bytes: FRAME, depth, receivers: 0, frames: FRAMES, ..bench.spec(kind) };
        let (_, _, alone) = reserved(bench, &spec, 0)?;
        let (files, length, there) = reserved(bench, &spec, 1)?;
        let frames = length as f64 / FRAME as f64;
        table.row(vec![
            name.into(),
            Cell::new(files.to_string(), files),
            Cell::new(format!("{:.1}", length as f64 / 1e6), length),
            Cell::new(format!("{frames:.2}"), frames),
            Cell::new(format!("{:.1}", alone as f64 / 1e6), alone),
            Cell::new(format!("{:.1}", there as f64 / 1e6), there),
        ]);
        if kind == Kind::Ring {
            let limit = (u64::from(DEPTH) + RESERVE) as f64 * 1.02;
            outcome.checks.push(Check {
                what: "shared memory for a 4K BGR topic, 8 frames deep".into(),
                wanted: format!("≤ {limit:.2} frames"),
                got: format!("{frames:.3} frames"),
                met: frames <= limit,
                asserted: true,
            });
        }
    }
    table.note(
        "One publisher, after 60 frames, filled whole, at 60 a second. Length: of the files in /dev/shm, with one subscriber. In memory: what is allocated of \
         them (their blocks). shmflow takes all of its length when the topic is made, so that a full /dev/shm is an error \
         then; iceoryx2 takes memory when it is first written, so its length is what it may need and not what it has, and a \
         full /dev/shm kills the writer.",
    );
    outcome.tables.push(table);
    Ok(outcome)
}

/// Number, length and allocated bytes of the files that a topic with a publisher and so many subscribers has.
fn reserved(bench: &Bench, spec: &Spec, subscribers: u32) -> Res<(usize, u64, u64)> {
    let prefix = if spec.kind == Kind::Iceoryx { iceoryx_prefix(&spec.run) } else { ring_prefix(&spec.run) };
    let before = shared_files(&prefix);
    let spec = bench.fresh(spec);
    let mut scene = Scene::new(&spec)?;
    scene.add(Child::spawn("hold-used", &spec)?);
    for _ in 0..subscribers {
        scene.add(Child::spawn("hold-used", &Spec { receivers: 1, ..spec.clone() })?);
    }
    scene.start()?;
    scene.measured()?;
    let mut files = shared_files(&prefix);
    files.retain(|file| !before.contains(file));
    let sizes = files.iter().filter_map(|path| path.metadata().ok());
    let (length, there) = sizes.fold((0_u64, 0_u64), |(length, there), file| {
        (length.saturating_add(file.len()), there.saturating_add(file.blocks().saturating_mul(512)))
    });
    scene.end()?;
    Ok((files.len(), length, there))
}
