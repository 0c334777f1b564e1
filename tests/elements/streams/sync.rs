//! Sound and picture of one producer stay together: a flash and a click that were made at the same moment are found again,
//! by their signals, in what another process recorded of both topics.

use std::path::Path;

use gstreamer as gst;

use gst::prelude::*;

use crate::support::child::Child;
use crate::support::pipelines::buffer;
use crate::support::{Running, Topic, have, until};

/// A picture and a block of samples are so long.
const STEP_MS: u64 = 10;
/// There is a flash and a click in every so manyth.
const EVERY: u64 = 30;
/// How far they may be apart when they are found again.
const APART: i64 = 5_000_000;
const RATE: usize = 48_000;

/// A producer of both for ten seconds, in one pipeline, on two topics.
fn producer(topic: &Topic) -> Running {
    let directory = topic.dir().display();
    let sink = |name: &str| format!("shmflowsink name={name} topic={name} directory={directory}");
    let running = Running::new(&format!(
        "appsrc name=pictures is-live=true format=time max-bytes=0 \
         caps=video/x-raw,format=GRAY8,width=16,height=16,framerate=100/1 ! {} \
         appsrc name=samples is-live=true format=time max-bytes=0 \
         caps=audio/x-raw,format=S16LE,rate={RATE},channels=1,layout=interleaved ! {}",
        sink("picture"),
        sink("sound")
    ));
    for number in 0..1000 {
        let marked = number % EVERY == 0;
        let picture = vec![if marked { 255_u8 } else { 0 }; 256];
        let samples = RATE * STEP_MS as usize / 1000;
        let click = (0..samples).map(|sample| if marked && sample < 48 { i16::MAX } else { 0 });
        let sound: Vec<u8> = click.flat_map(i16::to_le_bytes).collect();
        for (source, bytes) in [("pictures", picture), ("samples", sound)] {
            let mut buffer = gst::Buffer::from_slice(bytes);
            let fresh = buffer.get_mut().expect("new");
            fresh.set_pts(gst::ClockTime::from_mseconds(number * STEP_MS));
            fresh.set_duration(gst::ClockTime::from_mseconds(STEP_MS));
            let pushed = running.element(source).emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]);
            assert_eq!(pushed, gst::FlowReturn::Ok);
        }
    }
    running.play();
    running
}

/// Another process that records both topics into one file.
fn recorder(topic: &Topic, file: &Path) -> Child {
    let directory = topic.dir().display();
    let source = |name: &str| format!("shmflowsrc topic={name} directory={directory}");
    Child::run(
        crate::support::child::program("gst-launch-1.0").arg("-e").args(
            format!(
                "matroskamux name=file ! filesink location={} {} ! queue ! file.video_0 {} ! queue ! file.audio_0",
                file.display(),
                source("picture"),
                source("sound")
            )
            .split_whitespace(),
        ),
    )
}

/// Waits until this many of the recorder's flashes must be in the ring's past: by what the producer's sinks published.
fn goes_on(producer: &Running, flashes: u64) {
    let published = |name: &str| producer.stat(name, "published");
    let before = (published("picture"), published("sound"));
    let wanted = flashes * EVERY;
    until("flashes and clicks are published", || {
        published("picture") >= before.0 + wanted && published("sound") >= before.1 + wanted
    });
}

/// The moments of flashes and of clicks in a recording, in nanoseconds.
fn moments(file: &Path) -> (Vec<i64>, Vec<i64>) {
    let reader = Running::playing(&format!(
        "filesrc location={} ! matroskademux name=file file.video_0 ! queue max-size-time=0 max-size-bytes=0 max-size-buffers=0 ! \
         appsink name=pictures sync=false file.audio_0 ! queue max-size-time=0 max-size-bytes=0 max-size-buffers=0 ! \
         appsink name=samples sync=false",
        file.display()
    ));
    let all = |name: &str| {
        let sink = reader.element(name);
        std::iter::from_fn(move || {
            sink.emit_by_name::<Option<gst::Sample>>(
                "try-pull-sample",
                &[&crate::support::patience().nseconds()],
            )
        })
    };
    let pts = |sample: &gst::Sample| buffer(sample).pts().expect("a time").nseconds().cast_signed();
    let bytes = |sample: &gst::Sample| buffer(sample).map_readable().expect("readable").to_vec();
    let flashes =
        all("pictures").filter(|sample| bytes(sample)[0] > 128).map(|sample| pts(&sample)).collect();
    let mut clicks = Vec::new();
    for sample in all("samples") {
        let loud =
            bytes(&sample).chunks_exact(2).position(|pair| i16::from_le_bytes([pair[0], pair[1]]) > 1000);
        clicks.extend(loud.map(|at| pts(&sample) + at as i64 * 1_000_000_000 / RATE as i64));
    }
    (flashes, clicks)
}

/// Each flash has its click; how many there are.
fn together(file: &Path) -> usize {
    let (flashes, clicks) = moments(file);
    let distance = |flash: &i64| clicks.iter().map(|click| (click - flash).abs()).min().unwrap_or(i64::MAX);
    // The recording may begin or end between the two of a pair.
    let inner = flashes.iter().skip(1).rev().skip(1);
    for flash in inner.clone() {
        let apart = distance(flash);
        assert!(apart <= APART, "a flash is {apart} ns from its click: {flashes:?} {clicks:?}");
    }
    inner.count()
}

#[test]
fn a_flash_and_a_click_of_one_moment_are_recorded_together_also_late_and_after_a_restart() {
    if !have(&["matroskamux", "matroskademux"]) {
        return;
    }
    let topic = Topic::new();
    let (early, late) = (topic.dir().join("early.mkv"), topic.dir().join("late.mkv"));
    let from_the_start = recorder(&topic, &early);
    let first = producer(&topic);
    goes_on(&first, 3);
    let joined_late = recorder(&topic, &late);
    goes_on(&first, 6);
    // Its successor's stream begins at 0 again.
    drop(first);
    let second = producer(&topic);
    goes_on(&second, 6);
    for recorder in [from_the_start, joined_late] {
        recorder.interrupt().well();
    }
    let (early, late) = (together(&early), together(&late));
    assert!(early >= 10 && late >= 7, "{early} and {late} pairs were found");
    drop(second);
}
