//! Which caps can be carried, and in which order those of raw video are liked.
//!
//! Order matters: a source that can make anything (`videotestsrc`) takes the first format offered. In GStreamer's own
//! order that is a 64-bit one that no display takes. Here the formats that most displays and encoders take come first,
//! so that a viewer works without a converter even when it was not there at the time of negotiation.

use std::sync::LazyLock;

use gstreamer as gst;
use gstreamer_video as gst_video;

use gst_video::VideoFormat;

/// The formats offered first: what plain X displays, encoders and cameras have in common, then the rest of 8 bits.
const FIRST: &[VideoFormat] = &[
    VideoFormat::Bgrx,
    VideoFormat::I420,
    VideoFormat::Nv12,
    VideoFormat::Yv12,
    VideoFormat::Nv21,
    VideoFormat::Yuy2,
    VideoFormat::Uyvy,
    VideoFormat::Rgbx,
    VideoFormat::Bgra,
    VideoFormat::Rgba,
    VideoFormat::Xrgb,
    VideoFormat::Xbgr,
    VideoFormat::Argb,
    VideoFormat::Abgr,
    VideoFormat::Rgb,
    VideoFormat::Bgr,
    VideoFormat::Gray8,
    VideoFormat::Y42b,
    VideoFormat::Y444,
];

/// How many of them come one after the other, whatever order the elements upstream like.
const BEST: usize = 3;

/// Every format in the order in which it is offered.
fn formats() -> Vec<VideoFormat> {
    let rest = gst_video::VIDEO_FORMATS_ALL.iter().copied().filter(|format| !FIRST.contains(format));
    let eight_bit = |format: &VideoFormat| {
        gst_video::VideoFormatInfo::from_format(*format).depth().iter().all(|d| *d <= 8)
    };
    let (eight, deeper): (Vec<_>, Vec<_>) = rest.partition(eight_bit);
    FIRST.iter().copied().chain(eight).chain(deeper).collect()
}

/// Features of caps that are in system memory.
const SYSTEM_MEMORY: [&str; 2] = ["memory:SystemMemory", FIELDS];

/// What caps of a stream whose buffers hold one field each have for a feature. They are in system memory like others.
const FIELDS: &str = "format:Interlaced";

/// Whole pictures, and after them fields, of these formats.
fn carried(groups: &[&[VideoFormat]]) -> gst::Caps {
    let mut caps = gst::Caps::new_empty();
    for group in groups.iter().filter(|group| !group.is_empty()) {
        caps.merge(gst_video::VideoCapsBuilder::new().format_list(group.iter().copied()).build());
    }
    for group in groups.iter().filter(|group| !group.is_empty()) {
        let fields = gst_video::VideoCapsBuilder::new().features([FIELDS]).format_list(group.iter().copied());
        caps.merge(fields.field("interlace-mode", "alternate").build());
    }
    caps
}

/// Raw video of every format in system memory.
pub(crate) fn all() -> &'static gst::Caps {
    static ALL: LazyLock<gst::Caps> = LazyLock::new(|| carried(&[&formats()]));
    &ALL
}

/// The same, each of the formats liked best in a structure of its own.
///
/// Elements in between (a capsfilter that fixes the size) put the formats of one structure into the order of what
/// upstream can make. The order of structures they keep.
pub(crate) fn in_order() -> gst::Caps {
    let all = formats();
    let (best, rest) = all.split_at(BEST.min(all.len()));
    carried(&best.chunks(1).chain([rest]).collect::<Vec<_>>())
}

/// Whether memory with these features can be carried.
pub(crate) fn is_system_memory(features: &gst::CapsFeaturesRef) -> bool {
    !features.is_any() && features.iter().all(|feature| SYSTEM_MEMORY.contains(&feature.as_str()))
}

/// The structures of `caps` that can be carried, one by one, in their order.
pub(crate) fn carriable(caps: &gst::CapsRef) -> impl Iterator<Item = gst::Caps> {
    let carried = caps.iter_with_features().filter(|(_, features)| is_system_memory(features));
    carried.map(|(structure, features)| {
        gst::Caps::builder_full().structure_with_features(structure.to_owned(), features.to_owned()).build()
    })
}

/// Whether this is one structure of raw video that [`in_order`] has an order for.
pub(crate) fn is_raw_video(one: &gst::CapsRef) -> bool {
    one.structure(0).is_some_and(|structure| structure.name() == "video/x-raw")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn init() {
        gst::init().expect("GStreamer starts");
    }

    fn caps(text: &str) -> gst::Caps {
        text.parse().expect("caps of the test")
    }

    #[test]
    fn the_first_formats_are_what_a_plain_display_takes() {
        init();
        let mut first = all().to_owned();
        first.fixate();
        let format = first.structure(0).and_then(|s| s.get::<String>("format").ok());
        assert_eq!(format.as_deref(), Some("BGRx"));
    }

    #[test]
    fn the_order_survives_a_filter_of_the_size() {
        init();
        let can_make = caps("video/x-raw,format={ABGR64_LE,NV12,I420,BGRx},width=64,height=48");
        let through = can_make.intersect_with_mode(&in_order(), gst::CapsIntersectMode::First);
        let format = through.structure(0).and_then(|s| s.get::<String>("format").ok());
        assert_eq!(format.as_deref(), Some("BGRx"));
        assert!(in_order().is_subset(all()));
        for format in formats() {
            let one = gst_video::VideoCapsBuilder::new().format(format).build();
            assert!(one.is_subset(&in_order()), "{one}");
        }
    }

    #[test]
    fn every_format_is_offered_once() {
        init();
        let formats = formats();
        assert_eq!(formats.len(), gst_video::VIDEO_FORMATS_ALL.len());
        assert!(gst_video::VIDEO_FORMATS_ALL.iter().all(|format| formats.contains(format)));
    }

    #[test]
    fn other_memory_than_the_systems_is_left_out() {
        init();
        let all =
            caps("video/x-raw(memory:DMABuf);audio/x-raw;video/x-raw(meta:GstVideoOverlayComposition);a/b");
        let kept: Vec<_> = carriable(&all).map(|caps| caps.to_string()).collect();
        assert_eq!(kept, ["audio/x-raw", "a/b"]);
        assert!(carriable(&caps("video/x-raw(ANY)")).next().is_none());
    }
}
