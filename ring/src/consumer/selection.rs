//! Which of a topic's frames a consumer takes, and when.

use std::cmp::Ordering;
use std::sync::atomic::Ordering::Acquire;
use std::time::Duration;

use super::Consumer;
use super::receive::Look;
use crate::error::{Error, Result};
use crate::layout::words::Entry;
use crate::protocol::lease::readable;
use crate::protocol::{Memory, Word};
use crate::shm::epoch::Epoch;
use crate::sys::clock::monotonic_ns;

/// While no frame may be taken, so often it is looked whether there will be another.
pub(super) const LONGEST_REST: Duration = Duration::from_secs(1);

/// By default every frame, as soon as it is there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Selection {
    /// Only the newest.
    latest: bool,
    /// Only those whose sequence has this remainder, and of what.
    share: Option<(u64, u64)>,
    /// At least so long after each other, in nanoseconds; 0 without a limit.
    period: u64,
    /// No frame is taken before.
    due: u64,
}

impl Selection {
    pub(super) fn set_latest(&mut self, latest: bool) {
        self.latest = latest;
    }

    pub(super) fn is_latest(&self) -> bool {
        self.latest || self.period != 0
    }

    pub(super) fn set_share(&mut self, index: u32, of: u32) -> Result<()> {
        if index >= of {
            let what = format!(
                "share {index} of {of}: the number of a share counts from 0 and is below that of all shares"
            );
            return Err(Error::InvalidArgument { what });
        }
        self.share = (of > 1).then_some((index.into(), of.into()));
        Ok(())
    }

    pub(super) fn set_max_rate(&mut self, per_second: f64) -> Result<()> {
        let period = Duration::try_from_secs_f64(per_second.recip());
        match period.map(|period| u64::try_from(period.as_nanos())) {
            Ok(Ok(period)) if per_second > 0.0 => {
                self.period = period;
                Ok(())
            }
            _ => {
                let what = format!("a max_rate of {per_second} frames per second: it must be above 0");
                Err(Error::InvalidArgument { what })
            }
        }
    }

    fn lift_max_rate(&mut self) {
        (self.period, self.due) = (0, 0);
    }

    fn wants(&self, seq: u64) -> bool {
        self.share.is_none_or(|(index, of)| seq % of == index)
    }

    /// The first frame from `seq` on that it wants.
    pub(super) fn next(&self, seq: u64) -> u64 {
        self.share.map_or(seq, |(index, of)| seq.saturating_add((index + of - seq % of) % of))
    }

    /// The last frame up to `seq` that it wants, if there is one from `from` on.
    pub(super) fn last(&self, from: u64, seq: u64) -> Option<u64> {
        let back = self.share.map_or(0, |(index, of)| (seq % of + of - index) % of);
        seq.checked_sub(back).filter(|&seq| seq >= from)
    }

    /// Before which moment, on the monotonic clock, no frame is taken; 0 if it has passed.
    pub(super) fn rests_until(&self) -> u64 {
        if self.due != 0 && monotonic_ns() < self.due { self.due } else { 0 }
    }

    /// A frame was taken.
    pub(super) fn taken(&mut self) {
        if self.period != 0 {
            let now = monotonic_ns();
            // By the period, and not from now, so that the mean is what was asked for; unless it is far behind.
            let next = self.due.saturating_add(self.period);
            self.due = if next > now { next } else { now.saturating_add(self.period) };
        }
    }

    /// How many of the frames from `from` to before `to`, which are gone, it has lost: who wants the newest only, none.
    pub(super) fn lost(&self, from: u64, to: u64) -> u64 {
        if self.is_latest() { 0 } else { self.count(from, to) }
    }

    /// How many frames from `from` to before `to` it wants.
    fn count(&self, from: u64, to: u64) -> u64 {
        match self.share {
            None => to.saturating_sub(from),
            Some((index, of)) => {
                let below = |seq: u64| seq.saturating_add(of - 1 - index) / of;
                below(to).saturating_sub(below(from))
            }
        }
    }
}

impl Consumer {
    /// Lifts the limit of [`max_rate`](crate::ConsumerBuilder::max_rate): for a stream that turns out to be one of which each
    /// frame needs those before it.
    pub fn lift_max_rate(&mut self) {
        self.selection.lift_max_rate();
    }

    /// Limits the frames that this consumer takes to so many a second, as
    /// [`max_rate`](crate::ConsumerBuilder::max_rate) of the builder does.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] unless it is above 0.
    pub fn set_max_rate(&mut self, per_second: f64) -> Result<()> {
        self.selection.set_max_rate(per_second)
    }

    /// Whether the frame at the cursor is for others.
    pub(super) fn is_unwanted(&self) -> bool {
        !self.selection.wants(self.cursor)
    }

    /// The newest frame from `from` to `newest` that is there and wanted.
    pub(super) fn newest_own(&self, epoch: &Epoch, from: u64, newest: u64) -> Option<u64> {
        let from = from.max(newest.saturating_sub(epoch.index_len()));
        let mut seq = self.selection.last(from, newest)?;
        while !readable(epoch, seq) {
            seq = self.selection.last(from, seq.checked_sub(1)?)?;
        }
        Some(seq)
    }

    /// Whether it takes no frame for now, although there is one.
    pub(super) fn rests_before_a_frame(&self) -> bool {
        self.selection.rests_until() != 0 && self.awaited().has_frame()
    }

    /// Goes past a frame that is not wanted, once it is there: what is beyond it may be an end of the epoch.
    pub(super) fn pass_over(&mut self) -> Result<Look> {
        let entry = Entry::unpack(Word::load(self.epoch.index(self.cursor), Acquire));
        match entry.seq.cmp(&self.cursor) {
            Ordering::Less => self.not_yet(),
            // The place of this one was used again, not that of a frame for us: whether that is there is seen when it is looked at.
            Ordering::Greater => {
                self.advance(self.selection.next(self.cursor).min(entry.seq));
                Ok(Look::Again)
            }
            Ordering::Equal if entry.is_seal() => {
                self.follow()?;
                Ok(Look::Again)
            }
            Ordering::Equal => {
                self.advance(self.cursor.saturating_add(1));
                Ok(Look::Again)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_counted_as_they_are_wanted() {
        for of in 1..5_u32 {
            for index in 0..of {
                let mut selection = Selection::default();
                selection.set_share(index, of).unwrap();
                for (from, to) in [(0, 0), (1, 1), (1, 2), (1, 10), (3, 17), (5, 6), (9, 4)] {
                    let counted = (from..to).filter(|&seq| selection.wants(seq)).count() as u64;
                    assert_eq!(selection.count(from, to), counted, "{index} of {of}, {from}..{to}");
                }
                for seq in 1..20 {
                    let next = (seq..).find(|&seq| selection.wants(seq)).unwrap();
                    assert_eq!(selection.next(seq), next, "{index} of {of}, {seq}");
                    let last = (3..=seq).rfind(|&seq| selection.wants(seq));
                    assert_eq!(selection.last(3, seq), last, "{index} of {of}, {seq}");
                }
            }
        }
        assert!(
            Selection::default().set_share(2, 2).is_err() && Selection::default().set_share(0, 0).is_err()
        );
    }

    #[test]
    fn impossible_rates_are_named() {
        for rate in [0.0, -1.0, f64::NAN, -0.0, 1e-300, f64::NEG_INFINITY] {
            assert!(Selection::default().set_max_rate(rate).is_err(), "{rate}");
        }
        let mut selection = Selection::default();
        selection.set_max_rate(f64::INFINITY).unwrap();
        selection.taken();
        assert_eq!(selection.rests_until(), 0);
        selection.set_max_rate(0.01).unwrap();
        selection.taken();
        selection.taken();
        assert!(selection.rests_until() > monotonic_ns() + 50_000_000_000);
    }
}
