//! Why a metadata block could not be written or read.

use std::fmt;

use super::wire::{MAGIC, MAX_ENTRIES, VERSION_MAJOR, VERSION_MINOR};

/// Why a metadata block could not be encoded, decoded, or applied to a payload.
///
/// Nothing here names a topic: the block knows none. `Frame::meta` and `Claim::set_meta` are called with the topic
/// at hand.
///
/// ```
/// use shmflow::meta::{Meta, MetaError};
///
/// let error = Meta::decode(b"not a block").unwrap_err();
/// assert_eq!(error, MetaError::BadMagic { found: *b"not " });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetaError {
    /// Fewer bytes than the fixed header, or than the header says the block has.
    Truncated {
        /// Bytes the block needs.
        needed: usize,
        /// Bytes that were there.
        have: usize,
    },
    /// The first four bytes are not those of a metadata block.
    BadMagic {
        /// What was found instead.
        found: [u8; 4],
    },
    /// The block is of another major version: its bytes mean something else.
    Version {
        /// Major and minor version of the block.
        found: (u16, u16),
        /// Major and minor version this crate reads.
        expected: (u16, u16),
    },
    /// The header's own lengths contradict each other.
    BadHeader {
        /// Which rule is broken.
        why: &'static str,
    },
    /// An entry is cut off, too short for its type, or holds impossible values.
    BadEntry {
        /// Type number of the entry.
        ty: u16,
        /// Where the entry starts, in bytes from the start of the block; 0 when encoding.
        at: usize,
        /// Which rule is broken.
        why: &'static str,
    },
    /// Two entries of a type of which there may be only one.
    Duplicate {
        /// Type number of the entry.
        ty: u16,
    },
    /// More entries than a block may have ([`MAX_ENTRIES`]).
    TooManyEntries,
    /// An [`Extension`](super::Extension) claims a type number that has a field of its own in [`Meta`](super::Meta).
    ReservedType {
        /// The claimed type number.
        ty: u16,
    },
    /// The buffer given to `encode` is too small; nothing was written.
    NoRoom {
        /// Bytes the block needs.
        needed: usize,
        /// Bytes the buffer has.
        have: usize,
    },
    /// The block would be larger than its 32-bit length can say.
    TooLarge,
    /// The layout's format is not one whose planes this crate knows.
    UnknownFormat {
        /// Name of the format.
        format: String,
    },
    /// The layout has another number of planes than its format.
    PlaneCount {
        /// Name of the format.
        format: String,
        /// Planes in the layout.
        found: usize,
        /// Planes of the format.
        expected: usize,
    },
    /// The rows of a plane overlap: its stride is smaller than a row.
    Stride {
        /// Number of the plane, from 0.
        plane: usize,
        /// The stride, in bytes.
        stride: i32,
        /// Bytes of one row.
        row_bytes: u64,
    },
    /// A plane reaches beyond the payload.
    OutsidePayload {
        /// Number of the plane, from 0.
        plane: usize,
        /// Bytes the payload would need; `None` when the plane starts before the payload or overflows.
        needed: Option<u64>,
        /// Bytes the payload has.
        have: u64,
    },
}

impl fmt::Display for MetaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { needed, have } => {
                write!(f, "the frame metadata is cut off: it needs {needed} bytes, there are {have}")
            }
            Self::BadMagic { found } => write!(
                f,
                "this is not shmflow frame metadata: it starts with {found:02x?} instead of {MAGIC:02x?} (\"SFMD\"); \
                 set the caps of frames from other programs by hand"
            ),
            Self::Version { found, expected } => write!(
                f,
                "the frame metadata has version {}.{}, this shmflow reads version {}.{}: update the older of the two programs",
                found.0, found.1, expected.0, expected.1
            ),
            Self::BadHeader { why } => write!(f, "the header of the frame metadata is corrupt: {why}"),
            Self::BadEntry { ty, at, why } => {
                write!(f, "entry type {ty:#06x} of the frame metadata (at byte {at}) is invalid: {why}")
            }
            Self::Duplicate { ty } => {
                write!(f, "the frame metadata has two entries of type {ty:#06x}, there may be one")
            }
            Self::TooManyEntries => write!(f, "the frame metadata has more than {MAX_ENTRIES} entries"),
            Self::ReservedType { ty } => write!(
                f,
                "extension type {ty:#06x} is reserved: use the field of Meta that it stands for, \
                 and 0x8000 or above for data of your own"
            ),
            Self::NoRoom { needed, have } => write!(
                f,
                "the frame metadata needs {needed} bytes, the slot keeps {have} for it: \
                 open the producer with a larger meta_capacity, or call grow_meta before the claim"
            ),
            Self::TooLarge => write!(f, "the frame metadata is larger than 16 MiB"),
            Self::UnknownFormat { format } => {
                write!(
                    f,
                    "the planes of video format {format:?} are unknown here, its layout cannot be checked"
                )
            }
            Self::PlaneCount { format, found, expected } => {
                write!(f, "video format {format} has {expected} planes, the layout gives {found}")
            }
            Self::Stride { plane, stride, row_bytes } => write!(
                f,
                "plane {plane} has a stride of {stride} bytes, which is less than its rows of {row_bytes} bytes"
            ),
            Self::OutsidePayload { plane, needed: Some(needed), have } => {
                write!(f, "plane {plane} needs a payload of {needed} bytes, the frame has {have}")
            }
            Self::OutsidePayload { plane, needed: None, have } => {
                write!(f, "plane {plane} lies outside the frame's payload of {have} bytes")
            }
        }
    }
}

impl std::error::Error for MetaError {}

impl MetaError {
    pub(super) fn version(major: u16, minor: u16) -> Self {
        Self::Version { found: (major, minor), expected: (VERSION_MAJOR, VERSION_MINOR) }
    }
}
