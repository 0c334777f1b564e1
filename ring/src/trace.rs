//! What the crate tells through `tracing`, with that feature; without it all of this is nothing.
//!
//! Only what is rare is told: no event belongs to a frame that goes its way. And a subscriber is the program's own code, which
//! may write to a pipe that nobody empties, or to a topic: none is called while a lock is held. Whoever takes one calls
//! [`hold`] before, and the events wait until it is dropped.

/// How much an event matters.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "tracing"), allow(dead_code))]
pub(crate) enum Level {
    Warn,
    Info,
    Debug,
}

/// What an event says beside what happened, and to which topic.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(not(feature = "tracing"), allow(dead_code))]
pub(crate) struct Fields {
    pub(crate) participant: Option<u8>,
    pub(crate) reason: Option<&'static str>,
    pub(crate) epoch: Option<u64>,
    pub(crate) seq: Option<u64>,
    pub(crate) frames: Option<u64>,
    pub(crate) bytes: Option<u64>,
}

impl Fields {
    pub(crate) fn of(participant: Option<u8>) -> Self {
        Self { participant, ..Self::default() }
    }

    pub(crate) fn because(reason: &'static str) -> Self {
        Self { reason: Some(reason), ..Self::default() }
    }
}

#[cfg(feature = "tracing")]
pub(crate) use on::{ConsumerTrace, event, gc, hold};

#[cfg(not(feature = "tracing"))]
pub(crate) use off::{ConsumerTrace, event, gc, hold};

#[cfg(not(feature = "tracing"))]
mod off {
    use std::path::Path;

    use super::{Fields, Level};

    #[derive(Debug)]
    pub(crate) struct Hold;

    #[inline(always)]
    pub(crate) fn hold() -> Hold {
        Hold
    }

    #[inline(always)]
    pub(crate) fn event(_: Level, _: &'static str, _: &str, _: Fields) {}

    #[inline(always)]
    pub(crate) fn gc(_: &Path, _: usize, _: u32, _: u64) {}

    #[derive(Debug, Default)]
    pub(crate) struct ConsumerTrace {}

    impl ConsumerTrace {
        #[inline(always)]
        pub(crate) fn copied(&mut self, _: &str, _: Option<u8>, _: &'static str) {}

        #[inline(always)]
        pub(crate) fn lost(&mut self, _: &str, _: Option<u8>, _: u64) {}
    }
}

#[cfg(feature = "tracing")]
mod on {
    use std::cell::{Cell, RefCell};
    use std::marker::PhantomData;
    use std::path::Path;

    use super::{Fields, Level};
    use crate::sys::clock::monotonic_coarse_ns;

    const TARGET: &str = "shmflow";
    /// A consumer tells of copies, and of losses, once in this time at most.
    const PAUSE_NS: u64 = 1_000_000_000;

    thread_local! {
        /// How many locks this thread holds, or may.
        static HELD: Cell<u32> = const { Cell::new(0) };
        static ANY_WAITING: Cell<bool> = const { Cell::new(false) };
        static WAITING: RefCell<Vec<Event>> = const { RefCell::new(Vec::new()) };
    }

    struct Event {
        level: Level,
        what: &'static str,
        topic: String,
        fields: Fields,
    }

    /// While this lives, events of this thread wait.
    #[derive(Debug)]
    pub(crate) struct Hold(PhantomData<*const ()>);

    pub(crate) fn hold() -> Hold {
        HELD.set(HELD.get().saturating_add(1));
        Hold(PhantomData)
    }

    impl Drop for Hold {
        fn drop(&mut self) {
            let held = HELD.get().saturating_sub(1);
            HELD.set(held);
            if held == 0 && ANY_WAITING.replace(false) {
                // At the end of a thread there may be no list any more.
                let waiting = WAITING.try_with(RefCell::take).unwrap_or_default();
                waiting.iter().for_each(Event::send);
            }
        }
    }

    fn is_wanted(level: Level) -> bool {
        match level {
            Level::Warn => tracing::enabled!(target: TARGET, tracing::Level::WARN),
            Level::Info => tracing::enabled!(target: TARGET, tracing::Level::INFO),
            Level::Debug => tracing::enabled!(target: TARGET, tracing::Level::DEBUG),
        }
    }

    /// Tells that `what` happened to a topic.
    pub(crate) fn event(level: Level, what: &'static str, topic: &str, fields: Fields) {
        if !is_wanted(level) {
            return;
        }
        let event = Event { level, what, topic: topic.into(), fields };
        if HELD.get() == 0 {
            event.send();
        } else if WAITING.try_with(|waiting| waiting.borrow_mut().push(event)).is_ok() {
            ANY_WAITING.set(true);
        }
    }

    impl Event {
        fn send(&self) {
            let Self { level, what, topic, fields } = self;
            let Fields { participant, reason, epoch, seq, frames, bytes } = *fields;
            let topic = topic.as_str();
            macro_rules! send {
                ($level:ident) => {
                    tracing::event!(
                        target: TARGET,
                        tracing::Level::$level,
                        topic,
                        participant,
                        reason,
                        epoch,
                        seq,
                        frames,
                        bytes,
                        "{what}"
                    )
                };
            }
            match level {
                Level::Warn => send!(WARN),
                Level::Info => send!(INFO),
                Level::Debug => send!(DEBUG),
            }
        }
    }

    /// Tells what was removed from a directory. No lock is held.
    pub(crate) fn gc(dir: &Path, topics: usize, temp_files: u32, bytes: u64) {
        let dir = dir.display();
        tracing::info!(target: TARGET, %dir, topics, temp_files, bytes, "garbage collected");
    }

    /// What a consumer has told of its copies and losses.
    #[derive(Debug, Default)]
    pub(crate) struct ConsumerTrace {
        copied_because: Option<&'static str>,
        copied_at: u64,
        lost: u64,
        lost_at: u64,
    }

    impl ConsumerTrace {
        /// A frame was copied: told when the reason is another than before.
        pub(crate) fn copied(&mut self, topic: &str, participant: Option<u8>, reason: &'static str) {
            if self.copied_because == Some(reason) || !is_wanted(Level::Info) || !is_due(&mut self.copied_at)
            {
                return;
            }
            self.copied_because = Some(reason);
            let fields = Fields { reason: Some(reason), ..Fields::of(participant) };
            event(Level::Info, "frames are copied", topic, fields);
        }

        /// Frames were lost: told with how many since the last time.
        pub(crate) fn lost(&mut self, topic: &str, participant: Option<u8>, frames: u64) {
            self.lost = self.lost.saturating_add(frames);
            if self.lost == 0 || !is_wanted(Level::Info) || !is_due(&mut self.lost_at) {
                return;
            }
            let reason = Some("they were overwritten before it read them");
            let frames = Some(std::mem::take(&mut self.lost));
            let fields = Fields { reason, frames, ..Fields::of(participant) };
            event(Level::Info, "frames were lost", topic, fields);
        }
    }

    /// Whether that was told long ago, or never; then it is told now.
    fn is_due(told: &mut u64) -> bool {
        let now = monotonic_coarse_ns();
        let due = *told == 0 || now.saturating_sub(*told) >= PAUSE_NS;
        if due {
            *told = now;
        }
        due
    }
}
