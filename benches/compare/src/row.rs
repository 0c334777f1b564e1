//! What is measured: the rows of the tables.

use crate::cli::{Memory, Touch};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// 0: as fast as it goes
    pub(crate) fps: u32,
    pub(crate) touch: Touch,
    pub(crate) memory: Memory,
    pub(crate) consumers: u32,
}

/// Many consumers.
pub(crate) const MANY: u32 = 16;

const HD: Row = Row {
    name: "little",
    title: "60 fps, 1080p BGRx, pool memory, little touched",
    width: 1920,
    height: 1080,
    fps: 60,
    touch: Touch::Little,
    memory: Memory::Pool,
    consumers: 1,
};

/// In the order of the report.
pub(crate) const ROWS: &[Row] = &[
    HD,
    Row {
        name: "whole",
        title: "60 fps, 1080p BGRx, pool memory, filled and read whole",
        touch: Touch::Whole,
        ..HD
    },
    Row {
        name: "little-16",
        title: "60 fps, 1080p BGRx, pool memory, little touched, 16 consumers",
        consumers: MANY,
        ..HD
    },
    Row { name: "rate-little", title: "Unthrottled, 1080p BGRx, pool memory, little touched", fps: 0, ..HD },
    Row {
        name: "rate-whole",
        title: "Unthrottled, 1080p BGRx, pool memory, filled and read whole",
        fps: 0,
        touch: Touch::Whole,
        ..HD
    },
    Row {
        name: "system-4k",
        title: "Unthrottled, 4K BGRx, the producer's own system memory, filled and read whole",
        width: 3840,
        height: 2160,
        fps: 0,
        touch: Touch::Whole,
        memory: Memory::System,
        ..HD
    },
    Row {
        name: "system-4k-60",
        title: "60 fps, 4K BGRx, the producer's own system memory, filled and read whole",
        width: 3840,
        height: 2160,
        touch: Touch::Whole,
        memory: Memory::System,
        ..HD
    },
];

impl Row {
    /// Bytes of a frame (BGRx).
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height) * 4
    }
}
