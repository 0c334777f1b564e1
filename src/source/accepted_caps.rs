//! What downstream accepts, as text for the producers.

use gstreamer as gst;

use gst::prelude::*;

use crate::common::formats;

/// The caps that the elements after `pad` accept.
pub(super) fn of(pad: &gst::Pad) -> String {
    text(&pad.peer_query_caps(None))
}

/// Caps as text of at most [`formats::MAX_CAPS_TEXT`] bytes: only what can be carried, and the least liked left out if
/// it is too long.
fn text(caps: &gst::Caps) -> String {
    if caps.is_any() {
        return caps.to_string();
    }
    let mut kept = gst::Caps::new_empty();
    let mut text = String::new();
    for (structure, features) in caps.iter_with_features() {
        let one = gst::Caps::builder_full()
            .structure_with_features(structure.to_owned(), features.to_owned())
            .build();
        if !one.can_intersect(formats::all()) {
            continue;
        }
        kept.merge(one);
        let longer = kept.to_string();
        if longer.len() > formats::MAX_CAPS_TEXT {
            break;
        }
        text = longer;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_carried_is_left_out_and_order_is_kept() {
        gst::init().expect("GStreamer starts");
        let caps: gst::Caps = "video/x-raw(memory:GLMemory),format=RGBA; video/x-raw,format=NV12; audio/x-raw; video/x-raw,format=I420"
            .parse()
            .expect("caps of the test");
        let text = text(&caps);
        assert!(!text.contains("GLMemory") && !text.contains("audio"), "{text}");
        assert!(text.find("NV12") < text.find("I420"), "{text}");
    }

    #[test]
    fn anything_is_anything_and_nothing_is_nothing() {
        gst::init().expect("GStreamer starts");
        assert_eq!(text(&gst::Caps::new_any()), "ANY");
        assert_eq!(text(&gst::Caps::new_empty()), "");
    }

    #[test]
    fn long_caps_are_cut_at_a_structure() {
        gst::init().expect("GStreamer starts");
        let caps: gst::Caps = (1..400)
            .map(|n| format!("video/x-raw,format=I420,width={n},height={n}"))
            .collect::<Vec<_>>()
            .join(";")
            .parse()
            .expect("caps of the test");
        let text = text(&caps);
        assert!(
            text.len() <= formats::MAX_CAPS_TEXT && text.len() > formats::MAX_CAPS_TEXT / 2,
            "{}",
            text.len()
        );
        assert!(formats::parse_accepted(&text).is_some());
    }
}
