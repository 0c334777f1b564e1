//! Which caps can be carried, and in which order they are liked.
//!
//! Order matters: a source that can make anything (`videotestsrc`) takes the first format offered. In GStreamer's own
//! order that is a 64-bit one that no display takes. Here the formats that most displays and encoders take come first,
//! so that a viewer works without a converter even when it was not there at the time of negotiation.

use std::sync::LazyLock;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer_video as gst_video;

use gst::prelude::*;

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

/// Brackets never nest deeper in caps.
const MAX_DEPTH: u32 = 16;

/// The longest caps text that is read from another process, in bytes.
pub(crate) const MAX_CAPS_TEXT: usize = 8 * 1024;

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

/// Everything that fits into a topic: raw video of every format in system memory.
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

/// Why caps cannot be carried; `Ok` with the video's description when they can.
///
/// # Errors
/// A sentence for display, with the remedy.
pub(crate) fn check(caps: &gst::CapsRef) -> Result<gst_video::VideoInfo, String> {
    let Some(structure) = caps.structure(0).filter(|_| caps.is_fixed()) else {
        return Err(format!("Caps must be fixed, and these are not: {caps}."));
    };
    if structure.name() != "video/x-raw" {
        return Err(format!(
            "Only raw video is supported, and this is {}: put a decoder or converter in front. Caps: {caps}.",
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
                Err(format!("Video of unknown format is not supported: {caps}."))
            }
            _ => Ok(info),
        })
}

/// Parses the caps that a consumer says it accepts: too long, not text, or not caps gives `None`.
pub(crate) fn parse_accepted(text: &str) -> Option<gst::Caps> {
    let outline = outline(text)?;
    if !ranges_are_in_order(&outline) {
        return None;
    }
    text.parse().ok()
}

/// Parses the caps of a frame. They are fixed; `None` for everything else.
pub(crate) fn parse_fixed(text: &str) -> Option<gst::Caps> {
    if outline(text)?.contains(['[', '{']) {
        return None;
    }
    text.parse().ok().filter(|caps: &gst::Caps| caps.is_fixed())
}

/// Caps text that another process wrote, without what is in quotes; `None` if GStreamer's parser is not to see it. (It
/// recurses with the brackets, takes much for granted, and asserts it.)
fn outline(text: &str) -> Option<String> {
    if text.is_empty() || text.len() > MAX_CAPS_TEXT || text.contains('\0') {
        return None;
    }
    let mut outline = String::with_capacity(text.len());
    let (mut quoted, mut depth) = (false, 0_u32);
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => drop(chars.next()?),
            // A value starts there; anywhere else it is no quote to GStreamer.
            '"' if quoted || outline.trim_end().ends_with(['=', ')', '{', '[', '<', ',']) => {
                quoted = !quoted;
                outline.push('_');
            }
            '"' => return None,
            _ if quoted => {}
            _ => {
                match char {
                    '{' | '[' | '<' | '(' => depth += 1,
                    '}' | ']' | '>' | ')' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                if depth > MAX_DEPTH {
                    return None;
                }
                outline.push(char);
            }
        }
    }
    (!quoted).then_some(outline)
}

/// Whether each range goes upwards, in whole steps. GStreamer's parser takes that for granted, and asserts it.
fn ranges_are_in_order(outline: &str) -> bool {
    outline.split('[').skip(1).all(|rest| {
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

/// What stands in the way of frames with caps `have` where `wanted` is accepted, and which element removes it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Fields that do not fit the structure that they fit best.
    pub(crate) fields: Vec<String>,
    /// Elements to put in between, without doubles.
    pub(crate) converters: Vec<&'static str>,
}

/// Which element changes a field of raw video.
fn converter(field: &str) -> &'static str {
    match field {
        "width" | "height" | "pixel-aspect-ratio" => "videoscale",
        "framerate" | "max-framerate" => "videorate",
        "interlace-mode" | "field-order" => "deinterlace",
        _ => "videoconvert",
    }
}

/// Looks for what does not fit.
pub(crate) fn misfit(have: &gst::CapsRef, wanted: &gst::CapsRef) -> Misfit {
    let Some(have) = have.structure(0) else { return Misfit::default() };
    let fields = wanted
        .iter()
        .filter(|structure| structure.name() == have.name())
        .map(|structure| {
            let refuses = |(field, value): (&glib::GStr, &glib::SendValue)| {
                let accepted = structure.value(field).ok()?;
                value.intersect(accepted).is_none().then(|| field.to_string())
            };
            have.iter().filter_map(refuses).collect::<Vec<_>>()
        })
        .min_by_key(Vec::len)
        .unwrap_or_default();
    let mut converters: Vec<&'static str> = Vec::new();
    for field in &fields {
        let one = converter(field);
        if !converters.contains(&one) {
            converters.push(one);
        }
    }
    // Something else than raw video in system memory is wanted.
    if converters.is_empty() {
        converters.push("videoconvert");
    }
    Misfit { fields, converters }
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
        assert!(parse_accepted("video/x-raw, format=(string)BGRx").is_some());
        for text in [
            "",
            "video/x-raw\0",
            &format!("video/x-raw, a={}", "{ ".repeat(1000)),
            &"x".repeat(MAX_CAPS_TEXT + 1),
            "video/x-raw, format={",
            "video/x-raw, a=\"",
            "video/x-raw(\"), width=[ 10, 1 ]",
            "video/x-raw, a=b\", width=[ 10, 1 ]",
            "video/x-raw, a=\\",
        ] {
            assert!(parse_accepted(text).is_none() && parse_fixed(text).is_none(), "{text}");
        }
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
            assert!(parse_accepted(&format!("video/x-raw, width={range}")).is_none(), "{range}");
        }
        for range in ["[ 1, 10 ]", "(int)[ 2, 10, 2 ]", "[ 0/1, 2147483647/1 ]", "[ 1.5, 2.5 ]", "[ -3, 3 ]"]
        {
            let text = format!("video/x-raw, width={range}");
            assert!(parse_accepted(&text).is_some(), "{range}");
            assert!(parse_fixed(&text).is_none(), "a frame has no {range}");
        }
        assert_eq!(parse_accepted(&all().to_string()).as_ref(), Some(all()));
    }

    #[test]
    fn brackets_within_a_text_are_text() {
        init();
        for name in ["left [1, 0]", "a { b", "\\\"[", "[[[[[[[[[[[[[[[[[[[[[[["] {
            let mut caps = caps("video/x-raw,format=I420,width=320,height=240,framerate=30/1");
            caps.get_mut().expect("one reference").set("camera", name);
            assert_eq!(parse_fixed(&caps.to_string()).as_ref(), Some(&caps), "{name}");
            assert_eq!(parse_accepted(&caps.to_string()), Some(caps), "{name}");
        }
    }

    #[test]
    fn the_converter_is_named_for_what_does_not_fit() {
        init();
        let have =
            caps("video/x-raw,format=I420,width=320,height=240,framerate=30/1,interlace-mode=progressive");
        for (wanted, fields, converters) in [
            ("video/x-raw,framerate=25/1", vec!["framerate"], vec!["videorate"]),
            ("video/x-raw,width=640,height=480", vec!["width", "height"], vec!["videoscale"]),
            ("video/x-raw,format={RGB,BGR}", vec!["format"], vec!["videoconvert"]),
            ("video/x-raw,format=RGB;video/x-raw,format=I420,width=1", vec!["format"], vec!["videoconvert"]),
            (
                "video/x-raw,format=RGB,width=640,framerate=1/1",
                vec!["format", "width", "framerate"],
                vec!["videoconvert", "videoscale", "videorate"],
            ),
            ("video/x-raw,interlace-mode=interleaved", vec!["interlace-mode"], vec!["deinterlace"]),
            ("audio/x-raw", vec![], vec!["videoconvert"]),
        ] {
            let found = misfit(&have, &caps(wanted));
            assert_eq!(
                (found.fields, found.converters),
                (fields.iter().map(|f| (*f).to_owned()).collect(), converters),
                "{wanted}"
            );
        }
    }
}
