//! Which copies of our libraries processes use.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::Finding;

/// The plugin, the C library, and what Python loads; of each there should be one copy in use.
const LIBRARIES: [&str; 3] = [PLUGIN, "libshmflow", "_shmflow"];
const PLUGIN: &str = "libgstshmflow";

/// A library that a process has mapped.
#[derive(Clone, Debug)]
struct Mapped {
    /// As the process sees it.
    path: PathBuf,
    /// As it is seen from here: the process may be in a container.
    seen: PathBuf,
    pid: u32,
    replaced: bool,
}

/// Processes that use a library which was replaced since they began, and libraries of which different copies are in use.
pub(super) fn found(pids: &BTreeSet<u32>, plugin: Option<&Path>) -> Vec<Finding> {
    let mut found = Vec::new();
    for library in LIBRARIES {
        let all: Vec<_> = pids.iter().flat_map(|pid| mapped(*pid, library)).collect();
        for old in all.iter().filter(|one| one.replaced) {
            let (pid, path) = (old.pid, old.path.display());
            let what = format!("process {pid} uses {path}, which was replaced since it began");
            found.push(Finding::note("versions", what, "restart it, so that all use the same version"));
        }
        found.extend(several(&all, plugin.filter(|_| library == PLUGIN)));
    }
    found
}

/// Copies that differ, if there are some.
fn several(all: &[Mapped], plugin: Option<&Path>) -> Option<Finding> {
    let mut copies: BTreeMap<&Path, (&Path, Vec<u32>)> = BTreeMap::new();
    for one in all.iter().filter(|one| !one.replaced) {
        copies.entry(&one.path).or_insert((&one.seen, Vec::new())).1.push(one.pid);
    }
    // What nobody who takes part uses counts only beside what is used.
    if let Some(plugin) = plugin.filter(|_| !copies.is_empty()) {
        copies.entry(plugin).or_insert((plugin, Vec::new()));
    }
    let (first, _) = copies.values().next()?;
    if copies.values().all(|(seen, _)| seen == first || are_alike(first, seen)) {
        return None;
    }
    let users = |pids: &[u32]| match pids {
        [] => "GStreamer programs that begin now".to_owned(),
        [one] => format!("process {one}"),
        [one, others @ ..] => format!("process {one} and {} more", others.len()),
    };
    let told = copies.iter().map(|(path, (_, pids))| format!("{} ({})", path.display(), users(pids)));
    let what = format!("different copies are in use: {}", told.collect::<Vec<_>>().join(", "));
    Some(Finding::note("versions", what, "remove, or install again, all but one, and restart what uses them"))
}

/// The mapped files of a process that are of one of our libraries. None where it may not be looked into.
fn mapped(pid: u32, library: &str) -> Vec<Mapped> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let mut found: Vec<Mapped> = Vec::new();
    // Address, rights, offset, device and inode are before the path, which may have blanks.
    for at in maps.lines().filter_map(|line| line.find('/').and_then(|at| line.get(at..))) {
        let (path, replaced) = at.strip_suffix(" (deleted)").map_or((at, false), |path| (path, true));
        let path = Path::new(path);
        let is_ours = path.file_name().is_some_and(|name| {
            let name = name.to_string_lossy();
            name.strip_prefix(library).is_some_and(|rest| rest.starts_with('.'))
        });
        if is_ours && !found.iter().any(|one| one.path == path && one.replaced == replaced) {
            let seen = PathBuf::from(format!("/proc/{pid}/root{}", path.display()));
            found.push(Mapped { path: path.into(), seen, pid, replaced });
        }
    }
    found
}

/// Whether two files have the same bytes. What cannot be read is like nothing.
fn are_alike(one: &Path, other: &Path) -> bool {
    let open = |path| File::open(path).and_then(|file| Ok((file.metadata()?.len(), BufReader::new(file))));
    let (Ok((len, one)), Ok((other_len, other))) = (open(one), open(other)) else { return false };
    len == other_len
        && one
            .bytes()
            .zip(other.bytes())
            .all(|(one, other)| one.ok().is_some_and(|one| other.ok() == Some(one)))
}
