//! `async for frame in consumer`, in asyncio.
//!
//! A frame that is there is given out at once, without a turn of the event loop: `__anext__` returns an awaitable whose first
//! step returns. Otherwise that step suspends the task on a [`Readiness`]: a future as far as a task can see, and the callback of
//! the consumer's descriptor. It resumes the task itself, where one of asyncio's futures would have the loop do it in its next
//! turn; and it stays registered with the loop from frame to frame, as long as somebody waits.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyRuntimeError, PyStopAsyncIteration, PyStopIteration};
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use crate::consumer::Consumer;
use crate::errors::is_class;

/// So many frames that are there are given out before others of the loop have their turn.
const TURN: u32 = 32;

/// Nothing that a panic leaves behind is half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `aiter(consumer)` is: frames, each once and in order, until the stream ends or the consumer is closed.
#[pyclass(module = "shmflow", frozen, weakref)]
pub(crate) struct AsyncFrames {
    consumer: Py<Consumer>,
    /// Frames in a row that nobody had to wait for.
    row: AtomicU32,
    /// Since it was waited for the first time.
    readiness: Mutex<Option<Py<Readiness>>>,
}

impl AsyncFrames {
    pub(crate) fn new(consumer: Py<Consumer>) -> Self {
        Self { consumer, row: AtomicU32::new(0), readiness: Mutex::default() }
    }

    /// What to wait for; made at the first time.
    fn readiness(&self, py: Python<'_>) -> PyResult<Py<Readiness>> {
        if let Some(readiness) = &*lock(&self.readiness) {
            return Ok(readiness.clone_ref(py));
        }
        let readiness = Py::new(py, Readiness::new(py, self.consumer.get())?)?;
        *lock(&self.readiness) = Some(readiness.clone_ref(py));
        Ok(readiness)
    }

    /// The loop watches the descriptor no more.
    fn forget(&self, py: Python<'_>) {
        let readiness = lock(&self.readiness).take();
        let Some(readiness) = readiness else { return };
        let Readiness { event_loop, descriptor, .. } = readiness.get();
        let Some(descriptor) = lock(descriptor).take() else { return };
        let number = std::os::fd::IntoRawFd::into_raw_fd(descriptor);
        let forget = py.import("shmflow._aio").and_then(|aio| aio.getattr("forget"));
        if let Err(error) = forget.and_then(|forget| forget.call1((event_loop, number))) {
            error.write_unraisable(py, None);
        }
    }
}

impl Drop for AsyncFrames {
    fn drop(&mut self) {
        // Where there is no interpreter any more, there is no loop.
        Python::try_attach(|py| {
            // An error may be on its way, and be what ends the iterator: it is not touched.
            let raised = PyErr::take(py);
            self.forget(py);
            if let Some(raised) = raised {
                raised.restore(py);
            }
        });
    }
}

#[pymethods]
impl AsyncFrames {
    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __anext__(slf: Py<Self>) -> NextFrame {
        NextFrame { frames: slf, sleeps: AtomicBool::new(false) }
    }
}

/// The next frame, to be awaited. It has a coroutine's methods, so that it may also become a task.
#[pyclass(module = "shmflow", frozen)]
pub(crate) struct NextFrame {
    frames: Py<AsyncFrames>,
    /// Its task sleeps until there may be something.
    sleeps: AtomicBool,
}

impl NextFrame {
    /// Returns the frame by `StopIteration`, or gives the task what it is to wait for.
    fn step<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let frames = self.frames.get();
        let consumer = frames.consumer.get();
        self.sleeps.store(false, Relaxed);
        if frames.row.load(Relaxed) >= TURN {
            frames.row.store(0, Relaxed);
            // As `asyncio.sleep(0)`.
            return Ok(py.None().into_bound(py));
        }
        match consumer.poll(py) {
            Ok(Some(frame)) => {
                frames.row.fetch_add(1, Relaxed);
                // Not in a tuple: so it takes CPython no exception object.
                Err(PyStopIteration::new_err(Py::new(py, frame)?))
            }
            Ok(None) => {
                let readiness = frames.readiness(py)?;
                readiness.get().wait(py, &readiness)?;
                self.sleeps.store(true, Relaxed);
                frames.row.store(0, Relaxed);
                Ok(readiness.into_bound(py).into_any())
            }
            Err(error) => {
                frames.forget(py);
                let ends =
                    is_class(py, &error, "Ended") || (consumer.is_closed() && is_class(py, &error, "Closed"));
                Err(if ends { PyStopAsyncIteration::new_err(()) } else { error })
            }
        }
    }
}

#[pymethods]
impl NextFrame {
    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.step(py)
    }

    fn send<'py>(&self, py: Python<'py>, _value: Py<PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.step(py)
    }

    /// The task is cancelled: nothing was taken.
    #[pyo3(signature = (kind, value = None, traceback = None))]
    fn throw(
        &self,
        kind: Bound<'_, PyAny>,
        value: Option<Bound<'_, PyAny>>,
        traceback: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let _ = traceback;
        self.close();
        let error = match value {
            Some(value) if !value.is_none() => value,
            _ if kind.is_instance_of::<PyType>() => kind.call0()?,
            _ => kind,
        };
        Err(PyErr::from_value(error))
    }

    /// Nobody waits any more.
    fn close(&self) {
        if self.sleeps.swap(false, Relaxed)
            && let Some(readiness) = &*lock(&self.frames.get().readiness)
        {
            let sleeper = lock(&readiness.get().state).sleeper.take();
            drop(sleeper);
        }
    }
}

/// A task that waits, and how to resume it.
struct Sleeper {
    /// The task's callback and its context, once it has said them.
    resume: Option<(Py<PyAny>, Option<Py<PyAny>>)>,
    /// It has not noticed yet that it is to wait.
    is_new: bool,
}

#[derive(Default)]
struct State {
    sleeper: Option<Sleeper>,
    /// The loop calls when the descriptor is readable.
    is_watched: bool,
    cancelled: Option<Py<PyAny>>,
}

/// Of a consumer's descriptor, to a task and to its loop. `asyncio` calls what is a future to it by these methods only.
#[pyclass(module = "shmflow", frozen)]
pub(crate) struct Readiness {
    event_loop: Py<PyAny>,
    /// One of its own, which tells of the end of the consumer's, too; nothing once it is forgotten.
    descriptor: Mutex<Option<OwnedFd>>,
    state: Mutex<State>,
}

impl Readiness {
    fn new(py: Python<'_>, consumer: &Consumer) -> PyResult<Self> {
        let event_loop = py.import("asyncio")?.call_method0("get_running_loop")?.unbind();
        let descriptor = Mutex::new(Some(consumer.own_descriptor(py)?));
        Ok(Self { event_loop, descriptor, state: Mutex::default() })
    }

    /// A task is to wait. (A descriptor that is new is readable: the task looks once more.)
    fn wait(&self, py: Python<'_>, this: &Py<Self>) -> PyResult<()> {
        let is_watched = {
            let mut state = lock(&self.state);
            if state.sleeper.is_some() {
                return Err(PyRuntimeError::new_err(
                    "another task waits for the next frame of this iterator; open one consumer for each task",
                ));
            }
            std::mem::replace(&mut state.is_watched, true)
        };
        if !is_watched {
            let number = lock(&self.descriptor).as_ref().map(AsRawFd::as_raw_fd);
            if let Err(error) = self.event_loop.call_method1(py, "add_reader", (number, this)) {
                lock(&self.state).is_watched = false;
                return Err(error);
            }
        }
        let mut state = lock(&self.state);
        state.cancelled = None;
        state.sleeper = Some(Sleeper { resume: None, is_new: true });
        Ok(())
    }
}

#[pymethods]
impl Readiness {
    /// The descriptor is readable: resumes the task. While none waits, the loop need not look.
    fn __call__(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let sleeper = lock(&this.state).sleeper.take();
        match sleeper.and_then(|sleeper| sleeper.resume) {
            Some((task, Some(context))) => context.call_method1(py, "run", (task, slf)).map(drop),
            Some((task, None)) => task.call1(py, (slf,)).map(drop),
            None => {
                let number = lock(&this.descriptor).as_ref().map(AsRawFd::as_raw_fd);
                lock(&this.state).is_watched = false;
                this.event_loop.call_method1(py, "remove_reader", (number,)).map(drop)
            }
        }
    }

    #[getter(_asyncio_future_blocking)]
    fn is_new(&self) -> bool {
        lock(&self.state).sleeper.as_ref().is_some_and(|sleeper| sleeper.is_new)
    }

    #[setter(_asyncio_future_blocking)]
    fn set_new(&self, blocking: bool) {
        if let Some(sleeper) = &mut lock(&self.state).sleeper {
            sleeper.is_new = blocking;
        }
    }

    fn get_loop(&self, py: Python<'_>) -> Py<PyAny> {
        self.event_loop.clone_ref(py)
    }

    #[pyo3(signature = (callback, /, *, context = None))]
    fn add_done_callback(&self, callback: Py<PyAny>, context: Option<Py<PyAny>>) {
        if let Some(sleeper) = &mut lock(&self.state).sleeper {
            sleeper.resume = Some((callback, context));
        }
    }

    /// The loop resumes the task, with `CancelledError`.
    #[pyo3(signature = (msg = None))]
    fn cancel(slf: &Bound<'_, Self>, msg: Option<Py<PyAny>>) -> PyResult<bool> {
        let (py, this) = (slf.py(), slf.get());
        let Some(sleeper) = lock(&this.state).sleeper.take() else { return Ok(false) };
        let class = py.import("asyncio")?.getattr("CancelledError")?;
        let error = match msg {
            Some(msg) => class.call1((msg,))?,
            None => class.call0()?,
        };
        lock(&this.state).cancelled = Some(error.unbind());
        if let Some((task, context)) = sleeper.resume {
            let named = pyo3::types::PyDict::new(py);
            named.set_item("context", context)?;
            let arguments = PyTuple::new(py, [task.bind(py), slf.as_any()])?;
            this.event_loop.bind(py).call_method("call_soon", arguments, Some(&named))?;
        }
        Ok(true)
    }

    /// What the task is resumed with.
    fn result(&self, py: Python<'_>) -> PyResult<()> {
        let cancelled = lock(&self.state).cancelled.take();
        cancelled.map_or(Ok(()), |error| Err(PyErr::from_value(error.into_bound(py))))
    }
}
