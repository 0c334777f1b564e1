//! `shmflow ls`.

use std::io::Write;
use std::path::Path;

use serde_json::Value;
use shmflow::{Error, Liveness, TopicInfo};

use crate::outcome::{Failure, Outcome};
use crate::state::State;
use crate::table::{Align, Table};
use crate::{json, text};

pub(crate) fn run(out: &mut dyn Write, dir: Option<&Path>, as_json: bool) -> Result<Outcome, Failure> {
    let mut found = Vec::new();
    for topic in shmflow::topics(dir)? {
        match shmflow::inspect(&topic, dir) {
            // Removed since it was listed.
            Err(Error::NoTopic { .. }) => {}
            result => found.push((topic, result)),
        }
    }
    if as_json {
        let all: Vec<_> = found
            .iter()
            .map(|(topic, result)| match result {
                Ok(info) => json::topic(info, None),
                Err(error) => json::unreadable(topic, error),
            })
            .collect();
        writeln!(out, "{:#}", Value::from(all))?;
        return Ok(Outcome::Done);
    }
    if found.is_empty() {
        writeln!(out, "There are no topics in {}.", place(dir))?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new([
        ("TOPIC", Align::Left),
        ("STATE", Align::Left),
        ("PRODUCERS", Align::Right),
        ("CONSUMERS", Align::Right),
        ("PUBLISHED", Align::Right),
        ("SLOTS", Align::Right),
        ("MEMORY", Align::Right),
        ("MODE", Align::Left),
        ("OWNER", Align::Left),
    ]);
    for (topic, result) in &found {
        match result {
            Ok(info) => table.row(row(info)),
            Err(_) => {
                let blank = String::new;
                let state = "unreadable".to_owned();
                let row =
                    [text::safe(topic), state, blank(), blank(), blank(), blank(), blank(), blank(), blank()];
                table.row(row);
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

fn row(info: &TopicInfo) -> [String; 9] {
    let alive = |p: &&shmflow::ParticipantInfo| p.liveness != Liveness::Dead;
    let slots = info
        .geometry
        .map_or_else(String::new, |g| format!("{} × {}", g.slots, text::bytes(g.capacity as u64)));
    [
        text::safe(&info.topic),
        State::of(info).name().into(),
        info.producers().filter(alive).count().to_string(),
        info.consumers().filter(alive).count().to_string(),
        text::count(info.published()),
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
