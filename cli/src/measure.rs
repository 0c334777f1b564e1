//! `shmflow hz`, `delay` and `bw`: how often frames come, how old they are then, and how large. Printed as the commands of
//! `ros2 topic` print it.

use std::collections::VecDeque;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use shmflow::{Error, FrameInfo, MonitorLook};

use crate::outcome::{Failure, Outcome};
use crate::sample::follow::Follower;
use crate::sample::stats::{Stats, Window};
use crate::text;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantity {
    /// Seconds from one frame's publication to the next.
    Rate,
    /// Seconds from a frame's capture to its publication.
    Delay,
    /// Bytes of payload.
    Bandwidth,
}

// Without a doc comment: it would be the help of all three.
#[derive(Debug, Args)]
pub(crate) struct Measure {
    /// Name of the topic
    #[arg(add = crate::completions::topics())]
    topic: String,
    /// Frames that are taken into account: the newest
    #[arg(long, short, value_name = "FRAMES", default_value = "10000", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    window: u32,
    /// Seconds between two reports
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = crate::args::seconds)]
    interval: Duration,
    /// End after so many reports
    #[arg(long, short, value_name = "REPORTS")]
    count: Option<u64>,
    /// Write each report as a line of JSON
    #[arg(long)]
    json: bool,
}

/// What was seen so far.
#[derive(Debug)]
struct Seen {
    quantity: Quantity,
    values: Window,
    /// Number and publication time of the frames in the window, for what comes in a second.
    moments: VecDeque<(u64, u64)>,
    room: usize,
    last: Option<(u64, u64)>,
    /// Frames since the last report, and those of them that were overwritten before they were seen.
    new: u64,
    missed: u64,
}

impl Seen {
    fn new(quantity: Quantity, window: u32) -> Self {
        let room = usize::try_from(window).unwrap_or(usize::MAX);
        Self {
            quantity,
            values: Window::new(room),
            moments: VecDeque::new(),
            room,
            last: None,
            new: 0,
            missed: 0,
        }
    }

    fn see(&mut self, look: &MonitorLook) {
        if look.recreated {
            (self.last, self.new, self.missed) = (None, 0, 0);
            self.values.clear();
            self.moments.clear();
        }
        self.missed = self.missed.saturating_add(look.missed);
        self.new = self.new.saturating_add(look.missed).saturating_add(look.frames.len() as u64);
        look.frames.iter().for_each(|frame| self.see_frame(frame));
    }

    fn see_frame(&mut self, frame: &FrameInfo) {
        let before = self.last.replace((frame.seq, frame.published_ns));
        if self.moments.len() >= self.room {
            self.moments.pop_front();
        }
        self.moments.push_back((frame.seq, frame.published_ns));
        match self.quantity {
            Quantity::Rate => {
                if let Some((seq, published)) = before {
                    // Those between them that were not seen came at equal intervals, as far as is known.
                    let frames = frame.seq.saturating_sub(seq).max(1);
                    let span = frame.published_ns.saturating_sub(published) as f64 / 1e9;
                    (0..frames.min(1000)).for_each(|_| self.values.push(span / frames as f64));
                }
            }
            Quantity::Delay => {
                if let Some(delay) = frame.latency() {
                    self.values.push(delay.as_secs_f64());
                }
            }
            Quantity::Bandwidth => self.values.push(frame.bytes as f64),
        }
    }

    /// Bytes a second over the window, up to now; those of frames that were not seen are as the others.
    fn bandwidth(&self, now: f64, stats: Stats) -> f64 {
        let (Some((first, begin)), Some((last, _))) = (self.moments.front(), self.moments.back()) else {
            return 0.0;
        };
        let (frames, span) = (last.saturating_sub(*first) as f64, now - *begin as f64 / 1e9);
        if span > 0.0 { stats.mean * frames / span } else { 0.0 }
    }

    fn report(&mut self, out: &mut dyn Write, topic: &str, as_json: bool) -> Result<(), Failure> {
        let (new, missed) = (std::mem::take(&mut self.new), std::mem::take(&mut self.missed));
        let now = std::time::Duration::from(
            nix::time::ClockId::CLOCK_MONOTONIC.now().map_err(std::io::Error::from)?,
        );
        // Of what has stopped nothing is told as if it went on.
        let stats = self.values.stats().filter(|_| new != 0);
        if as_json {
            let mut value = match stats {
                Some(stats) => self.json(stats, now.as_secs_f64()),
                None => json!({}),
            };
            (value["topic"], value["frames"], value["not_seen"]) = (topic.into(), new.into(), missed.into());
            writeln!(out, "{value}")?;
        } else if let Some(stats) = stats {
            writeln!(out, "{}", self.text(stats, now.as_secs_f64()))?;
            if missed != 0 {
                writeln!(out, "\t{} overwritten before they were seen", text::several(missed, "frame"))?;
            }
        } else if new != 0 && self.quantity == Quantity::Delay {
            writeln!(out, "the frames of `{}` carry no capture time", text::safe(topic))?;
        } else if new == 0 {
            writeln!(out, "no new frames")?;
        }
        out.flush()?;
        Ok(())
    }

    fn text(&self, stats: Stats, now: f64) -> String {
        let Stats { count, mean, min, max, deviation } = stats;
        let spread = format!("min: {min:.3}s max: {max:.3}s std dev: {deviation:.5}s window: {count}");
        match self.quantity {
            Quantity::Rate => format!("average rate: {:.3}\n\t{spread}", 1.0 / mean),
            Quantity::Delay => format!("average delay: {mean:.3}\n\t{spread}"),
            Quantity::Bandwidth => {
                let size = |bytes: f64| text::bytes(bytes as u64);
                let rate = text::byte_rate(self.bandwidth(now, stats));
                let spread = format!("mean: {} min: {} max: {}", size(mean), size(min), size(max));
                format!("{rate} from {}\n\tFrame size {spread}", text::several(count as u64, "frame"))
            }
        }
    }

    fn json(&self, stats: Stats, now: f64) -> Value {
        let mut value = json!({ "mean": stats.mean, "min": stats.min, "max": stats.max, "std_dev": stats.deviation, "window": stats.count });
        match self.quantity {
            Quantity::Rate => value["frames_per_second"] = (1.0 / stats.mean).into(),
            Quantity::Delay => {}
            Quantity::Bandwidth => value["bytes_per_second"] = self.bandwidth(now, stats).into(),
        }
        value
    }
}

pub(crate) fn run(
    out: &mut dyn Write,
    dir: Option<&Path>,
    args: &Measure,
    quantity: Quantity,
) -> Result<Outcome, Failure> {
    let mut follower = Follower::open(&args.topic, dir)?;
    let mut seen = Seen::new(quantity, args.window);
    for _ in 0..args.count.unwrap_or(u64::MAX) {
        let until = Instant::now() + args.interval;
        while Instant::now() < until {
            match follower.next(until) {
                Ok(look) => seen.see(&look),
                Err(Error::TopicNotFound { .. }) => {
                    Failure::note(&format!("topic `{}` is gone", text::safe(&args.topic)));
                    return Ok(Outcome::Done);
                }
                Err(error) => return Err(error.into()),
            }
        }
        seen.report(out, &args.topic, args.json)?;
    }
    Ok(Outcome::Done)
}
