//! Asking another bridge what its clock says.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use zenoh::qos::{CongestionControl, Priority};
use zenoh::{Session, Wait};

use crate::clock::{self, Offset, RemoteClock};
use crate::keys;
use crate::stats::note;
use crate::wire::ClockReading;

/// How long an answer is waited for.
const TIMEOUT: Duration = Duration::from_secs(1);
/// As often it is asked at first.
const AT_FIRST: usize = 8;
/// Calendars that differ by more are not in step.
const APART: Duration = Duration::from_millis(20);
/// And then after so long, by one of those who need it.
pub(crate) const EVERY: Duration = Duration::from_secs(2);

/// Another bridge, and its clock.
#[derive(Debug)]
pub(crate) struct OriginClock {
    origin: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    clock: RemoteClock,
    /// When it was asked, on our clock.
    asked: Option<u64>,
}

impl OriginClock {
    pub(crate) fn new(origin: &str) -> Self {
        Self { origin: origin.to_owned(), state: Mutex::default() }
    }

    /// The bridge's Zenoh id.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// Asks, if it was not asked lately. It takes as long as the answers.
    pub(crate) fn follow(self: &Arc<Self>, session: &Session) {
        let now = clock::now().monotonic_ns;
        let count = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let every = u64::try_from(EVERY.as_nanos()).unwrap_or(u64::MAX);
            if state.asked.is_some_and(|asked| now.saturating_sub(asked) < every * 3 / 4) {
                return;
            }
            state.asked = Some(now);
            if state.clock.offset(now).is_some() { 1 } else { AT_FIRST }
        };
        for _ in 0..count {
            if !self.ask(session) {
                return;
            }
        }
        if count == AT_FIRST {
            self.compare_calendars();
        }
    }

    /// Whether there was an answer.
    fn ask(self: &Arc<Self>, session: &Session) -> bool {
        let (sender, answered) = channel();
        let this = Arc::clone(self);
        let asked = clock::now();
        let asking = session
            .get(keys::clock(&self.origin))
            .timeout(TIMEOUT)
            // The answer has the same: it waits behind no frames, which would be an error, and holds up nobody over there.
            .congestion_control(CongestionControl::Drop)
            .priority(Priority::RealTime)
            .callback(move |reply| {
                let now = clock::now();
                let theirs = reply.result().map(|sample| ClockReading::decode(&sample.payload().to_bytes()));
                if let Ok(Ok(theirs)) = theirs {
                    let mut state = this.state.lock().unwrap_or_else(PoisonError::into_inner);
                    state.clock.add(asked, theirs, now);
                    // Nobody waits any more after the time is over.
                    let _ = sender.send(());
                }
            })
            .wait();
        // The sender is dropped with the question.
        asking.is_ok() && answered.recv_timeout(TIMEOUT).is_ok()
    }

    /// How far our clock is ahead.
    pub(crate) fn offset(&self) -> Option<Offset> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock.offset(clock::now().monotonic_ns)
    }

    /// Says once that times of a calendar will not be right here.
    fn compare_calendars(&self) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead = state.clock.realtime_ahead_ns();
        if ahead.unsigned_abs() > APART.as_nanos() {
            note(&format!(
                "the calendar (CLOCK_REALTIME) of this host is {} ms ahead of another bridge's: frames whose times are by the \
                 calendar keep them; have NTP or PTP set both",
                ahead / 1_000_000
            ));
        }
    }
}
