//! Copies from any object with the buffer protocol into a frame: any strides on both sides.
#![allow(unsafe_code)]

use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::{PyBufferError, PyMemoryError};
use pyo3::prelude::*;

use crate::forms::{Element, View, shape_text};
use crate::frame::Frame;
use crate::lease::Lease;

/// Copies of fewer bytes take less time than releasing the interpreter.
const LET_OTHERS_RUN: usize = 256 << 10;

/// An array to copy from.
pub(crate) struct Source {
    buffer: PyUntypedBuffer,
}

/// Addresses on their way into a closure that runs without the interpreter.
struct Addresses {
    from: *const u8,
    to: *mut u8,
}

// SAFETY: the sender ensures that the memory stays valid, and that no other thread writes to `to`.
unsafe impl Send for Addresses {}

impl Source {
    pub(crate) fn get(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(frame) = object.cast::<Frame>() {
            // As a buffer it is its picture; what is copied is all of its bytes.
            return Ok(Self { buffer: PyUntypedBuffer::get(&frame.get().payload(object.py())?)? });
        }
        Ok(Self { buffer: PyUntypedBuffer::get(object)? })
    }

    pub(crate) fn shape(&self) -> Vec<isize> {
        self.buffer.shape().iter().map(|length| isize::try_from(*length).unwrap_or(isize::MAX)).collect()
    }

    pub(crate) fn len_bytes(&self) -> usize {
        self.buffer.len_bytes()
    }

    /// Whether its memory has no gaps, in order.
    pub(crate) fn is_contiguous(&self) -> bool {
        self.buffer.is_c_contiguous()
    }

    /// Whether it is contiguous bytes, with any shape.
    pub(crate) fn is_plain_bytes(&self) -> bool {
        self.buffer.item_size() == 1 && self.buffer.is_c_contiguous()
    }

    pub(crate) fn dimensions(&self) -> usize {
        self.buffer.dimensions()
    }

    /// Whether its items are true or false.
    pub(crate) fn is_truth(&self) -> bool {
        matches!(self.buffer.format().to_bytes(), b"?" | b"@?" | b"=?" | b"<?" | b">?" | b"!?")
    }

    /// Whether only a last dimension of 1 keeps it from the shape of `view`.
    pub(crate) fn has_one_channel_more(&self, view: &View) -> bool {
        self.shape().split_last().is_some_and(|(last, rest)| *last == 1 && rest == view.shape)
    }

    /// The object that the bytes belong to.
    pub(crate) fn object<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let object = self.buffer.obj(py).cloned();
        object.ok_or_else(|| PyBufferError::new_err("a buffer that belongs to no object"))
    }

    /// For messages.
    pub(crate) fn describe(&self) -> String {
        let format = self.buffer.format().to_string_lossy();
        let kind = match format.trim_start_matches(['@', '=', '<', '>', '!']) {
            "B" => "uint8",
            "b" => "int8",
            "?" => "bool",
            "H" => "uint16",
            "h" => "int16",
            "I" | "L" if self.buffer.item_size() == 4 => "uint32",
            "i" | "l" if self.buffer.item_size() == 4 => "int32",
            "L" | "Q" => "uint64",
            "l" | "q" => "int64",
            "e" => "float16",
            "f" => "float32",
            "d" => "float64",
            _ => return format!("shape {} of items {format:?}", shape_text(&self.shape())),
        };
        let big = if format.starts_with(['>', '!']) { " (big-endian)" } else { "" };
        format!("shape {} of {kind}{big}", shape_text(&self.shape()))
    }

    /// Whether its items are what `element` says.
    pub(crate) fn holds(&self, element: Element) -> bool {
        let format = self.buffer.format().to_bytes();
        let (order, code) = match format {
            [order @ (b'@' | b'=' | b'<' | b'>' | b'!'), code @ ..] => (*order, code),
            code => (b'@', code),
        };
        let big =
            matches!(order, b'>' | b'!') || (matches!(order, b'@' | b'=') && cfg!(target_endian = "big"));
        let unsigned = matches!(code, b"B" | b"H" | b"I" | b"L");
        let plain = element == Element::U8 && code == b"c";
        let order_fits = match element {
            Element::U8 => true,
            Element::U16Le | Element::U32Le => !big,
            Element::U16Be | Element::U32Be => big,
        };
        (unsigned || plain) && order_fits && self.buffer.item_size() == element.size()
    }

    /// Whether it is such an array.
    pub(crate) fn fits(&self, view: &View) -> bool {
        self.holds(view.element) && self.shape() == view.shape && self.buffer.suboffsets().is_none()
    }

    /// Copies all of it into the part of `target` that `view` shows. False, and nothing is copied, unless
    /// [`fits`](Self::fits) and the part is within `target`.
    pub(crate) fn copy_into(&self, py: Python<'_>, target: &mut [u8], view: &View) -> bool {
        if !self.fits(view) || !lies_within(view, target.len()) {
            return false;
        }
        let Some(rest) = target.get_mut(view.offset..) else { return false };
        let addresses = Addresses { from: self.buffer.buf_ptr().cast_const().cast(), to: rest.as_mut_ptr() };
        let (from, to) = (self.buffer.strides(), view.strides.as_slice());
        let copy = move || {
            let Addresses { from: start, to: place } = { addresses };
            // SAFETY: the buffer is held, so that its memory, shape and strides stay; the view was checked against the
            // target, which is borrowed exclusively. If another thread writes into the array meanwhile, the frame shows
            // something of both, as with every copy in numpy.
            unsafe { copy_strided(start, from, place, to, &view.shape, view.element.size()) }
        };
        if self.len_bytes() < LET_OTHERS_RUN {
            copy()
        } else {
            py.detach(copy)
        }
        true
    }

    /// Copies plain bytes to the start of a claim; false unless they are plain bytes.
    pub(crate) fn copy_plain(&self, py: Python<'_>, claim: &mut shmflow::Claim) -> bool {
        if !self.buffer.is_c_contiguous() {
            return false;
        }
        let len = self.len_bytes();
        let from = Addresses { from: self.buffer.buf_ptr().cast_const().cast(), to: std::ptr::null_mut() };
        let copy = move || {
            let Addresses { from: start, .. } = { from };
            if len != 0 {
                // SAFETY: the buffer is held, and contiguous. Other threads that write into it meanwhile: as above.
                claim.copy_from(unsafe { std::slice::from_raw_parts(start, len) });
            }
        };
        if len < LET_OTHERS_RUN {
            copy()
        } else {
            py.detach(copy)
        }
        true
    }
}

/// The elements of a part of a frame, one row after the other, and the strides that they have then.
pub(crate) fn contiguous(py: Python<'_>, lease: &Lease, view: &View) -> PyResult<(Vec<u8>, Vec<isize>)> {
    let item = view.element.size();
    let mut strides = vec![0; view.shape.len()];
    let mut step = item as isize;
    for (stride, length) in strides.iter_mut().zip(&view.shape).rev() {
        *stride = step;
        step = step.saturating_mul(*length);
    }
    if !lies_within(view, lease.len()) {
        return Err(PyBufferError::new_err("the view exceeds its frame"));
    }
    let len = usize::try_from(step).unwrap_or(0);
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(len)
        .map_err(|_| PyMemoryError::new_err(format!("{len} bytes for a copy of a frame")))?;
    bytes.resize(len, 0_u8);
    let addresses = Addresses { from: lease.start().wrapping_add(view.offset), to: bytes.as_mut_ptr() };
    let copy = || {
        let Addresses { from, to } = { addresses };
        // SAFETY: the lease keeps the memory, in which the view is; the target has room for as many elements, and nobody else
        // has it. A thread that scribbles on the frame meanwhile: as above.
        unsafe { copy_strided(from, &view.strides, to, &strides, &view.shape, item) }
    };
    if len < LET_OTHERS_RUN {
        copy()
    } else {
        py.detach(copy)
    }
    Ok((bytes, strides))
}

/// Whether every element of a view is within `len` bytes.
fn lies_within(view: &View, len: usize) -> bool {
    if view.shape.contains(&0) {
        return view.offset <= len;
    }
    let (mut first, mut last) = (0_i128, 0_i128);
    for (length, stride) in view.shape.iter().zip(&view.strides) {
        let span = (*length as i128 - 1) * (*stride as i128);
        if span < 0 { first += span } else { last += span }
    }
    let offset = view.offset as i128;
    offset + first >= 0 && offset + last + view.element.size() as i128 <= len as i128
}

/// Copies an array of `shape`, longest runs at once.
///
/// # Safety
/// Every element that `from` and `to` reach with their strides is valid, for reading and for writing; the two do not
/// overlap.
unsafe fn copy_strided(
    from: *const u8,
    from_strides: &[isize],
    to: *mut u8,
    to_strides: &[isize],
    shape: &[isize],
    item: usize,
) {
    let signed_item = item as isize;
    let run =
        contiguous_run(shape, from_strides, signed_item).min(contiguous_run(shape, to_strides, signed_item));
    let outer = shape.len().saturating_sub(run);
    let bytes = shape.iter().skip(outer).product::<isize>().max(0) as usize * item;
    if shape.contains(&0) {
        return;
    }
    let mut index = vec![0_isize; outer];
    loop {
        let at = |strides: &[isize]| index.iter().zip(strides).map(|(i, stride)| i * stride).sum::<isize>();
        // SAFETY: an index within the shape; the run behind it has no gaps on either side.
        unsafe {
            std::ptr::copy_nonoverlapping(from.offset(at(from_strides)), to.offset(at(to_strides)), bytes)
        };
        // The next index, the last dimension first.
        let mut dimension = outer;
        loop {
            let Some(previous) = dimension.checked_sub(1) else { return };
            dimension = previous;
            let (Some(value), Some(length)) = (index.get_mut(dimension), shape.get(dimension)) else {
                return;
            };
            *value += 1;
            if *value < *length {
                break;
            }
            *value = 0;
        }
    }
}

/// How many dimensions at the end have no gaps.
fn contiguous_run(shape: &[isize], strides: &[isize], item: isize) -> usize {
    let mut step = item;
    let mut run = 0;
    for (length, stride) in shape.iter().zip(strides).rev() {
        if *length != 1 && *stride != step {
            break;
        }
        step = step.saturating_mul(*length);
        run += 1;
    }
    run
}
