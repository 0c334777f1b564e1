//! Waiting for a producer's events in async code.

use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;

use super::Producer;
use super::inner::Inner;
use crate::error::{Error, Result};
use crate::sys::cancel::CancelToken;
use crate::sys::thread;

/// [`Producer::wait_event`] for async code: waits until participants join, leave or change the caps that they accept.
///
/// It has a thread of its own, which sleeps in the producer's place, wakes once a second when nothing happens, and ends with
/// it. Needs no particular runtime. Hold it beside its producer: the producer leaves the topic when it is dropped, and the
/// topic's files go when both are.
///
/// ```
/// # let dir = std::env::temp_dir().join(format!("shmflow-doc-events-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir).unwrap();
/// # let producer = shmflow::Producer::builder("doc/events").dir(&dir).open()?;
/// let mut events = shmflow::tokio::ProducerEvents::new(&producer)?;
/// # let consumer = shmflow::Consumer::builder("doc/events").dir(&dir).accepted_caps("video/x-raw").open()?;
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// while !producer.consumers().iter().any(|c| c.accepted_caps.as_deref() == Some("video/x-raw")) {
///     events.changed().await?;
/// }
/// # Ok::<(), shmflow::Error>(())
/// # })?;
/// # drop((events, consumer, producer)); std::fs::remove_dir_all(&dir).unwrap();
/// # Ok::<(), shmflow::Error>(())
/// ```
#[derive(Debug)]
pub struct ProducerEvents {
    inner: Arc<Inner>,
    /// The counter, as the thread last saw it. The thread's end closes it.
    counter: watch::Receiver<u32>,
    /// Ends the thread.
    cancel_token: CancelToken,
    /// Taken when it is dropped.
    watcher: Option<JoinHandle<()>>,
}

impl ProducerEvents {
    /// Watches from now on: what happens after this call is not missed.
    ///
    /// # Errors
    /// [`Error::Forked`] in a forked child; [`Error::Io`] if there are no more threads.
    pub fn new(producer: &Producer) -> Result<Self> {
        let inner = Arc::clone(&producer.inner);
        inner.member.check_fork()?;
        let mut last = producer.events();
        let (sender, counter) = watch::channel(last);
        let cancel_token = CancelToken::new();
        let (watched, ends) = (Arc::clone(&inner), cancel_token.clone());
        let watch = move || {
            // An error is the removal of the topic, or our own request.
            while let Ok(now) = watched.wait_event(last, None, &ends) {
                last = now;
                sender.send_replace(now);
            }
        };
        let watcher = thread::spawn("shmflow-events", watch)
            .map_err(|e| Error::io(producer.topic(), "start a thread that waits for events", e))?;
        Ok(Self { inner, counter, cancel_token, watcher: Some(watcher) })
    }

    /// Waits for the next event after those that this has returned for, or that were before [`new`](Self::new); the counter of
    /// [`Producer::events`] then. Several events may come as one.
    ///
    /// Cancel safe: dropped before it is ready, it misses nothing.
    ///
    /// # Errors
    /// [`Error::Removed`] if the topic was removed: open it again; [`Error::Forked`] in a forked child.
    pub async fn changed(&mut self) -> Result<u32> {
        self.inner.member.check_fork()?;
        match self.counter.changed().await {
            Ok(()) => Ok(*self.counter.borrow_and_update()),
            Err(_) => Err(Error::Removed { topic: self.inner.member.topic_name().into() }),
        }
    }

    /// Waits until at least one registered consumer takes part. Those that only read are not registered, and not waited for.
    ///
    /// # Errors
    /// As [`changed`](Self::changed).
    pub async fn wait_for_consumer(&mut self) -> Result<()> {
        while self.inner.member.peers.consumers() == 0 {
            self.changed().await?;
        }
        Ok(())
    }
}

impl Drop for ProducerEvents {
    fn drop(&mut self) {
        let watcher = self.watcher.take();
        if !self.inner.member.peers.is_own_process() {
            // A forked child does not have the thread.
            std::mem::forget(watcher);
            return;
        }
        self.cancel_token.cancel();
        // It wakes at once. (A panic over there was reported there.)
        let _ = watcher.map(JoinHandle::join);
    }
}
