//! Raw audio: every format, interleaved and planar.

use gstreamer as gst;
use gstreamer_audio as gst_audio;

use crate::support::pipelines::{AT_ONCE, buffer, frame};
use crate::support::{Running, Topic};

use super::arrives;

#[test]
fn every_format_arrives_as_it_was_sent() {
    for format in ["S8", "U8", "S16LE", "S16BE", "S24LE", "S24_32LE", "S32LE", "F32LE", "F64BE"] {
        for (channels, mask) in [(1, "0x4"), (2, "0x3"), (6, "0x3f")] {
            arrives(&format!(
                "audiotestsrc num-buffers=5 samplesperbuffer=441 wave=red-noise ! audioconvert ! \
                 audio/x-raw,format={format},rate=44100,channels={channels},channel-mask=(bitmask){mask}"
            ));
        }
    }
}

#[test]
fn planar_audio_keeps_its_planes() {
    let topic = Topic::new();
    let consumer = Running::playing(&format!("{} ! appsink name=out sync=false", topic.src("is-live=false")));
    let text = |sink: &str| {
        format!(
            "audiotestsrc num-buffers=1 samplesperbuffer=480 wave=ticks ! audioconvert ! \
             audio/x-raw,format=F32LE,rate=48000,channels=2,layout=non-interleaved ! {sink}"
        )
    };
    let producer = Running::playing(&text(&topic.sink(AT_ONCE)));
    producer.wait_eos();
    let got = frame(&consumer);
    // The same without a topic in between.
    let here = Running::playing(&text("appsink name=out sync=false"));
    let given = frame(&here);
    let caps = got.caps().expect("caps");
    assert_eq!(Some(caps), given.caps());
    let info = gst_audio::AudioInfo::from_caps(caps).expect("raw audio");
    assert_eq!(info.layout(), gst_audio::AudioLayout::NonInterleaved);
    let meta = buffer(&got).meta::<gst_audio::AudioMeta>().expect("planes are said");
    assert_eq!((meta.samples(), meta.offsets()), (480, &[0, 1920][..]));
    let planes = |buffer: &gstreamer::BufferRef| {
        let audio =
            gst_audio::AudioBufferRef::from_buffer_ref_readable(buffer, &info).expect("can be mapped");
        (0..2).map(|plane| audio.plane_data(plane).expect("a plane").to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(planes(buffer(&got)), planes(buffer(&given)));
}

#[test]
fn planar_audio_whose_planes_are_outside_is_left_out() {
    use shmflow::meta::{AudioLayout, Kind, Meta};
    let topic = Topic::new();
    let ring = shmflow::Producer::builder("video").dir(topic.dir()).open().expect("opens");
    let caps =
        "audio/x-raw,format=F32LE,rate=48000,channels=2,layout=non-interleaved,channel-mask=(bitmask)0x3";
    let of = |layout: AudioLayout| Meta::new(Kind::Audio).caps(caps).audio(layout.channel_mask(3));
    let audio = |samples| AudioLayout::new("F32LE", 48_000, 2, samples);
    let bad = [
        of(audio(10).planes([0, 44])),
        of(audio(u64::MAX).planes([0, 40])),
        of(audio(10).planes([0, u64::MAX])),
        of(audio(10)),
        of(AudioLayout::new("F64LE", 48_000, 2, 5).planes([0, 40])),
        of(AudioLayout::new("F32LE", 48_000, 3, 5).planes([0, 20, 40])),
    ];
    for meta in &bad {
        ring.write_with(&[1; 80], meta).expect("written");
    }
    ring.write_with(&[99; 80], &of(audio(10).planes([40, 0]))).expect("written");
    let consumer = Running::playing(&format!("{} ! appsink name=out sync=false", topic.src("is-live=false")));
    let sample = frame(&consumer);
    let meta = buffer(&sample).meta::<gst_audio::AudioMeta>().expect("planes are said");
    assert_eq!((meta.samples(), meta.offsets()), (10, &[40, 0][..]));
    consumer.reaches("src", "skipped", bad.len() as u64);
    assert_eq!(consumer.error(), None);
}

#[test]
fn the_ring_is_a_second_deep() {
    let topic = Topic::new();
    let producer = Running::playing(&format!(
        "audiotestsrc is-live=true samplesperbuffer=240 ! audio/x-raw,format=S16LE,rate=48000,channels=2 ! {}",
        topic.sink("")
    ));
    crate::support::until("a buffer was published", || producer.stat("sink", "published") > 0);
    assert_eq!(producer.stat("sink", "depth"), 201);
    assert!(producer.stat("sink", "reserved-bytes") < 4 << 20, "{}", producer.stat("sink", "reserved-bytes"));
}

#[test]
fn samples_that_do_not_fill_their_buffer_are_as_many_on_the_other_side() {
    let topic = Topic::new();
    let caps = "audio/x-raw,format=S16LE,rate=48000,channels=2,layout=interleaved,channel-mask=(bitmask)3";
    let consumer = Running::playing(&format!("{} ! appsink name=out sync=false", topic.src("is-live=false")));
    let producer =
        Running::playing(&format!("appsrc name=in format=time caps={caps} ! {}", topic.sink(AT_ONCE)));
    let info = gst_audio::AudioInfo::from_caps(&caps.parse::<gst::Caps>().expect("caps of the test"))
        .expect("audio");
    for samples in [50, 100] {
        let mut sound = gst::Buffer::from_slice([1_u8; 400]);
        gst_audio::AudioMeta::add(sound.get_mut().expect("new"), &info, samples, &[]).expect("added");
        producer.push(&sound).expect("taken");
        let got = frame(&consumer);
        let said = buffer(&got).meta::<gst_audio::AudioMeta>().map(|meta| meta.samples());
        assert_eq!(said.unwrap_or(100), samples);
    }
}
