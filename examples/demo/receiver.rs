//! The receiving processes: the meter, which checks and times every frame, and the viewer, which shows them.

use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::Result;
use crate::{frames, pipeline};

/// What a receiver says when its pipeline runs, with or without a topic.
pub(crate) const WAITING: &str = "waiting";
/// What a viewer says when there is something to see.
pub(crate) const SHOWING: &str = "showing";
const PATIENCE: Duration = Duration::from_secs(700);

/// Takes every frame of a topic until its end, then writes a line about each.
pub(crate) fn meter(topic: &str, work: Option<&Path>) -> Result<()> {
    let pipeline = pipeline::parse(&meter_text(topic))?;
    let clock = gst::SystemClock::obtain();
    let (sender, lines) = channel();
    let player = pipeline.downgrade();
    let work = work.map(Path::to_owned);
    pipeline::tap(&pipeline, "source", "src", move |pad, buffer| {
        // First of all: what follows takes time that is not the ring's.
        let arrived = clock.time();
        let Some(base) = player.upgrade().and_then(|pipeline| pipeline.base_time()) else { return };
        match note(pad, buffer, base, arrived, work.as_deref()) {
            Ok(line) => drop(sender.send(line)),
            Err(error) => eprintln!("meter: {error}"),
        }
    })?;
    let outcome = finish(&pipeline);
    lines.try_iter().for_each(|line| println!("{line}"));
    outcome
}

fn meter_text(topic: &str) -> String {
    format!("shmflowsrc name=source topic={topic} ! fakesink sync=false")
}

fn note(
    pad: &gst::Pad,
    buffer: &gst::BufferRef,
    base: gst::ClockTime,
    arrived: gst::ClockTime,
    work: Option<&Path>,
) -> Result<String> {
    let info = frames::info(pad)?;
    let running = frames::running_time(pad, buffer).ok_or("a frame without a time")?;
    let absolute = base.saturating_add(running);
    let late = arrived.saturating_sub(absolute);
    let fingerprint = frames::fingerprint(&info, buffer)?;
    if let Some(work) = work
        && frames::is_pictured(absolute.nseconds(), &info)
    {
        frames::picture(work, "seen", absolute.nseconds(), &info, buffer)?;
    }
    Ok(format!("seen {} {fingerprint:016x} {}", absolute.nseconds(), late.nseconds()))
}

/// Shows a topic in a window, or takes it at its pace without one, until its end.
pub(crate) fn viewer(topic: &str, window: bool) -> Result<()> {
    let pipeline = pipeline::parse(&viewer_text(topic, window))?;
    let mut frames = 0_u64;
    pipeline::tap(&pipeline, "source", "src", move |_, _| {
        frames = frames.saturating_add(1);
        // With the second frame, the first has been drawn.
        if frames == 2 {
            println!("{SHOWING}");
        }
    })?;
    finish(&pipeline)
}

fn viewer_text(topic: &str, window: bool) -> String {
    let sink = if window { "videoconvert ! autovideosink" } else { "fakesink sync=true" };
    format!("shmflowsrc name=source topic={topic} ! {sink}")
}

/// What one would type to see the same.
pub(crate) fn typed(text: &str) -> String {
    format!("gst-launch-1.0 {}", text.replace(" name=source", ""))
}

pub(crate) fn typed_meter(topic: &str) -> String {
    typed(&meter_text(topic))
}

pub(crate) fn typed_viewer(topic: &str, window: bool) -> String {
    typed(&viewer_text(topic, window))
}

/// Plays to the end; writes the source's counters, which are gone once it is stopped.
fn finish(pipeline: &gst::Pipeline) -> Result<()> {
    let source = pipeline.by_name("source").ok_or("no source")?;
    let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
    let asked = source.clone();
    bus.set_sync_handler(move |_, message| {
        if message.type_() == gst::MessageType::Eos {
            for name in ["received", "lost", "copied"] {
                if let Some(value) = pipeline::statistic(&asked, name) {
                    println!("stat {name} {value}");
                }
            }
        }
        gst::BusSyncReply::Pass
    });
    let outcome = pipeline::play_and_tell(pipeline, PATIENCE, || println!("{WAITING}"));
    bus.unset_sync_handler();
    outcome
}
