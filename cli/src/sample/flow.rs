//! The rate of a topic from the times at which its frames were published: often one look is enough.

use std::time::Duration;

use shmflow::{FrameTime, Role, TopicInfo};

use super::meter::Pace;

/// Frames over so long give a rate that is told.
const SPAN: Duration = Duration::from_millis(250);
/// One that has published nothing for so long needs no second look: its rate is below what that gives.
pub(crate) const STILL: Duration = Duration::from_millis(500);

/// The frames of a topic that were seen in its ring.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    /// The oldest first, of one run of the topic.
    frames: Vec<FrameTime>,
    /// How long nothing was published, when it was seen last; `None` if that is not known.
    rest: Option<Duration>,
}

impl Flow {
    pub(crate) fn of(info: &TopicInfo) -> Self {
        let frames = info.recent.clone();
        Self { frames, rest: Self::rest_of(info) }
    }

    fn rest_of(info: &TopicInfo) -> Option<Duration> {
        // One that has published nothing has done so since its producer came.
        let joined = || info.producers().filter(|p| p.role == Role::Producer).map(|p| p.age).min();
        info.newest.as_ref().map(shmflow::FrameInfo::age).or_else(joined)
    }

    /// Another look at the same topic.
    pub(crate) fn see(&mut self, info: &TopicInfo) {
        let last = self.frames.last().map_or(0, |frame| frame.seq);
        if info.next_seq <= last {
            *self = Self::of(info); // another topic of that name
            return;
        }
        self.frames.extend(info.recent.iter().filter(|frame| frame.seq > last));
        self.rest = Self::rest_of(info);
    }

    /// The next measurement begins with the newest frame, so that what takes longer than one is measured, too.
    pub(crate) fn go_on(&mut self) {
        let last = self.frames.len().saturating_sub(1);
        self.frames.drain(..last);
    }

    /// Time from the first frame to the last one, and the frames after the first; `None` without two.
    fn span(&self) -> Option<(Duration, f64)> {
        let (first, last) = (self.frames.first()?, self.frames.last()?);
        let span = Duration::from_nanos(last.published_ns.checked_sub(first.published_ns)?);
        let count = last.seq.checked_sub(first.seq).filter(|count| *count != 0)?;
        Some((span, count as f64)).filter(|(span, _)| !span.is_zero())
    }

    /// Whether another look would tell nothing more.
    pub(crate) fn is_settled(&self) -> bool {
        let rest = self.rest.unwrap_or_default();
        let flows = self.span().is_some_and(|(span, count)| {
            span >= SPAN && count >= 3.0 && rest.as_secs_f64() <= 2.0 * span.as_secs_f64() / count
        });
        flows || rest >= STILL
    }

    /// After how long another look may tell the rest; `None` if it is settled.
    pub(crate) fn missing(&self) -> Option<Duration> {
        if self.is_settled() {
            return None;
        }
        let span = self.span().map_or(Duration::ZERO, |(span, _)| span);
        let rest = self.rest.unwrap_or_default();
        Some(SPAN.saturating_sub(span).min(STILL.saturating_sub(rest)))
    }

    pub(crate) fn pace(&self) -> Pace {
        let rest = self.rest.unwrap_or_default().as_secs_f64();
        let below = Pace::Below(if rest > 0.0 { 1.0 / rest } else { f64::INFINITY });
        let Some((span, count)) = self.span() else { return below };
        let span = span.as_secs_f64();
        let span = match rest {
            _ if rest <= 2.0 * span / count => span,
            // What came before such a break is not what happens now.
            _ if rest >= span => return below,
            // One that stands still since has become slower.
            _ => span + rest,
        };
        let bytes: f64 = self.frames.iter().map(|frame| frame.bytes as f64).sum();
        let mean = bytes / self.frames.len().max(1) as f64;
        Pace::Measured { frames: count / span, bytes: mean * count / span }
    }
}
