//! Who reads a lossless topic, and how far each of them has got.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Whoever is gone for so long is not waited for.
pub(crate) const GRACE: Duration = Duration::from_secs(15);
/// More are not waited for, whoever says to be one.
const MOST: usize = 1000;

#[derive(Clone, Copy, Debug, Default)]
struct Reader {
    /// Messages up to this one have reached its topic.
    acked: u64,
    /// Its bridge cannot be reached, since then.
    gone: Option<Instant>,
}

/// The readers of one turn.
#[derive(Debug)]
pub(crate) struct Readers {
    readers: BTreeMap<u128, Reader>,
    /// Those that said that they read no more: what they still acknowledge is old.
    left: BTreeSet<u128>,
    /// There is none, since then.
    none_since: Option<Instant>,
}

impl Readers {
    pub(crate) fn new(now: Instant) -> Self {
        Self { readers: BTreeMap::new(), left: BTreeSet::new(), none_since: Some(now) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.readers.is_empty()
    }

    /// It reads from now on, or again.
    pub(crate) fn start(&mut self, id: u128) {
        self.left.remove(&id);
        self.get(id);
    }

    /// It reads no more.
    pub(crate) fn stop(&mut self, id: u128, now: Instant) {
        self.readers.remove(&id);
        if self.left.len() < MOST {
            self.left.insert(id);
        }
        self.note_none(now);
    }

    /// A message has reached its topic, and all before it. One that never said that it reads does so: a turn may be newer than it.
    pub(crate) fn ack(&mut self, id: u128, index: u64) {
        if !self.left.contains(&id)
            && let Some(reader) = self.get(id)
        {
            reader.acked = reader.acked.max(index);
        }
    }

    /// Its bridge is gone, perhaps not for long.
    pub(crate) fn gone(&mut self, id: u128, now: Instant) {
        if let Some(reader) = self.readers.get_mut(&id) {
            reader.gone.get_or_insert(now);
        }
    }

    /// Up to which message nobody needs anything any more, as far as is known.
    pub(crate) fn acked(&mut self, now: Instant) -> u64 {
        self.readers.retain(|_, reader| reader.gone.is_none_or(|gone| now.duration_since(gone) <= GRACE));
        self.note_none(now);
        match self.none_since {
            // What takes the frames is no bridge: it acknowledges nothing, and is owed nothing.
            Some(since) if now.duration_since(since) > GRACE => u64::MAX,
            Some(_) => 0,
            None => self.readers.values().map(|reader| reader.acked).min().unwrap_or(0),
        }
    }

    fn get(&mut self, id: u128) -> Option<&mut Reader> {
        if !self.readers.contains_key(&id) {
            // Those that are gone and this one are the same, most likely, before and after its bridge was started again.
            self.readers.retain(|_, reader| reader.gone.is_none());
            if self.readers.len() >= MOST {
                return None;
            }
        }
        self.none_since = None;
        let reader = self.readers.entry(id).or_default();
        reader.gone = None;
        Some(reader)
    }

    fn note_none(&mut self, now: Instant) {
        if self.readers.is_empty() {
            self.none_since.get_or_insert(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn the_slowest_counts() {
        let now = Instant::now();
        let mut readers = Readers::new(now);
        readers.start(1);
        readers.ack(2, 7);
        assert_eq!(readers.acked(now), 0);
        readers.ack(1, 5);
        readers.ack(1, 3);
        assert_eq!(readers.acked(now), 5);
    }

    #[test]
    fn a_bridge_that_was_started_again_takes_the_place_of_the_one_before_it() {
        let now = Instant::now();
        let mut readers = Readers::new(now);
        readers.ack(1, 5);
        readers.gone(1, now);
        assert_eq!(readers.acked(now), 5, "it is waited for");
        readers.start(2);
        readers.ack(2, 9);
        assert_eq!(readers.acked(now), 9);
    }

    #[test]
    fn a_link_that_comes_back_in_time_costs_its_reader_nothing_and_others_wait() {
        let now = Instant::now();
        let mut readers = Readers::new(now);
        readers.ack(1, 5);
        readers.ack(2, 9);
        readers.gone(1, now);
        assert_eq!(readers.acked(after(now, 14)), 5);
        readers.start(1);
        assert_eq!(readers.acked(after(now, 60)), 5);
        readers.gone(1, after(now, 60));
        assert_eq!(readers.acked(after(now, 76)), 9);
    }

    #[test]
    fn who_left_is_not_waited_for_whatever_it_still_acknowledges() {
        let now = Instant::now();
        let mut readers = Readers::new(now);
        readers.ack(1, 5);
        readers.ack(2, 5);
        readers.stop(1, now);
        readers.ack(1, 6);
        readers.ack(2, 20);
        assert_eq!(readers.acked(now), 20);
        readers.start(1);
        readers.ack(1, 21);
        assert_eq!(readers.acked(now), 20);
    }

    #[test]
    fn what_acknowledges_nothing_is_waited_for_some_time_only() {
        let now = Instant::now();
        let mut readers = Readers::new(now);
        assert_eq!(readers.acked(after(now, 14)), 0);
        assert_eq!(readers.acked(after(now, 16)), u64::MAX);
        readers.start(1);
        assert_eq!(readers.acked(after(now, 17)), 0);
        readers.stop(1, after(now, 18));
        assert_eq!(readers.acked(after(now, 19)), 0);
    }
}
