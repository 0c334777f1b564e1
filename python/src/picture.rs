//! The layout of a producer's frames, and copies of pictures into them.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyList, PyMapping, PySequence, PyTuple};
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
    let source = match Source::get(data) {
        Ok(source) => source,
        Err(_) => converted(data, "bytes, or an array", None)?,
    };
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
                return Err(misfit(py, &plane, &view.describe(), &source.describe(), &remedy(data, picture)));
            }
        }
        let mut claim = claim(picture.len)?;
        for (source, view) in planes.iter().zip(views) {
            if !source.copy_into(py, &mut claim, view) {
                return Err(misfit(py, "a plane", &view.describe(), &source.describe(), ""));
            }
        }
        return Ok(claim);
    }
    let mut source = source(data, "an array, planes by name, or the bytes of a whole frame", picture)?;
    let single = single(picture);
    if single.is_some_and(|view| source.has_one_channel_more(view)) {
        source =
            Source::get(&writing(py)?.call_method1("squeezed", (source.object(py)?, shape(py, single)?))?)?;
    }
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
    Err(misfit(py, &expected_format(picture), &expected, &source.describe(), &remedy(data, picture)))
}

/// The one array of a packed picture.
fn single(picture: &Picture) -> Option<&View> {
    picture.views.as_deref().filter(|_| is_packed(&picture.layout.format)).and_then(<[View]>::first)
}

fn shape<'py>(py: Python<'py>, view: Option<&View>) -> PyResult<Option<Bound<'py, PyTuple>>> {
    view.map(|view| PyTuple::new(py, &view.shape)).transpose()
}

fn expected_format(picture: &Picture) -> String {
    let VideoLayout { format, width, height, .. } = &picture.layout;
    format!("a {format} picture of {width}x{height}")
}

fn misfit(py: Python<'_>, what: &str, expected: &str, given: &str, remedy: &str) -> PyErr {
    raise(py, "InvalidArgument", format!("{what} needs {expected}, but got {given}{remedy}"))
}

/// The part in Python: other libraries' pictures, and advice.
fn writing(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    py.import("shmflow._writing")
}

/// What to do with data that does not fit, as the end of a sentence. Without advice the message stands for itself.
fn remedy(data: &Bound<'_, PyAny>, picture: &Picture) -> String {
    let VideoLayout { format, width, height, .. } = &picture.layout;
    if data.cast::<crate::frame::Frame>().is_ok() {
        return match format.as_str() {
            "BGR" | "RGB" => format!("; write frame.{}(size=({width}, {height}))", format.to_lowercase()),
            _ => "; open the producer with caps=frame.caps".into(),
        };
    }
    let advise = || -> PyResult<String> {
        let (py, view) = (data.py(), single(picture));
        let dtype = view.map(|view| view.element.dtype());
        let arguments = (data, format, shape(py, view)?, dtype, (*width, *height));
        writing(py)?.call_method1("remedy", arguments)?.extract()
    };
    advise().unwrap_or_default()
}

/// What other libraries have instead of the buffer protocol: tensors, images.
fn converted(data: &Bound<'_, PyAny>, what: &str, picture: Option<&Picture>) -> PyResult<Source> {
    let format = picture.map(|picture| picture.layout.format.as_str());
    let size = picture.map(|picture| (picture.layout.width, picture.layout.height));
    Source::get(&writing(data.py())?.call_method1("buffer", (data, what, format, size))?)
}

/// A picture, or a plane, to copy from.
fn source(data: &Bound<'_, PyAny>, what: &str, picture: &Picture) -> PyResult<Source> {
    let source = match Source::get(data) {
        Ok(source) => source,
        Err(_) => converted(data, what, Some(picture))?,
    };
    if source.is_truth() {
        return Source::get(&writing(data.py())?.call_method1("mask", (source.object(data.py())?,))?);
    }
    Ok(source)
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
        return Err(misfit(
            py,
            &described,
            "a frame of the same format",
            &format!("one of {given}"),
            &remedy(data, picture),
        ));
    }
    if let Ok(mapping) = data.cast::<PyMapping>() {
        if mapping.len()? != views.len() {
            return Err(misfit(
                py,
                &described,
                &format!("the planes {}", names()),
                &format!("{} planes", mapping.len()?),
                "",
            ));
        }
        let planes = views.iter().map(|view| {
            let plane = mapping.get_item(view.name);
            let plane = plane
                .map_err(|_| misfit(py, &described, &format!("the planes {}", names()), "others", ""))?;
            source(&plane, "arrays as planes", picture)
        });
        return planes.collect::<PyResult<_>>().map(Some);
    }
    let listed = data.is_instance_of::<PyList>() || data.is_instance_of::<PyTuple>();
    if listed && let Ok(sequence) = data.cast::<PySequence>() {
        let len = sequence.len()?;
        // (True, picture) is what VideoCapture.read() returns.
        if len != views.len() || sequence.get_item(0)?.is_instance_of::<PyBool>() {
            let given = format!("a {} of {len}", data.get_type().name()?);
            return Err(misfit(
                py,
                &described,
                &format!("the planes {}", names()),
                &given,
                &remedy(data, picture),
            ));
        }
        let planes = sequence.try_iter()?.map(|plane| source(&plane?, "arrays as planes", picture));
        return planes.collect::<PyResult<_>>().map(Some);
    }
    Ok(None)
}
