//! A consumer that expects its frame: it learns when the next one is due, sleeps until shortly before, and then looks for it
//! for a while instead of being woken. Whoever is found awake costs its producer no system call.
//!
//! The filter is an alpha-beta filter (Benedict and Bordner, 1962) over the times of publication: one that followed each
//! gap by itself would have twice the jitter of a camera whose frames are early and late around a steady beat.

use std::cell::Cell;
use std::num::NonZeroU64;
use std::time::Duration;

use crate::sys::clock::monotonic_ns;

/// So many frames in step come before the first is expected.
const LEARNED: u32 = 4;
/// Shares of an error that go into the phase and into the interval.
const PHASE: i64 = 4;
const INTERVAL: i64 = 32;
/// A publication that is told this long after itself, or before, says nothing: its clock may be another.
const STALE_NS: u64 = 1_000_000_000;
/// A round that took longer: somebody else had the processor.
const SHARED_ROUND_NS: u64 = 5_000;
/// After so many of those in one wait there are more who look than processors.
const SHARED_ROUNDS: u32 = 8;
/// One that took longer was the turn of somebody who computes. Whoever gives the processor away waits for the end of that, while
/// one that sleeps and is woken comes before it: on a busy machine sleeping is faster.
const FOREIGN_TURN_NS: u64 = 1_000_000;
/// After so many waits in vain in a row, some frames are waited for asleep.
const VAIN: u32 = 4;
const SHORTEST_PAUSE: u32 = 16;
const LONGEST_PAUSE: u32 = 1024;
/// What a timed sleep may take longer, until it is known.
const OVERSLEPT_NS: u64 = 50_000;

/// When frames are due, by how they came so far.
#[derive(Debug, Default)]
pub(super) struct BusyWait {
    /// How long it may look for one frame; 0: never.
    budget: u64,
    /// The newest frame that was received, and when it should have come.
    seq: u64,
    due: u64,
    /// When it came.
    last: u64,
    /// Nanoseconds from frame to frame.
    interval: u64,
    /// How far frames are from where they should be, in the mean.
    jitter: u64,
    /// Frames in step with those before them.
    in_step: u32,
    /// By how much sleeps are longer than wanted, in the mean.
    overslept: u64,
    /// Waits in vain in a row, or among too many others.
    vain: u32,
    /// Frames found since then, and since the next pause was made shorter.
    good: u32,
    /// Frames for which it does not look.
    pause: u32,
    next_pause: u32,
}

/// What to do until a frame comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// Sleep until then, a moment of the monotonic clock.
    Later(u64),
    /// Look until then.
    Now(u64),
    /// Nothing is known of it: sleep.
    Unknown,
}

/// How looking for a frame came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Looked {
    pub(super) found: bool,
    /// Others want the processor.
    pub(super) crowded: bool,
}

impl BusyWait {
    pub(super) fn new(budget: Duration) -> Self {
        let budget = u64::try_from(budget.as_nanos()).unwrap_or(u64::MAX);
        Self { budget, overslept: OVERSLEPT_NS, next_pause: SHORTEST_PAUSE, ..Self::default() }
    }

    pub(super) fn is_on(&self) -> bool {
        self.budget != 0
    }

    /// A frame was received that had been published then.
    pub(super) fn arrived(&mut self, seq: u64, published: u64, now: u64) {
        let steps = seq.saturating_sub(self.seq);
        if published == 0 || now.abs_diff(published) > STALE_NS || steps == 0 {
            self.in_step = 0;
            (self.seq, self.due, self.last) = (seq, 0, 0);
            return;
        }
        let mut predicted = self.predict(seq);
        let skipped = self.skipped_beats(predicted, published);
        if skipped != 0 {
            // As of a camera that drops a frame. Twice in a row it is slower now.
            let anew = self.in_step < LEARNED;
            predicted =
                predicted.saturating_add(if anew { 0 } else { self.interval.saturating_mul(skipped) });
            self.in_step = 0;
        }
        let error = published.cast_signed().saturating_sub(predicted.cast_signed());
        if self.due == 0 || self.interval == 0 || error.unsigned_abs() > self.interval / 4 {
            // The first, or out of step: what came before says nothing.
            let gap = published.saturating_sub(self.last);
            self.interval = if self.last == 0 || gap > STALE_NS { 0 } else { gap / steps };
            (self.seq, self.due, self.last, self.in_step) = (seq, published, published, 0);
            self.jitter = self.interval / 8;
            return;
        }
        (self.seq, self.last) = (seq, published);
        self.due = predicted.saturating_add_signed(error / PHASE);
        let steps = i64::try_from(steps).unwrap_or(i64::MAX);
        // At first what is known is the distance of two frames, which is not worth much.
        let share = if self.in_step < 2 * LEARNED { INTERVAL / 8 } else { INTERVAL };
        self.interval = self.interval.saturating_add_signed(error / share / steps).max(1);
        self.jitter = (self.jitter.saturating_mul(7).saturating_add(error.unsigned_abs())) / 8;
        self.in_step = self.in_step.saturating_add(1);
        self.pause = self.pause.saturating_sub(1);
    }

    fn predict(&self, seq: u64) -> u64 {
        let steps = seq.saturating_sub(self.seq);
        self.due.saturating_add(self.interval.saturating_mul(steps))
    }

    /// How many frames that should have been there in between were never published.
    fn skipped_beats(&self, predicted: u64, published: u64) -> u64 {
        let late = published.saturating_sub(predicted);
        late.saturating_add(self.interval / 2).checked_div(self.interval).unwrap_or(0)
    }

    /// What to do while this frame is not there.
    pub(super) fn expected(&self, seq: u64, now: u64) -> Expected {
        if self.budget == 0 || self.in_step < LEARNED || self.pause != 0 {
            return Expected::Unknown;
        }
        let due = self.predict(seq);
        // Twice the mean deviation: 9 of 10 frames, if they are spread as most things are. Half of the time at most is for those
        // that are early.
        let early = self.jitter.saturating_mul(2).min(self.budget / 2);
        let wake = due.saturating_sub(early).saturating_sub(self.overslept);
        let end = due.saturating_sub(early).saturating_add(self.budget);
        match () {
            // A sleep that ends too soon for another is no sleep.
            () if now.saturating_add(self.overslept) < wake => Expected::Later(wake),
            () if now < end => Expected::Now(end.min(now.saturating_add(self.budget))),
            () => Expected::Unknown,
        }
    }

    /// A sleep until `wake` has ended.
    pub(super) fn woke(&mut self, wake: u64, now: u64) {
        let over = now.saturating_sub(wake).min(self.budget);
        self.overslept = (self.overslept.saturating_mul(15).saturating_add(over)) / 16;
    }

    pub(super) fn looked(&mut self, outcome: Looked) {
        let Looked { found, crowded } = outcome;
        if found && !crowded {
            self.vain = 0;
            self.good = self.good.saturating_add(1);
            if self.good >= self.next_pause {
                // For as long as it paused last nothing was wrong.
                self.good = 0;
                self.next_pause = (self.next_pause / 2).max(SHORTEST_PAUSE);
            }
            return;
        }
        self.vain = if crowded { VAIN } else { self.vain.saturating_add(1) };
        if self.vain >= VAIN {
            (self.vain, self.good) = (0, 0);
            self.pause = self.next_pause;
            self.next_pause = self.next_pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
        if !found {
            // Not again before the next frame: it may never come.
            self.in_step = self.in_step.min(LEARNED).saturating_sub(1);
        }
    }
}

/// Looks until it is there, or until then.
pub(super) fn look(is_there: impl Fn() -> bool, until: u64) -> Looked {
    let mut last = monotonic_ns();
    let (mut shared, mut longest) = (0, 0);
    loop {
        // Its producer may share this processor: without giving it away, the frame that is looked for does not come.
        std::thread::yield_now();
        let found = is_there();
        let now = monotonic_ns();
        let round = now.saturating_sub(last);
        (last, longest) = (now, round.max(longest));
        shared += u32::from(round > SHARED_ROUND_NS);
        let crowded = longest > FOREIGN_TURN_NS || (!found && shared >= SHARED_ROUNDS);
        if found || crowded || now >= until {
            return Looked { found, crowded };
        }
    }
}

/// Has the sleeps of this thread end when they should: by default the kernel may add 50 µs.
pub(super) fn sleep_exactly() {
    thread_local! {
        static DONE: Cell<bool> = const { Cell::new(false) };
    }
    if !DONE.replace(true) {
        // Where it is forbidden, sleeps are longer, and are begun earlier for it.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    }
}

#[cfg(test)]
#[path = "busy_wait_tests.rs"]
mod tests;
