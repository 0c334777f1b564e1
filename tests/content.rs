//! What arrives is what was sent, byte by byte and plane by plane: every raw format, odd sizes, padding, crop.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test says what it leaves out and what it measured"
)]

mod support;

use gstreamer as gst;
use gstreamer_video as gst_video;

use gst::prelude::*;
use gst_video::prelude::*;
use support::{Running, Topic, checksum};

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
    _topic: Topic,
    producer: Running,
    consumer: Running,
    time: gst::ClockTime,
}

impl Line {
    /// A consumer that looks at strides where the buffer says what they are.
    fn new() -> Self {
        Self::with(true)
    }

    fn with(strides_understood: bool) -> Self {
        let topic = Topic::new();
        let consumer = Running::new(&format!(
            "{} ! appsink name=out sync=false",
            topic.src("is-live=false on-lapped=oldest")
        ));
        if strides_understood {
            let pad = consumer.element("out").static_pad("sink").expect("a sink has one");
            pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, |_, info| match info.query_mut() {
                Some(query) if query.type_() == gst::QueryType::Allocation => {
                    let gst::QueryViewMut::Allocation(query) = query.view_mut() else { unreachable!() };
                    query.add_allocation_meta::<gst_video::VideoMeta>(None);
                    gst::PadProbeReturn::Handled
                }
                _ => gst::PadProbeReturn::Ok,
            });
        }
        consumer.play();
        let producer = Running::playing(&format!(
            "appsrc name=in format=time ! {}",
            topic.sink("sync=false history=8 wait-for-connection=true")
        ));
        Self { _topic: topic, producer, consumer, time: gst::ClockTime::ZERO }
    }

    /// Sends a frame and gives what arrived.
    fn send(&mut self, buffer: &gst::Buffer, caps: &gst::CapsRef) -> gst::Sample {
        self.time += gst::ClockTime::from_mseconds(33);
        let mut buffer = buffer.copy();
        buffer.get_mut().expect("a copy").set_pts(self.time);
        let sample = gst::Sample::builder().buffer(&buffer).caps(&caps.to_owned()).build();
        let pushed = self.producer.element("in").emit_by_name::<gst::FlowReturn>("push-sample", &[&sample]);
        assert_eq!(pushed, gst::FlowReturn::Ok);
        self.consumer.pull().unwrap_or_else(|| {
            panic!("{caps}: nothing arrives, errors {:?} {:?}", self.producer.error(), self.consumer.error())
        })
    }
}

fn info(sample: &gst::Sample) -> gst_video::VideoInfo {
    gst_video::VideoInfo::from_caps(sample.caps().expect("a sample has caps")).expect("of video")
}

fn buffer(sample: &gst::Sample) -> &gst::BufferRef {
    sample.buffer().expect("a sample has a buffer")
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
    support::init();
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

#[test]
fn every_format_goes_through_the_pool_as_well() {
    support::init();
    for &format in gst_video::VIDEO_FORMATS_ALL.iter() {
        let topic = Topic::new();
        let consumer = Running::playing(&format!(
            "{} ! appsink name=out sync=false",
            topic.src("is-live=false on-lapped=oldest")
        ));
        let Some(expected) = picture(format, (319, 241)) else { continue };
        // The same picture once more, this time written into the ring by the converter itself.
        let producer = Running::playing(&format!(
            "videotestsrc num-buffers=1 pattern=snow ! videoconvert dither=none ! \
             video/x-raw,format={format},width=319,height=241,framerate=30/1 ! {}",
            topic.sink("sync=false wait-for-connection=true")
        ));
        let got = consumer.pull().expect("a frame");
        let info = info(&got);
        assert_eq!(pixels(buffer(&got), &info).len(), pixels(buffer(&expected), &info).len());
        producer.wait_eos();
        assert_eq!((producer.stat("sink", "zero-copy"), producer.stat("sink", "copied")), (1, 0), "{format}");
        assert_eq!(consumer.stat("src", "copied"), 0, "{format}");
    }
}

/// A frame of I420 with strides of its own, and the same pixels without.
fn padded(width: u32, height: u32, strides: [i32; 3], before: usize, seed: u8) -> (gst::Buffer, Vec<u8>) {
    let rows = [height, height.div_ceil(2), height.div_ceil(2)].map(|rows| rows as usize);
    let lengths = [width, width.div_ceil(2), width.div_ceil(2)].map(|length| length as usize);
    let mut offsets = [before; 3];
    for plane in 1..3 {
        offsets[plane] = offsets[plane - 1] + strides[plane - 1] as usize * rows[plane - 1] + 128;
    }
    let size = offsets[2] + strides[2] as usize * rows[2];
    // What lies between the rows is not part of the picture.
    let mut bytes = vec![0xee_u8; size];
    for plane in 0..3 {
        for row in 0..rows[plane] {
            for column in 0..lengths[plane] {
                bytes[offsets[plane] + row * strides[plane] as usize + column] =
                    seed.wrapping_add((plane * 50 + row * 7 + column) as u8);
            }
        }
    }
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    gst_video::VideoMeta::add_full(
        buffer.get_mut().expect("new"),
        gst_video::VideoFrameFlags::empty(),
        gst_video::VideoFormat::I420,
        width,
        height,
        &offsets,
        &strides,
    )
    .expect("a layout");
    let info =
        gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, width, height).build().expect("video");
    let pixels = pixels(&buffer, &info);
    (buffer, pixels)
}

fn i420(width: u32, height: u32) -> gst::Caps {
    gst_video::VideoCapsBuilder::new()
        .format(gst_video::VideoFormat::I420)
        .width(i32::try_from(width).expect("small"))
        .height(i32::try_from(height).expect("small"))
        .framerate((30, 1).into())
        .build()
}

const STRIDES: [([i32; 3], usize); 4] =
    [([320, 160, 160], 0), ([384, 192, 192], 0), ([512, 256, 320], 4096), ([319, 160, 160], 7)];

#[test]
fn strides_and_offsets_that_change_from_frame_to_frame_travel_with_the_frame() {
    let mut line = Line::new();
    for (round, (strides, before)) in STRIDES.into_iter().cycle().take(12).enumerate() {
        let (sent, pixels_sent) = padded(319, 241, strides, before, round as u8);
        let got = line.send(&sent, &i420(319, 241));
        let meta = buffer(&got).meta::<gst_video::VideoMeta>().expect("described");
        assert_eq!(meta.stride(), strides);
        assert_eq!(meta.offset()[0], before);
        assert!(pixels(buffer(&got), &info(&got)) == pixels_sent, "round {round}");
    }
    assert_eq!(line.consumer.stat("src", "copied"), 0);
}

#[test]
fn who_does_not_look_at_strides_gets_them_packed() {
    let mut line = Line::with(false);
    for (round, (strides, before)) in STRIDES.into_iter().enumerate() {
        let (sent, pixels_sent) = padded(319, 241, strides, before, round as u8);
        let got = line.send(&sent, &i420(319, 241));
        assert!(buffer(&got).meta::<gst_video::VideoMeta>().is_none());
        assert_eq!(buffer(&got).size(), info(&got).size());
        assert!(pixels(buffer(&got), &info(&got)) == pixels_sent, "round {round}");
    }
    assert!(line.consumer.stat("src", "copied") >= 4);
}

#[test]
fn a_crop_rectangle_travels_with_the_frame_and_a_wrong_one_does_not() {
    let mut line = Line::new();
    for (crop, expected) in [
        (Some((2, 4, 100, 50)), Some((2, 4, 100, 50))),
        (None, None),
        (Some((0, 0, 320, 240)), Some((0, 0, 320, 240))),
        (Some((300, 0, 100, 50)), None),
        (Some((u32::MAX, 0, 2, 2)), None),
    ] {
        let (mut sent, _) = padded(320, 240, [320, 160, 160], 0, 1);
        if let Some(crop) = crop {
            gst_video::VideoCropMeta::add(sent.get_mut().expect("new"), crop);
        }
        let got = line.send(&sent, &i420(320, 240));
        assert_eq!(buffer(&got).meta::<gst_video::VideoCropMeta>().map(|meta| meta.rect()), expected);
    }
}

#[test]
fn padding_survives_a_copy_from_memory_in_many_pieces() {
    let mut line = Line::new();
    let (whole, pixels_sent) = padded(319, 241, [384, 192, 192], 512, 3);
    let bytes = whole.map_readable().expect("readable").to_vec();
    for pieces in [1, 2, 7, 15] {
        let mut sent = gst::Buffer::new();
        for piece in bytes.chunks(bytes.len().div_ceil(pieces)) {
            // Each piece lies somewhere within a larger memory.
            let mut memory = gst::Memory::from_mut_slice([&[0x11; 33][..], piece, &[0x22; 9][..]].concat());
            memory.get_mut().expect("new").resize(33..33 + piece.len());
            sent.get_mut().expect("new").append_memory(memory);
        }
        let meta = whole.meta::<gst_video::VideoMeta>().expect("described");
        gst_video::VideoMeta::add_full(
            sent.get_mut().expect("new"),
            gst_video::VideoFrameFlags::empty(),
            meta.format(),
            meta.width(),
            meta.height(),
            meta.offset(),
            meta.stride(),
        )
        .expect("a layout");
        assert_eq!(sent.n_memory(), pieces);
        let got = line.send(&sent, &i420(319, 241));
        assert!(pixels(buffer(&got), &info(&got)) == pixels_sent, "{pieces} pieces");
    }
}

#[test]
fn interlaced_pictures_say_so_frame_by_frame() {
    use gst_video::VideoBufferFlags as Flags;
    for (mode, flags) in [
        ("progressive", Flags::empty()),
        ("interleaved", Flags::INTERLACED | Flags::TFF),
        ("interleaved", Flags::INTERLACED),
        ("mixed", Flags::empty()),
        ("mixed", Flags::INTERLACED | Flags::TFF | Flags::RFF),
    ] {
        let mut line = Line::new();
        let caps: gst::Caps =
            format!("video/x-raw,format=I420,width=320,height=240,framerate=25/1,interlace-mode={mode}")
                .parse()
                .expect("caps");
        let (mut sent, _) = padded(320, 240, [320, 160, 160], 0, 1);
        sent.get_mut().expect("new").set_video_flags(flags);
        let got = line.send(&sent, &caps);
        assert_eq!(
            buffer(&got).video_flags() & (Flags::INTERLACED | Flags::TFF | Flags::RFF),
            flags,
            "{mode}"
        );
        let info = info(&got);
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer(&got), &info).expect("mapped");
        assert_eq!(frame.is_interlaced(), mode == "interleaved" || flags.contains(Flags::INTERLACED));
        assert_eq!(got.caps(), Some(caps.as_ref()));
    }
}

#[test]
fn fields_on_their_own_arrive_whatever_their_strides() {
    use gst_video::VideoBufferFlags as Flags;
    for strides_understood in [true, false] {
        let mut line = Line::with(strides_understood);
        // Of an odd number of rows the upper field has one more, and both are given room for it.
        for (height, rows, stride) in [(240_u32, 120, 320), (240, 120, 352), (241, 121, 320), (241, 121, 384)]
        {
            let caps: gst::Caps = format!(
                "video/x-raw(format:Interlaced),format=GRAY8,width=320,height={height},framerate=25/1,\
                 interlace-mode=alternate"
            )
            .parse()
            .expect("caps");
            let sent_info = gst_video::VideoInfo::from_caps(&caps).expect("video");
            assert_eq!(sent_info.size(), 320 * rows);
            for flags in [Flags::TOP_FIELD, Flags::BOTTOM_FIELD] {
                let bytes: Vec<u8> = (0..stride * rows).map(|n| (n * 7 / 3) as u8).collect();
                let mut sent = gst::Buffer::from_mut_slice(bytes);
                let fresh = sent.get_mut().expect("new");
                fresh.set_video_flags(Flags::INTERLACED | flags);
                gst_video::VideoMeta::add_full(
                    fresh,
                    gst_video::VideoFrameFlags::empty(),
                    gst_video::VideoFormat::Gray8,
                    320,
                    height,
                    &[0],
                    &[i32::try_from(stride).expect("small")],
                )
                .expect("described");
                let got = line.send(&sent, &caps);
                assert_eq!(got.caps(), Some(caps.as_ref()));
                assert!(buffer(&got).video_flags().contains(Flags::INTERLACED | flags));
                assert!(
                    pixels(buffer(&got), &info(&got)) == pixels(&sent, &sent_info),
                    "{height} rows, {stride} bytes each"
                );
                let packed = if strides_understood { stride } else { 320 };
                assert_eq!(buffer(&got).size(), packed * rows);
            }
        }
    }
}

#[test]
fn bare_bytes_are_read_with_the_callers_caps_and_refused_with_a_reason_otherwise() {
    let topic = Topic::new();
    let producer = shmflow::Producer::builder("video").dir(topic.dir()).open().expect("a topic");
    let caps = "caps=video/x-raw,format=BGR,width=17,height=5,framerate=30/1";
    let viewer = |more: &str| {
        Running::playing(&format!(
            "{} ! appsink name=out sync=false",
            topic.src(&format!("is-live=false {more}"))
        ))
    };
    // Rows of BGR are padded to four bytes.
    let bytes: Vec<u8> = (0..52 * 5).map(|n| n as u8).collect();
    producer.write(&bytes).expect("published");
    let reader = viewer(caps);
    let got = reader.pull().expect("a frame");
    assert_eq!(*buffer(&got).map_readable().expect("readable"), *bytes);
    assert_eq!(info(&got).format(), gst_video::VideoFormat::Bgr);
    drop((got, reader));
    let error = viewer("").wait_error();
    assert!(error.contains("property caps"), "{error}");
    producer.write(&bytes[1..]).expect("published");
    let late = viewer(caps);
    let error = late.wait_error();
    assert!(error.contains("259") && error.contains("260"), "{error}");
}

#[test]
fn frames_fill_their_slot_to_the_last_byte_or_leave_room_and_larger_ones_move_the_ring() {
    let mut line = Line::new();
    let mut epochs = Vec::new();
    // A slot is as large as the first frame, rounded up to pages.
    for width in [4096_u32, 4095, 1, 4097, 8192, 4096] {
        let caps: gst::Caps =
            format!("video/x-raw,format=GRAY8,width={width},height=1,framerate=30/1").parse().expect("caps");
        let size = gst_video::VideoInfo::from_caps(&caps).expect("video").size();
        let bytes: Vec<u8> = (0..size).map(|n| (n * 31) as u8).collect();
        let got = line.send(&gst::Buffer::from_mut_slice(bytes.clone()), &caps);
        assert_eq!(*buffer(&got).map_readable().expect("readable"), *bytes);
        epochs.push(line.producer.stat("sink", "epoch"));
    }
    assert!(epochs.is_sorted() && epochs[0] < epochs[5], "{epochs:?}");
}

#[test]
fn five_frames_go_through_a_ring_of_three() {
    let topic = Topic::new();
    let consumer = Running::playing(&format!("{} ! appsink name=out sync=false", topic.src("is-live=false")));
    let producer = Running::playing(&format!(
        "appsrc name=in format=time caps=video/x-raw,format=GRAY8,width=64,height=64,framerate=30/1 ! {}",
        topic.sink("sync=false max-buffers=3 reserve=1 wait-for-connection=true")
    ));
    let mut kept = Vec::new();
    for value in 0..5_u8 {
        let mut sent = gst::Buffer::from_mut_slice(vec![value; 4096]);
        sent.get_mut().expect("new").set_pts(gst::ClockTime::from_mseconds(u64::from(value)));
        producer.push(&sent).expect("taken");
        kept.push(consumer.pull().expect("a frame"));
    }
    for (sample, value) in kept.iter().zip(0_u8..) {
        let map = buffer(sample).map_readable().expect("readable");
        assert!(map.len() == 4096 && map.iter().all(|byte| *byte == value));
    }
    assert_eq!(consumer.stat("src", "lost"), 0);
}
