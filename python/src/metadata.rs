//! Metadata blocks as dictionaries, with the names of `docs/metadata.md` and the golden files.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use shmflow::meta::{AudioLayout, Clock, Crop, Extension, Flags, Kind, Meta, Plane, VideoLayout};

use crate::attached;
use crate::described::Decoded;

pub(crate) fn clock_name(clock: Clock) -> &'static str {
    match clock {
        Clock::Unknown => "unknown",
        Clock::Monotonic => "monotonic",
        Clock::Realtime => "realtime",
        Clock::Tai => "tai",
        _ => "other",
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Bytes => "bytes",
        Kind::Video => "video",
        Kind::Audio => "audio",
        Kind::Packet => "packet",
        _ => "other",
    }
}

pub(crate) fn flag_names(flags: Flags) -> Vec<&'static str> {
    Flags::NAMED.iter().filter(|(flag, ..)| flags.contains(*flag)).map(|&(.., name)| name).collect()
}

/// All metadata of a frame, as a dictionary.
pub(crate) fn to_dict<'py>(py: Python<'py>, decoded: &Decoded) -> PyResult<Bound<'py, PyDict>> {
    let (described, frame) = (&decoded.described, &decoded.frame);
    let dict = PyDict::new(py);
    dict.set_item("kind", kind_name(described.kind))?;
    dict.set_item("kind_number", described.kind.to_raw())?;
    dict.set_item("flags", flag_names(frame.flags))?;
    dict.set_item("flags_number", frame.flags.bits())?;
    dict.set_item("capture_ns", frame.times.capture_ns)?;
    dict.set_item("clock", clock_name(frame.times.clock))?;
    dict.set_item("clock_number", frame.times.clock.to_raw())?;
    dict.set_item("pts", frame.times.pts)?;
    dict.set_item("dts", frame.times.dts)?;
    dict.set_item("duration", frame.times.duration)?;
    dict.set_item("latency_ns", frame.times.latency_ns)?;
    dict.set_item("offset", frame.offset)?;
    dict.set_item("offset_end", frame.offset_end)?;
    dict.set_item("caps", described.caps.as_deref())?;
    dict.set_item("video", described.video.as_ref().map(|video| video_dict(py, video)).transpose()?)?;
    dict.set_item("audio", described.audio.as_ref().map(|audio| audio_dict(py, audio)).transpose()?)?;
    dict.set_item("crop", described.crop.map(|crop| crop_dict(py, crop)).transpose()?)?;
    let extensions = described.extensions.iter().map(|e| (e.ty, PyBytes::new(py, &e.data)));
    dict.set_item("extensions", PyList::new(py, extensions.collect::<Vec<_>>())?)?;
    Ok(dict)
}

fn video_dict<'py>(py: Python<'py>, video: &VideoLayout) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("format", &video.format)?;
    dict.set_item("width", video.width)?;
    dict.set_item("height", video.height)?;
    dict.set_item("fps", PyList::new(py, [video.fps.0, video.fps.1])?)?;
    let planes = PyList::empty(py);
    for plane in &video.planes {
        let entry = PyDict::new(py);
        entry.set_item("offset", plane.offset)?;
        entry.set_item("stride", plane.stride)?;
        planes.append(entry)?;
    }
    dict.set_item("planes", planes)?;
    Ok(dict)
}

fn audio_dict<'py>(py: Python<'py>, audio: &AudioLayout) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("format", &audio.format)?;
    dict.set_item("rate", audio.rate)?;
    dict.set_item("channels", audio.channels)?;
    dict.set_item("channel_mask", audio.channel_mask)?;
    dict.set_item("samples", audio.samples)?;
    dict.set_item("planes", PyList::new(py, &audio.planes)?)?;
    Ok(dict)
}

pub(crate) fn crop_dict(py: Python<'_>, crop: Crop) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in [("x", crop.x), ("y", crop.y), ("width", crop.width), ("height", crop.height)] {
        dict.set_item(name, value)?;
    }
    Ok(dict)
}

/// Applies a dictionary to `meta`. For a producer of video (`typed`), caps and layout stay.
pub(crate) fn apply(meta: &mut Meta, dict: &Bound<'_, PyDict>, typed: bool) -> PyResult<()> {
    // A frame's crop is about the frame's own layout: it means nothing where the picture alone is written.
    let foreign = match (typed, dict.get_item("video")?, &meta.video) {
        (true, Some(video), Some(ours)) if !video.is_none() => {
            let size = |name| video.get_item(name).and_then(|number| number.extract::<u32>()).ok();
            (size("width"), size("height")) != (Some(ours.width), Some(ours.height))
        }
        _ => false,
    };
    for (key, value) in dict.iter() {
        let key: String = key.extract()?;
        if attached::is_key(&key) || key == "crop" && foreign {
            continue;
        }
        set(meta, &key, &value, typed)
            .map_err(|error| PyTypeError::new_err(format!("metadata[\"{key}\"]: {error}")))?;
    }
    if !typed && !dict.contains("kind")? && !dict.contains("kind_number")? {
        meta.kind = match &*meta {
            Meta { video: Some(_), .. } => Kind::Video,
            Meta { audio: Some(_), .. } => Kind::Audio,
            Meta { caps, .. } => caps.as_deref().map_or(Kind::Bytes, Kind::of_caps),
        };
    }
    // After the extensions, of which they take the place.
    attached::apply(meta, dict)
}

fn set(meta: &mut Meta, key: &str, value: &Bound<'_, PyAny>, typed: bool) -> PyResult<()> {
    let times = &mut meta.times;
    match key {
        "caps" | "video" | "audio" | "kind" | "kind_number" if typed => {}
        // The numbers say the same, and more.
        "kind" | "clock" if numbered(value)? => {}
        "caps" => meta.caps = value.extract()?,
        "video" => meta.video = if value.is_none() { None } else { Some(layout(value)?) },
        "audio" => meta.audio = if value.is_none() { None } else { Some(audio_layout(value)?) },
        "kind" => meta.kind = named_kind(&value.extract::<String>()?)?,
        "kind_number" => meta.kind = Kind::from_raw(value.extract()?),
        "clock" => times.clock = named_clock(&value.extract::<String>()?)?,
        "clock_number" => times.clock = Clock::from_raw(value.extract()?),
        "flags" => meta.flags |= named_flags(&value.extract::<Vec<String>>()?)?,
        "flags_number" => meta.flags |= Flags::from_bits(value.extract()?),
        "capture_ns" => times.capture_ns = value.extract()?,
        "pts" => times.pts = value.extract()?,
        "dts" => times.dts = value.extract()?,
        "duration" => times.duration = value.extract()?,
        "latency_ns" => times.latency_ns = value.extract()?,
        "offset" => meta.offset = value.extract()?,
        "offset_end" => meta.offset_end = value.extract()?,
        "crop" => meta.crop = if value.is_none() { None } else { Some(crop(value)?) },
        "extensions" => {
            let pairs: Vec<(u16, Vec<u8>)> = value.extract()?;
            meta.extensions = pairs.into_iter().map(|(ty, data)| Extension::new(ty, data)).collect();
        }
        _ => {
            return Err(PyValueError::new_err("there is no such key; Frame.metadata has the valid ones"));
        }
    }
    Ok(())
}

/// Whether only the number is known, and not the name.
fn numbered(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(value.extract::<String>()? == "other")
}

fn named_kind(name: &str) -> PyResult<Kind> {
    let kinds = [Kind::Bytes, Kind::Video, Kind::Audio, Kind::Packet];
    let found = kinds.into_iter().find(|kind| kind_name(*kind) == name);
    found.ok_or_else(|| PyValueError::new_err("it must be one of bytes, video, audio, packet"))
}

fn named_clock(name: &str) -> PyResult<Clock> {
    let clocks = [Clock::Unknown, Clock::Monotonic, Clock::Realtime, Clock::Tai];
    let found = clocks.into_iter().find(|clock| clock_name(*clock) == name);
    found.ok_or_else(|| PyValueError::new_err("it must be one of unknown, monotonic, realtime, tai"))
}

pub(crate) fn named_flags(names: &[String]) -> PyResult<Flags> {
    names.iter().try_fold(Flags::EMPTY, |flags, name| {
        match Flags::NAMED.iter().find(|(.., known)| known == name) {
            Some((flag, ..)) => Ok(flags | *flag),
            None => {
                let known: Vec<_> = Flags::NAMED.iter().map(|(.., name)| *name).collect();
                Err(PyValueError::new_err(format!(
                    "there is no flag {name:?}; the flags are {}",
                    known.join(", ")
                )))
            }
        }
    })
}

fn layout(value: &Bound<'_, PyAny>) -> PyResult<VideoLayout> {
    let mut planes = Vec::new();
    for plane in value.get_item("planes")?.try_iter()? {
        let plane = plane?;
        let (offset, stride) = (plane.get_item("offset")?.extract()?, plane.get_item("stride")?.extract()?);
        planes.push(Plane { offset, stride });
    }
    let [numerator, denominator]: [u32; 2] = value.get_item("fps")?.extract()?;
    let format: String = value.get_item("format")?.extract()?;
    let (width, height) = (value.get_item("width")?.extract()?, value.get_item("height")?.extract()?);
    Ok(VideoLayout::new(format, width, height, planes).fps(numerator, denominator))
}

fn audio_layout(value: &Bound<'_, PyAny>) -> PyResult<AudioLayout> {
    let (format, samples): (String, u64) =
        (value.get_item("format")?.extract()?, value.get_item("samples")?.extract()?);
    let (rate, channels) = (value.get_item("rate")?.extract()?, value.get_item("channels")?.extract()?);
    let planes: Vec<u64> = value.get_item("planes")?.extract()?;
    let mask = value.get_item("channel_mask")?.extract()?;
    Ok(AudioLayout::new(format, rate, channels, samples).channel_mask(mask).planes(planes))
}

fn crop(value: &Bound<'_, PyAny>) -> PyResult<Crop> {
    let number = |name: &str| value.get_item(name)?.extract::<u32>();
    Ok(Crop { x: number("x")?, y: number("y")?, width: number("width")?, height: number("height")? })
}
