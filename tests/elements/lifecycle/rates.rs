//! Which frames a source takes, and how it waits for them: `max-rate` and `busy-wait`.

use gstreamer as gst;

use shmflow::meta::{AudioLayout, Kind, Meta, Plane, VideoLayout};

use crate::support::pipelines::{buffer, camera_process, frame, offset, stops_cleanly, viewer};
use crate::support::{Running, Topic, until};

#[test]
fn a_limited_source_takes_the_newest_now_and_then_and_counts_the_others() {
    let topic = Topic::new();
    let producer = camera_process(&topic, 64, "max-buffers=64");
    let viewer = viewer(&topic, "max-rate=10");
    let offsets: Vec<_> = (0..8).map(|_| offset(&frame(&viewer))).collect();
    // A hundred a second come, of each ten one; on a busy machine the camera makes fewer.
    assert!(offsets[7] - offsets[0] >= 35, "{offsets:?}");
    let between = (offsets[7] - offsets[0]) - 7;
    let stats = (viewer.stat("src", "skipped"), viewer.stat("src", "lost"));
    assert!(stats.0 >= between && stats.1 == 0, "{stats:?}, {between} between");
    drop(producer);
    stops_cleanly(&viewer);
}

#[test]
fn sound_and_encoded_streams_come_whole_and_the_limit_is_said_to_have_no_effect() {
    for made in [
        "audiotestsrc is-live=true samplesperbuffer=480 ! audio/x-raw,format=S16LE,rate=48000,channels=1",
        "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=100/1 ! jpegenc",
    ] {
        let topic = Topic::new();
        let producer = Running::playing(&format!("{made} ! {}", topic.sink("max-buffers=64")));
        let viewer = viewer(&topic, "is-live=false max-rate=1");
        // The one that tells what stream this is was taken at the limit.
        let mut before = time(&frame(&viewer));
        let warning = viewer.wait_warning();
        assert!(warning.contains("max-rate has no effect"), "{warning}");
        for number in 1..30 {
            let next = time(&frame(&viewer));
            assert_eq!(next - before, gst::ClockTime::from_mseconds(10), "{made}: {number}");
            before = next;
        }
        stops_cleanly(&viewer);
        stops_cleanly(&producer);
    }
}

#[test]
fn the_limit_applies_again_when_pictures_follow_on_sound() {
    let topic = Topic::new();
    let producer = shmflow::Producer::builder("video").dir(topic.dir()).open().expect("opens");
    let picture = |width: u32| {
        let layout = VideoLayout::new("GRAY8", width, 4, [Plane { offset: 0, stride: 64 }]);
        let caps = format!("video/x-raw, format=GRAY8, width={width}, height=4, framerate=30/1");
        Meta::new(Kind::Video).caps(caps).video(layout)
    };
    let sound = Meta::new(Kind::Audio)
        .caps("audio/x-raw, format=S16LE, layout=interleaved, rate=48000, channels=1")
        .audio(AudioLayout::new("S16LE", 48_000, 1, 128));
    let viewer = viewer(&topic, "is-live=false max-rate=1");
    producer.write_with(&[0; 256], &sound).expect("written");
    frame(&viewer);
    assert!(viewer.wait_warning().contains("max-rate has no effect"));
    // At the limit most of these are not taken, without it all of them.
    producer.write_with(&[0; 256], &picture(64)).expect("written");
    frame(&viewer);
    until("the limit applies", || {
        producer.write_with(&[0; 256], &picture(64)).expect("written");
        viewer.stat("src", "skipped") > 0
    });
    stops_cleanly(&viewer);
}

fn time(sample: &gst::Sample) -> gst::ClockTime {
    buffer(sample).pts().expect("a time")
}

#[test]
fn a_source_that_expects_its_frames_finds_them_and_loses_none() {
    let topic = Topic::new();
    let mut producer = camera_process(&topic, 64, "max-buffers=64");
    let viewer = viewer(&topic, "busy-wait=2000 on-lapped=oldest");
    let mut next = offset(&frame(&viewer)) + 1;
    // On a busy machine it looks less often.
    while viewer.stat("src", "expected") < 5 {
        assert_eq!(offset(&frame(&viewer)), next);
        next += 1;
    }
    // Their producer is gone, and the next one continues.
    producer.kill();
    let producer = camera_process(&topic, 64, "");
    frame(&viewer);
    let before = viewer.stat("src", "expected");
    while viewer.stat("src", "expected") < before + 2 {
        frame(&viewer);
    }
    drop(producer);
    stops_cleanly(&viewer);
}
