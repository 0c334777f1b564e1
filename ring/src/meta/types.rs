//! The small values a metadata block is made of.

use super::flags::Flags;
use super::setters::setters;

/// What a frame's payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Kind {
    /// Bytes of no particular kind; the caps text may say more.
    #[default]
    Bytes,
    /// One uncompressed video frame; [`Meta::video`](field@super::Meta::video) says how it lies in memory.
    Video,
    /// A block of raw audio; [`Meta::audio`](field@super::Meta::audio) says how it lies in memory.
    Audio,
    /// A packet of encoded media (H.264, Opus, RTP, …), which the caps text describes.
    Packet,
    /// A kind this version has no name for. 4 to 0x7fff belong to later versions, 0x8000 and above to applications.
    Other(u16),
}

impl Kind {
    /// The number in the block.
    #[must_use]
    pub const fn to_raw(self) -> u16 {
        match self {
            Self::Bytes => 0,
            Self::Video => 1,
            Self::Audio => 2,
            Self::Packet => 3,
            Self::Other(raw) => raw,
        }
    }

    /// The kind of a number in a block; any number is legal.
    #[must_use]
    pub const fn from_raw(raw: u16) -> Self {
        match raw {
            0 => Self::Bytes,
            1 => Self::Video,
            2 => Self::Audio,
            3 => Self::Packet,
            raw => Self::Other(raw),
        }
    }

    /// The kind of frames that these caps describe, and no layout: packets of encoded media, or bytes. (Raw video and audio need
    /// a layout, and are bytes without one.)
    ///
    /// ```
    /// use shmflow::meta::Kind;
    ///
    /// assert_eq!(Kind::of_caps("video/x-h264, stream-format=byte-stream"), Kind::Packet);
    /// assert_eq!(Kind::of_caps("application/x-robot-state"), Kind::Bytes);
    /// ```
    #[must_use]
    pub fn of_caps(caps: &str) -> Self {
        let end = caps.find([',', ';', '(']).unwrap_or(caps.len());
        let media = caps.get(..end).unwrap_or_default().trim();
        let encoded = ENCODED.iter().any(|start| media.starts_with(start));
        if encoded && media != "video/x-raw" && media != "audio/x-raw" { Self::Packet } else { Self::Bytes }
    }
}

/// What media types of encoded media begin with.
const ENCODED: [&str; 10] = [
    "video/",
    "audio/",
    "image/",
    "text/",
    "subtitle/",
    "subpicture/",
    "closedcaption/",
    "application/x-rtp",
    "application/x-srtp",
    "application/x-rtcp",
];

/// The clock that [`Times::capture_ns`](field@Times::capture_ns) was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Clock {
    /// Not said.
    #[default]
    Unknown,
    /// `CLOCK_MONOTONIC` of this machine (of this boot), as this process reads it. A block has the machine's own, without the
    /// shift of a time namespace: [`Times`] are translated when they are written and read, so that producer and consumer may be in
    /// different ones.
    Monotonic,
    /// `CLOCK_REALTIME`: nanoseconds since 1970, UTC.
    Realtime,
    /// `CLOCK_TAI`: nanoseconds since 1970, without leap seconds, as PTP has it.
    Tai,
    /// A clock this version has no name for. 4 to 0x7fff belong to later versions, 0x8000 and above to applications.
    Other(u16),
}

impl Clock {
    /// The number in the block.
    #[must_use]
    pub const fn to_raw(self) -> u16 {
        match self {
            Self::Unknown => 0,
            Self::Monotonic => 1,
            Self::Realtime => 2,
            Self::Tai => 3,
            Self::Other(raw) => raw,
        }
    }

    /// The clock of a number in a block; any number is legal.
    #[must_use]
    pub const fn from_raw(raw: u16) -> Self {
        match raw {
            0 => Self::Unknown,
            1 => Self::Monotonic,
            2 => Self::Realtime,
            3 => Self::Tai,
            raw => Self::Other(raw),
        }
    }
}

/// When a frame was taken and is to be shown. All values are nanoseconds; `None` is "not known".
///
/// ```
/// use shmflow::meta::{Clock, Times};
///
/// let times = Times::default().capture_ns(1_000_000).clock(Clock::Monotonic).pts(Some(0)).dts(None);
/// assert_eq!((times.capture_ns, times.pts, times.dts), (Some(1_000_000), Some(0), None));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Times {
    /// When the frame was captured, on [`clock`](field@Self::clock), without any latency added.
    pub capture_ns: Option<u64>,
    /// The clock of `capture_ns`.
    pub clock: Clock,
    /// Presentation time in the producer's own stream.
    pub pts: Option<u64>,
    /// Decoding time in the producer's own stream.
    pub dts: Option<u64>,
    /// How long the frame lasts.
    pub duration: Option<u64>,
    /// Latency of the producer's pipeline: how long after capture a frame is published at the latest.
    pub latency_ns: Option<u64>,
}

impl Times {
    setters! {
        capture_ns: Option<u64>,
        clock: Clock,
        pts: Option<u64>,
        dts: Option<u64>,
        duration: Option<u64>,
        latency_ns: Option<u64>,
    }
}

/// The part of a block that changes with every frame of a stream, while caps and layout stay:
/// see [`EncodedMeta`](super::EncodedMeta).
///
/// ```
/// use shmflow::meta::{Flags, PerFrame, Times};
///
/// let frame = PerFrame::default().flags(Flags::LIVE).times(Times::default().pts(40_000_000)).offset(7);
/// assert_eq!((frame.times.pts, frame.offset, frame.offset_end), (Some(40_000_000), Some(7), None));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct PerFrame {
    /// What is special about the frame.
    pub flags: Flags,
    /// The frame's times.
    pub times: Times,
    /// First unit (frame number, byte, sample: as the kind has it) of the frame in the producer's stream.
    pub offset: Option<u64>,
    /// Unit after the last one.
    pub offset_end: Option<u64>,
}

impl PerFrame {
    setters! {
        flags: Flags,
        times: Times,
        offset: Option<u64>,
        offset_end: Option<u64>,
    }
}

/// The visible part of a video frame, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Crop {
    /// Pixels left of the visible part.
    pub x: u32,
    /// Pixels above the visible part.
    pub y: u32,
    /// Width of the visible part.
    pub width: u32,
    /// Height of the visible part.
    pub height: u32,
}

impl Crop {
    /// Whether the crop is not empty and is within a frame of `width` × `height` pixels.
    ///
    /// ```
    /// use shmflow::meta::Crop;
    ///
    /// let crop = Crop { x: 8, y: 0, width: 632, height: 480 };
    /// assert!(crop.within(640, 480));
    /// assert!(!crop.within(632, 480));
    /// ```
    #[must_use]
    pub fn within(&self, width: u32, height: u32) -> bool {
        let inside = |start: u32, size: u32, whole: u32| {
            size > 0 && start.checked_add(size).is_some_and(|end| end <= whole)
        };
        inside(self.x, self.width, width) && inside(self.y, self.height, height)
    }

    /// Which part of a frame is its picture, by the rule that `docs/metadata.md` has under *What is visible*.
    ///
    /// `layout` is the size that the frame's video layout has, `crop` what its crop entry says, and `caps` the size that
    /// its caps text says, `None` if it has none; with `interlace-mode=alternate`, where a frame is one field, with half
    /// of the rows, rounded up. The result is within the layout.
    ///
    /// `None` if the layout is smaller than the caps: one of them is wrong, and it is not known which.
    ///
    /// ```
    /// use shmflow::meta::Crop;
    ///
    /// let crop = Crop { x: 0, y: 4, width: 1920, height: 1080 };
    /// assert_eq!(Crop::visible((1920, 1088), Some(crop), Some((1920, 1080))), Some(crop));
    /// assert_eq!(Crop::visible((1920, 1080), Some(crop), Some((1920, 1088))), None);
    /// ```
    #[must_use]
    pub fn visible(layout: (u32, u32), crop: Option<Self>, caps: Option<(u32, u32)>) -> Option<Self> {
        let (width, height) = caps.unwrap_or(layout);
        let said = crop.filter(|crop| {
            caps.is_some() && (crop.width, crop.height) == (width, height) && crop.within(layout.0, layout.1)
        });
        let corner = Self { x: 0, y: 0, width, height };
        Some(said.unwrap_or(corner)).filter(|part| part.within(layout.0, layout.1))
    }
}

/// An entry that has no field of its own in [`Meta`](super::Meta): private data, or something of a later version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Extension {
    /// Type number: 0x8000 and above are for applications, those below are listed in `docs/metadata.md`.
    pub ty: u16,
    /// The entry's value, without padding.
    pub data: Vec<u8>,
}

impl Extension {
    /// An entry of type `ty`; see [`Meta::extension`](super::Meta::extension).
    #[must_use]
    pub fn new(ty: u16, data: impl Into<Vec<u8>>) -> Self {
        Self { ty, data: data.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_visible_is_what_the_caps_say() {
        let crop = |x, y, width, height| Crop { x, y, width, height };
        let all = crop(0, 0, 64, 48);
        for (said, caps, visible) in [
            // A crop of the caps' size, within the layout.
            (Some(crop(8, 4, 40, 30)), Some((40, 30)), Some(crop(8, 4, 40, 30))),
            (Some(crop(24, 18, 40, 30)), Some((40, 30)), Some(crop(24, 18, 40, 30))),
            (Some(crop(0, 18, 64, 30)), Some((64, 30)), Some(crop(0, 18, 64, 30))),
            // One that is not: the upper left part.
            (None, Some((40, 30)), Some(crop(0, 0, 40, 30))),
            (Some(crop(8, 4, 39, 30)), Some((40, 30)), Some(crop(0, 0, 40, 30))),
            (Some(crop(25, 18, 40, 30)), Some((40, 30)), Some(crop(0, 0, 40, 30))),
            (Some(crop(u32::MAX, 0, 40, 30)), Some((40, 30)), Some(crop(0, 0, 40, 30))),
            (None, Some((64, 47)), Some(crop(0, 0, 64, 47))),
            // Caps of the layout's size: everything, whatever the crop says.
            (None, Some((64, 48)), Some(all)),
            (Some(all), Some((64, 48)), Some(all)),
            (Some(crop(8, 4, 40, 30)), Some((64, 48)), Some(all)),
            (Some(crop(8, 4, 64, 48)), Some((64, 48)), Some(all)),
            // Nothing said of a size: the layout.
            (None, None, Some(all)),
            (Some(crop(8, 4, 40, 30)), None, Some(all)),
            // More than there is, and nothing at all.
            (None, Some((65, 48)), None),
            (None, Some((40, 49)), None),
            (Some(crop(0, 0, 65, 48)), Some((65, 48)), None),
            (None, Some((0, 30)), None),
            (Some(crop(8, 4, 0, 30)), Some((0, 30)), None),
        ] {
            assert_eq!(Crop::visible((64, 48), said, caps), visible, "{said:?} {caps:?}");
        }
    }
}
