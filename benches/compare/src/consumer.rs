//! The consuming process: a source, a fakesink, and a probe between them that reads the clock and the frame.

use std::io::Read;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;
use serde_json::json;

use crate::Result;
use crate::cli::{ConsumerSetup, Touch};
use crate::frame::{self, Header, Phase};
use crate::histogram::Latencies;
use crate::line;
use crate::peer;
use crate::producer::statistics_of;
use crate::row::Row;
use crate::usage::{self, Usage};

pub(crate) fn run(setup: &ConsumerSetup) -> Result<()> {
    usage::allow_tracing();
    let outcome = receive(setup);
    if let Err(error) = &outcome {
        line::say(&json!({ "error": error.to_string() }).to_string())?;
    }
    outcome
}

fn receive(setup: &ConsumerSetup) -> Result<()> {
    peer::initialise(setup.plugin.as_deref())?;
    let row = Row::find(&setup.row).ok_or("no row has such a name")?;
    let source = setup.peer.source(&setup.address, row)?;
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
        let ended =
            || matches!(message.view(), gst::MessageView::Eos(_)).then(|| "the stream ended".to_owned());
        if let Some(error) = peer::error_in(message).or_else(ended) {
            // Nobody listens when the pipeline is being stopped.
            let _ = failed.send(Event::Failed(error));
        }
        gst::BusSyncReply::Pass
    });
    // Frames come on one thread; the lock is never contended.
    let delay = Duration::from_millis(setup.delay_ms);
    let recorder = Mutex::new(Recorder::new(row.touch, delay, source.downgrade(), sender));
    let pad = sink.static_pad("sink").ok_or("a fakesink without a pad")?;
    // A fakesink takes no lines that are longer than the picture is wide; converters, encoders and displays do.
    pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM | gst::PadProbeType::PUSH, |_, info| {
        if let Some(gst::QueryViewMut::Allocation(query)) = info.query_mut().map(gst::QueryRef::view_mut) {
            query.add_allocation_meta::<gst_video::VideoMeta>(None);
            return gst::PadProbeReturn::Handled;
        }
        gst::PadProbeReturn::Ok
    });
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
            Event::Attached(time) => line::say(&json!({ "attached": time.as_nanos() as u64 }).to_string())?,
            Event::Failed(error) => return Err(error.into()),
            Event::Done(counted) => {
                let value = json!({ "consumed": {
                    "frames": counted.frames,
                    "lost": counted.lost,
                    "expected": counted.expected,
                    "seconds": counted.seconds,
                    "cpu_ns": counted.used.cpu.as_nanos() as u64,
                    "faults": counted.used.faults,
                    "longest_gap_ns": counted.longest_gap.as_nanos() as u64,
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
    /// The first frame of a producer came, then
    Attached(Duration),
    Done(Box<Counted>),
    Failed(String),
}

/// What was seen between the first measured frame and the first one after.
struct Counted {
    frames: u64,
    lost: u64,
    /// Of the frames, those that the source looked for and found, if it tells
    expected: Option<u64>,
    seconds: f64,
    used: Usage,
    longest_gap: Duration,
    latencies: Latencies,
    sum: u64,
}

struct Recorder {
    touch: Touch,
    delay: Duration,
    source: gst::glib::WeakRef<gst::Element>,
    sender: Sender<Event>,
    last_arrival: Option<Duration>,
    longest_gap: Duration,
    begun: Option<(Duration, Option<u64>, Usage)>,
    done: bool,
    last: Option<u64>,
    frames: u64,
    lost: u64,
    latencies: Latencies,
    /// Of the newest frame, which counts when another measured one comes: the last one arrives while its producer reports and
    /// wakes this program's parent.
    newest: Option<u64>,
    sum: u64,
}

impl Recorder {
    fn new(
        touch: Touch,
        delay: Duration,
        source: gst::glib::WeakRef<gst::Element>,
        sender: Sender<Event>,
    ) -> Self {
        Self {
            touch,
            delay,
            source,
            sender,
            last_arrival: None,
            longest_gap: Duration::ZERO,
            begun: None,
            done: false,
            last: None,
            frames: 0,
            lost: 0,
            latencies: Latencies::with_room(),
            newest: None,
            sum: 0,
        }
    }

    fn take(&mut self, buffer: &gst::BufferRef) {
        if let Err(error) = self.count(buffer) {
            self.tell(Event::Failed(error.to_string()));
        }
        if !self.delay.is_zero() {
            std::thread::sleep(self.delay);
        }
    }

    /// The parent may be gone, and with it the receiver.
    fn tell(&self, event: Event) {
        let _ = self.sender.send(event);
    }

    /// How many frames the source has found by looking for them, so far.
    fn expected(&self) -> Option<u64> {
        statistics_of(&self.source.upgrade()?).get("expected")?.as_u64()
    }

    fn count(&mut self, buffer: &gst::BufferRef) -> Result<()> {
        let now = frame::now()?;
        let map = buffer.map_readable()?;
        let header = Header::read(&map).ok_or("a frame arrived that no producer wrote")?;
        if self.touch == Touch::Whole {
            self.sum = self.sum.wrapping_add(frame::sum(&map));
        }
        if self.done {
            return Ok(());
        }
        match header.phase {
            Phase::WarmUp => {
                // A number that is no greater is another producer's.
                if self.last.is_none_or(|last| header.number <= last) {
                    self.tell(Event::Attached(now));
                }
                self.last = Some(header.number);
            }
            Phase::Measured => {
                if self.begun.is_none() {
                    self.begun = Some((now, self.expected(), Usage::now()?));
                } else {
                    let gap = now.saturating_sub(self.last_arrival.unwrap_or(now));
                    self.longest_gap = self.longest_gap.max(gap);
                    let expected = self.last.map_or(header.number, |last| last.wrapping_add(1));
                    let missing = header.number.checked_sub(expected).ok_or_else(|| {
                        format!("frame {} arrived after frame {:?}", header.number, self.last)
                    })?;
                    self.lost = self.lost.saturating_add(missing);
                    self.frames = self.frames.saturating_add(1);
                    let pushed = Duration::from_nanos(header.pushed_ns);
                    let latency = now.saturating_sub(pushed).as_nanos() as u64;
                    if let Some(before) = self.newest.replace(latency) {
                        self.latencies.add(before);
                    }
                }
                self.last = Some(header.number);
                self.last_arrival = Some(now);
            }
            Phase::Over => {
                let used = Usage::now()?;
                let (begin, expected, usage) = self.begun.ok_or("no measured frame arrived")?;
                self.done = true;
                let expected = self.expected().zip(expected);
                // The frame at hand is no measured one; it may have been found, too.
                let expected = expected.map(|(all, before)| all.saturating_sub(before).min(self.frames));
                let counted = Counted {
                    frames: self.frames,
                    lost: self.lost,
                    expected,
                    seconds: now.saturating_sub(begin).as_secs_f64(),
                    used: used.since(usage),
                    longest_gap: self.longest_gap,
                    latencies: std::mem::take(&mut self.latencies),
                    sum: self.sum,
                };
                self.tell(Event::Done(Box::new(counted)));
            }
        }
        Ok(())
    }
}
