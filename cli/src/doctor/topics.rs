//! The topics, and the processes that take part in them.

use std::collections::BTreeSet;
use std::path::Path;

use shmflow::meta::Structure;
use shmflow::{Error, Liveness, ParticipantInfo, TopicInfo};

use super::{Finding, versions};
use crate::text::{count, several};
use shmflow::TopicState;

/// What is found of all topics in `dir`; `plugin` is the one that GStreamer loads.
pub(super) fn all(dir: Option<&Path>, plugin: Option<&Path>) -> Vec<Finding> {
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
        let what =
            format!("{} of programs that died: {}", several(left.len() as u64, "topic"), left.join(", "));
        found.push(Finding::note("topics", what, "shmflow gc removes them (the next producer does, too)"));
    }
    found.extend(versions::found(&pids, plugin));
    found.push(Finding::ok("topics", format!("{} in order", several(sound, "topic"))));
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
        let what = format!("{} of topic `{}` died", several(dead as u64, "participant"), info.topic);
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
    if info.state() == TopicState::Waiting {
        let count = info.consumers().filter(|p| p.liveness != Liveness::Dead).count() as u64;
        let wait = if count == 1 { "waits" } else { "wait" };
        let what =
            format!("{} of topic `{}` {wait}: it has no producer", several(count, "consumer"), info.topic);
        let remedy = format!(
            "start it; one in another container, or for another directory than {}, is not seen here: docker run --ipc=host, or a common SHMFLOW_DIR",
            info.dir.display()
        );
        found.push(Finding::note("topics", what, remedy));
    }
    found.extend(info.consumers().filter(|p| p.liveness != Liveness::Dead).filter_map(|p| loses(p, info)));
    let carried = info.content().caps;
    found.extend(carried.iter().flat_map(|caps| info.consumers().filter_map(|p| refuses(p, caps, info))));
    if let Some(Err(error)) = info.newest.as_ref().map(|frame| frame.meta().map(|_| ())) {
        let what = format!("the metadata of topic `{}` cannot be read: {error}", info.topic);
        found.push(Finding::problem("topics", what, "use one version of shmflow on both sides"));
    }
    found
}

/// A consumer to which frames are lost.
fn loses(p: &ParticipantInfo, info: &TopicInfo) -> Option<Finding> {
    (p.lost != 0).then(|| {
        let (lost, all) = (count(p.lost), several(p.frames.saturating_add(p.lost), "frame"));
        let what = format!("`{}` (pid {}) of topic `{}` has lost {lost} of {all}", p.name, p.pid, info.topic);
        let remedy = "it is slower than the stream, always or at times: have it do less, or queue more frames (max-buffers of the producer)";
        Finding::note("topics", what, remedy)
    })
}

/// A consumer that takes no such frames as the topic carries.
fn refuses(p: &ParticipantInfo, carried: &str, info: &TopicInfo) -> Option<Finding> {
    let accepted = p.accepted_caps.as_deref().filter(|_| p.liveness != Liveness::Dead)?;
    (!fits(carried, accepted)).then(|| {
        let what = format!(
            "`{}` (pid {}) of topic `{}` accepts {accepted}, and the topic carries {carried}",
            p.name, p.pid, info.topic
        );
        let remedy = "convert behind shmflowsrc: videoconvert, audioconvert, a decoder";
        Finding::note("topics", what, remedy)
    })
}

/// Whether caps may fit others, by what they are called and their format: of nothing else it is judged.
fn fits(carried: &str, accepted: &str) -> bool {
    let carried = Structure::parse(carried);
    accepted.split(';').map(Structure::parse).any(|one| {
        let formats = one.get("format").zip(carried.text("format"));
        one.name() == "ANY"
            || one.name() == carried.name() && formats.is_none_or(|(list, format)| names(list, &format))
    })
}

/// Whether a format is one of a list, `{ (string)I420, (string)NV12 }`, or the only one.
fn names(list: &str, format: &str) -> bool {
    list.trim_matches(['{', '}', ' ']).split(',').any(|one| {
        let one = one.trim().trim_start_matches("(string)");
        one.trim_matches('"') == format
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_fit_by_their_name_and_format() {
        let carried = "video/x-raw, format=(string)I420, width=(int)640";
        for fitting in [
            "ANY",
            "video/x-raw",
            "video/x-raw, width=(int)[ 1, 100 ]",
            "video/x-raw, format=(string)I420",
            "video/x-raw(memory:SystemMemory), format=(string){ NV12, I420 }",
            "image/jpeg; video/x-raw, format=(string){ (string)NV12, (string)\"I420\" }, width=(int)8",
        ] {
            assert!(fits(carried, fitting), "{fitting}");
        }
        for other in [
            "EMPTY",
            "image/jpeg",
            "video/x-raw, format=(string)NV12",
            "video/x-raw, format=(string){ NV12, I420_10LE }; audio/x-raw, format=(string)I420",
        ] {
            assert!(!fits(carried, other), "{other}");
        }
        assert!(fits("image/jpeg, width=(int)8", "image/jpeg, format=(string)any"));
    }
}
