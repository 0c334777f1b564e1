//! The rate of a topic and of its participants: of the topic from the times at which its frames were published, of a
//! participant from the times at which its counters were seen to change.
//!
//! Frames in a window of fixed length are one too many or too few: a steady 25 a second are 6 or 7 in a quarter of one.
//! Between the first and the last frame that were seen to come lie whole intervals.

use std::path::Path;
use std::time::{Duration, Instant};

use shmflow::{Error, ParticipantId, ParticipantInfo, Role, TopicInfo};

use super::flow::Flow;

/// How fast a counter moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// Frames and bytes a second.
    Measured { frames: f64, bytes: f64 },
    /// No two frames came while somebody looked: fewer than this a second.
    Below(f64),
}

/// When a counter was seen to have moved.
#[derive(Clone, Copy, Debug)]
struct Moment {
    at: Instant,
    frames: u64,
    bytes: u64,
}

/// One counter of frames, and of their bytes.
#[derive(Clone, Copy, Debug)]
struct Counter {
    now: Moment,
    /// Since when it is looked at.
    since: Instant,
    /// The first move, and the last one.
    moves: Option<(Moment, Moment)>,
}

impl Counter {
    fn new(at: Instant, frames: u64, bytes: u64) -> Self {
        Self { now: Moment { at, frames, bytes }, since: at, moves: None }
    }

    /// It moved, if it did, between the last look and this one.
    fn see(&mut self, at: Instant, frames: u64, bytes: u64) {
        let moved = self.now.at + at.saturating_duration_since(self.now.at) / 2;
        if frames != self.now.frames {
            let moment = Moment { at: moved, frames, bytes };
            self.moves = Some((self.moves.map_or(moment, |(first, _)| first), moment));
        }
        self.now = Moment { at, frames, bytes };
    }

    fn pace(&self) -> Pace {
        let seconds = |from: Instant, to: Instant| to.saturating_duration_since(from).as_secs_f64();
        let Some((first, last)) = self.moves else { return below(seconds(self.since, self.now.at)) };
        let (span, rest) = (seconds(first.at, last.at), seconds(last.at, self.now.at));
        let (frames, bytes) =
            (last.frames.saturating_sub(first.frames) as f64, last.bytes.saturating_sub(first.bytes) as f64);
        if span <= 0.0 || frames <= 0.0 {
            return below(seconds(self.since, first.at).max(rest));
        }
        // One that stands still since has become slower.
        let span = if rest > 2.0 * span / frames { span + rest } else { span };
        Pace::Measured { frames: frames / span, bytes: bytes / span }
    }

    /// The next measurement begins where this one ends, so that what takes longer than one is measured, too.
    fn go_on(&mut self) {
        if let Some((_, last)) = self.moves {
            (self.since, self.moves) = (last.at, Some((last, last)));
        }
    }
}

fn below(gap: f64) -> Pace {
    Pace::Below(if gap > 0.0 { 1.0 / gap } else { f64::INFINITY })
}

/// Measures one topic.
#[derive(Debug)]
pub(crate) struct Meter {
    info: TopicInfo,
    flow: Flow,
    /// Frames published before the present measurement.
    before: u64,
    participants: Vec<(ParticipantId, Counter)>,
}

impl Meter {
    /// A first look.
    pub(crate) fn new(topic: &str, dir: Option<&Path>) -> Result<Self, Error> {
        let (info, at) = look(topic, dir)?;
        Ok(Self::from(info, at))
    }

    fn from(info: TopicInfo, at: Instant) -> Self {
        let counter = |p: &ParticipantInfo| (p.id, Counter::new(at, p.frames, p.bytes));
        Self {
            flow: Flow::of(&info),
            before: info.published(),
            participants: info.participants.iter().map(counter).collect(),
            info,
        }
    }

    /// Another look.
    pub(crate) fn look(&mut self, dir: Option<&Path>) -> Result<(), Error> {
        let (info, at) = look(&self.info.topic, dir)?;
        if info.rate_since(&self.info).is_none() {
            // Another topic of that name.
            *self = Self::from(info, at);
            return Ok(());
        }
        let mut participants = Vec::with_capacity(info.participants.len());
        for p in &info.participants {
            let known = self.participants.iter().find(|(id, _)| *id == p.id);
            let mut counter = known.map_or_else(|| Counter::new(at, 0, 0), |(_, counter)| *counter);
            counter.see(at, p.frames, p.bytes);
            participants.push((p.id, counter));
        }
        self.flow.see(&info);
        (self.info, self.participants) = (info, participants);
        Ok(())
    }

    /// Looks for so long, every `step`; longer, up to `limit`, as long as there is nothing to tell.
    pub(crate) fn measure(
        &mut self,
        dir: Option<&Path>,
        time: Duration,
        limit: Duration,
        step: Duration,
    ) -> Result<(), Error> {
        let start = Instant::now();
        loop {
            let left = if matches!(self.pace(), Pace::Measured { .. }) { time } else { limit }
                .saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(step.min(left));
            self.look(dir)?;
        }
    }

    /// Begins the next measurement, where the last one ended.
    pub(crate) fn go_on(&mut self) {
        self.flow.go_on();
        self.before = self.info.published();
        self.participants.iter_mut().for_each(|(_, counter)| counter.go_on());
    }

    /// Whether a consumer that lags as far as the ring holds frames, and does not wait for any, has taken none while others
    /// came.
    pub(crate) fn has_stalled(&self, p: &ParticipantInfo) -> bool {
        let depth = self.info.geometry.map_or(u64::MAX, |geometry| geometry.depth.into());
        let own = self.participants.iter().find(|(id, _)| *id == p.id);
        p.role == Role::Consumer
            && p.active
            && !p.waiting
            && p.lag.is_some_and(|lag| lag >= depth)
            && self.info.published() > self.before
            && own.is_none_or(|(_, counter)| counter.moves.is_none())
    }

    /// What was seen last.
    pub(crate) fn info(&self) -> &TopicInfo {
        &self.info
    }

    pub(crate) fn pace(&self) -> Pace {
        self.flow.pace()
    }

    /// Of a participant of the last look.
    pub(crate) fn pace_of(&self, participant: &ParticipantInfo) -> Option<Pace> {
        let mut producers = self.info.producers();
        if participant.role == Role::Producer && producers.next().is_some() && producers.next().is_none() {
            // All frames are its own, and say when they were published.
            return Some(self.pace());
        }
        let (_, counter) = self.participants.iter().find(|(id, _)| *id == participant.id)?;
        Some(counter.pace())
    }
}

/// The topic, and when it was like that.
fn look(topic: &str, dir: Option<&Path>) -> Result<(TopicInfo, Instant), Error> {
    let before = Instant::now();
    let info = shmflow::inspect(topic, dir)?;
    Ok((info, before + before.elapsed() / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told of frames that came at these milliseconds, looked at every `step` for `time`.
    fn seen(frames: &[u64], step: u64, time: u64) -> Counter {
        let start = Instant::now();
        let mut counter = Counter::new(start, 0, 0);
        for now in (step..=time).step_by(usize::try_from(step).unwrap()) {
            let come = frames.iter().filter(|at| **at <= now).count() as u64;
            counter.see(start + Duration::from_millis(now), come, come * 100);
        }
        counter
    }

    fn measured(pace: Pace) -> (f64, f64) {
        match pace {
            Pace::Measured { frames, bytes } => (frames, bytes),
            Pace::Below(rate) => panic!("below {rate}"),
        }
    }

    #[test]
    fn a_steady_rate_is_told_whenever_one_begins_to_look() {
        for first in 1..40 {
            let frames: Vec<u64> = (0..10).map(|n| first + 40 * n).collect();
            for step in [1, 2, 5] {
                let (rate, bytes) = measured(seen(&frames, step, 250).pace());
                assert!((rate - 25.0).abs() < 0.5, "{first} {step}: {rate}");
                assert!((bytes - 100.0 * rate).abs() < 1e-6);
            }
        }
        let fast: Vec<u64> = (0..1000).map(|n| n / 4).collect();
        let (rate, _) = measured(seen(&fast, 2, 200).pace());
        assert!((rate - 4000.0).abs() < 40.0, "{rate}");
    }

    #[test]
    fn of_slow_ones_a_limit_is_told() {
        let limit = |frames: &[u64]| match seen(frames, 1, 500).pace() {
            Pace::Below(rate) => rate,
            Pace::Measured { frames, .. } => panic!("{frames}"),
        };
        assert!((limit(&[]) - 2.0).abs() < 0.01);
        assert!((limit(&[100]) - 2.5).abs() < 0.02, "there was none for 400 ms");
        assert!((limit(&[400]) - 2.5).abs() < 0.02);
        // Twice at one look is no interval.
        assert!((limit(&[400, 400]) - 2.5).abs() < 0.02);
        assert!(matches!(seen(&[], 1, 0).pace(), Pace::Below(rate) if rate.is_infinite()));
    }

    #[test]
    fn one_that_stopped_is_not_as_fast_as_it_was() {
        let (rate, _) = measured(seen(&[10, 20, 30, 40], 1, 500).pace());
        assert!(rate < 7.0, "{rate}");
    }

    #[test]
    fn measurements_that_follow_each_other_are_longer_than_one() {
        let mut counter = seen(&[300], 1, 500);
        counter.go_on();
        let later = |counter: &Counter, ms| counter.now.at + Duration::from_millis(ms);
        counter.see(later(&counter, 400), 1, 100);
        assert!(matches!(counter.pace(), Pace::Below(rate) if rate < 1.7), "{:?}", counter.pace());
        counter.see(later(&counter, 400), 2, 200);
        let (rate, _) = measured(counter.pace());
        assert!((rate - 1.25).abs() < 0.01, "{rate}");
    }
}
