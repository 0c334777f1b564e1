//! The threads that sleep for consumers whose descriptors are polled: each for a group of them.
//!
//! `poll_fd.rs` has what a watcher and one consumer agree on. Here is what makes one thread do for many: `futex_waitv` sleeps on
//! up to 128 words. Those are, for each consumer, the futex of its topic and its cancel token, and one for the group, the *bell*,
//! which is rung whenever a consumer comes, goes, or wants to be watched for. Where the system has no such call, a group has
//! one consumer.
//!
//! Before it sleeps the watcher takes note of the bell, then of the topics' words, and then looks: whatever changes later has
//! changed a word that it sleeps on.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::arrival::ArrivalTimer;
use super::selection::LONGEST_REST;
use super::wait_condition::WaitCondition;
use crate::error::Error;
use crate::protocol::Memory;
use crate::protocol::poll_fd::{self, IDLE, Level, QUIT, Turn, Watch};
use crate::shm::backing;
use crate::shm::epoch::Epoch;
use crate::shm::participants::End;
use crate::sys::cancel::CancelToken;
use crate::sys::clock::Deadline;
use crate::sys::fork::{self, GuardedFd};
use crate::sys::futex::{self, Expected};
use crate::sys::thread::{self, Scheduling};

/// Consumers of a group: two words each and the bell are no more than a wait may have.
const MOST: usize = (futex::MOST_WORDS - 1) / 2;

/// A consumer's word after `QUIT`: its watcher has forgotten it.
const LEFT: u32 = 4;

/// How long the watcher sleeps if the kernel refuses to let it wait; nothing else can be done.
const REFUSED: Duration = Duration::from_millis(20);

/// How often one that leaves looks whether the watcher is still there. (It is, unless it has panicked.)
const PATIENCE: Duration = Duration::from_millis(100);

/// What a consumer and its watcher share.
#[derive(Debug)]
pub(super) struct Shared {
    /// What the watcher is to do.
    word: AtomicU32,
    /// Readable in `IDLE` and `KEPT`.
    pub(super) event: GuardedFd,
    /// Held while `word` and `event` change; what the watcher is to take up next.
    order: Mutex<Option<WatchRequest>>,
    /// The watcher found that the topic's files are gone.
    gone: AtomicBool,
    pub(super) cancel_token: CancelToken,
    bell: Arc<Bell>,
    /// How often this consumer rang it.
    #[cfg(test)]
    pub(super) rings: AtomicU32,
}

/// Where the consumer stood when it found nothing.
#[derive(Debug)]
pub(super) struct WatchRequest {
    pub(super) epoch: Arc<Epoch>,
    pub(super) cursor: u64,
    pub(super) known_end: Option<End>,
    pub(super) known_absence: Option<u64>,
    /// No news counts before this moment of the monotonic clock.
    pub(super) rests_until: u64,
}

impl WatchRequest {
    fn condition<'a>(&'a self, cancel_token: &'a CancelToken) -> WaitCondition<'a> {
        WaitCondition {
            epoch: &self.epoch,
            cursor: self.cursor,
            known_end: self.known_end,
            known_absence: self.known_absence,
            cancel_token,
        }
    }
}

impl Shared {
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Relaxed)
    }
}

impl Level for Shared {
    type WatchRequest = WatchRequest;

    fn word(&self) -> u32 {
        self.word.load(Acquire)
    }
    fn set_word(&self, word: u32) {
        self.word.store(word, Release);
    }
    fn ring(&self) {
        #[cfg(test)]
        self.rings.fetch_add(1, Relaxed);
        self.bell.ring();
    }
    fn locked<R>(&self, change: impl FnOnce(&mut Option<WatchRequest>) -> R) -> R {
        change(&mut lock(&self.order))
    }
    fn raise(&self) {
        // It fails only if the counter were full, and then it is readable.
        let _ = self.event.get().map(|fd| rustix::io::write(fd, &1u64.to_ne_bytes()));
    }
    fn lower(&self) {
        // It cannot fail: it is readable.
        let _ = self.event.get().map(|fd| rustix::io::read(fd, &mut [0u8; 8]));
    }
}

/// A word that the watcher sleeps on, which counts up.
#[derive(Debug, Default)]
struct Bell(AtomicU32);

impl Bell {
    fn ring(&self) {
        self.0.fetch_add(1, Release);
        // Waking a word of our own memory does not fail.
        let _ = futex::wake_all_private(&self.0);
    }
}

/// Nothing that a panic leaves behind is half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A watcher's thread and its consumers.
#[derive(Debug)]
struct Group {
    /// The process that it is a thread of, by its forks.
    home: u32,
    /// As the thread runs that started it, and all whose consumers it watches for: nobody who is urgent waits for one who is not.
    scheduling: Scheduling,
    bell: Arc<Bell>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Consumers that have a seat.
    seats: usize,
    /// Those of them that the watcher has not taken up yet.
    new: Vec<Watched>,
    /// The last one has left: the thread ends, and takes no others.
    ended: bool,
    thread: Option<JoinHandle<()>>,
}

/// The groups of this process. Those of a parent may be among them: they are never looked into.
static GROUPS: Mutex<Vec<Arc<Group>>> = Mutex::new(Vec::new());

fn groups() -> Option<MutexGuard<'static, Vec<Arc<Group>>>> {
    match GROUPS.try_lock() {
        Ok(groups) => Some(groups),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        // In a forked child it may be held for ever, by a thread that is not there.
        Err(TryLockError::WouldBlock) => (fork::generation() == 0).then(|| lock(&GROUPS)),
    }
}

/// A consumer's place in a group.
#[derive(Debug)]
pub(super) struct Seat {
    group: Arc<Group>,
}

impl Seat {
    /// In a group that has a free one, or in a new one.
    pub(super) fn take() -> io::Result<Self> {
        let scheduling = Scheduling::here();
        let Some(mut groups) = groups() else { return Ok(Self { group: Group::start(scheduling)? }) };
        let home = fork::generation();
        for foreign in groups.extract_if(.., |group| group.home != home) {
            // Its thread is one of the parent's.
            std::mem::forget(foreign);
        }
        let most = if futex::has_waitv() { MOST } else { 1 };
        groups.retain(|group| !lock(&group.state).ended);
        for group in groups.iter().filter(|group| group.scheduling == scheduling) {
            let mut state = lock(&group.state);
            if state.seats < most && !state.ended {
                state.seats += 1;
                return Ok(Self { group: Arc::clone(group) });
            }
        }
        let group = Group::start(scheduling)?;
        groups.push(Arc::clone(&group));
        Ok(Self { group })
    }

    /// Has the watcher watch for the consumer, which rests at first.
    pub(super) fn watch(
        &self,
        event: GuardedFd,
        cancel_token: CancelToken,
        pace: ArrivalTimer,
    ) -> Arc<Shared> {
        let shared = Arc::new(Shared {
            word: AtomicU32::new(IDLE),
            event,
            order: Mutex::default(),
            gone: AtomicBool::new(false),
            cancel_token: cancel_token.clone(),
            bell: Arc::clone(&self.group.bell),
            #[cfg(test)]
            rings: AtomicU32::new(0),
        });
        lock(&self.group.state).new.push(Watched {
            shared: Arc::clone(&shared),
            request: None,
            sleep: Sleep {
                cancel_token,
                value: 0,
                pace,
                is_new: true,
                now: Deadline::after(Duration::ZERO),
                due: Deadline::after(Duration::ZERO),
                rests: false,
            },
        });
        self.group.bell.ring();
        shared
    }

    /// Waits until the watcher has forgotten the consumer, which has told it to quit; and, if it was the last one, until the
    /// thread has ended.
    pub(super) fn leave(self, shared: &Shared) {
        while shared.word.load(Acquire) == QUIT {
            let woken = futex::wait_private(&shared.word, QUIT, Some(Deadline::after(PATIENCE)));
            let is_finished = || lock(&self.group.state).thread.as_ref().is_none_or(JoinHandle::is_finished);
            if woken.is_err() || (shared.word.load(Acquire) == QUIT && is_finished()) {
                return;
            }
        }
        let mut state = lock(&self.group.state);
        let thread = if state.ended { state.thread.take() } else { None };
        drop(state);
        // (A panic over there was reported there.)
        let _ = thread.map(JoinHandle::join);
    }
}

impl Group {
    /// With one seat taken.
    fn start(scheduling: Scheduling) -> io::Result<Arc<Self>> {
        let state = Mutex::new(State { seats: 1, ..State::default() });
        let home = fork::generation();
        let group = Arc::new(Self { home, scheduling, bell: Arc::default(), state });
        let watcher = Arc::clone(&group);
        let thread = thread::spawn("shmflow-watch", move || watcher.run())?;
        lock(&group.state).thread = Some(thread);
        Ok(group)
    }

    /// The watcher's life.
    fn run(&self) {
        let mut all: Vec<Watched> = Vec::new();
        let mut heard = None;
        loop {
            let bell = self.bell.0.load(Acquire);
            if heard != Some(bell) {
                all.append(&mut lock(&self.state).new);
                heard = Some(bell);
            }
            let now = Deadline::after(Duration::ZERO);
            let mut at = 0;
            while let Some(one) = all.get_mut(at) {
                if one.look(now) != Turn::Quit {
                    at += 1;
                    continue;
                }
                // The order is dropped first: the mapping is no longer used.
                let Watched { shared, .. } = all.swap_remove(at);
                let ended = self.one_less();
                shared.set_word(LEFT);
                let _ = futex::wake_all_private(&shared.word);
                if ended {
                    return;
                }
            }
            sleep(&all, (&self.bell.0, bell));
        }
    }

    /// A consumer has left. Whether that was the last one.
    fn one_less(&self) -> bool {
        let mut state = lock(&self.state);
        state.seats = state.seats.saturating_sub(1);
        state.ended = state.seats == 0;
        state.ended
    }
}

/// Until something has changed, or the next of them is due.
fn sleep(all: &[Watched], bell: Expected<'_>) {
    let awake = || all.iter().filter_map(|one| Some((&one.sleep, one.request.as_ref()?)));
    let watched = awake().filter(|(sleep, _)| !sleep.rests);
    let topics: Vec<_> = watched.map(|(sleep, request)| (request.epoch.wake_word(), sleep.value)).collect();
    let tokens = awake().map(|(sleep, _)| (sleep.cancel_token.word(), 0));
    let private: Vec<_> = std::iter::once(bell).chain(tokens).collect();
    let due = awake().map(|(sleep, _)| sleep.due).min();
    if futex::wait_any(&topics, &private, due.map(Deadline::remaining)).is_err() {
        std::thread::sleep(REFUSED);
    }
}

/// A consumer as its watcher has it.
#[derive(Debug)]
struct Watched {
    shared: Arc<Shared>,
    /// What is watched.
    request: Option<WatchRequest>,
    sleep: Sleep,
}

impl Watched {
    /// What there is to do before the next sleep.
    fn look(&mut self, now: Deadline) -> Turn {
        let Self { shared, request, sleep } = self;
        sleep.now = now;
        poll_fd::look(&**shared, request, &mut Sleeper { sleep, gone: &shared.gone })
    }
}

/// How the watcher sleeps for a consumer.
#[derive(Debug)]
struct Sleep {
    cancel_token: CancelToken,
    /// The value of the topic's futex word before the last look.
    value: u32,
    pace: ArrivalTimer,
    /// It has not slept for this request yet.
    is_new: bool,
    now: Deadline,
    /// When to look whether peers are alive, or that it rests no more.
    due: Deadline,
    /// It takes no frame yet: the topic's word does not count.
    rests: bool,
}

struct Sleeper<'a> {
    sleep: &'a mut Sleep,
    gone: &'a AtomicBool,
}

impl Watch<WatchRequest> for Sleeper<'_> {
    fn is_ready(&mut self, request: &WatchRequest) -> bool {
        let Sleep { cancel_token, value, pace, is_new, now, due, rests } = &mut *self.sleep;
        let was_new = std::mem::take(is_new);
        let overdue = !was_new && !*rests && *due <= *now;
        let condition = request.condition(cancel_token);
        let end = Deadline::at(request.rests_until);
        let goes_on_resting = end > *now && !cancel_token.is_cancelled() && !condition.is_over();
        let rested = std::mem::replace(rests, goes_on_resting);
        if *rests {
            *due = end.min(Deadline::after(LONGEST_REST));
            return false;
        }
        if overdue && is_bad(&condition, pace, self.gone) {
            return true;
        }
        let found;
        (*value, found) = condition.announce();
        if found && !was_new {
            pace.arrived();
        }
        if was_new || overdue || rested || found {
            *due = Deadline::after(pace.tick());
        }
        found
    }

    /// Only with a bit: one that gets its place later must not be watched for at that moment. And only in the newest epoch: in others
    /// nothing wakes, and producers would try in vain.
    fn may_stay(&self, request: &WatchRequest) -> bool {
        let member = &request.epoch.member;
        let newest = || member.peers.load(&member.peers.header().epoch);
        member.id().is_some() && newest() <= request.epoch.geometry.epoch
    }

    fn is_stirred(&mut self, request: &WatchRequest) -> bool {
        let Sleep { cancel_token, value, now, due, .. } = &*self.sleep;
        request.epoch.wake_value() != *value || cancel_token.is_cancelled() || due <= now
    }

    fn replaced(&mut self, before: WatchRequest, after: &WatchRequest) {
        // Else it sleeps on as it does. (While it rests nobody is to wake it.)
        if !Arc::ptr_eq(&before.epoch, &after.epoch) || after.rests_until != 0 {
            self.forget(before);
        }
    }

    fn forget(&mut self, request: WatchRequest) {
        request.condition(&self.sleep.cancel_token).retract();
        self.sleep.is_new = true;
        // If it was the last one to use the mapping: the others are not to wait until that is gone.
        backing::give_up(request.epoch);
    }
}

/// Nothing came for a while: whether there is something else to tell.
fn is_bad(condition: &WaitCondition<'_>, pace: &mut ArrivalTimer, gone: &AtomicBool) -> bool {
    if condition.new_absence(true).is_some() {
        return true;
    }
    let is_gone = pace.on_timeout() && matches!(condition.check_peers(), Err(Error::Removed { .. }));
    if is_gone {
        gone.store(true, Relaxed);
    }
    is_gone
}
