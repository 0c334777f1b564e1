//! Names of topics, and of the files that make one up.
//!
//! A topic may be called nearly anything (`robot/cam0`); its files are called `shmflow.<escaped name>.<part>`. The
//! escaping is unambiguous and reversible: letters, digits, `_` and `-` stand for themselves, every other byte is
//! `%XX` with upper-case hexadecimal digits. So no two topics share a file, and no name leads out of the directory.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};

/// The most bytes of a name after escaping. With prefix and the longest part that stays below 255, the longest
/// file name Linux allows.
pub(crate) const MAX_ESCAPED: usize = 200;

/// Environment variable with the directory of the topics.
pub(crate) const DIR_VARIABLE: &str = "SHMFLOW_DIR";

/// The default directory of the topics.
pub(crate) const DEFAULT_DIR: &str = "/dev/shm";

const PREFIX: &str = "shmflow.";

/// A legal topic name and the directory it lives in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Topic {
    name: Arc<str>,
    escaped: String,
    dir: PathBuf,
}

/// Which part of a topic a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum FileKind {
    /// Participants and the lifecycle lock; one for the life of the topic.
    Peers,
    /// The current epoch's ring.
    Ring,
    /// An earlier epoch's ring that is not yet followed by all, with its epoch number.
    OldRing(u64),
    /// Holder words of the ring whose header names this number.
    Holds(u64),
    /// A file in the making; unlocked, it is an orphan.
    Temp(u64),
}

impl Topic {
    /// A topic of this name in `dir`; without one in `$SHMFLOW_DIR`, else in `/dev/shm`.
    ///
    /// # Errors
    /// [`Error::InvalidTopicName`] if the name is empty, too long or has control characters.
    ///
    /// ```
    /// use std::path::Path;
    /// let topic = shmflow::Topic::new("robot/cam0", Some(Path::new("/tmp")))?;
    /// assert_eq!(topic.ring_path(), Path::new("/tmp/shmflow.robot%2Fcam0.ring"));
    /// # Ok::<(), shmflow::Error>(())
    /// ```
    pub fn new(name: &str, dir: Option<&Path>) -> Result<Self> {
        let escaped = escape(name).map_err(|why| Error::InvalidTopicName { name: name.into(), why })?;
        Ok(Self { name: name.into(), escaped, dir: directory(dir) })
    }

    /// The name, shared: errors that may come with every frame refer to it without a copy.
    pub(crate) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// The name as people write it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory of its files.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// File of participants; exists as long as the topic does.
    #[must_use]
    pub fn peers_path(&self) -> PathBuf {
        self.path(FileKind::Peers)
    }

    /// File of the current epoch's frames.
    #[must_use]
    pub fn ring_path(&self) -> PathBuf {
        self.path(FileKind::Ring)
    }

    /// The name, without directory, of the file of one kind.
    pub(crate) fn file_name(&self, kind: FileKind) -> String {
        let mut name = format!("{PREFIX}{}", self.escaped);
        // Writing to a String cannot fail.
        let _ = match kind {
            FileKind::Peers => write!(name, ".peers"),
            FileKind::Ring => write!(name, ".ring"),
            FileKind::OldRing(epoch) => write!(name, ".ring.{epoch:016x}"),
            FileKind::Holds(unique) => write!(name, ".holds.{unique:016x}"),
            FileKind::Temp(random) => write!(name, ".tmp.{random:016x}"),
        };
        name
    }

    /// The full path of the file of one kind.
    pub(crate) fn path(&self, kind: FileKind) -> PathBuf {
        self.dir.join(self.file_name(kind))
    }
}

impl FileKind {
    /// Whether a file of this kind makes a topic of its name; others are what is left of one.
    pub(crate) fn makes_a_topic(self) -> bool {
        matches!(self, Self::Peers | Self::Ring | Self::OldRing(_))
    }

    /// The topic and part that a file name stands for; `None` for files of others.
    pub(crate) fn parse(file_name: &OsStr) -> Option<(String, Self)> {
        let mut parts = file_name.to_str()?.strip_prefix(PREFIX)?.split('.');
        let topic = unescape(parts.next()?)?;
        let kind = match (parts.next()?, parts.next()) {
            ("peers", None) => Self::Peers,
            ("ring", None) => Self::Ring,
            ("ring", Some(number)) => Self::OldRing(parse_number(number)?),
            ("holds", Some(number)) => Self::Holds(parse_number(number)?),
            ("tmp", Some(number)) => Self::Temp(parse_number(number)?),
            _ => return None,
        };
        parts.next().is_none().then_some((topic, kind))
    }
}

/// Where topics are looked for: `dir` if given, else `$SHMFLOW_DIR`, else `/dev/shm`. Asked each time, so that a test
/// or a program may change the variable.
pub(crate) fn directory(dir: Option<&Path>) -> PathBuf {
    let dir = match dir {
        Some(dir) => dir.to_path_buf(),
        None => match std::env::var_os(DIR_VARIABLE) {
            Some(dir) if !dir.is_empty() => dir.into(),
            _ => DEFAULT_DIR.into(),
        },
    };
    // A process that becomes a daemon later goes elsewhere.
    std::path::absolute(&dir).unwrap_or(dir)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn escape(name: &str) -> Result<String, String> {
    if name.is_empty() {
        return Err("it is empty".into());
    }
    if let Some(control) = name.chars().find(|c| c.is_control()) {
        return Err(format!("it contains the control character U+{:04X}", u32::from(control)));
    }
    let mut escaped = String::with_capacity(name.len().min(MAX_ESCAPED));
    for byte in name.bytes() {
        if is_plain(byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
        if escaped.len() > MAX_ESCAPED {
            return Err(format!(
                "it is too long: at most {MAX_ESCAPED} bytes, where each but [A-Za-z0-9_-] counts as three"
            ));
        }
    }
    Ok(escaped)
}

/// The reverse of [`escape`]; `None` for everything that `escape` would not have written.
fn unescape(escaped: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from((high << 4) | low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    let name = String::from_utf8(bytes).ok()?;
    (escape(&name).as_deref() == Ok(escaped)).then_some(name)
}

/// Exactly sixteen lower-case hexadecimal digits.
fn parse_number(text: &str) -> Option<u64> {
    let legal = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if legal { u64::from_str_radix(text, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn topic(name: &str) -> Topic {
        Topic::new(name, Some(Path::new("/dir"))).unwrap()
    }

    #[test]
    fn file_names_are_escaped_and_stay_in_the_directory() {
        for (name, file) in [
            ("cam", "shmflow.cam.ring"),
            ("robot/cam0", "shmflow.robot%2Fcam0.ring"),
            ("../../etc/passwd", "shmflow.%2E%2E%2F%2E%2E%2Fetc%2Fpasswd.ring"),
            (".", "shmflow.%2E.ring"),
            ("100%", "shmflow.100%25.ring"),
            ("a b_c-d", "shmflow.a%20b_c-d.ring"),
            ("é", "shmflow.%C3%A9.ring"),
        ] {
            assert_eq!(topic(name).ring_path(), Path::new("/dir").join(file));
        }
    }

    #[test]
    fn bad_names_are_refused_with_a_reason() {
        let long = "x".repeat(201);
        let long_escaped = "/".repeat(67);
        for (name, why) in [
            ("", "empty"),
            ("a\nb", "U+000A"),
            ("a\0b", "U+0000"),
            ("\u{85}", "U+0085"),
            (long.as_str(), "too long"),
            (long_escaped.as_str(), "too long"),
        ] {
            match Topic::new(name, None) {
                Err(error @ Error::InvalidTopicName { .. }) => {
                    assert!(error.to_string().contains(why), "{error}");
                }
                other => panic!("{name:?} gave {other:?}"),
            }
        }
        assert!(Topic::new(&"x".repeat(200), None).is_ok());
    }

    #[test]
    fn the_longest_file_name_is_legal() {
        let topic = topic(&"x".repeat(MAX_ESCAPED));
        assert!(topic.file_name(FileKind::Holds(u64::MAX)).len() <= 255);
    }

    #[test]
    fn foreign_file_names_are_not_ours() {
        for name in [
            "",
            "shmflow",
            "shmflow.",
            "shmflow.cam",
            "shmflow..ring",
            "shmflow.cam.",
            "shmflow.cam.ring.",
            "shmflow.cam.ring.1",
            "shmflow.cam.ring.000000000000000G",
            "shmflow.cam.ring.000000000000000A",
            "shmflow.cam.ring.+00000000000000a",
            "shmflow.cam.peers.0000000000000000",
            "shmflow.cam.tmp",
            "shmflow.cam.ring.0000000000000001.x",
            "shmflow.a/b.ring",
            "shmflow.%2f.ring",
            "shmflow.%41.ring",
            "shmflow.%2.ring",
            "shmflow.%.ring",
            "shmflow.%FF.ring",
            "shmflow.%0A.ring",
            "shmflow.%+1.ring",
        ] {
            assert_eq!(FileKind::parse(OsStr::new(name)), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn names_survive_the_round_trip(name in "\\PC{1,60}", number: u64) {
            if let Ok(topic) = Topic::new(&name, Some(Path::new("/dir"))) {
                for kind in [
                    FileKind::Peers,
                    FileKind::Ring,
                    FileKind::OldRing(number),
                    FileKind::Holds(number),
                    FileKind::Temp(number),
                ] {
                    let file = topic.file_name(kind);
                    prop_assert!(!file.contains('/'));
                    prop_assert_eq!(FileKind::parse(OsStr::new(&file)), Some((name.clone(), kind)));
                }
            }
        }

        #[test]
        fn only_one_file_name_stands_for_a_part(file in "shmflow\\.[%0-9A-Fa-f]{0,8}\\.(peers|ring)") {
            if let Some((name, kind)) = FileKind::parse(OsStr::new(&file)) {
                prop_assert_eq!(topic(&name).file_name(kind), file);
            }
        }
    }
}
