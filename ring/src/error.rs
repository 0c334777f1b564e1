//! What can go wrong, said so that a person knows what to do next.

use std::fmt;
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

/// Every error of this crate. [`Display`](fmt::Display) says what happened, to which topic, and what to do about it.
///
/// ```
/// use shmflow::Error;
///
/// let error = Error::NoTopic { topic: "robot/cam0".into(), dir: "/dev/shm".into() };
/// assert!(error.to_string().contains("robot/cam0"));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// No producer has made this topic, or its last participant removed it.
    NoTopic {
        /// The topic that was asked for.
        topic: String,
        /// Where it was looked for.
        dir: PathBuf,
    },
    /// The permissions of the operating system forbid it.
    NotPermitted {
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
    LayoutVersion {
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
    BadName {
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
    ProducersFull {
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
    /// The wait was ended by [`Unblocker::unblock`](crate::Unblocker::unblock).
    Unblocked {
        /// The topic.
        topic: String,
    },
    /// The ring holds frames that a consumer has not read, and the policy is to keep those and drop new ones.
    Full {
        /// The topic.
        topic: String,
    },
    /// The handle was made before a `fork` and belongs to the parent process.
    Forked {
        /// The topic.
        topic: String,
    },
    /// A setting that cannot work.
    BadSetting {
        /// Which, and what would work.
        what: String,
    },
    /// A read-only consumer asked for a topic that does not admit any.
    ReadOnlyNotAdmitted {
        /// The topic.
        topic: String,
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
            return Self::NotPermitted {
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

/// Bytes for a person: exact, and in MiB.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MIB: u64 = 1 << 20;
        // Rounded to a tenth; u128 so that no size overflows.
        let tenths = (u128::from(self.0) * 10 + u128::from(MIB / 2)) / u128::from(MIB);
        write!(f, "{} bytes ({}.{} MiB)", self.0, tenths / 10, tenths % 10)
    }
}

/// A size for the `--shm-size` option: whole MiB, with room for what else is there.
struct ShmSize(u64);

impl fmt::Display for ShmSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}m", (self.0 >> 20).saturating_add(64))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTopic { topic, dir } => write!(
                f,
                "there is no topic `{topic}` in {}; start its producer first, or wait for the topic",
                dir.display()
            ),
            Self::NotPermitted { topic, path, what, mode, owner_uid } => {
                write!(f, "not permitted to {what} for topic `{topic}`")?;
                if !path.as_os_str().is_empty() {
                    write!(f, ": {}", path.display())?;
                    match (mode, owner_uid) {
                        (Some(mode), Some(uid)) => write!(f, " (mode {mode:04o}, owner uid {uid})")?,
                        (Some(mode), None) => write!(f, " (mode {mode:04o})")?,
                        (None, Some(uid)) => write!(f, " (owner uid {uid})")?,
                        (None, None) => {}
                    }
                }
                write!(
                    f,
                    "; run as its owner, let the producer set wider permissions, or open the topic read-only"
                )
            }
            Self::ForeignOwner { topic, owner_uid } => write!(
                f,
                "topic `{topic}` belongs to another user (uid {owner_uid}), who can change it at any moment; \
                 allow a foreign owner if you trust them"
            ),
            Self::NotARing { topic, path, why } => write!(
                f,
                "{} is not a ring of topic `{topic}`: {why}; remove the file if nobody needs it",
                path.display()
            ),
            Self::LayoutVersion { topic, found, expected } => write!(
                f,
                "topic `{topic}` has layout version {found}, this library speaks version {expected}; use the same \
                 version of shmflow on both sides, or remove the topic if it is a leftover"
            ),
            Self::NoSpace { topic, dir, needed, free, limit } => {
                write_no_space(f, topic, dir, *needed, *free, limit)
            }
            Self::BadName { name, why } => {
                write!(f, "`{}` cannot be the name of a topic: {why}", name.escape_debug())
            }
            Self::NoSlot { topic, slots, why } => write!(
                f,
                "none of the {slots} slots of topic `{topic}` is free: {why}; drop frames and claims sooner, or give \
                 the ring more slots"
            ),
            Self::TooLarge { topic, needed, max } => write!(
                f,
                "a frame of {} is too large for topic `{topic}`, which can hold at most {}; send it in parts",
                Size(*needed),
                Size(*max)
            ),
            Self::NoProducer { topic } => {
                write!(f, "topic `{topic}` has no producer; start one, or wait for it")
            }
            Self::ProducersFull { topic } => write!(
                f,
                "topic `{topic}` has as many producers as it can have; close one of them, or use another topic"
            ),
            Self::InUse { topic, by } => {
                write!(f, "topic `{topic}` is in use by {by}; close it there first, or use another topic")
            }
            Self::Busy { topic, waited, what } => write!(
                f,
                "could not {what} topic `{topic}`: for {waited:?} another process has been opening, closing or \
                 enlarging it; most likely that process is stopped: continue or end it, then try again"
            ),
            Self::Corrupt { topic, what } => write!(
                f,
                "the shared memory of topic `{topic}` is damaged: {what}; end all its participants, remove the topic \
                 and start again"
            ),
            Self::Removed { topic } => {
                write!(f, "topic `{topic}` was removed while it was in use; open it again")
            }
            Self::Ended { topic } => write!(f, "the stream of topic `{topic}` has ended"),
            Self::Timeout { topic } => {
                write!(f, "no frame came on topic `{topic}` in time; is its producer running?")
            }
            Self::Unblocked { topic } => {
                write!(
                    f,
                    "waiting on topic `{topic}` was interrupted by request; reset the unblocker to go on"
                )
            }
            Self::Full { topic } => write!(
                f,
                "the ring of topic `{topic}` is full of frames that a consumer has not read yet; the new frame was \
                 not taken"
            ),
            Self::Forked { topic } => write!(
                f,
                "this handle on topic `{topic}` was opened before a fork and belongs to the parent process; open the \
                 topic anew in the child"
            ),
            Self::BadSetting { what } => write!(f, "a setting cannot work: {what}"),
            Self::ReadOnlyNotAdmitted { topic } => write!(
                f,
                "topic `{topic}` does not admit read-only consumers; open it read-write, or let the producer give \
                 others permission to read"
            ),
            Self::Meta(error) => write!(f, "the metadata of a frame is not usable: {error}"),
            Self::Io { topic, what, source } => write!(f, "could not {what} for topic `{topic}`: {source}"),
        }
    }
}

fn write_no_space(
    f: &mut fmt::Formatter<'_>,
    topic: &str,
    dir: &std::path::Path,
    needed: u64,
    free: u64,
    limit: &SpaceLimit,
) -> fmt::Result {
    if *limit == SpaceLimit::FileEntries {
        return write!(
            f,
            "no space for topic `{topic}`: {} can hold no more files; remove files there, or mount it with a larger \
             nr_inodes",
            dir.display()
        );
    }
    write!(
        f,
        "no space for topic `{topic}` in {}: {} needed, {} free; ",
        dir.display(),
        Size(needed),
        Size(free)
    )?;
    match limit {
        SpaceLimit::FileSystem | SpaceLimit::FileEntries => write!(
            f,
            "use fewer slots or smaller frames, remove unused topics, or make it larger (in a container: docker run \
             --shm-size={}; elsewhere: mount -o remount,size=… {})",
            ShmSize(needed),
            dir.display()
        ),
        SpaceLimit::ControlGroup { group } => write!(
            f,
            "the limit is that of the control group {}: raise its memory.max (docker run --memory=…), or use fewer \
             slots or smaller frames",
            group.display()
        ),
        SpaceLimit::Memory => write!(
            f,
            "the machine has too little memory left: end other programs, or use fewer slots or smaller frames"
        ),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_space_says_how_much_and_what_to_do() {
        let error = Error::NoSpace {
            topic: "cam".into(),
            dir: "/dev/shm".into(),
            needed: 100 << 20,
            free: 64 << 20,
            limit: SpaceLimit::FileSystem,
        };
        let text = error.to_string();
        for part in
            ["cam", "/dev/shm", "104857600 bytes (100.0 MiB)", "67108864", "--shm-size=164m", "fewer slots"]
        {
            assert!(text.contains(part), "`{part}` is missing in: {text}");
        }
    }

    #[test]
    fn no_space_of_a_control_group_names_it() {
        let limit = SpaceLimit::ControlGroup { group: "/sys/fs/cgroup/box".into() };
        let error = Error::NoSpace { topic: "cam".into(), dir: "/x".into(), needed: 2, free: 1, limit };
        let text = error.to_string();
        assert!(text.contains("memory.max") && text.contains("/sys/fs/cgroup/box"), "{text}");
    }

    #[test]
    fn refusals_are_told_from_other_failures() {
        let refused = Error::io("cam", "open the ring", io::Error::from_raw_os_error(libc::EACCES));
        assert!(matches!(refused, Error::NotPermitted { ref topic, .. } if topic == "cam"), "{refused:?}");
        let failed = Error::io("cam", "open the ring", io::Error::from_raw_os_error(libc::EMFILE));
        let text = failed.to_string();
        assert!(text.contains("could not open the ring for topic `cam`"), "{text}");
        assert!(std::error::Error::source(&failed).is_some());
    }

    #[test]
    fn sizes_never_overflow() {
        assert_eq!(Size(u64::MAX).to_string(), "18446744073709551615 bytes (17592186044416.0 MiB)");
        assert_eq!(Size(0).to_string(), "0 bytes (0.0 MiB)");
    }
}
