//! Caps as text that another process wrote.

use gstreamer as gst;

use super::metas::structure::{self, is_name};

/// Brackets never nest deeper in caps.
const MAX_DEPTH: u32 = 16;

/// The longest text of accepted caps, in bytes.
pub(crate) const MAX_ACCEPTED: usize = 8 * 1024;
/// The longest text of a frame's caps: with `codec_data`, or the `streamheader` of Vorbis or Theora, it is long.
pub(crate) const MAX_FIXED: usize = 1024 * 1024;

/// Parses the caps that a consumer says it accepts: too long, not text, or not caps gives `None`.
pub(crate) fn parse_accepted(text: &str) -> Option<gst::Caps> {
    let outline = outline(text, MAX_ACCEPTED)?;
    if !ranges_are_in_order(&outline) {
        return None;
    }
    text.parse().ok()
}

/// Parses the caps of a frame. They are fixed; `None` for everything else.
pub(crate) fn parse_fixed(text: &str) -> Option<gst::Caps> {
    if outline(text, MAX_FIXED)?.contains(['[', '{']) {
        return None;
    }
    text.parse().ok().filter(|caps: &gst::Caps| caps.is_fixed())
}

/// Whether whoever receives frames of these caps can read them.
///
/// # Errors
/// Why not: a sentence for display.
pub(crate) fn check(caps: &gst::CapsRef) -> Result<(), String> {
    let text = caps.to_string();
    if text.len() > MAX_FIXED {
        let kind = caps.structure(0).map(|one| one.name().as_str()).unwrap_or_default();
        return Err(format!("Caps may have 1 MiB of text, and these of {kind} have {} bytes.", text.len()));
    }
    let read = parse_fixed(&text).map(drop);
    read.ok_or_else(|| {
        format!("These caps cannot be read again from their text, so that no source would take them: {caps}.")
    })
}

/// Stands for a character that follows a backslash, outside of quotes.
const ESCAPED: char = '\u{1}';

/// Caps text that another process wrote, without what is in quotes; `None` if GStreamer's parser is not to see it. (It
/// recurses with the brackets, takes much for granted, and asserts it.)
fn outline(text: &str, longest: usize) -> Option<String> {
    if text.is_empty() || text.len() > longest || text.contains('\0') {
        return None;
    }
    let mut outline = String::with_capacity(text.len());
    let (mut quoted, mut depth) = (false, 0_u32);
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => {
                chars.next()?;
                if !quoted {
                    outline.push(ESCAPED);
                }
            }
            // A value starts there; anywhere else it is no quote to GStreamer.
            '"' if !quoted && is_of_fraction(&outline) => return None,
            '"' if quoted || outline.trim_end().ends_with(['=', ')', '{', '[', '<', ',']) => {
                quoted = !quoted;
                outline.push('_');
            }
            '"' => return None,
            _ if quoted => {}
            _ => {
                match char {
                    '{' | '[' | '<' | '(' => depth += 1,
                    '}' | ']' | '>' => depth = depth.saturating_sub(1),
                    ')' => {
                        depth = depth.saturating_sub(1);
                        // A type: it is looked for by its end.
                        outline.truncate(outline.trim_end().len());
                    }
                    _ => {}
                }
                if depth > MAX_DEPTH {
                    return None;
                }
                outline.push(char);
            }
        }
    }
    let is_sound = !quoted
        && names_are_valid(&outline)
        && fractions_are_in_range(&outline)
        && values_are_of_their_types(&outline);
    (is_sound && (!nests(&outline) || is_known_throughout(text))).then_some(outline)
}

/// Whether buffers consist of bytes of two digits each, and flags of names: with any other text GStreamer 1.22 uses the buffer
/// after it was freed, and asserts when it writes the flags.
fn values_are_of_their_types(outline: &str) -> bool {
    let is_bytes =
        |text: &str| text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let are_names = |text: &str| !text.starts_with(|char: char| !char.is_ascii_alphabetic());
    outline.split('=').all(|value| {
        values_of("uffer)", value).all(is_bytes)
            && values_of("lags)", value).all(|text| text.split('+').all(are_names))
    })
}

/// The values behind a type that ends so, without what may be in front of each: the rest of `value` is the name of the next field.
fn values_of<'a>(ty: &str, value: &'a str) -> impl Iterator<Item = &'a str> {
    let values = value.split_once(ty).map_or("", |(_, values)| values);
    let values = if values.contains(['<', '{', '[']) {
        values.rfind(['>', '}', ']']).and_then(|end| values.get(..end)).unwrap_or(values)
    } else {
        values.split([',', ';']).next().unwrap_or_default()
    };
    values.split([',', '<', '{', '[', '>', '}', ']']).map(|one| {
        let typed = one.trim_start().strip_prefix('(').and_then(|one| one.split_once(')'));
        typed.map_or(one, |(_, one)| one).trim()
    })
}

/// Whether a value is said to be of a type whose text is that of a structure. GStreamer asserts that it has a name, as above.
fn nests(outline: &str) -> bool {
    let outline = outline.to_ascii_lowercase();
    ["structure)", "caps)", "taglist)", "sample)", "features)"].iter().any(|ty| outline.contains(ty))
}

/// Whether our own reader knows all of it, whatever it nests.
fn is_known_throughout(text: &str) -> bool {
    structure::read(text).is_ok_and(|read| read.left_out == 0)
}

/// Whether a text ends within a value that is said to be of fractions.
fn is_of_fraction(outline: &str) -> bool {
    outline.rsplit('=').next().is_some_and(|value| value.contains("raction)"))
}

/// Whether the numbers of fractions fit: GStreamer asserts that they are not the least integer, and takes the lower bits of
/// what is too long. (It writes them without quotes.)
fn fractions_are_in_range(outline: &str) -> bool {
    let fits = |digits: &str| digits.is_empty() || digits.parse::<i32>().is_ok();
    outline.split([';', '=']).all(|value| {
        let may_be_one = value.contains('/') || is_of_fraction(value);
        !may_be_one || !value.contains(ESCAPED) && value.split(|char: char| !char.is_ascii_digit()).all(fits)
    })
}

/// Whether each structure has a name. GStreamer's parser asserts that, too.
fn names_are_valid(outline: &str) -> bool {
    let name = |one: &str| one.split([',', '(']).next().unwrap_or_default().trim().to_owned();
    outline.split(';').map(name).all(|name| name.is_empty() || is_name(&name))
}

/// Whether each range goes upwards, in whole steps. GStreamer's parser takes that for granted, and asserts it.
fn ranges_are_in_order(outline: &str) -> bool {
    outline.split('[').skip(1).all(|rest| {
        let range = rest.split(']').next().unwrap_or_default();
        let numbers: Option<Vec<f64>> = range.split(',').map(number).collect();
        match numbers.as_deref() {
            Some([start, end]) => start < end,
            Some([start, end, step]) => {
                start < end && *step >= 1.0 && start % step == 0.0 && end % step == 0.0
            }
            _ => false,
        }
    })
}

/// An integer, a decimal number or a fraction.
fn number(text: &str) -> Option<f64> {
    // A type may be given in front: (int)1.
    let text = text.rsplit(')').next()?.trim();
    let value: f64 = match text.split_once('/') {
        Some((numerator, denominator)) => {
            numerator.trim().parse::<f64>().ok()? / denominator.trim().parse::<f64>().ok()?
        }
        None => text.parse().ok()?,
    };
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn init() {
        gst::init().expect("GStreamer starts");
    }

    fn caps(text: &str) -> gst::Caps {
        text.parse().expect("caps of the test")
    }

    #[test]
    fn hostile_caps_texts_are_no_caps() {
        init();
        assert!(parse_accepted("video/x-raw, format=(string)BGRx").is_some());
        for text in [
            "",
            "video/x-raw\0",
            &format!("video/x-raw, a={}", "{ ".repeat(1000)),
            &"x".repeat(MAX_FIXED + 1),
            "video/x-raw, format={",
            "video/x-raw, a=\"",
            "video/x-raw(\"), width=[ 10, 1 ]",
            "video/x-raw, a=b\", width=[ 10, 1 ]",
            "video/x-raw, a=\\",
            "-5",
            "7up, a=1",
            "video/x-raw-yuv, width=1",
            "video/x-raw, a=(structure)\"1\"",
            "video/x-raw, a=(GstStructure)[1]",
            "video/x-raw, a=(GstCaps)\"-5\"",
            "video/x-raw, a=(taglist)\"1x, b=1\"",
            "video/x-raw, a=(taglist \u{c})\"1x, b=1\"",
            "video/x-raw, codec_data=(buffer)0",
            "video/x-raw, codec_data=(buffer)00(int)",
            "video/x-raw, flags=(GstSeekFlags)2048",
            "video/x-raw, codec_data=(buffer)0g",
            "video/x-raw, codec_data=(buffer)< 00ff, 0g",
            "video/x-raw, codec_data=(buffer)\"0g\"",
            "video/x-raw, codec_data=(buffer)0\\g0",
            "video/x-raw, codec_data=(GstBuffer)< 00, 1/2 >, b=1",
            "video/x-raw, framerate=(fraction)-21474\\83648/1",
            "video/x-raw, framerate=(fraction)-2147483648/1",
            "video/x-raw, framerate=1/-6442450944",
            "video/x-raw, framerate=(GstFraction){ 1/1, -2147483648 }",
            "video/x-raw, framerate=(fraction)\"-2147483648/1\"",
        ] {
            assert!(parse_accepted(text).is_none() && parse_fixed(text).is_none(), "{text}");
        }
    }

    #[test]
    fn long_headers_are_read() {
        init();
        let header = "00".repeat(100_000);
        let text = format!(
            "audio/x-vorbis, rate=48000, streamheader=(buffer)< {header}, 01, {header} >, codec_data=(buffer){header}"
        );
        assert!(parse_fixed(&text).is_some_and(|caps| caps.to_string().len() > 600_000));
        assert!(parse_accepted(&text).is_none());
    }

    #[test]
    fn ranges_that_gstreamer_would_assert_on_are_no_caps() {
        init();
        for range in [
            "[ 10, 1 ]",
            "[ 5, 5 ]",
            "[ 1, 10, 3 ]",
            "[ 0, 10, 0 ]",
            "[ 1/0, 2/1 ]",
            "[ 30/1, 1/1 ]",
            "[ a, b ]",
            "[ 1",
            "[ ]",
        ] {
            assert!(parse_accepted(&format!("video/x-raw, width={range}")).is_none(), "{range}");
        }
        for range in ["[ 1, 10 ]", "(int)[ 2, 10, 2 ]", "[ 0/1, 2147483647/1 ]", "[ 1.5, 2.5 ]", "[ -3, 3 ]"]
        {
            let text = format!("video/x-raw, width={range}");
            assert!(parse_accepted(&text).is_some(), "{range}");
            assert!(parse_fixed(&text).is_none(), "a frame has no {range}");
        }
        let all = crate::common::formats::all();
        assert_eq!(parse_accepted(&all.to_string()).as_ref(), Some(all));
    }

    #[test]
    fn brackets_within_a_text_are_text() {
        init();
        for name in ["left [1, 0]", "a { b", "\\\"[", "[[[[[[[[[[[[[[[[[[[[[[["] {
            let mut caps = caps("video/x-raw,format=I420,width=320,height=240,framerate=30/1");
            caps.get_mut().expect("one reference").set("camera", name);
            assert_eq!(parse_fixed(&caps.to_string()).as_ref(), Some(&caps), "{name}");
            assert_eq!(parse_accepted(&caps.to_string()), Some(caps), "{name}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(1000))]
        /// GLib ends this process if GStreamer takes something for granted that is not so.
        #[test]
        fn any_text_is_read_or_refused(parts in proptest::collection::vec(proptest::sample::select(PARTS), 0..20)) {
            let text = format!("video/x-raw, a={}", parts.concat());
            super::super::texts::check_caps(text.as_bytes());
        }
    }

    const PARTS: &[&str] = &[
        "1",
        "-5",
        "2.5",
        "1/2",
        "1/0",
        "-2147483648",
        "99999999999",
        "0xff",
        "abc",
        "true",
        "max",
        "min",
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
        "(",
        ")",
        "(int)",
        "(uint)",
        "(int64)",
        "(string)",
        "(double)",
        "(boolean)",
        "(fraction)",
        "(bitmask)",
        "(flagset)",
        "(structure)",
        "(GstState)",
        "(GstCaps)",
        "(GstSeekFlags)",
        "(datetime)",
        "(date)",
        "(buffer)",
        "(taglist)",
        "(GstCapsFeatures)",
        "(type)",
        "playing",
        "flush+accurate",
        "2024-02-29",
        "2024-02-30T25:00Z",
        "00ff",
        "0",
        "y",
        ", b=",
        ", c=",
        ",",
        ";",
        " ",
        "=",
        ":",
        "video/x-raw",
        "video/x-raw(memory:x)",
        "; image/jpeg, d=",
        "\u{e4}",
    ];
}
