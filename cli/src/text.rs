//! Numbers and names for display.

use std::fmt::Write as _;
use std::time::Duration;

/// Bytes, in a unit that leaves at most four digits before the point.
pub(crate) fn bytes(bytes: u64) -> String {
    amount(bytes as f64)
}

/// Bytes per second.
pub(crate) fn byte_rate(rate: f64) -> String {
    format!("{}/s", amount(rate))
}

/// Frames per second: three digits that count.
pub(crate) fn rate(rate: f64) -> String {
    if rate < 1.0 { format!("{rate:.2}") } else { format!("{rate:.1}") }
}

/// Frames a second that a stream is said to have, with at most two digits behind the point.
pub(crate) fn nominal_rate(frames: u32, seconds: u32) -> String {
    let text = format!("{:.2}", f64::from(frames) / f64::from(seconds.max(1)));
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A rate that is not reached, rounded so that it stays true.
pub(crate) fn limit(rate: f64) -> String {
    if rate < 1.0 { format!("{:.2}", (rate * 100.0).ceil() / 100.0) } else { format!("{:.0}", rate.ceil()) }
}

fn amount(bytes: f64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = bytes;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    if unit == 0 || value.fract() == 0.0 {
        format!("{value:.0} {name}")
    } else {
        format!("{value:.1} {name}")
    }
}

/// A count with its digits in groups of three.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i != 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// "1 frame", "2 frames".
pub(crate) fn several(value: u64, what: &str) -> String {
    format!("{} {what}{}", count(value), if value == 1 { "" } else { "s" })
}

/// A time span, in its two largest units.
pub(crate) fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if seconds < 10 => format!("{:.1} s", age.as_secs_f64()),
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{} d {hours} h", count(days)),
    }
}

/// A short time span with the digits that count: `8 ms`, `1.2 s`; longer ones as [`age`].
pub(crate) fn short_time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        _ if seconds < 0.001 => format!("{:.0} µs", seconds * 1e6),
        _ if seconds < 0.01 => format!("{:.1} ms", seconds * 1e3),
        _ if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        _ => age(time),
    }
}

/// A text that somebody else wrote, so that it cannot steer the terminal: control characters, and those that turn the
/// direction of writing, are escaped.
pub(crate) fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || turns {
            // Writing to a String cannot fail.
            let _ = write!(out, "{}", c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// The name of a user, or the number if there is none.
pub(crate) fn user(uid: u32) -> String {
    match nix::unistd::User::from_uid(uid.into()) {
        Ok(Some(user)) => safe(&user.name),
        _ => uid.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_fitting_units() {
        for (value, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (8 << 20, "8 MiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(bytes(value), text);
        }
    }

    #[test]
    fn rates_have_the_digits_that_count() {
        for (value, text) in [(29.97, "30.0"), (1.04, "1.0"), (0.2, "0.20"), (5000.0, "5000.0")] {
            assert_eq!(rate(value), text);
        }
        for (value, text) in
            [(1.98, "2"), (2.01, "3"), (0.5, "0.50"), (0.0001, "0.01"), (f64::INFINITY, "inf")]
        {
            assert_eq!(limit(value), text);
        }
    }

    #[test]
    fn counts_are_grouped() {
        for (value, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(value), text);
        }
        assert_eq!((several(1, "frame").as_str(), several(0, "frame").as_str()), ("1 frame", "0 frames"));
    }

    #[test]
    fn ages_have_two_units() {
        for (seconds, text) in
            [(9, "9.0 s"), (59, "59 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (90_000, "1 d 1 h")]
        {
            assert_eq!(age(Duration::from_secs(seconds)), text);
        }
        assert!(age(Duration::MAX).contains(" d "));
    }

    #[test]
    fn short_times_have_fitting_units() {
        for (micros, text) in [
            (7, "7 µs"),
            (1500, "1.5 ms"),
            (33_400, "33 ms"),
            (1_230_000, "1.2 s"),
            (61_000_000, "1 min 1 s"),
        ] {
            assert_eq!(short_time(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        assert_eq!(safe("cam 0 é"), "cam 0 é");
        assert_eq!(safe("\x1b[2J\u{202e}"), "\\u{1b}[2J\\u{202e}");
    }
}
