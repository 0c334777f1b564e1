//! Encoded media: what is decoded on the other side is what was encoded here.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use gstreamer as gst;
use gstreamer_video as gst_video;

use gst::prelude::*;

use crate::support::pipelines::{AT_ONCE, buffer, discont, frame, viewer};
use crate::support::reads::sink_pad;
use crate::support::{Running, Topic, checksum, have, until};

/// What comes out of a pipeline, as checksums and distances in time.
fn pictures(running: &Running) -> Vec<(u64, Option<gst::ClockTime>)> {
    let mut all = Vec::new();
    let mut first = None;
    while let Some(sample) = running.pull() {
        let pts = buffer(&sample).pts();
        let first = *first.get_or_insert(pts);
        all.push((checksum(buffer(&sample)), pts.zip(first).map(|(pts, first)| pts - first)));
    }
    all
}

#[test]
fn pictures_that_are_decoded_in_another_order_than_shown_come_out_right() {
    if !have(&["x264enc", "h264parse", "avdec_h264"]) {
        return;
    }
    let encode = "videotestsrc num-buffers=30 pattern=ball ! video/x-raw,width=160,height=120,framerate=30/1 ! \
                  x264enc bframes=3 b-pyramid=true speed-preset=veryslow ! h264parse ! video/x-h264,stream-format=avc";
    let decode = "avdec_h264 ! appsink name=out sync=false";
    let here = Running::playing(&format!("{encode} ! {decode}"));
    let expected = pictures(&here);
    assert_eq!(expected.len(), 30);
    let topic = Topic::new();
    let there = Running::playing(&format!("{} ! {decode}", topic.src("is-live=false on-lapped=oldest")));
    let producer = Running::playing(&format!("{encode} ! {}", topic.sink(AT_ONCE)));
    producer.wait_eos();
    let got = pictures(&there);
    assert_eq!(got, expected);
}

#[test]
fn the_ring_is_deep_and_a_larger_packet_needs_no_larger_ring() {
    let topic = Topic::new();
    let consumer = Running::playing(&format!("{} ! appsink name=out sync=false", topic.src("is-live=false")));
    let producer = Running::playing(&format!(
        "appsrc name=in format=time caps=video/x-h264,stream-format=byte-stream,alignment=au ! {}",
        topic.sink(AT_ONCE)
    ));
    for size in [50_000, 90_000, 100_000, 99_000] {
        producer.push(&gst::Buffer::from_slice(vec![7_u8; size])).expect("taken");
        assert_eq!(buffer(&consumer.pull().expect("a packet")).size(), size);
    }
    assert_eq!(producer.stat("sink", "depth"), 128);
    // The topic's own first ring, the depth, and the size: twice what the first packet needed.
    let epochs = producer.stat("sink", "epoch");
    assert!(epochs <= 2, "{epochs} rings for four packets");
}

/// A live H.264 stream of a hundred small pictures a second, and what its sink was given.
struct Encoder {
    running: Running,
    given: Arc<Mutex<Vec<u64>>>,
    /// Requests for a key frame that came out of the sink.
    asked: Arc<AtomicU32>,
}

/// With a key frame after so many; no two packets are alike.
fn encoder(topic: &Topic, between: u32, more: &str) -> Encoder {
    let running = Running::new(&format!(
        "videotestsrc is-live=true pattern=snow ! video/x-raw,width=64,height=48,framerate=100/1 ! \
         x264enc tune=zerolatency speed-preset=ultrafast option-string=scenecut=0 key-int-max={between} ! h264parse ! \
         video/x-h264,stream-format=byte-stream,alignment=au ! {}",
        topic.sink(more)
    ));
    let (given, asked) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU32::new(0)));
    let pad = sink_pad(&running.element("sink"));
    let to = Arc::clone(&given);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(buffer) = info.buffer() {
            to.lock().unwrap().push(checksum(buffer));
        }
        gst::PadProbeReturn::Ok
    });
    let counter = Arc::clone(&asked);
    pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        if info.event().is_some_and(|event| gst_video::ForceKeyUnitEvent::is(event)) {
            counter.fetch_add(1, Ordering::SeqCst);
        }
        gst::PadProbeReturn::Ok
    });
    running.play();
    Encoder { running, given, asked }
}

impl Encoder {
    fn published(&self) -> u64 {
        self.running.stat("sink", "published")
    }

    /// Waits until it published so many more.
    fn goes_on(&self, packets: u64) {
        let before = self.published();
        until("packets are published", || self.published() >= before + packets);
    }

    /// Which of its packets this is.
    fn number(&self, sample: &gst::Sample) -> usize {
        let sum = checksum(buffer(sample));
        self.given.lock().unwrap().iter().position(|given| *given == sum).expect("a packet of the encoder")
    }

    fn requests(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }
}

fn is_delta(sample: &gst::Sample) -> bool {
    buffer(sample).flags().contains(gst::BufferFlags::DELTA_UNIT)
}

/// Takes packets after number `last` until one does not follow the one before; that one.
fn after_a_gap(encoder: &Encoder, viewer: &Running, mut last: usize) -> gst::Sample {
    loop {
        let sample = frame(viewer);
        let number = encoder.number(&sample);
        if number != last + 1 {
            return sample;
        }
        last = number;
    }
}

#[test]
fn a_late_viewer_begins_at_the_newest_key_frame_at_once() {
    if !have(&["x264enc", "h264parse"]) {
        return;
    }
    let topic = Topic::new();
    let encoder = encoder(&topic, 50, "");
    encoder.goes_on(75);
    let viewer = viewer(&topic, "");
    let first = frame(&viewer);
    assert!(!is_delta(&first), "a viewer begins with a key frame");
    assert_eq!(encoder.number(&first) % 50, 0);
    // Nothing of what was published after it is left out.
    for expected in (encoder.number(&first) + 1..).take(100) {
        assert_eq!(encoder.number(&frame(&viewer)), expected);
    }
    assert_eq!(encoder.requests(), 0, "there was one, so nobody asked");
}

#[test]
fn a_late_viewer_of_a_stream_without_key_frames_asks_for_one_and_shows_nothing_broken() {
    if !have(&["x264enc", "h264parse"]) {
        return;
    }
    let topic = Topic::new();
    let encoder = encoder(&topic, 100_000, "max-buffers=8");
    encoder.goes_on(60);
    let viewers: Vec<_> = (0..3).map(|_| viewer(&topic, "")).collect();
    for viewer in &viewers {
        assert!(!is_delta(&frame(viewer)), "a viewer begins with a key frame");
    }
    assert!(
        viewers.iter().any(|viewer| viewer.stat("src", "skipped") > 0),
        "what cannot be decoded is counted"
    );
    assert!((1..=3).contains(&encoder.requests()), "{} requests of three viewers", encoder.requests());
}

#[test]
fn a_request_from_behind_the_source_reaches_the_encoder() {
    if !have(&["x264enc", "h264parse"]) {
        return;
    }
    let topic = Topic::new();
    let encoder = encoder(&topic, 100_000, "");
    let viewer = viewer(&topic, "");
    assert!(!is_delta(&frame(&viewer)));
    for _ in 0..20 {
        assert!(is_delta(&frame(&viewer)));
    }
    let request = gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
    assert!(sink_pad(&viewer.element("out")).push_event(request));
    until("a key frame comes", || !is_delta(&frame(&viewer)));
    assert_eq!((encoder.requests(), encoder.running.error()), (1, None));
}

#[test]
fn after_a_gap_nothing_comes_before_the_next_key_frame() {
    if !have(&["x264enc", "h264parse"]) {
        return;
    }
    let topic = Topic::new();
    let encoder = encoder(&topic, 40, "max-buffers=8");
    let viewer = Running::playing(&format!("{} ! appsink name=out sync=false max-buffers=1", topic.src("")));
    let last = encoder.number(&frame(&viewer));
    // It takes nothing while much more is published than the ring holds.
    encoder.goes_on(100);
    let sample = after_a_gap(&encoder, &viewer, last);
    assert!(!is_delta(&sample), "after a gap comes a key frame");
    assert!(discont(&sample));
}

#[test]
fn after_a_pause_a_viewer_goes_on_at_a_key_frame() {
    if !have(&["x264enc", "h264parse"]) {
        return;
    }
    let topic = Topic::new();
    let encoder = encoder(&topic, 30, "");
    let viewer = Running::playing(&format!("{} ! appsink name=out sync=false max-buffers=1", topic.src("")));
    let last = encoder.number(&frame(&viewer));
    viewer.set_state(gst::State::Paused);
    encoder.goes_on(200);
    viewer.set_state(gst::State::Playing);
    assert!(!is_delta(&after_a_gap(&encoder, &viewer, last)));
}

/// A packet of a producer that encodes by itself.
fn packet(number: u64, is_key: bool) -> gst::Buffer {
    let mut packet = gst::Buffer::from_slice(number.to_le_bytes());
    let fresh = packet.get_mut().expect("new");
    fresh.set_offset(number);
    if !is_key {
        fresh.set_flags(gst::BufferFlags::DELTA_UNIT);
    }
    packet
}

fn number(sample: &gst::Sample) -> u64 {
    buffer(sample).offset()
}

/// A pipeline that publishes what it is given, of these caps.
fn publisher(topic: &Topic, caps: &str, more: &str) -> Running {
    Running::playing(&format!(
        "appsrc name=in format=time handle-segment-change=true caps={caps} ! {}",
        topic.sink(more)
    ))
}

#[test]
fn a_reader_that_is_bound_to_no_clock_and_too_slow_goes_on_at_the_oldest_key_frame_that_is_left() {
    let topic = Topic::new();
    let h264 = "video/x-h264,stream-format=byte-stream,alignment=au";
    let slow = Running::playing(&format!(
        "{} ! appsink name=out sync=false max-buffers=1",
        topic.src("is-live=false")
    ));
    let producer = publisher(&topic, h264, &format!("{AT_ONCE} max-buffers=8"));
    producer.push(&packet(0, true)).expect("taken");
    assert_eq!(number(&frame(&slow)), 0);
    for number in 1..=40 {
        producer.push(&packet(number, number % 3 == 0)).expect("taken");
    }
    producer.reaches("sink", "published", 41);
    let mut got = vec![0];
    while got.last() != Some(&40) {
        got.push(number(&frame(&slow)));
    }
    // The last one: it may have been late before it had to wait.
    let gap = got.windows(2).rposition(|two| two[0] + 1 != two[1]).expect("a gap");
    // Eight are left at least, from 33 on, and there is a key frame among the first three of them.
    assert!(got[gap + 1] <= 36 && got[gap + 1] % 3 == 0, "{got:?}");
    assert_eq!(got.len() - gap - 1, (41 - got[gap + 1]) as usize, "{got:?}");
}

#[test]
fn two_producers_of_packets_that_stand_alone_lose_nothing_of_each_other() {
    let topic = Topic::new();
    let viewer = Running::playing(&format!("{} ! appsink name=out sync=false max-buffers=1", topic.src("")));
    let producers = [(); 2].map(|()| {
        publisher(&topic, "image/jpeg", "sync=false leaky-type=none stall-timeout=0 wait-for-connection=true")
    });
    producers[0].push(&packet(0, true)).expect("taken");
    assert_eq!(number(&frame(&viewer)), 0);
    for number in 1..=20 {
        let producer = &producers[number as usize % 2];
        producer.push(&packet(number, true)).expect("taken");
        producer.reaches("sink", "published", number.div_ceil(2) + u64::from(number % 2 == 0));
    }
    let got: Vec<u64> = (0..20).map(|_| number(&frame(&viewer))).collect();
    assert_eq!(got, (1..=20).collect::<Vec<_>>());
    assert_eq!(viewer.stat("src", "skipped"), 0);
}

#[test]
fn packets_that_are_played_twice_as_fast_keep_their_order_in_time() {
    let topic = Topic::new();
    let h264 = "video/x-h264,stream-format=byte-stream,alignment=au";
    let reader = Running::playing(&format!("{} ! appsink name=out sync=false", topic.src("is-live=false")));
    let producer = publisher(&topic, h264, AT_ONCE);
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_rate(2.0);
    let caps: gst::Caps = h264.parse().expect("caps of the test");
    let at = gst::ClockTime::from_mseconds;
    for (dts, pts) in [(0, 40), (40, 160), (80, 80), (120, 120)] {
        let mut packet = packet(dts, dts == 0);
        let fresh = packet.get_mut().expect("new");
        fresh.set_dts(at(dts));
        fresh.set_pts(at(pts));
        producer.push_sample(&gst::Sample::builder().buffer(&packet).caps(&caps).segment(&segment).build());
    }
    let got: Vec<_> =
        (0..4).map(|_| frame(&reader)).map(|sample| (buffer(&sample).dts(), buffer(&sample).pts())).collect();
    let expected = [(0, 20), (20, 80), (40, 40), (60, 60)].map(|(dts, pts)| (Some(at(dts)), Some(at(pts))));
    assert_eq!(got, expected);
}

#[test]
fn packets_that_only_say_when_they_are_shown_keep_that() {
    let topic = Topic::new();
    // As of a Matroska file, whose demuxer tells nothing of the decoding.
    let h264 = "video/x-h264,stream-format=byte-stream,alignment=au";
    let reader = Running::playing(&format!("{} ! appsink name=out sync=false", topic.src("is-live=false")));
    let producer = publisher(&topic, h264, AT_ONCE);
    let at = gst::ClockTime::from_mseconds;
    let own = [0, 120, 40, 80, 240, 160, 200].map(at);
    for (number, pts) in (0..).zip(own) {
        let mut packet = packet(number, number == 0);
        packet.get_mut().expect("new").set_pts(pts);
        producer.push(&packet).expect("taken");
    }
    let got = own.map(|_| frame(&reader)).map(|sample| (buffer(&sample).dts(), buffer(&sample).pts()));
    assert_eq!(got, own.map(|pts| (None, Some(pts))));
}

#[test]
fn a_packet_without_bytes_is_a_packet() {
    let topic = Topic::new();
    let reader = Running::playing(&format!("{} ! appsink name=out sync=false", topic.src("is-live=false")));
    let producer = publisher(&topic, "text/x-raw,format=utf8", AT_ONCE);
    for size in [5, 0, 3] {
        producer.push(&gst::Buffer::from_slice(vec![b'x'; size])).expect("taken");
        assert_eq!(buffer(&frame(&reader)).size(), size);
    }
}
