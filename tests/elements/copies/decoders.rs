//! Decoders write into the ring, and go on reading there what they refer to.

use gstreamer as gst;
use gstreamer_video as gst_video;

use gst_video::prelude::*;

use crate::support::pipelines::{clients, viewer};
use crate::support::{Running, Topic, have, until};

use super::counts;

#[test]
fn decoders_write_straight_into_the_ring() {
    for (elements, text) in [
        (["jpegenc", "jpegdec", "identity"], "jpegenc ! jpegdec"),
        (
            ["x264enc", "openh264dec", "h264parse"],
            "x264enc ! video/x-h264,profile=baseline ! h264parse ! openh264dec",
        ),
    ] {
        if have(&elements) {
            let text = format!(
                "videotestsrc num-buffers=120 ! video/x-raw,format=I420,width=640,height=362 ! {text}"
            );
            assert_eq!(counts(&text, ""), (120, 0, 0), "{text}");
        }
    }
}

/// Encoded streams whose decoders keep frames for long: many references, frames out of order, two fields in a frame.
const ENCODED: &[(&str, &str, &str)] = &[
    ("x264enc", "x264enc bframes=3 b-pyramid=true ref=8 key-int-max=40 ! h264parse", "avdec_h264"),
    ("x264enc", "x264enc bframes=3 ref=8 key-int-max=40 ! h264parse", "avdec_h264 max-threads=8"),
    ("x264enc", "x264enc interlaced=true bframes=2 ref=4 ! h264parse", "avdec_h264 max-threads=1"),
    ("avenc_mpeg4", "avenc_mpeg4 max-bframes=2", "avdec_mpeg4"),
    ("vp8enc", "vp8enc deadline=1", "avdec_vp8"),
    ("avenc_mjpeg", "avenc_mjpeg", "avdec_mjpeg"),
];

/// Writes a film of frames that all differ everywhere, and gives the elements that decode it.
fn film(topic: &Topic, encoder: &str, decoder: &str, frames: u32) -> String {
    let file = topic.dir().join("film.mkv");
    Running::playing(&format!(
        "videotestsrc pattern=snow num-buffers={frames} ! video/x-raw,format=I420,width=320,height=182,framerate=50/1 \
         ! {encoder} ! matroskamux ! filesink location={}",
        file.display()
    ))
    .wait_eos();
    let parser = encoder.rsplit_once("! ").map_or("identity", |(_, parser)| parser);
    format!("filesrc location={} ! matroskademux ! {parser} ! {decoder}", file.display())
}

/// A checksum of what is to be seen of a frame, wherever its rows lie.
fn picture(sample: &gst::Sample) -> u64 {
    use std::hash::{DefaultHasher, Hasher};
    let info = gst_video::VideoInfo::from_caps(sample.caps().expect("with caps")).expect("video");
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(sample.buffer().expect("a frame"), &info);
    let frame = frame.expect("can be mapped");
    let mut hasher = DefaultHasher::new();
    for plane in 0..info.n_planes() {
        let stride = usize::try_from(frame.plane_stride()[plane as usize]).expect("downwards");
        let width = info.comp_width(u8::try_from(plane).expect("few")) as usize;
        let rows = info.comp_height(u8::try_from(plane).expect("few")) as usize;
        for row in frame.plane_data(plane).expect("a plane").chunks(stride).take(rows) {
            hasher.write(&row[..width]);
        }
    }
    hasher.finish()
}

#[test]
fn libavs_decoders_write_straight_into_the_ring_and_what_they_refer_to_later_stays_as_published() {
    for (element, encoder, decoder) in ENCODED {
        let name = decoder.split(' ').next().expect("a name");
        if !have(&[element, name, "matroskamux"]) {
            continue;
        }
        let (topic, frames) = (Topic::new(), 200);
        let film = film(&topic, encoder, decoder, frames);
        let alone = Running::playing(&format!("{film} ! appsink name=out sync=false"));
        let expected: Vec<u64> = std::iter::from_fn(|| alone.pull()).map(|sample| picture(&sample)).collect();
        assert_eq!(expected.len(), frames as usize, "{decoder}");

        let consumer = viewer(&topic, "is-live=false on-lapped=oldest");
        let producer = Running::new(&format!("{film} ! {}", topic.sink("history=8")));
        // A frame that waited for the consumer would be late, and skipped.
        producer.set_state(gst::State::Ready);
        until("the consumer is there", || clients(&producer) == 1);
        producer.play();
        let (mut received, mut next, mut copied_at_first) = (0, 0, 0);
        let mut held = std::collections::VecDeque::new();
        while let Some(sample) = consumer.pull() {
            let sum = picture(&sample);
            let at = expected.iter().skip(next).position(|expected| *expected == sum);
            next += 1 + at.unwrap_or_else(|| panic!("{decoder}: frame {received} is not what was decoded"));
            received += 1;
            if next < 50 {
                // In the first second the ring is still made as deep as the decoder needs.
                copied_at_first = producer.stat("sink", "copied");
            }
            // Some are kept while the decoder goes on, and are looked at again.
            held.push_back((sum, sample));
            if held.len() > 3 {
                let (sum, sample) = held.pop_front().expect("some");
                assert_eq!(picture(&sample), sum, "{decoder}: a published frame changed");
            }
        }
        assert_eq!((producer.error(), consumer.error()), (None, None));
        assert!(received > frames / 2, "{decoder}: {received} of {frames} frames were received");
        assert_eq!(producer.stat("sink", "published"), u64::from(frames), "{decoder}");
        let copied = producer.stat("sink", "copied");
        assert_eq!(copied, copied_at_first, "{decoder}: copied after the first second");
    }
}

#[test]
fn elements_behind_a_decoder_do_not_write_into_what_it_refers_to() {
    if !have(&["x264enc", "h264parse", "avdec_h264", "matroskamux"]) {
        return;
    }
    let topic = Topic::new();
    let (_, encoder, decoder) = ENCODED[0];
    let film = film(&topic, encoder, decoder, 60);
    // Paints over each frame in place, if it is let.
    let paint = "videobalance brightness=0.3 saturation=0.5";
    let alone = Running::playing(&format!("{film} ! {paint} ! appsink name=out sync=false"));
    let expected: Vec<u64> = std::iter::from_fn(|| alone.pull()).map(|sample| picture(&sample)).collect();
    assert_eq!(expected.len(), 60);
    let consumer = viewer(&topic, "is-live=false");
    let producer =
        Running::playing(&format!("{film} ! {paint} ! {}", topic.sink("wait-for-connection=true history=8")));
    let mut received = 0;
    while let Some(sample) = consumer.pull() {
        assert!(expected.contains(&picture(&sample)), "frame {received} differs");
        received += 1;
    }
    assert!(received > 30, "{received} frames were received");
    assert_eq!((producer.error(), consumer.error()), (None, None));
}
