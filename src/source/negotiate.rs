//! Which caps the elements downstream take, and what they read.

use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer_video as gst_video;

use gst::prelude::*;
use gst::subclass::prelude::*;
use gstreamer_base::prelude::*;

use crate::common::messages;
use crate::common::misfit::misfit;

use super::format::{Downstream, Format, FrameCaps, FrameError};
use super::imp::ShmflowSrc;
use super::stream::Stream;

/// For how long frames that downstream does not take are left out before that is an error, and how many of them at
/// least: the producer, told of what is wanted here, may be about to change its format. A queue in front of its sink
/// holds a second of frames of the old one, and a camera of one frame a second takes as long for the next.
const ADAPT: Duration = Duration::from_secs(2);
const ADAPT_FRAMES: u32 = 3;

/// After which time a question that was not answered is asked again: at first, and at most.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(64));

/// Frames that downstream does not take, one after the other.
#[derive(Debug)]
pub(super) struct Refused {
    since: Instant,
    frames: u32,
}

impl Refused {
    fn first() -> Self {
        Self { since: Instant::now(), frames: 0 }
    }

    /// Counts one more; whether that is to be put up with.
    fn another(&mut self) -> bool {
        self.frames = self.frames.saturating_add(1);
        self.frames <= ADAPT_FRAMES || self.since.elapsed() < ADAPT
    }
}

/// Whether all of downstream takes these caps: many elements, asked to accept, answer for themselves alone.
fn is_wanted(pad: &gst::Pad, caps: &gst::Caps) -> bool {
    pad.peer_query_caps(Some(caps)).can_intersect(caps)
}

impl ShmflowSrc {
    /// Agrees on caps with the elements downstream, and asks what they read.
    pub(super) fn set_format(&self, stream: &mut Stream, of: &FrameCaps) -> Result<Downstream, FrameError> {
        let source = self.obj();
        let pad = source.src_pad();
        let Some(caps) = &of.caps else { return self.without_caps(pad) };
        let accepted = pad.peer_query_accept_caps(caps);
        if !(accepted && is_wanted(pad, caps)) && stream.refused.get_or_insert_with(Refused::first).another()
        {
            return Err(FrameError::NotAccepted);
        }
        let before = pad.current_caps();
        // Even then it may take them: some elements that are asked say only what they like best.
        if !accepted || source.set_caps(caps).is_err() {
            if pad.pad_flags().contains(gst::PadFlags::FLUSHING) {
                return Err(FrameError::Flow(gst::FlowError::Flushing));
            }
            return Err(FrameError::Flow(self.not_negotiated(of)));
        }
        stream.refused = None;
        if before.as_ref() != Some(caps) {
            self.post(messages::format_changed(caps));
        }
        let mut query = gst::query::Allocation::new(Some(caps), false);
        let answered = pad.peer_query(&mut query);
        let now = Instant::now();
        stream.ask_again = (!answered).then(|| {
            let after = stream.ask_again.map_or(ASK_AGAIN.0, |(_, after)| (after * 2).min(ASK_AGAIN.1));
            (now + after, after)
        });
        Ok(Downstream {
            strides: answered && query.find_allocation_meta::<gst_video::VideoMeta>().is_some(),
            crop: answered && query.find_allocation_meta::<gst_video::VideoCropMeta>().is_some(),
        })
    }

    /// Frames that say nothing of what they hold, and of which the user says nothing either.
    fn without_caps(&self, pad: &gst::Pad) -> Result<Downstream, FrameError> {
        if pad.current_caps().is_some() {
            return Err(FrameError::Corrupt("it carries no caps, and frames before it did".to_owned()));
        }
        if pad.peer_query_caps(None).is_any() {
            return Ok(Downstream::default());
        }
        Err(FrameError::Unsupported(
            "The frames of this topic carry no caps. Set the caps property, for example \
             caps=video/x-raw,format=BGR,width=640,height=480,framerate=30/1."
                .to_owned(),
        ))
    }

    /// Has downstream asked again what it can read, when it said that it changed, or did not answer while frames have to
    /// be copied for it.
    pub(super) fn follow_downstream(&self, stream: &mut Stream) {
        if self.obj().src_pad().needs_reconfigure() {
            self.accepted_stale();
        }
        if let Some((when, _)) = stream.ask_again
            && stream.format.as_ref().is_some_and(Format::copies)
            && when <= Instant::now()
        {
            stream.format = None;
        }
    }

    fn not_negotiated(&self, of: &FrameCaps) -> gst::FlowError {
        let wanted = self.obj().src_pad().peer_query_caps(None);
        let none = gst::Caps::new_empty();
        let caps = of.caps.as_ref().unwrap_or(&none);
        let misfit = misfit(caps, &wanted);
        let what =
            if misfit.fields.is_empty() { String::new() } else { format!(": {}", misfit.fields.join(", ")) };
        self.fail(gst::error_msg!(
            gst::CoreError::Negotiation,
            (
                "The elements after shmflowsrc do not accept the frames of this topic ({}){what}. \
                 Put {} after shmflowsrc.",
                of.content.describe(Some(caps)),
                misfit.converters.join(" and ")
            ),
            ["frames have: {caps}; accepted are: {wanted}"]
        ))
    }
}
