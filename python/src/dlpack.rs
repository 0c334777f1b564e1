//! DLPack: tensors of other frameworks over a frame's memory. <https://dmlc.github.io/dlpack/latest/>
//!
//! The protocol before version 1 cannot say that a tensor is read-only, so who speaks no other gets a copy.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_void};
use std::ptr::null_mut;
use std::sync::Arc;

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::copy;
use crate::forms::{Element, View};
use crate::lease::Lease;

/// `kDLCPU`, and the number of the device.
pub(crate) const CPU: (i32, i32) = (1, 0);

#[repr(C)]
struct DataType {
    code: u8,
    bits: u8,
    lanes: u16,
}

#[repr(C)]
struct Tensor {
    data: *mut c_void,
    device: (i32, i32),
    ndim: i32,
    dtype: DataType,
    shape: *mut i64,
    strides: *mut i64,
    byte_offset: u64,
}

/// `DLManagedTensor`.
#[repr(C)]
struct Managed {
    tensor: Tensor,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Managed)>,
}

/// `DLManagedTensorVersioned`.
#[repr(C)]
struct Versioned {
    version: [u32; 2],
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Versioned)>,
    flags: u64,
    tensor: Tensor,
}

const READ_ONLY: u64 = 1;
const IS_COPIED: u64 = 1 << 1;

/// A tensor in the form of one of the two protocols.
trait Form: Sized {
    const NAME: &'static CStr;
    fn new(tensor: Tensor, flags: u64) -> Self;
    fn context(&mut self) -> &mut *mut c_void;
    fn call_deleter(this: *mut Self);
}

impl Form for Managed {
    const NAME: &'static CStr = c"dltensor";
    fn new(tensor: Tensor, _flags: u64) -> Self {
        Self { tensor, context: null_mut(), deleter: Some(delete::<Self>) }
    }
    fn context(&mut self) -> &mut *mut c_void {
        &mut self.context
    }
    fn call_deleter(this: *mut Self) {
        // SAFETY: of a capsule that nobody took the tensor from, so that it is as we made it.
        unsafe {
            if let Some(deleter) = (*this).deleter {
                deleter(this);
            }
        }
    }
}

impl Form for Versioned {
    const NAME: &'static CStr = c"dltensor_versioned";
    fn new(tensor: Tensor, flags: u64) -> Self {
        Self { version: [1, 0], context: null_mut(), deleter: Some(delete::<Self>), flags, tensor }
    }
    fn context(&mut self) -> &mut *mut c_void {
        &mut self.context
    }
    fn call_deleter(this: *mut Self) {
        // SAFETY: as above.
        unsafe {
            if let Some(deleter) = (*this).deleter {
                deleter(this);
            }
        }
    }
}

/// What a tensor keeps until its deleter is called: no Python object, so that any thread may call it, with or without the
/// interpreter.
struct Kept<F> {
    form: F,
    _memory: Memory,
    _shape: Box<[i64]>,
    _strides: Box<[i64]>,
}

enum Memory {
    Lease(#[expect(dead_code, reason = "kept")] Arc<Lease>),
    Copy(#[expect(dead_code, reason = "kept")] Vec<u8>),
}

/// What a caller of `__dlpack__` asks for.
pub(crate) struct Request {
    pub(crate) max_version: Option<(u32, u32)>,
    pub(crate) copy: Option<bool>,
}

/// A capsule with a tensor over a part of a frame, or over a copy of it.
pub(crate) fn capsule<'py>(
    py: Python<'py>,
    lease: &Arc<Lease>,
    view: &View,
    request: &Request,
) -> PyResult<Bound<'py, PyAny>> {
    let versioned = request.max_version.is_some_and(|(major, _)| major >= 1);
    let item = view.element.size();
    if !view.element.is_native() {
        return Err(PyBufferError::new_err(
            "this format stores numbers in another byte order than this machine, which DLPack cannot express; use frame.array",
        ));
    }
    // What a tensor over the frame's own memory would not be.
    let obstacle = if !versioned && !lease.is_own() {
        Some(
            "only DLPack 1.0 and newer can tell that a frame is read-only, and this caller asks for an older one",
        )
    } else if view.strides.iter().any(|stride| *stride < 0 || *stride % item as isize != 0) {
        Some("its rows are stored bottom-up, or are no whole number of elements apart")
    } else {
        None
    };
    let copies = match (request.copy, obstacle) {
        (Some(true), _) | (None, Some(_)) => true,
        (Some(false), Some(why)) => {
            return Err(PyBufferError::new_err(format!(
                "a copy is needed: {why}; use copy=None or copy=True"
            )));
        }
        (_, None) => false,
    };
    let (memory, data, strides) = if copies {
        let (mut bytes, strides) = copy::contiguous(py, lease, view)?;
        let data = bytes.as_mut_ptr();
        (Memory::Copy(bytes), data, strides)
    } else {
        let data = lease.start().wrapping_add(view.offset);
        (Memory::Lease(Arc::clone(lease)), data, view.strides.clone())
    };
    let mut shape: Box<[i64]> = view.shape.iter().map(|length| *length as i64).collect();
    let mut strides: Box<[i64]> = strides.iter().map(|stride| (*stride / item as isize) as i64).collect();
    let tensor = Tensor {
        data: data.cast(),
        device: CPU,
        ndim: i32::try_from(shape.len()).unwrap_or(0),
        dtype: DataType { code: 1, bits: u8::try_from(8 * item).unwrap_or(0), lanes: 1 },
        shape: shape.as_mut_ptr(),
        strides: strides.as_mut_ptr(),
        byte_offset: 0,
    };
    let read_only = if copies || lease.is_own() { 0 } else { READ_ONLY };
    let flags = read_only | if copies { IS_COPIED } else { 0 };
    if versioned {
        wrap::<Versioned>(py, tensor, flags, memory, shape, strides)
    } else {
        wrap::<Managed>(py, tensor, flags, memory, shape, strides)
    }
}

fn wrap<F: Form>(
    py: Python<'_>,
    tensor: Tensor,
    flags: u64,
    memory: Memory,
    shape: Box<[i64]>,
    strides: Box<[i64]>,
) -> PyResult<Bound<'_, PyAny>> {
    let kept =
        Box::new(Kept { form: F::new(tensor, flags), _memory: memory, _shape: shape, _strides: strides });
    let kept = Box::into_raw(kept);
    // SAFETY: made just now. A capsule is given a valid pointer, a static name, and a destructor of that type.
    unsafe {
        let form = &raw mut (*kept).form;
        *(*form).context() = kept.cast();
        let capsule = ffi::PyCapsule_New(form.cast(), F::NAME.as_ptr(), Some(forget::<F>));
        if capsule.is_null() {
            drop(Box::from_raw(kept));
            return Err(PyErr::fetch(py));
        }
        Ok(Bound::from_owned_ptr(py, capsule))
    }
}

/// Called by whoever took the tensor, once, from any thread.
unsafe extern "C" fn delete<F: Form>(form: *mut F) {
    // SAFETY: from `wrap`, which leaked it; called once, as the protocol says.
    unsafe {
        if !form.is_null() {
            drop(Box::from_raw((*(*form).context()).cast::<Kept<F>>()));
        }
    }
}

/// Called by Python when a capsule goes. One whose tensor was taken has another name.
unsafe extern "C" fn forget<F: Form>(capsule: *mut ffi::PyObject) {
    // SAFETY: called by Python for a capsule from `wrap`.
    unsafe {
        if ffi::PyCapsule_IsValid(capsule, F::NAME.as_ptr()) == 0 {
            return;
        }
        let form = ffi::PyCapsule_GetPointer(capsule, F::NAME.as_ptr()).cast::<F>();
        if !form.is_null() {
            F::call_deleter(form);
        }
    }
}

impl Element {
    /// Whether this machine stores such numbers in that order.
    fn is_native(self) -> bool {
        match self {
            Self::U8 => true,
            Self::U16Le | Self::U32Le => cfg!(target_endian = "little"),
            Self::U16Be | Self::U32Be => cfg!(target_endian = "big"),
        }
    }
}
