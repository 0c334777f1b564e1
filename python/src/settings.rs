//! Arguments of several classes.

use std::time::Duration;

use pyo3::exceptions::PyTypeError;
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

/// A topic's name.
pub(crate) fn topic(name: &Bound<'_, PyAny>) -> PyResult<String> {
    name.extract().map_err(|_| {
        PyTypeError::new_err(format!(
            "topic must be a name, such as \"camera\" or \"robot/front\", not {}; the directory is an argument of its own, \
             directory=",
            class(name)
        ))
    })
}

/// Caps, as a text.
pub(crate) fn caps(caps: Option<&Bound<'_, PyAny>>) -> PyResult<Option<String>> {
    let Some(caps) = caps else { return Ok(None) };
    caps.extract().map(Some).map_err(|_| {
        PyTypeError::new_err(format!(
            "caps must be a text, such as \"video/x-raw, format=BGR, width=640, height=480, framerate=30/1\", not {}; or \
             pass width=, height=, format= and fps=",
            class(caps)
        ))
    })
}

/// A number of pixels. OpenCV tells it as a float.
pub(crate) fn pixels(name: &str, value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<u32>> {
    let Some(value) = value else { return Ok(None) };
    if let Ok(number) = value.extract::<f64>()
        && number.fract() == 0.0
        && (0.0..=f64::from(u32::MAX)).contains(&number)
    {
        return Ok(Some(number as u32));
    }
    value.extract().map(Some).map_err(|error: PyErr| match error.is_instance_of::<PyTypeError>(value.py()) {
        true => PyTypeError::new_err(format!("{name} must be a number of pixels, not {}", class(value))),
        false => error,
    })
}

fn class(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map(|name| name.to_string()).unwrap_or_default()
}

/// Names of formats elsewhere (V4L2, FFmpeg, ROS, PIL), in capitals, and GStreamer's.
const ELSEWHERE: [(&str, &str); 17] = [
    ("BGR8", "BGR"),
    ("BGR24", "BGR"),
    ("BGR3", "BGR"),
    ("RGB8", "RGB"),
    ("RGB24", "RGB"),
    ("RGB3", "RGB"),
    ("RGBA8", "RGBA"),
    ("BGRA8", "BGRA"),
    ("BGR0", "BGRx"),
    ("RGB0", "RGBx"),
    ("GRAY", "GRAY8"),
    ("GREY", "GRAY8"),
    ("MONO8", "GRAY8"),
    ("MONO16", "GRAY16_LE"),
    ("YUYV", "YUY2"),
    ("YUV420P", "I420"),
    ("YU12", "I420"),
];

/// GStreamer's name for what somebody calls by another one.
fn known_as(format: &str) -> Option<&'static str> {
    let capitals = format.to_uppercase();
    let usual = ["BGR", "RGB", "BGRx", "RGBx", "BGRA", "RGBA", "GRAY8", "I420", "NV12", "YUY2", "UYVY"];
    let elsewhere = ELSEWHERE.iter().find(|(name, _)| *name == capitals).map(|(_, known)| *known);
    elsewhere.or_else(|| usual.into_iter().find(|known| known.to_uppercase() == capitals))
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
            match known_as(format) {
                Some(known) => format!("format={format:?} is not known; GStreamer calls it {known:?}"),
                None => format!(
                    "format={format:?} is not known; use GStreamer's names, such as BGR, BGRx, GRAY8, I420 or NV12"
                ),
            },
        )),
        None => Err(raise(
            py,
            "InvalidArgument",
            format!("a picture of {width}x{height} pixels cannot be laid out"),
        )),
    }
}
