//! What must hold for any text of caps or of a structure that another process wrote: it is read or refused, in little time, and
//! GStreamer finds nothing wrong in what was read. The fuzz targets and the replay of their corpora call this.
//!
//! It is compiled beside the readers, in the elements and in the targets, for these are not public.

use std::sync::Once;
use std::time::{Duration, Instant};

use gstreamer as gst;

use super::caps_text::{parse_accepted, parse_fixed};
use super::metas::structure;

/// What reading one text may take at most. The machine may be busy.
const LONGEST: Duration = Duration::from_secs(4);

/// GLib ends this process if GStreamer takes something for granted that is not so.
fn strict() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().expect("GStreamer starts");
        gst::glib::log_set_always_fatal(gst::glib::LogLevels::LEVEL_CRITICAL);
    });
}

/// Reads a text as a structure; says whether it is one.
pub(crate) fn check_structure(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    strict();
    let start = Instant::now();
    let read = structure::read(text);
    if let Ok(read) = &read {
        let written = read.structure.to_string();
        // Not compared as values: a number may be none. GStreamer writes each text in one way only after the first time.
        let again = structure::read(&written).expect("what GStreamer writes can be read");
        assert_eq!(again.left_out, 0, "what was read is known: {written}");
        // GStreamer rounds the zones of dates that are typed oddly, each time anew.
        assert!(
            again.structure.to_string() == written || written.contains("(datetime)"),
            "it changed on its way: {written}"
        );
    }
    let _ = structure::read_caps(text);
    assert!(start.elapsed() < LONGEST, "it took {:?}", start.elapsed());
    read.is_ok()
}

/// Reads a text as caps; says whether they are a frame's.
pub(crate) fn check_caps(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    strict();
    let start = Instant::now();
    let fixed = parse_fixed(text);
    if let Some(caps) = &fixed {
        assert!(caps.is_fixed() && !caps.to_string().is_empty());
    }
    if let Some(accepted) = parse_accepted(text) {
        // As the elements use them.
        let _ = (accepted.can_intersect(&accepted), accepted.to_string());
    }
    assert!(start.elapsed() < LONGEST, "it took {:?}", start.elapsed());
    fixed.is_some()
}
