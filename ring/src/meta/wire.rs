//! Where each field of a block lies. `docs/metadata.md` says the same in tables; a test holds the two together.

use super::error::MetaError;
use super::types::{Clock, Kind, PerFrame, Times};
use crate::sys::machine_time::{from_machine, to_machine};

/// The first four bytes of every block: `SFMD`.
pub const MAGIC: [u8; 4] = *b"SFMD";
/// Changes when old readers would misread a block.
pub const VERSION_MAJOR: u16 = 1;
/// Changes when something was added that old readers may skip.
pub const VERSION_MINOR: u16 = 0;
/// Bytes of the fixed header of this version; entries follow.
pub const HEADER_LEN: usize = 128;
/// Bytes before an entry's value.
pub const ENTRY_HEADER_LEN: usize = 8;
/// Headers and entries start at multiples of this many bytes.
pub const ALIGN: usize = 8;
/// Most entries a block may have, unknown ones and padding included.
pub const MAX_ENTRIES: usize = 4096;

/// Most bytes that a block may have: the ring has room for no more.
pub const MAX_LEN: usize = 16 << 20;

/// Entry that only fills space; readers skip it.
pub const ENTRY_PADDING: u16 = 0;
/// Entry with the caps text.
pub const ENTRY_CAPS: u16 = 1;
/// Entry with the video layout.
pub const ENTRY_VIDEO: u16 = 2;
/// Entry with the crop rectangle.
pub const ENTRY_CROP: u16 = 3;
/// Entry with the audio layout.
pub const ENTRY_AUDIO: u16 = 4;
/// First entry type for applications' own data.
pub const ENTRY_PRIVATE: u16 = 0x8000;

// The fixed header. Every number is little-endian.
pub(super) const AT_MAJOR: usize = 4;
pub(super) const AT_MINOR: usize = 6;
pub(super) const AT_TOTAL_LEN: usize = 8;
pub(super) const AT_HEADER_LEN: usize = 12;
pub(super) const AT_KIND: usize = 14;
pub(super) const AT_FLAGS: usize = 16;
pub(super) const AT_PRESENT: usize = 20;
pub(super) const AT_CLOCK: usize = 24;
pub(super) const AT_CAPTURE: usize = 32;
pub(super) const AT_PTS: usize = 40;
pub(super) const AT_DTS: usize = 48;
pub(super) const AT_DURATION: usize = 56;
pub(super) const AT_LATENCY: usize = 64;
pub(super) const AT_OFFSET: usize = 72;
pub(super) const AT_OFFSET_END: usize = 80;
/// From here to the end of the header: zero when written, ignored when read.
const AT_RESERVED: usize = 88;

const _: () = assert!(AT_RESERVED <= HEADER_LEN && HEADER_LEN.is_multiple_of(ALIGN));
const _: () = assert!(HEADER_LEN <= u16::MAX as usize);

// Which of the optional numbers are there.
pub(super) const HAS_CAPTURE: u32 = 1 << 0;
pub(super) const HAS_PTS: u32 = 1 << 1;
pub(super) const HAS_DTS: u32 = 1 << 2;
pub(super) const HAS_DURATION: u32 = 1 << 3;
pub(super) const HAS_LATENCY: u32 = 1 << 4;
pub(super) const HAS_OFFSET: u32 = 1 << 5;
pub(super) const HAS_OFFSET_END: u32 = 1 << 6;

/// Bytes that a format's name has at most.
pub(super) const FORMAT_NAME_LEN: usize = 24;

// The value of a video entry.
pub(super) const VIDEO_LEN: usize = 112;
pub(super) const VIDEO_AT_WIDTH: usize = 0;
pub(super) const VIDEO_AT_HEIGHT: usize = 4;
pub(super) const VIDEO_AT_FPS_N: usize = 8;
pub(super) const VIDEO_AT_FPS_D: usize = 12;
pub(super) const VIDEO_AT_PLANES: usize = 16;
pub(super) const VIDEO_AT_FORMAT: usize = 24;
pub(super) const VIDEO_AT_PLANE: usize = 48;
pub(super) const VIDEO_PLANE_LEN: usize = 16;
pub(super) const VIDEO_MAX_PLANES: usize = 4;

const _: () = assert!(VIDEO_AT_PLANE + VIDEO_MAX_PLANES * VIDEO_PLANE_LEN == VIDEO_LEN);
const _: () = assert!(VIDEO_AT_FORMAT + FORMAT_NAME_LEN == VIDEO_AT_PLANE);

// The value of an audio entry; one offset for each channel follows if it is planar.
pub(super) const AUDIO_AT_RATE: usize = 0;
pub(super) const AUDIO_AT_CHANNELS: usize = 4;
pub(super) const AUDIO_AT_MASK: usize = 8;
pub(super) const AUDIO_AT_SAMPLES: usize = 16;
pub(super) const AUDIO_AT_LAYOUT: usize = 24;
pub(super) const AUDIO_AT_FORMAT: usize = 32;
pub(super) const AUDIO_AT_PLANE: usize = 56;
pub(super) const AUDIO_PLANE_LEN: usize = 8;
pub(super) const AUDIO_MAX_CHANNELS: u32 = 1024;

const _: () = assert!(AUDIO_AT_FORMAT + FORMAT_NAME_LEN == AUDIO_AT_PLANE);

// The value of a crop entry.
pub(super) const CROP_LEN: usize = 16;

/// The `N` bytes at `at`; `None` beyond the end.
#[inline]
pub(super) fn get<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

#[inline]
pub(super) fn get_u16(bytes: &[u8], at: usize) -> Option<u16> {
    get(bytes, at).map(u16::from_le_bytes)
}

#[inline]
pub(super) fn get_u32(bytes: &[u8], at: usize) -> Option<u32> {
    get(bytes, at).map(u32::from_le_bytes)
}

#[inline]
pub(super) fn get_u64(bytes: &[u8], at: usize) -> Option<u64> {
    get(bytes, at).map(u64::from_le_bytes)
}

/// Writes `value` at `at`. The callers' offsets are constants within the buffer (asserted above), so nothing is ever
/// left out.
#[inline]
pub(super) fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    let target = bytes.get_mut(at..).and_then(|tail| tail.first_chunk_mut::<N>());
    debug_assert!(target.is_some(), "{N} bytes at {at} lie outside the buffer");
    if let Some(target) = target {
        *target = value;
    }
}

/// The bytes an entry with a value of `len` bytes takes, padding included.
#[inline]
pub(super) fn entry_len(len: usize) -> Option<usize> {
    len.checked_next_multiple_of(ALIGN)?.checked_add(ENTRY_HEADER_LEN)
}

/// Writes the whole fixed header.
#[inline]
pub(super) fn put_header(header: &mut [u8; HEADER_LEN], total_len: u32, kind: Kind, frame: &PerFrame) {
    *header = [0; HEADER_LEN];
    put(header, 0, MAGIC);
    put(header, AT_MAJOR, VERSION_MAJOR.to_le_bytes());
    put(header, AT_MINOR, VERSION_MINOR.to_le_bytes());
    put(header, AT_TOTAL_LEN, total_len.to_le_bytes());
    put(header, AT_HEADER_LEN, (HEADER_LEN as u16).to_le_bytes());
    put(header, AT_KIND, kind.to_raw().to_le_bytes());
    put_per_frame(header, frame);
}

/// Writes what changes from frame to frame. In a block, times of `CLOCK_MONOTONIC` are the machine's.
#[inline]
pub(super) fn put_per_frame(header: &mut [u8; HEADER_LEN], frame: &PerFrame) {
    let mut present = 0;
    let mut number = |at, bit, value: Option<u64>| {
        if value.is_some() {
            present |= bit;
        }
        put(header, at, value.unwrap_or(0).to_le_bytes());
    };
    let times = &frame.times;
    let of_machine = |ns| if times.clock == Clock::Monotonic { to_machine(ns) } else { ns };
    number(AT_CAPTURE, HAS_CAPTURE, times.capture_ns.map(of_machine));
    number(AT_PTS, HAS_PTS, times.pts);
    number(AT_DTS, HAS_DTS, times.dts);
    number(AT_DURATION, HAS_DURATION, times.duration);
    number(AT_LATENCY, HAS_LATENCY, times.latency_ns);
    number(AT_OFFSET, HAS_OFFSET, frame.offset);
    number(AT_OFFSET_END, HAS_OFFSET_END, frame.offset_end);
    put(header, AT_PRESENT, present.to_le_bytes());
    put(header, AT_CLOCK, times.clock.to_raw().to_le_bytes());
    put(header, AT_FLAGS, frame.flags.bits().to_le_bytes());
}

/// Reads what [`put_per_frame`] wrote.
#[inline]
pub(super) fn get_per_frame(header: &[u8; HEADER_LEN]) -> PerFrame {
    let present = get_u32(header, AT_PRESENT).unwrap_or(0);
    let number = |at, bit| if present & bit != 0 { get_u64(header, at) } else { None };
    let clock = Clock::from_raw(get_u16(header, AT_CLOCK).unwrap_or(0));
    let of_process = |ns| if clock == Clock::Monotonic { from_machine(ns) } else { ns };
    PerFrame {
        flags: super::Flags::from_bits(get_u32(header, AT_FLAGS).unwrap_or(0)),
        times: Times {
            capture_ns: number(AT_CAPTURE, HAS_CAPTURE).map(of_process),
            clock,
            pts: number(AT_PTS, HAS_PTS),
            dts: number(AT_DTS, HAS_DTS),
            duration: number(AT_DURATION, HAS_DURATION),
            latency_ns: number(AT_LATENCY, HAS_LATENCY),
        },
        offset: number(AT_OFFSET, HAS_OFFSET),
        offset_end: number(AT_OFFSET_END, HAS_OFFSET_END),
    }
}

/// One entry as it is in the block.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawEntry<'a> {
    pub(super) ty: u16,
    pub(super) at: usize,
    pub(super) value: &'a [u8],
}

/// The entries of a block, in order. Ends at the first error, and after [`MAX_ENTRIES`].
#[derive(Debug, Clone)]
pub(super) struct RawEntries<'a> {
    bytes: &'a [u8],
    at: usize,
    count: usize,
}

impl<'a> RawEntries<'a> {
    pub(super) fn new(bytes: &'a [u8], header_len: usize) -> Self {
        Self { bytes, at: header_len, count: 0 }
    }

    /// Where the next entry begins.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    fn read(&self) -> Result<(RawEntry<'a>, usize), MetaError> {
        let at = self.at;
        let cut_off = MetaError::BadEntry { ty: 0, at, why: "its header is cut off" };
        let head =
            self.bytes.get(at..).and_then(|tail| tail.first_chunk::<ENTRY_HEADER_LEN>()).ok_or(cut_off)?;
        let ty = get_u16(head, 0).unwrap_or(0);
        let too_long = || MetaError::BadEntry { ty, at, why: "it is longer than the block" };
        let len = get_u32(head, 4).and_then(|len| usize::try_from(len).ok()).ok_or_else(too_long)?;
        let next = entry_len(len).and_then(|len| at.checked_add(len)).ok_or_else(too_long)?;
        let start = at.checked_add(ENTRY_HEADER_LEN).ok_or_else(too_long)?;
        let end = start.checked_add(len).ok_or_else(too_long)?;
        let value = self.bytes.get(start..end).ok_or_else(too_long)?;
        Ok((RawEntry { ty, at, value }, next))
    }
}

impl<'a> Iterator for RawEntries<'a> {
    type Item = Result<RawEntry<'a>, MetaError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        if self.count >= MAX_ENTRIES {
            self.at = usize::MAX;
            return Some(Err(MetaError::TooManyEntries));
        }
        self.count = self.count.saturating_add(1);
        match self.read() {
            Ok((entry, next)) => {
                self.at = next;
                Some(Ok(entry))
            }
            Err(error) => {
                self.at = usize::MAX;
                Some(Err(error))
            }
        }
    }
}
