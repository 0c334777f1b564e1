//! A frame as a message of a recording, and back.

use shmflow::meta::{Clock, MetaView};

use super::proto::{Message, Value, fields};
use super::schema::{LOST_BEFORE, META, PUBLISHED_NS, SEQ, Schema, Shape};

/// What a frame is beside its payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    pub(crate) topic: &'a str,
    pub(crate) seq: u64,
    pub(crate) lost_before: u64,
    /// CLOCK_MONOTONIC.
    pub(crate) published_ns: u64,
    /// The block as it was written.
    pub(crate) meta: &'a [u8],
}

/// The beginning of a message, which its payload ends.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) schema: Schema,
    pub(crate) bytes: Vec<u8>,
    /// When it was captured, or else published: nanoseconds since 1970.
    pub(crate) taken: u64,
    /// A decoder needs those before it.
    pub(crate) is_delta: bool,
}

impl Head {
    /// `since_1970` turns a time of CLOCK_MONOTONIC into one of the calendar.
    pub(crate) fn new(about: &About<'_>, len: usize, since_1970: impl Fn(u64) -> u64) -> Self {
        // A block that cannot be read is recorded as it is.
        let meta = MetaView::parse(about.meta).ok();
        let times = meta.as_ref().map(MetaView::times).unwrap_or_default();
        let taken = match (times.clock, times.capture_ns) {
            (Clock::Monotonic, Some(captured)) => since_1970(captured),
            (Clock::Realtime, Some(captured)) => captured,
            _ => since_1970(about.published_ns),
        };
        let shape = meta.as_ref().map_or(Shape::Other, |meta| Shape::of(meta, len));
        let mut message = Message::default();
        message.message(1, |time| {
            time.uint(1, taken / 1_000_000_000);
            time.uint(2, taken % 1_000_000_000);
        });
        match shape {
            Shape::Raw { encoding, width, height, step } => {
                message.fixed32(2, width);
                message.fixed32(3, height);
                message.bytes(4, encoding.as_bytes());
                message.fixed32(5, step);
                message.bytes(7, about.topic.as_bytes());
            }
            Shape::Image(format) => {
                message.bytes(3, format.as_bytes());
                message.bytes(4, about.topic.as_bytes());
            }
            Shape::Video(format) => {
                message.bytes(2, about.topic.as_bytes());
                message.bytes(4, format.as_bytes());
            }
            Shape::Other => {
                if let Some(caps) = meta.as_ref().and_then(MetaView::caps) {
                    message.bytes(2, caps.as_bytes());
                }
            }
        }
        message.bytes(META, about.meta);
        message.uint(SEQ, about.seq);
        message.uint(LOST_BEFORE, about.lost_before);
        message.uint(PUBLISHED_NS, about.published_ns);
        message.begin_bytes(shape.schema().data(), len);
        let is_delta = meta.is_some_and(|meta| meta.flags().contains(shmflow::meta::Flags::DELTA_UNIT));
        Self { schema: shape.schema(), bytes: message.0, taken, is_delta }
    }
}

/// A frame of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recorded<'a> {
    pub(crate) meta: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl<'a> Recorded<'a> {
    /// `None` if the bytes are no message of a recording of ours.
    pub(crate) fn read(schema: Schema, message: &'a [u8]) -> Option<Self> {
        let (mut meta, mut payload, mut seq) = (None, None, None);
        for field in fields(message) {
            match field? {
                (META, Value::Bytes(bytes)) => meta = Some(bytes),
                (SEQ, Value::Uint(number)) => seq = Some(number),
                (number, Value::Bytes(bytes)) if number == schema.data() => payload = Some(bytes),
                _ => {}
            }
        }
        seq?;
        // Programs that write a message anew leave out fields that are empty.
        Some(Self { meta: meta.unwrap_or_default(), payload: payload.unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_back_as_it_was() {
        for (meta, payload) in [(&b"no block"[..], &b"payload"[..]), (b"", b"")] {
            let about = About { topic: "t", seq: 7, lost_before: 1, published_ns: 5, meta };
            let head = Head::new(&about, payload.len(), |time| time + 10);
            assert_eq!((head.schema, head.taken, head.is_delta), (Schema::Frame, 15, false));
            let message = [&head.bytes[..], payload].concat();
            assert_eq!(Recorded::read(head.schema, &message), Some(Recorded { meta, payload }));
            assert_eq!(Recorded::read(head.schema, &message[..head.bytes.len() - 1]), None);
        }
        assert_eq!(Recorded::read(Schema::CompressedVideo, b"\x1a\x03abc"), None, "somebody else's");
    }
}
