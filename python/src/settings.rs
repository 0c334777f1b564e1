//! Arguments of several classes.

use std::time::Duration;

use pyo3::prelude::*;
use shmflow::meta::VideoLayout;

use crate::errors::raise;

/// One of several words.
pub(crate) fn choose<T: Copy>(py: Python<'_>, name: &str, word: &str, choices: &[(&str, T)]) -> PyResult<T> {
    match choices.iter().find(|(known, _)| *known == word) {
        Some((_, choice)) => Ok(*choice),
        None => {
            let known: Vec<String> = choices.iter().map(|(known, _)| format!("\"{known}\"")).collect();
            Err(raise(
                py,
                "InvalidArgument",
                format!("{name}={word:?}: it must be one of {}", known.join(", ")),
            ))
        }
    }
}

/// Seconds; `None` is for ever.
pub(crate) fn duration(py: Python<'_>, name: &str, seconds: Option<f64>) -> PyResult<Option<Duration>> {
    /// As good as for ever.
    const LONGEST: f64 = 1e9;
    match seconds {
        None => Ok(None),
        Some(seconds) if seconds.is_nan() || seconds < 0.0 => Err(raise(
            py,
            "InvalidArgument",
            format!("{name}={seconds}: it must be a number of seconds, not below 0, or None"),
        )),
        Some(seconds) => Ok(Some(Duration::try_from_secs_f64(seconds.min(LONGEST)).unwrap_or(Duration::MAX))),
    }
}

/// GStreamer's layout for a format and size.
pub(crate) fn layout(
    py: Python<'_>,
    format: &str,
    width: u32,
    height: u32,
    fps: (u32, u32),
) -> PyResult<VideoLayout> {
    match VideoLayout::standard(format, width, height) {
        Some((layout, _)) => Ok(layout.fps(fps.0, fps.1)),
        None if VideoLayout::standard(format, 16, 16).is_none() => Err(raise(
            py,
            "InvalidArgument",
            format!(
                "format={format:?} is not known; use GStreamer's names, such as BGR, BGRx, GRAY8, I420 or NV12"
            ),
        )),
        None => Err(raise(
            py,
            "InvalidArgument",
            format!("a picture of {width}x{height} pixels cannot be laid out"),
        )),
    }
}
