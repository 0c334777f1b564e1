//! Nothing is copied that need not be, and everything that must be is copied once, whole.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use gstreamer as gst;
use gstreamer_video as gst_video;

use gst_video::prelude::*;
use support::{Running, Topic, checksum, have, until};

/// Runs a producer to its end and gives what its sink counted: in place, copied, buffers of ordinary memory.
fn counts(text: &str, more: &str) -> (u64, u64, u64) {
    let topic = Topic::new();
    let producer = Running::playing(&format!("{text} ! {}", topic.sink(&format!("sync=false {more}"))));
    producer.wait_eos();
    let counts = ["zero-copy", "copied", "pool-fallbacks"].map(|field| producer.stat("sink", field));
    (counts[0], counts[1], counts[2])
}

#[test]
fn producers_that_take_a_pool_write_straight_into_the_ring() {
    for (text, frames) in [
        ("videotestsrc num-buffers=40", 40),
        ("videotestsrc num-buffers=40 ! video/x-raw,format=NV12,width=319,height=241", 40),
        (
            "videotestsrc num-buffers=40 ! video/x-raw,format=I420 ! videoconvert ! video/x-raw,format=BGRx",
            40,
        ),
        ("videotestsrc num-buffers=40 ! timeoverlay ! videoflip method=clockwise", 40),
    ] {
        assert_eq!(counts(text, ""), (frames, 0, 0), "{text}");
    }
}

#[test]
fn a_queue_that_keeps_more_frames_than_there_are_slots_deepens_the_ring() {
    let text = "videotestsrc num-buffers=400 \
                ! queue min-threshold-buffers=20 max-size-buffers=30 max-size-bytes=0 max-size-time=0";
    // What the pool could not serve at first is copied, and what lay in slots of the ring before it was deepened.
    let (in_place, copied, fallbacks) = counts(text, "");
    assert_eq!(in_place + copied, 400);
    assert!(copied >= fallbacks, "{copied} copied, {fallbacks} not from the ring");
    assert!((1..=60).contains(&copied), "{copied} of 400 frames were copied");
    let (_, copied, _) = counts(text, "max-slots=0");
    assert!(copied > 60, "not deepened, {copied} of 400 frames were copied");
}

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

        let consumer = Running::playing(&format!(
            "{} ! appsink name=out sync=false",
            topic.src("is-live=false on-lapped=oldest")
        ));
        let producer =
            Running::playing(&format!("{film} ! {}", topic.sink("wait-for-connection=true history=8")));
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
    let consumer = Running::playing(&format!("{} ! appsink name=out sync=false", topic.src("is-live=false")));
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

/// The pool that a producer's sink offers for the frames it gets, and what those are.
fn offered(producer: &Running) -> (gst_video::VideoInfo, gst::BufferPool) {
    let pad = producer.element("sink").static_pad("sink").expect("a sink has one");
    until("negotiated", || pad.current_caps().is_some());
    let caps = pad.current_caps().expect("negotiated");
    let info = gst_video::VideoInfo::from_caps(&caps).expect("video");
    let mut query = gst::query::Allocation::new(Some(&caps), true);
    assert!(pad.query(&mut query));
    let pool = query.allocation_pools().next().and_then(|(pool, ..)| pool).expect("a pool");
    (info, pool)
}

#[test]
fn a_copy_of_a_frame_that_is_mapped_shares_its_memory_and_a_deep_one_does_not() {
    let topic = Topic::new();
    let producer = Running::playing(&format!(
        "videotestsrc ! video/x-raw,format=I420,width=64,height=48 ! {}",
        topic.sink("")
    ));
    let (info, pool) = offered(&producer);
    pool.set_active(true).expect("the pool starts");
    let fresh = || {
        let mut buffer = pool.acquire_buffer(None).expect("a slot");
        buffer.get_mut().expect("mine").map_writable().expect("writable").fill(1);
        buffer
    };
    let memory = |buffer: &gst::BufferRef| buffer.peek_memory(0).as_ptr();

    let mut frame = gst_video::VideoFrame::from_buffer_writable(fresh(), &info).expect("mapped");
    let (shallow, deep) = (frame.buffer().copy(), frame.buffer().copy_deep().expect("enough memory"));
    assert_eq!(memory(&shallow), memory(frame.buffer()));
    assert_ne!(memory(&deep), memory(frame.buffer()));
    frame.plane_data_mut(0).expect("a plane").fill(2);
    assert_eq!(deep.map_readable().expect("readable")[0], 1, "a deep copy is one");
    // Whoever has the shallow copy and wants to write to it gets memory of its own.
    let mut shallow = shallow;
    shallow.get_mut().expect("mine").map_writable().expect("a copy is made").fill(3);
    assert_ne!(memory(&shallow), memory(frame.buffer()));
    assert_eq!(frame.plane_data(0).expect("a plane")[0], 2);
    // Mapped more than once, also otherwise, it stays the same memory.
    let before = memory(frame.buffer());
    let mut buffer = frame.into_buffer();
    // Since 1.24 a copy that shares, or once shared, memory of a pool keeps the buffer that it is a copy of.
    drop(shallow);
    buffer.get_mut().expect("mine").map_writable().expect("writable")[0] = 4;
    assert_eq!((memory(&buffer), buffer.map_readable().expect("readable")[0]), (before, 4));
    drop(buffer);
    pool.set_active(false).expect("the pool stops");
}

#[test]
fn who_is_short_of_one_buffer_now_and_then_gets_a_deeper_ring_too() {
    let topic = Topic::new();
    let producer = Running::playing(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=I420,width=64,height=48,framerate=20/1 ! {}",
        topic.sink("")
    ));
    let (_, pool) = offered(&producer);
    pool.set_active(true).expect("the pool starts");
    let depth = producer.stat("sink", "depth");
    let fallbacks = || producer.stat("sink", "pool-fallbacks");
    let mut kept = Vec::new();
    // As avdec_h264 of GStreamer 1.26 does: all slots are taken for a moment, then frames go on in place again.
    until("the ring is deepened", || {
        let before = fallbacks();
        while fallbacks() == before {
            kept.push(pool.acquire_buffer(None).expect("a buffer"));
        }
        kept.truncate(kept.len().saturating_sub(4));
        let published = producer.stat("sink", "zero-copy");
        until("frames go on in place", || producer.stat("sink", "zero-copy") > published + 1);
        producer.stat("sink", "depth") > depth
    });
    drop(kept);
    pool.set_active(false).expect("the pool stops");
    assert_eq!(producer.error(), None);
}

#[test]
fn the_consumer_gets_the_very_memory_read_only_and_a_filter_copies_by_itself() {
    let topic = Topic::new();
    let consumer =
        Running::playing(&format!("{} ! appsink name=out sync=false max-buffers=1 drop=true", topic.src("")));
    let producer = Running::playing(&format!("videotestsrc ! {}", topic.sink("")));
    for _ in 0..20 {
        let sample = consumer.pull().expect("a sample");
        let buffer = sample.buffer().expect("with a buffer");
        assert_eq!(buffer.n_memory(), 1);
        assert!(buffer.peek_memory(0).flags().contains(gst::MemoryFlags::READONLY));
        let before = checksum(buffer);
        let mut mine = buffer.copy();
        mine.get_mut().expect("only mine").map_writable().expect("a copy is made")[0] ^= 0xff;
        assert_eq!(checksum(buffer), before, "the frame itself did not change");
        assert_ne!(checksum(&mine), before);
    }
    assert_eq!(consumer.stat("src", "copied"), 0);
    assert!(consumer.stat("src", "zero-copy") >= 20);
    producer.reaches("sink", "copied", 0);
}

/// A buffer of `n` bytes of `value`, in `parts` memories.
fn buffer(value: u8, parts: &[usize]) -> gst::Buffer {
    let mut buffer = gst::Buffer::new();
    for (index, size) in parts.iter().enumerate() {
        let fill = value.wrapping_add(u8::try_from(index).expect("few"));
        buffer.get_mut().expect("new").append_memory(gst::Memory::from_mut_slice(vec![fill; *size]));
    }
    buffer
}

fn appsrc(topic: &Topic, size: (u32, u32)) -> (Running, Running) {
    let caps = format!("video/x-raw,format=GRAY8,width={},height={},framerate=30/1", size.0, size.1);
    let consumer = Running::playing(&format!("{} ! appsink name=out sync=false", topic.src("is-live=false")));
    let producer = Running::playing(&format!(
        "appsrc name=in format=time caps={caps} ! {}",
        topic.sink("sync=false history=8 wait-for-connection=true")
    ));
    (producer, consumer)
}

#[test]
fn ordinary_memory_arrives_whole_however_it_is_cut_up() {
    let topic = Topic::new();
    let (producer, consumer) = appsrc(&topic, (64, 64));
    let mut offset = gst::Buffer::from_mut_slice(vec![9_u8; 5000]);
    offset.get_mut().expect("new").resize(100..4196).expect("within");
    let sent = [
        buffer(1, &[4096]),
        buffer(2, &[1000, 3000, 96]),
        offset,
        buffer(5, &[1; 16].map(|n: usize| n * 256)),
    ];
    for (sent, pts) in sent.iter().zip(0_u64..) {
        let mut timed = sent.copy();
        timed.get_mut().expect("a copy").set_pts(gst::ClockTime::from_mseconds(pts));
        producer.push(&timed).expect("taken");
        let sample = consumer.pull().expect("a sample");
        assert_eq!(checksum(sample.buffer().expect("with a buffer")), checksum(sent));
    }
    producer.reaches("sink", "copied", 4);
}

#[test]
fn a_frame_that_is_too_small_for_its_caps_is_an_error_that_says_so() {
    let topic = Topic::new();
    let (producer, _consumer) = appsrc(&topic, (64, 64));
    let _ = producer.push(&buffer(1, &[4095]));
    let error = producer.wait_error();
    assert!(error.contains("4095 bytes"), "{error}");
}

#[test]
fn an_upstream_that_keeps_its_buffer_cannot_change_what_was_published() {
    let topic = Topic::new();
    let consumer = Running::playing(&format!("{} ! appsink name=out sync=false", topic.src("is-live=false")));
    let producer = Running::playing(&format!(
        "appsrc name=in format=time caps=video/x-raw,format=GRAY8,width=64,height=64,framerate=30/1 ! {}",
        topic.sink("sync=false history=8 wait-for-connection=true")
    ));
    // The pool, as an upstream element would get it.
    let pad = producer.element("sink").static_pad("sink").expect("a sink has one");
    producer.push(&buffer(0, &[4096])).expect("taken");
    consumer.pull().expect("negotiated");
    let caps = pad.current_caps().expect("negotiated");
    let mut query = gst::query::Allocation::new(Some(&caps), true);
    assert!(pad.query(&mut query));
    let (pool, size, min, max) = query.allocation_pools().next().expect("a pool is proposed");
    let pool = pool.expect("not only a size");
    assert_eq!((size, min, max), (4096, 0, 0));
    assert!(
        query.allocation_params().next().is_none_or(|(allocator, _)| allocator.is_none()),
        "no allocator"
    );
    pool.set_active(true).expect("the pool starts");
    let mut kept = pool.acquire_buffer(None).expect("a slot");
    kept.get_mut().expect("mine").map_writable().expect("writable before").fill(1);
    let _keep = kept.copy();
    producer.push(&kept).expect("taken");
    let first = consumer.pull().expect("a sample");
    let sum = checksum(first.buffer().expect("with a buffer"));
    producer.reaches("sink", "zero-copy", 1);
    // The same memory once more: not in place a second time, and no more to be written to in place.
    {
        let mut again = kept.copy();
        again.get_mut().expect("a copy").map_writable().expect("a copy of the memory").fill(2);
        producer.push(&again).expect("taken");
        producer.push(&kept).expect("taken");
    }
    assert_ne!(checksum(consumer.pull().expect("changed").buffer().expect("with a buffer")), sum);
    assert_eq!(checksum(consumer.pull().expect("unchanged").buffer().expect("with a buffer")), sum);
    assert_eq!(checksum(first.buffer().expect("with a buffer")), sum);
    producer.reaches("sink", "zero-copy", 1);
    producer.reaches("sink", "copied", 3);
    pool.set_active(false).expect("the pool stops");
}

#[test]
fn a_frozen_image_is_published_again_and_again_by_copy() {
    if !have(&["imagefreeze"]) {
        return;
    }
    let topic = Topic::new();
    let consumer = Running::playing(&format!("{} ! appsink name=out sync=false", topic.src("")));
    let producer =
        Running::playing(&format!("videotestsrc num-buffers=1 ! imagefreeze ! {}", topic.sink("")));
    let first = checksum(consumer.pull().expect("a sample").buffer().expect("with a buffer"));
    for _ in 0..20 {
        assert_eq!(checksum(consumer.pull().expect("a sample").buffer().expect("with a buffer")), first);
    }
    assert!(producer.stat("sink", "zero-copy") <= 1);
    assert_eq!(producer.error(), None);
}

#[test]
fn padding_that_a_decoder_asks_for_is_within_the_slot_and_travels_with_the_frame() {
    let topic = Topic::new();
    let producer = Running::playing(&format!(
        "videotestsrc ! video/x-raw,format=I420,width=320,height=180 ! {}",
        topic.sink("")
    ));
    let (info, pool) = offered(&producer);
    let mut config = pool.config();
    config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META.as_ref());
    config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_ALIGNMENT.as_ref());
    let align = gst_video::VideoAlignment::new(0, 11, 0, 0, &[63; 4]);
    gst_video::prelude::VideoBufferPoolConfig::set_video_alignment(&mut *config, &align);
    pool.set_config(config).expect("taken");
    let (_, size, ..) = pool.config().params().expect("configured");
    assert!(usize::try_from(size).expect("small") > info.size(), "{size} is with padding");
    pool.set_active(true).expect("the pool starts");
    let buffer = pool.acquire_buffer(None).expect("a buffer");
    assert_eq!(buffer.size(), usize::try_from(size).expect("small"));
    let meta = buffer.meta::<gst_video::VideoMeta>().expect("described");
    assert_eq!(meta.stride()[0] % 64, 0);
    assert_eq!(meta.alignment().padding_bottom(), 11);
    gst_video::VideoFrameRef::from_buffer_ref_readable(&buffer, &info).expect("can be mapped as video");
    drop(buffer);
    pool.set_active(false).expect("the pool stops");
}
