//! What the library does, told to a function of the program.
#![allow(unsafe_code, reason = "exported names, and C's pointers")]

use std::cell::Cell;
use std::ffi::{CString, c_char, c_void};
use std::fmt::{Debug, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

use crate::fail::{Failure, guard};
use crate::status::Status;

/// Nothing.
pub const SHMFLOW_LOG_OFF: i32 = 0;
/// What should not happen: a topic was damaged, a participant died, a call of flow.h failed.
pub const SHMFLOW_LOG_WARNING: i32 = 1;
/// What is rare and costs something: frames were lost, or are copied, and why; a ring has grown.
pub const SHMFLOW_LOG_INFO: i32 = 2;
/// Who comes and goes.
pub const SHMFLOW_LOG_DEBUG: i32 = 3;

/// A function that gets what the library does: its level (SHMFLOW_LOG_...), a line of text that is valid during the call, and the
/// user pointer. Any thread may call it, also threads of the library, and several at a time. It must return: no exception, no
/// longjmp. It may call functions of this library; what those do is not logged.
pub type Log = Option<unsafe extern "C" fn(level: i32, message: *const c_char, user: *mut c_void)>;

/// What a program asked for last. Never freed, since another thread may be about to call it: a program sets it once.
struct Set {
    level: i32,
    log: Log,
    user: *mut c_void,
    /// The one before, so that whoever looks for leaks finds them all in use.
    _before: *mut Self,
}

static SET: AtomicPtr<Set> = AtomicPtr::new(std::ptr::null_mut());

thread_local! {
    /// This thread is in the program's function.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

fn set() -> Option<&'static Set> {
    // SAFETY: NULL, or from `Box::into_raw` in `shmflow_set_log`, with Release, and never freed or changed.
    unsafe { SET.load(Ordering::Acquire).as_ref() }
}

/// Whether a program wants to know.
pub(crate) fn is_wanted(level: i32) -> bool {
    set().is_some_and(|set| set.log.is_some() && level <= set.level)
        && !INSIDE.try_with(Cell::get).unwrap_or(true)
}

/// Tells the program, if it wants to know.
pub(crate) fn say(level: i32, text: &str) {
    let Some(Set { log: Some(log), user, .. }) = set().filter(|_| is_wanted(level)) else { return };
    let text = text.bytes().map(|byte| if byte == 0 { b'?' } else { byte }).collect::<Vec<u8>>();
    let Ok(text) = CString::new(text) else { return };
    // It was looked at a moment ago: the thread is not ending.
    let _ = INSIDE.try_with(|inside| inside.set(true));
    // SAFETY: a function for this, says who set it; the text is one during the call.
    unsafe { log(level, text.as_ptr(), *user) };
    let _ = INSIDE.try_with(|inside| inside.set(false));
}

/// Has the library tell log what it does, up to a level: SHMFLOW_LOG_OFF (nothing), _WARNING, _INFO, _DEBUG. It holds for the
/// process, from now on, and takes the place of what was set before, which another thread may still be calling when this
/// returns. NULL: nothing is told any more. Errors of calls are not logged but returned; those of flow.h are logged, and then
/// not printed. No frame that goes its way is logged: this costs nothing in the flow of frames.
///
/// # Safety
/// log is NULL or such a function, which may be called with user until the process ends.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_set_log(level: i32, log: Log, user: *mut c_void) -> Status {
    guard(|| {
        if !(SHMFLOW_LOG_OFF..=SHMFLOW_LOG_DEBUG).contains(&level) {
            return Err(Failure::argument(format!("level is {level}, which is not a valid level")));
        }
        static SUBSCRIBED: OnceLock<bool> = OnceLock::new();
        // Of this library alone, which has a `tracing` of its own; only this sets it.
        SUBSCRIBED.get_or_init(|| tracing::subscriber::set_global_default(Teller).is_ok());
        let before = SET.load(Ordering::Acquire);
        let new = Box::into_raw(Box::new(Set { level, log, user, _before: before }));
        SET.store(new, Ordering::Release);
        Ok(())
    })
}

/// Gets the events of the ring.
struct Teller;

fn level_of(metadata: &Metadata<'_>) -> i32 {
    match *metadata.level() {
        Level::ERROR | Level::WARN => SHMFLOW_LOG_WARNING,
        Level::INFO => SHMFLOW_LOG_INFO,
        _ => SHMFLOW_LOG_DEBUG,
    }
}

impl Subscriber for Teller {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // The level may change.
        Interest::sometimes()
    }
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::DEBUG)
    }
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !metadata.is_span() && is_wanted(level_of(metadata))
    }
    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        say(level_of(event.metadata()), &line.text());
    }
    // The ring has no spans.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// An event as a line: `topic video: frames were lost (frames 3, reason …)`.
#[derive(Default)]
struct Line {
    topic: String,
    what: String,
    fields: String,
}

impl Line {
    fn text(&self) -> String {
        let Self { topic, what, fields } = self;
        let mut text = if topic.is_empty() { what.clone() } else { format!("topic {topic}: {what}") };
        if !fields.is_empty() {
            let _ = write!(text, " ({fields})");
        }
        text
    }

    fn field(&mut self, field: &Field, value: std::fmt::Arguments<'_>) {
        let into = match field.name() {
            "message" => &mut self.what,
            "topic" => &mut self.topic,
            name => {
                let comma = if self.fields.is_empty() { "" } else { ", " };
                let _ = write!(self.fields, "{comma}{name} ");
                &mut self.fields
            }
        };
        // Writing to memory does not fail.
        let _ = into.write_fmt(value);
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field, format_args!("{value}"));
    }
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.field(field, format_args!("{value:?}"));
    }
}
