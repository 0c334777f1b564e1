//! A consumer that one call at a time takes out, and that any thread, and any signal handler, may close.
//!
//! No lock is held while a call waits: the consumer is *out* then, and back when the call ends. A handler that runs within
//! a wait, on the thread that waits, finds it out like anybody else.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, Weak};

use pyo3::prelude::*;
use shmflow::CancelToken;

use crate::reader::Reader;

/// Where the consumer is.
#[derive(Debug)]
enum Place {
    Here(Box<Reader>),
    /// A call has it.
    Out,
    /// It was closed, or is not open yet.
    Gone,
}

#[derive(Debug)]
struct State {
    place: Place,
    /// The thread whose call has it runs Python's signal handlers just now: it gives nothing back before they end.
    handles_signals: bool,
    /// The exception that a signal handler raised.
    raised: Option<PyErr>,
}

/// Why a call cannot have the consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Another call has it: of another thread, or of the one that a signal handler interrupted.
    Busy,
    Closed,
}

#[derive(Debug)]
pub(crate) struct Checkout {
    state: Mutex<State>,
    back: Condvar,
    closed: AtomicBool,
    cancel_token: CancelToken,
}

impl Checkout {
    /// Of a consumer that is still to be opened, with this [cancel token](Self::cancel_token).
    pub(crate) fn new() -> std::sync::Arc<Self> {
        std::sync::Arc::new_cyclic(|weak: &Weak<Self>| {
            let weak = weak.clone();
            Self {
                state: Mutex::new(State { place: Place::Gone, handles_signals: false, raised: None }),
                back: Condvar::new(),
                closed: AtomicBool::new(false),
                cancel_token: CancelToken::with_check(move || {
                    weak.upgrade().is_some_and(|this| this.check_signals())
                }),
            }
        })
    }

    pub(crate) fn cancel_token(&self) -> &CancelToken {
        &self.cancel_token
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts in a consumer that was opened.
    pub(crate) fn put(&self, reader: Reader) {
        self.state().place = Place::Here(Box::new(reader));
    }

    /// Does something with the consumer, for as long as it takes.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Reader) -> T) -> Result<T, Refusal> {
        let mut out = {
            let mut state = self.state();
            match std::mem::replace(&mut state.place, Place::Out) {
                Place::Here(consumer) => Out { checkout: self, consumer: Some(consumer) },
                Place::Out => return Err(Refusal::Busy),
                Place::Gone => {
                    state.place = Place::Gone;
                    return Err(Refusal::Closed);
                }
            }
        };
        // It is there until it is dropped.
        out.consumer.as_deref_mut().map(act).ok_or(Refusal::Closed)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }

    /// Ends a wait, and closes the consumer. Returns once it is closed, but does not wait for a thread that is running signal
    /// handlers, which may be this one, or wait for this one: then it is closed as soon as they end.
    pub(crate) fn close(&self) {
        self.closed.store(true, SeqCst);
        self.cancel_token.cancel();
        let mut state = self.state();
        while matches!(state.place, Place::Out) && !state.handles_signals {
            state = self.back.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let here = if matches!(state.place, Place::Here(_)) {
            std::mem::replace(&mut state.place, Place::Gone)
        } else {
            Place::Gone
        };
        drop(state);
        drop(here);
    }

    /// What a signal handler raised, to be raised by the call that it interrupted.
    pub(crate) fn raised(&self) -> Option<PyErr> {
        self.state().raised.take()
    }

    /// Runs Python's signal handlers, if signals have come. Whether one of them raised.
    fn check_signals(&self) -> bool {
        Python::try_attach(|py| {
            self.set_handling(true);
            let error = py.check_signals().err();
            let ends = error.is_some();
            let mut state = self.state();
            state.handles_signals = false;
            let before = if ends { std::mem::replace(&mut state.raised, error) } else { None };
            drop(state);
            // Not under the lock: the end of an exception may run anything.
            drop(before);
            ends
        })
        .unwrap_or(false)
    }

    fn set_handling(&self, handling: bool) {
        self.state().handles_signals = handling;
        self.back.notify_all();
    }
}

/// A consumer that is out.
struct Out<'a> {
    checkout: &'a Checkout,
    consumer: Option<Box<Reader>>,
}

impl Drop for Out<'_> {
    fn drop(&mut self) {
        let consumer = self.consumer.take();
        let mut state = self.checkout.state();
        // After a panic its state is not known.
        let ends = self.checkout.is_closed() || std::thread::panicking();
        let closed = match consumer {
            Some(consumer) if !ends => {
                state.place = Place::Here(consumer);
                None
            }
            other => {
                state.place = Place::Gone;
                other
            }
        };
        drop(state);
        // First it leaves the topic, then whoever closed it goes on.
        drop(closed);
        self.checkout.back.notify_all();
    }
}
