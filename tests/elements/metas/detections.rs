//! What a detector that is no element found, for GStreamer's elements; and what these found.

use gstreamer as gst;
use gstreamer_video as gst_video;

use shmflow::meta::{Detections, Finding, Kind, Meta, Object, Region, Relation, Track};

use super::CAPS;
use crate::support::pipelines::{buffer, frame, viewer};
use crate::support::{Running, Topic, have, until};

/// Whether this GStreamer has the analytics library (1.24 and newer).
fn has_analytics() -> bool {
    crate::support::init();
    gst::version() >= (1, 24, 0, 0)
}

fn found() -> Detections {
    let findings = vec![
        Finding::Object(Object::new("person", 0.75, 4, 5, 20, 30)),
        Finding::Object(Object::new("face", 0.5, -3, 6, 8, 9)),
        Finding::Classification(vec![("adult".to_owned(), 0.75), ("child".to_owned(), 0.25)]),
        Finding::Track(Track::new(7).first_seen(1_000_000_000).last_seen(2_000_000_000)),
    ];
    let related = |from, to, kind| Relation { from, to, kind };
    // With a circle, which is no error.
    let relations = vec![
        related(0, 1, Relation::CONTAINS),
        related(0, 2, Relation::RELATES_TO),
        related(1, 0, Relation::IS_PART_OF),
        related(3, 0, Relation::RELATES_TO),
    ];
    Detections::new(findings, relations)
}

fn video() -> Meta {
    Meta::new(Kind::Video).caps(CAPS)
}

#[test]
fn detections_pass_through_the_elements() {
    let (first, second) = (Topic::new(), Topic::new());
    let producer = shmflow::Producer::builder("video").dir(first.dir()).open().expect("opens");
    let source = first.src("is-live=false on-lapped=oldest");
    let bridge = Running::playing(&format!("{source} ! {}", second.sink("sync=false history=8")));
    until("the bridge is there", || producer.consumer_count() == 1);
    let detections = found();
    producer.write_with(&[1; 64 * 48], &video().entry(&detections).expect("written")).expect("published");
    let consumer = shmflow::Consumer::builder("video").dir(second.dir());
    let mut consumer = consumer.connect_timeout(crate::support::PATIENCE).open().expect("opens");
    let meta = consumer.recv().expect("a frame").meta().expect("well-formed").expect("with metadata");
    if has_analytics() {
        assert_eq!(meta.entries::<Detections>().collect::<Vec<_>>(), [Ok(detections)]);
        assert_eq!(meta.entries::<Region>().count(), 0);
    } else {
        let regions: Vec<Region> = meta.entries().collect::<Result<_, _>>().expect("well-formed");
        let places: Vec<_> =
            regions.iter().map(|one| (&*one.kind, one.x, one.y, one.width, one.height)).collect();
        assert_eq!(places, [("person", 4, 5, 20, 30), ("face", 0, 6, 5, 9)]);
        assert_eq!(regions[1].parent_id, regions[0].id);
        let params = regions[0].params.join(" ");
        for part in ["detection", "confidence=(double)0.75", "label=(string)adult", "tracking, id=(guint64)7"]
        {
            assert!(
                params.contains(part) || params.contains(&part.replace("guint64", "uint64")),
                "{part} in {params}"
            );
        }
    }
    assert_eq!((bridge.stat("src", "metas-passed-over"), bridge.stat("sink", "metas-left-out")), (0, 0));
}

#[test]
fn detections_that_are_none_are_an_error_for_their_frame() {
    let topic = Topic::new();
    let producer = shmflow::Producer::builder("video").dir(topic.dir()).depth(32).open().expect("opens");
    let reader = viewer(&topic, "is-live=false on-lapped=oldest");
    until("the viewer is there", || producer.consumer_count() == 1);
    let object =
        |label: &str| Finding::Object(Object::new(label, f32::NAN, i32::MIN, i32::MAX, -1, i32::MAX));
    let many = Detections::new(vec![object("x"); 100_000], Vec::new());
    let classes =
        Detections::new(vec![Finding::Classification(vec![(String::new(), 1.0); 100_000])], Vec::new());
    let bad = [
        video().extension(15, vec![0xff; 24]),
        video().entry(&many).expect("written"),
        video().entry(&Detections::new(vec![object(&"x".repeat(100_000))], Vec::new())).expect("written"),
    ];
    let limits = if has_analytics() { vec![video().entry(&classes).expect("written")] } else { Vec::new() };
    for (meta, n) in bad.iter().chain(&limits).zip(1_u64..) {
        producer.write_with(&[1; 64 * 48], meta).expect("published");
        producer.write_with(&[2; 64 * 48], &video()).expect("published");
        assert_eq!(buffer(&frame(&reader)).map_readable().expect("readable")[0], 2);
        reader.reaches("src", "skipped", n);
    }
    // Boxes without a place, and each related to each: odd, and no error.
    let odd = vec![object("odd"); 60];
    let all = (0..60).flat_map(|from| (0..60).map(move |to| Relation { from, to, kind: u32::MAX })).collect();
    producer
        .write_with(&[3; 64 * 48], &video().entry(&Detections::new(odd, all)).expect("written"))
        .expect("published");
    assert_eq!(buffer(&frame(&reader)).map_readable().expect("readable")[0], 3);
    assert_eq!(reader.error(), None);
}

#[test]
fn the_boxes_of_a_detector_in_another_process_are_drawn() {
    if !have(&["objectdetectionoverlay", "videoconvert"]) {
        return;
    }
    let topic = Topic::new();
    let producer = shmflow::Producer::builder("video").dir(topic.dir()).open().expect("opens");
    let source = topic.src("is-live=false on-lapped=oldest");
    let reader = Running::playing(&format!(
        "{source} ! videoconvert ! objectdetectionoverlay ! videoconvert ! video/x-raw,format=GRAY8 ! appsink name=out sync=false"
    ));
    until("the viewer is there", || producer.consumer_count() == 1);
    let caps = "video/x-raw,format=GRAY8,width=320,height=240,framerate=30/1,colorimetry=bt601";
    let black = Meta::new(Kind::Video).caps(caps);
    let boxes =
        Detections::new(vec![Finding::Object(Object::new("dog", 0.9, 100, 80, 120, 100))], Vec::new());
    for (meta, drawn) in [(black.clone(), false), (black.entry(&boxes).expect("written"), true)] {
        producer.write_with(&[16; 320 * 240], &meta).expect("published");
        let sample = frame(&reader);
        let map = buffer(&sample).map_readable().expect("readable");
        let bright = map.iter().filter(|byte| **byte > 60).count();
        assert_eq!(bright > 100, drawn, "{bright} bright pixels");
    }
}

#[test]
fn regions_stay_regions() {
    let topic = Topic::new();
    let both = super::both(&topic);
    let sample = super::travel(&both, 0, |fresh| {
        gst_video::VideoRegionOfInterestMeta::add(fresh, "face", (1, 2, 3, 4));
    });
    assert_eq!(buffer(&sample).iter_meta::<gst_video::VideoRegionOfInterestMeta>().count(), 1);
}
