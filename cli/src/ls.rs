//! `shmflow ls`.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;
use shmflow::{Error, FrameInfo, Liveness, Topic, TopicInfo};

use crate::info::cell;
use crate::outcome::{Failure, Outcome};
use crate::sample::flow::{Flow, STILL};
use crate::sample::meter::Pace;
use crate::table::{Table, left, right};
use crate::{json, term, text};

/// Between two looks at the topics whose rate is not known yet, at least.
const STEP: Duration = Duration::from_millis(50);
/// So many are looked at one by one; to list the directory once for all of them costs less when they are more.
const FEW: usize = 8;

/// List topics
///
/// One line for each: its state, its participants, the frames published, the frames a
/// second now (`<2` is an upper limit when frames are too few), the age of its newest
/// frame, the memory it takes, and what is on it. A topic is `live` with a live producer,
/// `stalled` if that has published nothing for ten frame intervals and a second, `stopped`
/// if its process is stopped, `waiting` with consumers only, `idle` if it is persistent
/// and has no participants, `dead` if all its participants died (`shmflow gc` removes it),
/// `unfinished` if it has no ring yet, `removed` while its last participants still have it
/// open, and `unreadable` if its files may not be read, or are none.
///
/// On a terminal, topics are grouped by what is before the last slash, and columns that
/// do not fit are left out: --json has everything.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  shmflow ls                        all topics
  shmflow ls robot/                 those whose names begin so
  shmflow ls --json                 as JSON
  shmflow ls --dir /run/cameras     topics of another directory"
)]
pub(crate) struct Ls {
    /// Only topics of these names, or whose names begin so
    #[arg(value_name = "NAME", add = crate::completions::topics())]
    names: Vec<String>,
    /// Write a JSON array instead
    #[arg(long)]
    json: bool,
}

/// What was seen of each topic.
type Found = Vec<(String, Result<TopicInfo, Error>)>;

fn look(dir: Option<&Path>, names: &[String]) -> Result<Found, Error> {
    let mut found = shmflow::inspect_all(dir)?;
    found.retain(|(topic, _)| names.is_empty() || names.iter().any(|name| topic.starts_with(name)));
    Ok(found)
}

/// Looks again until the rates of all topics with a producer are known, for half a second at most.
fn measure(dir: Option<&Path>, found: &mut Found) -> BTreeMap<String, Flow> {
    let until = Instant::now() + STILL;
    let live = |info: &&TopicInfo| info.state().has_producer();
    let infos = found.iter().filter_map(|(topic, info)| Some((topic, info.as_ref().ok().filter(live)?)));
    let mut flows: BTreeMap<_, _> = infos.map(|(topic, info)| (topic.clone(), Flow::of(info))).collect();
    // Each look is to tell the rates of as many as it can.
    while let Some(missing) = flows.values().filter_map(Flow::missing).max() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        std::thread::sleep(missing.max(STEP).min(left));
        let unsettled: Vec<_> = flows.iter_mut().filter(|(_, flow)| !flow.is_settled()).collect();
        let many = unsettled.len() > FEW;
        let mut all: BTreeMap<_, _> =
            if many { look(dir, &[]).unwrap_or_default().into_iter().collect() } else { BTreeMap::new() };
        for (topic, flow) in unsettled {
            let info = if many { all.remove(topic) } else { Some(shmflow::inspect(topic, dir)) };
            // What is gone, or cannot be read any more, is told as it was.
            let Some(Ok(info)) = info else { continue };
            flow.see(&info);
            // They are sorted by name.
            if let Ok(at) = found.binary_search_by(|(name, _)| name.cmp(topic))
                && let Some((_, there)) = found.get_mut(at)
            {
                *there = Ok(info);
            }
        }
    }
    flows
}

pub(crate) fn run(out: &mut dyn Write, dir: Option<&Path>, args: &Ls) -> Result<Outcome, Failure> {
    let mut found = look(dir, &args.names)?;
    let missing = args.names.iter().find(|name| !found.iter().any(|(topic, _)| topic.starts_with(*name)));
    if let Some(missing) = missing {
        return Err(not_found(missing, dir));
    }
    let flows = measure(dir, &mut found);
    if args.json {
        let all: Vec<_> = found
            .iter()
            .map(|(topic, result)| match result {
                Ok(info) => json::topic(info, flows.get(topic).map(Flow::pace), None),
                Err(error) => json::unreadable(topic, error, access(topic, dir)),
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
    let width = term::width();
    let mut table = Table::new([
        left("TOPIC", 0),
        left("STATE", 0),
        right("PRODUCERS", 5),
        right("CONSUMERS", 4),
        right("PUBLISHED", 6),
        right("FPS", 1),
        right("AGE", 3),
        right("MEMORY", 7),
        left("MODE", 9),
        left("OWNER", 8),
        left("WHAT", 1),
        left("DESCRIPTION", 2),
    ]);
    let groups = if width.is_some() { groups(&found) } else { Vec::new() };
    let mut group = None;
    for (topic, result) in &found {
        let of = groups.iter().find(|group| topic.starts_with(**group)).copied();
        if group != of {
            group = of;
            if let Some(group) = of {
                let mut cells: [String; 12] = Default::default();
                cells[0] = text::safe(group);
                table.row(cells);
            }
        }
        let name = match group.and_then(|group| topic.strip_prefix(group)) {
            Some(rest) => format!("  {}", text::safe(rest)),
            None => text::safe(topic),
        };
        table.row(match result {
            Ok(info) => row(name, info, flows.get(topic).map(Flow::pace)),
            Err(_) => unreadable(name, access(topic, dir)),
        });
    }
    table.write(out, width)?;
    out.flush()?;
    let errors = found.iter().filter_map(|(_, result)| result.as_ref().err());
    let (refused, others): (Vec<_>, Vec<_>) =
        errors.partition(|e| matches!(e, Error::PermissionDenied { .. }));
    for error in others {
        Failure::tell(error);
    }
    match refused.as_slice() {
        [] => {}
        [one] => Failure::tell(*one),
        several => Failure::note(&format!(
            "permission denied to read {} topics; run as their owner, or have their producers set wider permissions",
            several.len()
        )),
    }
    Ok(Outcome::Done)
}

/// No topic has a name that begins so.
fn not_found(name: &str, dir: Option<&Path>) -> Failure {
    let similar = shmflow::similar_topics(name, dir);
    Error::TopicNotFound { topic: name.into(), dir: place(dir).into(), similar }.into()
}

/// What is before the last slash of names that have it in common with others, with the slash.
fn groups(found: &Found) -> Vec<&str> {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for (topic, _) in found {
        if let Some(at) = topic.rfind('/') {
            *counts.entry(topic.get(..=at).unwrap_or_default()).or_default() += 1;
        }
    }
    // The longest first: `a/b/` before `a/`.
    let mut groups: Vec<_> =
        counts.into_iter().filter(|(_, count)| *count > 1).map(|(group, _)| group).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    groups
}

fn row(name: String, info: &TopicInfo, pace: Option<Pace>) -> [String; 12] {
    let alive = |p: &&shmflow::ParticipantInfo| p.liveness != Liveness::Dead;
    let what = info.content();
    [
        name,
        info.state().name().into(),
        info.producers().filter(alive).count().to_string(),
        info.consumers().filter(alive).count().to_string(),
        text::count(info.published()),
        pace.map_or_else(String::new, cell),
        info.newest.as_ref().map(FrameInfo::age).map_or_else(String::new, text::short_time),
        text::bytes(info.shared_bytes),
        format!("{:04o}", info.permissions),
        text::user(info.owner_uid),
        what.summary,
        what.description.map_or_else(String::new, |text| text::safe(&text)),
    ]
}

/// Permission bits and owner of a topic that cannot be read.
pub(crate) fn access(topic: &str, dir: Option<&Path>) -> Option<(u32, u32)> {
    let topic = Topic::new(topic, dir).ok()?;
    let found = std::fs::symlink_metadata(topic.peers_path())
        .or_else(|_| std::fs::symlink_metadata(topic.ring_path()))
        .ok()?;
    Some((found.permissions().mode() & 0o7777, found.uid()))
}

fn unreadable(name: String, access: Option<(u32, u32)>) -> [String; 12] {
    let mut cells: [String; 12] = Default::default();
    (cells[0], cells[1]) = (name, "unreadable".into());
    if let Some((mode, owner)) = access {
        (cells[8], cells[9]) = (format!("{mode:04o}"), text::user(owner));
    }
    cells
}

/// The directory, for a sentence.
pub(crate) fn place(dir: Option<&Path>) -> String {
    let dir = dir.map(Path::to_path_buf).or_else(|| {
        std::env::var_os("SHMFLOW_DIR").filter(|dir| !dir.is_empty()).map(std::path::PathBuf::from)
    });
    dir.unwrap_or_else(|| "/dev/shm".into()).display().to_string()
}

/// Whether nobody can write to a directory, whoever it is.
pub(crate) fn is_mounted_read_only(dir: &Path) -> bool {
    rustix::fs::statvfs(dir).is_ok_and(|fs| fs.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}
