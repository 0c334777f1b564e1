//! Topics from outside: list, inspect and remove them.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use shmflow::{Delivery, FrameInfo, Liveness, ParticipantInfo, Role, SkipReason, TopicInfo};

use crate::errors::OrRaise;

/// The names of all topics, sorted. `directory` is by default $SHMFLOW_DIR, or else /dev/shm.
#[pyfunction]
#[pyo3(signature = (directory = None))]
pub(crate) fn topics(py: Python<'_>, directory: Option<PathBuf>) -> PyResult<Vec<String>> {
    py.detach(|| shmflow::topics(directory.as_deref())).or_raise(py)
}

/// The state of a topic, as a dictionary. It is read from outside, without disturbing the topic.
#[pyfunction]
#[pyo3(signature = (topic, directory = None))]
pub(crate) fn inspect<'py>(
    py: Python<'py>,
    topic: &str,
    directory: Option<PathBuf>,
) -> PyResult<Bound<'py, PyDict>> {
    let info = py.detach(|| shmflow::inspect(topic, directory.as_deref())).or_raise(py)?;
    topic_dict(py, &info)
}

/// Removes a topic; a topic in use only with `force`. Returns the bytes of shared memory that it freed.
#[pyfunction]
#[pyo3(signature = (topic, directory = None, *, force = false))]
pub(crate) fn remove(py: Python<'_>, topic: &str, directory: Option<PathBuf>, force: bool) -> PyResult<u64> {
    py.detach(|| shmflow::remove(topic, directory.as_deref(), force)).or_raise(py)
}

/// Removes unused topics and files that dead processes left. Returns a dictionary of the topics `removed`, the number of
/// `temp_files` and the `freed_bytes`, and the topics `skipped`, each with the reason.
#[pyfunction]
#[pyo3(signature = (directory = None))]
pub(crate) fn gc(py: Python<'_>, directory: Option<PathBuf>) -> PyResult<Bound<'_, PyDict>> {
    let collected = py.detach(|| shmflow::gc(directory.as_deref())).or_raise(py)?;
    let dict = PyDict::new(py);
    dict.set_item("removed", &collected.removed)?;
    dict.set_item("temp_files", collected.temp_files)?;
    dict.set_item("freed_bytes", collected.freed_bytes)?;
    let kept = PyDict::new(py);
    for topic in &collected.skipped {
        let why = match &topic.reason {
            SkipReason::InUse(0) => "in use".to_owned(),
            SkipReason::InUse(participants) => format!("in use by {participants}"),
            SkipReason::Persistent => "persistent".to_owned(),
            SkipReason::Failed(error) => error.to_string(),
            _ => "skipped".to_owned(),
        };
        kept.set_item(&topic.topic, why)?;
    }
    dict.set_item("skipped", kept)?;
    Ok(dict)
}

/// With the names of `shmflow info --json`.
fn topic_dict<'py>(py: Python<'py>, info: &TopicInfo) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("topic", &info.topic)?;
    dict.set_item("directory", &info.dir)?;
    dict.set_item("state", info.state().name())?;
    dict.set_item("published", info.published())?;
    dict.set_item("next_seq", info.next_seq)?;
    let content = info.content();
    dict.set_item("what", &content.summary)?;
    dict.set_item("caps", &content.caps)?;
    dict.set_item("format", &content.format)?;
    dict.set_item("width", content.size.map(|size| size.0))?;
    dict.set_item("height", content.size.map(|size| size.1))?;
    dict.set_item("nominal_rate", content.nominal_rate)?;
    dict.set_item("sample_rate", content.sound.map(|sound| sound.0))?;
    dict.set_item("channels", content.sound.map(|sound| sound.1))?;
    dict.set_item("description", &content.description)?;
    dict.set_item("metadata_error", &content.error)?;
    dict.set_item("newest", info.newest.as_ref().map(|frame| newest_dict(py, frame)).transpose()?)?;
    match &info.geometry {
        None => dict.set_item("geometry", py.None())?,
        Some(geometry) => {
            let shape = PyDict::new(py);
            shape.set_item("epoch", geometry.epoch)?;
            shape.set_item("slots", geometry.slots)?;
            shape.set_item("depth", geometry.depth)?;
            shape.set_item("history", geometry.history)?;
            shape.set_item("slot_capacity", geometry.slot_capacity)?;
            shape.set_item("metadata_capacity", geometry.meta_capacity)?;
            shape.set_item("reserved_bytes", geometry.reserved_bytes)?;
            dict.set_item("geometry", shape)?;
        }
    }
    dict.set_item("claimed_slots", info.claimed_slots)?;
    dict.set_item("permissions", info.permissions)?;
    dict.set_item("owner_uid", info.owner_uid)?;
    dict.set_item("owner_gid", info.owner_gid)?;
    dict.set_item("shared_bytes", info.shared_bytes)?;
    dict.set_item("epochs", info.epochs)?;
    dict.set_item("persistent", info.persistent)?;
    dict.set_item("ended", info.ended)?;
    dict.set_item("removed", info.removed)?;
    dict.set_item("lossless", info.lossless)?;
    dict.set_item("allows_read_only", info.allows_read_only)?;
    let participants = PyList::empty(py);
    for participant in &info.participants {
        participants.append(participant_dict(py, participant)?)?;
    }
    dict.set_item("participants", participants)?;
    Ok(dict)
}

fn newest_dict<'py>(py: Python<'py>, frame: &FrameInfo) -> PyResult<Bound<'py, PyDict>> {
    let declared = frame.meta().ok().and_then(|meta| meta.times().latency_ns);
    let dict = PyDict::new(py);
    dict.set_item("seq", frame.seq)?;
    dict.set_item("bytes", frame.bytes)?;
    dict.set_item("published_ns", frame.published_ns)?;
    dict.set_item("age_seconds", frame.age().as_secs_f64())?;
    dict.set_item("latency_seconds", frame.latency().map(|latency| latency.as_secs_f64()))?;
    dict.set_item("declared_latency_seconds", declared.map(|ns| ns as f64 / 1e9))?;
    Ok(dict)
}

fn participant_dict<'py>(py: Python<'py>, participant: &ParticipantInfo) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let (liveness, alive) = match participant.liveness {
        Liveness::Alive => ("alive", Some(true)),
        Liveness::Dead => ("dead", Some(false)),
        _ => ("unknown", None),
    };
    let delivery = |delivery| if delivery == Delivery::Latest { "latest" } else { "all" };
    dict.set_item("role", if participant.role == Role::Producer { "producer" } else { "consumer" })?;
    dict.set_item("id", participant.id.id)?;
    dict.set_item("generation", participant.id.generation)?;
    dict.set_item("name", &participant.name)?;
    dict.set_item("pid", participant.pid)?;
    dict.set_item("liveness", liveness)?;
    dict.set_item("alive", alive)?;
    dict.set_item("stopped", participant.stopped)?;
    dict.set_item("active", participant.active)?;
    dict.set_item("age_seconds", participant.age.as_secs_f64())?;
    dict.set_item("epoch", participant.epoch)?;
    dict.set_item("cursor", participant.cursor)?;
    dict.set_item("lag", participant.lag)?;
    dict.set_item("frames", participant.frames)?;
    dict.set_item("bytes", participant.bytes)?;
    dict.set_item("lost", participant.lost)?;
    dict.set_item("copied", participant.copied)?;
    dict.set_item("held_slots", participant.held_slots)?;
    dict.set_item("claimed_slots", participant.claimed_slots)?;
    dict.set_item("accepted_caps", participant.accepted_caps.as_deref())?;
    dict.set_item("delivery", participant.delivery.map(delivery))?;
    dict.set_item("waiting", participant.waiting)?;
    dict.set_item("end_seq", participant.end_seq)?;
    dict.set_item("primary", participant.primary)?;
    dict.set_item("exclusive", participant.exclusive)?;
    Ok(dict)
}
