//! An element crops in front of the sink.

use gstreamer as gst;

use crate::support::pipelines::{AT_ONCE, clients, frame};
use crate::support::reads::{Reads, answer, sink_pad};
use crate::support::{Running, Topic, have, until};

use super::seen;

/// What stands after a source in a viewer's pipeline, and what its sink reads.
type Viewer = (&'static str, Reads);

fn viewers(is_even: bool) -> Vec<Viewer> {
    let mut viewers = vec![
        ("identity", Reads::Packed),
        ("identity", Reads::Strides),
        ("videoconvert ! video/x-raw,format=RGB", Reads::Packed),
        ("videoscale ! video/x-raw,width=220,height=190", Reads::Packed),
    ];
    if is_even {
        // What a VideoCropMeta means in the middle of two pixels that share their colour is left to its reader.
        viewers.push(("identity", Reads::Crops));
    }
    if have(&["jpegenc"]) {
        viewers.push(("jpegenc", Reads::Packed));
    }
    viewers
}

/// A pipeline that ends with a viewer.
fn watch((elements, reads): Viewer, from: &str) -> Running {
    let watch = Running::new(&format!("{from} ! {elements} ! appsink name=out sync=false"));
    answer(&sink_pad(&watch.element("out")), reads);
    watch.play();
    watch
}

/// What a viewer has in the end.
fn result(sample: &gst::Sample, (elements, reads): Viewer) -> (Option<(i32, i32)>, Vec<u8>) {
    let structure = sample.caps().and_then(|caps| caps.structure(0)).expect("with caps");
    let size = structure.get("width").ok().zip(structure.get("height").ok());
    let bytes = match elements {
        "jpegenc" => sample.buffer().expect("one").map_readable().expect("readable").to_vec(),
        _ => seen(sample, reads).bytes,
    };
    (size, bytes)
}

#[test]
fn every_viewer_sees_what_it_sees_without_a_topic_in_between_and_nothing_is_copied() {
    // jpegenc encodes whole blocks, so that of other sizes it shows some of what lies beside the picture.
    for (crop, is_even) in
        [("left=200 top=100 right=8 bottom=12", true), ("left=201 top=101 right=7 bottom=11", false)]
    {
        let viewers = viewers(is_even);
        for format in ["I420", "NV12", "UYVY", "BGRx", "GRAY8"] {
            let film = format!(
                "videotestsrc num-buffers=3 pattern=zone-plate kx2=20 ky2=20 kt=30 \
                 ! video/x-raw,format={format},width=640,height=480,framerate=30/1 ! videocrop {crop}"
            );
            let topic = Topic::new();
            let source = topic.src("is-live=false on-lapped=oldest");
            let consumers: Vec<_> = viewers.iter().map(|viewer| watch(*viewer, &source)).collect();
            let producer = Running::new(&format!("{film} ! {}", topic.sink(AT_ONCE)));
            producer.set_state(gst::State::Ready);
            until("all are there", || clients(&producer) as usize == consumers.len());
            producer.play();
            for (viewer, consumer) in viewers.iter().zip(&consumers) {
                let alone = watch(*viewer, &film);
                for number in 0..3 {
                    let (got, expected) =
                        (result(&frame(consumer), *viewer), result(&frame(&alone), *viewer));
                    let of = format!("{format}, {crop}, {viewer:?}, frame {number}");
                    assert_eq!(got.0, expected.0, "{of}");
                    assert!(got.1 == expected.1, "{of}: not the same picture");
                }
            }
            producer.reaches("sink", "zero-copy", 3);
            assert_eq!(producer.stat("sink", "copied"), 0, "{format}, {crop}");
        }
    }
}
