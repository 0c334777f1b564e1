//! The buffer protocol: Python reads frames in place, and writes into claims.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int, c_void};
use std::ptr::null_mut;
use std::sync::Arc;

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::forms::View;
use crate::lease::Lease;

/// What is exported. `shape` and `strides` belong to the exporting object, which never changes them.
struct Exported<'a> {
    start: *mut u8,
    readonly: bool,
    item: isize,
    format: &'static CStr,
    shape: &'a [isize],
    strides: &'a [isize],
}

impl Exported<'_> {
    fn len(&self) -> isize {
        self.shape.iter().product::<isize>().saturating_mul(self.item)
    }

    fn is_contiguous(&self) -> bool {
        let mut step = self.item;
        for (length, stride) in self.shape.iter().zip(self.strides).rev() {
            if *length > 1 && *stride != step {
                return false;
            }
            step = step.saturating_mul(*length);
        }
        true
    }

    /// Fills in `view` for `owner`; `internal` is what the exporter wants back when the buffer is released.
    ///
    /// # Safety
    /// `view` is null or valid, as Python passes it. The memory stays valid and `shape` and `strides` stay where they are
    /// as long as `owner`, or what `internal` says, lives.
    unsafe fn fill(
        &self,
        owner: Bound<'_, PyAny>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
        internal: *mut c_void,
    ) -> PyResult<()> {
        // SAFETY: as the caller promises.
        let Some(view) = (unsafe { view.as_mut() }) else {
            return Err(PyBufferError::new_err("the buffer request has no destination"));
        };
        view.obj = null_mut();
        let wants = |what: c_int| flags & what == what;
        if self.readonly && wants(ffi::PyBUF_WRITABLE) {
            return Err(PyBufferError::new_err("frames are read-only"));
        }
        let contiguous = self.is_contiguous();
        let fortran = self.shape.len() == 1 && contiguous;
        if !contiguous
            && (!wants(ffi::PyBUF_STRIDES)
                || wants(ffi::PyBUF_C_CONTIGUOUS)
                || wants(ffi::PyBUF_ANY_CONTIGUOUS))
            || !fortran && wants(ffi::PyBUF_F_CONTIGUOUS)
        {
            return Err(PyBufferError::new_err(
                "the rows of this frame do not follow each other without gaps",
            ));
        }
        let ndim = c_int::try_from(self.shape.len()).unwrap_or(0);
        view.buf = self.start.cast();
        view.len = self.len();
        view.itemsize = self.item;
        view.readonly = self.readonly.into();
        view.ndim = ndim;
        view.format = if wants(ffi::PyBUF_FORMAT) { self.format.as_ptr().cast_mut() } else { null_mut() };
        view.shape = if wants(ffi::PyBUF_ND) { self.shape.as_ptr().cast_mut() } else { null_mut() };
        view.strides = if wants(ffi::PyBUF_STRIDES) { self.strides.as_ptr().cast_mut() } else { null_mut() };
        view.suboffsets = null_mut();
        view.internal = internal;
        view.obj = owner.into_ptr();
        Ok(())
    }
}

/// Exports a view of a leased frame: read-only, unless it is a copy that the program asked for. The buffer keeps the lease.
///
/// # Safety
/// As Python calls `__getbuffer__`. `view` belongs to `owner` and was checked against the frame's length.
pub(crate) unsafe fn export_lease(
    owner: Bound<'_, PyAny>,
    lease: &Arc<Lease>,
    shown: &View,
    view: *mut ffi::Py_buffer,
    flags: c_int,
) -> PyResult<()> {
    if shown.offset > lease.len() {
        return Err(PyBufferError::new_err("the view exceeds its frame"));
    }
    let exported = Exported {
        start: lease.start().wrapping_add(shown.offset),
        readonly: !lease.is_own(),
        item: isize::try_from(shown.element.size()).unwrap_or(1),
        format: shown.element.code(),
        shape: &shown.shape,
        strides: &shown.strides,
    };
    let internal = Arc::into_raw(Arc::clone(lease)).cast_mut().cast::<c_void>();
    // SAFETY: the lease keeps the memory, and goes with the buffer; shape and strides are the owner's.
    let filled = unsafe { exported.fill(owner, view, flags, internal) };
    if filled.is_err() {
        // SAFETY: from `into_raw` just now, and not passed on.
        drop(unsafe { Arc::from_raw(internal.cast_const().cast::<Lease>()) });
    }
    filled
}

/// Takes back what [`export_lease`] put into a buffer.
///
/// # Safety
/// `view` was filled by `export_lease` and is released once, by Python.
pub(crate) unsafe fn release_lease(view: *mut ffi::Py_buffer) {
    // SAFETY: as the caller promises.
    let Some(view) = (unsafe { view.as_mut() }) else { return };
    let internal = std::mem::replace(&mut view.internal, null_mut());
    if !internal.is_null() {
        // SAFETY: from `Arc::into_raw` in `export_lease`; taken once, as it was replaced by null.
        drop(unsafe { Arc::from_raw(internal.cast_const().cast::<Lease>()) });
    }
}

/// Exports the bytes of a claim.
///
/// # Safety
/// As Python calls `__getbuffer__`. `start` points to `shape[0]` bytes that stay valid as long as `owner`; if they are
/// not `readonly`, nobody else refers to them.
pub(crate) unsafe fn export_claim(
    owner: Bound<'_, PyAny>,
    start: *mut u8,
    shape: &[isize; 1],
    readonly: bool,
    view: *mut ffi::Py_buffer,
    flags: c_int,
) -> PyResult<()> {
    let exported = Exported { start, readonly, item: 1, format: c"B", shape, strides: &[1] };
    // SAFETY: passed on to the caller; the strides are static.
    unsafe { exported.fill(owner, view, flags, null_mut()) }
}
