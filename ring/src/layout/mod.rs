//! The bytes of the three shared files, as `docs/layout.md` specifies them.

pub(crate) mod words;
