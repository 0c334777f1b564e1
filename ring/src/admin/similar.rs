//! Topics whose names are like one that does not exist: most of those are misspelt.

use std::path::Path;

use super::topics;
use crate::error::{Error, Result};
use crate::topic::Topic;

/// More would not help.
const MOST: usize = 3;
/// Names that are compared. Anybody may fill the directory.
const COMPARED: usize = 4096;

/// Names of topics in `dir` that resemble this one, the most similar first; at most three. Empty if there are none, if this one
/// is there itself, or if the directory cannot be read.
///
/// ```
/// # let dir = std::env::temp_dir().join(format!("shmflow-doc-similar-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir).unwrap();
/// let producer = shmflow::Producer::builder("robot/cam0").dir(&dir).open()?;
/// assert_eq!(shmflow::similar_topics("robot/cma0", Some(&dir)), ["robot/cam0"]);
/// assert_eq!(shmflow::similar_topics("cam0", Some(&dir)), ["robot/cam0"]);
/// # drop(producer); std::fs::remove_dir_all(&dir).unwrap();
/// # Ok::<(), shmflow::Error>(())
/// ```
#[must_use]
pub fn similar_topics(topic: &str, dir: Option<&Path>) -> Vec<String> {
    let there = topics(dir).unwrap_or_default();
    similar_names(topic, there.iter().map(String::as_str))
}

/// The same among names that come from elsewhere, such as the topics of a recording.
///
/// ```
/// assert_eq!(shmflow::similar_names("camm", ["lidar", "robot/cam"]), ["robot/cam"]);
/// ```
#[must_use]
pub fn similar_names<'a>(topic: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut near = Vec::new();
    for (count, name) in names.into_iter().enumerate() {
        if name == topic {
            return Vec::new();
        }
        if count < COMPARED {
            near.extend(distance(topic, name).map(|distance| (distance, name)));
        }
    }
    near.sort_unstable();
    near.into_iter().map(|(_, name)| name.to_owned()).take(MOST).collect()
}

/// How far a name is from another; `None` if it is another one altogether.
fn distance(wanted: &str, name: &str) -> Option<usize> {
    let (wanted, name) = (wanted.to_lowercase(), name.to_lowercase());
    let last = name.rsplit('/').next().unwrap_or(&name);
    if last == wanted {
        return Some(0);
    }
    let length = wanted.chars().count();
    let limit = length.div_ceil(3);
    // It takes long for long names, of which anybody can make many: what is much longer or shorter is not compared.
    let far = |name: &str| {
        let least = name.chars().count().abs_diff(length);
        if least > limit { least } else { strsim::damerau_levenshtein(&wanted, name) }
    };
    let far = far(&name).min(far(last));
    // Nearly every name has a part of a letter or two.
    let is_long = length.min(name.chars().count()) >= 3;
    let part = is_long && (name.contains(&wanted) || wanted.contains(&name));
    if far <= limit { Some(far) } else { part.then_some(limit + 1) }
}

/// An error that says which topics may have been meant.
pub(crate) fn with_similar(topic: &Topic, error: Error) -> Error {
    match error {
        Error::TopicNotFound { topic: name, dir, .. } => {
            let similar = similar_topics(&name, Some(topic.dir()));
            Error::TopicNotFound { topic: name, dir, similar }
        }
        error => error,
    }
}

/// The same of a result.
pub(crate) fn suggest<T>(topic: &Topic, result: Result<T>) -> Result<T> {
    result.map_err(|error| with_similar(topic, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_near_by_their_letters_or_their_last_part() {
        for name in ["cam0", "cam1", "Cam", "robot/cam", "camera", "robot/cam0"] {
            assert!(distance("cam", name).is_some(), "{name}");
        }
        for name in ["lidar", "microphone", "map", "x"] {
            assert!(distance("camera0", name).is_none(), "{name}");
        }
        assert!(distance("robot/camera", "t").is_none());
        assert!(distance("cma0", "cam0") < distance("cma0", "cam01"));
    }
}
