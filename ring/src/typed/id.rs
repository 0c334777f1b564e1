//! The id of a type, as it travels: caps that every frame has in its metadata, and every producer in its entry.

use super::Message;
use crate::error::{Error, Result};
use crate::info::ConsumerInfo;
use crate::layout::words::{PRODUCERS, bit};
use crate::shm::registration::Registration;

const STRUCT: &str = "application/x-shmflow-struct";
const SLICE: &str = "application/x-shmflow-slice";
/// What both begin with.
const COMMON: &str = "application/x-shmflow-";
/// Payloads begin at multiples of this.
const PAGE: usize = 4096;
const LONGEST_NAME: usize = 200;

/// A payload's type has an id. (Not public: what a [`Payload`](super::Payload) can be is decided here.)
pub trait Typed {
    /// The id, as caps.
    fn id() -> String;
}

impl<T: Message> Typed for T {
    fn id() -> String {
        id::<T>(STRUCT)
    }
}

impl<T: Message> Typed for [T] {
    fn id() -> String {
        id::<T>(SLICE)
    }
}

fn id<T: Message>(media_type: &str) -> String {
    // Evaluated when the program is compiled.
    const {
        assert!(is_name(T::NAME), "a message's name has 1 to 200 letters, digits and `_ - + / : .`");
        assert!(size_of::<T>() != 0, "a message has at least one byte");
        assert!(align_of::<T>() <= PAGE, "a message's alignment is 4096 at most");
    }
    format!("{media_type}, name={}, size={}, align={}", T::NAME, size_of::<T>(), align_of::<T>())
}

/// Whether caps can have it as a value without quotes.
const fn is_name(name: &str) -> bool {
    let mut rest = name.as_bytes();
    if rest.len() > LONGEST_NAME || rest.is_empty() {
        return false;
    }
    while let [first, others @ ..] = rest {
        if !matches!(first, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'+' | b'/' | b':' | b'.')
        {
            return false;
        }
        rest = others;
    }
    true
}

/// An id, or the caps of something else, for a person. They may come from another process.
pub(super) fn describe(caps: Option<&str>) -> String {
    const LONGEST: usize = 2 * LONGEST_NAME;
    match caps {
        None => "bytes without a type".into(),
        Some(caps) => {
            let text = caps.strip_prefix(COMMON).unwrap_or(caps);
            let cut = text.floor_char_boundary(LONGEST);
            format!("`{}`", text.get(..cut).unwrap_or_default().escape_debug())
        }
    }
}

pub(super) fn mismatch(topic: &str, expected: &str, found: Option<&str>) -> Error {
    Error::TypeMismatch { topic: topic.into(), expected: describe(Some(expected)), found: describe(found) }
}

/// Refuses a topic one of whose living producers, among those that were there before `generation`, declares another type. One
/// that declares none may send anything: that is seen by its frames.
pub(super) fn check_producers(member: &Registration, expected: &str, generation: u64) -> Result<()> {
    let alive = member.peers.producers();
    let others = (0..PRODUCERS).filter(|&id| alive & bit(id) != 0 && Some(id) != member.id());
    for found in others.map(|id| ConsumerInfo::read(&member.peers, id)) {
        if let Some(declared) = found.accepted_caps.filter(|declared| declared != expected)
            && found.id.generation < generation
        {
            return Err(mismatch(member.topic_name(), expected, Some(&declared)));
        }
    }
    Ok(())
}
