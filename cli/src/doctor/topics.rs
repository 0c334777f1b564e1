//! The topics, and the processes that take part in them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use shmflow::{Error, Liveness, TopicInfo};

use super::Finding;
use crate::text;
use shmflow::TopicState;

pub(super) fn all(dir: Option<&Path>) -> Vec<Finding> {
    let all = match shmflow::inspect_all(dir) {
        Ok(all) => all,
        Err(error) => {
            return vec![Finding::problem("topics", error.to_string(), "shmflow --dir DIR looks elsewhere")];
        }
    };
    let (mut found, mut left, mut pids) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut sound = 0_u64;
    for (name, info) in &all {
        match info {
            Ok(info)
                if matches!(
                    info.state(),
                    TopicState::Dead | TopicState::Unfinished | TopicState::Removed
                ) =>
            {
                left.push(name.as_str())
            }
            Ok(info) => {
                let before = found.len();
                found.extend(of_topic(info));
                sound += u64::from(found.len() == before);
                let living = info.participants.iter().filter(|p| p.liveness != Liveness::Dead);
                pids.extend(living.map(|p| p.pid));
            }
            Err(error) => found.push(unreadable(name, error)),
        }
    }
    if !left.is_empty() {
        let what = format!(
            "{} of programs that died: {}",
            text::several(left.len() as u64, "topic"),
            left.join(", ")
        );
        found.push(Finding::note("topics", what, "shmflow gc removes them (the next producer does, too)"));
    }
    found.extend(pids.into_iter().filter_map(replaced));
    found.push(Finding::ok("topics", format!("{} in order", text::several(sound, "topic"))));
    found
}

fn unreadable(name: &str, error: &Error) -> Finding {
    let remedy = match error {
        Error::PermissionDenied { .. } => {
            "have its owner set perms=0640 or 0644, and read with read-only=true".to_owned()
        }
        Error::VersionMismatch { .. } => "use one version of shmflow on both sides".to_owned(),
        Error::NotARing { .. } | Error::Corrupt { .. } => format!("shmflow rm --force {name}"),
        _ => "see what it says".to_owned(),
    };
    Finding::problem("topics", error.to_string(), remedy)
}

fn of_topic(info: &TopicInfo) -> Vec<Finding> {
    let mut found = Vec::new();
    for p in info.participants.iter().filter(|p| p.stopped) {
        let what = format!("`{}` (pid {}) of topic `{}` is stopped", p.name, p.pid, info.topic);
        found.push(Finding::problem("topics", what, format!("kill -CONT {}, or end it", p.pid)));
    }
    let dead = info.participants.iter().filter(|p| p.liveness == Liveness::Dead).count();
    if dead != 0 {
        let what = format!("{} of topic `{}` died", text::several(dead as u64, "participant"), info.topic);
        found.push(Finding::note(
            "topics",
            what,
            "nothing: the next that opens it, or needs a slot, cleans up",
        ));
    }
    if info.state() == TopicState::Stalled {
        let what =
            format!("the producer of topic `{}` lives, and has published nothing for long", info.topic);
        found.push(Finding::note("topics", what, "see what it waits for: its source, or a paused pipeline"));
    }
    if let Some(Err(error)) = info.newest.as_ref().map(|frame| frame.meta().map(|_| ())) {
        let what = format!("the metadata of topic `{}` cannot be read: {error}", info.topic);
        found.push(Finding::problem("topics", what, "use one version of shmflow on both sides"));
    }
    found
}

/// Whether a process uses a library of ours that was replaced since it began.
fn replaced(pid: u32) -> Option<Finding> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let old = maps.lines().find(|line| {
        line.ends_with(" (deleted)")
            && ["libgstshmflow", "libshmflow", "_shmflow"].iter().any(|name| line.contains(name))
    })?;
    let path = old.split_ascii_whitespace().nth(5).unwrap_or("a library");
    let what = format!("process {pid} uses {path}, which was replaced since it began");
    Some(Finding::note("versions", what, "restart it, so that all use the same version"))
}
