//! Tags of the topic, sent downstream.

use gstreamer as gst;

use gst::subclass::prelude::*;

use shmflow::meta::{MetaView, Tags};

use crate::common::metas::tags;

use super::format::FrameError;
use super::imp::{CAT, ShmflowSrc};

impl ShmflowSrc {
    /// Has the tags sent downstream, after caps and segment and before the next buffer, if they changed.
    pub(super) fn follow_tags(&self, known: &mut Vec<Tags>, view: &MetaView<'_>) -> Result<(), FrameError> {
        let corrupt = |why: String| FrameError::Corrupt(why);
        let found: Vec<Tags> =
            view.entries().take(2).collect::<Result<_, _>>().map_err(|error| corrupt(error.to_string()))?;
        if *known == found {
            return Ok(());
        }
        for one in &found {
            if !known.contains(one) {
                let list =
                    tags::of_text(one).map_err(|why| corrupt(format!("its tags are not usable: {why}")))?;
                self.send(gst::event::Tag::new(list));
            }
        }
        for one in known.iter().filter(|one| found.iter().all(|other| other.is_global != one.is_global)) {
            // There are none any more: what is known downstream is replaced by nothing.
            let none = tags::of_text(&Tags::new("taglist").is_global(one.is_global))
                .map_err(|why| corrupt(why.to_owned()))?;
            self.send(gst::event::Tag::new(none));
        }
        *known = found;
        Ok(())
    }

    /// The base class keeps it until the next buffer. (Asked for directly: the element's own call takes the lock of a state
    /// change, which may be waiting for this thread.)
    fn send(&self, event: gst::Event) {
        gst::debug!(CAT, imp = self, "sending {event:?}");
        let _ = self.parent_send_event(event);
    }
}
