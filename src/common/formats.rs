//! Which caps can be carried, and in which order they are liked.
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

/// The longest caps text that is read from another process, in bytes.
pub const MAX_CAPS_TEXT: usize = 8 * 1024;

/// Every format in the order in which it is offered.
fn formats() -> Vec<VideoFormat> {
    let rest = gst_video::VIDEO_FORMATS_ALL.iter().copied().filter(|format| !FIRST.contains(format));
    let eight_bit = |format: &VideoFormat| {
        gst_video::VideoFormatInfo::from_format(*format).depth().iter().all(|d| *d <= 8)
    };
    let (eight, deeper): (Vec<_>, Vec<_>) = rest.partition(eight_bit);
    FIRST.iter().copied().chain(eight).chain(deeper).collect()
}

/// Features of caps that lie in system memory.
const SYSTEM_MEMORY: [&str; 2] = ["memory:SystemMemory", FIELDS];

/// What caps of a stream whose buffers hold one field each have for a feature. They lie in system memory like others.
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

/// Everything that fits into a topic: raw video of every format in system memory.
#[must_use]
pub fn all() -> &'static gst::Caps {
    static ALL: LazyLock<gst::Caps> = LazyLock::new(|| carried(&[&formats()]));
    &ALL
}

/// The same, each of the formats liked best in a structure of its own.
///
/// Elements in between (a capsfilter that fixes the size) put the formats of one structure into the order of what
/// upstream can make. The order of structures they keep.
#[must_use]
pub fn in_order() -> gst::Caps {
    let all = formats();
    let (best, rest) = all.split_at(BEST.min(all.len()));
    carried(&best.chunks(1).chain([rest]).collect::<Vec<_>>())
}

/// Why caps cannot be carried; `Ok` with the video's description when they can.
///
/// # Errors
/// A sentence for people, with the remedy.
pub fn check(caps: &gst::CapsRef) -> Result<gst_video::VideoInfo, String> {
    let Some(structure) = caps.structure(0).filter(|_| caps.is_fixed()) else {
        return Err(format!("Caps that leave something open cannot be carried: {caps}."));
    };
    if structure.name() != "video/x-raw" {
        return Err(format!(
            "Only raw video can be carried, and this is {}: put a decoder or converter in front. Caps: {caps}.",
            structure.name()
        ));
    }
    if let Some(features) = caps.features(0)
        && (features.is_any() || features.iter().any(|feature| !SYSTEM_MEMORY.contains(&feature.as_str())))
    {
        return Err(format!(
            "Only system memory can be shared between processes, and this has {features}: put a download element \
             (gldownload, vapostproc, …) or videoconvert in front. Caps: {caps}."
        ));
    }
    gst_video::VideoInfo::from_caps(caps)
        .map_err(|error| format!("GStreamer does not understand these video caps ({error}): {caps}."))
        .and_then(|info| match info.format() {
            VideoFormat::Encoded | VideoFormat::Unknown => {
                Err(format!("Video of unknown format cannot be carried: {caps}."))
            }
            _ => Ok(info),
        })
}

/// Parses caps text that another process wrote: too long, not text, or not caps gives `None`.
#[must_use]
pub fn parse(text: &str) -> Option<gst::Caps> {
    let whole = !text.is_empty() && text.len() <= MAX_CAPS_TEXT && !text.contains('\0');
    if !whole || nested_too_deep(text) || !ranges_are_in_order(text) {
        return None;
    }
    text.parse().ok()
}

/// Whether each range goes upwards, in whole steps. GStreamer's parser takes that for granted, and asserts it.
fn ranges_are_in_order(text: &str) -> bool {
    text.split('[').skip(1).all(|rest| {
        let range = rest.split(']').next().unwrap_or_default();
        let numbers: Option<Vec<f64>> = range.split(',').map(number).collect();
        match numbers.as_deref() {
            Some([start, end]) => start < end,
            Some([start, end, step]) => {
                start < end && *step >= 1.0 && start % step == 0.0 && end % step == 0.0
            }
            _ => false,
        }
    })
}

/// An integer, a decimal number or a fraction.
fn number(text: &str) -> Option<f64> {
    // A type may be given in front: (int)1.
    let text = text.rsplit(')').next()?.trim();
    let value: f64 = match text.split_once('/') {
        Some((numerator, denominator)) => {
            numerator.trim().parse::<f64>().ok()? / denominator.trim().parse::<f64>().ok()?
        }
        None => text.parse().ok()?,
    };
    value.is_finite().then_some(value)
}

/// Whether brackets nest deeper than any caps need; GStreamer's parser recurses with them.
fn nested_too_deep(text: &str) -> bool {
    let mut depth = 0_u32;
    text.bytes().any(|byte| {
        match byte {
            b'{' | b'[' | b'<' | b'(' => depth = depth.saturating_add(1),
            b'}' | b']' | b'>' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > 16
    })
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
    fn raw_video_passes_and_the_rest_is_refused_with_a_reason() {
        init();
        assert!(check(&caps("video/x-raw,format=I420,width=320,height=240,framerate=30/1")).is_ok());
        assert!(check(&caps("video/x-raw,format=NV12,width=1,height=1")).is_ok());
        let fields =
            "video/x-raw(format:Interlaced),format=I420,width=320,height=240,interlace-mode=alternate";
        assert!(check(&caps(fields)).is_ok_and(|info| info.size() == 320 * 120 * 3 / 2));
        for (text, reason) in [
            ("video/x-raw,format=I420", "320"),
            ("video/x-h264,width=320,height=240", "decoder"),
            ("video/x-raw(memory:GLMemory),format=RGBA,width=320,height=240", "system memory"),
            (
                "video/x-raw(meta:GstVideoOverlayComposition),format=RGBA,width=320,height=240",
                "system memory",
            ),
            ("audio/x-raw,rate=48000", "raw video"),
            ("video/x-raw,format=I420,width=320,height=240,interlace-mode=alternate", "understand"),
            (
                "video/x-raw(format:Interlaced,memory:DMABuf),format=I420,width=320,height=240",
                "system memory",
            ),
        ] {
            let reason = if reason == "320" { "understand" } else { reason };
            assert!(check(&caps(text)).is_err_and(|m| m.contains(reason)), "{text}");
        }
    }

    #[test]
    fn hostile_caps_texts_are_no_caps() {
        init();
        assert!(parse("video/x-raw, format=(string)BGRx").is_some());
        assert!(parse("").is_none());
        assert!(parse("video/x-raw\0").is_none());
        assert!(parse(&format!("video/x-raw, a={}", "{ ".repeat(1000))).is_none());
        assert!(parse(&"x".repeat(MAX_CAPS_TEXT + 1)).is_none());
        assert!(parse("video/x-raw, format={").is_none());
    }

    #[test]
    fn ranges_that_gstreamer_would_assert_on_are_no_caps() {
        init();
        for range in [
            "[ 10, 1 ]",
            "[ 5, 5 ]",
            "[ 1, 10, 3 ]",
            "[ 0, 10, 0 ]",
            "[ 1/0, 2/1 ]",
            "[ 30/1, 1/1 ]",
            "[ a, b ]",
            "[ 1",
            "[ ]",
        ] {
            assert!(parse(&format!("video/x-raw, width={range}")).is_none(), "{range}");
        }
        for range in ["[ 1, 10 ]", "(int)[ 2, 10, 2 ]", "[ 0/1, 2147483647/1 ]", "[ 1.5, 2.5 ]", "[ -3, 3 ]"]
        {
            assert!(parse(&format!("video/x-raw, width={range}")).is_some(), "{range}");
        }
        assert_eq!(parse(&all().to_string()).as_ref(), Some(all()));
    }
}
