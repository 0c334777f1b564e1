//! Directories for topics, gone afterwards.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::Result;

const SHM: &str = "/dev/shm";
const PREFIX: &str = "shmflow-chaos-";

/// A directory on tmpfs for the topics of one fault.
#[derive(Debug)]
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new() -> Result<Self> {
        Self::below(Path::new(SHM))
    }

    /// A directory for programs: `/dev/shm` may refuse to run any.
    pub(crate) fn for_programs() -> Result<Self> {
        Self::below(&std::env::temp_dir())
    }

    fn below(parent: &Path) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{PREFIX}{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let path = parent.join(name);
        std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Paths of the files in it, sorted.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        files(&self.0)
    }

    /// The file of a topic whose name has this part; `holds` is followed by a number.
    pub(crate) fn file(&self, topic: &str, part: &str) -> Result<PathBuf> {
        let start = format!("shmflow.{topic}.{part}");
        let is = |path: &PathBuf| {
            path.file_name()
                .and_then(|name| name.to_str()?.strip_prefix(&start))
                .is_some_and(|rest| rest.is_empty() || part == "holds" && rest.starts_with('.'))
        };
        self.files()
            .into_iter()
            .find(is)
            .ok_or_else(|| format!("there is no {start} in {}", self.0.display()).into())
    }
}

/// Paths of the files in a directory, sorted.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Removes what runs left behind that were killed.
pub(crate) fn sweep() {
    for parent in [PathBuf::from(SHM), std::env::temp_dir()] {
        for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let maker = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
            if maker.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
}
