//! The producing process: makes frames at a steady pace or as fast as it goes, and pushes them into the sink.
//!
//! A bare pad stands where a pipeline's last element would: what is measured is the sink, not an element in front of
//! it.

use std::io::BufRead;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};
use serde_json::json;

use crate::Result;
use crate::cli::ProducerSetup;
use crate::frame::{self, Phase};
use crate::line;
use crate::maker::Maker;
use crate::peer;
use crate::row::Row;
use crate::usage::{self, Usage};

/// The pace before and after an unthrottled measurement.
const CALM_FPS: u32 = 60;
/// How long an unthrottled producer runs before it counts.
const RUN_UP: Duration = Duration::from_millis(300);

/// What the parent process wants.
const PREPARE: u8 = 0;
const MEASURE: u8 = 1;
const PAUSE: u8 = 2;
const LEAVE: u8 = 3;

pub(crate) fn run(setup: &ProducerSetup) -> Result<()> {
    usage::allow_tracing();
    let outcome = Producer::new(setup).and_then(|mut producer| {
        let outcome = producer.work(setup);
        // The sink knows better why a push failed.
        let reason = peer::bus_error(&producer.pipeline);
        peer::stop(&producer.pipeline);
        match (outcome, reason) {
            (Err(_), Some(reason)) => Err(reason.into()),
            (outcome, _) => outcome,
        }
    });
    if let Err(error) = &outcome {
        line::say(&json!({ "error": error.to_string() }).to_string())?;
    }
    outcome
}

struct Producer {
    pipeline: gst::Pipeline,
    pad: gst::Pad,
    maker: Maker,
    fps: u32,
    jitter: Duration,
    /// Number of the next frame
    number: u64,
    next_push: Duration,
}

impl Producer {
    fn new(setup: &ProducerSetup) -> Result<Self> {
        peer::initialise(setup.plugin.as_deref())?;
        let row = Row::find(&setup.row).ok_or("no row has such a name")?;
        let mut maker = Maker::new(row, setup)?;
        let sink = setup.peer.sink(&setup.address, row)?;
        let pipeline = gst::Pipeline::new();
        pipeline.add(&sink)?;
        let pad = gst::Pad::builder(gst::PadDirection::Src).name("frames").build();
        pad.set_active(true)?;
        pad.link(&sink.static_pad("sink").ok_or("a sink without a pad")?)?;
        pipeline
            .set_state(gst::State::Playing)
            .map_err(|error| peer::bus_error(&pipeline).unwrap_or_else(|| error.to_string()))?;
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        for event in [
            gst::event::StreamStart::new("compare"),
            gst::event::Caps::new(&maker.caps),
            gst::event::Segment::new(&segment),
        ] {
            if !pad.push_event(event) {
                return Err(peer::bus_error(&pipeline)
                    .unwrap_or_else(|| "the sink refuses the stream".into())
                    .into());
            }
        }
        maker.allocate(&pad, row.memory)?;
        Ok(Self {
            pipeline,
            pad,
            maker,
            fps: row.fps,
            jitter: Duration::from_micros(row.jitter_us.into()),
            number: 0,
            next_push: frame::now()?,
        })
    }

    fn work(&mut self, setup: &ProducerSetup) -> Result<()> {
        let wanted = Arc::new(AtomicU8::new(PREPARE));
        listen(Arc::clone(&wanted));
        line::say(&json!({ "ready": frame::now()?.as_nanos() as u64 }).to_string())?;
        let calm = Some(period(if self.fps == 0 { CALM_FPS } else { self.fps }));
        loop {
            match wanted.load(Ordering::Acquire) {
                PREPARE => self.push(Phase::WarmUp, calm)?,
                PAUSE => std::thread::park(),
                _ => break,
            }
        }
        let pace = (self.fps != 0).then(|| period(self.fps));
        if pace.is_none() {
            let end = frame::now()?.saturating_add(RUN_UP);
            while frame::now()? < end {
                self.push(Phase::WarmUp, None)?;
            }
        }

        let before = Usage::now()?;
        let begin = frame::now()?;
        let first = self.number;
        let end = begin.saturating_add(Duration::try_from_secs_f64(setup.seconds)?);
        while frame::now()? < end {
            self.push(Phase::Measured, pace)?;
        }
        let seconds = frame::now()?.saturating_sub(begin).as_secs_f64();
        let used = Usage::now()?.since(before);
        line::say(
            &json!({ "produced": {
                "frames": self.number.saturating_sub(first),
                "seconds": seconds,
                "cpu_ns": used.cpu.as_nanos() as u64,
                "faults": used.faults,
                "statistics": self.statistics(),
            }})
            .to_string(),
        )?;
        while wanted.load(Ordering::Acquire) != LEAVE {
            self.push(Phase::Over, calm)?;
        }
        Ok(())
    }

    /// Makes and pushes one frame, at its time if there is a pace.
    fn push(&mut self, phase: Phase, period: Option<Duration>) -> Result<()> {
        if let Some(period) = period {
            self.wait(period)?;
        }
        let buffer = self.maker.make(self.number, phase, self.pipeline.current_running_time())?;
        self.pad.push(buffer)?;
        self.number = self.number.wrapping_add(1);
        Ok(())
    }

    fn wait(&mut self, period: Duration) -> Result<()> {
        let now = frame::now()?;
        self.next_push = self.next_push.saturating_add(period);
        // After a stall, go on from here instead of catching up in a burst.
        if self.next_push.saturating_add(period) < now {
            self.next_push = now;
        }
        let target = TimeSpec::from_duration(off_pace(self.next_push, self.jitter, self.number));
        loop {
            match clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &target) {
                Ok(_) => return Ok(()),
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What the sink says about itself, if it does.
    fn statistics(&self) -> serde_json::Value {
        let sink = self.pipeline.iterate_sinks().next();
        sink.ok().flatten().map_or(serde_json::Value::Null, |sink| statistics_of(&sink))
    }
}

/// Takes the parent's words on a thread of its own.
fn listen(wanted: Arc<AtomicU8>) {
    let producer = std::thread::current();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(std::result::Result::ok) {
            let word = match line.as_str() {
                "measure" => MEASURE,
                "pause" => PAUSE,
                _ => continue,
            };
            wanted.store(word, Ordering::Release);
            producer.unpark();
        }
        wanted.store(LEAVE, Ordering::Release);
        producer.unpark();
    });
}

/// The time of a frame with a camera's jitter: up to so much before or after its due time, by its number, so that every
/// run and peer gets the same.
fn off_pace(due: Duration, jitter: Duration, number: u64) -> Duration {
    // The finalizer of SplitMix64: neighbouring numbers give unrelated ones.
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let part = f64::from((mixed >> 32) as u32) / f64::from(u32::MAX);
    due.saturating_sub(jitter).saturating_add(jitter.mul_f64(2.0 * part))
}

fn period(fps: u32) -> Duration {
    Duration::from_secs(1).checked_div(fps).unwrap_or_default()
}

/// The numbers in an element's `topic-stats`, so that copies show in the report.
pub(crate) fn statistics_of(element: &gst::Element) -> serde_json::Value {
    if element.find_property("topic-stats").is_none() {
        return serde_json::Value::Null;
    }
    let mut object = serde_json::Map::new();
    if let Ok(Some(structure)) = element.property_value("topic-stats").get::<Option<gst::Structure>>() {
        for (name, value) in structure.iter() {
            if let Ok(number) = value.get::<u64>() {
                object.insert(name.to_string(), number.into());
            }
        }
    }
    serde_json::Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_spread_evenly_around_the_pace_and_the_same_in_each_run() {
        let (due, jitter) = (Duration::from_millis(10), Duration::from_micros(300));
        let micros = |number| off_pace(due, jitter, number).as_secs_f64() * 1e6 - 10_000.0;
        let all: Vec<f64> = (0..1000).map(micros).collect();
        assert!(all.iter().all(|off| (-300.1..=300.1).contains(off)), "{all:?}");
        for from in [-300.0, -150.0, 0.0, 150.0] {
            let part = all.iter().filter(|off| (from..from + 150.0).contains(*off)).count();
            assert!((200..300).contains(&part), "{part} of 1000 from {from}");
        }
        assert_eq!(all, (0..1000).map(micros).collect::<Vec<_>>());
        assert_eq!(off_pace(due, Duration::ZERO, 7), due);
    }
}
