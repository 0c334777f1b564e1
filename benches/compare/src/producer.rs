//! The producing process: makes frames at a steady pace or as fast as it goes, and pushes them into the sink.
//!
//! A bare pad stands where a pipeline's last element would: what is measured is the sink, not an element in front of
//! it. The frames' memory is chosen as GStreamer's own base classes choose it.

use std::io::BufRead;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};
use serde_json::json;

use crate::Result;
use crate::cli::{Memory, ProducerSetup, Touch};
use crate::frame::{self, Header, Phase};
use crate::line;
use crate::peer;
use crate::usage::Usage;

/// The pace before and after an unthrottled measurement.
const CALM_FPS: u32 = 60;
/// How long an unthrottled producer runs before it counts.
const RUN_UP: Duration = Duration::from_millis(300);

/// Buffers in a pool over an allocator that a sink offered. Less than `peer::BUFFERS`: a pool that holds the whole area
/// of a shmsink stops for ever behind a consumer slower than the producer.
const OWN_BUFFERS: u32 = peer::BUFFERS - 2;

/// What the parent process wants.
const PREPARE: u8 = 0;
const MEASURE: u8 = 1;
const LEAVE: u8 = 2;

pub(crate) fn run(setup: &ProducerSetup) -> Result<()> {
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
    pool: gst::BufferPool,
    touch: Touch,
    /// Number of the next frame
    number: u64,
    next_push: Duration,
}

impl Producer {
    fn new(setup: &ProducerSetup) -> Result<Self> {
        peer::initialise(setup.plugin.as_deref())?;
        let fps = gst::Fraction::new(i32::try_from(setup.fps.max(1))?, 1);
        let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Bgrx, setup.width, setup.height)
            .fps(fps)
            .build()?;
        let caps = info.to_caps()?;
        let sink = setup.peer.sink(&setup.address, info.size() as u64)?;
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
            gst::event::Caps::new(&caps),
            gst::event::Segment::new(&segment),
        ] {
            if !pad.push_event(event) {
                return Err("the sink refuses the stream".into());
            }
        }
        let pool = match setup.memory {
            Memory::Pool => offered_pool(&pad, &caps, info.size())?,
            Memory::System => plain_pool(&caps, info.size(), 0, None)?,
        };
        pool.set_active(true)?;
        Ok(Self { pipeline, pad, pool, touch: setup.touch, number: 0, next_push: frame::now()? })
    }

    fn work(&mut self, setup: &ProducerSetup) -> Result<()> {
        let wanted = Arc::new(AtomicU8::new(PREPARE));
        let listener = Arc::clone(&wanted);
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(std::result::Result::ok) {
                if line == "measure" {
                    listener.store(MEASURE, Ordering::Relaxed);
                }
            }
            listener.store(LEAVE, Ordering::Relaxed);
        });
        line::say(&json!({ "ready": true }).to_string())?;
        let calm = Some(period(if setup.fps == 0 { CALM_FPS } else { setup.fps }));
        while wanted.load(Ordering::Relaxed) == PREPARE {
            self.push(Phase::WarmUp, calm)?;
        }
        let pace = (setup.fps != 0).then(|| period(setup.fps));
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
        while wanted.load(Ordering::Relaxed) != LEAVE {
            self.push(Phase::Over, calm)?;
        }
        Ok(())
    }

    /// Makes and pushes one frame, at its time if there is a pace.
    fn push(&mut self, phase: Phase, period: Option<Duration>) -> Result<()> {
        if let Some(period) = period {
            self.wait(period)?;
        }
        let mut buffer = self.pool.acquire_buffer(None)?;
        {
            let buffer = buffer.get_mut().ok_or("a fresh buffer that somebody else holds")?;
            buffer.set_pts(self.running_time());
            let mut map = buffer.map_writable()?;
            if self.touch == Touch::Whole {
                frame::fill(&mut map, self.number);
            }
            Header { number: self.number, pushed_ns: frame::now()?.as_nanos() as u64, phase }.write(&mut map);
        }
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
        let target = TimeSpec::from_duration(self.next_push);
        loop {
            match clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &target) {
                Ok(_) => return Ok(()),
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn running_time(&self) -> Option<gst::ClockTime> {
        self.pipeline.current_running_time()
    }

    /// What the sink says about itself, if it does.
    fn statistics(&self) -> serde_json::Value {
        let sink = self.pipeline.iterate_sinks().next();
        sink.ok().flatten().map_or(serde_json::Value::Null, |sink| statistics_of(&sink))
    }
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

/// The pool that the sink offers, or one over the allocator that it offers, or a plain one, as base classes do it.
fn offered_pool(pad: &gst::Pad, caps: &gst::Caps, bytes: usize) -> Result<gst::BufferPool> {
    let mut query = gst::query::Allocation::new(Some(caps), true);
    if !pad.peer_query(&mut query) {
        return plain_pool(caps, bytes, 0, None);
    }
    let offer = query.allocation_pools().next();
    let Some((Some(pool), size, least, most)) = offer else {
        let allocator = query.allocation_params().next().and_then(|(allocator, _)| allocator);
        let most = if allocator.is_some() { OWN_BUFFERS } else { 0 };
        return plain_pool(caps, bytes, most, allocator);
    };
    let mut config = pool.config();
    config.set_params(Some(caps), size, least, most);
    if query.find_allocation_meta::<gst_video::VideoMeta>().is_some()
        && pool.has_option("GstBufferPoolOptionVideoMeta")
    {
        config.add_option("GstBufferPoolOptionVideoMeta");
    }
    pool.set_config(config)?;
    Ok(pool)
}

fn plain_pool(
    caps: &gst::Caps,
    bytes: usize,
    most: u32,
    allocator: Option<gst::Allocator>,
) -> Result<gst::BufferPool> {
    let pool: gst::BufferPool = gst_video::VideoBufferPool::new().upcast();
    let mut config = pool.config();
    config.set_params(Some(caps), u32::try_from(bytes)?, 0, most);
    if let Some(allocator) = allocator {
        config.set_allocator(Some(&allocator), None);
    }
    pool.set_config(config)?;
    Ok(pool)
}
