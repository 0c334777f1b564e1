//! Tags of a stream as text, and back.

use gstreamer as gst;
use gstreamer::glib;

use shmflow::meta::Tags;

use super::structure;

/// Longest text of tags: it is in the metadata of every frame.
const MAX_TEXT: usize = 64 * 1024;

/// Tags as they travel, and whether some were left out: pictures, which would be in each frame's metadata, and what has no
/// text. `None`: nothing of them travels.
pub(crate) fn to_text(tags: &gst::TagListRef) -> (Option<Tags>, bool) {
    let mut kept = tags.to_owned();
    let fresh = kept.make_mut();
    let mut left_out = false;
    for name in (0..tags.n_tags()).filter_map(|n| tags.nth_tag_name(n)) {
        if !tags.index_generic(name, 0).is_some_and(|value| is_plain(value.type_())) {
            fresh.remove_generic(name);
            left_out = true;
        }
    }
    let text = structure::to_text(&kept);
    if kept.n_tags() == 0 || text.len() > MAX_TEXT {
        return (None, left_out || kept.n_tags() > 0);
    }
    (Some(Tags::new(text).is_global(tags.scope() == gst::TagScope::Global)), left_out)
}

/// Types of tags that the reader of texts knows.
fn is_plain(ty: glib::Type) -> bool {
    matches!(
        ty,
        glib::Type::STRING
            | glib::Type::U32
            | glib::Type::U64
            | glib::Type::I32
            | glib::Type::I64
            | glib::Type::F64
            | glib::Type::F32
            | glib::Type::BOOL
    ) || matches!(ty.name(), "GstDateTime" | "GDate" | "GstFraction")
}

/// Tags that another process wrote. Those that this GStreamer does not know, or of another type, are left out.
///
/// # Errors
/// Why the text is none, for display.
pub(crate) fn of_text(tags: &Tags) -> Result<gst::TagList, &'static str> {
    if tags.text.len() > MAX_TEXT {
        return Err("the text of its tags is too long");
    }
    let read = structure::read(&tags.text)?.structure;
    let mut list = gst::TagList::new();
    let fresh = list.make_mut();
    fresh.set_scope(if tags.is_global { gst::TagScope::Global } else { gst::TagScope::Stream });
    for (name, value) in read.iter() {
        if !gst::tags::tag_exists(name) {
            continue;
        }
        if let Ok(values) = value.get::<gst::ListRef<'_>>() {
            for value in values.as_slice() {
                let _ = fresh.add_value(name, value, gst::TagMergeMode::Append);
            }
        } else {
            let _ = fresh.add_value(name, value, gst::TagMergeMode::Append);
        }
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gst::tags;

    #[test]
    fn tags_come_back_as_they_were_and_pictures_stay_behind() {
        gst::init().expect("GStreamer starts");
        let mut list = gst::TagList::new();
        let fresh = list.make_mut();
        fresh.add::<tags::Title>(&"a \"film\" \u{e4}", gst::TagMergeMode::Append);
        fresh.add::<tags::Artist>(&"one", gst::TagMergeMode::Append);
        fresh.add::<tags::Artist>(&"two", gst::TagMergeMode::Append);
        fresh.add::<tags::Bitrate>(&128_000, gst::TagMergeMode::Append);
        fresh.add::<tags::DateTime>(
            &gst::DateTime::from_ymd(2024, 2, 29).expect("a day"),
            gst::TagMergeMode::Append,
        );
        fresh.set_scope(gst::TagScope::Global);
        let (text, left_out) = to_text(&list);
        assert!(!left_out);
        let again = of_text(&text.expect("tags")).expect("their own text");
        assert_eq!((again.to_string(), again.scope()), (list.to_string(), gst::TagScope::Global));

        let picture = gst::Sample::builder().buffer(&gst::Buffer::from_slice([1, 2, 3])).build();
        list.make_mut().add::<tags::Image>(&picture, gst::TagMergeMode::Append);
        let (text, left_out) = to_text(&list);
        assert!(left_out && text.is_some_and(|tags| !tags.text.contains("image")));
        assert_eq!(to_text(&gst::TagList::new()), (None, false));
    }

    #[test]
    fn tags_of_others_are_left_out_when_they_are_unknown_and_errors_when_they_are_none() {
        gst::init().expect("GStreamer starts");
        let read = of_text(&Tags::new("taglist, title=(string)x, nonsense=(int)1, bitrate=(string)y"))
            .expect("tags");
        assert_eq!(
            read.to_string(),
            gst::TagList::to_string(&of_text(&Tags::new("taglist, title=x")).expect("tags"))
        );
        assert!(of_text(&Tags::new("{")).is_err());
        assert!(of_text(&Tags::new("x".repeat(MAX_TEXT + 1))).is_err());
    }
}
