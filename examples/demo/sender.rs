//! The sending process: decodes the video twice, with two decoders, straight into the slots of two topics.
//!
//! The second branch, with avdec_h264, feeds a scaler, which writes into the slots whatever it reads.

use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::Result;
use crate::frames::{self, Seen};
use crate::pipeline;
use crate::video;

pub(crate) fn run(video: &str, prefix: &str, work: &Path) -> Result<()> {
    let pipeline = pipeline::parse(&text(prefix))?;
    video::set_location(&pipeline, "file", Path::new(video))?;
    let mut seen = Vec::new();
    for (name, work) in [("full", Some(work.to_owned())), ("small", None)] {
        let (sender, frames) = channel();
        let player = pipeline.downgrade();
        pipeline::tap(&pipeline, name, "sink", move |pad, buffer| {
            let base = player.upgrade().and_then(|pipeline| pipeline.base_time());
            match note(pad, buffer, base, work.as_deref()) {
                // The receiver lives until the pipeline has stopped.
                Ok(frame) => drop(sender.send(frame)),
                Err(error) => eprintln!("sender: {error}"),
            }
        })?;
        seen.push((name, frames));
    }
    // The sinks count until they are stopped: ask before that.
    let bus_end = pipeline.clone();
    let sinks: Vec<_> = ["full", "small"].iter().filter_map(|name| pipeline.by_name(name)).collect();
    let statistics = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let collected = std::sync::Arc::clone(&statistics);
    let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
    bus.set_sync_handler(move |_, message| {
        if message.type_() == gst::MessageType::Eos
            && let Ok(mut collected) = collected.lock()
        {
            for sink in &sinks {
                for name in ["published", "zero-copy", "copied", "dropped"] {
                    if let Some(value) = pipeline::statistic(sink, name) {
                        collected.push(format!("stat {} {name} {value}", sink.name()));
                    }
                }
            }
        }
        gst::BusSyncReply::Pass
    });
    let outcome = pipeline::play(&pipeline, Duration::from_secs(700));
    bus.unset_sync_handler();
    let base = bus_end.base_time().unwrap_or_default().nseconds();
    for (name, frames) in seen {
        for frame in frames.try_iter() {
            println!("sent {name} {} {:016x}", base.saturating_add(frame.running), frame.fingerprint);
        }
    }
    if let Ok(lines) = statistics.lock() {
        lines.iter().for_each(|line| println!("{line}"));
    }
    outcome
}

fn text(prefix: &str) -> String {
    format!(
        "filesrc name=file ! qtdemux ! h264parse ! tee name=both \
         both. ! queue ! openh264dec ! shmflowsink name=full topic={prefix}/full \
         both. ! queue ! avdec_h264 ! videoscale ! video/x-raw,width=640,height=360 \
         ! shmflowsink name=small topic={prefix}/small"
    )
}

/// The same as one would type.
pub(crate) fn typed(video: &Path, prefix: &str) -> String {
    text(prefix)
        .replace("name=file", &format!("location={}", video.display()))
        .replace(" name=full", "")
        .replace(" name=small", "")
}

fn note(
    pad: &gst::Pad,
    buffer: &gst::BufferRef,
    base: Option<gst::ClockTime>,
    work: Option<&Path>,
) -> Result<Seen> {
    let info = frames::info(pad)?;
    let running = frames::running_time(pad, buffer).ok_or("a frame without a time")?.nseconds();
    if let (Some(work), Some(base)) = (work, base.filter(|base| !base.is_zero())) {
        let absolute = base.nseconds().saturating_add(running);
        if frames::is_pictured(absolute, &info) {
            frames::picture(work, "sent", absolute, &info, buffer)?;
        }
    }
    Ok(Seen { running, fingerprint: frames::fingerprint(&info, buffer)? })
}
