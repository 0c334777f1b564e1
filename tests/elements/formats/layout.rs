//! Strides, offsets, padding and crop rectangles travel with the frame.

use gstreamer as gst;
use gstreamer_video as gst_video;

use crate::support::pipelines::{buffer, clients, frame, viewer};
use crate::support::reads::Reads;
use crate::support::{Running, Topic, until};

use super::{Line, info, pixels};

/// A frame of I420 with strides of its own, and the same pixels without.
pub(super) fn padded(
    width: u32,
    height: u32,
    strides: [i32; 3],
    before: usize,
    seed: u8,
) -> (gst::Buffer, Vec<u8>) {
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
    let mut line = Line::with(Reads::Packed);
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
fn strides_may_change_from_frame_to_frame_and_are_packed_only_for_those_who_cannot_read_them() {
    let topic = Topic::new();
    // A width without gaps in the rows of its caps: whether those are copied differs between versions of GStreamer.
    // An appsink does not say that it reads strides: its frames are packed. videoconvert does, if it has to convert: its
    // frames are not.
    let packing = viewer(&topic, "is-live=false");
    let reading = Running::playing(&format!(
        "{} ! videoconvert ! video/x-raw,format=YV12 ! videoconvert ! video/x-raw,format=I420 ! appsink name=out \
         sync=false",
        topic.src("is-live=false")
    ));
    let producer = Running::playing(&format!(
        "appsrc name=in format=time caps=video/x-raw,format=I420,width=56,height=20,framerate=25/1 ! {}",
        topic.sink("sync=false history=8")
    ));
    until("both are there", || clients(&producer) == 2);
    for (number, (stride, before)) in (0_u8..).zip([(56, 0), (64, 0), (64, 100), (256, 3), (56, 0)]) {
        let (mut sent, pixels_sent) = padded(56, 20, [stride; 3], before, number);
        sent.get_mut().expect("new").set_pts(gst::ClockTime::from_mseconds(40 * u64::from(number)));
        producer.push(&sent).expect("taken");
        for consumer in [&packing, &reading] {
            let got = frame(consumer);
            assert!(pixels(buffer(&got), &info(&got)) == pixels_sent, "{stride} {before}");
        }
    }
    packing.reaches("src", "copied", 5);
    assert_eq!(reading.stat("src", "copied"), 0);
}

#[test]
fn a_crop_rectangle_reaches_those_who_read_it_and_the_others_see_the_whole_picture() {
    let rectangles = [
        (Some((2, 4, 100, 50)), true),
        (None, false),
        (Some((0, 0, 320, 240)), true),
        (Some((300, 0, 100, 50)), false),
        (Some((u32::MAX, 0, 2, 2)), false),
    ];
    for reads in [Reads::Crops, Reads::Strides, Reads::Packed] {
        let mut line = Line::with(reads);
        for (described, (crop, is_within)) in
            [true, false].iter().flat_map(|described| rectangles.map(|rectangle| (*described, rectangle)))
        {
            let (mut sent, bare) = padded(320, 240, [320, 160, 160], 0, 1);
            if !described {
                sent = gst::Buffer::from_mut_slice(bare.clone());
            }
            if let Some(crop) = crop {
                gst_video::VideoCropMeta::add(sent.get_mut().expect("new"), crop);
            }
            let got = line.send(&sent, &i420(320, 240));
            let arrived = buffer(&got).meta::<gst_video::VideoCropMeta>().map(|meta| meta.rect());
            let expected = crop.filter(|_| is_within && reads == Reads::Crops);
            assert_eq!(arrived, expected, "{reads:?}, {crop:?}, described: {described}");
            assert!(pixels(buffer(&got), &info(&got)) == bare, "{reads:?}, {crop:?}");
        }
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
