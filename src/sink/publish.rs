//! What happens to a buffer on its way into the ring, and what is told of it.

use gstreamer as gst;

use gst::prelude::*;
use gst::subclass::prelude::*;

use crate::common::clock::ClockBridge;
use crate::common::content::Content;
use crate::common::{error, lock, messages};

use shmflow::Error;

use super::clients;
use super::connection::{Connection, Outcome};
use super::encode::{Encoder, Moment};
use super::imp::{CAT, ShmflowSink};
use super::metas::LeftOut;
use super::tags::StreamTags;

/// What the streaming thread remembers from frame to frame.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) encoder: Option<Encoder>,
    pub(super) clock: ClockBridge,
    /// Frames of a live stream whose time was before this moment of `CLOCK_MONOTONIC` became late while it was held.
    pub(super) skip_before: Option<u64>,
    /// Another producer's frames count.
    standing_by: bool,
    losses: messages::Limiter,
    /// Why the last of them was.
    lost_because: &'static str,
    pub(super) left_out: LeftOut,
    pub(super) tags: StreamTags,
    /// It was told that tags do not travel.
    told_of_tags: bool,
    stalled: clients::Stalled,
}

impl ShmflowSink {
    /// Publishes a frame, unless that is not to be.
    pub(super) fn publish(
        &self,
        connection: &Connection,
        stream: &mut Stream,
        buffer: &gst::BufferRef,
        moment: Moment,
    ) -> Result<Outcome, gst::FlowError> {
        // Buffers may come without caps, as they do from fakesrc and filesrc.
        let encoder = stream.encoder.get_or_insert_with(|| Encoder::new(None, Content::Bytes));
        let unlike = |why| self.fail(gst::error_msg!(gst::StreamError::Format, ("{why}")));
        let part = encoder.part(buffer).map_err(unlike)?;
        encoder.follow_tags(&stream.tags);
        connection.expect(encoder.wanted(buffer), buffer.size());
        let meta = encoder
            .encode(buffer, part.as_ref().map(|(part, _)| part), moment, &mut stream.left_out)
            .map_err(unlike)?;
        loop {
            let published = connection.publish(buffer, part.as_ref().map(|(part, info)| (part, info)), meta);
            if connection.is_lossless() {
                stream.stalled.report(self, connection);
            }
            match published {
                // It was paused while it waited for consumers. Flushed or stopped, this fails.
                Err(Error::Cancelled { .. }) => self.consumer_wait.until_playing(self.obj().upcast_ref())?,
                published => {
                    return published
                        .map_err(|error| self.fail(error::message(&error, "publishing a frame")));
                }
            }
        }
    }

    /// Counts the result of a frame, and posts the messages that are due.
    pub(super) fn count(&self, connection: &Connection, stream: &mut Stream, outcome: &Outcome) {
        let stands_by = matches!(outcome, Outcome::Standby);
        if std::mem::replace(&mut stream.standing_by, stands_by) != stands_by {
            let topic = connection.settings.topic.as_deref().unwrap_or_default();
            let what = if stands_by { "shmflow-standby" } else { "shmflow-primary" };
            self.post(gst::Structure::builder(what).field("topic", topic).build());
        }
        match outcome {
            Outcome::InPlace => self.stats.zero_copy.add(1),
            Outcome::Copied => self.stats.copied.add(1),
            Outcome::Standby => self.stats.standby.add(1),
            Outcome::Dropped(why) => self.dropped(stream, why),
            Outcome::Removed => self.dropped(stream, "the topic was removed, and is being recreated"),
        };
    }

    /// Counts the metas of a published frame that did not travel with it, and reports each kind once.
    pub(super) fn report_left_out(&self, stream: &mut Stream) {
        let (count, news) = stream.left_out.take();
        self.stats.metas_left_out.add(count);
        for (api, why) in news {
            gst::warning!(CAT, imp = self, "metas of the kind {} are left out: {why}", api.name());
            self.post(messages::meta_left_out(api.name(), &why));
        }
    }

    /// Takes the tags of an event, which the next frames bring with them.
    pub(super) fn take_tags(&self, tags: &gst::TagListRef) {
        let told = {
            let mut stream = lock(&self.stream);
            let left_out = stream.tags.update(tags);
            left_out && !std::mem::replace(&mut stream.told_of_tags, true)
        };
        if told {
            let why = "pictures among them, and long ones, would be in each frame's metadata";
            gst::warning!(CAT, imp = self, "some tags are left out: {why}");
            self.post(messages::meta_left_out("GstTagList", why));
        }
    }

    /// A frame is not published, and lost.
    pub(super) fn dropped(&self, stream: &mut Stream, why: &'static str) -> u64 {
        gst::log!(CAT, imp = self, "frame not published: {why}");
        stream.losses.count(1);
        stream.lost_because = why;
        let total = self.stats.dropped.add(1);
        self.report_losses(stream, false);
        total
    }

    /// Reports the losses since the last report, once a second at most, or all of them.
    pub(super) fn report_losses(&self, stream: &mut Stream, all: bool) {
        let due = if all { stream.losses.rest() } else { stream.losses.due() };
        if let Some(count) = due {
            self.post(messages::dropped(count, self.stats.dropped.get(), stream.lost_because));
        }
    }
}
