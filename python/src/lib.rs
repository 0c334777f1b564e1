//! `shmflow._shmflow`: the ring for Python. `docs/python.md` is the reference.
#![deny(unsafe_code)]

mod arrays;
mod attached;
mod awaiting;
mod block;
mod buffer;
mod cancel;
mod caps;
mod checkout;
mod colour;
mod consumer;
mod copy;
mod described;
mod dlpack;
mod errors;
mod fork;
mod forms;
mod frame;
mod lease;
mod mapping;
mod metadata;
mod opening;
mod picture;
mod producer;
mod reader;
mod settings;
mod shared;
mod slot;
mod stream;
mod tools;

use pyo3::prelude::*;

// A free-threaded interpreter turns its lock on for us: at the end of `with producer.frame()` references are counted, and no other
// thread may make one meanwhile (slot.rs).
#[pymodule(gil_used = true)]
fn _shmflow(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<cancel::CancelToken>()?;
    module.add_class::<consumer::Consumer>()?;
    module.add_class::<producer::Producer>()?;
    module.add_class::<frame::Frame>()?;
    module.add_class::<mapping::Mapping>()?;
    module.add_class::<slot::FrameWriter>()?;
    module.add_function(wrap_pyfunction!(tools::topics, module)?)?;
    module.add_function(wrap_pyfunction!(tools::inspect, module)?)?;
    module.add_function(wrap_pyfunction!(tools::remove, module)?)?;
    module.add_function(wrap_pyfunction!(tools::gc, module)?)
}
