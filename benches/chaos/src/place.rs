//! Directories for topics, gone afterwards.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::Result;

const SHM: &str = "/dev/shm";
const PREFIX: &str = "shmflow-chaos-";

/// The directories of this process.
static LIVE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A directory on tmpfs for the topics of one fault.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    /// The directory, locked for as long as this process lives, so that other runs leave it alone.
    _lock: File,
}

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
        let mut live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let name = format!("{PREFIX}{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
            let path = parent.join(name);
            let made = match std::fs::create_dir(&path) {
                // Left by a process of the same number, or of one in another container.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                made => made.and_then(|()| File::open(&path)).and_then(|dir| dir.lock().map(|()| dir)),
            };
            match made {
                // Another run may have swept it away before it was locked.
                Ok(_lock) if path.exists() => {
                    live.push(path.clone());
                    return Ok(Self { path, _lock });
                }
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(format!("{}: {error}", path.display()).into());
                }
                _ => {}
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Paths of the files in it, sorted.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        files(&self.path)
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
            .ok_or_else(|| format!("there is no {start} in {}", self.path.display()).into())
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
        let _ = std::fs::remove_dir_all(&self.path);
        LIVE.lock().unwrap_or_else(PoisonError::into_inner).retain(|path| *path != self.path);
    }
}

/// Removes all directories of this process and ends it; meanwhile none is made.
pub(crate) fn remove_all_and(end: impl FnOnce()) {
    let live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
    for path in live.iter() {
        // Those who use topics may make a file just then.
        let _ = (0..100).find(|_| std::fs::remove_dir_all(path).is_ok() || !path.exists());
    }
    end();
}

/// Removes what runs left behind that were killed: directories that nobody has locked. A process's lock ends with it, and is seen
/// from other containers, too, that have the same `/dev/shm`.
pub(crate) fn sweep() {
    for parent in [PathBuf::from(SHM), std::env::temp_dir()] {
        for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
            if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
                continue;
            }
            // Locked until it is gone.
            if let Ok(dir) = File::open(entry.path())
                && dir.try_lock().is_ok()
            {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
}
