//! The layout of a producer's frames, and copies of pictures into them.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMapping, PySequence};
use shmflow::meta::VideoLayout;

use crate::copy::Source;
use crate::errors::raise;
use crate::forms::{NoViews, View, is_packed, views, whole};

/// The layout of a video producer's frames.
pub(crate) struct Picture {
    pub(crate) layout: VideoLayout,
    pub(crate) len: usize,
    /// None for formats without arrays: such frames are written as bytes.
    pub(crate) views: Option<Vec<View>>,
}

/// The arrays of pictures of this layout in a frame.
pub(crate) fn picture(py: Python<'_>, layout: VideoLayout) -> PyResult<Picture> {
    let size = VideoLayout::standard(&layout.format, layout.width, layout.height).map(|(_, size)| size);
    let len = size.and_then(|size| usize::try_from(size).ok()).filter(|len| isize::try_from(*len).is_ok());
    let Some(len) = len else {
        let VideoLayout { format, width, height, .. } = &layout;
        return Err(raise(
            py,
            "InvalidArgument",
            format!("a {format} picture of {width}x{height} cannot be laid out"),
        ));
    };
    let views = match views(&layout, whole(&layout), len) {
        Ok(views) => Some(views),
        // The whole is not cut.
        Err(NoViews::Unknown | NoViews::Cut(_)) => None,
        Err(NoViews::Bad(why)) => return Err(raise(py, "InvalidArgument", why)),
    };
    Ok(Picture { layout, len, views })
}

/// A claim with a copy of bare bytes.
pub(crate) fn fill_bytes(
    py: Python<'_>,
    claim: impl Fn(usize) -> PyResult<shmflow::Claim>,
    data: &Bound<'_, PyAny>,
) -> PyResult<shmflow::Claim> {
    let source = source(data, "bytes, or an array")?;
    let mut claim = claim(source.len_bytes())?;
    if !source.copy_plain(py, &mut claim) {
        let plain =
            data.py().import("builtins")?.getattr("memoryview")?.call1((data,))?.call_method0("tobytes")?;
        claim.copy_from(plain.cast_into::<PyBytes>()?.as_bytes());
    }
    Ok(claim)
}

/// A claim with a copy of a picture. Everything is checked before a slot is claimed.
pub(crate) fn fill_picture(
    py: Python<'_>,
    claim: impl Fn(usize) -> PyResult<shmflow::Claim>,
    picture: &Picture,
    data: &Bound<'_, PyAny>,
) -> PyResult<shmflow::Claim> {
    if let Some(planes) = planes_of(data, picture)? {
        let views = picture.views.as_deref().unwrap_or_default();
        for (source, view) in planes.iter().zip(views) {
            if !source.fits(view) {
                let plane = format!("plane {} of {}", view.name, expected_format(picture));
                return Err(misfit(py, &plane, &view.describe(), &source.describe()));
            }
        }
        let mut claim = claim(picture.len)?;
        for (source, view) in planes.iter().zip(views) {
            if !source.copy_into(py, &mut claim, view) {
                return Err(misfit(py, "a plane", &view.describe(), &source.describe()));
            }
        }
        return Ok(claim);
    }
    let source = source(data, "an array, planes by name, or the bytes of a whole frame")?;
    let single =
        picture.views.as_deref().filter(|_| is_packed(&picture.layout.format)).and_then(<[View]>::first);
    if let Some(view) = single.filter(|view| source.fits(view)) {
        let mut claim = claim(picture.len)?;
        // Without gaps on either side it is copied at once, around the caches where that is faster.
        let whole = source.is_contiguous() && source.len_bytes() == picture.len;
        if whole && source.copy_plain(py, &mut claim) || source.copy_into(py, &mut claim, view) {
            return Ok(claim);
        }
    }
    // A whole frame as it is in memory; of planar formats also as OpenCV shapes it.
    let whole = source.is_plain_bytes() && source.len_bytes() == picture.len;
    if whole && (source.dimensions() == 1 || single.is_none()) {
        let mut claim = claim(picture.len)?;
        source.copy_plain(py, &mut claim);
        return Ok(claim);
    }
    let expected = match (single, picture.views.as_deref()) {
        (Some(view), _) => view.describe(),
        (None, Some(views)) => {
            let planes: Vec<_> =
                views.iter().map(|view| format!("{}: {}", view.name, view.describe())).collect();
            format!("planes by name ({}), or the {} bytes of a whole frame", planes.join("; "), picture.len)
        }
        (None, None) => format!("the {} bytes of a whole frame", picture.len),
    };
    Err(misfit(py, &expected_format(picture), &expected, &source.describe()))
}

fn expected_format(picture: &Picture) -> String {
    let VideoLayout { format, width, height, .. } = &picture.layout;
    format!("a {format} picture of {width}x{height}")
}

fn misfit(py: Python<'_>, what: &str, expected: &str, given: &str) -> PyErr {
    raise(py, "InvalidArgument", format!("{what} needs {expected}, but got {given}"))
}

fn source(data: &Bound<'_, PyAny>, what: &str) -> PyResult<Source> {
    Source::get(data).map_err(|error| {
        let class = data.get_type().name().map(|name| name.to_string()).unwrap_or_default();
        PyTypeError::new_err(format!("write() takes {what}, not {class} ({error})"))
    })
}

/// The planes of a dictionary, a list or a tuple, or of a received frame, in order.
fn planes_of(data: &Bound<'_, PyAny>, picture: &Picture) -> PyResult<Option<Vec<Source>>> {
    let py = data.py();
    let Some(views) = picture.views.as_deref() else { return Ok(None) };
    let described = expected_format(picture);
    let names = || views.iter().map(|view| view.name).collect::<Vec<_>>().join(", ");
    if let Ok(frame) = data.cast::<crate::frame::Frame>() {
        // Its rows may have another layout than ours.
        let theirs = frame.get().views(py)?.unwrap_or_default();
        let format: Option<String> = data.getattr("format")?.extract()?;
        if format.as_deref() == Some(picture.layout.format.as_str()) && theirs.len() == views.len() {
            return planes_of(&data.getattr("planes")?, picture);
        }
        let given = format.unwrap_or_else(|| "bytes".into());
        return Err(misfit(py, &described, "a frame of the same format", &format!("one of {given}")));
    }
    if let Ok(mapping) = data.cast::<PyMapping>() {
        if mapping.len()? != views.len() {
            return Err(misfit(
                py,
                &described,
                &format!("the planes {}", names()),
                &format!("{} planes", mapping.len()?),
            ));
        }
        let planes = views.iter().map(|view| {
            let plane = mapping.get_item(view.name);
            let plane =
                plane.map_err(|_| misfit(py, &described, &format!("the planes {}", names()), "others"))?;
            source(&plane, "arrays as planes")
        });
        return planes.collect::<PyResult<_>>().map(Some);
    }
    let listed =
        data.is_instance_of::<pyo3::types::PyList>() || data.is_instance_of::<pyo3::types::PyTuple>();
    if listed && let Ok(sequence) = data.cast::<PySequence>() {
        if sequence.len()? != views.len() {
            let given = format!("{} of them", sequence.len()?);
            return Err(misfit(py, &described, &format!("the planes {}", names()), &given));
        }
        let planes = sequence.try_iter()?.map(|plane| source(&plane?, "arrays as planes"));
        return planes.collect::<PyResult<_>>().map(Some);
    }
    Ok(None)
}
