//! What the frames of a producer are: a picture, or bytes that caps may describe.

use pyo3::prelude::*;
use pyo3::types::PyString;
use shmflow::meta::VideoLayout;

use crate::caps::{self, Caps};
use crate::errors::raise;
use crate::settings;

/// Raw video of a format without arrays is written as bytes, but is still video.
pub(crate) fn is_raw_video(caps: Option<&str>) -> bool {
    caps.and_then(Caps::parse).is_some_and(|caps| caps.media == "video/x-raw")
}

/// The kind of the frames: a picture, or bytes that caps may describe.
pub(crate) fn describe(
    py: Python<'_>,
    text: Option<&str>,
    format: Option<&str>,
    width: Option<u32>,
    height: Option<u32>,
    fps: Option<&Bound<'_, PyAny>>,
) -> PyResult<(Option<VideoLayout>, Option<String>)> {
    let invalid = |why: &str| Err(raise(py, "InvalidArgument", why));
    match (text, format, width, height) {
        (None, None, None, None) if fps.is_none() => Ok((None, None)),
        (Some(text), None, None, None) if fps.is_none() => {
            if text.contains('\0') {
                return invalid("caps must not contain a NUL character");
            }
            let parsed = Caps::parse(text);
            let layout = parsed.as_ref().and_then(Caps::layout).map(|(layout, _)| layout);
            let open =
                |caps: Caps<'_>| caps.format.is_none() || caps.width.is_none() || caps.height.is_none();
            if parsed.is_some_and(|caps| caps.media == "video/x-raw" && open(caps)) {
                return invalid("caps of raw video need a format, a width and a height");
            }
            Ok((layout, Some(text.to_owned())))
        }
        (None, Some(format), Some(width), Some(height)) => {
            let layout = settings::layout(py, format, width, height, fps.map_or(Ok((0, 1)), rate)?)?;
            let text = caps::text(&layout);
            Ok((Some(layout), Some(text)))
        }
        _ => invalid(
            "a picture needs format, width and height, or caps that have them; bare bytes need none of them",
        ),
    }
}

/// Frames per second: a number, a Fraction, a pair or a text like "30000/1001".
fn rate(fps: &Bound<'_, PyAny>) -> PyResult<(u32, u32)> {
    let py = fps.py();
    let fraction = py.import("fractions")?.getattr("Fraction")?;
    let bad = |_| {
        raise(
            py,
            "InvalidArgument",
            "fps must be a number, a fractions.Fraction, (30000, 1001) or \"30000/1001\"",
        )
    };
    let value = match fps.extract::<(u32, u32)>() {
        Ok(pair) if !fps.is_instance_of::<PyString>() => fraction.call1(pair),
        _ => fraction.call1((fps,)),
    };
    // 29.97 is not 8436136800846807/281474976710656.
    let value = value.and_then(|value| value.call_method1("limit_denominator", (1001,))).map_err(bad)?;
    let part = |name: &str| value.getattr(name)?.extract::<u32>();
    Ok((part("numerator").map_err(bad)?, part("denominator").map_err(bad)?))
}

pub(crate) fn frame_duration((numerator, denominator): (u32, u32)) -> Option<u64> {
    u64::from(denominator).checked_mul(1_000_000_000)?.checked_div(u64::from(numerator))
}
