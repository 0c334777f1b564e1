//! What errors say.

use std::fmt;
use std::path::Path;

use super::{Error, SpaceLimit};

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

/// The topic at the end of a sentence; nothing where it was about no single one.
struct ForTopic<'a>(&'a str);

impl fmt::Display for ForTopic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " for topic `{}`", self.0) }
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
            Self::TopicNotFound { topic, dir } => write!(
                f,
                "there is no topic `{topic}` in {}; start its producer first, or wait for the topic",
                dir.display()
            ),
            Self::PermissionDenied { topic, path, what, mode, owner_uid } => {
                write!(f, "not permitted to {what}{}", ForTopic(topic))?;
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
                "{} is not a ring of topic `{topic}`: {why}; remove the topic's files if nobody needs them",
                path.display()
            ),
            Self::VersionMismatch { topic, found, expected } => write!(
                f,
                "topic `{topic}` has layout version {found}, this library speaks version {expected}; use the same \
                 version of shmflow on both sides, or remove the topic if it is a leftover"
            ),
            Self::NoSpace { topic, dir, needed, free, limit } => {
                write_no_space(f, topic, dir, *needed, *free, limit)
            }
            Self::InvalidTopicName { name, why } => {
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
            Self::TooManyProducers { topic } => write!(
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
            Self::Cancelled { topic } => {
                write!(
                    f,
                    "waiting on topic `{topic}` was interrupted by request; reset the cancel_token to go on"
                )
            }
            Self::Full { topic } => write!(
                f,
                "the ring of topic `{topic}` is full of frames that a consumer has not read yet; the new frame was \
                 not taken"
            ),
            Self::Standby { topic } => write!(
                f,
                "another producer is the primary of topic `{topic}`; this one stands by and takes over when it is gone"
            ),
            Self::Forked { topic } => write!(
                f,
                "this handle on topic `{topic}` was opened before a fork and belongs to the parent process; open the \
                 topic anew in the child"
            ),
            Self::InvalidArgument { what } => write!(f, "invalid argument: {what}"),
            Self::ReadOnlyNotAllowed { topic } => write!(
                f,
                "topic `{topic}` does not admit read-only consumers; open it read-write, or let the producer give \
                 others permission to read"
            ),
            #[cfg(feature = "zerocopy")]
            Self::TypeMismatch { topic, expected, found } => write!(
                f,
                "topic `{topic}` holds {found}, but {expected} was asked for; build both sides with the same type, or use \
                 another topic"
            ),
            Self::Meta(error) => write!(f, "the metadata of a frame is not usable: {error}"),
            Self::Io { topic, what, source } => write!(f, "could not {what}{}: {source}", ForTopic(topic)),
        }
    }
}

fn write_no_space(
    f: &mut fmt::Formatter<'_>,
    topic: &str,
    dir: &Path,
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

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
        assert!(
            matches!(refused, Error::PermissionDenied { ref topic, .. } if topic == "cam"),
            "{refused:?}"
        );
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
