//! Where the streaming thread waits until a consumer is there.
//!
//! It waits inside `gst_base_sink_wait_preroll`, as the base class itself does in PAUSED: that is the only wait during
//! which it does not hold the lock that every change of state takes. A wait of our own would have to end before a
//! change of state begins, and there are changes that the base class does not announce.

use std::sync::{Mutex, MutexGuard, PoisonError};

use gstreamer_base as gst_base;

/// How many consumers there are, and whether the streaming thread waits for the first.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    clients: u32,
    playing: bool,
    waiting: bool,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn clients(&self) -> u32 {
        self.lock().clients
    }

    /// Takes a new number of consumers; whether it is another one, and wakes the streaming thread if it waits for it.
    pub(super) fn set_clients(&self, sink: &gst_base::BaseSink, clients: u32) -> bool {
        let (before, wake) = {
            let mut state = self.lock();
            let wake = state.waiting && clients > 0;
            (std::mem::replace(&mut state.clients, clients), wake)
        };
        if wake {
            super::preroll::wake(sink);
        }
        before != clients
    }

    /// Whether the element is in PLAYING, or on its way there. Set before the base class knows, so that whoever it
    /// wakes sees it.
    pub(super) fn set_playing(&self, playing: bool) {
        self.lock().playing = playing;
    }

    /// Whether frames may pass. If not, the streaming thread is to wait in `wait_preroll`, which ends when the answer
    /// may be another one, and to ask again.
    pub(super) fn is_open(&self) -> bool {
        let mut state = self.lock();
        let open = state.playing && state.clients > 0;
        state.waiting = !open;
        open
    }
}
