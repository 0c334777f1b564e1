//! Buffer flags ↔ frame flags.
//!
//! Only flags that say something about the frame cross the process. What GStreamer keeps in the same word for its own
//! bookkeeping (`TAG_MEMORY`, lock bits) stays, in both directions: a peer could otherwise forge it.

use gstreamer as gst;
use gstreamer_video as gst_video;

use gst::BufferFlags as B;
use gst_video::VideoBufferFlags as V;
use gst_video::prelude::*;
use shmflow::meta::Flags;

/// Flags of any buffer, with their counterpart.
const ANY: &[(B, Flags)] = &[
    (B::DISCONT, Flags::DISCONT),
    (B::CORRUPTED, Flags::CORRUPTED),
    (B::GAP, Flags::GAP),
    (B::MARKER, Flags::MARKER),
    (B::HEADER, Flags::HEADER),
    (B::DELTA_UNIT, Flags::DELTA_UNIT),
    (B::DROPPABLE, Flags::DROPPABLE),
    (B::NON_DROPPABLE, Flags::NON_DROPPABLE),
    (B::RESYNC, Flags::RESYNC),
    (B::LIVE, Flags::LIVE),
    (B::DECODE_ONLY, Flags::DECODE_ONLY),
];

/// Flags of a video buffer, with their counterpart. (Top and bottom field are "one field", with and without "top first".)
const VIDEO: &[(V, Flags)] = &[
    (V::INTERLACED, Flags::INTERLACED),
    (V::TFF, Flags::TFF),
    (V::RFF, Flags::RFF),
    (V::ONEFIELD, Flags::ONEFIELD),
    (V::MULTIPLE_VIEW, Flags::MULTIPLE_VIEW),
    (V::FIRST_IN_BUNDLE, Flags::FIRST_IN_BUNDLE),
];

/// What a buffer's flags say about the frame.
pub(crate) fn from_buffer(buffer: &gst::BufferRef) -> Flags {
    let (any, video) = (buffer.flags(), buffer.video_flags());
    let any = ANY.iter().filter(|(theirs, _)| any.contains(*theirs)).map(|(_, ours)| *ours);
    let video = VIDEO.iter().filter(|(theirs, _)| video.contains(*theirs)).map(|(_, ours)| *ours);
    any.chain(video).fold(Flags::EMPTY, |all, flag| all | flag)
}

/// Sets a buffer's flags from a frame's; flags without a counterpart are left out.
pub(crate) fn to_buffer(flags: Flags, buffer: &mut gst::BufferRef) {
    for (theirs, ours) in ANY {
        if flags.contains(*ours) {
            buffer.set_flags(*theirs);
        }
    }
    for (theirs, ours) in VIDEO {
        if flags.contains(*ours) {
            buffer.set_video_flags(*theirs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_survives_the_way_there_and_back_alone() {
        gst::init().expect("GStreamer starts");
        let all = ANY.iter().map(|(_, ours)| *ours).chain(VIDEO.iter().map(|(_, ours)| *ours));
        for flag in all {
            let mut buffer = gst::Buffer::new();
            to_buffer(flag, buffer.make_mut());
            assert_eq!(from_buffer(&buffer), flag);
        }
    }

    #[test]
    fn bookkeeping_flags_do_not_cross() {
        gst::init().expect("GStreamer starts");
        let mut buffer = gst::Buffer::new();
        buffer.make_mut().set_flags(B::TAG_MEMORY | B::DISCONT | B::SYNC_AFTER);
        assert_eq!(from_buffer(&buffer), Flags::DISCONT);
        let mut received = gst::Buffer::new();
        to_buffer(Flags::from_bits(u32::MAX), received.make_mut());
        assert!(!received.flags().intersects(B::TAG_MEMORY | B::SYNC_AFTER));
    }
}
