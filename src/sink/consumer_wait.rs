//! Where the streaming thread waits until a consumer is there.
//!
//! It waits inside `gst_base_sink_wait_preroll`, as the base class itself does in PAUSED: that is the only wait during
//! which it does not hold the lock that every change of state takes. A wait of our own would have to end before a
//! change of state begins, and there are changes that the base class does not announce.
//!
//! While it waits, nothing comes through upstream, and so no end of stream either. Who asks a pipeline to end
//! (`gst-launch-1.0 -e` on Ctrl-C) sends the end to its source elements. A sink that may hold the stream is marked as one,
//! too, hears of it, and lets go.
#![allow(unsafe_code)]

use std::sync::Mutex;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer_base as gst_base;

use glib::subclass::prelude::*;
use gst_base::prelude::*;

use crate::common::lock;

/// How many consumers there are, and whether the streaming thread waits for the first.
#[derive(Debug, Default)]
pub(super) struct ConsumerWait {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    clients: u32,
    playing: bool,
    waiting: bool,
    /// Nobody is waited for any more: the stream is to end.
    ending: bool,
}

/// Whether a frame may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passage {
    Open,
    /// The streaming thread is to wait in `wait_preroll`, which ends when the answer may be another one, and to ask again.
    Wait,
    /// There is nobody to pass it to, and there will be nobody.
    Ending,
}

impl ConsumerWait {
    pub(super) fn clients(&self) -> u32 {
        lock(&self.state).clients
    }

    /// Takes a new number of consumers; whether it is another one, and wakes the streaming thread if it waits for it.
    pub(super) fn set_clients(&self, sink: &gst_base::BaseSink, clients: u32) -> bool {
        let (before, waits) = {
            let mut state = lock(&self.state);
            let waits = state.waiting && clients > 0;
            (std::mem::replace(&mut state.clients, clients), waits)
        };
        if waits {
            wake(sink);
        }
        before != clients
    }

    /// Whether the element is in PLAYING, or on its way there. Set before the base class knows, so that whoever it
    /// wakes sees it.
    pub(super) fn set_playing(&self, playing: bool) {
        lock(&self.state).playing = playing;
    }

    /// Waits until the element plays, for a streaming thread whose own wait was ended by `unlock`. An error when it is flushed.
    ///
    /// One return of `wait_preroll` does not say so: played and paused again in between, the element is paused, and another
    /// wait of our own, with the lock, would keep it from ever playing.
    pub(super) fn until_playing(&self, sink: &gst_base::BaseSink) -> Result<(), gst::FlowError> {
        loop {
            sink.wait_preroll()?;
            if lock(&self.state).playing {
                return Ok(());
            }
        }
    }

    /// The stream is to end: it is not held any more, now or later.
    pub(super) fn end(&self, sink: &gst_base::BaseSink) {
        let waits = {
            let mut state = lock(&self.state);
            state.ending = true;
            state.waiting
        };
        if waits {
            wake(sink);
        }
    }

    /// The stream has ended, or begins again.
    pub(super) fn reset(&self) {
        let mut state = lock(&self.state);
        (state.ending, state.waiting) = (false, false);
    }

    /// Whether frames may pass.
    pub(super) fn passage(&self) -> Passage {
        let mut state = lock(&self.state);
        let passage = match (state.clients, state.ending) {
            (1.., _) if state.playing => Passage::Open,
            (0, true) => Passage::Ending,
            _ => Passage::Wait,
        };
        state.waiting = passage == Passage::Wait;
        passage
    }
}

/// Wakes the streaming thread if it waits in `wait_preroll`, for which there is no function in C. Waits until it does, or
/// is not in this sink: not to be called with a lock that it may take.
fn wake(sink: &gst_base::BaseSink) {
    let sink: *mut gst_base::ffi::GstBaseSink = sink.as_ptr();
    // SAFETY: the sink is alive, and both fields are part of its public structure (the macros GST_BASE_SINK_PREROLL_LOCK
    // and GST_BASE_SINK_PREROLL_SIGNAL use them). Under the lock no wake-up is lost: whoever decided to wait has it
    // until it waits.
    unsafe {
        let lock = &raw mut (*sink).preroll_lock;
        glib::ffi::g_mutex_lock(lock);
        glib::ffi::g_cond_signal(&raw mut (*sink).preroll_cond);
        glib::ffi::g_mutex_unlock(lock);
    }
}

/// Has the base class take a list of buffers apart, so that each is published when its time has come. The bindings would
/// have it render the whole list at the time of its first buffer.
pub(super) fn take_lists_apart(class: &mut <super::imp::ShmflowSink as ObjectSubclass>::Class) {
    let class: *mut gst_base::ffi::GstBaseSinkClass = std::ptr::from_mut(class).cast();
    // SAFETY: the class structure of a subclass begins with its parent's, and it is being initialised by this thread.
    unsafe {
        (*class).render_list = None;
    }
}
