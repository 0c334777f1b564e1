//! The text of a `GstStructure` that another process wrote, read without GStreamer's parser: that one recurses as deep as the
//! text has it, builds whatever type the text names, and asserts what it takes for granted.
//!
//! Read is what `gst_structure_to_string` writes, and what people type. Fields of types that are not known here (ranges,
//! buffers, objects) are left out, and counted.

use gstreamer as gst;
use gstreamer::glib;

use glib::prelude::*;

use super::{admit_name, late};

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
        let text = if quoted { self.quoted()? } else { self.bare()? };
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

/// Whether two values may be in one list: GStreamer asserts that they are of one type, that of their first values if they are
/// lists themselves.
fn alike(one: &glib::SendValue, other: &glib::SendValue) -> bool {
    fn first(value: &glib::SendValue) -> Option<glib::Type> {
        if let Ok(list) = value.get::<gst::ListRef<'_>>() {
            return list.as_slice().first().and_then(first);
        }
        if let Ok(array) = value.get::<gst::ArrayRef<'_>>() {
            return array.as_slice().first().and_then(first);
        }
        Some(value.type_())
    }
    first(one).zip(first(other)).is_none_or(|(one, other)| one == other)
}

fn text_of(bytes: Vec<u8>) -> Result<String, &'static str> {
    let text = String::from_utf8(bytes).map_err(|_| "a text in a structure is not UTF-8")?;
    if text.contains('\0') { Err("a text in a structure holds a NUL character") } else { Ok(text) }
}

/// An integer of any notation that GStreamer writes or people type.
fn integer<T: TryFrom<i128>>(text: &str) -> Option<T> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let number = match digits.strip_prefix("0x") {
        Some(digits) => i128::from(u64::from_str_radix(digits, 16).ok()?),
        None => i128::from(digits.parse::<u64>().ok()?),
    };
    T::try_from(if negative { number.checked_neg()? } else { number }).ok()
}

fn fraction(text: &str) -> Option<gst::Fraction> {
    let (numerator, denominator) = text.split_once('/').unwrap_or((text, "1"));
    let (numerator, denominator): (i32, i32) = (integer(numerator)?, integer(denominator)?);
    // The least number has no opposite, and 0 divides nothing.
    (numerator > i32::MIN && denominator > 0).then(|| gst::Fraction::new(numerator, denominator))
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "1" => Some(true),
        "false" | "f" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// A value of a type that its text names. `None`: it is not of that type; `Some(None)`: the type is not known here.
fn typed(ty: &str, text: &str) -> Option<Option<glib::SendValue>> {
    Some(Some(match ty {
        "int" | "i" | "gint" => integer::<i32>(text)?.to_send_value(),
        "uint" | "u" | "guint" => integer::<u32>(text)?.to_send_value(),
        "int64" | "gint64" => integer::<i64>(text)?.to_send_value(),
        "uint64" | "guint64" => integer::<u64>(text)?.to_send_value(),
        "uchar" | "guchar" => integer::<u8>(text)?.to_send_value(),
        "char" | "gchar" => integer::<i8>(text)?.to_send_value(),
        "float" | "f" | "gfloat" => text.parse::<f32>().ok()?.to_send_value(),
        "double" | "d" | "gdouble" => text.parse::<f64>().ok()?.to_send_value(),
        "boolean" | "bool" | "b" | "gboolean" => boolean(text)?.to_send_value(),
        "string" | "str" | "s" | "gchararray" => text.to_send_value(),
        "fraction" | "GstFraction" => fraction(text)?.to_send_value(),
        "bitmask" | "GstBitmask" => gst::Bitmask::new(integer(text)?).to_send_value(),
        name => {
            let name = match name {
                "datetime" => "GstDateTime",
                "date" => "GDate",
                name => name,
            };
            let Some(ty) = late::type_of_name(name) else { return Some(None) };
            let plain = [glib::Type::ENUM, glib::Type::FLAGS].into_iter().any(|kind| ty.is_a(kind));
            if !plain && !matches!(name, "GstDateTime" | "GDate") {
                return Some(None);
            }
            // By name, as GStreamer writes them: a number need not be one of theirs, which GStreamer asserts when it writes it.
            if plain && !text.split('+').all(|name| name.starts_with(|char: char| char.is_ascii_alphabetic()))
            {
                return None;
            }
            // Plain words and numbers: nothing in them nests.
            late::plain_value(text, ty)?
        }
    }))
}

/// A value without a type, as people type it.
fn guessed(text: &str) -> glib::SendValue {
    if let Some(number) = integer::<i32>(text) {
        return number.to_send_value();
    }
    if let Some(number) = integer::<i64>(text) {
        return number.to_send_value();
    }
    if let Some(number) = text
        .parse::<f64>()
        .ok()
        .filter(|_| text.starts_with(['+', '-', '.']) || text.starts_with(|c: char| c.is_ascii_digit()))
    {
        return number.to_send_value();
    }
    if let Some(number) = text.contains('/').then(|| fraction(text)).flatten() {
        return number.to_send_value();
    }
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" => true.to_send_value(),
        "false" | "no" => false.to_send_value(),
        _ => text.to_send_value(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn init() {
        gst::init().expect("GStreamer starts");
    }

    fn text(of: &str) -> Result<String, &'static str> {
        read(of).map(|read| read.structure.to_string())
    }

    #[test]
    fn what_gstreamer_writes_is_read_as_it_was() {
        init();
        let inner =
            gst::Structure::builder("in/ner").field("x", 1_i32).field("s", "a \"b\" \\ \u{e4}, [").build();
        let list = gst::List::new([1_i32.to_send_value(), 2_i32.to_send_value()]);
        let array = gst::Array::new([gst::Fraction::new(1, 2), gst::Fraction::new(5, 1)]);
        let structure = gst::Structure::builder("detection")
            .field("confidence", 0.75_f64)
            .field("score", 0.5_f32)
            .field("label", "tr\u{e4}ffic light; 1")
            .field("empty", "")
            .field("null-like", "NULL")
            .field("count", u64::MAX)
            .field("least", i64::MIN)
            .field("yes", true)
            .field("rate", gst::Fraction::new(30_000, 1001))
            .field("mask", gst::Bitmask::new(0xff00))
            .field("state", gst::State::Playing)
            .field("seek", gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE)
            .field("list", list)
            .field("array", array)
            .field("nested", &inner)
            .field("deeper", gst::Structure::builder("two").field("inner", inner.clone()).build())
            .field(
                "caps",
                "video/x-raw, a=(int){ 1, 2 }, b=(string)\"c d\"".parse::<gst::Caps>().expect("caps"),
            )
            .build();
        let again = read(&structure.to_string()).expect("its own text");
        assert_eq!(again.left_out, 0);
        assert_eq!(again.structure, structure, "{structure}");
    }

    #[test]
    fn what_people_type_is_guessed() {
        init();
        let typed = read("detection, confidence=0.9, id=7, label=person, box=<1, 2, 3>, ok=true, r=1/2;")
            .expect("text");
        assert_eq!(typed.structure.get::<f64>("confidence"), Ok(0.9));
        assert_eq!(typed.structure.get::<i32>("id"), Ok(7));
        assert_eq!(typed.structure.get::<&str>("label"), Ok("person"));
        assert_eq!(typed.structure.get::<bool>("ok"), Ok(true));
        assert_eq!(typed.structure.get::<gst::Fraction>("r"), Ok(gst::Fraction::new(1, 2)));
        assert_eq!(typed.structure.get::<gst::ArrayRef<'_>>("box").map(|array| array.len()), Ok(3));
        assert_eq!(
            text("x, y=(structure)[z, a=(int)1], b=2").as_deref(),
            text("x, y=(structure)\"z, a=(int)1;\", b=2").as_deref()
        );
    }

    #[test]
    fn what_is_of_an_unknown_type_is_left_out_and_counted() {
        init();
        let read = read("x, a=(GstBuffer)00ff, b=(int)[ 1, 5 ], c=(NoSuchType)x, d=<(GstBuffer)00, 1>, e=1")
            .expect("text");
        assert_eq!((read.left_out, read.structure.n_fields()), (4, 1));
    }

    #[test]
    fn hostile_texts_are_errors_in_little_time() {
        init();
        for bad in [
            "",
            ",",
            "1x",
            "x y",
            "x,",
            "x, =1",
            "x, a",
            "x, a=",
            "x, a=(int",
            "x, a=(int)",
            "x, a=(int)y",
            "x, a=\"",
            "x, a=\"\\",
            "x, a=\\",
            "x, a=<1",
            "x, a=[1",
            "x, a=(structure)[y",
            "x, a=(structure)1",
            "x, a=(fraction)1/0",
            "x, a=1 2",
            "x, a=(fraction)-2147483648/-1",
            "x, a=\"\\000\"",
            "x, a=\"\\377\"",
            "x, a=(GstCaps)\"{\"",
            "x, a=(uint)-1",
            "x]",
            "x, a=<1, b>",
            "x, a={ <1>, <b> }",
            "x, a=<1, (uint)1>",
            "x, a=(GstState)\"[\"",
        ] {
            assert!(read(bad).is_err() || bad == "x,", "{bad}");
        }
        let mib16 = 16 << 20;
        for (start, middle, end) in [
            ("x, a=", "<", ""),
            ("x, a=", "(structure)[y, a=", ""),
            ("x, a=\"", "\\\\", "\""),
            ("x", ", a=1", ""),
            ("x, a=<1", ",1", ">"),
            ("x, a=\"", "a", "\""),
            ("x, a=", "a", ""),
            ("x", "x", ""),
            ("x", " ", ""),
            ("x, a=1", ";", ""),
        ] {
            let text = format!("{start}{}{end}", middle.repeat(mib16 / middle.len()));
            let began = std::time::Instant::now();
            drop(read(&text));
            assert!(began.elapsed() < std::time::Duration::from_secs(5), "{start}{middle}");
        }
        // Fields without end, each of another name.
        let text: String =
            std::iter::once("x".to_owned()).chain((0..100_000).map(|n| format!(", a{n}=1"))).collect();
        assert!(read(&text).is_err());
    }

    proptest::proptest! {
        /// GLib ends this process if GStreamer takes something for granted that is not so.
        #[test]
        fn any_text_is_read_or_refused(parts in proptest::collection::vec(proptest::sample::select(PARTS), 0..30)) {
            init();
            glib::log_set_always_fatal(glib::LogLevels::LEVEL_CRITICAL | glib::LogLevels::LEVEL_WARNING);
            let text = format!("x, a={}", parts.concat());
            if let Ok(first) = read(&text) {
                let again = read(&first.structure.to_string());
                proptest::prop_assert!(again.is_ok_and(|again| again.structure == first.structure), "{text}");
            }
        }
    }

    const PARTS: &[&str] = &[
        "1",
        "-5",
        "2.5",
        "1/2",
        "abc",
        "true",
        "NULL",
        "\"\"",
        "\"a b\"",
        "\\",
        "\"",
        "\\\"",
        "\\303",
        "<",
        ">",
        "{",
        "}",
        "[",
        "]",
        "(int)",
        "(uint)",
        "(string)",
        "(double)",
        "(boolean)",
        "(fraction)",
        "(bitmask)",
        "(structure)",
        "(GstState)",
        "(GstCaps)",
        "(GstSeekFlags)",
        "(datetime)",
        "(date)",
        "playing",
        "flush+accurate",
        "2024-02-29",
        "2024-02-30",
        "2024",
        "y",
        ", b=",
        ", c=",
        ",",
        ";",
        " ",
        "=",
        "video/x-raw",
        "99999999999",
        "0xff",
        "\u{e4}",
    ];
}
