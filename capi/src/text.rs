//! The text of a thread's last failure: at one address as long as the thread lives.
//!
//! A C program may evaluate `shmflow_last_error_message()` before the call that fails, in the arguments of one `printf`. So the
//! text is never moved or freed, but written over.

use std::cell::Cell;
use std::ffi::c_char;
use std::fmt::{self, Display, Write};

/// Bytes for a text and its NUL. No error of the library is as long; what a program's own texts make longer is cut.
const ROOM: usize = 4096;

pub(crate) struct Text {
    /// Its last byte is a NUL at all times.
    room: Box<[Cell<u8>]>,
}

impl Text {
    pub(crate) fn new(text: Option<&impl Display>) -> Self {
        let this = Self { room: vec![Cell::new(0); ROOM].into_boxed_slice() };
        if let Some(text) = text {
            this.set(text);
        }
        this
    }

    pub(crate) fn set(&self, text: &impl Display) {
        let mut writer = Writer { room: &self.room, at: 0 };
        // It fails when there is no more room: then the text is cut.
        let _ = write!(writer, "{text}");
        let end = writer.at;
        if let Some(end) = self.room.get(end) {
            end.set(0);
        }
    }

    pub(crate) fn as_ptr(&self) -> *const c_char {
        self.room.as_ptr().cast()
    }
}

struct Writer<'a> {
    room: &'a [Cell<u8>],
    at: usize,
}

impl Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for letter in text.chars() {
            let (letter, mut bytes) = (if letter == '\0' { '?' } else { letter }, [0; 4]);
            let bytes = letter.encode_utf8(&mut bytes).as_bytes();
            let end = self.at.saturating_add(bytes.len());
            // One stays for the NUL; and no letter is cut in two.
            let room = self.room.get(self.at..end).filter(|_| end < self.room.len()).ok_or(fmt::Error)?;
            for (place, byte) in room.iter().zip(bytes) {
                place.set(*byte);
            }
            self.at = end;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &Text) -> Vec<u8> {
        text.room.iter().map(Cell::get).take_while(|byte| *byte != 0).collect()
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_between_letters() {
        let text = Text::new(Some(&"ä".repeat(ROOM)));
        assert_eq!(bytes(&text), "ä".repeat((ROOM - 1) / 2).as_bytes());
        text.set(&"x".repeat(2 * ROOM));
        assert_eq!(bytes(&text).len(), ROOM - 1);
        text.set(&"a\0b");
        assert_eq!(bytes(&text), b"a?b");
    }
}
