//! `shmflow ls`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use shmflow::{Error, Liveness, TopicInfo};

use crate::info::{STEP, cell};
use crate::meter::{Meter, Pace};
use crate::outcome::{Failure, Outcome};
use crate::state::State;
use crate::table::{Align, Table};
use crate::{json, text};

/// How long rates are measured.
const SAMPLE: Duration = Duration::from_millis(500);

/// What was seen of each topic.
type Found = Vec<(String, Result<TopicInfo, Error>)>;

fn look(topics: impl IntoIterator<Item = String>, dir: Option<&Path>) -> Found {
    let inspected = topics.into_iter().map(|topic| {
        let result = shmflow::inspect(&topic, dir);
        (topic, result)
    });
    // Without those that were removed since they were listed.
    inspected.filter(|(_, result)| !matches!(result, Err(Error::TopicNotFound { .. }))).collect()
}

pub(crate) fn run(out: &mut dyn Write, dir: Option<&Path>, as_json: bool) -> Result<Outcome, Failure> {
    let mut found = look(shmflow::topics(dir)?, dir);
    // Without a producer there is no rate to be seen.
    let live = |info: &TopicInfo| State::of(info) == State::Live;
    let measured = found.iter().filter(|(_, result)| result.as_ref().is_ok_and(live));
    let mut meters: BTreeMap<String, Meter> =
        measured.filter_map(|(topic, _)| Some((topic.clone(), Meter::new(topic, dir).ok()?))).collect();
    if !meters.is_empty() {
        let start = Instant::now();
        while start.elapsed() < SAMPLE {
            std::thread::sleep(STEP);
            // What is gone, or cannot be read any more, is told below.
            meters.retain(|_, meter| meter.look(dir).is_ok());
        }
        found = look(found.iter().map(|(topic, _)| topic.clone()), dir);
    }
    meters.retain(|_, meter| live(meter.info()));
    if as_json {
        let all: Vec<_> = found
            .iter()
            .map(|(topic, result)| match result {
                Ok(info) => json::topic(info, meters.get(topic)),
                Err(error) => json::unreadable(topic, error),
            })
            .collect();
        writeln!(out, "{:#}", Value::from(all))?;
        return Ok(Outcome::Done);
    }
    if found.is_empty() {
        // Not for those who count or read lines.
        Failure::note(&format!("there are no topics in {}", place(dir)));
        return Ok(Outcome::Done);
    }
    let mut table = Table::new([
        ("TOPIC", Align::Left),
        ("STATE", Align::Left),
        ("PRODUCERS", Align::Right),
        ("CONSUMERS", Align::Right),
        ("PUBLISHED", Align::Right),
        ("FPS", Align::Right),
        ("SLOTS", Align::Right),
        ("MEMORY", Align::Right),
        ("MODE", Align::Left),
        ("OWNER", Align::Left),
    ]);
    for (topic, result) in &found {
        match result {
            Ok(info) => table.row(row(info, meters.get(topic).map(Meter::pace))),
            Err(_) => {
                let mut cells: [String; 10] = Default::default();
                cells[0] = text::safe(topic);
                cells[1] = "unreadable".into();
                table.row(cells);
            }
        }
    }
    table.write(out, "")?;
    out.flush()?;
    for error in found.iter().filter_map(|(_, result)| result.as_ref().err()) {
        Failure::tell(error);
    }
    Ok(Outcome::Done)
}

fn row(info: &TopicInfo, pace: Option<Pace>) -> [String; 10] {
    let alive = |p: &&shmflow::ParticipantInfo| p.liveness != Liveness::Dead;
    let slots = info
        .geometry
        .map_or_else(String::new, |g| format!("{} × {}", g.slots, text::bytes(g.slot_capacity as u64)));
    [
        text::safe(&info.topic),
        State::of(info).name().into(),
        info.producers().filter(alive).count().to_string(),
        info.consumers().filter(alive).count().to_string(),
        text::count(info.published()),
        pace.map_or_else(String::new, cell),
        slots,
        text::bytes(info.shared_bytes),
        format!("{:04o}", info.permissions),
        text::user(info.owner_uid),
    ]
}

/// The directory, for a sentence.
pub(crate) fn place(dir: Option<&Path>) -> String {
    let dir = dir.map(Path::to_path_buf).or_else(|| {
        std::env::var_os("SHMFLOW_DIR").filter(|dir| !dir.is_empty()).map(std::path::PathBuf::from)
    });
    dir.unwrap_or_else(|| "/dev/shm".into()).display().to_string()
}
