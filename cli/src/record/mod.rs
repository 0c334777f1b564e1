//! `shmflow record`: topics into MCAP files.

mod file;
pub(crate) mod message;
mod proto;
mod recorder;
pub(crate) mod schema;
mod summary;
mod topic;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use shmflow::CancelToken;

use crate::outcome::{Failure, Outcome};
use crate::progress::Progress;
use crate::{interrupt, text};

use recorder::{Recorder, Target};

/// Record topics into an MCAP file
///
/// Every frame with its payload and metadata as they are, to be replayed exactly by
/// `shmflow replay`, and to be seen in Foxglove as far as it knows the format. Ends when all
/// streams have ended, or by Ctrl-C. A file can be read up to its last whole frame, whatever ends
/// the recording. Frames that were overwritten before they were written are counted.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  shmflow record robot/cam0 robot/imu -o run.mcap
  shmflow record cam0 -o run.mcap --split-time 60      run-000.mcap, run-001.mcap, …
  shmflow record cam0 -o run.mcap --duration 10 --json"
)]
pub(crate) struct Record {
    /// Names of topics
    #[arg(required = true, value_name = "TOPIC", add = crate::completions::topics())]
    topics: Vec<String>,
    /// The file to write
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Replace a recording of this name, with all its files
    #[arg(long)]
    overwrite: bool,
    /// Begin another file before one is larger, as 500M or 4G
    #[arg(long, value_name = "BYTES", value_parser = size)]
    split_size: Option<u64>,
    /// Begin another file after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = crate::args::seconds)]
    split_time: Option<Duration>,
    /// End after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = crate::args::seconds)]
    duration: Option<Duration>,
    /// End after so many frames of each topic
    #[arg(long, short = 'n', value_name = "FRAMES", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Wait for topics that do not exist yet
    #[arg(long)]
    wait: bool,
    /// Not waited for by producers that are lossless
    #[arg(long)]
    latest: bool,
    /// Store a checksum of each chunk, which replay looks at: it takes about as long as to copy
    /// each frame once more
    #[arg(long)]
    checksums: bool,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

/// A number of bytes, with a unit of 1024.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..).unwrap_or_default().to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KIB" => 10,
        "M" | "MIB" => 20,
        "G" | "GIB" => 30,
        "T" | "TIB" => 40,
        _ => return Err("its unit must be one of K, M, G and T".into()),
    };
    let number: u64 = digits.parse().map_err(|_| "it is not a number, as 500M".to_owned())?;
    number
        .checked_mul(1 << unit)
        .filter(|bytes| (1 << 16..=1 << 50).contains(bytes))
        .ok_or_else(|| "it must be between 64K and 1024T".into())
}

/// Between two lines that tell of losses.
const LINE: Duration = Duration::from_secs(1);

fn lock(recorder: &Mutex<Recorder>) -> MutexGuard<'_, Recorder> {
    recorder.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn run(out: &mut dyn Write, dir: Option<&Path>, args: &Record) -> Result<Outcome, Failure> {
    let mut topics = args.topics.clone();
    topics.sort();
    topics.dedup();
    let target = Target {
        path: args.output.clone(),
        overwrite: args.overwrite,
        split_size: args.split_size,
        split_time: args.split_time,
        checksums: args.checksums,
    };
    // Nobody waits for a topic to be told of that.
    target.is_free().map_err(Failure::Other)?;
    let cancels: Vec<_> = topics.iter().map(|_| CancelToken::new()).collect();
    let all = cancels.clone();
    interrupt::on_signal(move |_| all.iter().for_each(CancelToken::cancel))?;
    // Before the file: a wrong name leaves none.
    let mut consumers = Vec::new();
    for (topic, cancel) in topics.iter().zip(&cancels) {
        match topic::open(topic, dir, args, cancel) {
            Ok(consumer) => consumers.push(consumer),
            Err(shmflow::Error::Cancelled { .. }) => return Ok(Outcome::Done),
            Err(error) => return Err(error.into()),
        }
    }
    let recorder = Arc::new(Mutex::new(Recorder::new(target, &topics).map_err(Failure::Other)?));
    let start = Instant::now();
    let (done, ended) = channel();
    let streams = Arc::new(topic::Streams::new(&cancels));
    for consumer in consumers {
        let (recorder, done, count) = (Arc::clone(&recorder), done.clone(), args.count);
        let streams = Arc::clone(&streams);
        let follow = move || {
            let _ = done.send(topic::follow(consumer, &recorder, count, &streams));
        };
        std::thread::Builder::new()
            .spawn(follow)
            .map_err(|error| Failure::Other(format!("cannot start a thread: {error}")))?;
    }
    drop(done);
    let outcome = watch(&recorder, &ended, &cancels, args, start);
    let mut recorder = lock(&recorder);
    let error = recorder.finish();
    summary::print(out, &recorder, start.elapsed(), error.as_deref(), args.json)?;
    Ok(if let Some(error) = error {
        Failure::tell(&error);
        Outcome::Failed
    } else {
        outcome
    })
}

/// Until all streams have ended: tells how it goes, and when frames were lost.
fn watch(
    recorder: &Mutex<Recorder>,
    ended: &std::sync::mpsc::Receiver<Result<(), shmflow::Error>>,
    cancels: &[CancelToken],
    args: &Record,
    start: Instant,
) -> Outcome {
    let mut progress = Progress::new();
    let (mut outcome, mut told, mut next) = (Outcome::Done, 0, Instant::now() + LINE);
    loop {
        let tick = if progress.is_shown() { Duration::from_millis(200) } else { LINE };
        let left = args.duration.map_or(tick, |duration| duration.saturating_sub(start.elapsed()).min(tick));
        match ended.recv_timeout(left) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                progress.clear();
                Failure::tell(&error);
                outcome = Outcome::of(&error);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if args.duration.is_some_and(|duration| start.elapsed() >= duration)
            || lock(recorder).failed.is_some()
        {
            cancels.iter().for_each(CancelToken::cancel);
        }
        if Instant::now() >= next {
            next = Instant::now() + LINE;
            tell_losses(&lock(recorder), &mut progress, &mut told);
        }
        progress.show(|_| summary::line(&lock(recorder), start.elapsed()));
    }
    tell_losses(&lock(recorder), &mut progress, &mut told);
    outcome
}

fn tell_losses(recorder: &Recorder, progress: &mut Progress, told: &mut u64) {
    let lost: u64 = recorder.tallies.values().map(|tally| tally.lost).sum();
    if lost > *told {
        progress.clear();
        let each = recorder.tallies.iter().filter(|(_, tally)| tally.lost != 0);
        let each: Vec<_> =
            each.map(|(topic, tally)| format!("{} {}", text::safe(topic), text::count(tally.lost))).collect();
        Failure::note(&format!(
            "{} overwritten before they were recorded, in all: {}",
            text::several(lost - *told, "frame"),
            each.join(", ")
        ));
        *told = lost;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!((size("65536"), size("64k"), size("2GiB")), (Ok(65536), Ok(65536), Ok(2 << 30)));
        for bad in ["", "M", "1", "-5M", "1.5G", "9999999T", "7X"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
