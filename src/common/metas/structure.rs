//! The text of a `GstStructure` that another process wrote, read without GStreamer's parser: that one recurses as deep as the
//! text has it, builds whatever type the text names, and asserts what it takes for granted.
//!
//! Read is what `gst_structure_to_string` writes, and what people type. Fields of types that are not known here (ranges,
//! samples, objects) are left out, and counted.

use gstreamer as gst;
use gstreamer::glib;

use glib::prelude::*;

use super::admit_name;

mod values;

use values::{alike, guessed, typed};

/// Structures and lists within each other.
const MAX_DEPTH: u32 = 16;
/// Fields of one structure: GStreamer looks for a field among all others.
const MAX_FIELDS: usize = 1024;
/// Values of one text.
const MAX_VALUES: u32 = 65_536;

/// A structure that was read.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) structure: gst::Structure,
    /// Fields whose type is not known here.
    pub(crate) left_out: u32,
}

/// Reads a structure.
///
/// # Errors
/// Why the text is none, for display.
pub(crate) fn read(text: &str) -> Result<Read, &'static str> {
    let mut limits = Limits { values: MAX_VALUES, left_out: 0 };
    let structure = Cursor { rest: text }.structure(&mut limits, MAX_DEPTH, false)?;
    Ok(Read { structure, left_out: limits.left_out })
}

/// The text of a structure, or of tags, as it travels: without the semicolon that GStreamer puts at its end. Programs in other
/// languages write none, and a stream's tags are to be the same text whoever wrote them.
pub(crate) fn to_text(structure: &impl ToString) -> String {
    let mut text = structure.to_string();
    text.truncate(text.strip_suffix(';').map_or(text.len(), str::len));
    text
}

/// Reads caps of one structure, all of whose fields are known here: those that name a clock, not those of a stream.
///
/// # Errors
/// Why the text is none, for display.
pub(crate) fn read_caps(text: &str) -> Result<gst::Caps, &'static str> {
    let read = read(text)?;
    if read.left_out == 0 { Ok(caps_of(read.structure)) } else { Err("caps have fields of an unknown type") }
}

fn caps_of(structure: gst::Structure) -> gst::Caps {
    let mut caps = gst::Caps::new_empty();
    caps.make_mut().append_structure(structure);
    caps
}

struct Limits {
    values: u32,
    left_out: u32,
}

/// What a bare value, one without quotes and brackets, may consist of.
fn is_bare(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '+' | '/' | ':' | '.' | '%' | '~')
}

/// Whether GStreamer takes this for the name of a structure.
pub(crate) fn is_name(name: &str) -> bool {
    let rest = |char: char| char.is_ascii_alphanumeric() || matches!(char, '/' | '-' | '_' | '.' | ':' | '+');
    // GStreamer warns of these, which only version 0.10 had.
    let old = ["video/x-raw-", "audio/x-raw-"].iter().any(|start| name.starts_with(start));
    name.starts_with(|char: char| char.is_ascii_alphabetic()) && name.chars().all(rest) && !old
}

struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Takes this character, if it is the next one but for spaces.
    fn take(&mut self, char: char) -> bool {
        self.skip_space();
        let taken = self.rest.strip_prefix(char);
        self.rest = taken.unwrap_or(self.rest);
        taken.is_some()
    }

    fn word(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        self.skip_space();
        let end = self.rest.find(|char| !belongs(char)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// A structure to the end of the text, or to a `]`.
    fn structure(
        &mut self,
        limits: &mut Limits,
        depth: u32,
        bracketed: bool,
    ) -> Result<gst::Structure, &'static str> {
        let depth = depth.checked_sub(1).ok_or("a structure's text nests too deep")?;
        let name = self.word(is_bare);
        if !is_name(name) || !admit_name(name) {
            return Err("a structure has no proper name");
        }
        let mut structure = gst::Structure::new_empty(name);
        let mut fields = 0_usize;
        loop {
            self.take(';');
            self.skip_space();
            if bracketed && self.take(']') || !bracketed && self.rest.is_empty() {
                return Ok(structure);
            }
            if !self.take(',') {
                return Err("a comma is missing in a structure's text");
            }
            self.skip_space();
            if self.rest.is_empty() && !bracketed {
                return Ok(structure);
            }
            let field = self.word(is_bare);
            if field.is_empty() || !self.take('=') {
                return Err("a field of a structure has no name or no value");
            }
            fields = fields.saturating_add(1);
            if fields > MAX_FIELDS {
                return Err("a structure has too many fields");
            }
            match self.value(None, limits, depth)? {
                Some(value) if admit_name(field) => structure.set_value(field, value),
                Some(_) => return Err("there are too many names of fields"),
                None => limits.left_out = limits.left_out.saturating_add(1),
            }
        }
    }

    /// A value; `None` if its type is not known here.
    fn value(
        &mut self,
        outer: Option<&str>,
        limits: &mut Limits,
        depth: u32,
    ) -> Result<Option<glib::SendValue>, &'static str> {
        let depth = depth.checked_sub(1).ok_or("a structure's text nests too deep")?;
        limits.values = limits.values.checked_sub(1).ok_or("a structure's text has too many values")?;
        let mut ty = outer;
        if self.take('(') {
            ty = Some(self.word(is_bare));
            if !self.take(')') {
                return Err("a type in a structure's text is not closed");
            }
        }
        self.skip_space();
        if self.take('<') {
            let values = self.values('>', ty, limits, depth)?;
            return Ok(values.map(|values| gst::Array::new(values).to_send_value()));
        }
        if self.take('{') {
            let values = self.values('}', ty, limits, depth)?;
            return Ok(values.map(|values| gst::List::new(values).to_send_value()));
        }
        if self.take('[') {
            if matches!(ty, Some("structure" | "GstStructure")) {
                return self.structure(limits, depth, true).map(|inner| Some(inner.to_send_value()));
            }
            // A range: metas have none.
            let (_, rest) = self.rest.split_once(']').ok_or("a range in a structure's text is not closed")?;
            self.rest = rest;
            return Ok(None);
        }
        let quoted = self.rest.starts_with('"');
        let text = match ty {
            _ if quoted => self.quoted()?,
            // GStreamer writes nothing for an empty one.
            Some("GstBuffer" | "buffer") => self.word(|char| char.is_ascii_hexdigit()).to_owned(),
            _ => self.bare()?,
        };
        match ty {
            Some("structure" | "GstStructure") => {
                let inner = Cursor { rest: &text }.structure(limits, depth, false)?;
                Ok(Some(inner.to_send_value()))
            }
            Some("GstCaps" | "caps") => {
                let before = limits.left_out;
                let inner = Cursor { rest: &text }.structure(limits, depth, false)?;
                // Without one of its fields it would be other caps.
                Ok((limits.left_out == before).then(|| caps_of(inner).to_send_value()))
            }
            Some(ty) => typed(ty, &text).ok_or("a value of a structure is not of its type"),
            None if quoted => Ok(Some(text.to_send_value())),
            None => Ok(Some(guessed(&text))),
        }
    }

    /// Values up to `end`; `None` if one is of a type that is not known here.
    fn values(
        &mut self,
        end: char,
        ty: Option<&str>,
        limits: &mut Limits,
        depth: u32,
    ) -> Result<Option<Vec<glib::SendValue>>, &'static str> {
        let mut values = Some(Vec::new());
        if self.take(end) {
            return Ok(values);
        }
        loop {
            match (self.value(ty, limits, depth)?, &mut values) {
                (Some(value), Some(values)) => {
                    if !values.first().is_none_or(|first| alike(first, &value)) {
                        return Err("a list in a structure's text has values of different types");
                    }
                    values.push(value);
                }
                _ => values = None,
            }
            if self.take(end) {
                return Ok(values);
            }
            if !self.take(',') {
                return Err("a list in a structure's text is not closed");
            }
        }
    }

    /// A text in quotes, without them and the backslashes.
    fn quoted(&mut self) -> Result<String, &'static str> {
        const OPEN: &str = "a text in a structure is not closed";
        self.rest = self.rest.strip_prefix('"').ok_or(OPEN)?;
        let mut bytes = Vec::new();
        loop {
            let end = self.rest.find(['"', '\\']).ok_or(OPEN)?;
            let (plain, rest) = self.rest.split_at(end);
            bytes.extend_from_slice(plain.as_bytes());
            self.rest = rest;
            if self.take_now('"') {
                break;
            }
            self.escaped(&mut bytes).ok_or(OPEN)?;
        }
        text_of(bytes)
    }

    fn take_now(&mut self, char: char) -> bool {
        let taken = self.rest.strip_prefix(char);
        self.rest = taken.unwrap_or(self.rest);
        taken.is_some()
    }

    /// A backslash and what follows: three octal digits of a byte, or a character that means itself.
    fn escaped(&mut self, bytes: &mut Vec<u8>) -> Option<()> {
        let rest = self.rest.strip_prefix('\\')?;
        let octal = rest.get(..3).filter(|digits| digits.bytes().all(|digit| matches!(digit, b'0'..=b'7')));
        if let Some(byte) = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            bytes.push(byte);
            self.rest = rest.get(3..)?;
        } else {
            let char = rest.chars().next()?;
            bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            self.rest = rest.get(char.len_utf8()..)?;
        }
        Some(())
    }

    fn bare(&mut self) -> Result<String, &'static str> {
        let mut bytes = Vec::new();
        loop {
            let end = self.rest.find(|char| !is_bare(char)).unwrap_or(self.rest.len());
            let (plain, rest) = self.rest.split_at(end);
            bytes.extend_from_slice(plain.as_bytes());
            self.rest = rest;
            if !self.rest.starts_with('\\') {
                break;
            }
            self.escaped(&mut bytes).ok_or("a structure's text ends with a backslash")?;
        }
        if bytes.is_empty() { Err("a field of a structure has no value") } else { text_of(bytes) }
    }
}

fn text_of(bytes: Vec<u8>) -> Result<String, &'static str> {
    let text = String::from_utf8(bytes).map_err(|_| "a text in a structure is not UTF-8")?;
    if text.contains('\0') { Err("a text in a structure holds a NUL character") } else { Ok(text) }
}

#[cfg(test)]
mod tests;
