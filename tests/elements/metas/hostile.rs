//! Metadata that is not what it says: an error for that frame, and nothing worse.

use gstreamer_video as gst_video;

use shmflow::meta::{
    ActiveFormat, AudioLevel, Caption, CustomMeta, Kind, Meta, MetaEntry, ReferenceTimestamp, Region,
    SerializedMeta, Tags, TimeCode,
};

use super::CAPS;
use crate::support::pipelines::{buffer, frame, viewer};
use crate::support::{Topic, until};

fn video() -> Meta {
    Meta::new(Kind::Video).caps(CAPS)
}

fn with(entry: &impl MetaEntry) -> Meta {
    video().entry(entry).expect("it can be written")
}

#[test]
fn each_is_an_error_for_its_frame_and_the_next_arrives() {
    let topic = Topic::new();
    let ring = shmflow::Producer::builder("video").dir(topic.dir()).depth(64).open().expect("opens");
    let region = |params: &str| with(&Region::new("x", 0, 0, 1, 1).params(vec![params.to_owned()]));
    let code = |fps, hours, frames| with(&TimeCode::new(fps, hours, 0, 0, frames));
    let mib16 = (16 << 20) - 4096;
    let bad = [
        // Structures that nest too deep, never end, or are of 16 MiB.
        region(&format!("x, a={}", "<".repeat(1 << 20))),
        region(&format!("x, a={}", "(structure)[y, a=".repeat(100_000))),
        region(&format!("x{}", ", a=1".repeat(mib16 / 5))),
        region(&format!("x, a=\"{}", "a".repeat(mib16))),
        region("x, a=(fraction)1/0"),
        region("x, a=(GstCaps)\"{{{{\""),
        region("x, a=<1, b>"),
        region(""),
        with(&Region::new("x".repeat(1 << 20), 0, 0, 1, 1)),
        video().extension(Region::TYPE, vec![0xff; 64]),
        video().extension(Region::TYPE, vec![]),
        code((0, 0), 0, 0),
        code((30, 0), 0, 0),
        code((u32::MAX, 1), 0, 0),
        code((30, 1), 99, 0),
        code((30, 1), 0, 31),
        with(&TimeCode::new((30, 1), 0, 0, 0, 0).daily_jam((i64::MAX, 0))),
        with(&TimeCode::new((30, 1), 0, 0, 0, 0).daily_jam((0, i32::MIN))),
        with(&ReferenceTimestamp::new("{{{{", 0)),
        with(&ReferenceTimestamp::new("timestamp/x-ntp", u64::MAX)),
        with(&ReferenceTimestamp::new("timestamp/x-ntp", 0).info("<".repeat(1000))),
        with(&CustomMeta::new("shmflow-hostile", "]")),
        with(&SerializedMeta::new(vec![0xff; 100])),
        with(&Tags::new("{")),
        with(&Tags::new("x".repeat(1 << 20))),
        video().extension(Tags::TYPE, vec![0xff; 16]),
        video().extension(ActiveFormat::TYPE, vec![0xff; 24]),
    ];
    let reader = viewer(&topic, "is-live=false on-lapped=oldest");
    until("the viewer is there", || ring.consumer_count() == 1);
    for (meta, n) in bad.iter().zip(1_u64..) {
        ring.write_with(&[1; 64 * 48], meta).expect("written");
        ring.write_with(&[2; 64 * 48], &video()).expect("written");
        let sample = frame(&reader);
        assert_eq!(buffer(&sample).map_readable().expect("readable")[0], 2, "bad block {n} is delivered");
        reader.reaches("src", "skipped", n);
    }
    assert_eq!(reader.error(), None);
}

#[test]
fn what_only_the_other_side_knows_is_passed_over() {
    let topic = Topic::new();
    let ring = shmflow::Producer::builder("video").dir(topic.dir()).open().expect("opens");
    let reader = viewer(&topic, "is-live=false on-lapped=oldest");
    let unknown = [
        with(&CustomMeta::new("nobody-registered-this", "nobody-registered-this, x=(int)1")),
        // A meta that is there, and is no custom one.
        with(&CustomMeta::new("GstVideoMeta", "GstVideoMeta, x=(int)1")),
        with(&SerializedMeta::new(*b"\x0d\0\0\0\x03\0\0\0abc\0\0")),
        with(&Caption::new(99, [1, 2, 3])),
        with(&Caption::new(1, [])),
        with(&ActiveFormat::Afd { field: 99, spec: 0, code: 8 }),
        with(&ActiveFormat::Afd { field: 0, spec: 99, code: 8 }),
        with(&ActiveFormat::Afd { field: 0, spec: 0, code: 99 }),
        with(&ActiveFormat::Bars { field: 3, is_letterbox: true, first: 0, second: 0 }),
        with(&AudioLevel::new(1000, false)),
        with(&Region::new("x", 0, 0, 1, 1).params(vec!["x, a=(GstSample)00ff".to_owned()])),
    ];
    for (meta, n) in unknown.iter().zip(1_u64..) {
        ring.write_with(&[1; 64 * 48], meta).expect("written");
        drop(frame(&reader));
        reader.reaches("src", "metas-passed-over", n);
    }
    // Private entries, and kinds that come with later versions, are nothing to tell.
    ring.write_with(&[1; 64 * 48], &video().extension(0x8000, [1]).extension(900, [2])).expect("written");
    drop(frame(&reader));
    assert_eq!(reader.stat("src", "metas-passed-over"), unknown.len() as u64);
    assert_eq!(reader.stat("src", "skipped"), 0);
}

#[test]
fn a_meta_about_memory_cannot_be_smuggled_in() {
    let topic = Topic::new();
    let ring = shmflow::Producer::builder("video").dir(topic.dir()).open().expect("opens");
    let reader = viewer(&topic, "is-live=false on-lapped=oldest");
    // In GStreamer's own form: a layout far beyond the payload.
    let name = b"GstVideoMeta";
    let payload = [0xff_u8; 200];
    let total = 8 + name.len() + 2 + payload.len();
    let mut data = (total as u32).to_le_bytes().to_vec();
    data.extend_from_slice(&(name.len() as u32).to_le_bytes());
    data.extend_from_slice(name);
    data.extend_from_slice(&[0, 0]);
    data.extend_from_slice(&payload);
    ring.write_with(&[1; 64 * 48], &with(&SerializedMeta::new(data))).expect("written");
    let sample = frame(&reader);
    let layouts: Vec<_> =
        buffer(&sample).iter_meta::<gst_video::VideoMeta>().map(|meta| meta.stride().to_vec()).collect();
    assert!(layouts.iter().all(|stride| *stride == [64]), "{layouts:?}");
    reader.reaches("src", "metas-passed-over", 1);
}
