//! What the producer writes into a frame and the consumer finds there.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::Result;

/// Bytes at the start of a frame that carry the measurement.
pub(crate) const HEADER: usize = 32;
const MAGIC: u64 = 0x7368_6d66_6c6f_7763;
/// Start code, SEI, user data, its size, and the name of whose data it is; then two digits for each byte of the header,
/// none of which a decoder could take for a start code.
const SEI: [u8; 23] = *b"\0\0\0\x01\x06\x05\x50shmflow-compare\xff";
/// Bytes of the whole message.
pub(crate) const SEI_BYTES: usize = SEI.len() + 2 * HEADER + 1;

/// What a frame counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Before the measurement: everybody connects, every buffer is touched once
    WarmUp,
    /// Counts
    Measured,
    /// After it: tells the consumer to stop counting
    Over,
}

/// The first bytes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Number of the frame, from 0, without gaps
    pub(crate) number: u64,
    /// CLOCK_MONOTONIC just before the push
    pub(crate) pushed_ns: u64,
    pub(crate) phase: Phase,
}

impl Header {
    /// Writes itself to the beginning of a frame.
    pub(crate) fn write(self, frame: &mut [u8]) {
        for (byte, value) in frame.iter_mut().zip(self.bytes()) {
            *byte = value;
        }
    }

    fn bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let phase: u64 = match self.phase {
            Phase::WarmUp => 0,
            Phase::Measured => 1,
            Phase::Over => 2,
        };
        for (field, value) in bytes.chunks_exact_mut(8).zip([MAGIC, self.number, self.pushed_ns, phase]) {
            field.copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    /// Writes itself as a message of H.264 that decoders skip (SEI, user data).
    pub(crate) fn write_sei(self, packet: &mut [u8]) {
        let digits = self.bytes().into_iter().flat_map(|byte| [0x40 | (byte >> 4), 0x40 | (byte & 15)]);
        for (byte, value) in packet.iter_mut().zip(SEI.into_iter().chain(digits).chain([0x80])) {
            *byte = value;
        }
    }

    /// None if this is not a frame of this program.
    pub(crate) fn read(frame: &[u8]) -> Option<Self> {
        let Some(digits) = frame.strip_prefix(&SEI) else {
            return Self::parse(frame);
        };
        let mut bytes = [0; HEADER];
        for (byte, pair) in bytes.iter_mut().zip(digits.get(..2 * HEADER)?.chunks_exact(2)) {
            let [high, low] = pair else { return None };
            *byte = (high << 4) | (low & 15);
        }
        Self::parse(&bytes)
    }

    fn parse(frame: &[u8]) -> Option<Self> {
        let mut fields = frame.get(..HEADER)?.chunks_exact(8).map(|field| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(field);
            u64::from_le_bytes(bytes)
        });
        if fields.next()? != MAGIC {
            return None;
        }
        let (number, pushed_ns) = (fields.next()?, fields.next()?);
        let phase = match fields.next()? {
            0 => Phase::WarmUp,
            1 => Phase::Measured,
            2 => Phase::Over,
            _ => return None,
        };
        Some(Self { number, pushed_ns, phase })
    }
}

/// Writes every byte, as an element that makes a picture does.
pub(crate) fn fill(frame: &mut [u8], number: u64) {
    frame.fill((number % 251) as u8);
}

/// Reads every byte; the sum keeps the compiler from leaving it out.
pub(crate) fn sum(frame: &[u8]) -> u64 {
    frame
        .chunks_exact(8)
        .map(|word| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(word);
            u64::from_le_bytes(bytes)
        })
        .fold(0, u64::wrapping_add)
}

/// CLOCK_MONOTONIC, the clock that all processes of the machine share.
pub(crate) fn now() -> Result<Duration> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_written() {
        for phase in [Phase::WarmUp, Phase::Measured, Phase::Over] {
            let header = Header { number: 7, pushed_ns: 1 << 40, phase };
            let mut frame = [0; 64];
            header.write(&mut frame);
            assert_eq!(Header::read(&frame), Some(header));
        }
    }

    #[test]
    fn a_header_in_a_packet_is_read_as_it_was_written_and_looks_like_no_start_code() {
        let header = Header { number: 0, pushed_ns: 1 << 40, phase: Phase::Measured };
        let mut packet = vec![9; 200];
        header.write_sei(&mut packet);
        assert_eq!(Header::read(&packet), Some(header));
        assert!(packet.windows(3).skip(4).all(|bytes| bytes != [0, 0, 1]));
        assert_eq!(packet.get(SEI_BYTES), Some(&9));
        assert_eq!(Header::read(packet.get(..60).unwrap()), None);
    }

    #[test]
    fn strange_frames_have_no_header() {
        assert_eq!(Header::read(&[]), None);
        assert_eq!(Header::read(&[0; HEADER]), None);
        let mut frame = [0; HEADER];
        Header { number: 0, pushed_ns: 0, phase: Phase::Over }.write(&mut frame);
        frame[24] = 3;
        assert_eq!(Header::read(&frame), None);
    }

    #[test]
    fn reading_a_filled_frame_sees_every_word() {
        let mut frame = [0; 32];
        fill(&mut frame, 1);
        assert_eq!(sum(&frame), 4 * 0x0101_0101_0101_0101);
    }
}
