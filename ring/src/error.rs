//! What can go wrong, said so that a person knows what to do next.

mod text;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Which limit left too little room for the files of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpaceLimit {
    /// The file system of the topic's directory is full, or limited to less (`/dev/shm` has 64 MiB in a container by
    /// default).
    FileSystem,
    /// The file system has no more file entries (inodes), whatever room it has for data.
    FileEntries,
    /// A control group limits the memory of this process, which includes what it puts into `/dev/shm`.
    ControlGroup {
        /// The group that sets the limit, as a path in the control group file system.
        group: PathBuf,
    },
    /// The machine itself has too little memory left.
    Memory,
}

/// Every error of this crate. [`Display`](std::fmt::Display) says what happened, to which topic, and what to do about it.
///
/// ```
/// use shmflow::Error;
///
/// let error = Error::TopicNotFound { topic: "robot/cam0".into(), dir: "/dev/shm".into() };
/// assert!(error.to_string().contains("robot/cam0"));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// No producer has made this topic, or its last participant removed it.
    TopicNotFound {
        /// The topic that was asked for.
        topic: String,
        /// Where it was looked for.
        dir: PathBuf,
    },
    /// The permissions of the operating system forbid it.
    PermissionDenied {
        /// The topic that was asked for.
        topic: String,
        /// The file or directory that refuses; empty when it is not known.
        path: PathBuf,
        /// What was tried, as "open for writing".
        what: String,
        /// Permission bits of `path`, if they could be read.
        mode: Option<u32>,
        /// Owner of `path`, if it could be read.
        owner_uid: Option<u32>,
    },
    /// The topic belongs to another user, who could change it under us; that has to be allowed explicitly.
    ForeignOwner {
        /// The topic that was asked for.
        topic: String,
        /// Whose it is.
        owner_uid: u32,
    },
    /// A file with the right name is not a ring.
    NotARing {
        /// The topic that was asked for.
        topic: String,
        /// The file in question.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The topic was made by an incompatible version of this library.
    VersionMismatch {
        /// The topic that was asked for.
        topic: String,
        /// The version of its layout.
        found: u32,
        /// The version this library speaks.
        expected: u32,
    },
    /// There is no room for the files of the topic.
    NoSpace {
        /// The topic that was to be made or to grow.
        topic: String,
        /// The directory without room.
        dir: PathBuf,
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        free: u64,
        /// What limits it.
        limit: SpaceLimit,
    },
    /// This is not a name for a topic.
    InvalidTopicName {
        /// The name as it was given.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// No slot can be had for another frame: all are being written, read or retained.
    NoSlot {
        /// The topic.
        topic: String,
        /// How many slots it has.
        slots: u32,
        /// Who holds them.
        why: String,
    },
    /// The frame is larger than this topic can ever hold.
    TooLarge {
        /// The topic.
        topic: String,
        /// Bytes needed.
        needed: u64,
        /// Bytes possible.
        max: u64,
    },
    /// Nobody produces into this topic.
    NoProducer {
        /// The topic.
        topic: String,
    },
    /// The topic has all the producers that it can have.
    TooManyProducers {
        /// The topic.
        topic: String,
    },
    /// Somebody uses the topic in a way that excludes this.
    InUse {
        /// The topic.
        topic: String,
        /// Who does, for a person to find it.
        by: String,
    },
    /// Somebody has been opening, closing or enlarging the topic for too long: most likely a stopped process.
    Busy {
        /// The topic.
        topic: String,
        /// How long we waited.
        waited: Duration,
        /// What we wanted to do.
        what: String,
    },
    /// The shared memory holds values that no correct participant writes.
    Corrupt {
        /// The topic.
        topic: String,
        /// Which value, and why it cannot be.
        what: String,
    },
    /// The topic was removed while we used it.
    Removed {
        /// The topic.
        topic: String,
    },
    /// The stream ended, and every frame of it was read.
    Ended {
        /// The topic.
        topic: String,
    },
    /// Nothing came within the time given.
    Timeout {
        /// The topic.
        topic: String,
    },
    /// The wait was ended by [`CancelToken::cancel`](crate::CancelToken::cancel).
    Cancelled {
        /// The topic.
        topic: String,
    },
    /// The ring holds frames that a consumer has not read, and the policy is to keep those and drop new ones.
    Full {
        /// The topic.
        topic: String,
    },
    /// In primary mode another producer is the primary; this one's frame was not taken.
    Standby {
        /// The topic.
        topic: String,
    },
    /// The handle was made before a `fork` and belongs to the parent process.
    Forked {
        /// The topic.
        topic: String,
    },
    /// A setting that cannot work.
    InvalidArgument {
        /// Which, and what would work.
        what: String,
    },
    /// A read-only consumer asked for a topic that does not admit any.
    ReadOnlyNotAllowed {
        /// The topic.
        topic: String,
    },
    /// A topic, or a frame of it, holds another type than was asked for.
    #[cfg(feature = "zerocopy")]
    TypeMismatch {
        /// The topic.
        topic: String,
        /// What was asked for: name, size and alignment.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A frame's metadata cannot be written or read.
    Meta(crate::meta::MetaError),
    /// The operating system refused, for a reason that none of the other variants describes.
    Io {
        /// The topic.
        topic: String,
        /// What was tried, as "map the ring".
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// An error of the operating system while doing `what` ("map the ring") to a topic.
    pub(crate) fn io(topic: &str, what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        let source = source.into();
        if is_refusal(&source) {
            return Self::PermissionDenied {
                topic: topic.into(),
                path: PathBuf::new(),
                what: what.into(),
                mode: None,
                owner_uid: None,
            };
        }
        Self::Io { topic: topic.into(), what: what.into(), source }
    }
}

/// Whether the system said "you may not".
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EACCES | libc::EPERM))
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Meta(error) => Some(error),
            _ => None,
        }
    }
}

impl From<crate::meta::MetaError> for Error {
    fn from(error: crate::meta::MetaError) -> Self {
        Self::Meta(error)
    }
}
