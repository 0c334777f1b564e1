//! What crosses the network, byte by byte. Numbers are little-endian.
//!
//! A frame is a Zenoh message: its payload is the frame's, and its attachment a [`FrameHeader`] and the frame's metadata block.
//! Nothing that comes is trusted: every length is checked, and what does not fit is an error.

use std::fmt;

/// Bytes of a frame's header.
pub const FRAME_HEADER: usize = 72;
/// Bytes of a request.
pub const CONTROL: usize = 48;
/// Bytes of what a clock says.
pub const CLOCK: usize = 16;

const FRAME_MAGIC: [u8; 4] = *b"SFB1";
const CONTROL_MAGIC: [u8; 4] = *b"SFC1";
/// More metadata no frame of a ring has.
const MAX_META: usize = 16 << 20;

/// Why bytes are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(&'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

/// What a message of a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A frame.
    Frame,
    /// The stream has ended, for now.
    End,
    /// The topic was removed.
    Removed,
}

/// In front of each message of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What it is.
    pub what: What,
    /// It is to be acknowledged, and comes again until it is.
    pub lossless: bool,
    /// Frames are left out on purpose, to keep to a rate.
    pub thinned: bool,
    /// No earlier message of this turn will be sent again.
    pub base: bool,
    /// Which topic of this name, among those that there were: two of them never have the same.
    pub stream: u64,
    /// Which sender's turn at it.
    pub turn: u64,
    /// Number of the message in this turn, from 1.
    pub index: u64,
    /// The frame's sequence number on the topic that it comes from; of an end, that of the frame before it.
    pub seq: u64,
    /// Frames of this turn that were left out on purpose so far.
    pub omitted: u64,
    /// When it was captured, on `CLOCK_MONOTONIC` of the sender, if its metadata say it by that clock.
    pub capture_ns: Option<u64>,
    /// When it was published, on the same clock.
    pub published_ns: u64,
}

impl FrameHeader {
    /// The attachment of a message with this metadata block.
    #[must_use]
    pub fn encode(&self, meta: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FRAME_HEADER + meta.len());
        bytes.extend(FRAME_MAGIC);
        bytes.push(match self.what {
            What::Frame => 0,
            What::End => 1,
            What::Removed => 2,
        });
        let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        let capture = flag(self.capture_ns.is_some(), 4);
        bytes.push(flag(self.lossless, 1) | flag(self.thinned, 2) | capture | flag(self.base, 8));
        bytes.extend([0; 2]);
        for number in [
            self.stream,
            self.turn,
            self.index,
            self.seq,
            self.omitted,
            self.capture_ns.unwrap_or(0),
            self.published_ns,
        ] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend((meta.len() as u64).to_le_bytes());
        bytes.extend(meta);
        bytes
    }

    /// Header and metadata block of an attachment.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let Some((header, meta)) = bytes.split_first_chunk::<FRAME_HEADER>() else {
            return Err(Malformed("its header is cut off"));
        };
        let [m0, m1, m2, m3, what, flags, ..] = *header;
        if [m0, m1, m2, m3] != FRAME_MAGIC {
            return Err(Malformed("it is no frame of this version of shmflow-bridge"));
        }
        let what = match what {
            0 => What::Frame,
            1 => What::End,
            2 => What::Removed,
            _ => return Err(Malformed("it is of a kind that this version does not know")),
        };
        let word = |at: usize| u64_at(header, 8 + 8 * at);
        if word(7) != meta.len() as u64 {
            return Err(Malformed("its metadata are not as long as its header says"));
        }
        if meta.len() > MAX_META {
            return Err(Malformed("it has more metadata than a frame may have"));
        }
        let (index, seq) = (word(2), word(3));
        if index == 0 || what == What::Frame && seq == 0 {
            return Err(Malformed("it has no number"));
        }
        let header = Self {
            what,
            lossless: flags & 1 != 0,
            thinned: flags & 2 != 0,
            base: flags & 8 != 0,
            stream: word(0),
            turn: word(1),
            index,
            seq,
            omitted: word(4),
            capture_ns: (flags & 4 != 0).then_some(word(5)),
            published_ns: word(6),
        };
        Ok((header, meta))
    }
}

/// What the bridge that shows a topic wants of the one that sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// It reads the topic from now on.
    Start,
    /// It reads it no more.
    Stop,
    /// A consumer needs a key frame.
    KeyFrame,
    /// Messages of a turn up to this one have reached the topic.
    Ack {
        /// The turn.
        turn: u64,
        /// The number of the message.
        index: u64,
    },
}

/// A request, and from whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    /// Zenoh id of the bridge that asks.
    pub reader: u128,
    /// What it asks for.
    pub request: Request,
}

impl Control {
    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(CONTROL);
        bytes.extend(CONTROL_MAGIC);
        let (what, turn, index) = match self.request {
            Request::Start => (0, 0, 0),
            Request::Stop => (1, 0, 0),
            Request::KeyFrame => (2, 0, 0),
            Request::Ack { turn, index } => (3, turn, index),
        };
        bytes.push(what);
        bytes.extend([0; 11]);
        bytes.extend(self.reader.to_le_bytes());
        bytes.extend(turn.to_le_bytes());
        bytes.extend(index.to_le_bytes());
        bytes
    }

    /// From bytes.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let bytes: &[u8; CONTROL] =
            bytes.try_into().map_err(|_| Malformed("a request does not have its length"))?;
        let [m0, m1, m2, m3, what, ..] = *bytes;
        if [m0, m1, m2, m3] != CONTROL_MAGIC {
            return Err(Malformed("it is no request of this version of shmflow-bridge"));
        }
        let request = match what {
            0 => Request::Start,
            1 => Request::Stop,
            2 => Request::KeyFrame,
            3 => Request::Ack { turn: u64_at(bytes, 32), index: u64_at(bytes, 40) },
            _ => return Err(Malformed("it is a request that this version does not know")),
        };
        let reader = u128::from(u64_at(bytes, 16)) | u128::from(u64_at(bytes, 24)) << 64;
        Ok(Self { reader, request })
    }
}

/// What a bridge's clocks say at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// `CLOCK_MONOTONIC`, in nanoseconds.
    pub monotonic_ns: u64,
    /// `CLOCK_REALTIME`, in nanoseconds.
    pub realtime_ns: u64,
}

impl ClockReading {
    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [self.monotonic_ns.to_le_bytes(), self.realtime_ns.to_le_bytes()].concat()
    }

    /// From bytes.
    ///
    /// # Errors
    /// If there are not as many as there should be.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let bytes: &[u8; CLOCK] =
            bytes.try_into().map_err(|_| Malformed("a clock's answer does not have its length"))?;
        Ok(Self { monotonic_ns: u64_at(bytes, 0), realtime_ns: u64_at(bytes, 8) })
    }
}

/// Zero beyond the end: callers have checked the length.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u64::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> FrameHeader {
        FrameHeader {
            what: What::Frame,
            lossless: true,
            thinned: false,
            base: true,
            stream: 1,
            turn: 2,
            index: 3,
            seq: 4,
            omitted: 5,
            capture_ns: Some(6),
            published_ns: 7,
        }
    }

    #[test]
    fn what_is_cut_off_or_too_long_is_refused() {
        let bytes = header().encode(b"metadata");
        assert_eq!(FrameHeader::decode(&bytes), Ok((header(), &b"metadata"[..])));
        for len in 0..bytes.len() {
            assert!(FrameHeader::decode(&bytes[..len]).is_err(), "{len}");
        }
        assert!(FrameHeader::decode(&[&bytes[..], b"x"].concat()).is_err());
        let request = Control { reader: u128::MAX - 1, request: Request::Ack { turn: 8, index: 9 } };
        assert_eq!(request.encode().len(), CONTROL);
        for len in 0..CONTROL {
            assert!(Control::decode(&request.encode()[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn another_version_is_named_as_such() {
        let mut bytes = header().encode(b"");
        bytes[3] = b'2';
        let error = FrameHeader::decode(&bytes).unwrap_err().to_string();
        assert!(error.contains("version"), "{error}");
    }

    proptest! {
        #[test]
        fn random_bytes_are_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = FrameHeader::decode(&bytes);
            let _ = Control::decode(&bytes);
            let _ = ClockReading::decode(&bytes);
        }

        #[test]
        fn flipped_bits_are_a_value_or_an_error(at in 0usize..80, bit in 0u8..8) {
            let mut bytes = header().encode(b"metadata");
            bytes[at] ^= 1 << bit;
            if let Ok((header, meta)) = FrameHeader::decode(&bytes) {
                prop_assert_eq!(meta.len(), 8);
                prop_assert!(header.index != 0 && header.seq != 0);
            }
        }

        #[test]
        fn requests_come_as_they_were_sent(reader: u128, turn: u64, index: u64) {
            for request in [Request::Start, Request::Stop, Request::KeyFrame, Request::Ack { turn, index }] {
                let control = Control { reader, request };
                prop_assert_eq!(Control::decode(&control.encode()), Ok(control));
            }
        }

        #[test]
        fn clocks_come_as_they_were_sent(monotonic_ns: u64, realtime_ns: u64) {
            let reading = ClockReading { monotonic_ns, realtime_ns };
            prop_assert_eq!(ClockReading::decode(&reading.encode()), Ok(reading));
        }
    }
}
