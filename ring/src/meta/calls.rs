//! The calls of the ring's types that know what a metadata block says; the ring carries its bytes only.

use super::{EncodedMeta, Meta, MetaError};
use crate::{Claim, Error, Frame, Producer, PublishPermit, Result};

impl Claim {
    /// Adds metadata, or replaces it.
    ///
    /// # Errors
    /// [`Error::Meta`] if it cannot be encoded or is larger than the topic has room for.
    pub fn set_meta(&mut self, meta: &Meta) -> Result<()> {
        self.set_meta_with(|block| meta.encode(block))
    }

    /// As [`set_meta`](Self::set_meta), of metadata that was encoded before and is the same for many frames.
    ///
    /// # Errors
    /// As there.
    pub fn set_encoded_meta(&mut self, meta: &EncodedMeta) -> Result<()> {
        self.set_meta_with(|block| meta.write_to(block))
    }
}

impl PublishPermit {
    /// Adds metadata, or replaces it.
    ///
    /// # Errors
    /// As [`Claim::set_meta`]; [`Error::InvalidArgument`] after publication.
    pub fn set_meta(&mut self, meta: &Meta) -> Result<()> {
        self.set_meta_with(|block| meta.encode(block))
    }

    /// As [`Claim::set_encoded_meta`]; [`Error::InvalidArgument`] also after publication.
    ///
    /// # Errors
    /// As said.
    pub fn set_encoded_meta(&mut self, meta: &EncodedMeta) -> Result<()> {
        self.set_meta_with(|block| meta.write_to(block))
    }
}

impl Producer {
    /// As [`write`](Self::write), with metadata. Metadata that is larger than the slots have room for moves the topic to a new
    /// epoch.
    ///
    /// # Errors
    /// Also [`Error::Meta`] if the metadata cannot be encoded.
    pub fn write_with(&self, bytes: &[u8], meta: &Meta) -> Result<u64> {
        let needed = meta.encoded_len()?;
        if needed > self.geometry().meta_capacity {
            self.grow_meta(needed)?;
        }
        let mut claim = self.claim(bytes.len())?;
        claim.copy_from(bytes);
        claim.set_meta(meta)?;
        Ok(claim.publish()?.seq())
    }
}

impl Frame {
    /// The metadata; `None` for bare bytes.
    ///
    /// # Errors
    /// If the block cannot be understood.
    pub fn meta(&self) -> Result<Option<Meta>, MetaError> {
        let block = self.meta_bytes();
        if block.is_empty() { Ok(None) } else { Meta::decode(&block).map(Some) }
    }
}

impl From<MetaError> for Error {
    fn from(error: MetaError) -> Self {
        Self::Meta(error)
    }
}
