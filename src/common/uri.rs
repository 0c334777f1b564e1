//! Addresses of topics: `shmflow://robot/cam0?max-buffers=16`, for `playbin`, `uridecodebin` and `gst-play-1.0`.
//!
//! What stands before the `?` is the topic, what follows are properties. Both may have characters as `%XX`, and need them for
//! `?`, `#`, `&` and `%` of their own.

use std::sync::Mutex;

use gstreamer as gst;
use gstreamer::glib;

use gst::prelude::*;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::caps_text;
use super::lock;
use super::settings::{ByName, Chosen};

/// The scheme of addresses.
pub(crate) const SCHEME: &str = "shmflow";

/// What a topic in an address may not have as it is.
const IN_TOPIC: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'<').add(b'>').add(b'?').add(b'\\').add(b'`');
/// What a value may not have.
const IN_VALUE: &AsciiSet = &IN_TOPIC.add(b'&').add(b'+');

/// The address of a topic, with properties.
pub(crate) fn address<'a>(topic: &str, properties: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut address = format!("{SCHEME}://{}", utf8_percent_encode(topic, IN_TOPIC));
    for (number, (name, value)) in properties.into_iter().enumerate() {
        let before = if number == 0 { '?' } else { '&' };
        address.push(before);
        address.push_str(name);
        address.push('=');
        address.extend(utf8_percent_encode(&value, IN_VALUE));
    }
    address
}

/// The address of an element with these settings: its topic, and the properties that are not as they are by default.
pub(crate) fn of_settings<S: ByName>(
    specs: &[glib::ParamSpec],
    settings: &S,
    defaults: &S,
) -> Option<String> {
    let topic = settings.get("topic")?.get::<Option<String>>().ok()??;
    let differing = specs.iter().filter(|spec| spec.name() != "topic").filter_map(|spec| {
        let text = text_of(spec, &settings.get(spec.name())?)?;
        let default = defaults.get(spec.name()).and_then(|value| text_of(spec, &value));
        (default.as_ref() != Some(&text)).then_some((spec.name(), text))
    });
    Some(address(&topic, differing))
}

/// Gives an element the topic and the properties of an address: all of them, or none and an error that names the wrong one.
/// Properties that only the other element has (`others`) are checked, and are that one's matter: both sides may be given the
/// same address.
pub(crate) fn give<S: ByName + Clone>(
    address: &str,
    element: &gst::Element,
    settings: &Mutex<Chosen<S>>,
    others: &[glib::ParamSpec],
    check: impl FnOnce(&S) -> Result<(), String>,
) -> Result<(), glib::Error> {
    let bad = |why: String| glib::Error::new(gst::URIError::BadUri, &format!("The address {address}: {why}"));
    let values = read(address, element, others).map_err(bad)?;
    {
        let settings = lock(settings);
        if settings.is_in_use() {
            let why = "An element's address can change in the states NULL and READY only.";
            return Err(glib::Error::new(gst::URIError::BadState, why));
        }
        let mut wanted = S::clone(&settings);
        for (spec, value) in &values {
            // Those of the base class are not among the settings.
            let _ = wanted.set(spec.name(), value);
        }
        check(&wanted).map_err(bad)?;
    }
    for (spec, value) in values {
        element.set_property_from_value(spec.name(), &value);
    }
    Ok(())
}

/// The properties of an element that an address gives it, its topic first.
fn read(
    address: &str,
    element: &gst::Element,
    others: &[glib::ParamSpec],
) -> Result<Vec<(glib::ParamSpec, glib::Value)>, String> {
    let rest = address.split_once("://").filter(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME));
    let (_, rest) =
        rest.ok_or_else(|| format!("it should look like {SCHEME}://video, or {SCHEME}://robot/cam0."))?;
    let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
    let (topic, query) = rest.split_once('?').unwrap_or((rest, ""));
    if topic.is_empty() {
        return Err(format!("it names no topic. It should look like {SCHEME}://video."));
    }
    let spec = element.find_property("topic").ok_or("this element has no topic.")?;
    let mut values = vec![(spec, decoded(topic, "topic")?.to_value())];
    let mut seen = Vec::new();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, text) = parameter
            .split_once('=')
            .ok_or_else(|| format!("the parameter {parameter} has no value. It should be {parameter}=…"))?;
        let (name, text) = (decoded(name, name)?, decoded(text, name)?);
        let own = element.find_property(&name);
        let other = || others.iter().find(|spec| spec.name() == name).cloned();
        let is_own = own.is_some();
        let spec = own.or_else(other).filter(is_for_addresses).ok_or_else(|| unknown(&name, element))?;
        if seen.contains(&spec.name()) {
            return Err(format!("it has the parameter {name} twice."));
        }
        seen.push(spec.name());
        let value = value_of(&spec, &text)
            .ok_or_else(|| format!("{name}={text} is not a value of this property. {}", values_of(&spec)))?;
        if is_own {
            values.push((spec, value));
        }
    }
    Ok(values)
}

fn decoded(text: &str, of: &str) -> Result<String, String> {
    let text = percent_decode_str(text).decode_utf8().map_err(|_| format!("its {of} is not UTF-8."))?;
    // GObject's texts end there.
    if text.contains('\0') { Err(format!("its {of} has a NUL character.")) } else { Ok(text.into_owned()) }
}

/// Whether a property may stand in an address: not the element's name or parent, and not the topic, which stands before them.
fn is_for_addresses(spec: &glib::ParamSpec) -> bool {
    let flags = spec.flags();
    flags.contains(glib::ParamFlags::WRITABLE)
        && !flags.contains(glib::ParamFlags::CONSTRUCT_ONLY)
        && spec.owner_type() != gst::Object::static_type()
        && spec.name() != "topic"
}

fn unknown(name: &str, element: &gst::Element) -> String {
    if name == "topic" {
        return format!("the topic stands before the ?, as in {SCHEME}://video.");
    }
    let own = element.list_properties();
    let own = own.iter().filter(|spec| spec.owner_type() == element.type_() && is_for_addresses(spec));
    let own: Vec<&str> = own.map(|spec| spec.name()).collect();
    format!("it has the parameter {name}, which is not a property. There are {}.", own.join(", "))
}

/// What the values of a property are, for display.
fn values_of(spec: &glib::ParamSpec) -> String {
    if let Some(class) = glib::EnumClass::with_type(spec.value_type()) {
        let nicks: Vec<&str> = class.values().iter().map(glib::EnumValue::nick).collect();
        return format!("There are {}.", nicks.join(", "));
    }
    match spec.value_type() {
        glib::Type::BOOL => "It is true or false.".into(),
        glib::Type::U32 | glib::Type::U64 => "It is a whole number, not less than 0.".into(),
        glib::Type::I32 | glib::Type::I64 => "It is a whole number.".into(),
        other => format!("It is of type {other}."),
    }
}

/// A property's value of its text, as `gst-launch-1.0` reads it; `None` if it is none.
fn value_of(spec: &glib::ParamSpec, text: &str) -> Option<glib::Value> {
    let value = match spec.value_type() {
        // As it is: a directory may begin with a quote.
        glib::Type::STRING => text.to_value(),
        glib::Type::U32 => u32::try_from(number(text)?).ok()?.to_value(),
        glib::Type::U64 => u64::try_from(number(text)?).ok()?.to_value(),
        glib::Type::I32 => i32::try_from(number(text)?).ok()?.to_value(),
        glib::Type::I64 => i64::try_from(number(text)?).ok()?.to_value(),
        ty if ty == gst::Caps::static_type() => caps_text::parse_accepted(text)?.to_value(),
        ty if ty == glib::Type::BOOL || ty.is_a(glib::Type::ENUM) => {
            glib::Value::deserialize(text, ty).ok()?
        }
        _ => return None,
    };
    is_in_range(spec, &value).then_some(value)
}

/// A whole number: decimal, octal with a leading 0, or hexadecimal with 0x. (GStreamer's own reader takes one that is too large
/// for another.)
fn number(text: &str) -> Option<i128> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (radix, digits) = match digits.strip_prefix('0').filter(|rest| !rest.is_empty()) {
        Some(rest) => rest.strip_prefix(['x', 'X']).map_or((8, rest), |hex| (16, hex)),
        None => (10, digits),
    };
    // The library would take another sign.
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_plain.then(|| i128::from_str_radix(digits, radix).ok()).flatten()?.checked_mul(sign)
}

fn is_in_range(spec: &glib::ParamSpec, value: &glib::Value) -> bool {
    macro_rules! within {
        ($($kind:ty: $number:ty),*) => {
            $(if let Some(spec) = spec.downcast_ref::<$kind>() {
                return value.get::<$number>().is_ok_and(|n| (spec.minimum()..=spec.maximum()).contains(&n));
            })*
        };
    }
    within!(
        glib::ParamSpecUInt: u32, glib::ParamSpecUInt64: u64, glib::ParamSpecInt: i32, glib::ParamSpecInt64: i64
    );
    true
}

/// The text of which [`value_of`] makes this value.
fn text_of(spec: &glib::ParamSpec, value: &glib::Value) -> Option<String> {
    if let Ok(text) = value.get::<Option<String>>() {
        return text;
    }
    if let Ok(caps) = value.get::<Option<gst::Caps>>() {
        return caps.map(|caps| caps.to_string());
    }
    if let Some((_, value)) = glib::EnumValue::from_value(value) {
        return Some(value.nick().to_owned());
    }
    match value.get::<u32>() {
        Ok(perms) if spec.name() == "perms" => Some(format!("0{perms:o}")),
        _ => value.serialize().ok().map(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_and_values_are_escaped_where_they_must_be() {
        let directory = || [("directory", "/dev/shm/a&b c".to_owned())];
        assert_eq!(address("robot/cam0", []), "shmflow://robot/cam0");
        assert_eq!(address("what? 100%", []), "shmflow://what%3F%20100%25");
        assert_eq!(address("ä#", directory()), "shmflow://%C3%A4%23?directory=/dev/shm/a%26b%20c");
    }

    #[test]
    fn numbers_are_read_as_people_write_them_and_never_cut_off() {
        for (text, value) in [
            ("0", Some(0)),
            ("16", Some(16)),
            ("-1", Some(-1)),
            ("0660", Some(0o660)),
            ("0x1f", Some(31)),
            ("99999999999", Some(99_999_999_999)),
            ("", None),
            ("-", None),
            ("0x", None),
            ("08", None),
            ("--1", None),
            ("+1", None),
            ("1 ", None),
            ("many", None),
            (&"9".repeat(99), None),
        ] {
            assert_eq!(number(text), value, "{text}");
        }
    }

    #[test]
    fn texts_are_decoded_or_refused() {
        assert_eq!(decoded("robot%2Fcam%200+1", "topic").as_deref(), Ok("robot/cam 0+1"));
        assert_eq!(decoded("100%", "topic").as_deref(), Ok("100%"));
        assert!(decoded("%ff", "topic").is_err_and(|why| why.contains("topic is not UTF-8")));
        assert!(decoded("a%00b", "perms").is_err_and(|why| why.contains("perms has a NUL")));
    }
}
