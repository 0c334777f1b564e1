//! Values in the text of a structure: of the type that the text names, or of the one that it looks like.

use gstreamer as gst;
use gstreamer::glib;

use glib::prelude::*;

use super::super::late;

/// Whether two values may be in one list: GStreamer asserts that they are of one type, that of their first values if they are
/// lists themselves.
pub(super) fn alike(one: &glib::SendValue, other: &glib::SendValue) -> bool {
    fn first(value: &glib::SendValue) -> Option<glib::Type> {
        if let Ok(list) = value.get::<gst::ListRef<'_>>() {
            return list.as_slice().first().and_then(first);
        }
        if let Ok(array) = value.get::<gst::ArrayRef<'_>>() {
            return array.as_slice().first().and_then(first);
        }
        Some(value.type_())
    }
    one.type_() == other.type_() && first(one).zip(first(other)).is_none_or(|(one, other)| one == other)
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

/// Bytes of two digits each.
fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(high)? << 4 | digit(low)?).ok();
    rest.is_empty().then(|| pairs.iter().map(byte).collect()).flatten()
}

/// A value of a type that its text names. `None`: it is not of that type; `Some(None)`: the type is not known here.
pub(super) fn typed(ty: &str, text: &str) -> Option<Option<glib::SendValue>> {
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
        "buffer" | "GstBuffer" => gst::Buffer::from_mut_slice(hexadecimal(text)?).to_send_value(),
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
pub(super) fn guessed(text: &str) -> glib::SendValue {
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
