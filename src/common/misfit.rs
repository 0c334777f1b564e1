//! What stands between frames and the elements that do not accept them.

use gstreamer as gst;
use gstreamer::glib;

use gst::prelude::*;

/// What stands in the way of frames with caps `have` where `wanted` is accepted, and which element removes it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Fields that do not fit the structure that they fit best.
    pub(crate) fields: Vec<String>,
    /// Elements to put in between, without doubles.
    pub(crate) converters: Vec<&'static str>,
}

/// Which element changes a field of raw audio or video.
fn converter(is_audio: bool, field: &str) -> &'static str {
    match field {
        "rate" if is_audio => "audioresample",
        _ if is_audio => "audioconvert",
        "width" | "height" | "pixel-aspect-ratio" => "videoscale",
        "framerate" | "max-framerate" => "videorate",
        "interlace-mode" | "field-order" => "deinterlace",
        _ => "videoconvert",
    }
}

fn is_raw(name: &str) -> bool {
    name == "video/x-raw" || name == "audio/x-raw"
}

/// Which kind of element makes something that is wanted of another media type, or another memory.
fn between(have: &str, wanted: &gst::CapsRef) -> &'static str {
    let wanted = |name: &str| wanted.iter().any(|structure| structure.name() == name);
    match have {
        "video/x-raw" if wanted(have) => "videoconvert",
        "audio/x-raw" if wanted(have) => "audioconvert",
        _ if is_raw(have) => "an encoder, or whatever makes what they accept,",
        _ if wanted(have) => "a parser (h264parse, opusparse, …)",
        _ if have.starts_with("application/x-rtp") => "a depayloader (rtph264depay, rtpopusdepay, …)",
        _ => "decodebin",
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
        let one = converter(have.name() == "audio/x-raw", field);
        if !converters.contains(&one) {
            converters.push(one);
        }
    }
    if !is_raw(have.name()) || converters.is_empty() {
        converters = vec![between(have.name(), wanted)];
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
            ("video/x-raw(memory:GLMemory)", vec![], vec!["videoconvert"]),
            ("video/x-h264", vec![], vec!["an encoder, or whatever makes what they accept,"]),
        ] {
            let found = misfit(&have, &caps(wanted));
            assert_eq!(
                (found.fields, found.converters),
                (fields.iter().map(|f| (*f).to_owned()).collect(), converters),
                "{wanted}"
            );
        }
    }

    #[test]
    fn whatever_the_stream_is_the_right_kind_of_element_is_named() {
        init();
        for (have, wanted, converters) in [
            (
                "audio/x-raw,format=S16LE,rate=48000,channels=2",
                "audio/x-raw,rate=44100",
                vec!["audioresample"],
            ),
            (
                "audio/x-raw,format=S16LE,rate=48000,channels=2",
                "audio/x-raw,channels=1",
                vec!["audioconvert"],
            ),
            ("video/x-h264,stream-format=avc", "video/x-raw", vec!["decodebin"]),
            (
                "video/x-h264,stream-format=avc",
                "video/x-h264,stream-format=byte-stream",
                vec!["a parser (h264parse, opusparse, …)"],
            ),
            (
                "application/x-rtp,media=video",
                "video/x-raw",
                vec!["a depayloader (rtph264depay, rtpopusdepay, …)"],
            ),
        ] {
            assert_eq!(misfit(&caps(have), &caps(wanted)).converters, converters, "{have} to {wanted}");
        }
    }
}
