//! What a latency query is answered from.

use shmflow::ParticipantId;

use crate::common::timing;

/// What the frames of one producer say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OfProducer {
    generation: u64,
    pipeline_ns: u64,
    frame_ns: Option<u64>,
}

/// The latency of a topic: that of its slowest producer. With several of them, frames alternate, and the answer must not.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Latency {
    producers: [Option<OfProducer>; 8],
    depth: u32,
}

impl Latency {
    /// Takes a frame into account: its producer's latency, how long it lasts, and the depth of the ring it came through.
    #[must_use]
    pub(super) fn updated(
        mut self,
        producer: ParticipantId,
        pipeline_ns: u64,
        frame_ns: Option<u64>,
        depth: u32,
    ) -> Self {
        self.depth = depth;
        if let Some(entry) = self.producers.get_mut(usize::from(producer.id)) {
            *entry = Some(OfProducer { generation: producer.generation, pipeline_ns, frame_ns });
        }
        self
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

    /// Minimum and maximum, in nanoseconds; no maximum while the rate of a producer is not known.
    pub(super) fn bounds(&self) -> (u64, Option<u64>) {
        let frames = self.producers.iter().flatten().map(|producer| producer.frame_ns);
        // The least of the durations: so many frames the ring holds in any case.
        let frame_ns = frames.collect::<Option<Vec<_>>>().and_then(|frames| frames.into_iter().min());
        timing::source_latency(self.pipeline_ns(), self.depth, frame_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn producer(id: u8, generation: u64) -> ParticipantId {
        ParticipantId { id, generation }
    }

    #[test]
    fn alternating_producers_give_one_answer() {
        let both = Latency::default().updated(producer(0, 1), 10, Some(40), 8).updated(
            producer(1, 2),
            30,
            Some(20),
            8,
        );
        assert_eq!(both.bounds(), (30, Some(30 + 8 * 20)));
        assert_eq!(both.updated(producer(0, 1), 10, Some(40), 8), both);
        assert_eq!(both.updated(producer(1, 2), 30, Some(20), 8), both);
    }

    #[test]
    fn a_successor_takes_its_place_and_the_gone_are_forgotten() {
        let one = Latency::default().updated(producer(0, 1), 90, None, 8);
        assert_eq!(one.bounds(), (90, None));
        assert_eq!(one.updated(producer(0, 2), 5, Some(10), 8).bounds(), (5, Some(85)));
        assert_eq!(one.without_producers().bounds(), (0, None));
        assert_eq!(one.updated(producer(200, 1), 5, Some(10), 4).bounds(), (90, None), "no such producer");
    }
}
