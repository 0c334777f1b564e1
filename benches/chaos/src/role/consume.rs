//! Receives frames and checks each: every byte, its number, and that what is missing was told.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use serde_json::json;
use shmflow::{Consumer, Error, Frame, OnLapped};

use super::leave::Leave;
use crate::cli::Consume;
use crate::payload::{REPEATING, VISITORS, check};
use crate::{Result, say};

/// How long one who is to leave goes on waiting for a frame: an honest one leaves when it has one more, to show that it did
/// not hang.
const LAST: Duration = Duration::from_secs(15);

/// How far the time of a frame may be from now: far more than any frame waits, far less than time namespaces are apart.
const RECENT_NS: i128 = 60_000_000_000;

/// What a consumer says at the first frame of each writer.
pub(crate) fn wrote(tag: u64) -> String {
    format!("writer {tag} is there")
}

#[derive(Default)]
struct Seen {
    frames: u64,
    lost: u64,
    copied: u64,
    torn: u64,
    reopened: u64,
    errors: u64,
    formats: u64,
    last_error: String,
    wait: Duration,
    ended: bool,
    /// When the last frame came.
    progress: Option<Instant>,
    /// The number that comes next.
    next: Option<u64>,
    /// The newest frame of each writer.
    counts: HashMap<u64, u64>,
    /// Format of the last picture.
    format: Option<(String, u32, u32)>,
}

pub(crate) fn run(settings: &Consume) -> Result<()> {
    let leave = Leave::watch();
    let mut seen = Seen::default();
    let mut held: Vec<(Frame, (u64, u64))> = Vec::new();
    let mut ready = false;
    'open: while !seen.may_leave(settings, &leave)? {
        let mut consumer = match open(settings, &leave, ready) {
            Ok(consumer) => consumer,
            Err(Error::Cancelled { .. }) => break,
            Err(error) if settings.bear || settings.reopen && matches!(error, Error::Busy { .. }) => {
                seen.errors += 1;
                seen.last_error = error.to_string();
                std::thread::sleep(Duration::from_millis(20));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if !std::mem::replace(&mut ready, true) {
            say("ready")?;
        }
        seen.next = None;
        let first = consumer.position();
        while !seen.may_leave(settings, &leave)? {
            match consumer.recv_timeout(Duration::from_millis(200)) {
                Ok(frame) => {
                    let now = Instant::now();
                    seen.wait = seen.wait.max(seen.progress.map_or(Duration::ZERO, |before| now - before));
                    seen.progress = Some(now);
                    match seen.take(settings, &frame) {
                        Ok(which) if settings.hold > 0 => held.push((frame, which)),
                        Ok(_) => {}
                        Err(why) if settings.bear => {
                            seen.torn += 1;
                            seen.last_error = why;
                        }
                        Err(why) => return Err(format!("frame {}: {why}", seen.frames).into()),
                    }
                    if held.len() > settings.hold {
                        let (frame, which) = held.remove(0);
                        if !settings.bear && check(&frame) != Ok(which) {
                            return Err(format!("a frame that was held changed: {frame:?}").into());
                        }
                    }
                }
                Err(Error::Timeout { .. }) => {}
                Err(Error::Cancelled { .. }) => break,
                Err(Error::Ended { .. }) => {
                    seen.ended = true;
                    break;
                }
                Err(Error::Removed { .. }) if settings.reopen => {
                    seen.reopened += 1;
                    continue 'open;
                }
                Err(error) if settings.bear => {
                    seen.errors += 1;
                    seen.last_error = error.to_string();
                    std::thread::sleep(Duration::from_millis(10));
                    continue 'open;
                }
                Err(error) => return Err(error.into()),
            }
        }
        // The last wait counts, too: one that has heard nothing since the fault must not look quick.
        let waits = seen.progress.filter(|_| !seen.ended);
        seen.wait = seen.wait.max(waits.map_or(Duration::ZERO, |before| before.elapsed()));
        let stats = consumer.stats();
        if !settings.bear && first + stats.received + stats.lost != consumer.position() {
            return Err("received and lost frames do not add up".into());
        }
        drop(consumer);
    }
    say(&json!({
        "role": "consume", "frames": seen.frames, "lost": seen.lost, "copied": seen.copied, "torn": seen.torn,
        "reopened": seen.reopened, "errors": seen.errors, "formats": seen.formats, "last_error": seen.last_error,
        "ended": seen.ended, "writers": seen.counts.keys().filter(|tag| !VISITORS.contains(tag)).count(), "wait_ms": seen.wait.as_secs_f64() * 1000.0,
    })
    .to_string())
}

fn open(settings: &Consume, leave: &Leave, again: bool) -> shmflow::Result<Consumer> {
    let patience = match (settings.bear, again || leave.is_due()) {
        (true, _) => Duration::from_secs(1),
        (false, true) => LAST,
        (false, false) => Duration::from_secs(60),
    };
    let builder = Consumer::builder(&settings.topic)
        .dir(&settings.dir)
        .read_only(settings.read_only)
        .on_lapped(OnLapped::Oldest)
        .connect_timeout(patience);
    // An honest one is not woken to leave: a frame has to wake it.
    if settings.bear { builder.cancel_token(&leave.token).open() } else { builder.open() }
}

impl Seen {
    /// Whether it is time to leave. An honest one has to get one more frame first, and to have opened a topic again that was
    /// removed.
    fn may_leave(&self, settings: &Consume, leave: &Leave) -> Result<bool> {
        let Some(told) = leave.since() else { return Ok(self.ended) };
        let went_on =
            self.progress.is_some_and(|last| last > told) && (!settings.reopen || self.reopened > 0);
        if self.ended || settings.bear || went_on {
            return Ok(true);
        }
        if told.elapsed() > LAST {
            return Err(format!(
                "in {LAST:?} no frame came, after {} frames; the topic was opened again {} times",
                self.frames, self.reopened
            )
            .into());
        }
        Ok(false)
    }

    fn take(&mut self, settings: &Consume, frame: &Frame) -> Result<(u64, u64), String> {
        self.frames += 1;
        self.lost += frame.lost_before();
        self.copied += u64::from(frame.is_copy());
        if let Some(next) = self.next.replace(frame.seq() + 1)
            && frame.seq() != next + frame.lost_before()
        {
            return Err(format!(
                "a gap or a repeat: {} is after {next}, lost {}",
                frame.seq(),
                frame.lost_before()
            ));
        }
        if !settings.bear {
            recent(frame)?;
        }
        if settings.pictures {
            return self.picture(frame).map(|()| (0, 0));
        }
        // Memory that others scribble on is read by copy: see SECURITY.md.
        let (tag, count) = if settings.bear { check(&frame.to_vec())? } else { check(frame)? };
        let before = self.counts.insert(tag, count);
        if before.is_none() {
            say(&wrote(tag)).map_err(|error| error.to_string())?;
        }
        let before = before.unwrap_or(0);
        // Each writer publishes one frame after the other.
        if tag < REPEATING && count <= before {
            return Err(format!("frame {count} of writer {tag} after {before}"));
        }
        Ok((tag, count))
    }

    /// A picture of one colour: its bytes are what its format says, and all pixels are alike.
    fn picture(&mut self, frame: &Frame) -> Result<(), String> {
        let meta = frame.meta().map_err(|error| error.to_string())?.ok_or("a picture without metadata")?;
        let video = meta.video.ok_or("a picture without a layout")?;
        let bytes = match video.format.as_str() {
            "GRAY8" => u64::from(video.width) * u64::from(video.height),
            "BGRx" => u64::from(video.width) * u64::from(video.height) * 4,
            other => return Err(format!("no picture of {other} was sent")),
        };
        if frame.len() as u64 != bytes {
            return Err(format!(
                "{} bytes for {} of {}x{}",
                frame.len(),
                video.format,
                video.width,
                video.height
            ));
        }
        let pixel = if video.format == "GRAY8" { 1 } else { 4 };
        if frame.chunks(pixel).any(|other| frame.get(..pixel) != Some(other)) {
            return Err(format!("a picture of {}x{} is not of one colour", video.width, video.height));
        }
        let format = Some((video.format, video.width, video.height));
        if self.format != format {
            self.formats += 1;
            self.format = format;
        }
        Ok(())
    }
}

/// A frame's time is on this process's own clock, in whichever time namespace its writer is.
fn recent(frame: &Frame) -> Result<(), String> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_err(|error| error.to_string())?;
    let now = i128::from(now.tv_sec()) * 1_000_000_000 + i128::from(now.tv_nsec());
    let age = now - i128::from(frame.published_ns());
    if age.abs() > RECENT_NS {
        return Err(format!("it is said to be {} s old", age / 1_000_000_000));
    }
    Ok(())
}
