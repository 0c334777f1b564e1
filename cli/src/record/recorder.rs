//! The files of a recording: one, or as many as sizes and times divide it into.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file::{Mcap, Stamp};
use super::message::{About, Head};

/// Where a recording goes.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) path: PathBuf,
    pub(super) overwrite: bool,
    pub(super) split_size: Option<u64>,
    pub(super) split_time: Option<Duration>,
    pub(super) checksums: bool,
}

impl Target {
    fn splits(&self) -> bool {
        self.split_size.is_some() || self.split_time.is_some()
    }

    /// `run.mcap`, or `run-000.mcap` and so on.
    fn part(&self, number: usize) -> PathBuf {
        if !self.splits() {
            return self.path.clone();
        }
        let mut name = self.path.file_stem().unwrap_or_default().to_owned();
        name.push(format!("-{number:03}"));
        if let Some(extension) = self.path.extension() {
            name.push(".");
            name.push(extension);
        }
        self.path.with_file_name(name)
    }

    /// The files of an earlier recording of this name, if it was divided, by their numbers.
    fn earlier(&self) -> BTreeMap<usize, PathBuf> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let found = std::fs::read_dir(folder.unwrap_or(Path::new("."))).into_iter().flatten().flatten();
        let stem = self.path.file_stem().unwrap_or_default().as_encoded_bytes();
        let number = |name: &OsStr| {
            let rest = name.as_encoded_bytes().strip_prefix(stem)?.strip_prefix(b"-")?;
            let digits = rest.split(|byte| !byte.is_ascii_digit()).next()?;
            let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
            let path = self.part(number);
            (path.file_name() == Some(name)).then_some((number, path))
        };
        found.filter_map(|entry| number(&entry.file_name())).collect()
    }

    /// Refuses to begin where there is an earlier recording that is not to be replaced.
    pub(super) fn is_free(&self) -> Result<(), String> {
        let there = if self.splits() {
            self.earlier().into_values().next()
        } else {
            self.path.symlink_metadata().is_ok().then(|| self.path.clone())
        };
        there.filter(|_| !self.overwrite).map_or(Ok(()), |path| Err(exists(&path)))
    }

    /// Sees to it that no file of an earlier recording is in the way when its turn comes, or is taken for one of this.
    fn clear(&self) -> Result<(), String> {
        if !self.splits() {
            return Ok(());
        }
        let mut next = 1000;
        for (number, path) in self.earlier() {
            if !self.overwrite {
                return Err(exists(&path));
            }
            // Beyond three digits it may be a name that means something else.
            if number < next {
                std::fs::remove_file(&path)
                    .map_err(|error| format!("cannot replace {}: {error}", path.display()))?;
                next = next.max(number + 2);
            }
        }
        Ok(())
    }

    fn create(&self, path: &Path) -> Result<Mcap, String> {
        let mut options = File::options();
        options.write(true);
        if self.overwrite {
            options.create(true).truncate(true)
        } else {
            options.create_new(true)
        };
        match options.open(path).and_then(|file| Mcap::new(file, self.checksums)) {
            Ok(mcap) => Ok(mcap),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(exists(path)),
            Err(error) => Err(format!("cannot write {}: {error}", path.display())),
        }
    }
}

/// A file that was written.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
}

/// What one topic has come to.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) frames: u64,
    pub(super) bytes: u64,
    pub(super) lost: u64,
    pub(super) schema: &'static str,
    /// Log time of the last frame.
    logged: u64,
    /// When the first and the last frame were published.
    pub(super) times: Option<(u64, u64)>,
}

impl Tally {
    /// Frames a second.
    pub(super) fn rate(&self) -> Option<f64> {
        let (first, last) = self.times?;
        let intervals = self.frames.checked_sub(1).filter(|intervals| *intervals != 0)?;
        let span = last.checked_sub(first).filter(|span| *span != 0)?;
        Some(intervals as f64 * 1e9 / span as f64)
    }
}

/// A recording under way.
#[derive(Debug)]
pub(super) struct Recorder {
    target: Target,
    file: Mcap,
    path: PathBuf,
    pub(super) done: Vec<Part>,
    pub(super) tallies: BTreeMap<String, Tally>,
    /// Of CLOCK_MONOTONIC to nanoseconds since 1970, one value for all of the recording: the calendar may be set, intervals may not.
    shift: i64,
    /// Why nothing more can be written.
    pub(super) failed: Option<String>,
}

impl Recorder {
    pub(super) fn new(target: Target, topics: &[String]) -> Result<Self, String> {
        target.clear()?;
        let path = target.part(0);
        let file = target.create(&path)?;
        let tallies = topics.iter().map(|topic| (topic.clone(), Tally::default())).collect();
        Ok(Self { target, file, path, done: Vec::new(), tallies, shift: shift(), failed: None })
    }

    /// Bytes in all files.
    pub(super) fn bytes(&self) -> u64 {
        self.done.iter().map(|part| part.bytes).sum::<u64>() + self.file.len()
    }

    /// Writes a frame. An error is kept, too.
    pub(super) fn write(&mut self, about: &About<'_>, payload: &[u8]) -> Result<(), String> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let shift = self.shift;
        let since_1970 = |time: u64| time.saturating_add_signed(shift);
        let head = Head::new(about, payload.len(), since_1970);
        // Two producers may take the time in another order than their frames have.
        let before = self.tallies.get(about.topic).map_or(0, |tally| tally.logged);
        let log_time = since_1970(about.published_ns).max(before);
        let stamp = Stamp { log_time, publish_time: head.taken, sequence: about.seq as u32 };
        let written = self.divide(&head, payload.len(), log_time).and_then(|()| {
            let written = self.file.write(about.topic, head.schema, stamp, &head.bytes, payload);
            written.map_err(|error| cannot_write(&self.path, &error))
        });
        if let Err(error) = written {
            self.failed = Some(error.clone());
            return Err(error);
        }
        let tally = self.tallies.entry(about.topic.to_owned()).or_default();
        tally.logged = log_time;
        tally.frames += 1;
        tally.bytes += payload.len() as u64;
        tally.schema = head.schema.name();
        let (first, last) = tally.times.unwrap_or((about.published_ns, about.published_ns));
        tally.times = Some((first.min(about.published_ns), last.max(about.published_ns)));
        Ok(())
    }

    /// Begins the next file if this one is large or long enough. Not in front of a frame that needs those before it, unless there
    /// is no other for long.
    fn divide(&mut self, head: &Head, len: usize, log_time: u64) -> Result<(), String> {
        let Some((first, _)) = self.file.times() else { return Ok(()) };
        let size = self.file.len() + (head.bytes.len() + len) as u64;
        let time = Duration::from_nanos(log_time.saturating_sub(first));
        let is_due = |times: u32| {
            self.target.split_size.is_some_and(|limit| size > limit.saturating_mul(times.into()))
                || self.target.split_time.is_some_and(|limit| time >= limit.saturating_mul(times))
        };
        if !is_due(1) || head.is_delta && !is_due(2) {
            return Ok(());
        }
        self.close()?;
        let path = self.target.part(self.done.len());
        self.file = self.target.create(&path)?;
        self.path = path;
        Ok(())
    }

    /// Writes the index of the file.
    fn close(&mut self) -> Result<(), String> {
        let mut notes = BTreeMap::new();
        for (topic, tally) in &self.tallies {
            notes.insert(format!("{topic}: frames"), tally.frames.to_string());
            notes.insert(format!("{topic}: lost"), tally.lost.to_string());
        }
        let written = self.file.finish(notes).map_err(|error| cannot_write(&self.path, &error));
        self.done.push(Part { path: self.path.clone(), bytes: self.file.len() });
        written
    }

    /// Ends the recording; why it is not complete, if it is not.
    pub(super) fn finish(&mut self) -> Option<String> {
        if self.done.last().is_some_and(|part| part.path == self.path) {
            // Closed already, and no next one could be begun.
            return self.failed.clone();
        }
        let index = self.close().err();
        let error = self.failed.take().or_else(|| index.clone())?;
        let index = if index.is_some() { ", without an index" } else { "" };
        Some(format!("{error}. What was recorded before is in the file{index}, and can be replayed"))
    }
}

fn exists(path: &Path) -> String {
    format!("{} exists; give another name, or --overwrite to replace it", path.display())
}

fn cannot_write(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull => {
            format!("cannot write {}: no space is left on its disk", path.display())
        }
        _ => format!("cannot write {}: {error}", path.display()),
    }
}

fn shift() -> i64 {
    let now = |clock: nix::time::ClockId| {
        let now = clock.now().map(std::time::Duration::from).unwrap_or_default();
        i64::try_from(now.as_nanos()).unwrap_or_default()
    };
    now(nix::time::ClockId::CLOCK_REALTIME) - now(nix::time::ClockId::CLOCK_MONOTONIC)
}
