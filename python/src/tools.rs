//! Topics from outside: which there are, what goes on in one, and getting rid of those that nobody needs.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use shmflow::{KeptBecause, Liveness, ParticipantInfo, Role, TopicInfo};

use crate::errors::OrRaise;

/// The names of all topics, sorted. `directory` is by default $SHMFLOW_DIR, or else /dev/shm.
#[pyfunction]
#[pyo3(signature = (directory = None))]
pub(crate) fn topics(py: Python<'_>, directory: Option<PathBuf>) -> PyResult<Vec<String>> {
    py.detach(|| shmflow::topics(directory.as_deref())).or_raise(py)
}

/// What goes on in a topic, as a dictionary. It is looked at from outside, without disturbing it.
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

/// Removes a topic; one that is in use only with `force`. The bytes of shared memory given back.
#[pyfunction]
#[pyo3(signature = (topic, directory = None, *, force = false))]
pub(crate) fn remove(py: Python<'_>, topic: &str, directory: Option<PathBuf>, force: bool) -> PyResult<u64> {
    py.detach(|| shmflow::remove(topic, directory.as_deref(), force)).or_raise(py)
}

/// Removes what dead processes left, as far as nobody uses it. A dictionary of what was `removed`, the `temporary_files`
/// and `bytes` given back, and which topics were `kept` and why.
#[pyfunction]
#[pyo3(signature = (directory = None))]
pub(crate) fn collect(py: Python<'_>, directory: Option<PathBuf>) -> PyResult<Bound<'_, PyDict>> {
    let collected = py.detach(|| shmflow::collect(directory.as_deref())).or_raise(py)?;
    let dict = PyDict::new(py);
    dict.set_item("removed", &collected.removed)?;
    dict.set_item("temporary_files", collected.temporary_files)?;
    dict.set_item("bytes", collected.bytes)?;
    let kept = PyDict::new(py);
    for topic in &collected.kept {
        let why = match &topic.why {
            KeptBecause::InUse(0) => "in use".to_owned(),
            KeptBecause::InUse(participants) => format!("in use by {participants}"),
            KeptBecause::Persistent => "persistent".to_owned(),
            KeptBecause::Failed(error) => error.to_string(),
            _ => "kept".to_owned(),
        };
        kept.set_item(&topic.topic, why)?;
    }
    dict.set_item("kept", kept)?;
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
            shape.set_item("capacity", geometry.capacity)?;
            shape.set_item("reserved_bytes", geometry.reserved_bytes)?;
            dict.set_item("geometry", shape)?;
        }
    }
    dict.set_item("published", info.published())?;
    dict.set_item("writing", info.writing)?;
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
    dict.set_item("holding", participant.holding)?;
    dict.set_item("writing", participant.writing)?;
    dict.set_item("wish", participant.wish.as_deref())?;
    dict.set_item("waiting", participant.waiting)?;
    Ok(dict)
}
