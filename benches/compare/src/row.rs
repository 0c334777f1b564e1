//! What is measured: the rows of the tables.

use serde::{Deserialize, Serialize};

use crate::cli::{Memory, Touch};
use crate::due;

/// What flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Video {
        format: Format,
        width: u32,
        height: u32,
    },
    /// 1080p60 H.264, encoded once before the run
    Packets,
    /// 48 kHz, two channels of 16 bits, 10 ms a buffer
    Audio,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Bgrx,
    Nv12,
    I420,
}

/// Which run measures a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Set {
    Quick,
    Default,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) stream: Stream,
    /// Frames, packets or buffers per second; 0: as fast as it goes
    pub(crate) fps: u32,
    pub(crate) touch: Touch,
    pub(crate) memory: Memory,
    pub(crate) consumers: u32,
    /// The most that a frame is pushed before or after its time; evenly distributed
    pub(crate) jitter_us: u32,
    /// The smallest run that has it
    pub(crate) set: Set,
}

/// Many consumers.
pub(crate) const MANY: u32 = 16;

const BGRX: Stream = Stream::Video { format: Format::Bgrx, width: 1920, height: 1080 };
const NV12: Stream = Stream::Video { format: Format::Nv12, width: 1920, height: 1080 };
const VGA: Stream = Stream::Video { format: Format::I420, width: 640, height: 480 };
const UHD: Stream = Stream::Video { format: Format::Bgrx, width: 3840, height: 2160 };

pub(crate) const LITTLE: Row = Row {
    name: "little",
    title: "60 fps, 1080p BGRx, pool memory, little touched",
    stream: BGRX,
    fps: 60,
    touch: Touch::Little,
    memory: Memory::Pool,
    consumers: 1,
    jitter_us: 0,
    set: Set::Default,
};
const WHOLE: Row = Row { touch: Touch::Whole, ..LITTLE };

/// In the order of the report.
pub(crate) const ROWS: &[Row] = &[
    Row { set: Set::Quick, ..LITTLE },
    Row {
        name: "whole",
        title: "60 fps, 1080p BGRx, pool memory, filled and read whole",
        set: Set::Quick,
        ..WHOLE
    },
    Row {
        name: "nv12",
        title: "60 fps, 1080p NV12, pool memory, filled and read whole",
        stream: NV12,
        ..WHOLE
    },
    Row { name: "vga", title: "60 fps, VGA I420, pool memory, filled and read whole", stream: VGA, ..WHOLE },
    Row { name: "4k", title: "60 fps, 4K BGRx, pool memory, filled and read whole", stream: UHD, ..WHOLE },
    Row {
        name: "padded",
        title: "60 fps, 1080p NV12 with padded strides, the producer's own memory, filled and read whole",
        stream: NV12,
        memory: Memory::Padded,
        ..WHOLE
    },
    Row {
        name: "system-4k-60",
        title: "60 fps, 4K BGRx, the producer's own memory, filled and read whole",
        stream: UHD,
        memory: Memory::System,
        ..WHOLE
    },
    Row {
        name: "packets",
        title: "1080p60 H.264, packets",
        stream: Stream::Packets,
        memory: Memory::System,
        ..WHOLE
    },
    Row {
        name: "audio",
        title: "48 kHz audio, 100 buffers a second",
        stream: Stream::Audio,
        fps: 100,
        memory: Memory::System,
        ..WHOLE
    },
    Row {
        name: "little-4",
        title: "60 fps, 1080p BGRx, pool memory, little touched, 4 consumers",
        consumers: 4,
        ..LITTLE
    },
    Row {
        name: "little-16",
        title: "60 fps, 1080p BGRx, pool memory, little touched, 16 consumers",
        consumers: MANY,
        ..LITTLE
    },
    Row {
        name: "little-32",
        title: "60 fps, 1080p BGRx, pool memory, little touched, 32 consumers",
        consumers: 32,
        ..LITTLE
    },
    Row {
        name: "rate-little",
        title: "Unthrottled, 1080p BGRx, pool memory, little touched",
        fps: 0,
        set: Set::Quick,
        ..LITTLE
    },
    Row {
        name: "rate-nv12",
        title: "Unthrottled, 1080p NV12, pool memory, little touched",
        stream: NV12,
        fps: 0,
        ..LITTLE
    },
    Row {
        name: "rate-whole",
        title: "Unthrottled, 1080p BGRx, pool memory, filled and read whole",
        fps: 0,
        ..WHOLE
    },
    Row {
        name: "rate-own-vga",
        title: "Unthrottled, VGA I420, the producer's own memory, filled and read whole",
        stream: VGA,
        fps: 0,
        memory: Memory::System,
        ..WHOLE
    },
    Row {
        name: "rate-own",
        title: "Unthrottled, 1080p NV12, the producer's own memory, filled and read whole",
        stream: NV12,
        fps: 0,
        memory: Memory::System,
        ..WHOLE
    },
    Row {
        name: "system-4k",
        title: "Unthrottled, 4K BGRx, the producer's own memory, filled and read whole",
        stream: UHD,
        fps: 0,
        memory: Memory::System,
        ..WHOLE
    },
];

/// Those of the report, and those of `due`.
fn every() -> impl Iterator<Item = &'static Row> {
    ROWS.iter().chain(due::ROWS.as_flattened())
}

impl Row {
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        every().find(|row| row.name == name)
    }

    pub(crate) fn is_paced(&self) -> bool {
        self.fps != 0
    }

    /// Bytes of a frame, or the most that one may have.
    pub(crate) fn bytes(&self) -> u64 {
        match self.stream {
            Stream::Video { format, width, height } => {
                let pixels = u64::from(width) * u64::from(height);
                match format {
                    Format::Bgrx => pixels * 4,
                    Format::Nv12 | Format::I420 => pixels * 3 / 2,
                }
            }
            Stream::Packets => 1 << 20,
            Stream::Audio => 1920,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for row in every() {
            assert_eq!(every().filter(|other| other.name == row.name).count(), 1, "{}", row.name);
        }
    }

    #[test]
    fn a_frame_is_as_large_as_its_format_says() {
        let bytes = |name| Row::find(name).map(Row::bytes);
        assert_eq!(bytes("little"), Some(1920 * 1080 * 4));
        assert_eq!(bytes("nv12"), Some(1920 * 1080 * 3 / 2));
        assert_eq!(bytes("no such row"), None);
    }
}
