//! What a producer and its open frames share: the ring's producer, and the waits for a slot.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use shmflow::CancelToken;

use crate::errors::{OrRaise, raise};
use crate::fork::Origin;

/// What a producer and its open frames share.
pub(crate) struct Shared {
    pub(crate) inner: Mutex<Option<Arc<shmflow::Producer>>>,
    pub(crate) topic: String,
    pub(crate) origin: Origin,
    pub(crate) is_lossless: bool,
    pub(crate) cancel_token: CancelToken,
    /// Why a wait was cancelled.
    pub(crate) raised: Arc<Mutex<Option<PyErr>>>,
}

impl Shared {
    /// The producer, unless it is closed or belongs to the parent process.
    pub(crate) fn open(&self, py: Python<'_>) -> PyResult<Arc<shmflow::Producer>> {
        self.origin.check(py, "producer", &self.topic)?;
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner).clone();
        inner.ok_or_else(|| closed(py, &self.topic))
    }

    /// A slot of `len` bytes. A lossless producer may wait for it.
    pub(crate) fn claim(
        &self,
        py: Python<'_>,
        producer: &shmflow::Producer,
        len: usize,
    ) -> PyResult<shmflow::Claim> {
        self.waiting(py, || producer.claim(len))
    }

    /// Does what may wait, and so must not keep the interpreter from those who are waited for.
    pub(crate) fn waiting<T: Send>(
        &self,
        py: Python<'_>,
        wait: impl FnOnce() -> shmflow::Result<T> + Send,
    ) -> PyResult<T> {
        let done = if self.is_lossless { py.detach(wait) } else { wait() };
        if matches!(done, Err(shmflow::Error::Cancelled { .. })) {
            // By a signal handler that raised, or by `close` in another thread.
            let raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner).take();
            return Err(raised.unwrap_or_else(|| closed(py, &self.topic)));
        }
        done.or_raise(py)
    }
}

/// A producer that can no longer be used.
fn closed(py: Python<'_>, topic: &str) -> PyErr {
    raise(py, "Closed", format!("this producer of topic `{topic}` is closed; open another one"))
}
