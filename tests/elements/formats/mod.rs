//! What arrives is what was sent, byte by byte and plane by plane: every raw format, every size.

mod bytes;
mod cropped;
mod fields;
mod layout;
mod sizes;

use std::sync::mpsc;
use std::time::Duration;

use gstreamer as gst;
use gstreamer_video as gst_video;

use gst::prelude::*;

use crate::support::pipelines::{AT_ONCE, buffer};
use crate::support::reads::{Reads, reader};
use crate::support::{Running, Topic, checksum, init, pads, stat, until};

/// One by one, odd on both sides, and what tiles and macro-pixels like.
const SIZES: [(u32, u32); 3] = [(1, 1), (319, 241), (64, 32)];

/// A frame of a picture in `format`, as GStreamer's own elements make it; `None` if they cannot.
fn picture(format: gst_video::VideoFormat, (width, height): (u32, u32)) -> Option<gst::Sample> {
    let text = format!(
        "videotestsrc num-buffers=1 pattern=snow ! videoconvert dither=none ! \
         video/x-raw,format={format},width={width},height={height},framerate=30/1 ! appsink name=out sync=false"
    );
    let maker = Running::new(&text);
    maker.pipeline.set_state(gst::State::Playing).ok()?;
    let bus = maker.pipeline.bus().expect("a pipeline has a bus");
    let types = [gst::MessageType::AsyncDone, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(10), &types)?;
    if message.type_() == gst::MessageType::Error {
        return None;
    }
    maker.pull()
}

/// A topic with a producer that takes any caps and a consumer that sees every frame.
struct Line {
    topic: Topic,
    producer: Running,
    consumer: Running,
    time: gst::ClockTime,
}

impl Line {
    /// A consumer that looks at strides where the buffer says what they are.
    fn new() -> Self {
        Self::with(Reads::Strides)
    }

    fn with(reads: Reads) -> Self {
        let topic = Topic::new();
        let consumer = reader(&topic, reads);
        Self::between(topic, consumer)
    }

    /// To a consumer that was made for it.
    fn between(topic: Topic, consumer: Running) -> Self {
        let producer = Running::playing(&format!("appsrc name=in format=time ! {}", topic.sink(AT_ONCE)));
        Self { topic, producer, consumer, time: gst::ClockTime::ZERO }
    }

    /// Sends a frame and gives what arrived.
    fn send(&mut self, buffer: &gst::Buffer, caps: &gst::CapsRef) -> gst::Sample {
        self.time += gst::ClockTime::from_mseconds(33);
        let mut buffer = buffer.copy();
        buffer.get_mut().expect("a copy").set_pts(self.time);
        let sample = gst::Sample::builder().buffer(&buffer).caps(&caps.to_owned()).build();
        self.producer.push_sample(&sample);
        self.consumer.pull().unwrap_or_else(|| {
            panic!("{caps}: nothing arrives, errors {:?} {:?}", self.producer.error(), self.consumer.error())
        })
    }
}

fn info(sample: &gst::Sample) -> gst_video::VideoInfo {
    gst_video::VideoInfo::from_caps(sample.caps().expect("a sample has caps")).expect("of video")
}

/// The bytes of the picture alone, plane after plane, without what lies between rows.
fn pixels(buffer: &gst::BufferRef, info: &gst_video::VideoInfo) -> Vec<u8> {
    let mut packed = gst::Buffer::from_mut_slice(vec![0_u8; info.size()]);
    {
        let from = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info).expect("can be mapped");
        let writable = packed.get_mut().expect("new");
        let mut to =
            gst_video::VideoFrameRef::from_buffer_ref_writable(writable, info).expect("can be mapped");
        from.copy(&mut to).expect("same size");
    }
    packed.map_readable().expect("readable").to_vec()
}

#[test]
fn every_format_that_gstreamer_makes_arrives_identical_at_every_size() {
    init();
    let mut line = Line::new();
    let (mut made, mut missing) = (0, Vec::new());
    for &format in gst_video::VIDEO_FORMATS_ALL.iter() {
        for size in SIZES {
            let Some(sent) = picture(format, size) else {
                missing.push(format!("{format} {size:?}"));
                continue;
            };
            let caps = sent.caps().expect("a sample has caps");
            let got = line.send(&buffer(&sent).copy(), caps);
            assert!(got.caps().expect("caps").is_strictly_equal(caps), "{:?} is not {caps}", got.caps());
            assert_eq!(checksum(buffer(&got)), checksum(buffer(&sent)), "{caps}");
            let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer(&got), &info(&got));
            assert!(frame.is_ok(), "{caps}: what arrives cannot be mapped as video");
            made += 1;
        }
    }
    println!("{made} made; not made by this GStreamer: {missing:?}");
    let total = gst_video::VIDEO_FORMATS_ALL.len() * SIZES.len();
    assert!(made * 10 >= total * 9, "only {made} of {total} could be made");
}

/// What the sink of a producer is given: the caps, a checksum and the size of each buffer.
type Given = mpsc::Receiver<(Option<gst::Caps>, u64, usize)>;

/// A producer of three frames at least, and what its sink is given.
fn noted(text: &str, topic: &Topic) -> (Running, Given) {
    let producer = Running::new(&format!("{text} ! {}", topic.sink(AT_ONCE)));
    let (sender, given) = mpsc::channel();
    let pad = producer.element("sink").static_pad("sink").expect("one");
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if let Some(buffer) = info.buffer() {
            let _ = sender.send((pad.current_caps(), checksum(buffer), buffer.size()));
        }
        gst::PadProbeReturn::Ok
    });
    (producer, given)
}

/// Sends three frames through a topic and compares what came with what was sent. Gives how many of all frames were
/// published in place and by copy, and how many arrived by copy; or why nothing can be sent.
fn same(text: &str) -> Result<(u64, u64, u64), String> {
    let topic = Topic::new();
    let consumer = Running::playing(&format!(
        "{} ! appsink name=out sync=false wait-on-eos=false",
        topic.src("is-live=false on-lapped=oldest")
    ));
    let (producer, given) = noted(text, &topic);
    if producer.pipeline.set_state(gst::State::Playing).is_err() {
        return Err("the producer does not start".into());
    }
    for _ in 0..3 {
        let (caps, sum, size) = loop {
            if let Ok(given) = given.recv_timeout(Duration::from_millis(20)) {
                break given;
            }
            if let Some(error) = producer.error() {
                return Err(error);
            }
        };
        let sample = consumer.pull().ok_or_else(|| format!("nothing came; {:?}", consumer.error()))?;
        assert_eq!(sample.caps().map(|caps| caps.to_owned()), caps, "{text}");
        assert_eq!((checksum(buffer(&sample)), buffer(&sample).size()), (sum, size), "{text}");
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer(&sample), &info(&sample));
        assert!(frame.is_ok(), "{text}: what arrives cannot be mapped as video");
    }
    let counts = || (producer.stat("sink", "zero-copy"), producer.stat("sink", "copied"));
    until("the third frame is counted", || counts().0 + counts().1 >= 3);
    Ok((counts().0, counts().1, consumer.stat("src", "copied")))
}

/// Formats that a converter can make here.
fn convertible() -> Vec<String> {
    init();
    let converter = gst::ElementFactory::find("videoconvert").expect("there");
    let templates = converter.static_pad_templates();
    let template = templates.iter().find(|t| t.direction() == gst::PadDirection::Src).expect("one");
    let can = template.caps();
    gst_video::VIDEO_FORMATS_ALL
        .iter()
        .map(|format| format.to_str().to_string())
        .filter(|format| {
            can.can_intersect(&gst::Caps::builder("video/x-raw").field("format", format).build())
        })
        .collect()
}

#[test]
fn every_format_that_can_be_made_here_goes_through_the_pool_and_arrives_whole_in_odd_sizes() {
    let formats = convertible();
    assert!(formats.len() >= 60, "{formats:?}");
    for format in &formats {
        for (width, height) in [(319, 241), (1, 1), (17, 2)] {
            let text = format!(
                "videotestsrc num-buffers=3 pattern=smpte ! videoconvert \
                 ! video/x-raw,format={format},width={width},height={height}"
            );
            match same(&text) {
                // The converter itself writes into the ring.
                Ok(counts) => assert_eq!(counts, (3, 0, 0), "{text}"),
                // GStreamer itself cannot make some formats in the least sizes.
                Err(error) => assert!(width < 319 && !error.contains("shmflow"), "{text}: {error}"),
            }
        }
    }
}

#[test]
fn filler_without_a_picture_is_not_a_frame() {
    let topic = Topic::new();
    let mut sink = pads::sink(&topic);
    sink.play();
    let mut filler = gst::Buffer::new();
    filler.get_mut().expect("new").set_flags(gst::BufferFlags::GAP);
    assert_eq!(sink.push(filler), Ok(gst::FlowSuccess::Ok));
    assert_eq!(sink.push(pads::frame(1, 0)), Ok(gst::FlowSuccess::Ok));
    let sink = sink.element().expect("one");
    assert_eq!((stat(&sink, "published"), stat(&sink, "dropped")), (1, 0));
}
