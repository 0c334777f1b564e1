//! The fixed header of a block, read without looking at its entries.

use super::MetaView;
use super::error::MetaError;
use super::types::{Kind, PerFrame};
use super::wire::{
    ALIGN, AT_HEADER_LEN, AT_KIND, AT_MAJOR, AT_MINOR, AT_TOTAL_LEN, HEADER_LEN, MAGIC, VERSION_MAJOR,
    VERSION_MINOR, get, get_per_frame, get_u16, get_u32,
};

/// What a frame without a block has: bytes of no particular kind.
const NO_BLOCK: [u8; HEADER_LEN] = {
    let mut bytes = [0; HEADER_LEN];
    let mut at = 0;
    while at < MAGIC.len() {
        bytes[at] = MAGIC[at];
        at += 1;
    }
    [bytes[AT_MAJOR], bytes[AT_MAJOR + 1]] = VERSION_MAJOR.to_le_bytes();
    [bytes[AT_MINOR], bytes[AT_MINOR + 1]] = VERSION_MINOR.to_le_bytes();
    [bytes[AT_HEADER_LEN], bytes[AT_HEADER_LEN + 1]] = (HEADER_LEN as u16).to_le_bytes();
    bytes[AT_TOTAL_LEN] = HEADER_LEN as u8;
    bytes
};

/// The header of a block: all that changes from frame to frame, and the bytes of what usually does not.
///
/// A reader that keeps [`entry_bytes`](Self::entry_bytes) of the last frame it read completely, and finds them
/// unchanged,
/// knows caps, layout, crop and extensions already; that is the cheapest way to read a stream:
///
/// ```
/// use shmflow::meta::{EncodedMeta, Meta, MetaHeader, PerFrame};
///
/// let mut block = EncodedMeta::new(&Meta::default().caps("audio/x-raw"))?;
/// let mut room = [0; 256];
/// let mut known: Option<(Vec<u8>, Meta)> = None;
/// let mut parsed = 0;
/// for frame in 0..100 {
///     block.patch(&PerFrame::default().offset(frame));
///     let len = block.write_to(&mut room)?;
///
///     let header = MetaHeader::parse(&room[..len])?;
///     assert_eq!(header.per_frame().offset, Some(frame));
///     if !matches!(&known, Some((bytes, _)) if bytes == header.entry_bytes()) {
///         known = Some((header.entry_bytes().to_vec(), header.view()?.to_meta()));
///         parsed += 1;
///     }
/// }
/// assert_eq!(parsed, 1);
/// # Ok::<(), shmflow::meta::MetaError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct MetaHeader<'a> {
    header: &'a [u8; HEADER_LEN],
    minor: u16,
    /// Where entries start in `bytes`; not beyond its end.
    entries_at: usize,
    /// The whole block, without what may follow it.
    bytes: &'a [u8],
}

impl<'a> MetaHeader<'a> {
    /// Checks magic, version and lengths of a block, not its entries. Bytes after the length it states are ignored; no
    /// bytes at all are a frame without metadata and give what [`Meta::default`](super::Meta) has.
    ///
    /// # Errors
    /// [`MetaError`] says what is wrong, and with another major version names both.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, MetaError> {
        let bytes = if bytes.is_empty() { &NO_BLOCK } else { bytes };
        let have = bytes.len();
        // Magic and version come before the length: a later version may have a shorter header and must be named as
        // such.
        if let Some(found) = get::<4>(bytes, 0)
            && found != MAGIC
        {
            return Err(MetaError::BadMagic { found });
        }
        let too_short = || MetaError::Truncated { needed: HEADER_LEN, have };
        let (Some(major), Some(minor)) = (get_u16(bytes, AT_MAJOR), get_u16(bytes, AT_MINOR)) else {
            return Err(too_short());
        };
        if major != VERSION_MAJOR {
            return Err(MetaError::version(major, minor));
        }
        let header = bytes.first_chunk::<HEADER_LEN>().ok_or_else(too_short)?;
        let entries_at = usize::from(get_u16(header, AT_HEADER_LEN).unwrap_or(0));
        if entries_at < HEADER_LEN {
            return Err(MetaError::BadHeader { why: "its header length is less than 128" });
        }
        if !entries_at.is_multiple_of(ALIGN) {
            return Err(MetaError::BadHeader { why: "its header length is not a multiple of 8" });
        }
        let total =
            usize::try_from(get_u32(header, AT_TOTAL_LEN).unwrap_or(0)).map_err(|_| MetaError::TooLarge)?;
        if total < entries_at {
            return Err(MetaError::BadHeader { why: "its total length is less than its header length" });
        }
        if !total.is_multiple_of(ALIGN) {
            return Err(MetaError::BadHeader { why: "its total length is not a multiple of 8" });
        }
        let Some(bytes) = bytes.get(..total) else {
            return Err(MetaError::Truncated { needed: total, have });
        };
        Ok(Self { header, minor, entries_at, bytes })
    }

    /// Checks and reads the entries too.
    ///
    /// # Errors
    /// [`MetaError`] says what is wrong with which entry.
    pub fn view(self) -> Result<MetaView<'a>, MetaError> {
        MetaView::with_header(self)
    }

    /// Major and minor version that the block was written with.
    #[must_use]
    pub fn version(&self) -> (u16, u16) {
        (VERSION_MAJOR, self.minor)
    }

    /// What the payload is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::from_raw(get_u16(self.header, AT_KIND).unwrap_or(0))
    }

    /// What changes from frame to frame: flags, times, offsets.
    #[must_use]
    pub fn per_frame(&self) -> PerFrame {
        get_per_frame(self.header)
    }

    /// All entries as they are in the block, unchecked. As long as these bytes (and [`kind`](Self::kind)) stay equal
    /// from
    /// frame to frame, so do caps, layout, crop and extensions.
    #[must_use]
    pub fn entry_bytes(&self) -> &'a [u8] {
        self.bytes.get(self.entries_at..).unwrap_or(&[])
    }

    /// The whole block, without what may follow it.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Where entries start in [`as_bytes`](Self::as_bytes).
    pub(super) fn entries_at(&self) -> usize {
        self.entries_at
    }
}
