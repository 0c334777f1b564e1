//! Where the streaming thread waits until a consumer is there.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How many consumers there are, and a place to wait for the first.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    clients: u32,
    flushing: bool,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn clients(&self) -> u32 {
        self.lock().clients
    }

    /// Takes a new number of consumers; whether it is another one.
    pub(super) fn set_clients(&self, clients: u32) -> bool {
        let before = std::mem::replace(&mut self.lock().clients, clients);
        self.changed.notify_all();
        before != clients
    }

    /// Ends waits, or lets them be again.
    pub(super) fn set_flushing(&self, flushing: bool) {
        self.lock().flushing = flushing;
        self.changed.notify_all();
    }

    /// Waits for a consumer; `false` if the wait was ended before one came.
    pub(super) fn wait(&self) -> bool {
        let state = self
            .changed
            .wait_while(self.lock(), |state| state.clients == 0 && !state.flushing)
            .unwrap_or_else(PoisonError::into_inner);
        state.clients > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::Arc;
    use std::thread;

    #[test]
    fn a_consumer_opens_it_and_flushing_ends_the_wait() {
        let gate = Arc::new(Gate::default());
        let waiter = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || gate.wait())
        };
        gate.set_flushing(true);
        assert!(!waiter.join().expect("the waiter returns"));
        assert!(!gate.wait(), "still flushing");
        gate.set_flushing(false);
        let waiter = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || gate.wait())
        };
        assert!(gate.set_clients(2));
        assert!(waiter.join().expect("the waiter returns"));
        assert!(!gate.set_clients(2), "no change");
        assert!(gate.wait());
    }
}
