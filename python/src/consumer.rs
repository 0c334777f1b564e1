//! Reading frames.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use shmflow::{Delivery, Error, OnLapped, StartAt};

use crate::awaiting::AsyncFrames;
use crate::cancel::CancelToken;
pub(crate) use crate::cancel::signal_aware;
use crate::checkout::{Checkout, Refusal};
use crate::described::Known;
use crate::errors::{OrRaise, failed, is_class, raise};
use crate::fork::Origin;
use crate::frame::Frame;
use crate::opening::{Opening, fallback, log};
use crate::reader::{Reader, Received, Sums, Wait};
use crate::settings;

/// Reads frames from a topic, each once and in order.
///
/// It waits for the topic if it does not exist yet. Iteration gives frames until the stream ends. Use a consumer from one
/// thread at a time; any thread may call `close`.
#[pyclass(module = "shmflow", frozen, weakref)]
pub(crate) struct Consumer {
    checkout: Arc<Checkout>,
    opening: Opening,
    /// What was received, so that looking at it waits for nobody.
    stats: Mutex<Sums>,
    leases: Arc<AtomicU32>,
    known: Arc<Known>,
    timeout: Option<Duration>,
    /// Every frame is a copy, which takes time.
    copies: bool,
    origin: Origin,
}

impl Consumer {
    fn topic_name(&self) -> &Arc<str> {
        &self.opening.topic
    }

    fn receive(&self, py: Python<'_>, wait: Wait) -> PyResult<Received<Frame>> {
        self.check_fork(py)?;
        let attempt = || {
            self.checkout.with(|reader| {
                let received = reader.receive(wait);
                *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = reader.sums();
                received
            })
        };
        // Trying to lease takes less time than releasing the interpreter.
        let detaches = self.copies || matches!(wait, Wait::Until(_));
        let outcome = if detaches { py.detach(attempt) } else { attempt() };
        match outcome.map_err(|refusal| self.refused(py, refusal))? {
            Ok(Received::Frame(frame)) => {
                let (leases, known) = (&self.leases, &self.known);
                Ok(Received::Frame(Frame::new(frame, leases, known, self.topic_name(), self.origin)))
            }
            Ok(Received::Nothing) => Ok(Received::Nothing),
            Ok(Received::NoTopic) => Ok(Received::NoTopic),
            Err(Error::Cancelled { .. }) => Err(self.opening.cancelled(py, &self.checkout)),
            Err(error) => Err(failed(py, error)),
        }
    }

    /// The next frame; waits as long as requested, also for a topic that was removed and is to be opened again.
    fn wait(&self, py: Python<'_>, timeout: Option<Duration>) -> PyResult<Frame> {
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            // Usually there is a frame, or the call must not wait; neither needs to release the interpreter.
            if let Received::Frame(frame) = self.receive(py, Wait::No)? {
                return Ok(frame);
            }
            match self.receive(py, Wait::Until(end))? {
                Received::Frame(frame) => return Ok(frame),
                Received::Nothing => return Err(self.refused(py, Refusal::Closed)),
                Received::NoTopic => self.wait_for_topic(py, end)?,
            }
        }
    }

    fn wait_for_topic(&self, py: Python<'_>, end: Option<Instant>) -> PyResult<()> {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        self.opening.wait(py, &self.checkout, left, |left| {
            let opened = py.detach(|| self.checkout.with(|reader| reader.wait_for_topic(left)));
            opened.map_err(|refusal| self.refused(py, refusal))
        })
    }

    /// For event loops: the next frame if there is one. Also reports the end, and a removal.
    pub(crate) fn poll(&self, py: Python<'_>) -> PyResult<Option<Frame>> {
        Ok(self.receive(py, Wait::End)?.frame())
    }

    /// Another descriptor that is readable as `fileno` is, and once the consumer is closed.
    pub(crate) fn own_descriptor(&self, py: Python<'_>) -> PyResult<OwnedFd> {
        let duplicate = self.with(py, |reader| Ok(reader.fd()?.map(|fd| fd.try_clone_to_owned())))?;
        Ok(duplicate.ok_or_else(|| self.refused(py, Refusal::Closed))??)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.checkout.is_closed()
    }

    fn refused(&self, py: Python<'_>, refusal: Refusal) -> PyErr {
        let topic = self.topic_name();
        match refusal {
            Refusal::Closed => raise(py, "Closed", format!("this consumer of topic `{topic}` is closed")),
            Refusal::Busy => PyRuntimeError::new_err(format!(
                "another thread is receiving from this consumer of topic `{topic}`, or the code that this signal handler \
                 interrupted; open one consumer for each thread"
            )),
        }
    }

    fn check_fork(&self, py: Python<'_>) -> PyResult<()> {
        self.origin.check(py, "consumer", self.topic_name())
    }

    /// Does something with the open consumer, unless another thread is waiting with it.
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        act: impl Send + FnOnce(&mut Reader) -> shmflow::Result<T>,
    ) -> PyResult<T> {
        self.check_fork(py)?;
        self.checkout.with(act).map_err(|refusal| self.refused(py, refusal))?.or_raise(py)
    }
}

#[pymethods]
impl Consumer {
    #[new]
    #[pyo3(signature = (topic, *, connect_timeout = None, timeout = None, latest = false, start = "oldest", max_age = None,
        max_rate = None, busy_wait = None, share = None, reconnect = false, cancel_token = None, on_lapped = "oldest", delivery = "all",
        max_leases = None, allow_copies = true, report_no_producer = false, read_only = false, caps = None, format = None, width = None, height = None, accepted_caps = "",
        name = None, directory = None, allow_foreign_owner = false, prefault = true, copy = false))]
    #[allow(clippy::too_many_arguments, reason = "keyword arguments")]
    fn new(
        py: Python<'_>,
        topic: &str,
        connect_timeout: Option<f64>,
        timeout: Option<f64>,
        latest: bool,
        start: &str,
        max_age: Option<f64>,
        max_rate: Option<f64>,
        busy_wait: Option<f64>,
        share: Option<(u32, u32)>,
        reconnect: bool,
        cancel_token: Option<&CancelToken>,
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
        let starts = [("oldest", StartAt::Oldest), ("newest", StartAt::Newest), ("next", StartAt::Next)];
        let deliveries = [("all", Delivery::All), ("latest", Delivery::Latest)];
        let lapses = [("oldest", OnLapped::Oldest), ("newest", OnLapped::Newest)];
        let checkout = Checkout::new();
        if let Some(cancel_token) = cancel_token {
            cancel_token.serve(&checkout);
        }
        let mut builder = shmflow::Consumer::builder(topic)
            .latest(latest)
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
            .cancel_token(checkout.cancel_token());
        if let Some(rate) = max_rate {
            builder = builder.max_rate(rate);
        }
        if let Some((index, of)) = share {
            builder = builder.share(index, of);
        }
        if let Some(leases) = max_leases {
            builder = builder.max_leases(leases);
        }
        if let Some(name) = name {
            builder = builder.name(name);
        }
        if let Some(directory) = &directory {
            builder = builder.dir(directory);
        }
        let timeout = settings::duration(py, "timeout", timeout)?;
        if let Some(at_most) = settings::duration(py, "busy_wait", busy_wait)? {
            builder = builder.busy_wait(at_most);
        }
        if let Some(limit) = settings::duration(py, "max_age", max_age)? {
            builder = builder.max_age(limit);
        }
        let connect_timeout = settings::duration(py, "connect_timeout", connect_timeout)?;
        let origin = Origin::here();
        let opening = Opening { builder, topic: topic.into(), directory, reconnects: reconnect };
        let consumer = opening.open(py, &checkout, connect_timeout)?;
        let depth = consumer.geometry().depth;
        if let Some(leases) = max_leases.filter(|leases| *leases > depth) {
            let text = format!(
                "max_leases={leases} of a consumer of topic `{topic}`, whose ring has a depth of {depth}: of what it holds, at \
                 most {depth} frames or so are in shared memory, and the others are copies; a producer with a greater depth \
                 changes that"
            );
            log(py, "warning", &text);
        }
        checkout.put(Reader::new(consumer, reconnect));
        Ok(Self {
            checkout,
            opening,
            stats: Mutex::default(),
            leases: Arc::default(),
            known,
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
        Ok(self.receive(py, Wait::No)?.frame())
    }

    /// Whether receiving would give something at once: a frame, the end of the stream, an error.
    fn _is_ready(&self, py: Python<'_>) -> PyResult<bool> {
        self.with(py, Reader::is_ready)
    }

    /// Skips all frames in the ring but the newest. They do not count as lost.
    fn skip_to_newest(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, Reader::skip_to_newest)
    }

    /// Asks the producers of an encoded stream for a key frame, which a consumer needs that joined or lost frames. Whether
    /// they heed it is up to them. False if this consumer cannot ask: read-only, or one too many. Wait a moment before asking
    /// again.
    fn request_key_frame(&self, py: Python<'_>) -> PyResult<bool> {
        self.with(py, Reader::request_key_frame)
    }

    /// States the caps that this consumer accepts, for producers to read: as GStreamer writes them; empty for not stated.
    fn set_accepted_caps(&self, py: Python<'_>, caps: &str) -> PyResult<()> {
        self.with(py, |reader| reader.set_accepted_caps(caps))
    }

    /// The topic's name.
    #[getter]
    fn topic(&self) -> &str {
        self.topic_name()
    }

    /// The sequence number of the next frame to be received; 0 while a topic that was removed is not there again.
    #[getter]
    fn position(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |reader| Ok(reader.position()))
    }

    /// The number of producers.
    #[getter]
    fn producer_count(&self, py: Python<'_>) -> PyResult<u32> {
        self.with(py, |reader| Ok(reader.stream_status().producers))
    }

    /// Whether the producers have ended the stream.
    #[getter]
    fn ended(&self, py: Python<'_>) -> PyResult<bool> {
        self.with(py, |reader| Ok(reader.stream_status().ended))
    }

    /// Statistics as a dictionary: `received`, `lost` and `copied` frames, `bytes`, those `skipped` as older than `max_age`
    /// (which are received, too), those `expected` by `busy_wait`, and the frames that this consumer holds in shared memory now (`leases`).
    #[getter]
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.check_fork(py)?;
        let sums = *self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        let dict = PyDict::new(py);
        for (name, sum) in ["received", "lost", "copied", "bytes", "skipped", "expected"].iter().zip(sums) {
            dict.set_item(name, sum)?;
        }
        dict.set_item("leases", self.leases.load(SeqCst))?;
        Ok(dict)
    }

    /// A file descriptor for `select` and event loops: readable when there may be a frame for `try_recv`, or the end of
    /// the stream for `recv(0)`. It stays the same until the consumer is closed. Occasionally it is readable without one.
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        use std::os::fd::AsRawFd;
        let fd = self.with(py, |reader| Ok(reader.fd()?.map(|fd| fd.as_raw_fd())))?;
        fd.ok_or_else(|| self.refused(py, Refusal::Closed))
    }

    /// Leaves the topic. A wait ends, be it in another thread, or the one that a signal handler has interrupted, which leaves
    /// the topic when the handler returns. Received frames stay valid.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.check_fork(py)?;
        py.detach(|| self.checkout.close());
        Ok(())
    }

    /// Whether `close` was called.
    #[getter]
    fn closed(&self) -> bool {
        self.is_closed()
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
            Err(error) if is_class(py, &error, "Ended") => Ok(None),
            Err(error) if self.closed() && is_class(py, &error, "Closed") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// For `async for`: frames until the stream ends, in an asyncio loop, without a thread for each wait.
    fn __aiter__(slf: Py<Self>) -> AsyncFrames {
        AsyncFrames::new(slf)
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(format!(
            "a consumer cannot be pickled: open topic `{}` by its name in the other process",
            self.topic_name()
        )))
    }

    fn __repr__(&self) -> String {
        let state = if self.closed() { ", closed" } else { "" };
        format!("<shmflow.Consumer of {:?}{state}>", self.topic_name())
    }
}
