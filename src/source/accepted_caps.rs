//! What downstream accepts, as text for the producers.

use gstreamer as gst;

use gst::prelude::*;

use crate::common::{caps_text, formats};

/// The caps that the elements after `pad` accept.
pub(super) fn of(pad: &gst::Pad) -> String {
    text(&pad.peer_query_caps(None))
}

/// Caps as text of at most [`caps_text::MAX_ACCEPTED`] bytes: only what can be carried, and the least liked left out if
/// it is too long.
fn text(caps: &gst::Caps) -> String {
    if caps.is_any() {
        return caps.to_string();
    }
    let mut kept = gst::Caps::new_empty();
    let mut text = String::new();
    for one in formats::carriable(caps) {
        kept.merge(one);
        let longer = kept.to_string();
        if longer.len() > caps_text::MAX_ACCEPTED {
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
        assert!(!text.contains("GLMemory"), "{text}");
        assert!(text.find("NV12") < text.find("audio") && text.find("audio") < text.find("I420"), "{text}");
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
            text.len() <= caps_text::MAX_ACCEPTED && text.len() > caps_text::MAX_ACCEPTED / 2,
            "{}",
            text.len()
        );
        assert!(caps_text::parse_accepted(&text).is_some());
    }
}
