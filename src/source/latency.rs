//! What a latency query is answered from, and when the pipeline is to ask again.

use gstreamer as gst;

use gst::prelude::*;
use gst::subclass::prelude::*;

use shmflow::ParticipantId;

use crate::common::clock::clock_time;
use crate::common::lock;
use crate::common::timing::{Arrival, FrameTimes, frame_duration};

use super::imp::{CAT, ShmflowSrc};
use super::stream::Stream;

/// A producer that has been silent for longer than this, and ten of its frames, while others publish is not waited for.
const SILENT_NS: u64 = 5_000_000_000;

/// How often it is looked whether the producers that were heard are still there.
const LOOK_NS: u64 = 1_000_000_000;

/// What the frames of one producer say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OfProducer {
    generation: u64,
    pipeline_ns: u64,
    frame_ns: Option<u64>,
    /// When its last frame came, on `CLOCK_MONOTONIC`.
    heard_ns: u64,
}

impl OfProducer {
    /// Whether it says something that the other does not.
    fn differs(&self, other: &Self) -> bool {
        (self.generation, self.pipeline_ns, self.frame_ns)
            != (other.generation, other.pipeline_ns, other.frame_ns)
    }
}

/// The latency of a topic: that of its slowest producer. With several of them, frames alternate, and the answer must not.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Latency {
    producers: [Option<OfProducer>; 8],
    depth: u32,
}

impl Latency {
    /// Takes a frame into account that came at `now`: its producer's latency, how many a second there are, and the depth
    /// of the ring it came through. Whether that is news.
    pub(super) fn update(
        &mut self,
        producer: ParticipantId,
        pipeline_ns: u64,
        rate: (u32, u32),
        depth: u32,
        now: u64,
    ) -> bool {
        let Some(entry) = self.producers.get_mut(usize::from(producer.id)) else {
            return false;
        };
        let (generation, frame_ns) = (producer.generation, frame_duration(rate));
        let new = OfProducer { generation, pipeline_ns, frame_ns, heard_ns: now };
        let news = entry.is_none_or(|before| before.differs(&new)) || self.depth != depth;
        (*entry, self.depth) = (Some(new), depth);
        news
    }

    /// Forgets producers that are gone, and those that no longer publish although others do: a standby that was the
    /// primary before.
    pub(super) fn forget(&mut self, now: u64, is_producing: impl Fn(ParticipantId) -> bool) {
        for (id, entry) in (0..).zip(&mut self.producers) {
            *entry = entry.filter(|producer| {
                let silent = producer.frame_ns.unwrap_or(0).saturating_mul(10).max(SILENT_NS);
                let generation = producer.generation;
                now.saturating_sub(producer.heard_ns) < silent
                    && is_producing(ParticipantId { id, generation })
            });
        }
    }

    /// Forgets the producers: they are gone.
    #[must_use]
    pub(super) fn without_producers(self) -> Self {
        Self { producers: [None; 8], ..self }
    }

    pub(super) fn depth(&self) -> u32 {
        self.depth
    }

    /// The latency of the slowest producer's pipeline, in nanoseconds.
    pub(super) fn pipeline_ns(&self) -> u64 {
        self.producers.iter().flatten().map(|producer| producer.pipeline_ns).max().unwrap_or(0)
    }

    /// Minimum and maximum: the least is the latency of the producer's pipeline, the most is what the ring can hold on top,
    /// and unlimited while it is not known how long a frame lasts.
    pub(super) fn bounds(&self) -> (gst::ClockTime, Option<gst::ClockTime>) {
        let frames = self.producers.iter().flatten().map(|producer| producer.frame_ns);
        // The least of the durations: so many frames the ring holds in any case.
        let frame_ns = frames.collect::<Option<Vec<_>>>().and_then(|frames| frames.into_iter().min());
        let held = frame_ns.and_then(|frame| frame.checked_mul(u64::from(self.depth)));
        let most = held.and_then(|held| held.checked_add(self.pipeline_ns()));
        (clock_time(self.pipeline_ns()).unwrap_or_default(), most.and_then(clock_time))
    }
}

impl ShmflowSrc {
    /// Has the pipeline ask for the latency again when it changed.
    pub(super) fn follow_latency(&self, stream: &mut Stream, times: &FrameTimes, arrival: &Arrival) {
        let (now, producer) = (arrival.at_ns, arrival.producer);
        let rate = stream.format.as_ref().map_or((0, 1), |format| format.rate);
        let (before, after) = {
            let mut latency = lock(&self.latency);
            let before = *latency;
            let news = latency.update(producer, times.latency_ns, rate, stream.reader.depth(), now);
            let look = now.saturating_sub(stream.looked_ns) >= LOOK_NS;
            if look {
                stream.looked_ns = now;
                latency.forget(now, |producer| stream.reader.is_producing(producer));
            }
            if !news && !look {
                return;
            }
            (before, *latency)
        };
        self.tell_latency(&before, &after);
    }

    pub(super) fn tell_latency(&self, before: &Latency, after: &Latency) {
        if after.bounds() != before.bounds() {
            gst::debug!(CAT, imp = self, "latency is now {:?}", after.bounds());
            let source = self.obj();
            let _ = source.post_message(gst::message::Latency::builder().src(&*source).build());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn producer(id: u8, generation: u64) -> ParticipantId {
        ParticipantId { id, generation }
    }

    fn bounds(latency: &Latency) -> (u64, Option<u64>) {
        let (least, most) = latency.bounds();
        (least.nseconds(), most.map(gst::ClockTime::nseconds))
    }

    const FIFTY: (u32, u32) = (50, 1);
    const FRAME: u64 = 20_000_000;

    #[test]
    fn alternating_producers_give_one_answer() {
        let mut latency = Latency::default();
        assert!(latency.update(producer(0, 1), 10, (25, 1), 8, 0));
        assert!(latency.update(producer(1, 2), 30, FIFTY, 8, 0));
        assert_eq!(bounds(&latency), (30, Some(30 + 8 * FRAME)));
        assert!(!latency.update(producer(0, 1), 10, (25, 1), 8, 5));
        assert!(!latency.update(producer(1, 2), 30, FIFTY, 8, 5));
    }

    #[test]
    fn a_successor_takes_its_place_and_the_gone_are_forgotten() {
        let mut latency = Latency::default();
        latency.update(producer(0, 1), 90, (0, 1), 8, 0);
        assert_eq!(bounds(&latency), (90, None));
        latency.update(producer(0, 2), 5, FIFTY, 8, 0);
        assert_eq!(bounds(&latency), (5, Some(5 + 8 * FRAME)));
        assert!(!latency.update(producer(200, 1), 70, FIFTY, 4, 0), "no such producer");
        assert_eq!(bounds(&latency.without_producers()), (0, None));
    }

    #[test]
    fn who_died_or_fell_silent_is_not_waited_for() {
        let mut latency = Latency::default();
        latency.update(producer(0, 1), 400, FIFTY, 8, 0);
        latency.update(producer(1, 2), 5, FIFTY, 8, SILENT_NS / 2);
        let (mut dead, mut silent) = (latency, latency);
        dead.forget(SILENT_NS / 2, |producer| producer.id != 0);
        assert_eq!(bounds(&dead).0, 5);
        silent.forget(SILENT_NS + 1, |_| true);
        assert_eq!(bounds(&silent).0, 5);
        latency.forget(SILENT_NS / 2, |_| true);
        assert_eq!(bounds(&latency).0, 400, "both publish");
    }

    #[test]
    fn no_latency_and_no_rate_is_too_great_for_an_answer() {
        let mut latency = Latency::default();
        latency.update(producer(0, 1), u64::MAX, (1, u32::MAX), u32::MAX, 0);
        assert_eq!(latency.bounds(), (gst::ClockTime::ZERO, None));
    }
}
