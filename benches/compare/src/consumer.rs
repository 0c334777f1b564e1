//! The consuming process: a source, a fakesink, and a probe between them that reads the clock and the frame.

use std::io::Read;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use serde_json::json;

use crate::Result;
use crate::cli::{ConsumerSetup, Touch};
use crate::frame::{self, Header, Phase};
use crate::histogram::Latencies;
use crate::line;
use crate::peer;
use crate::producer::statistics_of;
use crate::usage::Usage;

pub(crate) fn run(setup: &ConsumerSetup) -> Result<()> {
    let outcome = receive(setup);
    if let Err(error) = &outcome {
        line::say(&json!({ "error": error.to_string() }).to_string())?;
    }
    outcome
}

fn receive(setup: &ConsumerSetup) -> Result<()> {
    peer::initialise(setup.plugin.as_deref())?;
    let source = setup.peer.source(&setup.address)?;
    let sink = gst::ElementFactory::make("fakesink")
        .property("sync", false)
        .property("async", false)
        .property("enable-last-sample", false)
        .build()?;
    let pipeline = gst::Pipeline::new();
    pipeline.add_many([&source, &sink])?;
    source.link(&sink)?;

    let (sender, events) = channel();
    let failed = sender.clone();
    pipeline.bus().ok_or("a pipeline without a bus")?.set_sync_handler(move |_, message| {
        if let Some(error) = peer::error_in(message) {
            // Nobody listens when the pipeline is being stopped.
            let _ = failed.send(Event::Failed(error));
        }
        gst::BusSyncReply::Pass
    });
    // Frames come on one thread; the lock is never contended.
    let recorder = Mutex::new(Recorder::new(setup.touch, sender));
    let pad = sink.static_pad("sink").ok_or("a fakesink without a pad")?;
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(buffer) = info.buffer() {
            recorder.lock().unwrap_or_else(PoisonError::into_inner).take(buffer);
        }
        gst::PadProbeReturn::Ok
    });
    let outcome = pipeline
        .set_state(gst::State::Playing)
        .map_err(|error| peer::bus_error(&pipeline).unwrap_or_else(|| error.to_string()).into())
        .and_then(|_| report(&source, &events));
    peer::stop(&pipeline);
    outcome
}

/// Tells the parent about the first frame and the result, then stays until the parent closes the input.
fn report(source: &gst::Element, events: &Receiver<Event>) -> Result<()> {
    // No time-out: a thread that wakes up now and then would be counted as the source's.
    loop {
        match events.recv().map_err(|_| "the source went away")? {
            Event::Attached => line::say(&json!({ "attached": true }).to_string())?,
            Event::Failed(error) => return Err(error.into()),
            Event::Done(counted) => {
                let value = json!({ "consumed": {
                    "frames": counted.frames,
                    "lost": counted.lost,
                    "seconds": counted.seconds,
                    "cpu_ns": counted.used.cpu.as_nanos() as u64,
                    "faults": counted.used.faults,
                    "latencies": counted.latencies.to_json(),
                    "sum": counted.sum,
                    "statistics": statistics_of(source),
                }});
                line::say(&value.to_string())?;
                std::io::stdin().lock().read_to_end(&mut Vec::new())?;
                return Ok(());
            }
        }
    }
}

enum Event {
    Attached,
    Done(Box<Counted>),
    Failed(String),
}

/// What was seen between the first measured frame and the first one after.
struct Counted {
    frames: u64,
    lost: u64,
    seconds: f64,
    used: Usage,
    latencies: Latencies,
    sum: u64,
}

struct Recorder {
    touch: Touch,
    sender: Sender<Event>,
    attached: bool,
    begun: Option<(Duration, Usage)>,
    done: bool,
    last: Option<u64>,
    frames: u64,
    lost: u64,
    latencies: Latencies,
    sum: u64,
}

impl Recorder {
    fn new(touch: Touch, sender: Sender<Event>) -> Self {
        Self {
            touch,
            sender,
            attached: false,
            begun: None,
            done: false,
            last: None,
            frames: 0,
            lost: 0,
            latencies: Latencies::with_room(),
            sum: 0,
        }
    }

    fn take(&mut self, buffer: &gst::BufferRef) {
        if let Err(error) = self.count(buffer) {
            self.tell(Event::Failed(error.to_string()));
        }
    }

    /// The parent may be gone, and with it the receiver.
    fn tell(&self, event: Event) {
        let _ = self.sender.send(event);
    }

    fn count(&mut self, buffer: &gst::BufferRef) -> Result<()> {
        let now = frame::now()?;
        let map = buffer.map_readable()?;
        let header = Header::read(&map).ok_or("a frame arrived that no producer wrote")?;
        if self.touch == Touch::Whole {
            self.sum = self.sum.wrapping_add(frame::sum(&map));
        }
        if !self.attached {
            self.attached = true;
            self.tell(Event::Attached);
        }
        if self.done {
            return Ok(());
        }
        match header.phase {
            Phase::WarmUp => {}
            Phase::Measured => {
                if self.begun.is_none() {
                    self.begun = Some((now, Usage::now()?));
                } else {
                    let expected = self.last.map_or(header.number, |last| last.wrapping_add(1));
                    let missing = header.number.checked_sub(expected).ok_or_else(|| {
                        format!("frame {} arrived after frame {:?}", header.number, self.last)
                    })?;
                    self.lost = self.lost.saturating_add(missing);
                    self.frames = self.frames.saturating_add(1);
                    let pushed = Duration::from_nanos(header.pushed_ns);
                    self.latencies.add(now.saturating_sub(pushed).as_nanos() as u64);
                }
                self.last = Some(header.number);
            }
            Phase::Over => {
                let (begin, usage) = self.begun.ok_or("no measured frame arrived")?;
                self.done = true;
                let counted = Counted {
                    frames: self.frames,
                    lost: self.lost,
                    seconds: now.saturating_sub(begin).as_secs_f64(),
                    used: Usage::now()?.since(usage),
                    latencies: std::mem::take(&mut self.latencies),
                    sum: self.sum,
                };
                self.tell(Event::Done(Box::new(counted)));
            }
        }
        Ok(())
    }
}
