//! The bytes of the three shared files, as `docs/layout.md` specifies them.

#[cfg(test)]
mod document;
pub(crate) mod peers;
pub(crate) mod ring;
pub(crate) mod view;
pub(crate) mod words;

/// Version of the layout of all three files. Any change of a byte's meaning raises it. 2: a slot says when its frame was
/// published, where before it kept what it had.
pub(crate) const VERSION: u64 = 2;
