//! Streams other than raw video arrive as they were sent: sound, packets, bytes.

mod audio;
mod bytes;
mod packets;
mod sync;

use std::sync::mpsc;

use gstreamer as gst;

use gst::prelude::*;

use crate::support::pipelines::{AT_ONCE, buffer};
use crate::support::reads::sink_pad;
use crate::support::{Running, Topic, checksum, have};

/// What matters of a buffer, whoever hands it on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sent {
    caps: Option<String>,
    sum: u64,
    size: usize,
    flags: gst::BufferFlags,
    duration: Option<gst::ClockTime>,
    offset: u64,
    /// How much later it is shown than decoded, if it says so.
    reorder: Option<i64>,
}

/// Flags that say something about what a buffer holds. DISCONT is the transport's own.
const FLAGS: gst::BufferFlags = gst::BufferFlags::MARKER
    .union(gst::BufferFlags::HEADER)
    .union(gst::BufferFlags::DELTA_UNIT)
    .union(gst::BufferFlags::DROPPABLE)
    .union(gst::BufferFlags::GAP);

fn sent(caps: Option<&gst::CapsRef>, buffer: &gst::BufferRef) -> Sent {
    let nanoseconds = |time: gst::ClockTime| time.nseconds().cast_signed();
    Sent {
        caps: caps.map(ToString::to_string),
        sum: checksum(buffer),
        size: buffer.size(),
        flags: buffer.flags().intersection(FLAGS),
        duration: buffer.duration(),
        offset: buffer.offset(),
        reorder: buffer.dts().map(|dts| buffer.pts().map_or(0, |pts| nanoseconds(pts) - nanoseconds(dts))),
    }
}

/// A producer of `text`, and what its sink is given.
fn noted(text: &str, topic: &Topic) -> (Running, mpsc::Receiver<Sent>) {
    let producer = Running::new(&format!("{text} ! {}", topic.sink(AT_ONCE)));
    let (sender, given) = mpsc::channel();
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    sink_pad(&producer.element("sink")).add_probe(kinds, move |pad, info| {
        let caps = pad.current_caps();
        let note = |buffer: &gst::BufferRef| drop(sender.send(sent(caps.as_deref(), buffer)));
        if let Some(list) = info.buffer_list() {
            list.iter().for_each(note);
        } else if let Some(buffer) = info.buffer() {
            note(buffer);
        }
        gst::PadProbeReturn::Ok
    });
    (producer, given)
}

/// What a stream of `text` sends, and what arrives of it through a topic, buffer by buffer.
fn through(text: &str) -> (Vec<Sent>, Vec<Sent>) {
    let topic = Topic::new();
    let consumer = Running::playing(&format!(
        "{} ! appsink name=out sync=false",
        topic.src("is-live=false on-lapped=oldest")
    ));
    let (producer, given) = noted(text, &topic);
    producer.play();
    producer.wait_eos();
    let mut got = Vec::new();
    while let Some(sample) = consumer.pull() {
        got.push(sent(sample.caps(), buffer(&sample)));
    }
    assert_eq!(consumer.error(), None, "{text}");
    assert_eq!((producer.stat("sink", "dropped"), consumer.stat("src", "lost")), (0, 0), "{text}");
    (given.try_iter().collect(), got)
}

/// A stream arrives as it was sent, whole and in order.
fn arrives(text: &str) -> Vec<Sent> {
    let (given, got) = through(text);
    assert!(!given.is_empty(), "{text}");
    assert_eq!(got.len(), given.len(), "{text}");
    for (number, (got, given)) in got.iter().zip(&given).enumerate() {
        assert_eq!(got, given, "buffer {number} of {text}");
    }
    got
}

#[test]
fn every_kind_of_stream_arrives_as_it_was_sent() {
    let picture =
        "videotestsrc num-buffers=20 pattern=ball ! video/x-raw,width=160,height=120,framerate=30/1";
    let sound = "audiotestsrc num-buffers=20 ! audio/x-raw,rate=48000,channels=2";
    let mut tried = 0;
    for (elements, text) in [
        (
            &["x264enc"][..],
            format!("{picture} ! x264enc key-int-max=5 ! video/x-h264,stream-format=byte-stream"),
        ),
        (
            &["x264enc", "h264parse"],
            format!("{picture} ! x264enc bframes=2 ! h264parse ! video/x-h264,stream-format=avc"),
        ),
        (&["x265enc"], format!("{picture} ! x265enc speed-preset=ultrafast")),
        (&["vp8enc"], format!("{picture} ! vp8enc deadline=1")),
        (&["vp9enc"], format!("{picture} ! vp9enc deadline=1")),
        (&["jpegenc"], format!("{picture} ! jpegenc")),
        (&["theoraenc"], format!("{picture} ! theoraenc")),
        (&["x264enc", "rtph264pay"], format!("{picture} ! x264enc tune=zerolatency ! rtph264pay mtu=400")),
        (&["x264enc", "mpegtsmux"], format!("{picture} ! x264enc ! mpegtsmux")),
        (&["opusenc"], format!("{sound} ! opusenc")),
        (&["vorbisenc"], format!("{sound} ! audioconvert ! vorbisenc")),
        (&["flacenc"], format!("{sound} ! flacenc")),
        (&["avenc_aac"], format!("{sound} ! audioconvert ! avenc_aac")),
        (&["opusenc", "rtpopuspay"], format!("{sound} ! opusenc ! rtpopuspay")),
    ] {
        if have(elements) {
            arrives(&text);
            tried += 1;
        }
    }
    assert!(tried >= 5, "{tried} encoders are there");
}
