//! Failures, and how a C program gets them: a status, and a text of the calling thread.
#![allow(unsafe_code, reason = "exported names")]

use std::cell::RefCell;
use std::ffi::{CStr, c_char};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ring::Error;
use ring::meta::MetaError;

use crate::status::{self, SHMFLOW_INTERNAL, SHMFLOW_INVALID_ARGUMENT, SHMFLOW_OK, Status};
use crate::text::Text;

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An error of the ring. Formatted only on request: a timeout is no reason to format text.
    Ring(Error),
    /// An error of this library.
    Said(Status, String),
}

impl Failure {
    /// An invalid argument.
    pub(crate) fn argument(what: impl Into<String>) -> Self {
        Self::Said(SHMFLOW_INVALID_ARGUMENT, what.into())
    }

    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Ring(error) => status::of(error),
            Self::Said(status, _) => *status,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ring(error) => error.fmt(f),
            Self::Said(_, text) => f.write_str(text),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Ring(error)
    }
}

impl From<MetaError> for Failure {
    fn from(error: MetaError) -> Self {
        Self::Ring(error.into())
    }
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// The last failure of a thread.
struct Last {
    failure: Option<Failure>,
    /// Where its text is, once one was requested.
    text: Option<Text>,
}

thread_local! {
    static LAST: RefCell<Last> = const { RefCell::new(Last { failure: None, text: None }) };
}

/// Records a failure for [`shmflow_last_error_message`]. In a thread that is ending no code can request it any more.
fn note(failure: Failure) -> Status {
    let status = failure.status();
    let _ = LAST.try_with(|last| {
        if let Ok(mut last) = last.try_borrow_mut() {
            if let Some(text) = &last.text {
                text.set(&failure);
            }
            last.failure = Some(failure);
        }
    });
    status
}

/// The border: runs the body of an exported function, catches its panic, and returns its status.
pub(crate) fn guard(body: impl FnOnce() -> Result<()>) -> Status {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => SHMFLOW_OK,
        Ok(Err(failure)) => note(failure),
        Err(panic) => note_panic(&*panic),
    }
}

/// As [`guard`], for functions that return a value; `otherwise` if they fail.
pub(crate) fn guard_or<T>(otherwise: T, body: impl FnOnce() -> Result<T>) -> T {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => value,
        Ok(Err(failure)) => {
            note(failure);
            otherwise
        }
        Err(panic) => {
            note_panic(&*panic);
            otherwise
        }
    }
}

fn note_panic(panic: &(dyn std::any::Any + Send)) -> Status {
    let what = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no details are known");
    note(Failure::Said(SHMFLOW_INTERNAL, format!("this is a defect of libshmflow, please report it: {what}")))
}

/// The message of the last call of this thread that did not return SHMFLOW_OK (for a function without a status: that
/// returned NULL or 0 because of an error): one line for display, which says what happened, to which topic, and what to
/// do. "" if no call failed. A thread gets the same address each time, valid until it ends; each call that fails writes the
/// new text there. So this may be an argument beside the call that fails, in whichever order they are evaluated.
#[unsafe(no_mangle)]
pub extern "C" fn shmflow_last_error_message() -> *const c_char {
    const NOTHING: &CStr = c"";
    let text = catch_unwind(|| {
        LAST.try_with(|last| {
            let mut last = last.try_borrow_mut().ok()?;
            let Last { failure, text } = &mut *last;
            Some(text.get_or_insert_with(|| Text::new(failure.as_ref())).as_ptr())
        })
    });
    match text {
        Ok(Ok(Some(text))) => text,
        _ => NOTHING.as_ptr(),
    }
}

/// The status that goes with shmflow_last_error_message; SHMFLOW_OK if nothing has failed in this thread.
#[unsafe(no_mangle)]
pub extern "C" fn shmflow_last_error_status() -> Status {
    let status = LAST.try_with(|last| last.try_borrow().ok()?.failure.as_ref().map(Failure::status));
    status.ok().flatten().unwrap_or(SHMFLOW_OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> String {
        // SAFETY: it is a text, and nothing fails meanwhile.
        unsafe { CStr::from_ptr(shmflow_last_error_message()) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_panic_becomes_a_status_and_the_process_goes_on() {
        assert_eq!(guard(|| panic!("on purpose")), SHMFLOW_INTERNAL);
        assert!(text().contains("on purpose"), "{}", text());
        assert_eq!(guard_or(7, || panic!("{} more", 1)), 7);
        assert!(text().contains("1 more"), "{}", text());
        assert_eq!(shmflow_last_error_status(), SHMFLOW_INTERNAL);
    }

    #[test]
    fn a_text_that_was_asked_for_before_the_failure_is_the_text_of_the_failure() {
        let early = shmflow_last_error_message();
        for what in ["first", "a second one, which is longer than the first"] {
            guard(|| Err(Failure::argument(what)));
            assert_eq!(shmflow_last_error_message(), early, "the address stays");
            // SAFETY: it is valid as long as the thread.
            assert_eq!(unsafe { CStr::from_ptr(early) }.to_str().unwrap(), what);
        }
    }

    #[test]
    fn texts_belong_to_their_threads_and_stay_until_the_next_failure() {
        assert_eq!((text().as_str(), shmflow_last_error_status()), ("", SHMFLOW_OK));
        guard(|| Err(Failure::argument("the first\0one")));
        std::thread::spawn(|| assert_eq!(text(), "")).join().unwrap();
        assert_eq!(guard(|| Ok(())), SHMFLOW_OK);
        assert_eq!(
            (text().as_str(), shmflow_last_error_status()),
            ("the first?one", SHMFLOW_INVALID_ARGUMENT)
        );
        guard(|| Err(Error::Timeout { topic: "x".into(), what: "y".into() }.into()));
        assert!(text().contains('x'), "{}", text());
    }
}
