//! A thread that notices consumers coming and going, also while no frames flow.

use std::sync::{Arc, Condvar, Mutex, Weak};
use std::thread;
use std::time::Duration;

use shmflow::{CancelToken, Error};

use crate::common::lock;

use super::connection::Connection;

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

/// What the thread waits for next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// That something changes, or so long.
    Event(Option<Duration>),
    /// There is nobody left to tell.
    Nothing,
}

/// The thread; dropping this stops it.
#[derive(Debug)]
pub(super) struct Watcher {
    connection: Weak<Connection>,
    cancel_token: CancelToken,
    activity: Arc<Activity>,
    thread: Option<thread::ThreadId>,
}

impl Watcher {
    /// Starts watching; `changed` is called from the thread whenever something may have changed, and says what to wait for
    /// next. `removed` is called, as the last thing, when the topic is gone.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub(super) fn start(
        connection: &Arc<Connection>,
        changed: impl Fn() -> Next + Send + 'static,
        removed: impl FnOnce(&Arc<Connection>) + Send + 'static,
    ) -> std::io::Result<Self> {
        let cancel_token = CancelToken::new();
        let activity = Arc::new(Activity(Mutex::new(Doing::Watching), Condvar::new()));
        let run = {
            let (connection, cancel_token, activity) =
                (Arc::downgrade(connection), cancel_token.clone(), Arc::clone(&activity));
            move || {
                let tell = || {
                    activity.set(Doing::Telling);
                    let next = changed();
                    activity.set(Doing::Watching);
                    next
                };
                watch(&connection, &cancel_token, tell, |connection| {
                    activity.set(Doing::Telling);
                    removed(&connection);
                });
                activity.set(Doing::Nothing);
            }
        };
        let thread = thread::Builder::new().name("shmflow-watcher".into()).spawn(run)?;
        Ok(Self {
            connection: Arc::downgrade(connection),
            cancel_token,
            activity,
            thread: Some(thread.thread().id()),
        })
    }
}

impl Watcher {
    /// The topic is gone, and the thread may not have noticed.
    pub(super) fn tell_removed(&self, connection: &Arc<Connection>) {
        // It may be the successor's by now.
        if std::ptr::eq(self.connection.as_ptr(), Arc::as_ptr(connection)) {
            self.cancel_token.cancel();
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.cancel_token.cancel();
        // A signal handler may stop the pipeline ("nobody is watching"), from the watcher's own thread.
        if self.thread != Some(thread::current().id()) {
            self.activity.wait_while(PATIENCE, |doing| doing == Doing::Watching);
            self.activity.wait_while(GRACE, |doing| doing != Doing::Nothing);
        }
    }
}

fn watch(
    connection: &Weak<Connection>,
    cancel_token: &CancelToken,
    changed: impl Fn() -> Next,
    removed: impl FnOnce(Arc<Connection>),
) {
    let (mut seen, mut limit) = (None, None);
    loop {
        let Some(connection) = connection.upgrade() else {
            return;
        };
        // The value before looking: what changes while we look is seen next time.
        let now = connection.producer.events();
        if seen != Some(now) {
            seen = Some(now);
            match changed() {
                Next::Event(within) => limit = within,
                Next::Nothing => return,
            }
        }
        match connection.producer.wait_event(now, limit, cancel_token) {
            Ok(_) => {}
            Err(Error::Timeout { .. }) => seen = None,
            Err(Error::Removed { .. }) => return removed(connection),
            Err(Error::Cancelled { .. }) if connection.is_removed() => return removed(connection),
            Err(_) => return,
        }
    }
}
