//! Entries that have a type of their own in Rust, and reading and writing what is in them.

use super::error::MetaError;
use super::types::Extension;
use super::wire::{ENTRY_PRIVATE, RawEntries, get_u32, get_u64};
use super::{Meta, MetaView};

/// What an entry of a block holds, as a value. The types here stand for the entries that `docs/metadata.md` lists; a program
/// may have its own, with a private type number.
///
/// ```
/// use shmflow::meta::{Meta, Region};
///
/// let region = Region::new("face", 10, 20, 64, 64).params(vec!["detection, confidence=0.9".to_owned()]);
/// let meta = Meta::default().entry(&region)?;
/// assert_eq!(meta.entries::<Region>().next(), Some(Ok(region)));
/// # Ok::<(), shmflow::meta::MetaError>(())
/// ```
pub trait MetaEntry: Sized {
    /// The number of the entry's type.
    const TYPE: u16;

    /// The bytes of the entry's value.
    ///
    /// # Errors
    /// What cannot be said in an entry.
    fn to_value(&self) -> Result<Vec<u8>, MetaError>;

    /// Reads an entry's value, which another process wrote: any bytes give a value or an error. Bytes after those of this
    /// version are ignored.
    ///
    /// # Errors
    /// What is wrong with the entry.
    fn from_value(value: &[u8]) -> Result<Self, MetaError>;
}

impl Meta {
    /// Adds an entry to [`extensions`](#structfield.extensions).
    ///
    /// # Errors
    /// What cannot be said in an entry.
    pub fn entry<E: MetaEntry>(mut self, entry: &E) -> Result<Self, MetaError> {
        self.extensions.push(Extension::new(E::TYPE, entry.to_value()?));
        Ok(self)
    }

    /// The entries of one kind.
    pub fn entries<E: MetaEntry>(&self) -> impl Iterator<Item = Result<E, MetaError>> {
        self.extensions.iter().filter(|one| one.ty == E::TYPE).map(|one| E::from_value(&one.data))
    }
}

impl MetaView<'_> {
    /// The entries of one kind.
    pub fn entries<E: MetaEntry>(&self) -> impl Iterator<Item = Result<E, MetaError>> {
        self.extensions().filter(|(ty, _)| *ty == E::TYPE).map(|(_, value)| E::from_value(value))
    }
}

/// Whether entries of a type belong to one frame, and not to the stream: they usually change with each frame, and how the
/// payload is to be read does not depend on them.
#[must_use]
pub fn is_of_frame(ty: u16) -> bool {
    matches!(ty, 5..=9 | 11..=13 | 15) || ty >= ENTRY_PRIVATE
}

/// Entries as they are in a block, one after the other: type and value. Ends after the first error.
///
/// ```
/// use shmflow::meta::{Entries, Meta, MetaHeader};
///
/// let block = Meta::default().caps("audio/x-raw").extension(0x8000, b"x").to_vec()?;
/// let entries: Result<Vec<_>, _> = Entries::new(MetaHeader::parse(&block)?.entry_bytes()).collect();
/// assert_eq!(entries?, [(1, &b"audio/x-raw"[..]), (0x8000, &b"x"[..])]);
/// # Ok::<(), shmflow::meta::MetaError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Entries<'a>(RawEntries<'a>);

impl<'a> Entries<'a> {
    /// Of bytes that begin with an entry, as those of [`MetaHeader::entry_bytes`](super::MetaHeader::entry_bytes).
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(RawEntries::new(bytes, 0))
    }

    /// How many bytes at the start of `bytes` are entries of the stream, if only entries of the frame follow them. A reader
    /// that finds them unchanged in the next frame has only what follows to read.
    ///
    /// `None` if the two kinds are mixed, or something is wrong: such a block is to be read as a whole.
    #[must_use]
    pub fn stream_len(bytes: &'a [u8]) -> Option<usize> {
        let (mut len, mut frame) = (0, false);
        let mut entries = RawEntries::new(bytes, 0);
        while let Some(entry) = entries.next() {
            let entry = entry.ok()?;
            if is_of_frame(entry.ty) {
                frame = true;
            } else if frame {
                return None;
            } else {
                len = entries.at().min(bytes.len());
            }
        }
        Some(len)
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<(u16, &'a [u8]), MetaError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.next()?.map(|entry| (entry.ty, entry.value)))
    }
}

/// Reads the numbers and texts of an entry's value, one after the other.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    ty: u16,
    value: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(ty: u16, value: &'a [u8]) -> Self {
        Self { ty, value, at: 0 }
    }

    pub(super) fn bad(&self, why: &'static str) -> MetaError {
        MetaError::BadEntry { ty: self.ty, at: 0, why }
    }

    fn advance(&mut self, len: usize) -> usize {
        let at = self.at;
        self.at = at.saturating_add(len);
        at
    }

    pub(super) fn u32(&mut self) -> Result<u32, MetaError> {
        let at = self.advance(4);
        get_u32(self.value, at).ok_or(self.bad("it is shorter than its type has it"))
    }

    pub(super) fn i32(&mut self) -> Result<i32, MetaError> {
        self.u32().map(u32::cast_signed)
    }

    pub(super) fn f32(&mut self) -> Result<f32, MetaError> {
        self.u32().map(f32::from_bits)
    }

    pub(super) fn u64(&mut self) -> Result<u64, MetaError> {
        let at = self.advance(8);
        get_u64(self.value, at).ok_or(self.bad("it is shorter than its type has it"))
    }

    /// A number of things that follow, `least` bytes each: what has no room in the value is refused before memory is made
    /// for it.
    pub(super) fn count(&mut self, least: usize) -> Result<usize, MetaError> {
        let count = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        let have = self.value.len().saturating_sub(self.at);
        if count.checked_mul(least).is_none_or(|needed| needed > have) {
            return Err(self.bad("it counts more than it has room for"));
        }
        Ok(count)
    }

    /// A text: its length, its bytes, zeros up to a multiple of 4.
    pub(super) fn text(&mut self) -> Result<&'a str, MetaError> {
        let len = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        let at = self.at;
        let end = at.saturating_add(len);
        let bytes = self.value.get(at..end).ok_or(self.bad("a text is longer than the entry"))?;
        self.at = end.checked_next_multiple_of(4).unwrap_or(usize::MAX);
        let text = str::from_utf8(bytes).map_err(|_| self.bad("a text is not UTF-8"))?;
        if bytes.contains(&0) {
            return Err(self.bad("a text holds a NUL character"));
        }
        Ok(text)
    }

    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], MetaError> {
        let at = self.advance(len);
        self.value.get(at..self.at).ok_or(self.bad("it is shorter than its type has it"))
    }

    /// Everything that was not read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.value.get(self.at..).unwrap_or(&[])
    }
}

/// Writes what [`Reader`] reads.
#[derive(Debug)]
pub(super) struct Writer {
    ty: u16,
    value: Vec<u8>,
}

impl Writer {
    pub(super) fn new(ty: u16) -> Self {
        Self { ty, value: Vec::new() }
    }

    pub(super) fn u32(mut self, number: u32) -> Self {
        self.value.extend_from_slice(&number.to_le_bytes());
        self
    }

    pub(super) fn i32(self, number: i32) -> Self {
        self.u32(number.cast_unsigned())
    }

    pub(super) fn f32(self, number: f32) -> Self {
        self.u32(number.to_bits())
    }

    pub(super) fn u64(mut self, number: u64) -> Self {
        self.value.extend_from_slice(&number.to_le_bytes());
        self
    }

    pub(super) fn count(self, count: usize) -> Result<Self, MetaError> {
        Ok(self.u32(u32::try_from(count).map_err(|_| MetaError::TooLarge)?))
    }

    pub(super) fn text(self, text: &str) -> Result<Self, MetaError> {
        if text.as_bytes().contains(&0) {
            return Err(MetaError::BadEntry { ty: self.ty, at: 0, why: "a text holds a NUL character" });
        }
        let mut this = self.count(text.len())?.bytes(text.as_bytes());
        this.value.resize(this.value.len().next_multiple_of(4), 0);
        Ok(this)
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.value.extend_from_slice(bytes);
        self
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.value
    }
}
