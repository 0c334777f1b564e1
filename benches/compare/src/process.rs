//! What a process takes, seen from outside: processor time, memory, and what it shares.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::Result;

/// Memory of a process, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    /// Its part of what it shares with others, and all of what it does not share
    pub(crate) proportional: u64,
}

pub(crate) fn memory(pid: u32) -> Result<Memory> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    parse_rollup(&text).ok_or_else(|| "smaps_rollup does not look as documented".into())
}

fn parse_rollup(text: &str) -> Option<Memory> {
    let kilobytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(Memory { resident: kilobytes("Rss:")?, proportional: kilobytes("Pss:")? })
}

/// Processor time of all of its threads, to the nanosecond.
pub(crate) fn cpu(pid: u32) -> Result<Duration> {
    let mut total = 0_u64;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let Ok(text) = std::fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        let ran: u64 = text.split_ascii_whitespace().next().ok_or("an empty schedstat")?.parse()?;
        total = total.saturating_add(ran);
    }
    Ok(Duration::from_nanos(total))
}

/// Files in memory that are shared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Shared {
    /// How long they are
    pub(crate) length: u64,
    /// What is really there
    pub(crate) memory: u64,
}

/// The files in shared memory, with and without a name, that these processes have open or mapped; each once.
pub(crate) fn shared(pids: &[u32]) -> Shared {
    let mut files = BTreeMap::new();
    for pid in pids {
        for path in opened(*pid).into_iter().chain(mapped(*pid)) {
            if let Ok(file) = path.metadata() {
                files.insert((file.dev(), file.ino()), (file.len(), file.blocks().saturating_mul(512)));
            }
        }
    }
    files.values().fold(Shared::default(), |sum, (length, memory)| Shared {
        length: sum.length.saturating_add(*length),
        memory: sum.memory.saturating_add(*memory),
    })
}

fn is_shared(name: &str) -> bool {
    name.starts_with("/dev/shm/") || name.starts_with("/memfd:")
}

fn opened(pid: u32) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.read_link().is_ok_and(|target| is_shared(&target.to_string_lossy())))
        .collect()
}

/// Only what has a name: the kernel lets none but root open a mapping.
fn mapped(pid: u32) -> Vec<PathBuf> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    maps.lines()
        .filter_map(|line| line.find("/dev/shm/").and_then(|at| line.get(at..)))
        .filter(|name| !name.ends_with(" (deleted)"))
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_rollup_is_read() {
        let text = "5581-7ffe ---p 00000000 00:00 0   [rollup]\nRss:    1024 kB\nPss:      512 kB\nPss_Dirty: 9 kB\n";
        assert_eq!(parse_rollup(text), Some(Memory { resident: 1 << 20, proportional: 1 << 19 }));
        assert_eq!(parse_rollup("Rss: 1 kB"), None);
    }

    #[test]
    fn this_process_has_memory_and_has_run() {
        let own = std::process::id();
        assert!(memory(own).unwrap().resident > 0);
        assert!(cpu(own).unwrap() > Duration::ZERO);
    }

    #[test]
    fn a_sparse_file_is_long_and_takes_what_was_written() {
        let fd = rustix::fs::memfd_create("compare-test", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let mut file = std::fs::File::from(fd);
        let before = shared(&[std::process::id()]);
        file.set_len(1 << 30).unwrap();
        file.write_all(&[1; 4096]).unwrap();
        let after = shared(&[std::process::id(), std::process::id()]);
        assert_eq!(after.length - before.length, 1 << 30);
        assert_eq!(after.memory - before.memory, 4096);
    }
}
