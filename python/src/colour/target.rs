//! Where a converted picture goes: into a numpy array, of its own size or another.
#![allow(unsafe_code)]

use std::cell::RefCell;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;

use super::convert::Colours;
use super::{NoColours, Order};
use crate::arrays;
use crate::errors::raise;
use crate::forms::shape_text;

/// The array of a picture, rows x columns x 3 of uint8 without gaps.
pub(crate) struct Target<'py> {
    pub(crate) array: Bound<'py, PyAny>,
    buffer: PyBuffer<u8>,
    width: u32,
    height: u32,
}

/// The address of the array's bytes, on its way into a closure that runs without the interpreter.
struct Address(*mut u8);

// SAFETY: `Target` holds the buffer meanwhile.
unsafe impl Send for Address {}

/// What conversions need again and again, for each thread.
#[derive(Default)]
struct Scratch {
    picture: Vec<u8>,
    resizer: Resizer,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl<'py> Target<'py> {
    /// `out`, or a new array, for a picture of this width and height.
    pub(crate) fn of(py: Python<'py>, out: Option<&Bound<'py, PyAny>>, size: (u32, u32)) -> PyResult<Self> {
        let (width, height) = size;
        if width == 0 || height == 0 {
            return Err(raise(py, "InvalidArgument", format!("size=({width}, {height}) has no pixels")));
        }
        let array = match out {
            Some(out) => out.clone(),
            None => arrays::numpy(py, "empty")?.call1(((height, width, 3), "u1"))?,
        };
        let shape = [height as usize, width as usize, 3];
        let unfit = |given: &str| {
            let expected = shape_text(&shape.map(|length| isize::try_from(length).unwrap_or(isize::MAX)));
            let text = format!(
                "out needs shape {expected} of uint8, writable and without gaps between rows, but {given}; another size is \\
                 given by size=(width, height)"
            );
            raise(py, "InvalidArgument", text)
        };
        let buffer = PyBuffer::<u8>::get(&array).map_err(|error| unfit(&format!("it is none: {error}")))?;
        if buffer.shape() != shape {
            let given: Vec<isize> = buffer.shape().iter().map(|length| *length as isize).collect();
            return Err(unfit(&format!("it has shape {}", shape_text(&given))));
        }
        if buffer.readonly() || !buffer.is_c_contiguous() {
            return Err(unfit(if buffer.readonly() { "it is read-only" } else { "it has gaps" }));
        }
        Ok(Self { array, buffer, width, height })
    }

    /// Converts the picture into the array: the part of it behind `before`, columns and rows.
    pub(crate) fn fill(
        &self,
        py: Python<'_>,
        colours: &Colours<'_>,
        order: Order,
        before: (u32, u32),
    ) -> Result<(), NoColours> {
        let (len, size) = (self.buffer.len_bytes(), (self.width, self.height));
        let address = Address(self.buffer.buf_ptr().cast());
        py.detach(move || {
            let Address(start) = { address };
            // SAFETY: the buffer is held, writable, and contiguous. If another thread uses the array meanwhile, it sees
            // something of both pictures, as with every function of numpy or OpenCV that writes into an array.
            let out = unsafe { std::slice::from_raw_parts_mut(start, len) };
            if before == (0, 0) && size == (colours.width, colours.height) {
                return colours.convert(out, order);
            }
            SCRATCH.with_borrow_mut(|scratch| {
                let Scratch { picture, resizer } = scratch;
                picture.resize(colours.width as usize * colours.height as usize * 3, 0);
                colours.convert(picture, order)?;
                let shown = (colours.width.saturating_sub(before.0), colours.height.saturating_sub(before.1));
                if shown == size {
                    cut(picture, colours.width as usize, before, out, size.0 as usize);
                    return Ok(());
                }
                let source =
                    ImageRef::new(colours.width, colours.height, picture, PixelType::U8x3).map_err(failed)?;
                let mut target =
                    Image::from_slice_u8(size.0, size.1, out, PixelType::U8x3).map_err(failed)?;
                let (left, above) = (f64::from(before.0), f64::from(before.1));
                let options = ResizeOptions::new()
                    .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
                    .crop(left, above, f64::from(shown.0), f64::from(shown.1));
                resizer.resize(&source, &mut target, &options).map_err(failed)
            })
        })
    }
}

/// Copies what is behind the first columns and rows.
fn cut(picture: &[u8], columns: usize, before: (u32, u32), out: &mut [u8], width: usize) {
    let (left, above) = (before.0 as usize * 3, before.1 as usize);
    let rows = picture.chunks_exact(columns * 3).skip(above);
    for (to, from) in out.chunks_exact_mut(width * 3).zip(rows) {
        if let Some(from) = from.get(left..left + width * 3) {
            to.copy_from_slice(from);
        }
    }
}

fn failed(error: impl std::fmt::Display) -> NoColours {
    NoColours::Failed(error.to_string())
}
