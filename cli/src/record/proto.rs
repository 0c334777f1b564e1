//! As much of the protobuf encoding as a recorded message needs. A message's payload is written to the file from where it is, so
//! that a library that wants all of a message in one buffer would cost a copy of each frame.

use std::ops::RangeInclusive;

/// A message that is being written.
#[derive(Debug, Default)]
pub(crate) struct Message(pub(crate) Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn tag(&mut self, field: u32, wire: u32) {
        self.varint(u64::from(field << 3 | wire));
    }

    pub(crate) fn uint(&mut self, field: u32, value: u64) {
        self.tag(field, 0);
        self.varint(value);
    }

    pub(crate) fn fixed32(&mut self, field: u32, value: u32) {
        self.tag(field, 5);
        self.0.extend(value.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.begin_bytes(field, bytes.len());
        self.0.extend(bytes);
    }

    /// A field whose bytes follow.
    pub(crate) fn begin_bytes(&mut self, field: u32, len: usize) {
        self.tag(field, 2);
        self.varint(len as u64);
    }

    pub(crate) fn message(&mut self, field: u32, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        self.bytes(field, &inner.0);
    }
}

/// A field that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Uint(u64),
    Bytes(&'a [u8]),
    /// Of 4 or 8 bytes, which nothing here asks for.
    Fixed,
}

const FIELDS: RangeInclusive<u64> = 1..=(1 << 29) - 1;

/// The fields of a message from a file: any bytes give fields, and `None` where they are none.
pub(crate) fn fields(mut rest: &[u8]) -> impl Iterator<Item = Option<(u32, Value<'_>)>> {
    let mut failed = false;
    std::iter::from_fn(move || {
        if rest.is_empty() || failed {
            return None;
        }
        let field = field(&mut rest);
        failed = field.is_none();
        Some(field)
    })
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<(u32, Value<'a>)> {
    let tag = varint(rest)?;
    let number = u32::try_from(Some(tag >> 3).filter(|number| FIELDS.contains(number))?).ok()?;
    let value = match tag & 7 {
        0 => Value::Uint(varint(rest)?),
        1 => take(rest, 8).map(|_| Value::Fixed)?,
        2 => {
            let len = usize::try_from(varint(rest)?).ok()?;
            Value::Bytes(take(rest, len)?)
        }
        5 => take(rest, 4).map(|_| Value::Fixed)?,
        _ => return None,
    };
    Some((number, value))
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(taken)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *take(rest, 1)?.first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut message = Message::default();
        message.uint(1, 300);
        message.fixed32(2, 7);
        message.message(1000, |inner| inner.bytes(3, b"abc"));
        let read: Vec<_> = fields(&message.0).map(Option::unwrap).collect();
        assert_eq!(read, [(1, Value::Uint(300)), (2, Value::Fixed), (1000, Value::Bytes(b"\x1a\x03abc"))]);
    }

    #[test]
    fn any_bytes_end() {
        for bytes in [
            &b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"[..],
            b"\x0a\x05ab",
            b"\x00\x00",
            b"\x0f",
            b"\x08\x80",
        ] {
            assert_eq!(fields(bytes).collect::<Vec<_>>(), [None], "{bytes:?}");
        }
    }
}
