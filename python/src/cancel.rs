//! Ending waits from elsewhere: by a signal handler that raises, or by a token that the program keeps.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use pyo3::prelude::*;

use crate::checkout::Checkout;

/// A cancel token that ends a wait when a Python signal handler raises an exception (Ctrl-C: KeyboardInterrupt).
pub(crate) fn signal_aware(raised: &Arc<Mutex<Option<PyErr>>>) -> shmflow::CancelToken {
    let raised = Arc::clone(raised);
    shmflow::CancelToken::with_check(move || {
        let error = Python::try_attach(|py| py.check_signals().err()).flatten();
        let ends = error.is_some();
        if let Some(error) = error {
            *raised.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
        ends
    })
}

#[derive(Debug, Default)]
struct State {
    cancelled: bool,
    consumers: Vec<Weak<Checkout>>,
}

/// Ends waits from another thread, or from a signal handler: of consumers that were opened with `cancel_token=` this, also while
/// they wait for their topic. Those calls, and later ones that would wait, raise `Cancelled` until `reset`.
#[pyclass(module = "shmflow", frozen, weakref)]
#[derive(Debug, Default)]
pub(crate) struct CancelToken {
    state: Mutex<State>,
}

impl CancelToken {
    /// Also this one's waits are to end.
    pub(crate) fn serve(&self, consumer: &Arc<Checkout>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.consumers.retain(|consumer| consumer.strong_count() != 0);
        state.consumers.push(Arc::downgrade(consumer));
        if state.cancelled {
            consumer.cancel_token().cancel();
        }
    }

    fn set(&self, cancelled: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.cancelled = cancelled;
        for consumer in state.consumers.iter().filter_map(Weak::upgrade) {
            if cancelled {
                consumer.cancel_token().cancel();
            } else if !consumer.is_closed() {
                consumer.cancel_token().reset();
                // Its wait is to end all the same if it was closed between the two.
                if consumer.is_closed() {
                    consumer.cancel_token().cancel();
                }
            }
        }
    }
}

#[pymethods]
impl CancelToken {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Ends the waits under way and to come.
    fn cancel(&self, py: Python<'_>) {
        py.detach(|| self.set(true));
    }

    /// Allows waits again.
    fn reset(&self, py: Python<'_>) {
        py.detach(|| self.set(false));
    }

    /// Whether waits end at once.
    #[getter]
    fn cancelled(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).cancelled
    }

    fn __repr__(&self) -> String {
        format!("<shmflow.CancelToken{}>", if self.cancelled() { ", cancelled" } else { "" })
    }
}
