//! From the crate's errors to the classes of `shmflow.errors`.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use shmflow::Error;

/// An instance of a class of `shmflow.errors`.
pub(crate) fn raise(py: Python<'_>, class: &str, message: impl Into<String>) -> PyErr {
    match make(py, class, message.into()) {
        Ok(instance) => PyErr::from_value(instance),
        Err(error) => error,
    }
}

fn make<'py>(py: Python<'py>, class: &str, message: String) -> PyResult<Bound<'py, PyAny>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = MODULE.get_or_try_init(py, || py.import("shmflow.errors").map(Bound::unbind))?;
    module.bind(py).getattr(class)?.call1((message,))
}

fn with(py: Python<'_>, class: &str, message: String, attributes: &[(&str, u64)]) -> PyErr {
    let made = make(py, class, message).and_then(|instance| {
        for (name, value) in attributes {
            instance.setattr(*name, *value)?;
        }
        Ok(instance)
    });
    match made {
        Ok(instance) => PyErr::from_value(instance),
        Err(error) => error,
    }
}

/// Whether an exception is of a class of `shmflow.errors`, or of one that is derived from it.
pub(crate) fn is_class(py: Python<'_>, error: &PyErr, class: &str) -> bool {
    let module = py.import("shmflow.errors");
    module.and_then(|module| module.getattr(class)).is_ok_and(|class| error.is_instance(py, &class))
}

/// No topic came in time.
pub(crate) fn topic_timeout(py: Python<'_>, message: String) -> PyErr {
    with(py, "TopicTimeout", message, &[("errno", u64::from(libc::ETIMEDOUT.unsigned_abs()))])
}

/// The exception for an error of the crate, with the crate's message.
pub(crate) fn failed(py: Python<'_>, error: Error) -> PyErr {
    let text = error.to_string();
    let errno = |number: i32| ("errno", u64::from(number.unsigned_abs()));
    match error {
        Error::TopicNotFound { .. } => with(py, "TopicNotFound", text, &[errno(libc::ENOENT)]),
        Error::Timeout { .. } => with(py, "Timeout", text, &[errno(libc::ETIMEDOUT)]),
        Error::PermissionDenied { .. } | Error::ForeignOwner { .. } | Error::ReadOnlyNotAllowed { .. } => {
            with(py, "PermissionDenied", text, &[errno(libc::EACCES)])
        }
        Error::NoSpace { needed, free, .. } => {
            with(py, "NoSpace", text, &[errno(libc::ENOSPC), ("needed", needed), ("free", free)])
        }
        Error::Io { source, .. } => match source.raw_os_error() {
            Some(number) => with(py, "SystemFailure", text, &[errno(number)]),
            None => raise(py, "SystemFailure", text),
        },
        Error::Ended { .. } => raise(py, "Ended", text),
        Error::NoProducer { .. } => raise(py, "NoProducer", text),
        Error::WouldCopy { .. } => raise(py, "WouldCopy", text),
        Error::Removed { .. } => raise(py, "Removed", text),
        Error::Forked { .. } => raise(py, "ForkedError", text),
        Error::Cancelled { .. } => raise(py, "Closed", text),
        Error::NoSlot { .. } => raise(py, "NoSlot", text),
        Error::Full { .. } => raise(py, "Full", text),
        Error::Standby { .. } => raise(py, "Standby", text),
        Error::InUse { .. } | Error::TooManyProducers { .. } => raise(py, "InUse", text),
        Error::Busy { .. } => raise(py, "Busy", text),
        Error::NotARing { .. } | Error::VersionMismatch { .. } | Error::Corrupt { .. } => {
            raise(py, "Corrupt", text)
        }
        Error::TooLarge { .. } => raise(py, "TooLarge", text),
        Error::InvalidTopicName { .. } | Error::InvalidArgument { .. } => raise(py, "InvalidArgument", text),
        Error::Meta(_) => raise(py, "MetadataError", text),
        _ => raise(py, "ShmflowError", text),
    }
}

/// As [`failed`], for `map_err`.
pub(crate) trait OrRaise<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for shmflow::Result<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| failed(py, error))
    }
}
