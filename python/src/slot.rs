//! Writing a frame directly to shared memory: `with producer.frame() as array`.
//!
//! A published frame must never change again, and Python cannot take an array back from code that kept it. So when the
//! block ends, the arrays given out become read-only for good, and references are counted: if only the one name after
//! `as` can still refer to the memory, the slot itself is published. If more do (a slice, a second name, a
//! `memoryview`, a tensor), a copy is published instead, and the slot stays unpublished until they are deleted. If even
//! that name is gone, it may have been bound to another picture: then nothing is published if the array was not used before.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, PoisonError};

use pyo3::exceptions::{PyRuntimeError, PyRuntimeWarning, PyTypeError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};
use shmflow::meta::Meta;
use shmflow::{PublishPermit, SlotBuffer};

use crate::errors::{OrRaise, raise};
use crate::forms::View;
use crate::shared::Shared;
use crate::{arrays, buffer};

/// The bytes of a claim, as the arrays over it keep them.
#[pyclass(module = "shmflow._shmflow", frozen)]
struct SlotMemory {
    start: Start,
    shape: [isize; 1],
    /// No writable buffer is given out any more.
    frozen: AtomicBool,
    /// Keeps the bytes mapped, and from being used for another frame, as long as an array over them lives: published, or
    /// not, or after a publication that failed.
    bytes: SlotBuffer,
    permit: Mutex<PublishPermit>,
}

/// Where the bytes of a claim start.
struct Start(*mut u8);

// SAFETY: an address; `SlotMemory` decides which code reads or writes there.
unsafe impl Send for Start {}
// SAFETY: as above.
unsafe impl Sync for Start {}

#[pymethods]
impl SlotMemory {
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let this = slf.get();
        let readonly = this.frozen.load(SeqCst);
        // SAFETY: called by Python; `bytes` keeps them as long as `slf`, and until `frozen` is set they are ours alone.
        unsafe {
            buffer::export_claim(slf.clone().into_any(), this.start.0, &this.shape, readonly, view, flags)
        }
    }
}

/// An array given out, and the one below it that its views refer to.
struct Given {
    /// Kept here: every other reference to it is a view.
    root: Py<PyAny>,
    array: Py<PyWeakrefReference>,
}

enum State {
    Fresh,
    Open { memory: Py<SlotMemory>, given: Vec<Given>, entered: Option<Entered> },
    Done,
}

/// The place in Python code that entered the block.
struct Entered {
    code: Py<PyAny>,
    instruction: i32,
}

impl Entered {
    /// None if the caller is no Python code, or that of another interpreter than CPython.
    fn here(py: Python<'_>) -> Option<Self> {
        // SAFETY: the interpreter is ours; the frame is borrowed, and null if no Python code runs.
        let frame = unsafe { Bound::from_borrowed_ptr_or_opt(py, ffi::PyEval_GetFrame().cast()) }?;
        let code = frame.getattr(intern!(py, "f_code")).ok()?.unbind();
        let instruction = frame.getattr(intern!(py, "f_lasti")).ok()?.extract().ok()?;
        Some(Self { code, instruction })
    }

    /// The name after `as`, if it refers to another picture by now; and whether the array may have been written before.
    fn rebound(&self, py: Python<'_>) -> PyResult<Option<(String, bool)>> {
        let arguments = (&self.code, self.instruction);
        py.import("shmflow._rebound")?.call_method1("rebound", arguments)?.extract()
    }
}

/// A frame being written, from `Producer.frame`. Use it with `with`.
#[pyclass(module = "shmflow", frozen)]
pub(crate) struct FrameWriter {
    shared: Arc<Shared>,
    meta: Mutex<Option<Meta>>,
    views: Vec<View>,
    /// One array, and not planes by name.
    single: bool,
    len: usize,
    state: Mutex<State>,
    seq: Mutex<Option<u64>>,
    copied: AtomicBool,
}

impl FrameWriter {
    pub(crate) fn new(
        shared: Arc<Shared>,
        meta: Option<Meta>,
        views: Vec<View>,
        single: bool,
        len: usize,
    ) -> Self {
        Self {
            shared,
            meta: Mutex::new(meta),
            views,
            single,
            len,
            state: Mutex::new(State::Fresh),
            seq: Mutex::default(),
            copied: AtomicBool::new(false),
        }
    }

    fn swap(&self, state: State) -> State {
        std::mem::replace(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner), state)
    }

    /// Why a frame is not published whose name after `as` is that of another picture.
    fn not_written(&self, name: &str) -> String {
        let plane = self.views.first().filter(|_| !self.single).map(|view| format!(".{}", view.name));
        format!(
            "this frame of topic `{}` was not published: inside the block, `{name}` was bound to another picture, and the \
             frame still has what an earlier one left in its slot; write into the array, {name}{}[:] = ..., or call \
             producer.write(...)",
            self.shared.topic,
            plane.unwrap_or_default()
        )
    }

    /// What was written before is published; the other picture is not, and perhaps it was meant to be.
    fn warn_rebound(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        let text = format!(
            "inside the block, `{name}` was bound to another picture, which is not in this frame of topic `{}`; what was written \
             into the array before is published: give the other picture another name, or write it into the array, too",
            self.shared.topic
        );
        let text = std::ffi::CString::new(text)?;
        PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), &text, 1)
    }

    fn publish(
        &self,
        py: Python<'_>,
        memory: &Bound<'_, SlotMemory>,
        given: &[Given],
        entered: Option<&Entered>,
    ) -> PyResult<u64> {
        let Frozen { alone, kept } = freeze(memory, given)?;
        if alone
            && !kept
            && let Some(entered) = entered
            && let Some((name, may_be_written)) = entered.rebound(py)?
        {
            if !may_be_written {
                return Err(raise(py, "InvalidArgument", self.not_written(&name)));
            }
            self.warn_rebound(py, &name)?;
        }
        let producer = self.shared.open(py)?;
        let this = memory.get();
        let meta = self.meta.lock().unwrap_or_else(PoisonError::into_inner).take();
        if alone {
            let mut permit = this.permit.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(meta) = &meta {
                permit.set_meta(meta).or_raise(py)?;
            }
            let permit = &mut *permit;
            return self.shared.waiting(py, || {
                // SAFETY: every array over the bytes is read-only, nothing else refers to them, and no writable buffer is given
                // out any more.
                unsafe { permit.publish_unchecked(self.len) }
            });
        }
        self.copied.store(true, SeqCst);
        let mut copy = self.shared.claim(py, &producer, self.len)?;
        copy.copy_from(this.bytes.as_ref());
        if let Some(meta) = &meta {
            copy.set_meta(meta).or_raise(py)?;
        }
        Ok(self.shared.waiting(py, || copy.publish())?.seq())
    }
}

struct Frozen {
    /// Nothing can write to the memory.
    alone: bool,
    /// An array that was given out still exists.
    kept: bool,
}

/// Makes the arrays read-only for good.
fn freeze(memory: &Bound<'_, SlotMemory>, given: &[Given]) -> PyResult<Frozen> {
    let py = memory.py();
    memory.get().frozen.store(true, SeqCst);
    let read_only = |array: &Bound<'_, PyAny>| {
        array.getattr(intern!(py, "flags"))?.setattr(intern!(py, "writeable"), false)
    };
    let (mut alone, mut kept) = (true, false);
    for Given { root, array } in given {
        read_only(root.bind(py))?;
        let array = array.bind(py).upgrade();
        let alive = array.is_some();
        kept |= alive;
        if let Some(array) = array {
            read_only(&array)?;
            // This reference, and the one of the name or of the planes. More may be something that writes.
            alone &= references(&array) <= 2;
        }
        // Ours, and that of the array given out.
        alone &= references(root.bind(py)) <= 1 + isize::from(alive);
    }
    // Ours, and one of each root.
    let roots = isize::try_from(given.len()).unwrap_or(isize::MAX);
    alone &= references(memory.as_any()) <= roots.saturating_add(1);
    Ok(Frozen { alone, kept })
}

fn references(object: &Bound<'_, PyAny>) -> isize {
    // SAFETY: a live object, and the interpreter is ours.
    unsafe { ffi::Py_REFCNT(object.as_ptr()) }
}

#[pymethods]
impl FrameWriter {
    /// Claims a slot; its memory as a writable array, or as planes by name. It holds what an earlier frame left there.
    fn __enter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if !matches!(self.swap(State::Done), State::Fresh) {
            return Err(PyRuntimeError::new_err("a frame is written once: call Producer.frame() again"));
        }
        let producer = self.shared.open(py)?;
        let mut claim = self.shared.claim(py, &producer, self.len)?;
        let start = Start(claim.as_mut_ptr());
        let (bytes, permit) = claim.into_parts();
        let memory = Bound::new(
            py,
            SlotMemory {
                start,
                shape: [isize::try_from(self.len).unwrap_or(isize::MAX)],
                frozen: AtomicBool::new(false),
                bytes,
                permit: Mutex::new(permit),
            },
        )?;
        let mut given = Vec::with_capacity(self.views.len());
        let mut arrays = Vec::with_capacity(self.views.len());
        for view in &self.views {
            let root = arrays::of_memory(memory.as_any(), view)?;
            let array = root.call_method0("view")?;
            given.push(Given { root: root.unbind(), array: PyWeakrefReference::new(&array)?.unbind() });
            arrays.push((view.name, array));
        }
        let shown = if self.single {
            let first = arrays.into_iter().next();
            first.map(|(_, array)| array).ok_or_else(|| PyRuntimeError::new_err("a frame without planes"))?
        } else {
            arrays::planes(py, arrays.into_iter().map(Ok))?
        };
        self.swap(State::Open { memory: memory.unbind(), given, entered: Entered::here(py) });
        Ok(shown)
    }

    /// Publishes the frame; after an exception drops it instead.
    fn __exit__(
        &self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let State::Open { memory, given, entered } = self.swap(State::Done) else {
            return Err(PyRuntimeError::new_err("this frame is not open for writing"));
        };
        if !kind.is_none() {
            freeze(memory.bind(py), &given)?;
            return Ok(false);
        }
        let seq = self.publish(py, memory.bind(py), &given, entered.as_ref())?;
        *self.seq.lock().unwrap_or_else(PoisonError::into_inner) = Some(seq);
        Ok(false)
    }

    /// The frame's sequence number, once it is published.
    #[getter]
    fn seq(&self) -> Option<u64> {
        *self.seq.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a copy was published, because another reference could still have written to the memory.
    #[getter]
    fn copied(&self) -> bool {
        self.copied.load(SeqCst)
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("a frame being written cannot be pickled"))
    }

    fn __repr__(&self) -> String {
        let state = match (&*self.state.lock().unwrap_or_else(PoisonError::into_inner), self.seq()) {
            (State::Fresh, _) => "not begun".into(),
            (State::Open { .. }, _) => "open".into(),
            (State::Done, Some(seq)) => format!("published as {seq}"),
            (State::Done, None) => "dropped".into(),
        };
        format!("<shmflow.FrameWriter for {:?}: {state}>", self.shared.topic)
    }
}
