//! Pipelines from text, run to their end.

use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::Result;

/// Makes a pipeline from the words one would give to `gst-launch-1.0`.
pub(crate) fn parse(text: &str) -> Result<gst::Pipeline> {
    let element = gst::parse::launch(text).map_err(|error| {
        format!(
            "{error}\n    in: {text}\n    is something not installed? `make deps` installs what is needed"
        )
    })?;
    element.downcast().map_err(|_| format!("not a pipeline: {text}").into())
}

/// Runs it until the end of the stream.
///
/// # Errors
/// If an element posts an error, or if the end does not come in time.
pub(crate) fn play(pipeline: &gst::Pipeline, patience: Duration) -> Result<()> {
    play_and_tell(pipeline, patience, || ())
}

/// The same; calls `started` when the pipeline has been started.
pub(crate) fn play_and_tell(
    pipeline: &gst::Pipeline,
    patience: Duration,
    started: impl FnOnce(),
) -> Result<()> {
    let outcome = until_end(pipeline, patience, started);
    pipeline.set_state(gst::State::Null)?;
    outcome
}

fn until_end(pipeline: &gst::Pipeline, patience: Duration, started: impl FnOnce()) -> Result<()> {
    let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
    // If this fails, the bus knows better why.
    let start = pipeline.set_state(gst::State::Playing);
    if start.is_ok() {
        started();
    }
    let wait = gst::ClockTime::try_from(patience)?;
    let message = bus.timed_pop_filtered(wait, &[gst::MessageType::Eos, gst::MessageType::Error]);
    match message.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Eos(_)) => Ok(()),
        Some(gst::MessageView::Error(error)) => {
            let source = error.src().map_or_else(String::new, |object| object.name().to_string());
            let details = error.debug().unwrap_or_default();
            Err(format!("{source}: {} ({details})", error.error()).into())
        }
        _ => {
            start?;
            Err(format!("the stream did not end within {patience:?}").into())
        }
    }
}

/// Calls `take` with every buffer that passes the named element's pad, on its streaming thread.
pub(crate) fn tap(
    pipeline: &gst::Pipeline,
    element: &str,
    pad: &str,
    mut take: impl FnMut(&gst::Pad, &gst::BufferRef) + Send + 'static,
) -> Result<()> {
    let pad = pipeline
        .by_name(element)
        .and_then(|element| element.static_pad(pad))
        .ok_or_else(|| format!("no element {element} with a pad {pad}"))?;
    // A pad's buffers come one after another: the lock is never contended.
    let take = std::sync::Mutex::new(move |pad: &gst::Pad, buffer: &gst::BufferRef| take(pad, buffer));
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if let (Some(buffer), Ok(mut take)) = (info.buffer(), take.lock()) {
            take(pad, buffer);
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// One of the numbers in an element's `topic-stats`.
pub(crate) fn statistic(element: &gst::Element, name: &str) -> Option<u64> {
    element.find_property("topic-stats")?;
    element.property_value("topic-stats").get::<Option<gst::Structure>>().ok()??.get(name).ok()
}
