//! The element messages that both elements post, for applications to show or act on.

use std::time::{Duration, Instant};

use gstreamer as gst;

use gst::prelude::*;

/// Posts an element message.
pub(crate) fn post(element: &gst::Element, structure: gst::Structure) {
    // Without a bus there is no receiver.
    let _ = element.post_message(gst::message::Element::builder(structure).src(element).build());
}

/// Frames have other caps from now on.
pub(crate) fn format_changed(caps: &gst::Caps) -> gst::Structure {
    gst::Structure::builder("shmflow-format-changed").field("caps", caps).build()
}

/// `count` frames were not published since the message before, `total` in all.
pub(crate) fn dropped(count: u64, total: u64, reason: &str) -> gst::Structure {
    counted("shmflow-dropped", count, total, reason)
}

/// `count` frames were overwritten before this consumer read them since the message before, `total` in all.
pub(crate) fn lost(count: u64, total: u64) -> gst::Structure {
    counted("shmflow-lost", count, total, "overwritten before they could be read")
}

/// `count` frames were received and not delivered since the message before, `total` in all.
pub(crate) fn skipped(count: u64, total: u64, reason: &str) -> gst::Structure {
    counted("shmflow-skipped", count, total, reason)
}

/// `count` frames were given other times than their own since the message before, `total` in all.
pub(crate) fn restamped(count: u64, total: u64) -> gst::Structure {
    counted("shmflow-restamped", count, total, "their times do not fit the time of their arrival")
}

/// Metas of an API type do not travel with the frames, because of a reason.
pub(crate) fn meta_left_out(api: &str, reason: &str) -> gst::Structure {
    gst::Structure::builder("shmflow-meta-left-out").field("meta", api).field("reason", reason).build()
}

/// One message, one counter: `total` is the statistic of the same name.
fn counted(name: &str, count: u64, total: u64, reason: &str) -> gst::Structure {
    gst::Structure::builder(name).field("count", count).field("total", total).field("reason", reason).build()
}

/// How an element's participant is called in the eyes of others: program and element.
pub(crate) fn own_name(element: &gst::Element) -> String {
    match gst::glib::prgname() {
        Some(program) => format!("{program}:{}", element.name()),
        None => element.name().to_string(),
    }
}

/// Adds up losses so that one message a second reports them.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    pending: u64,
    last: Option<Instant>,
}

impl Limiter {
    /// Counts `n` losses.
    pub(crate) fn count(&mut self, n: u64) {
        self.pending = self.pending.saturating_add(n);
    }

    /// The number to report now, if there is one and it is time.
    pub(crate) fn due(&mut self) -> Option<u64> {
        if self.pending == 0 {
            return None;
        }
        let now = Instant::now();
        if self.last.is_some_and(|last| now.duration_since(last) < Duration::from_secs(1)) {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.pending))
    }

    /// The number that was not reported yet, when the stream is over.
    pub(crate) fn rest(&mut self) -> Option<u64> {
        Some(std::mem::take(&mut self.pending)).filter(|pending| *pending > 0)
    }
}
