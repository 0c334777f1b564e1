//! Names of topics as Zenoh key expressions.
//!
//! `shmflow/v1/<what>/<origin>/<topic>`: *what* is one of [`Kind`], *origin* the Zenoh id of the bridge that sends the topic, and
//! the topic's name keeps its slashes, so that access control can say `shmflow/v1/*/*/robot1/**`. Bytes that a key may not have
//! are percent-encoded, and a part of a name that is empty is `%`: each name has one key, and each key at most one name.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Letters, digits and these stand for themselves.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
/// Stands for a part of a name without characters: Zenoh has no empty ones.
const EMPTY: &str = "%";
/// Of all keys; the number is that of this protocol.
pub const ROOT: &str = "shmflow/v1";

/// What is under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A liveliness token: the topic is there.
    Live,
    /// Its frames.
    Frames,
    /// To the bridge that sends it: requests and acknowledgements.
    Control,
    /// What is said of the topic, to be asked for.
    Info,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Frames => "frames",
            Self::Control => "control",
            Self::Info => "info",
        }
    }

    /// The key of a topic that the bridge `origin` sends.
    #[must_use]
    pub fn key(self, origin: &str, topic: &str) -> String {
        format!("{ROOT}/{}/{origin}/{}", self.name(), encode(topic))
    }

    /// The keys of all topics of all bridges.
    #[must_use]
    pub fn all(self) -> String {
        format!("{ROOT}/{}/**", self.name())
    }

    /// The keys of all topics of one bridge.
    #[must_use]
    pub fn all_of(self, origin: &str) -> String {
        format!("{ROOT}/{}/{origin}/**", self.name())
    }

    /// Origin and topic of a key of this kind; `None` for every other.
    #[must_use]
    pub fn parse(self, key: &str) -> Option<(String, String)> {
        let rest = key.strip_prefix(ROOT)?.strip_prefix('/')?.strip_prefix(self.name())?.strip_prefix('/')?;
        let (origin, topic) = rest.split_once('/')?;
        is_origin(origin).then_some(())?;
        Some((origin.to_owned(), decode(topic)?))
    }
}

/// The liveliness token of a bridge.
#[must_use]
pub fn bridge(origin: &str) -> String {
    format!("{ROOT}/bridge/{origin}")
}

/// Where a bridge answers what its clock says.
#[must_use]
pub fn clock(origin: &str) -> String {
    format!("{ROOT}/clock/{origin}")
}

/// The bridge of a token; `None` for other keys.
#[must_use]
pub fn parse_bridge(key: &str) -> Option<&str> {
    let origin = key.strip_prefix(ROOT)?.strip_prefix("/bridge/")?;
    is_origin(origin).then_some(origin)
}

/// A Zenoh id: hexadecimal digits.
fn is_origin(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn encode(topic: &str) -> String {
    let part = |part: &str| match part {
        "" => EMPTY.to_owned(),
        part => utf8_percent_encode(part, ESCAPED).to_string(),
    };
    topic.split('/').map(part).collect::<Vec<_>>().join("/")
}

fn decode(key: &str) -> Option<String> {
    let part = |part: &str| match part {
        EMPTY => Some(String::new()),
        part => Some(percent_decode_str(part).decode_utf8().ok()?.into_owned()),
    };
    let topic = key.split('/').map(part).collect::<Option<Vec<_>>>()?.join("/");
    // What is not written so by `encode` is nobody's.
    (encode(&topic) == key).then_some(topic)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zenoh::key_expr::KeyExpr;

    #[test]
    fn names_keep_their_slashes_and_their_meaning() {
        for (topic, key) in [
            ("cam0", "shmflow/v1/frames/ab/cam0"),
            ("robot/cam0", "shmflow/v1/frames/ab/robot/cam0"),
            ("a b*?#$@é", "shmflow/v1/frames/ab/a%20b%2A%3F%23%24%40%C3%A9"),
            ("/", "shmflow/v1/frames/ab/%/%"),
            ("a//b", "shmflow/v1/frames/ab/a/%/b"),
            ("%", "shmflow/v1/frames/ab/%25"),
        ] {
            assert_eq!(Kind::Frames.key("ab", topic), key);
            assert_eq!(Kind::Frames.parse(key), Some(("ab".into(), topic.into())));
        }
    }

    #[test]
    fn keys_of_others_are_nobodys() {
        for key in [
            "",
            "shmflow",
            "shmflow/v1",
            "shmflow/v1/frames",
            "shmflow/v1/frames/ab",
            "shmflow/v1/frames/xyz/cam",
            "shmflow/v1/frames/AB/cam",
            "shmflow/v1/frames/ab/a%2",
            "shmflow/v1/frames/ab/a%2fb",
            "shmflow/v1/frames/ab/%2F",
            "shmflow/v1/frames/ab/%41",
            "shmflow/v1/frames/ab/%FF",
            "shmflow/v1/frames/ab/",
            "shmflow/v1/live/ab/cam",
            "shmflow/v2/frames/ab/cam",
        ] {
            assert_eq!(Kind::Frames.parse(key), None, "{key}");
        }
        assert_eq!(parse_bridge("shmflow/v1/bridge/0a"), Some("0a"));
        assert_eq!(parse_bridge("shmflow/v1/bridge/0a/b"), None);
    }

    proptest! {
        #[test]
        fn every_name_has_a_legal_key_of_its_own(topic in "\\PC{1,60}") {
            let key = Kind::Live.key("0af", &topic);
            prop_assert!(KeyExpr::try_from(key.as_str()).is_ok(), "{key}");
            prop_assert!(!key.contains('*'));
            prop_assert_eq!(Kind::Live.parse(&key), Some(("0af".into(), topic)));
        }

        #[test]
        fn any_text_is_read_or_refused(key in "shmflow/v1/live/[0-9a-f]{0,3}/[%/0-9A-Fa-z]{0,12}") {
            if let Some((origin, topic)) = Kind::Live.parse(&key) {
                prop_assert_eq!(Kind::Live.key(&origin, &topic), key);
            }
        }
    }
}
