//! What ends the streaming thread's waits: a flush, or the pipeline being paused.
//!
//! A live source takes no frame while it is paused: it would hold it, and its slot, for as long as the pause lasts, and
//! show it afterwards with the time from before. GStreamer 1.22 does not end the wait when a source is paused.

use std::sync::{Condvar, Mutex, PoisonError};

use shmflow::CancelToken;

use crate::common::lock;

/// Shared by the streaming thread and those who stop it.
#[derive(Debug, Default)]
pub(super) struct Interrupt {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    flushing: bool,
    /// How often it began to flush.
    flushes: u64,
    paused: bool,
    cancel_token: CancelToken,
}

impl Interrupt {
    /// Starts again, with the token that ends waits for frames.
    pub(super) fn start(&self, paused: bool) -> CancelToken {
        let cancel_token = CancelToken::new();
        *lock(&self.state) = State { paused, cancel_token: cancel_token.clone(), ..State::default() };
        self.set(|_| ());
        cancel_token
    }

    pub(super) fn set_flushing(&self, flushing: bool) {
        self.set(|state| {
            state.flushing = flushing;
            state.flushes = state.flushes.wrapping_add(u64::from(flushing));
        });
    }

    /// How often a flush began.
    pub(super) fn flushes(&self) -> u64 {
        lock(&self.state).flushes
    }

    pub(super) fn set_paused(&self, paused: bool) {
        self.set(|state| state.paused = paused);
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        let mut state = lock(&self.state);
        change(&mut state);
        if state.flushing || state.paused {
            state.cancel_token.cancel();
        } else {
            state.cancel_token.reset();
        }
        self.changed.notify_all();
    }

    /// Waits while the source is paused; `false` if it is flushing, or was since [`flushes`](Self::flushes) said so.
    pub(super) fn wait_until_playing(&self, flushes: u64) -> bool {
        let flushed = |state: &State| state.flushing || state.flushes != flushes;
        let state = lock(&self.state);
        let state = self.changed.wait_while(state, |state| state.paused && !flushed(state));
        !flushed(&state.unwrap_or_else(PoisonError::into_inner))
    }
}
