//! The tags of the stream, which travel with each of its frames, so that late joiners have them.

use gstreamer as gst;

use gst::tags::Description;
use shmflow::meta::{Extension, Meta, MetaEntry as _, Tags};

use crate::common::metas::tags;

/// The newest tags: of this stream, and of all streams of the producer.
#[derive(Debug, Default)]
pub(super) struct StreamTags {
    /// What the user says of the topic, in the place of what the stream says.
    description: Option<String>,
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
        let is_global = list.scope() == gst::TagScope::Global;
        let (text, left_out) = if is_global { tags::to_text(list) } else { self.described(list.to_owned()) };
        let place = if is_global { &mut self.global } else { &mut self.of_stream };
        if *place != text {
            *place = text;
            self.version = self.version.saturating_add(1);
        }
        left_out
    }

    /// Another stream begins, with this description if the user gave one.
    pub(super) fn begin(&mut self, description: Option<&str>) {
        let description = description.filter(|text| !text.is_empty());
        self.description = description.map(str::to_owned);
        let before = (self.of_stream.take(), self.global.take());
        if self.description.is_some() {
            self.of_stream = self.described(gst::TagList::new()).0;
        }
        if before != (self.of_stream.clone(), None) {
            self.version = self.version.saturating_add(1);
        }
    }

    /// A list as it travels, and whether something of it does not.
    fn described(&self, mut list: gst::TagList) -> (Option<Tags>, bool) {
        if let Some(description) = &self.description {
            list.make_mut().add::<Description>(&description.as_str(), gst::TagMergeMode::Replace);
        }
        tags::to_text(&list)
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
