//! The shared mapping that a frame is in, for those who hand its address to a driver.

use pyo3::prelude::*;

/// The shared, read-only mapping of the ring that a frame is in.
///
/// All frames of a ring have the same one (`address` and `size`), until the ring grows: so a framework registers it once, as with
/// `cudaHostRegister(address, size, cudaHostRegisterReadOnly)`, and copies each frame from `address + offset`. The mapping stays as
/// long as this object does; the frame's bytes stay as they are as long as the frame does. A store to it is a segmentation
/// fault, and what a library wrote onto `frame.array` is not to be seen in it.
#[pyclass(module = "shmflow", frozen)]
pub(crate) struct Mapping {
    mapping: shmflow::SharedMapping,
    offset: usize,
    len: usize,
}

impl Mapping {
    pub(crate) fn of(frame: &shmflow::Frame) -> Option<Self> {
        let (mapping, offset) = frame.shared_mapping()?;
        Some(Self { mapping, offset, len: frame.len() })
    }
}

#[pymethods]
impl Mapping {
    /// Where the mapping begins: at a page.
    #[getter]
    fn address(&self) -> usize {
        self.mapping.as_ptr().addr()
    }

    /// Of the mapping, in bytes.
    #[getter]
    fn size(&self) -> usize {
        self.mapping.len()
    }

    /// Where the frame's bytes begin in it.
    #[getter]
    fn offset(&self) -> usize {
        self.offset
    }

    /// The number of the frame's bytes.
    fn __len__(&self) -> usize {
        self.len
    }

    fn __repr__(&self) -> String {
        format!("<shmflow.Mapping of {} bytes, with a frame of {} at {}>", self.size(), self.len, self.offset)
    }
}
