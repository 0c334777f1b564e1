//! Ending a wait from another thread.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};

use super::{fork, futex};
use crate::protocol::Shared;
use crate::protocol::cancel::{self, Cancel};

/// Cancels waits from another thread, and can be reset: a blocked call, and every later one, returns
/// [`Error::Cancelled`](crate::Error::Cancelled) until [`reset`](Self::reset).
///
/// Clones are the same token, and it may serve several handles.
///
/// ```
/// let cancel_token = shmflow::CancelToken::new();
/// let other = cancel_token.clone();
/// std::thread::spawn(move || other.cancel()).join().unwrap();
/// assert!(cancel_token.is_cancelled());
/// cancel_token.reset();
/// assert!(!cancel_token.is_cancelled());
/// ```
#[derive(Debug, Clone, Default)]
pub struct CancelToken {
    inner: Arc<Inner>,
}

/// Whether a wait that was interrupted is to end.
type Ask = Box<dyn Fn() -> bool + Send + Sync>;

struct Inner {
    ask: Option<Ask>,
    /// The process that made it, by its forks.
    home: u32,
    /// 1 while waits are to end. A futex of this process.
    word: AtomicU32,
    /// For waits in `poll`; made by the first of those. Readable while `word` is 1.
    event: OnceLock<OwnedFd>,
    /// The address of the futex on which the one waiter sleeps that sleeps on nothing else; 0 if there is none.
    waiter: AtomicU64,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            ask: None,
            home: fork::generation(),
            word: AtomicU32::default(),
            event: OnceLock::new(),
            waiter: AtomicU64::default(),
        }
    }
}

/// A waiter that sleeps on one futex, which is not that of its cancel token. While this lives, [`CancelToken::cancel`] wakes
/// that futex.
#[derive(Debug)]
pub(crate) struct WaiterGuard<'a>(&'a Inner);

impl Drop for WaiterGuard<'_> {
    fn drop(&mut self) {
        cancel::deregister(self.0);
    }
}

/// How long `cancel` lets a waiter get up before it wakes it again.
const REST: Duration = Duration::from_micros(50);

impl Shared for Inner {
    type Word = AtomicU64;
}

impl Cancel for Inner {
    fn set(&self, cancelled: bool) {
        self.word.store(cancelled.into(), Ordering::Release);
    }
    fn is_cancelled(&self) -> bool {
        self.word.load(Ordering::Acquire) != 0
    }
    fn waiter(&self) -> &AtomicU64 {
        &self.waiter
    }
    fn signal(&self) {
        if let Some(event) = self.event.get() {
            // Fails only when the counter is at its maximum, and then it is readable.
            let _ = rustix::io::write(event, &1u64.to_ne_bytes());
        }
    }
    fn drain(&self) {
        if let Some(event) = self.event.get() {
            // Fails only when there is nothing to read.
            let _ = rustix::io::read(event, &mut [0u8; 8]);
        }
    }
    fn wake(&self) {
        // A private futex cannot fail to be woken; if it could, waiters would look at the word within a second.
        let _ = futex::wake_all_private(&self.word);
    }
    fn wake_at(&self, place: u64) -> bool {
        futex::wake_all_at(place as usize);
        // In a forked child the waiter is a thread of the parent, which nothing here can wake.
        self.home == fork::generation()
    }
    fn pause(&self) {
        std::thread::sleep(REST);
    }
}

impl CancelToken {
    /// A token that is not cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A token whose waits also end, as if cancelled, when `ask` returns true. The waiting thread calls it whenever a
    /// signal has interrupted a wait, and about once a second: for languages that handle signals between two steps of
    /// their own. (A signal that comes between two waits is seen a second later at most.)
    ///
    /// ```
    /// # let dir = std::env::temp_dir().join(format!("shmflow-doc-ask-{}", std::process::id()));
    /// # std::fs::create_dir_all(&dir).unwrap();
    /// # let producer = shmflow::Producer::builder("doc/ask").dir(&dir).open()?;
    /// let cancel_token = shmflow::CancelToken::with_check(|| true);
    /// let mut consumer = shmflow::Consumer::builder("doc/ask").dir(&dir).cancel_token(&cancel_token).open()?;
    /// assert!(matches!(consumer.recv(), Err(shmflow::Error::Cancelled { .. }))); // after a second
    /// # drop((producer, consumer)); std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok::<(), shmflow::Error>(())
    /// ```
    #[must_use]
    pub fn with_check(ask: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { inner: Arc::new(Inner { ask: Some(Box::new(ask)), ..Inner::default() }) }
    }

    /// Whether [`check`](Self::check) is to be called at times.
    pub(crate) fn has_check(&self) -> bool {
        self.inner.ask.is_some()
    }

    /// A wait was disturbed, and nothing had come: whether it is to end.
    pub(crate) fn check(&self) -> bool {
        self.inner.ask.as_ref().is_some_and(|ask| ask())
    }

    /// Ends the waits under way and to come. Takes microseconds; up to 0.3 s in a signal handler that has interrupted the wait
    /// itself.
    pub fn cancel(&self) {
        cancel::cancel(&*self.inner);
    }

    /// For a waiter that is about to sleep on `word` alone, which is cheaper than on two: calls after this, and before the
    /// result is dropped, wake that. Ask [`is_cancelled`](Self::is_cancelled) in between. `None` if there is such a waiter
    /// already, or this is a forked child's copy.
    pub(crate) fn register_waiter(&self, word: &AtomicU32) -> Option<WaiterGuard<'_>> {
        let own = self.inner.home == fork::generation();
        (own && cancel::register(&*self.inner, word.as_ptr().addr() as u64)).then(|| WaiterGuard(&self.inner))
    }

    /// Allows waits again.
    pub fn reset(&self) {
        cancel::reset(&*self.inner);
    }

    /// Whether waits end at once.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.inner.is_cancelled()
    }

    /// The word to wait on, while it is 0, together with a shared one.
    pub(crate) fn word(&self) -> &AtomicU32 {
        &self.inner.word
    }

    /// A descriptor that polls as readable once waits are to end. Look at [`is_cancelled`](Self::is_cancelled) after this call
    /// and before polling.
    pub(crate) fn event(&self) -> io::Result<BorrowedFd<'_>> {
        if self.inner.event.get().is_none() {
            let made = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            // Another thread may have been first: then its descriptor is as good.
            let _ = self.inner.event.set(made);
        }
        cancel::event_made(&*self.inner);
        let event = self.inner.event.get().ok_or_else(|| io::Error::other("no event descriptor"))?;
        Ok(event.as_fd())
    }

    /// After the descriptor polled as readable: whether waits are to end. If not, it is a leftover (of a forked child
    /// that shares the descriptor, or of a reset at the same moment), which is cleared away.
    pub(crate) fn confirm(&self) -> bool {
        cancel::confirm(&*self.inner)
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("word", &self.word).field("event", &self.event).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    fn readable(cancel_token: &CancelToken) -> bool {
        let event = cancel_token.event().unwrap();
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(&event, PollFlags::IN)], Some(&none)).unwrap() == 1
    }

    #[test]
    fn the_descriptor_follows_the_word() {
        let cancel_token = CancelToken::new();
        assert!(!readable(&cancel_token));
        cancel_token.cancel();
        cancel_token.cancel();
        assert!(readable(&cancel_token) && cancel_token.confirm() && readable(&cancel_token));
        cancel_token.reset();
        assert!(!readable(&cancel_token) && !cancel_token.confirm());
    }

    #[test]
    fn a_leftover_event_is_cleared_away() {
        let cancel_token = CancelToken::new();
        cancel_token.event().unwrap();
        cancel_token.inner.signal();
        assert!(readable(&cancel_token));
        assert!(!cancel_token.confirm());
        assert!(!readable(&cancel_token));
    }

    #[test]
    fn cancelling_before_anybody_polls_is_seen_by_the_word() {
        let cancel_token = CancelToken::new();
        cancel_token.cancel();
        assert!(cancel_token.event().is_ok());
        assert!(cancel_token.is_cancelled());
    }

    #[test]
    fn a_waiter_on_another_futex_is_woken_whenever_it_lies_down() {
        const ROUNDS: u32 = 3000;
        let (cancel_token, foreign) = (CancelToken::new(), AtomicU32::new(0));
        let (woken, allowed) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1..=ROUNDS {
                    while allowed.load(Ordering::Acquire) != round {
                        std::thread::yield_now();
                    }
                    let asleep = cancel_token.register_waiter(&foreign).expect("nobody else sleeps");
                    assert!(cancel_token.register_waiter(&foreign).is_none());
                    if !cancel_token.is_cancelled() {
                        // Without a limit: one wake-up that is lost and the test never ends.
                        futex::wait_until(&foreign, 0, None).unwrap();
                    }
                    drop(asleep);
                    woken.store(round, Ordering::Release);
                }
            });
            for round in 1..=ROUNDS {
                cancel_token.reset();
                allowed.store(round, Ordering::Release);
                // At another moment of its falling asleep each time.
                for _ in 0..round % 300 {
                    std::hint::spin_loop();
                }
                cancel_token.cancel();
                while woken.load(Ordering::Acquire) != round {
                    std::thread::yield_now();
                }
            }
        });
    }
}
