//! Status codes, and the mapping of the crate's errors to them.
#![allow(unsafe_code, reason = "exported names")]

use std::ffi::{CStr, c_char};

use ring::Error;

/// The result of a call: SHMFLOW_OK (0); above 0 no error, but there is nothing to deliver; below 0 an error, and the text
/// of shmflow_last_error_message says what to do.
pub type Status = i32;

/// The call succeeded.
pub const SHMFLOW_OK: Status = 0;
/// No frame arrived within the timeout; for shmflow_consumer_try_receive: there is no new frame now.
pub const SHMFLOW_TIMEOUT: Status = 1;
/// The stream ended, and every frame of it was read. It may continue later.
pub const SHMFLOW_ENDED: Status = 2;
/// shmflow_consumer_cancel was called.
pub const SHMFLOW_CANCELLED: Status = 3;

/// An argument is NULL or invalid.
pub const SHMFLOW_INVALID_ARGUMENT: Status = -1;
/// A defect of the library. The process can continue.
pub const SHMFLOW_INTERNAL: Status = -2;
/// No producer has created this topic.
pub const SHMFLOW_TOPIC_NOT_FOUND: Status = -3;
/// The name is not valid for a topic.
pub const SHMFLOW_INVALID_TOPIC_NAME: Status = -4;
/// The permissions of the topic's files, or of their directory, forbid it.
pub const SHMFLOW_PERMISSION_DENIED: Status = -5;
/// The topic belongs to another user; allow_foreign_owner allows that.
pub const SHMFLOW_FOREIGN_OWNER: Status = -6;
/// The topic's permissions do not allow read-only consumers.
pub const SHMFLOW_READ_ONLY_NOT_ALLOWED: Status = -7;
/// A file with the right name is not a ring.
pub const SHMFLOW_NOT_A_RING: Status = -8;
/// The topic was created by an incompatible version of the library.
pub const SHMFLOW_VERSION_MISMATCH: Status = -9;
/// There is too little shared memory. The text has the bytes needed and free.
pub const SHMFLOW_NO_SPACE: Status = -10;
/// Every slot is being written, read or retained. The frame counts as dropped.
pub const SHMFLOW_NO_SLOT: Status = -11;
/// SHMFLOW_OVERFLOW_DROP_NEW, and the ring is full of unread frames. The frame counts as dropped.
pub const SHMFLOW_FULL: Status = -12;
/// Another producer is the primary; this frame was not published.
pub const SHMFLOW_STANDBY: Status = -13;
/// The frame is larger than the claim or the topic can hold.
pub const SHMFLOW_TOO_LARGE: Status = -14;
/// The topic already has the maximum number of producers (8).
pub const SHMFLOW_TOO_MANY_PRODUCERS: Status = -15;
/// A participant uses the topic in a way that excludes this call.
pub const SHMFLOW_IN_USE: Status = -16;
/// Another process, probably a stopped one, is inside an open, a close or a growth of this topic.
pub const SHMFLOW_BUSY: Status = -17;
/// The topic was removed. Close the handle and open it again.
pub const SHMFLOW_REMOVED: Status = -18;
/// The shared memory holds values that no correct participant writes.
pub const SHMFLOW_CORRUPT: Status = -19;
/// The handle was created before a fork, and belongs to the parent process.
pub const SHMFLOW_FORKED: Status = -20;
/// No producer is left, for a consumer that asked to be told.
pub const SHMFLOW_NO_PRODUCER: Status = -21;
/// The metadata are invalid, or do not fit the bytes of the frame.
pub const SHMFLOW_INVALID_METADATA: Status = -22;
/// The frame has no metadata of this kind.
pub const SHMFLOW_NO_METADATA: Status = -23;
/// The library does not know the planes of the pixel format.
pub const SHMFLOW_UNKNOWN_FORMAT: Status = -24;
/// The operating system returned an error. The text says which operation failed, and why.
pub const SHMFLOW_IO: Status = -25;
/// Another thread is inside a call of this consumer.
pub const SHMFLOW_HANDLE_IN_USE: Status = -26;
/// The next frame could only be had as a copy, which this consumer does not want. It stays where it is until it is
/// overwritten.
pub const SHMFLOW_WOULD_COPY: Status = -27;

/// Every status with its name, in order.
const NAMES: &[(Status, &CStr)] = &[
    (SHMFLOW_CANCELLED, c"SHMFLOW_CANCELLED"),
    (SHMFLOW_ENDED, c"SHMFLOW_ENDED"),
    (SHMFLOW_TIMEOUT, c"SHMFLOW_TIMEOUT"),
    (SHMFLOW_OK, c"SHMFLOW_OK"),
    (SHMFLOW_INVALID_ARGUMENT, c"SHMFLOW_INVALID_ARGUMENT"),
    (SHMFLOW_INTERNAL, c"SHMFLOW_INTERNAL"),
    (SHMFLOW_TOPIC_NOT_FOUND, c"SHMFLOW_TOPIC_NOT_FOUND"),
    (SHMFLOW_INVALID_TOPIC_NAME, c"SHMFLOW_INVALID_TOPIC_NAME"),
    (SHMFLOW_PERMISSION_DENIED, c"SHMFLOW_PERMISSION_DENIED"),
    (SHMFLOW_FOREIGN_OWNER, c"SHMFLOW_FOREIGN_OWNER"),
    (SHMFLOW_READ_ONLY_NOT_ALLOWED, c"SHMFLOW_READ_ONLY_NOT_ALLOWED"),
    (SHMFLOW_NOT_A_RING, c"SHMFLOW_NOT_A_RING"),
    (SHMFLOW_VERSION_MISMATCH, c"SHMFLOW_VERSION_MISMATCH"),
    (SHMFLOW_NO_SPACE, c"SHMFLOW_NO_SPACE"),
    (SHMFLOW_NO_SLOT, c"SHMFLOW_NO_SLOT"),
    (SHMFLOW_FULL, c"SHMFLOW_FULL"),
    (SHMFLOW_STANDBY, c"SHMFLOW_STANDBY"),
    (SHMFLOW_TOO_LARGE, c"SHMFLOW_TOO_LARGE"),
    (SHMFLOW_TOO_MANY_PRODUCERS, c"SHMFLOW_TOO_MANY_PRODUCERS"),
    (SHMFLOW_IN_USE, c"SHMFLOW_IN_USE"),
    (SHMFLOW_BUSY, c"SHMFLOW_BUSY"),
    (SHMFLOW_REMOVED, c"SHMFLOW_REMOVED"),
    (SHMFLOW_CORRUPT, c"SHMFLOW_CORRUPT"),
    (SHMFLOW_FORKED, c"SHMFLOW_FORKED"),
    (SHMFLOW_NO_PRODUCER, c"SHMFLOW_NO_PRODUCER"),
    (SHMFLOW_INVALID_METADATA, c"SHMFLOW_INVALID_METADATA"),
    (SHMFLOW_NO_METADATA, c"SHMFLOW_NO_METADATA"),
    (SHMFLOW_UNKNOWN_FORMAT, c"SHMFLOW_UNKNOWN_FORMAT"),
    (SHMFLOW_IO, c"SHMFLOW_IO"),
    (SHMFLOW_HANDLE_IN_USE, c"SHMFLOW_HANDLE_IN_USE"),
    (SHMFLOW_WOULD_COPY, c"SHMFLOW_WOULD_COPY"),
];

/// The status of an error of the ring.
pub(crate) fn of(error: &Error) -> Status {
    match error {
        Error::Timeout { .. } => SHMFLOW_TIMEOUT,
        Error::Ended { .. } => SHMFLOW_ENDED,
        Error::Cancelled { .. } => SHMFLOW_CANCELLED,
        Error::InvalidArgument { .. } => SHMFLOW_INVALID_ARGUMENT,
        Error::TopicNotFound { .. } => SHMFLOW_TOPIC_NOT_FOUND,
        Error::InvalidTopicName { .. } => SHMFLOW_INVALID_TOPIC_NAME,
        Error::PermissionDenied { .. } => SHMFLOW_PERMISSION_DENIED,
        Error::ForeignOwner { .. } => SHMFLOW_FOREIGN_OWNER,
        Error::ReadOnlyNotAllowed { .. } => SHMFLOW_READ_ONLY_NOT_ALLOWED,
        Error::NotARing { .. } => SHMFLOW_NOT_A_RING,
        Error::VersionMismatch { .. } => SHMFLOW_VERSION_MISMATCH,
        Error::NoSpace { .. } => SHMFLOW_NO_SPACE,
        Error::NoSlot { .. } => SHMFLOW_NO_SLOT,
        Error::Full { .. } => SHMFLOW_FULL,
        Error::Standby { .. } => SHMFLOW_STANDBY,
        Error::TooLarge { .. } => SHMFLOW_TOO_LARGE,
        Error::TooManyProducers { .. } => SHMFLOW_TOO_MANY_PRODUCERS,
        Error::InUse { .. } => SHMFLOW_IN_USE,
        Error::Busy { .. } => SHMFLOW_BUSY,
        Error::Removed { .. } => SHMFLOW_REMOVED,
        Error::Corrupt { .. } => SHMFLOW_CORRUPT,
        Error::Forked { .. } => SHMFLOW_FORKED,
        Error::NoProducer { .. } => SHMFLOW_NO_PRODUCER,
        Error::WouldCopy { .. } => SHMFLOW_WOULD_COPY,
        Error::Meta(ring::meta::MetaError::UnknownFormat { .. }) => SHMFLOW_UNKNOWN_FORMAT,
        Error::Meta(_) => SHMFLOW_INVALID_METADATA,
        Error::Io { .. } => SHMFLOW_IO,
        // A kind that this file does not know of yet: a test counts them.
        _ => SHMFLOW_INTERNAL,
    }
}

/// The name of a status, as "SHMFLOW_TOPIC_NOT_FOUND"; of any other number, "unknown status". Never NULL. Do not free it.
#[unsafe(no_mangle)]
pub extern "C" fn shmflow_status_name(status: Status) -> *const c_char {
    let name = NAMES.iter().find(|(known, _)| *known == status).map_or(c"unknown status", |(_, name)| name);
    name.as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_own_number_and_name() {
        let source = include_str!("status.rs");
        let constants: Vec<&str> = source
            .lines()
            .filter_map(|line| line.strip_prefix("pub const ")?.split_once(": Status").map(|(name, _)| name))
            .collect();
        assert_eq!(constants.len(), NAMES.len());
        for name in constants {
            assert!(NAMES.iter().any(|(_, known)| known.to_str() == Ok(name)), "{name} has no name");
        }
        for (index, (status, _)) in NAMES.iter().enumerate() {
            assert_eq!(NAMES.iter().position(|(other, _)| other == status), Some(index));
        }
    }
}
