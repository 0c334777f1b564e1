//! Checks of property values, made when an element leaves NULL.
//!
//! A `GParamSpec` range is not enough: a value outside it is only warned about on stderr and then replaced or ignored,
//! and the pipeline continues with a value that the user did not set. So ranges are wide, and the checks here report
//! invalid values, in a message that names a valid one.

use std::path::Path;

/// Permission bits a topic's files may have.
pub(crate) const PERMS_MASK: u32 = 0o777;
/// The owner's read and write bits, without which a second process of the same user could not join.
pub(crate) const PERMS_OWNER: u32 = 0o600;
/// A ring of fewer slots cannot hold one frame being written, one being read and one waiting.
pub(crate) const MIN_SLOTS: u32 = 3;
/// More slots than this are refused: the ring's index has 16 bits for a slot's number.
pub(crate) const MAX_SLOTS: u32 = 4096;

/// Bytes of a description.
const MAX_DESCRIPTION: usize = 1000;

/// Checks that a topic is set and that its name is legal in `directory`.
///
/// # Errors
/// A sentence for display.
pub(crate) fn topic(topic: Option<&str>, directory: Option<&str>) -> Result<(), String> {
    let Some(name) = topic.filter(|name| !name.is_empty()) else {
        return Err("No topic is set. Give it a name that both sides use, for example topic=video.".into());
    };
    shmflow::Topic::new(name, directory.map(Path::new)).map(drop).map_err(|error| error.to_string())
}

/// Checks the sink's `description`: one line, which is in the metadata of each frame.
///
/// # Errors
/// A sentence for display.
pub(crate) fn description(text: Option<&str>) -> Result<(), String> {
    let text = text.unwrap_or_default();
    if text.chars().any(char::is_control) {
        return Err("The description has a control character; it should be one line of text.".into());
    }
    if text.len() > MAX_DESCRIPTION {
        let len = text.len();
        return Err(format!("The description has {len} bytes; it may have {MAX_DESCRIPTION}."));
    }
    Ok(())
}

/// Checks the sink's `perms`.
///
/// # Errors
/// A sentence that shows the value in octal, since the usual mistake is a number that was read as decimal.
pub(crate) fn perms(perms: u32) -> Result<(), String> {
    let hint = "Write it in octal with a leading zero, for example perms=0660: without the zero it is read as decimal.";
    if perms & !PERMS_MASK != 0 {
        return Err(format!(
            "perms={perms} is 0{perms:o} in octal, and only 0 to 0777 are permission bits. {hint}"
        ));
    }
    if perms & PERMS_OWNER != PERMS_OWNER {
        return Err(format!(
            "perms={perms} is 0{perms:o} in octal, which denies the owner reading or writing; the minimum is 0600. {hint}"
        ));
    }
    Ok(())
}

/// Checks the sink's numbers of slots against each other.
///
/// # Errors
/// A sentence that names the property and the bounds.
pub(crate) fn slots(max_buffers: u32, history: u32, spare_slots: u32, max_depth: u32) -> Result<(), String> {
    if max_depth > MAX_SLOTS {
        return Err(format!("max-depth={max_depth} is out of range: it must be at most {MAX_SLOTS}."));
    }
    // Left to the sink, the depth is as large as these need it.
    for (name, value) in [("history", history), ("spare-slots", spare_slots)] {
        if max_buffers == 0 && value >= MAX_SLOTS {
            return Err(format!("{name}={value} is out of range: it must be less than {MAX_SLOTS}."));
        }
    }
    if max_buffers == 0 {
        return Ok(());
    }
    if !(MIN_SLOTS..=MAX_SLOTS).contains(&max_buffers) {
        return Err(format!(
            "max-buffers={max_buffers} is out of range: it must be {MIN_SLOTS} to {MAX_SLOTS}, or 0 for what suits the stream."
        ));
    }
    if history > max_buffers {
        return Err(format!(
            "history={history} is more than the ring holds: max-buffers is {max_buffers}. Lower history or raise max-buffers."
        ));
    }
    if spare_slots >= max_buffers {
        return Err(format!(
            "spare-slots={spare_slots} leaves no slot for consumers: max-buffers is {max_buffers}. Lower spare-slots or raise max-buffers."
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perms_in_octal_pass_and_decimal_ones_are_explained() {
        for good in [0o600, 0o660, 0o666, 0o777, 0o644] {
            assert_eq!(perms(good), Ok(()), "{good:o}");
        }
        assert!(perms(1777).is_err_and(|m| m.contains("03361") && m.contains("leading zero")));
        assert!(perms(0o1777).is_err_and(|m| m.contains("01777")));
        assert!(perms(0o066).is_err_and(|m| m.contains("066") && m.contains("owner")));
        // 660 typed without the zero.
        assert!(perms(660).is_err_and(|m| m.contains("01224")));
    }

    #[test]
    fn slot_numbers_are_checked_against_each_other() {
        assert_eq!(slots(8, 1, 2, 64), Ok(()));
        assert_eq!(slots(0, 100, 20, 64), Ok(()));
        assert!(slots(0, 5000, 2, 64).is_err_and(|m| m.contains("history=5000")));
        assert!(slots(2, 1, 0, 64).is_err_and(|m| m.contains("max-buffers=2")));
        assert!(slots(8, 9, 2, 64).is_err_and(|m| m.contains("history=9")));
        assert!(slots(4, 1, 4, 64).is_err_and(|m| m.contains("spare-slots=4")));
        assert!(slots(8, 1, 2, 100_000).is_err_and(|m| m.contains("max-depth")));
    }

    #[test]
    fn a_description_is_one_line() {
        assert_eq!(description(None), Ok(()));
        assert_eq!(description(Some("Front door, \u{e4}")), Ok(()));
        assert!(description(Some("a\nb")).is_err_and(|m| m.contains("one line")));
        assert!(description(Some(&"x".repeat(1001))).is_err_and(|m| m.contains("1001")));
    }

    #[test]
    fn a_topic_must_be_there_and_legal() {
        assert!(topic(None, None).is_err_and(|m| m.contains("topic=video")));
        assert!(topic(Some(""), None).is_err_and(|m| m.contains("topic=video")));
        assert!(topic(Some("video"), None).is_ok());
        assert!(topic(Some("robot/cam0"), None).is_ok());
        assert!(topic(Some("a\u{7}b"), None).is_err());
    }
}
