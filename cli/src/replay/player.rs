//! Publishes frames when they are due.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use shmflow::{CancelToken, Error, Liveness, OverflowPolicy, Producer};

use super::reader::{End, Message, Recording};
use super::{Rate, Replay};
use crate::outcome::Failure;
use crate::progress::{self, Progress};
use crate::{interrupt, text};

/// Later than this, the rest is played later by as much: after a pause frames are not hurried through.
const LATE: Duration = Duration::from_secs(1);

/// A topic that is published.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: String,
    pub(super) frames: u64,
    pub(super) bytes: u64,
    producer: Producer,
}

/// Log time and moment of a frame to which the others keep their distance.
#[derive(Clone, Copy, Debug)]
struct Origin {
    log_time: u64,
    at: Instant,
}

/// Topics, and the time.
#[derive(Debug)]
pub(super) struct Player<'a> {
    dir: Option<&'a Path>,
    args: &'a Replay,
    topics: BTreeMap<String, Topic>,
    /// All topics of the recordings, as far as they are known.
    recorded: BTreeSet<String>,
    /// Whether it was told that the directory is on a disk.
    warned: bool,
    cancel: CancelToken,
    stopped: Receiver<()>,
    progress: Progress,
    begun: Instant,
    origin: Option<Origin>,
    /// Log time of the recording's first frame.
    first: Option<u64>,
    last: u64,
    /// Frames since the beginning, or since it began again.
    round: u64,
    late: Duration,
    /// Bytes of all files, and of those that were played.
    bytes: u64,
    played: u64,
    /// How long all of it is, where that is known.
    span: Option<Duration>,
}

impl<'a> Player<'a> {
    pub(super) fn new(
        dir: Option<&'a Path>,
        args: &'a Replay,
        recordings: &[Recording],
    ) -> Result<Self, Failure> {
        let (cancel, (stop, stopped)) = (CancelToken::new(), channel::<()>());
        let cancelled = cancel.clone();
        interrupt::on_signal(move |_| {
            cancelled.cancel();
            // From now on there is no pause any more.
            drop(stop);
        })?;
        let times: Option<Vec<_>> = recordings.iter().map(Recording::times).collect();
        let first = recordings.first().and_then(Recording::times).map(|(first, _)| first);
        let end = times.iter().flatten().map(|(_, end)| *end).max();
        let span = times
            .as_ref()
            .and(first.zip(end))
            .map(|(first, end)| Duration::from_nanos(end.saturating_sub(first)));
        let mut player = Self {
            dir,
            args,
            topics: BTreeMap::new(),
            recorded: recordings.iter().flat_map(Recording::topics).collect(),
            warned: false,
            cancel,
            stopped,
            progress: Progress::new(),
            begun: Instant::now(),
            origin: None,
            first,
            last: 0,
            round: 0,
            late: Duration::ZERO,
            bytes: recordings.iter().map(|one| one.len).sum(),
            played: 0,
            span,
        };
        if recordings.iter().all(Recording::has_index)
            && let Some(missing) = player.unknown()
        {
            return Err(player.not_played(missing));
        }
        // Consumers find the topics before the first frame.
        for topic in player.recorded.clone() {
            if player.wants(&topic) {
                player.open(&topic)?;
            }
        }
        if args.wait {
            player.wait_for_consumers()?;
        }
        player.begun = Instant::now();
        Ok(player)
    }

    fn wants(&self, topic: &str) -> bool {
        self.args.topics.is_empty() || self.args.topics.iter().any(|wanted| wanted == topic)
    }

    fn open(&mut self, recorded: &str) -> Result<(), Failure> {
        if self.topics.contains_key(recorded) {
            return Ok(());
        }
        let renamed = self.args.renames.iter().find(|(old, _)| old == recorded);
        let name = renamed.map_or(recorded, |(_, new)| new).to_owned();
        if let Ok(info) = shmflow::inspect(&name, self.dir)
            && let Some(producer) =
                info.producers().find(|producer| producer.liveness != Liveness::Dead && producer.active)
        {
            let by = format!("{} (pid {})", text::safe(&producer.name), producer.pid);
            return Err(Failure::Other(format!(
                "topic `{0}` has a producer, {by}, and frames of both would mix; end it, or give another name: --rename {1}:NEW",
                text::safe(&name),
                text::safe(recorded)
            )));
        }
        let policy = if self.args.lossless { OverflowPolicy::Lossless } else { OverflowPolicy::default() };
        let mut builder = Producer::builder(&name).name("shmflow replay").depth(self.args.max_buffers);
        builder = builder.overflow_policy(policy).cancel_token(&self.cancel);
        if let Some(dir) = self.dir {
            builder = builder.dir(dir);
        }
        let producer = builder.open()?;
        if let Some(warning) = producer.directory_warning().filter(|_| !self.warned) {
            self.warned = true;
            self.progress.clear();
            Failure::note(&text::safe(&warning));
        }
        self.topics.insert(recorded.to_owned(), Topic { name, frames: 0, bytes: 0, producer });
        Ok(())
    }

    fn wait_for_consumers(&self) -> Result<(), Failure> {
        for Topic { producer, .. } in self.topics.values() {
            while producer.consumer_count() == 0 && !self.cancel.is_cancelled() {
                let before = producer.events();
                if producer.consumer_count() == 0 {
                    match producer.wait_event(before, Some(Duration::from_secs(1)), &self.cancel) {
                        Ok(_) | Err(Error::Cancelled { .. }) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
        Ok(())
    }

    /// Plays a file to its end.
    pub(super) fn play(&mut self, recording: &mut Recording) -> Result<End, Failure> {
        if self.cancel.is_cancelled() {
            return Ok(End::Stopped);
        }
        let skip = self.args.start.map(|start| start.as_nanos() as u64);
        let from = skip.and_then(|skip| Some(self.first?.saturating_add(skip)));
        let (end, stopped) = recording
            .read(from, |message| match self.publish(message, skip) {
                Ok(true) => ControlFlow::Continue(()),
                Ok(false) => ControlFlow::Break(Ok(())),
                Err(error) => ControlFlow::Break(Err(error)),
            })
            .map_err(Failure::Other)?;
        stopped.unwrap_or(Ok(()))?;
        self.played += recording.len;
        Ok(end)
    }

    /// `false` if this was the end.
    fn publish(&mut self, message: &Message<'_>, skip: Option<u64>) -> Result<bool, Failure> {
        let first = *self.first.get_or_insert(message.log_time);
        let since = message.log_time.saturating_sub(first);
        let start = skip.unwrap_or(0);
        if !self.recorded.contains(message.topic) {
            self.recorded.insert(message.topic.to_owned());
        }
        if since < start || !self.wants(message.topic) {
            return Ok(true);
        }
        let played = Duration::from_nanos(since - start);
        if self.args.duration.is_some_and(|duration| played > duration) {
            return Ok(self.args.again);
        }
        self.open(message.topic)?;
        if !self.wait_until_due(message.log_time) {
            return Ok(false);
        }
        let Some(topic) = self.topics.get_mut(message.topic) else { return Ok(true) };
        match publish(&topic.producer, message) {
            Ok(()) => {}
            Err(Error::Cancelled { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        topic.frames += 1;
        topic.bytes += message.frame.payload.len() as u64;
        self.round += 1;
        self.last = self.last.max(message.log_time);
        self.show(Duration::from_nanos(since), message.read);
        Ok(true)
    }

    /// `false` if it was interrupted.
    fn wait_until_due(&mut self, log_time: u64) -> bool {
        let origin = *self.origin.get_or_insert(Origin { log_time, at: Instant::now() });
        let pause = match self.args.rate {
            Rate::Max => Duration::ZERO,
            Rate::Times(rate) => {
                let due = Duration::from_nanos(log_time.saturating_sub(origin.log_time)).div_f64(rate);
                let now = origin.at.elapsed();
                let late = now.saturating_sub(due);
                if late > LATE {
                    self.origin = Some(Origin { log_time, at: Instant::now() });
                } else {
                    self.late = self.late.max(late);
                }
                due.saturating_sub(now)
            }
        };
        self.stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout)
    }

    fn show(&mut self, since: Duration, read: u64) {
        let frames = self.frames();
        let (bytes, read, span) = (self.bytes, self.played + read, self.span);
        self.progress.show(|columns| {
            let share = match span {
                Some(span) => since.as_secs_f64() / span.as_secs_f64().max(1e-9),
                None => read as f64 / bytes.max(1) as f64,
            };
            let of = span.map_or_else(String::new, |span| format!(" / {}", progress::clock(span)));
            let told = format!("  {}{of}  {}", progress::clock(since), text::several(frames, "frame"));
            bar(share, columns.saturating_sub(told.len())) + &told
        });
    }

    pub(super) fn clear_progress(&mut self) {
        self.progress.clear();
    }

    /// Begins again, after as long as frames are apart.
    pub(super) fn rewind(&mut self) {
        if let (Some(origin), Rate::Times(rate)) = (self.origin.take(), self.args.rate) {
            let span = Duration::from_nanos(self.last.saturating_sub(origin.log_time)).div_f64(rate);
            let interval = span / u32::try_from(self.round.saturating_sub(1).max(1)).unwrap_or(u32::MAX);
            let due = origin.at + span + interval;
            let _ = self.stopped.recv_timeout(due.saturating_duration_since(Instant::now()));
        }
        (self.round, self.last, self.played) = (0, 0, 0);
    }

    /// The streams have ended.
    pub(super) fn end(&mut self) {
        self.progress.clear();
        self.topics.values().for_each(|topic| topic.producer.end());
    }

    /// Whether frames of this topic were played.
    pub(super) fn has(&self, recorded: &str) -> bool {
        self.topics.get(recorded).is_some_and(|topic| topic.frames != 0)
    }

    /// A topic that was named and is in no recording, as far as they were read.
    pub(super) fn unknown(&self) -> Option<&'a String> {
        self.args.named().find(|topic| !self.recorded.contains(*topic))
    }

    /// Why there was no frame of a topic: it was not recorded, or not in that time.
    pub(super) fn not_played(&self, topic: &str) -> Failure {
        let name = text::safe(topic);
        if self.recorded.contains(topic) {
            return Failure::Other(format!("no frame of topic `{name}` was there to play"));
        }
        let similar = shmflow::similar_names(topic, self.recorded.iter().map(String::as_str));
        let similar: Vec<_> = similar.iter().map(|name| format!("`{}`", text::safe(name))).collect();
        let meant = match similar.as_slice() {
            [] => String::new(),
            some => format!(" (did you mean {}?)", some.join(" or ")),
        };
        Failure::NoTopic(format!("no topic `{name}` was recorded{meant}"))
    }

    pub(super) fn topics(&self) -> impl Iterator<Item = (&str, &Topic)> {
        self.topics.iter().map(|(recorded, topic)| (recorded.as_str(), topic))
    }

    pub(super) fn frames(&self) -> u64 {
        self.topics.values().map(|topic| topic.frames).sum()
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// By how much the latest frame was late.
    pub(super) fn latest(&self) -> Duration {
        self.late
    }
}

fn publish(producer: &Producer, message: &Message<'_>) -> Result<(), Error> {
    let frame = message.frame;
    if frame.meta.len() > producer.geometry().meta_capacity {
        producer.grow_meta(frame.meta.len())?;
    }
    let mut claim = producer.claim(frame.payload.len())?;
    claim.copy_from(frame.payload);
    claim.set_meta_bytes(frame.meta)?;
    claim.publish()?;
    Ok(())
}

/// So many columns, filled by a share.
fn bar(share: f64, columns: usize) -> String {
    let room = columns.saturating_sub(2).min(50);
    let full = ((share.clamp(0.0, 1.0) * room as f64) as usize).min(room);
    format!("[{}{}]", "#".repeat(full), "·".repeat(room - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fits_its_room() {
        assert_eq!((bar(0.5, 12).as_str(), bar(7.0, 6).as_str()), ("[#####·····]", "[####]"));
        assert_eq!((bar(0.0, 0).as_str(), bar(f64::NAN, 4).as_str()), ("[]", "[··]"));
    }
}
