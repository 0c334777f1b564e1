//! The texts of errors.

use std::fmt;
use std::path::Path;

use super::{Error, SpaceLimit};
use crate::sys::files::READ_ONLY_MOUNT;

/// Bytes for display: exact, and in MiB.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MIB: u64 = 1 << 20;
        // Rounded to a tenth; u128 so that no size overflows.
        let tenths = (u128::from(self.0) * 10 + u128::from(MIB / 2)) / u128::from(MIB);
        write!(f, "{} bytes ({}.{} MiB)", self.0, tenths / 10, tenths % 10)
    }
}

/// Topics that may have been meant, after a clause.
pub(crate) struct DidYouMean<'a>(pub(crate) &'a [String]);

impl fmt::Display for DidYouMean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, name) in self.0.iter().enumerate() {
            let before = match number {
                0 => " (did you mean ",
                n if n + 1 == self.0.len() => " or ",
                _ => ", ",
            };
            write!(f, "{before}`{name}`")?;
        }
        if self.0.is_empty() { Ok(()) } else { f.write_str("?)") }
    }
}

/// The topic at the end of a sentence; empty if the error is about no single topic.
struct ForTopic<'a>(&'a str);

impl fmt::Display for ForTopic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " for topic `{}`", self.0) }
    }
}

/// A size for the `--shm-size` option: whole MiB, with room for other files.
struct ShmSize(u64);

impl fmt::Display for ShmSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}m", (self.0 >> 20).saturating_add(64))
    }
}

/// What is mounted again to make a directory's file system larger: only mount points are.
struct MountOf<'a>(&'a Path);

impl fmt::Display for MountOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == Path::new("/dev/shm") {
            f.write_str("/dev/shm")
        } else {
            write!(f, "and the mount point that `df {}` shows", self.0.display())
        }
    }
}

/// What to do when permission was denied to do `what`.
fn advice(what: &str) -> &'static str {
    if what.ends_with(READ_ONLY_MOUNT) && what.starts_with("remove") {
        "mount it for writing (docker run -v without `:ro`)"
    } else if what.ends_with(READ_ONLY_MOUNT) {
        "mount it for writing (docker run -v without `:ro`), or open the topic read-only"
    } else if what.starts_with("remove") || what.starts_with("list") || what.starts_with("collect") {
        "run as the owner of the files, or as root"
    } else if what.starts_with("make") {
        "run as the owner of the directory, or set SHMFLOW_DIR to one of your own"
    } else if what.contains("for reading") {
        "run as its owner, or have the producer set wider permissions, such as 0644"
    } else {
        "run as its owner, have the producer set wider permissions, or open the topic read-only"
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TopicNotFound { topic, dir, similar } => write!(
                f,
                "there is no topic `{topic}` in {}{}; start its producer first, or wait for the topic",
                dir.display(),
                DidYouMean(similar)
            ),
            Self::PermissionDenied { topic, path, what, mode, owner_uid } => {
                write!(f, "permission denied: cannot {what}{}", ForTopic(topic))?;
                if !path.as_os_str().is_empty() {
                    write!(f, ": {}", path.display())?;
                    match (mode, owner_uid) {
                        (Some(mode), Some(uid)) => write!(f, " (mode {mode:04o}, owner uid {uid})")?,
                        (Some(mode), None) => write!(f, " (mode {mode:04o})")?,
                        (None, Some(uid)) => write!(f, " (owner uid {uid})")?,
                        (None, None) => {}
                    }
                }
                write!(f, "; {}", advice(what))
            }
            Self::ForeignOwner { topic, owner_uid } => write!(
                f,
                "topic `{topic}` belongs to another user (uid {owner_uid}), who can change its files at any time; \
                 allow a foreign owner if you trust that user"
            ),
            Self::NotARing { topic, path, why } => write!(
                f,
                "{} is not a ring of topic `{topic}`: {why}; remove the topic's files if they are not needed",
                path.display()
            ),
            Self::VersionMismatch { topic, found, expected } => write!(
                f,
                "topic `{topic}` has layout version {found}, this library supports version {expected}; use the same \
                 version of shmflow in all processes, or remove the topic if it is a leftover"
            ),
            Self::NoSpace { topic, dir, needed, free, limit } => {
                write_no_space(f, topic, dir, *needed, *free, limit)
            }
            Self::InvalidTopicName { name, why } => {
                write!(f, "invalid topic name `{}`: {why}", name.escape_debug())
            }
            Self::NoSlot { topic, slots, why } => write!(
                f,
                "topic `{topic}` has no free slot (all {slots} in use: {why}); release frames and claims sooner, or \
                 configure more slots"
            ),
            Self::TooLarge { topic, needed, max } => write!(
                f,
                "a frame of {} is too large for topic `{topic}`, whose frames can have at most {}; send it in parts",
                Size(*needed),
                Size(*max)
            ),
            Self::NoProducer { topic } => {
                write!(f, "topic `{topic}` has no producer; start one, or wait for it")
            }
            Self::TooManyProducers { topic } => write!(
                f,
                "topic `{topic}` already has the maximum number of producers; close one of them, or use another topic"
            ),
            Self::InUse { topic, by } => {
                write!(f, "topic `{topic}` is in use by {by}; close it there first, or use another topic")
            }
            Self::Busy { topic, waited, what } => write!(
                f,
                "could not {what} topic `{topic}`: another process has been opening, closing or enlarging it for \
                 {waited:?} and is probably stopped; continue or end that process, then try again"
            ),
            Self::Corrupt { topic, what } => write!(
                f,
                "the shared memory of topic `{topic}` is corrupt: {what}; end all its participants, remove the topic \
                 and start again"
            ),
            Self::Removed { topic } => {
                write!(f, "topic `{topic}` was removed while it was in use; open it again")
            }
            Self::Ended { topic } => write!(f, "the stream of topic `{topic}` has ended"),
            Self::Timeout { topic, what } => write!(f, "timed out on topic `{topic}`: {what}"),
            Self::Cancelled { topic } => {
                write!(
                    f,
                    "the wait on topic `{topic}` was cancelled; reset the cancel token before waiting again"
                )
            }
            Self::Full { topic } => write!(
                f,
                "the ring of topic `{topic}` is full of frames that a consumer has not read yet; the new frame was \
                 dropped"
            ),
            Self::WouldCopy { topic, reason } => write!(
                f,
                "the next frame of topic `{topic}` could only be had as a copy: {reason}; release frames sooner, give \
                 the ring more slots, or allow copies"
            ),
            Self::Standby { topic } => write!(
                f,
                "another producer is the primary of topic `{topic}`; this one is a standby and takes over when the \
                 primary is gone"
            ),
            Self::Forked { topic } => write!(
                f,
                "this handle on topic `{topic}` was opened before a fork and belongs to the parent process; open the \
                 topic again in the child"
            ),
            Self::InvalidArgument { what } => write!(f, "invalid argument: {what}"),
            Self::ReadOnlyNotAllowed { topic } => write!(
                f,
                "topic `{topic}` does not allow read-only consumers; open it read-write, or have its producer grant \
                 read permission to others"
            ),
            #[cfg(feature = "zerocopy")]
            Self::TypeMismatch { topic, expected, found } => write!(
                f,
                "topic `{topic}` holds {found}, but {expected} was asked for; build both sides with the same type, or use \
                 another topic"
            ),
            Self::Meta(error) => write!(f, "invalid frame metadata: {error}"),
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
            "no space for topic `{topic}`: {} cannot hold more files; remove files there, or mount it with a larger \
             nr_inodes",
            dir.display()
        );
    }
    if *limit == SpaceLimit::FileSize {
        return write!(
            f,
            "no space for topic `{topic}`: it needs a file of {}, and this process may make files of {} at most; raise \
             that limit (ulimit -f, LimitFSIZE= of a service), or use fewer slots or smaller frames",
            Size(needed),
            Size(free)
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
        SpaceLimit::FileSystem | SpaceLimit::FileEntries | SpaceLimit::FileSize => write!(
            f,
            "use fewer slots or smaller frames, remove unused topics, or make it larger (in a container: docker run \
             --shm-size={}; elsewhere: mount -o remount,size=… {})",
            ShmSize(needed),
            MountOf(dir)
        ),
        SpaceLimit::ControlGroup { group } => write!(
            f,
            "the limit is that of control group {}: raise its memory.max (docker run --memory=…), or use fewer \
             slots or smaller frames",
            group.display()
        ),
        SpaceLimit::Memory => write!(
            f,
            "the machine has too little free memory: end other programs, or use fewer slots or smaller frames"
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
    fn a_folder_below_a_mount_point_is_not_to_be_mounted_again() {
        let no_space = |dir: &str| {
            let limit = SpaceLimit::FileSystem;
            Error::NoSpace { topic: "cam".into(), dir: dir.into(), needed: 2, free: 1, limit }.to_string()
        };
        assert!(no_space("/dev/shm").contains("remount,size=… /dev/shm)"));
        let below = no_space("/dev/shm/cams");
        assert!(below.contains("`df /dev/shm/cams`") && !below.contains("… /dev/shm/cams"), "{below}");
    }

    #[test]
    fn no_space_of_a_control_group_names_it() {
        let limit = SpaceLimit::ControlGroup { group: "/sys/fs/cgroup/box".into() };
        let error = Error::NoSpace { topic: "cam".into(), dir: "/x".into(), needed: 2, free: 1, limit };
        let text = error.to_string();
        assert!(text.contains("memory.max") && text.contains("/sys/fs/cgroup/box"), "{text}");
    }

    #[test]
    fn refusals_differ_from_other_failures() {
        let refused = Error::io("cam", "open the ring", io::Error::from_raw_os_error(libc::EACCES));
        assert!(
            matches!(refused, Error::PermissionDenied { ref topic, .. } if &**topic == "cam"),
            "{refused:?}"
        );
        let failed = Error::io("cam", "open the ring", io::Error::from_raw_os_error(libc::EMFILE));
        let text = failed.to_string();
        assert!(text.contains("could not open the ring for topic `cam`"), "{text}");
        assert!(std::error::Error::source(&failed).is_some());
    }

    #[test]
    fn who_is_refused_is_told_what_would_help() {
        let text = |what: &str| {
            let topic = "cam".into();
            let path = "/x".into();
            Error::PermissionDenied { topic, path, what: what.into(), mode: None, owner_uid: None }
                .to_string()
        };
        assert!(text("open for writing").contains("read-only"));
        // Neither a producer, nor one that wanted to read only.
        for (what, remedy) in [("make a file", "SHMFLOW_DIR"), ("open for reading", "0644")] {
            assert!(text(what).contains(remedy) && !text(what).contains("read-only"), "{}", text(what));
        }
        // Where nobody may write, neither another user nor another way to open it removes anything.
        for (what, is_to_open) in [("open for writing", true), ("make a file", true), ("remove files", false)]
        {
            let text = text(&format!("{what} {READ_ONLY_MOUNT}"));
            assert!(text.contains("mount it for writing") && !text.contains("root"), "{text}");
            assert_eq!(text.contains("open the topic read-only"), is_to_open, "{text}");
        }
    }

    #[test]
    fn sizes_never_overflow() {
        assert_eq!(Size(u64::MAX).to_string(), "18446744073709551615 bytes (17592186044416.0 MiB)");
        assert_eq!(Size(0).to_string(), "0 bytes (0.0 MiB)");
    }
}
