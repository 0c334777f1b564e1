//! Topics with names like one that does not exist.

use std::path::Path;

/// At most three topics in `dir` whose names somebody may have meant, the nearest first.
pub(crate) fn names(wanted: &str, dir: &Path) -> Vec<String> {
    let there = shmflow::topics(Some(dir)).unwrap_or_default();
    let mut near: Vec<_> =
        there.into_iter().filter_map(|name| Some((distance(wanted, &name)?, name))).collect();
    near.sort();
    near.into_iter().map(|(_, name)| name).take(3).collect()
}

/// How far a name is from another; `None` if it is another one altogether.
fn distance(wanted: &str, name: &str) -> Option<usize> {
    let (wanted, name) = (wanted.to_lowercase(), name.to_lowercase());
    let last = name.rsplit('/').next().unwrap_or(&name);
    if last == wanted {
        return Some(0);
    }
    let limit = wanted.chars().count().div_ceil(3);
    let far = strsim::damerau_levenshtein(&wanted, &name).min(strsim::damerau_levenshtein(&wanted, last));
    let part = wanted.chars().count() >= 3 && (name.contains(&wanted) || wanted.contains(&name));
    if far <= limit { Some(far) } else { part.then_some(limit + 1) }
}

/// "did you mean `a` or `b`?", if there is anything to suggest.
pub(crate) fn question(wanted: &str, dir: &Path) -> Option<String> {
    let names: Vec<_> =
        names(wanted, dir).iter().map(|name| format!("`{}`", crate::text::safe(name))).collect();
    let (last, others) = names.split_last()?;
    let others = if others.is_empty() { String::new() } else { format!("{} or ", others.join(", ")) };
    Some(format!("did you mean {others}{last}?"))
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
        assert!(distance("cma0", "cam0") < distance("cma0", "cam01"));
    }
}
