//! What is attached to a frame, as plain values: regions, detections, time codes and the like.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use shmflow::meta::{
    ActiveFormat, AudioLevel, Caption, CustomMeta, Detections, Extension, Finding, Meta, MetaEntry,
    MetaError, Object, ReferenceTimestamp, Region, Relation, Tags, TimeCode, Track,
};

/// Names of relations, as GStreamer has them.
const RELATIONS: [(u32, &str); 3] = [
    (Relation::IS_PART_OF, "is-part-of"),
    (Relation::CONTAINS, "contains"),
    (Relation::RELATES_TO, "relates-to"),
];

/// What can go wrong: the block is not what it says, or Python has no memory.
pub(crate) enum Failure {
    Meta(MetaError),
    Python(PyErr),
}

impl From<MetaError> for Failure {
    fn from(error: MetaError) -> Self {
        Self::Meta(error)
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

/// Sets the items of a dictionary.
macro_rules! dict {
    ($py:expr, $($key:literal: $value:expr),* $(,)?) => {{
        let dict = PyDict::new($py);
        $(dict.set_item($key, $value)?;)*
        dict
    }};
}

fn all<E: MetaEntry>(extensions: &[Extension]) -> impl Iterator<Item = Result<E, MetaError>> {
    extensions.iter().filter(|one| one.ty == E::TYPE).map(|one| E::from_value(&one.data))
}

fn list<'py, E: MetaEntry>(
    py: Python<'py>,
    extensions: &[Extension],
    value: impl Fn(&E) -> PyResult<Bound<'py, PyDict>>,
) -> Result<Bound<'py, PyList>, Failure> {
    let list = PyList::empty(py);
    for entry in all::<E>(extensions) {
        list.append(value(&entry?)?)?;
    }
    Ok(list)
}

/// The regions of interest of a frame.
pub(crate) fn regions<'py>(py: Python<'py>, from: &[Extension]) -> Result<Bound<'py, PyList>, Failure> {
    list(py, from, |one: &Region| {
        Ok(dict! { py, "kind": &one.kind, "x": one.x, "y": one.y, "width": one.width, "height": one.height,
        "id": one.id, "parent_id": one.parent_id, "params": &one.params })
    })
}

/// What detectors found, and how the findings are related: index, index, name.
pub(crate) fn detections<'py>(
    py: Python<'py>,
    from: &[Extension],
) -> Result<(Bound<'py, PyList>, Bound<'py, PyList>), Failure> {
    let (findings, relations) = (PyList::empty(py), PyList::empty(py));
    for entry in all::<Detections>(from) {
        let (entry, first) = (entry?, u32::try_from(findings.len()).unwrap_or(u32::MAX));
        for one in &entry.findings {
            findings.append(finding(py, one)?)?;
        }
        for one in &entry.relations {
            let (from, to) = (one.from.saturating_add(first), one.to.saturating_add(first));
            match RELATIONS.iter().find(|(kind, _)| *kind == one.kind) {
                Some((_, name)) => relations.append((from, to, name))?,
                None => relations.append((from, to, one.kind))?,
            }
        }
    }
    Ok((findings, relations))
}

fn finding<'py>(py: Python<'py>, finding: &Finding) -> PyResult<Bound<'py, PyDict>> {
    Ok(match finding {
        Finding::Object(one) => {
            dict! { py, "label": &one.label, "score": one.score, "x": one.x, "y": one.y, "width": one.width,
            "height": one.height, "rotation": one.rotation }
        }
        Finding::Classification(classes) => dict! { py, "classes": classes },
        Finding::Track(one) => {
            dict! { py, "track_id": one.id, "first_seen": one.first_seen, "last_seen": one.last_seen, "lost": one.lost }
        }
        Finding::Other { kind, data } => dict! { py, "kind_number": kind, "data": PyBytes::new(py, data) },
        _ => dict! { py, },
    })
}

/// Everything that is attached, by the keys that `apply` takes.
pub(crate) fn to_dict<'py>(py: Python<'py>, from: &[Extension]) -> Result<Bound<'py, PyDict>, Failure> {
    let (findings, relations) = detections(py, from)?;
    let codes = list(py, from, |one: &TimeCode| {
        Ok(
            dict! { py, "fps": [one.fps.0, one.fps.1], "flags": one.flags, "hours": one.hours, "minutes": one.minutes,
            "seconds": one.seconds, "frames": one.frames, "field_count": one.field_count, "daily_jam": one.daily_jam },
        )
    })?;
    let captions = list(py, from, |one: &Caption| {
        Ok(dict! { py, "kind": one.kind, "data": PyBytes::new(py, &one.data) })
    })?;
    let clocks = list(py, from, |one: &ReferenceTimestamp| {
        Ok(dict! { py, "reference": &one.reference, "timestamp": one.timestamp, "duration": one.duration,
        "info": one.info.as_deref() })
    })?;
    let formats = list(py, from, |one: &ActiveFormat| {
        Ok(match one {
            ActiveFormat::Afd { field, spec, code } => {
                dict! { py, "field": field, "spec": spec, "code": code }
            }
            ActiveFormat::Bars { field, is_letterbox, first, second } => {
                dict! { py, "field": field, "is_letterbox": is_letterbox, "first": first, "second": second }
            }
            _ => dict! { py, },
        })
    })?;
    let levels = list(py, from, |one: &AudioLevel| Ok(dict! { py, "level": one.level, "voice": one.voice }))?;
    let custom =
        list(py, from, |one: &CustomMeta| Ok(dict! { py, "name": &one.name, "structure": &one.structure }))?;
    let tags = list(py, from, |one: &Tags| Ok(dict! { py, "text": &one.text, "is_global": one.is_global }))?;
    Ok(
        dict! { py, "regions": regions(py, from)?, "detections": findings, "relations": relations, "time_codes": codes,
        "captions": captions, "reference_timestamps": clocks, "active_formats": formats, "audio_levels": levels,
        "custom_metas": custom, "tags": tags },
    )
}

/// Keys of dictionaries that attach something.
const KEYS: [&str; 10] = [
    "regions",
    "detections",
    "relations",
    "time_codes",
    "captions",
    "reference_timestamps",
    "active_formats",
    "audio_levels",
    "custom_metas",
    "tags",
];

/// Whether a key of metadata is one of these.
pub(crate) fn is_key(key: &str) -> bool {
    KEYS.contains(&key)
}

/// An item, or what it is when it is not given.
fn item<'py, T: FromPyObjectOwned<'py>>(of: &Bound<'py, PyAny>, name: &str, default: T) -> PyResult<T> {
    let Ok(value) = of.get_item(name) else { return Ok(default) };
    value.extract::<T>().map_err(Into::into)
}

fn needed<'py, T: FromPyObjectOwned<'py>>(of: &Bound<'py, PyAny>, name: &str) -> PyResult<T> {
    let value = of.get_item(name).map_err(|_| PyValueError::new_err(format!("{name:?} is missing")))?;
    value.extract::<T>().map_err(Into::into)
}

fn entries<'py, E: MetaEntry>(
    meta: &mut Meta,
    values: &Bound<'py, PyAny>,
    read: impl Fn(&Bound<'py, PyAny>) -> PyResult<E>,
) -> PyResult<()> {
    // Those of a received frame that were passed on with the rest are replaced.
    meta.extensions.retain(|one| one.ty != E::TYPE);
    for value in values.try_iter()? {
        put(meta, &read(&value?)?)?;
    }
    Ok(())
}

fn put<E: MetaEntry>(meta: &mut Meta, entry: &E) -> PyResult<()> {
    let value = entry.to_value().map_err(|error| PyValueError::new_err(error.to_string()))?;
    meta.extensions.push(Extension::new(E::TYPE, value));
    Ok(())
}

/// Attaches what a dictionary has under these keys, in the place of what is there.
pub(crate) fn apply(meta: &mut Meta, dict: &Bound<'_, PyDict>) -> PyResult<()> {
    for (key, value) in dict.iter() {
        let key: String = key.extract()?;
        if is_key(&key) && key != "relations" && !value.is_none() {
            let relations = dict.get_item("relations")?.filter(|relations| !relations.is_none());
            set(meta, &key, &value, relations.as_ref())
                .map_err(|error| PyTypeError::new_err(format!("metadata[\"{key}\"]: {error}")))?;
        }
    }
    Ok(())
}

fn set(
    meta: &mut Meta,
    key: &str,
    value: &Bound<'_, PyAny>,
    relations: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    match key {
        "regions" => entries(meta, value, |one| {
            let region = Region::new(
                needed::<String>(one, "kind")?,
                needed(one, "x")?,
                needed(one, "y")?,
                needed(one, "width")?,
                needed(one, "height")?,
            );
            let region = region.id(item(one, "id", 0)?).parent_id(item(one, "parent_id", 0)?);
            Ok(region.params(item::<Vec<String>>(one, "params", Vec::new())?))
        }),
        "detections" => {
            meta.extensions.retain(|one| one.ty != Detections::TYPE);
            let findings: Vec<Finding> =
                value.try_iter()?.map(|one| finding_of(&one?)).collect::<PyResult<_>>()?;
            let relations: Vec<Relation> = match relations {
                None => Vec::new(),
                Some(relations) => {
                    relations.try_iter()?.map(|one| relation_of(&one?)).collect::<PyResult<_>>()?
                }
            };
            if findings.is_empty() && relations.is_empty() {
                return Ok(());
            }
            put(meta, &Detections::new(findings, relations))
        }
        "time_codes" => entries(meta, value, |one| {
            let [numerator, denominator]: [u32; 2] = needed(one, "fps")?;
            let code = TimeCode::new(
                (numerator, denominator),
                needed(one, "hours")?,
                needed(one, "minutes")?,
                needed(one, "seconds")?,
                needed(one, "frames")?,
            );
            let jam: Option<(i64, i32)> = item(one, "daily_jam", None)?;
            let code =
                code.flags(item::<u32>(one, "flags", 0)?).field_count(item::<u32>(one, "field_count", 0)?);
            Ok(code.daily_jam(jam))
        }),
        "captions" => entries(meta, value, |one| {
            Ok(Caption::new(needed(one, "kind")?, needed::<Vec<u8>>(one, "data")?))
        }),
        "reference_timestamps" => entries(meta, value, |one| {
            let time =
                ReferenceTimestamp::new(needed::<String>(one, "reference")?, needed(one, "timestamp")?);
            let duration: Option<u64> = item(one, "duration", None)?;
            Ok(time.duration(duration).info(item::<Option<String>>(one, "info", None)?))
        }),
        "active_formats" => entries(meta, value, |one| {
            let field = item(one, "field", 0)?;
            Ok(match item::<Option<u32>>(one, "code", None)? {
                Some(code) => ActiveFormat::afd(field, needed(one, "spec")?, code),
                None => {
                    let is_letterbox = needed(one, "is_letterbox")?;
                    ActiveFormat::bars(field, is_letterbox, needed(one, "first")?, needed(one, "second")?)
                }
            })
        }),
        "audio_levels" => {
            entries(meta, value, |one| Ok(AudioLevel::new(needed(one, "level")?, item(one, "voice", false)?)))
        }
        "custom_metas" => entries(meta, value, |one| {
            Ok(CustomMeta::new(needed::<String>(one, "name")?, needed::<String>(one, "structure")?))
        }),
        _ => entries(meta, value, |one| {
            Ok(Tags::new(needed::<String>(one, "text")?).is_global(item::<bool>(one, "is_global", false)?))
        }),
    }
}

fn finding_of(one: &Bound<'_, PyAny>) -> PyResult<Finding> {
    if one.contains("label")? {
        let (label, score): (String, f32) = (needed(one, "label")?, item(one, "score", 1.0)?);
        let (x, y, width, height) =
            (needed(one, "x")?, needed(one, "y")?, needed(one, "width")?, needed(one, "height")?);
        let object = Object::new(label, score, x, y, width, height);
        return Ok(Finding::Object(object.rotation(item::<f32>(one, "rotation", 0.0)?)));
    }
    if one.contains("classes")? {
        return Ok(Finding::Classification(needed(one, "classes")?));
    }
    if one.contains("track_id")? {
        let (first, last): (Option<u64>, Option<u64>) =
            (item(one, "first_seen", None)?, item(one, "last_seen", None)?);
        let track = Track::new(needed(one, "track_id")?).first_seen(first).last_seen(last);
        return Ok(Finding::Track(track.lost(item::<bool>(one, "lost", false)?)));
    }
    if one.contains("kind_number")? {
        return Ok(Finding::Other { kind: needed(one, "kind_number")?, data: needed(one, "data")? });
    }
    Err(PyValueError::new_err("a detection has a \"label\" and a box, or \"classes\", or a \"track_id\""))
}

fn relation_of(one: &Bound<'_, PyAny>) -> PyResult<Relation> {
    let (from, to, kind): (u32, u32, Bound<'_, PyAny>) = one.extract()?;
    let kind = match kind.extract::<String>() {
        Ok(name) => {
            RELATIONS.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind).ok_or_else(|| {
                let known = RELATIONS.map(|(_, name)| name).join(", ");
                PyValueError::new_err(format!("there is no relation {name:?}; the relations are {known}"))
            })?
        }
        Err(_) => kind.extract()?,
    };
    Ok(Relation { from, to, kind })
}
