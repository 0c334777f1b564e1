//! Interlaced pictures, fields on their own, and all that a frame says of itself in flags and numbers.

use gstreamer as gst;
use gstreamer_video as gst_video;

use gst_video::prelude::*;

use crate::support::pipelines::{AT_ONCE, buffer, frame, viewer};
use crate::support::reads::Reads;
use crate::support::{Running, Topic, have};

use super::layout::padded;
use super::{Line, info, pixels, same};

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
    for reads in [Reads::Strides, Reads::Packed] {
        let mut line = Line::with(reads);
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
                let packed = if reads == Reads::Strides { stride } else { 320 };
                assert_eq!(buffer(&got).size(), packed * rows);
            }
        }
    }
}

#[test]
fn fields_on_their_own_arrive_as_an_element_makes_them() {
    if !have(&["interlace"]) {
        return;
    }
    for (format, height) in [("I420", 240), ("UYVY", 242), ("NV12", 240), ("v210", 240)] {
        let text = format!(
            "videotestsrc num-buffers=8 ! video/x-raw,format={format},width=320,height={height},framerate=50/1 \
             ! interlace field-pattern=1:1 ! video/x-raw(format:Interlaced),interlace-mode=alternate"
        );
        assert!(same(&text).is_ok(), "{text}");
    }
}

#[test]
fn flags_and_durations_cross_and_bookkeeping_flags_do_not() {
    use gst::BufferFlags as Flags;
    use gst_video::VideoBufferFlags as Video;
    let topic = Topic::new();
    let caps = "video/x-raw,format=GRAY8,width=64,height=48,framerate=25/1,interlace-mode=mixed";
    let viewer = viewer(&topic, "is-live=false");
    let producer =
        Running::playing(&format!("appsrc name=in format=time caps={caps} ! {}", topic.sink(AT_ONCE)));
    let sent = [
        (Flags::empty(), Video::INTERLACED | Video::TFF),
        (Flags::CORRUPTED, Video::INTERLACED),
        (Flags::MARKER | Flags::HEADER, Video::INTERLACED | Video::TFF | Video::RFF),
        (Flags::DELTA_UNIT | Flags::DROPPABLE, Video::ONEFIELD | Video::INTERLACED),
        (Flags::GAP, Video::empty()),
        (Flags::GAP | Flags::CORRUPTED, Video::INTERLACED | Video::ONEFIELD),
        (Flags::TAG_MEMORY | Flags::SYNC_AFTER, Video::empty()),
    ];
    let known =
        Flags::CORRUPTED | Flags::MARKER | Flags::HEADER | Flags::DELTA_UNIT | Flags::DROPPABLE | Flags::GAP;
    for (index, (flags, video)) in sent.into_iter().enumerate() {
        let mut sent = gst::Buffer::from_mut_slice(vec![1_u8; 64 * 48]);
        let fresh = sent.get_mut().expect("new");
        fresh.set_pts(gst::ClockTime::from_mseconds(index as u64 * 40));
        fresh.set_duration(gst::ClockTime::from_mseconds(40));
        fresh.set_offset(1000 + index as u64);
        fresh.set_offset_end(2000 + index as u64);
        fresh.set_flags(flags);
        fresh.set_video_flags(video);
        producer.push(&sent).expect("taken");
        let sample = frame(&viewer);
        let got = buffer(&sample);
        assert_eq!(got.flags() & known, flags & known, "frame {index}");
        assert!(!got.flags().intersects(Flags::TAG_MEMORY | Flags::SYNC_AFTER));
        assert_eq!(got.video_flags(), sent.video_flags(), "frame {index}");
        assert_eq!(got.duration(), Some(gst::ClockTime::from_mseconds(40)));
        assert_eq!((got.offset(), got.offset_end()), (1000 + index as u64, 2000 + index as u64));
        let meta = got.meta::<gst_video::VideoMeta>().expect("described");
        assert_eq!(
            meta.video_frame_flags().contains(gst_video::VideoFrameFlags::TFF),
            video.contains(Video::TFF)
        );
        gst_video::VideoFrameRef::from_buffer_ref_readable(got, &info(&sample)).expect("mappable");
    }
}
