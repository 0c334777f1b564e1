//! Topics from outside: list, inspect and remove them.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use shmflow::{Liveness, ParticipantInfo, Role, SkipReason, TopicInfo};

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

fn topic_dict<'py>(py: Python<'py>, info: &TopicInfo) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("topic", &info.topic)?;
    dict.set_item("directory", &info.dir)?;
    match &info.geometry {
        None => dict.set_item("geometry", py.None())?,
        Some(geometry) => {
            let shape = PyDict::new(py);
            shape.set_item("epoch", geometry.epoch)?;
            shape.set_item("slots", geometry.slots)?;
            shape.set_item("depth", geometry.depth)?;
            shape.set_item("history", geometry.history)?;
            shape.set_item("slot_capacity", geometry.slot_capacity)?;
            shape.set_item("reserved_bytes", geometry.reserved_bytes)?;
            dict.set_item("geometry", shape)?;
        }
    }
    dict.set_item("published", info.published())?;
    dict.set_item("claimed_slots", info.claimed_slots)?;
    dict.set_item("permissions", info.permissions)?;
    dict.set_item("owner_uid", info.owner_uid)?;
    dict.set_item("shared_bytes", info.shared_bytes)?;
    dict.set_item("persistent", info.persistent)?;
    dict.set_item("ended", info.ended)?;
    let participants = PyList::empty(py);
    for participant in &info.participants {
        participants.append(participant_dict(py, participant)?)?;
    }
    dict.set_item("participants", participants)?;
    Ok(dict)
}

fn participant_dict<'py>(py: Python<'py>, participant: &ParticipantInfo) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("role", if participant.role == Role::Producer { "producer" } else { "consumer" })?;
    dict.set_item("name", &participant.name)?;
    dict.set_item("pid", participant.pid)?;
    let alive = match participant.liveness {
        Liveness::Alive => Some(true),
        Liveness::Dead => Some(false),
        _ => None,
    };
    dict.set_item("alive", alive)?;
    dict.set_item("active", participant.active)?;
    dict.set_item("lag", participant.lag)?;
    dict.set_item("frames", participant.frames)?;
    dict.set_item("bytes", participant.bytes)?;
    dict.set_item("lost", participant.lost)?;
    dict.set_item("copied", participant.copied)?;
    dict.set_item("held_slots", participant.held_slots)?;
    dict.set_item("claimed_slots", participant.claimed_slots)?;
    dict.set_item("accepted_caps", participant.accepted_caps.as_deref())?;
    dict.set_item("waiting", participant.waiting)?;
    Ok(dict)
}
