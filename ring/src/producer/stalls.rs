//! Consumers that take nothing although there are frames for them: each lossless producer counts for itself how long it has
//! waited for each, and passes it over in the end.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use super::inner::Inner;
use crate::layout::words::bit;
use crate::protocol::backlog::{ids, owed_to};
use crate::shm::participants::ParticipantTable;
use crate::trace::{self, Fields, Level};

/// What a producer knows of consumers that lag.
#[derive(Debug, Default)]
pub(super) struct Stalls {
    laggards: BTreeMap<u8, Laggard>,
    /// Bits of those that are passed over.
    passed_over: u64,
    /// How often one was.
    count: u64,
}

/// A consumer as it was when it was looked at.
#[derive(Clone, Copy, Debug)]
struct Laggard {
    generation: u64,
    cursor: u64,
    /// For so long it was waited for, and took nothing.
    idle: Duration,
    /// It is passed over until it wants this sequence.
    until: u64,
}

impl Stalls {
    /// Those that are passed over. Who has caught up, or is gone, is not among them any more.
    fn passed_over(&mut self, peers: &ParticipantTable) -> u64 {
        if self.passed_over == 0 {
            return 0;
        }
        let active = peers.active();
        for id in ids(self.passed_over) {
            let entry = peers.participant(id);
            let known = self.laggards.get(&id);
            let same = active & bit(id) != 0
                && known.is_some_and(|known| known.generation == entry.generation.load(SeqCst));
            let caught_up = known.is_some_and(|known| entry.cursor.load(SeqCst) >= known.until);
            if same && caught_up {
                let fields = Fields { reason: Some("it has caught up"), ..Fields::of(Some(id)) };
                trace::event(Level::Info, "consumer waited for again", peers.topic().name(), fields);
            }
            if !same || caught_up {
                self.passed_over &= !bit(id);
                self.laggards.remove(&id);
            }
        }
        self.passed_over
    }

    /// This producer has waited for `time` more. Whether somebody is passed over from now on who was waited for.
    fn waited(
        &mut self,
        peers: &ParticipantTable,
        head: u64,
        time: Duration,
        timeout: Option<Duration>,
    ) -> bool {
        let passed_over = self.passed_over(peers);
        let awaited = owed_to(peers, passed_over);
        self.laggards.retain(|&id, _| (awaited | passed_over) & bit(id) != 0);
        let before = self.passed_over;
        for id in ids(awaited) {
            let entry = peers.participant(id);
            let (generation, cursor) = (entry.generation.load(SeqCst), entry.cursor.load(SeqCst));
            let now = Laggard { generation, cursor, idle: Duration::ZERO, until: u64::MAX };
            let known = self.laggards.entry(id).or_insert(now);
            if (known.generation, known.cursor) != (generation, cursor) || cursor >= head {
                // It has taken something, or there is nothing to take.
                *known = now;
                continue;
            }
            known.idle = known.idle.saturating_add(time);
            if timeout.is_some_and(|timeout| known.idle >= timeout) {
                known.until = head;
                self.passed_over |= bit(id);
                self.count = self.count.saturating_add(1);
                let reason = Some("it takes no frames, and is not waited for until it has caught up");
                let fields = Fields { reason, seq: Some(cursor), ..Fields::of(Some(id)) };
                trace::event(Level::Warn, "consumer passed over", peers.topic().name(), fields);
            }
        }
        self.passed_over != before
    }
}

impl Inner {
    /// Bits of the consumers that are owed nothing because they take nothing.
    pub(super) fn passed_over(&self) -> u64 {
        let _events = trace::hold();
        self.stalls().map_or(0, |mut stalls| stalls.passed_over(&self.member.peers))
    }

    /// How often a consumer was passed over.
    pub(super) fn stall_count(&self) -> u64 {
        self.stalls().map_or(0, |stalls| stalls.count)
    }

    /// `None` in a forked child, where a thread that does not exist there may have them for ever.
    fn stalls(&self) -> Option<MutexGuard<'_, Stalls>> {
        let is_own = self.member.peers.is_own_process();
        is_own.then(|| self.stalls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts a wait for those who were waited for, and has others see that this producer waits and is not stopped.
    pub(super) fn count_wait(&self, head: u64, time: Duration) -> bool {
        if let Some(entry) = self.member.entry() {
            entry.waits.fetch_add(1, Relaxed);
        }
        let _events = trace::hold();
        self.stalls()
            .is_some_and(|mut stalls| stalls.waited(&self.member.peers, head, time, self.stall_timeout))
    }
}
