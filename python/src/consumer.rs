//! Reading frames.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use shmflow::meta::VideoLayout;
use shmflow::{CancelToken, ConsumerStats, Delivery, Error, OnLapped, StartAt};

use crate::caps::{self, Caps};
use crate::described::Known;
use crate::errors::{OrRaise, failed, raise};
use crate::fork::Origin;
use crate::frame::Frame;
use crate::settings;

/// Reads frames from a topic, each once and in order.
///
/// It waits for the topic if it does not exist yet. Iteration gives frames until the stream ends. Use a consumer from one
/// thread at a time; any thread may call `close`.
#[pyclass(module = "shmflow", frozen, weakref)]
pub(crate) struct Consumer {
    inner: Mutex<Option<shmflow::Consumer>>,
    cancel_token: CancelToken,
    /// The exception that a signal handler raised during a wait.
    raised: Arc<Mutex<Option<PyErr>>>,
    closed: AtomicBool,
    stats: Mutex<ConsumerStats>,
    leases: Arc<AtomicU32>,
    known: Arc<Known>,
    topic: Arc<str>,
    timeout: Option<Duration>,
    /// Every frame is a copy, which takes time.
    copies: bool,
    origin: Origin,
}

/// The result of a wait.
enum Outcome {
    Frame(shmflow::Frame),
    Nothing,
    Failed(Error),
    Closed,
    /// Another thread is waiting.
    Taken,
}

impl Consumer {
    fn receive(
        &self,
        py: Python<'_>,
        wait: impl Send + FnOnce(&mut shmflow::Consumer) -> shmflow::Result<Option<shmflow::Frame>>,
        blocking: bool,
    ) -> PyResult<Option<Frame>> {
        self.check_fork(py)?;
        let attempt = || match self.inner.try_lock() {
            Ok(mut guard) => self.attempt(guard.as_mut(), wait),
            Err(TryLockError::Poisoned(poisoned)) => self.attempt(poisoned.into_inner().as_mut(), wait),
            Err(TryLockError::WouldBlock) => Outcome::Taken,
        };
        // Trying to lease takes less time than releasing the interpreter.
        let outcome = if blocking || self.copies { py.detach(attempt) } else { attempt() };
        match outcome {
            Outcome::Frame(frame) => {
                Ok(Some(Frame::new(frame, &self.leases, &self.known, &self.topic, self.origin)))
            }
            Outcome::Nothing => Ok(None),
            Outcome::Failed(Error::Cancelled { .. }) => Err(self.interrupted(py)),
            Outcome::Failed(error) => Err(failed(py, error)),
            Outcome::Closed => Err(self.closed_error(py)),
            Outcome::Taken => Err(PyRuntimeError::new_err(format!(
                "another thread is receiving from this consumer of topic `{}`; open one consumer for each thread",
                self.topic
            ))),
        }
    }

    fn attempt(
        &self,
        consumer: Option<&mut shmflow::Consumer>,
        wait: impl FnOnce(&mut shmflow::Consumer) -> shmflow::Result<Option<shmflow::Frame>>,
    ) -> Outcome {
        let Some(consumer) = consumer else { return Outcome::Closed };
        let result = wait(consumer);
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = consumer.stats();
        match result {
            Ok(Some(frame)) => Outcome::Frame(frame),
            Ok(None) => Outcome::Nothing,
            Err(error) => Outcome::Failed(error),
        }
    }

    /// The next frame; waits as long as requested.
    fn wait(&self, py: Python<'_>, timeout: Option<Duration>) -> PyResult<Frame> {
        // Usually there is a frame, or the call must not wait; neither needs to release the interpreter.
        let frame = self.receive(py, shmflow::Consumer::try_recv, false)?;
        if let Some(frame) = frame {
            return Ok(frame);
        }
        let wait = move |consumer: &mut shmflow::Consumer| {
            match timeout {
                Some(timeout) => consumer.recv_timeout(timeout),
                None => consumer.recv(),
            }
            .map(Some)
        };
        self.receive(py, wait, true)?.ok_or_else(|| self.closed_error(py))
    }

    /// Why a wait was cancelled.
    fn interrupted(&self, py: Python<'_>) -> PyErr {
        let raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner).take();
        raised.unwrap_or_else(|| self.closed_error(py))
    }

    fn closed_error(&self, py: Python<'_>) -> PyErr {
        raise(py, "Closed", format!("this consumer of topic `{}` is closed", self.topic))
    }

    fn check_fork(&self, py: Python<'_>) -> PyResult<()> {
        self.origin.check(py, "consumer", &self.topic)
    }

    /// Does something with the open consumer, unless another thread is waiting with it.
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        act: impl Send + FnOnce(&mut shmflow::Consumer) -> shmflow::Result<T>,
    ) -> PyResult<T> {
        self.check_fork(py)?;
        let result = match self.inner.try_lock() {
            Ok(mut guard) => guard.as_mut().map(act),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().as_mut().map(act),
            Err(TryLockError::WouldBlock) => {
                return Err(PyRuntimeError::new_err(format!(
                    "another thread is receiving from this consumer of topic `{}`",
                    self.topic
                )));
            }
        };
        result.ok_or_else(|| self.closed_error(py))?.or_raise(py)
    }
}

#[pymethods]
impl Consumer {
    #[new]
    #[pyo3(signature = (topic, *, connect_timeout = None, timeout = None, start = "oldest", on_lapped = "oldest", delivery = "all",
        max_leases = None, allow_copies = true, report_no_producer = false, read_only = false, caps = None, format = None, width = None, height = None, accepted_caps = "",
        name = None, directory = None, allow_foreign_owner = false, prefault = true, copy = false))]
    #[allow(clippy::too_many_arguments, reason = "keyword arguments")]
    fn new(
        py: Python<'_>,
        topic: &str,
        connect_timeout: Option<f64>,
        timeout: Option<f64>,
        start: &str,
        on_lapped: &str,
        delivery: &str,
        max_leases: Option<u32>,
        allow_copies: bool,
        report_no_producer: bool,
        read_only: bool,
        caps: Option<&str>,
        format: Option<&str>,
        width: Option<u32>,
        height: Option<u32>,
        accepted_caps: &str,
        name: Option<&str>,
        directory: Option<PathBuf>,
        allow_foreign_owner: bool,
        prefault: bool,
        copy: bool,
    ) -> PyResult<Self> {
        let known = Arc::new(Known::new(fallback(py, caps, format, width, height)?));
        let starts = [("oldest", StartAt::Oldest), ("newest", StartAt::Newest)];
        let deliveries = [("all", Delivery::All), ("latest", Delivery::Latest)];
        let lapses = [("oldest", OnLapped::Oldest), ("newest", OnLapped::Newest)];
        let raised = Arc::new(Mutex::new(None));
        let cancel_token = signal_aware(&raised);
        let mut builder = shmflow::Consumer::builder(topic)
            .start(settings::choose(py, "start", start, &starts)?)
            .on_lapped(settings::choose(py, "on_lapped", on_lapped, &lapses)?)
            .delivery(settings::choose(py, "delivery", delivery, &deliveries)?)
            .allow_copies(allow_copies)
            .report_no_producer(report_no_producer)
            .read_only(read_only)
            .accepted_caps(accepted_caps)
            .allow_foreign_owner(allow_foreign_owner)
            .prefault(prefault)
            // No line of Python is to kill the process: not every library heeds that an array is read-only.
            .copy_on_write(true)
            .always_copy(copy)
            .cancel_token(&cancel_token);
        if connect_timeout != Some(0.0) {
            builder = builder.connect_timeout(settings::duration(py, "connect_timeout", connect_timeout)?);
        }
        if let Some(leases) = max_leases {
            builder = builder.max_leases(leases);
        }
        if let Some(name) = name {
            builder = builder.name(name);
        }
        if let Some(directory) = directory {
            builder = builder.dir(directory);
        }
        let timeout = settings::duration(py, "timeout", timeout)?;
        let origin = Origin::here();
        let consumer = match py.detach(|| builder.open()) {
            Ok(consumer) => consumer,
            Err(error @ Error::Cancelled { .. }) => {
                let raised = raised.lock().unwrap_or_else(PoisonError::into_inner).take();
                return Err(raised.unwrap_or_else(|| failed(py, error)));
            }
            Err(error) => return Err(failed(py, error)),
        };
        Ok(Self {
            inner: Mutex::new(Some(consumer)),
            cancel_token,
            raised,
            closed: AtomicBool::new(false),
            stats: Mutex::default(),
            leases: Arc::default(),
            known,
            topic: topic.into(),
            timeout,
            copies: read_only || copy,
            origin,
        })
    }

    /// The next frame. Waits for at most `timeout` seconds; by default for the consumer's own `timeout`, which by default
    /// is for ever.
    #[pyo3(signature = (timeout = None))]
    fn recv(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Frame> {
        let timeout = settings::duration(py, "timeout", timeout)?.or(self.timeout);
        self.wait(py, timeout)
    }

    /// The next frame if there is one, else None. Makes no system call.
    fn try_recv(&self, py: Python<'_>) -> PyResult<Option<Frame>> {
        self.receive(py, shmflow::Consumer::try_recv, false)
    }

    /// Skips all frames in the ring but the newest. They do not count as lost.
    fn skip_to_newest(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, shmflow::Consumer::skip_to_newest)
    }

    /// Asks the producers of an encoded stream for a key frame, which a consumer needs that joined or lost frames. Whether
    /// they heed it is up to them. False if this consumer cannot ask: read-only, or one too many. Wait a moment before asking
    /// again.
    fn request_key_frame(&self, py: Python<'_>) -> PyResult<bool> {
        self.with(py, |consumer| consumer.request_key_frame())
    }

    /// States the caps that this consumer accepts, for producers to read: as GStreamer writes them; empty for not stated.
    fn set_accepted_caps(&self, py: Python<'_>, caps: &str) -> PyResult<()> {
        self.with(py, |consumer| consumer.set_accepted_caps(caps))
    }

    /// The topic's name.
    #[getter]
    fn topic(&self) -> &str {
        &self.topic
    }

    /// The sequence number of the next frame to be received.
    #[getter]
    fn position(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |consumer| Ok(consumer.position()))
    }

    /// The number of producers.
    #[getter]
    fn producer_count(&self, py: Python<'_>) -> PyResult<u32> {
        self.with(py, |consumer| Ok(consumer.stream_status().producers))
    }

    /// Whether the producers have ended the stream.
    #[getter]
    fn ended(&self, py: Python<'_>) -> PyResult<bool> {
        self.with(py, |consumer| Ok(consumer.stream_status().ended))
    }

    /// Statistics as a dictionary: `received`, `lost` and `copied` frames, `bytes`, and the frames that this consumer holds
    /// in shared memory now (`leases`).
    #[getter]
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.check_fork(py)?;
        let stats = *self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        let dict = PyDict::new(py);
        dict.set_item("received", stats.received)?;
        dict.set_item("lost", stats.lost)?;
        dict.set_item("copied", stats.copied)?;
        dict.set_item("bytes", stats.bytes)?;
        dict.set_item("leases", self.leases.load(SeqCst))?;
        Ok(dict)
    }

    /// A file descriptor for `select` and event loops: readable when there may be a frame for `try_recv`, or the end of
    /// the stream for `recv(0)`. It stays the same until the consumer is closed. Occasionally it is readable without one.
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        use std::os::fd::AsRawFd;
        self.with(py, |consumer| Ok(consumer.poll_fd()?.as_raw_fd()))
    }

    /// Leaves the topic. A wait in another thread ends. Received frames stay valid.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.check_fork(py)?;
        self.closed.store(true, SeqCst);
        self.cancel_token.cancel();
        let taken = py.detach(|| self.inner.lock().unwrap_or_else(PoisonError::into_inner).take());
        drop(taken);
        Ok(())
    }

    /// Whether `close` was called.
    #[getter]
    fn closed(&self) -> bool {
        self.closed.load(SeqCst)
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: Py<PyAny>,
        _value: Py<PyAny>,
        _traceback: Py<PyAny>,
    ) -> PyResult<()> {
        if self.origin.is_here() { self.close(py) } else { Ok(()) }
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Frame>> {
        if self.closed() {
            return Ok(None);
        }
        match self.wait(py, self.timeout) {
            Ok(frame) => Ok(Some(frame)),
            // The end, or `close` in another thread.
            Err(error) if is_end(py, &error, self.closed()) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(format!(
            "a consumer cannot be pickled: open topic `{}` by its name in the other process",
            self.topic
        )))
    }

    fn __repr__(&self) -> String {
        let state = if self.closed() { ", closed" } else { "" };
        format!("<shmflow.Consumer of {:?}{state}>", self.topic)
    }
}

fn is_end(py: Python<'_>, error: &PyErr, closed: bool) -> bool {
    let class = error.get_type(py);
    let name = class.name();
    name.is_ok_and(|name| name == "Ended" || (closed && name == "Closed"))
}

/// A cancel token that ends a wait when a Python signal handler raises an exception (Ctrl-C: KeyboardInterrupt).
pub(crate) fn signal_aware(raised: &Arc<Mutex<Option<PyErr>>>) -> CancelToken {
    let raised = Arc::clone(raised);
    CancelToken::with_check(move || {
        let error = Python::try_attach(|py| py.check_signals().err()).flatten();
        let ends = error.is_some();
        if let Some(error) = error {
            *raised.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
        ends
    })
}

/// The layout and caps for frames that carry none.
fn fallback(
    py: Python<'_>,
    text: Option<&str>,
    format: Option<&str>,
    width: Option<u32>,
    height: Option<u32>,
) -> PyResult<Option<(VideoLayout, String)>> {
    let invalid = |why: String| raise(py, "InvalidArgument", why);
    match (text, format, width, height) {
        (None, None, None, None) => Ok(None),
        (Some(text), None, None, None) => {
            let layout = Caps::parse(text).and_then(|caps| caps.layout());
            let (layout, _) = layout.ok_or_else(|| {
                invalid(format!(
                    "caps {text:?} do not describe a frame: they need video/x-raw with a known format, width and \
                     height"
                ))
            })?;
            Ok(Some((layout, text.to_owned())))
        }
        (None, Some(format), Some(width), Some(height)) => {
            let layout = settings::layout(py, format, width, height, (0, 1))?;
            let text = caps::text(&layout);
            Ok(Some((layout, text)))
        }
        _ => Err(invalid("give either caps, or format, width and height".into())),
    }
}
