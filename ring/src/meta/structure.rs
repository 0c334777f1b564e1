//! Fields of caps and of tag lists, in the text that GStreamer writes.

/// The first structure of caps, or of a tag list, in GStreamer's text: a name, and fields with values. Any text is read, since it
/// comes from another process.
///
/// ```
/// use shmflow::meta::Structure;
///
/// let caps = Structure::parse("video/x-raw, format=(string)I420, width=(int)640, framerate=(fraction)30/1");
/// assert_eq!((caps.name(), caps.get("format")), ("video/x-raw", Some("I420")));
/// assert_eq!((caps.number("width"), caps.fraction("framerate")), (Some(640), Some((30, 1))));
/// assert_eq!(caps.get("height"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure<'a> {
    name: &'a str,
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Structure<'a> {
    /// Reads a text.
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        let mut parts = split(text);
        // Features of the memory are no part of the name.
        let name = parts.next().unwrap_or_default();
        let name = name.split_once('(').map_or(name, |(name, _)| name).trim();
        let field = |part: &'a str| {
            let (field, value) = part.split_once('=')?;
            Some((field.trim(), without_type(value.trim())))
        };
        Self { name, fields: parts.filter_map(field).collect() }
    }

    /// The media type, or `taglist`, without features of the memory.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The text of a value, without its type.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&'a str> {
        self.fields.iter().find(|(name, _)| *name == field).map(|(_, value)| *value)
    }

    /// A value that is a number.
    #[must_use]
    pub fn number(&self, field: &str) -> Option<u32> {
        self.get(field)?.parse().ok()
    }

    /// Numerator and denominator; a denominator of 0 is no fraction.
    #[must_use]
    pub fn fraction(&self, field: &str) -> Option<(u32, u32)> {
        let (numerator, denominator) = self.get(field)?.split_once('/')?;
        Some((numerator.parse().ok()?, denominator.parse().ok()?))
            .filter(|(_, denominator)| *denominator != 0)
    }

    /// A value that is text, without its quotes.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<String> {
        self.get(field).map(unquoted)
    }
}

/// The parts between commas that are in no quotes and no brackets, up to the end of the first structure.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut quoted, mut escaped, mut depth) = (false, false, 0_u32);
        for (at, c) in text.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => quoted = !quoted,
                _ if quoted => {}
                '{' | '[' | '<' | '(' => depth = depth.saturating_add(1),
                '}' | ']' | '>' | ')' => depth = depth.saturating_sub(1),
                ',' | ';' if depth == 0 => {
                    let (part, behind) = text.split_at(at);
                    rest = (c == ',').then(|| behind.get(1..).unwrap_or_default());
                    return Some(part);
                }
                _ => {}
            }
        }
        rest = None;
        Some(text)
    })
}

/// `(int)640` is `640`.
fn without_type(value: &str) -> &str {
    let inner = value.strip_prefix('(').and_then(|rest| rest.split_once(')'));
    inner.map_or(value, |(_, value)| value.trim())
}

/// Without quotes, and with what is escaped in them as it was: `\"`, and `\303\251` for bytes beyond ASCII.
fn unquoted(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'\\' {
            bytes.push(byte);
        } else if let Some((octal, behind)) = behind.split_first_chunk::<3>()
            && octal.iter().all(|digit| (b'0'..=b'7').contains(digit))
        {
            let value = octal.iter().fold(0_u16, |value, digit| value * 8 + u16::from(digit - b'0'));
            bytes.push(value as u8);
            rest = behind;
        } else if let Some((&escaped, behind)) = behind.split_first() {
            bytes.push(escaped);
            rest = behind;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_in_what_gstreamer_writes() {
        let caps = Structure::parse(
            "video/x-raw(memory:DMABuf, x:y), format=(string)I420, width=(int)640, height=480, framerate=(fraction)30000/1001",
        );
        assert_eq!(caps.name, "video/x-raw");
        assert_eq!(
            (caps.get("format"), caps.number("width"), caps.number("height")),
            (Some("I420"), Some(640), Some(480))
        );
        assert_eq!((caps.fraction("framerate"), caps.get("none")), (Some((30000, 1001)), None));
        let two = Structure::parse("a/b, x=(string){ p, q }, y=1; c/d, z=2");
        assert_eq!(
            (two.name, two.get("x"), two.number("y"), two.get("z")),
            ("a/b", Some("{ p, q }"), Some(1), None)
        );
    }

    #[test]
    fn quoted_text_is_read_as_it_was_meant() {
        let tags =
            Structure::parse(r#"taglist, title=(string)"Front\ door\,\ \"caf\303\251\"", description=plain"#);
        assert_eq!(tags.text("title").as_deref(), Some("Front door, \"café\""));
        assert_eq!(tags.text("description").as_deref(), Some("plain"));
    }

    #[test]
    fn no_text_is_too_odd() {
        for text in
            ["", ",", ";", "=", "a,b", "a, b=", "a, b=(", "a, b=\"", "\\", "a, =x", "a, f=1/0", "a,b=\"\\3\\"]
        {
            let read = Structure::parse(text);
            assert_eq!((read.number("b"), read.fraction("f")), (None, None), "{text}");
            let _ = read.text("b");
        }
    }
}
