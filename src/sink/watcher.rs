//! A thread that notices consumers coming and going, also while no frames flow.

use std::sync::{Arc, Condvar, Mutex, Weak};
use std::thread;
use std::time::Duration;

use shmflow::{Error, Unblocker};

use crate::common::lock;

use super::link::Link;

/// How long stopping waits for an application's signal handler: it may be waiting for the very state change that stops
/// us.
const GRACE: Duration = Duration::from_millis(50);

/// How long it waits for the thread otherwise. The thread ends at once, as soon as it gets a processor.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the thread does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Watching,
    /// Calls the application.
    Telling,
    Nothing,
}

/// What the thread does, for those who wait for it.
#[derive(Debug)]
struct Activity(Mutex<Doing>, Condvar);

impl Activity {
    fn set(&self, doing: Doing) {
        *lock(&self.0) = doing;
        self.1.notify_all();
    }

    /// Waits while it is doing such a thing, for at most `time`.
    fn wait_while(&self, time: Duration, holds: impl Fn(Doing) -> bool) {
        let doing = lock(&self.0);
        let _ = self.1.wait_timeout_while(doing, time, |doing| holds(*doing));
    }
}

/// The thread; dropping this stops it.
#[derive(Debug)]
pub(super) struct Watcher {
    link: Weak<Link>,
    unblocker: Unblocker,
    activity: Arc<Activity>,
    thread: Option<thread::ThreadId>,
}

impl Watcher {
    /// Starts watching; `changed` is called from the thread whenever something may have changed, and gives `false`
    /// when there is nobody left to tell. `removed` is called, as the last thing, when the topic is gone.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub(super) fn start(
        link: &Arc<Link>,
        changed: impl Fn() -> bool + Send + 'static,
        removed: impl FnOnce(&Arc<Link>) + Send + 'static,
    ) -> std::io::Result<Self> {
        let unblocker = Unblocker::new();
        let activity = Arc::new(Activity(Mutex::new(Doing::Watching), Condvar::new()));
        let run = {
            let (link, unblocker, activity) =
                (Arc::downgrade(link), unblocker.clone(), Arc::clone(&activity));
            move || {
                let tell = || {
                    activity.set(Doing::Telling);
                    let goes_on = changed();
                    activity.set(Doing::Watching);
                    goes_on
                };
                watch(&link, &unblocker, tell, |link| {
                    activity.set(Doing::Telling);
                    removed(&link);
                });
                activity.set(Doing::Nothing);
            }
        };
        let thread = thread::Builder::new().name("shmflow-watcher".into()).spawn(run)?;
        Ok(Self { link: Arc::downgrade(link), unblocker, activity, thread: Some(thread.thread().id()) })
    }
}

impl Watcher {
    /// The topic is gone, and the thread may not have noticed.
    pub(super) fn tell_removed(&self, link: &Arc<Link>) {
        // It may be the successor's by now.
        if std::ptr::eq(self.link.as_ptr(), Arc::as_ptr(link)) {
            self.unblocker.unblock();
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.unblocker.unblock();
        // A signal handler may stop the pipeline ("nobody is watching"), from the watcher's own thread.
        if self.thread != Some(thread::current().id()) {
            self.activity.wait_while(PATIENCE, |doing| doing == Doing::Watching);
            self.activity.wait_while(GRACE, |doing| doing != Doing::Nothing);
        }
    }
}

fn watch(
    link: &Weak<Link>,
    unblocker: &Unblocker,
    changed: impl Fn() -> bool,
    removed: impl FnOnce(Arc<Link>),
) {
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
            Ok(_) | Err(Error::Timeout { .. }) => {}
            Err(Error::Removed { .. }) => return removed(link),
            Err(Error::Unblocked { .. }) if link.is_removed() => return removed(link),
            Err(_) => return,
        }
    }
}
