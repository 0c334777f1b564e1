//! The tags of the stream, which travel with each of its frames, so that late joiners have them.

use gstreamer as gst;

use shmflow::meta::{Extension, Meta, MetaEntry as _, Tags};

use crate::common::metas::tags;

/// The newest tags: of this stream, and of all streams of the producer.
#[derive(Debug, Default)]
pub(super) struct StreamTags {
    of_stream: Option<Tags>,
    global: Option<Tags>,
    version: u64,
}

impl StreamTags {
    /// Changes with the tags; 0 while there were none.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Takes the tags of an event; whether some of them do not travel.
    pub(super) fn update(&mut self, list: &gst::TagListRef) -> bool {
        let (text, left_out) = tags::to_text(list);
        let place =
            if list.scope() == gst::TagScope::Global { &mut self.global } else { &mut self.of_stream };
        if *place != text {
            *place = text;
            self.version = self.version.saturating_add(1);
        }
        left_out
    }

    /// Another stream begins.
    pub(super) fn clear(&mut self) {
        if self.of_stream.take().is_some() | self.global.take().is_some() {
            self.version = self.version.saturating_add(1);
        }
    }

    /// Puts them into metadata, in the place of others.
    pub(super) fn put(&self, meta: &mut Meta) {
        meta.extensions.retain(|entry| entry.ty != Tags::TYPE);
        for one in [&self.of_stream, &self.global].into_iter().flatten() {
            // Made of a text of GLib's, which holds no NUL.
            if let Ok(value) = one.to_value() {
                meta.extensions.push(Extension::new(Tags::TYPE, value));
            }
        }
    }
}
