//! The errors of this crate. Their texts say what to do next.

mod text;

pub(crate) use text::DidYouMean;

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
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
    /// The machine itself has too little free memory.
    Memory,
    /// This process may not make files so long (`RLIMIT_FSIZE`, which `ulimit -f` shows).
    FileSize,
}

/// Every error of this crate. [`Display`](std::fmt::Display) says what happened, to which topic, and what to do about it.
///
/// ```
/// use shmflow::Error;
///
/// let error = Error::TopicNotFound { topic: "robot/cam0".into(), dir: "/dev/shm".into(), similar: vec![] };
/// assert!(error.to_string().contains("robot/cam0"));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// No producer has created this topic, or its last participant removed it.
    TopicNotFound {
        /// The topic that was asked for.
        topic: Arc<str>,
        /// Where it was looked for.
        dir: PathBuf,
        /// Topics that may have been meant: see [`similar_topics`](crate::similar_topics).
        similar: Vec<String>,
    },
    /// The permissions of the operating system forbid it.
    PermissionDenied {
        /// The topic that was asked for.
        topic: Arc<str>,
        /// The file or directory that refuses; empty when it is not known.
        path: PathBuf,
        /// What was tried, as "open for writing".
        what: String,
        /// Permission bits of `path`, if they could be read.
        mode: Option<u32>,
        /// Owner of `path`, if it could be read.
        owner_uid: Option<u32>,
    },
    /// The topic belongs to another user, who could change its files at any time; that has to be allowed explicitly.
    ForeignOwner {
        /// The topic that was asked for.
        topic: Arc<str>,
        /// The owner of its files.
        owner_uid: u32,
    },
    /// A file with the right name is not a ring.
    NotARing {
        /// The topic that was asked for.
        topic: Arc<str>,
        /// The file in question.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The topic was created by an incompatible version of this library.
    VersionMismatch {
        /// The topic that was asked for.
        topic: Arc<str>,
        /// The version of its layout.
        found: u32,
        /// The version that this library supports.
        expected: u32,
    },
    /// There is no room for the files of the topic.
    NoSpace {
        /// The topic that was to be created or to grow.
        topic: Arc<str>,
        /// The directory without room.
        dir: PathBuf,
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        free: u64,
        /// What limits it.
        limit: SpaceLimit,
    },
    /// The name is not valid for a topic.
    InvalidTopicName {
        /// The name as it was given.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// No slot is free for another frame: all are being written, read or retained.
    NoSlot {
        /// The topic.
        topic: Arc<str>,
        /// How many slots it has.
        slots: u32,
        /// How many of them consumers and producers hold.
        why: String,
    },
    /// The frame is larger than this topic can ever hold.
    TooLarge {
        /// The topic.
        topic: Arc<str>,
        /// Bytes needed.
        needed: u64,
        /// Bytes possible.
        max: u64,
    },
    /// No producer is left, and the stream was not ended; only for a consumer that
    /// [asked](crate::ConsumerBuilder::report_no_producer) for it.
    NoProducer {
        /// The topic.
        topic: Arc<str>,
    },
    /// The topic already has the maximum number of producers.
    TooManyProducers {
        /// The topic.
        topic: Arc<str>,
    },
    /// A participant uses the topic in a way that excludes this operation.
    InUse {
        /// The topic.
        topic: Arc<str>,
        /// That participant, for display.
        by: String,
    },
    /// Another process has been opening, closing or enlarging the topic for too long; it is probably stopped.
    Busy {
        /// The topic.
        topic: Arc<str>,
        /// How long we waited.
        waited: Duration,
        /// What was tried, as "open".
        what: String,
    },
    /// The shared memory holds values that no correct participant writes.
    Corrupt {
        /// The topic.
        topic: Arc<str>,
        /// Which value, and why it is invalid.
        what: String,
    },
    /// The topic was removed while we used it.
    Removed {
        /// The topic.
        topic: Arc<str>,
    },
    /// The stream ended, and every frame of it was read.
    Ended {
        /// The topic.
        topic: Arc<str>,
    },
    /// Nothing arrived within the time given.
    Timeout {
        /// The topic.
        topic: Arc<str>,
        /// What did not happen, and what to do, for display.
        what: Cow<'static, str>,
    },
    /// The wait was ended by [`CancelToken::cancel`](crate::CancelToken::cancel).
    Cancelled {
        /// The topic.
        topic: Arc<str>,
    },
    /// The ring holds frames that a consumer has not read, and the policy is to keep those and drop new ones.
    Full {
        /// The topic.
        topic: Arc<str>,
    },
    /// The next frame could only be received as a copy, which this consumer does not allow. It stays where it is until it
    /// is overwritten.
    WouldCopy {
        /// The topic.
        topic: Arc<str>,
        /// Why it could not be leased.
        reason: crate::consumer::CopyReason,
    },
    /// In primary mode another producer is the primary; this one's frame was not published.
    Standby {
        /// The topic.
        topic: Arc<str>,
    },
    /// The handle was made before a `fork` and belongs to the parent process.
    Forked {
        /// The topic.
        topic: Arc<str>,
    },
    /// An argument or a setting is out of range, or an operation was used in a wrong way.
    InvalidArgument {
        /// Which one, and what is valid.
        what: String,
    },
    /// The topic does not allow read-only consumers.
    ReadOnlyNotAllowed {
        /// The topic.
        topic: Arc<str>,
    },
    /// A topic, or a frame of it, holds another type than was asked for.
    #[cfg(feature = "zerocopy")]
    TypeMismatch {
        /// The topic.
        topic: Arc<str>,
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
        topic: Arc<str>,
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

/// Whether the system denied permission.
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
