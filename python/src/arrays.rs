//! From views to numpy arrays. numpy is loaded with the first of them.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::sync::Arc;

use pyo3::exceptions::{PyImportError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use crate::buffer;
use crate::forms::View;
use crate::lease::Lease;

/// A part of a received frame that exports itself, with its shape and strides, to numpy and any other user of the buffer
/// protocol. It owns the lease.
#[pyclass(module = "shmflow._shmflow", frozen)]
pub(crate) struct FrameView {
    lease: Arc<Lease>,
    view: View,
}

#[pymethods]
impl FrameView {
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let this = slf.get();
        // SAFETY: called by Python; `views` has checked the view against the frame's length, and it never changes.
        unsafe { buffer::export_lease(slf.clone().into_any(), &this.lease, &this.view, view, flags) }
    }

    unsafe fn __releasebuffer__(&self, view: *mut ffi::Py_buffer) {
        // SAFETY: called by Python for a buffer from `__getbuffer__`.
        unsafe { buffer::release_lease(view) }
    }
}

impl FrameView {
    pub(crate) fn new(lease: &Arc<Lease>, view: View) -> Self {
        Self { lease: Arc::clone(lease), view }
    }
}

/// numpy, loaded when it is first needed: it takes longer than everything else.
pub(crate) fn numpy<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    static NUMPY: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = NUMPY.get_or_try_init(py, || {
        py.import("numpy").map(Bound::unbind).map_err(|error| {
            let hint = PyImportError::new_err("arrays need numpy: pip install numpy (Debian: python3-numpy)");
            hint.set_cause(py, Some(error));
            hint
        })
    })?;
    module.bind(py).getattr(name)
}

/// A read-only array of a part of a frame, without a copy. It keeps the lease.
pub(crate) fn of_frame<'py>(py: Python<'py>, lease: &Arc<Lease>, view: View) -> PyResult<Bound<'py, PyAny>> {
    static ASARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let asarray = ASARRAY.get_or_try_init(py, || numpy(py, "asarray").map(Bound::unbind))?;
    let owner = Bound::new(py, FrameView::new(lease, view))?;
    asarray.bind(py).call1((owner,))
}

/// A writable array over a part of `memory`, which it keeps.
pub(crate) fn of_memory<'py>(memory: &Bound<'py, PyAny>, view: &View) -> PyResult<Bound<'py, PyAny>> {
    let py = memory.py();
    let arguments = PyDict::new(py);
    arguments.set_item("shape", pyo3::types::PyTuple::new(py, &view.shape)?)?;
    arguments.set_item("strides", pyo3::types::PyTuple::new(py, &view.strides)?)?;
    arguments.set_item("dtype", view.element.dtype())?;
    arguments.set_item("buffer", memory)?;
    arguments.set_item("offset", view.offset)?;
    numpy(py, "ndarray")?.call((), Some(&arguments))
}

/// Named planes, as `shmflow.Planes`.
pub(crate) fn planes<'py>(
    py: Python<'py>,
    arrays: impl Iterator<Item = PyResult<(&'static str, Bound<'py, PyAny>)>>,
) -> PyResult<Bound<'py, PyAny>> {
    static PLANES: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let class =
        PLANES.get_or_try_init(py, || py.import("shmflow._planes")?.getattr("Planes").map(Bound::unbind))?;
    let dict = PyDict::new(py);
    for array in arrays {
        let (name, array) = array?;
        dict.set_item(name, array)?;
    }
    class.bind(py).call1((dict,))
}

/// What `__array__` gives: the array; a copy of it if `copy`, or if it is of another `dtype`.
pub(crate) fn converted<'py>(
    array: &Bound<'py, PyAny>,
    dtype: Option<Bound<'py, PyAny>>,
    copy: Option<bool>,
) -> PyResult<Bound<'py, PyAny>> {
    let own = array.getattr("dtype")?;
    let dtype = match dtype {
        Some(dtype) => numpy(array.py(), "dtype")?.call1((dtype,))?,
        None => own.clone(),
    };
    let converts = dtype.ne(&own)?;
    if converts && copy == Some(false) {
        return Err(PyValueError::new_err(format!(
            "a frame of {own} as {dtype} is a copy, which copy=False forbids"
        )));
    }
    if converts || copy == Some(true) { array.call_method1("astype", (dtype,)) } else { Ok(array.clone()) }
}

/// What `__array_interface__` gives.
pub(crate) fn interface<'py>(array: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let interface = array.getattr("__array_interface__")?;
    // Stated, so that nobody takes the payload's first bytes for the picture's.
    interface.set_item("strides", array.getattr("strides")?)?;
    Ok(interface)
}
