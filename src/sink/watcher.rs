//! A thread that notices consumers coming and going, also while no frames flow.

use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use shmflow::{Error, Unblocker};

use super::link::Link;

/// How long stopping waits for the thread. It is only ever longer busy when an application's signal handler is: that
/// handler may be waiting for the very state change that stops us.
const GRACE: Duration = Duration::from_millis(50);

/// The thread; dropping this stops it.
#[derive(Debug)]
pub(super) struct Watcher {
    unblocker: Unblocker,
    finished: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<thread::ThreadId>,
}

impl Watcher {
    /// Starts watching; `changed` is called from the thread whenever something may have changed, and gives `false`
    /// when there is nobody left to tell.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub(super) fn start(
        link: &Arc<Link>,
        changed: impl Fn() -> bool + Send + 'static,
    ) -> std::io::Result<Self> {
        let unblocker = Unblocker::new();
        let finished = Arc::new((Mutex::new(false), Condvar::new()));
        let run = {
            let (link, unblocker, finished) =
                (Arc::downgrade(link), unblocker.clone(), Arc::clone(&finished));
            move || {
                watch(&link, &unblocker, &changed);
                *finished.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
                finished.1.notify_all();
            }
        };
        let thread = thread::Builder::new().name("shmflow-watcher".into()).spawn(run)?;
        Ok(Self { unblocker, finished, thread: Some(thread.thread().id()) })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.unblocker.unblock();
        // A signal handler may stop the pipeline ("nobody is watching"), from the watcher's own thread.
        if self.thread != Some(thread::current().id()) {
            let finished = self.finished.0.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = self.finished.1.wait_timeout_while(finished, GRACE, |finished| !*finished);
        }
    }
}

fn watch(link: &Weak<Link>, unblocker: &Unblocker, changed: &impl Fn() -> bool) {
    let mut seen = None;
    loop {
        let Some(link) = link.upgrade() else {
            return;
        };
        // The value before looking: what changes while we look is seen next time.
        let now = link.producer.events();
        if seen != Some(now) {
            seen = Some(now);
            if !changed() {
                return;
            }
        }
        match link.producer.wait_event(now, None, unblocker) {
            Ok(_) => {}
            Err(Error::Timeout { .. }) => {}
            Err(_) => return,
        }
    }
}
