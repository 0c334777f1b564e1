//! The video: made once, with a real encoder, from pictures that move.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Result;
use crate::pipeline;

pub(crate) const FPS: u32 = 30;

/// Gives the video of that length, making it unless it is there.
pub(crate) fn make(directory: &Path, seconds: u32) -> Result<PathBuf> {
    let path = directory.join(format!("source-{seconds}s.mp4"));
    if path.exists() {
        println!("video     {} (made before)", path.display());
        return Ok(path);
    }
    println!("video     making {}: {seconds} s of 1280x720 H.264, once", path.display());
    let frames = u64::from(seconds) * u64::from(FPS);
    let unfinished = path.with_extension("part");
    // No B-frames: not every decoder handles them.
    let text = format!(
        "compositor name=mix sink_1::xpos=800 sink_1::ypos=60 \
         ! video/x-raw,format=I420,width=1280,height=720,framerate={FPS}/1 \
         ! timeoverlay halignment=center valignment=center font-desc=\"Sans Bold 36\" \
         ! x264enc bframes=0 key-int-max={FPS} bitrate=4000 speed-preset=veryfast \
         ! video/x-h264,profile=constrained-baseline ! h264parse ! mp4mux ! filesink name=file \
         videotestsrc num-buffers={frames} pattern=smpte horizontal-speed=4 \
         ! video/x-raw,width=1280,height=720,framerate={FPS}/1 ! mix.sink_0 \
         videotestsrc num-buffers={frames} pattern=ball motion=wavy \
         ! video/x-raw,width=400,height=300,framerate={FPS}/1 ! mix.sink_1"
    );
    let pipeline = pipeline::parse(&text)?;
    set_location(&pipeline, "file", &unfinished)?;
    pipeline::play(&pipeline, Duration::from_secs(120 + 10 * u64::from(seconds)))?;
    std::fs::rename(&unfinished, &path)?;
    Ok(path)
}

/// Counts the frames of an H.264 file.
pub(crate) fn count(path: &Path) -> Result<u64> {
    let counter = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let pipeline = pipeline::parse(
        "filesrc name=file ! qtdemux ! h264parse ! video/x-h264,alignment=au ! fakesink name=end sync=false",
    )?;
    set_location(&pipeline, "file", path)?;
    let count = std::sync::Arc::clone(&counter);
    pipeline::tap(&pipeline, "end", "sink", move |_, _| {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    })?;
    pipeline::play(&pipeline, Duration::from_secs(60))?;
    Ok(counter.load(std::sync::atomic::Ordering::Relaxed))
}

/// Sets a file name as it is; in a pipeline's text it would need quoting.
pub(crate) fn set_location(pipeline: &gstreamer::Pipeline, element: &str, path: &Path) -> Result<()> {
    use gstreamer::prelude::*;
    let element = pipeline.by_name(element).ok_or_else(|| format!("no element {element}"))?;
    element.set_property("location", path.to_str().ok_or("the path is not UTF-8")?);
    Ok(())
}
