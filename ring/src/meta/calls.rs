//! The calls of the ring's types that know what a metadata block says; the ring carries its bytes only.

use std::time::Duration;

use rustix::time::{ClockId, DynamicClockId, clock_gettime, clock_gettime_dynamic};

use super::{Clock, EncodedMeta, Meta, MetaError, MetaHeader};
use crate::consumer::Filter;
use crate::{Claim, ConsumerBuilder, Error, Frame, Producer, PublishPermit, Result};

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

    /// How long ago it was captured: zero if that is to come. `None` if its metadata do not say when that was, or not on one of
    /// this machine's clocks.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        let block = self.meta_bytes();
        let times = MetaHeader::parse(&block).ok()?.per_frame().times;
        let now = match times.clock {
            Clock::Monotonic => clock_gettime(ClockId::Monotonic),
            Clock::Realtime => clock_gettime(ClockId::Realtime),
            Clock::Tai => clock_gettime_dynamic(DynamicClockId::Tai).ok()?,
            _ => return None,
        };
        let seconds = Duration::from_secs(u64::try_from(now.tv_sec).ok()?);
        let now = seconds.saturating_add(Duration::from_nanos(u64::try_from(now.tv_nsec).ok()?));
        Some(now.saturating_sub(Duration::from_nanos(times.capture_ns?)))
    }
}

impl ConsumerBuilder {
    /// Skips frames that are [older](Frame::age), such as those that a dead producer left: for programs that must not act on them. They
    /// count as [skipped](crate::ConsumerStats::skipped), and not as lost. Those that do not say when they were captured are never
    /// skipped. Default: no limit.
    ///
    /// ```
    /// # let dir = std::env::temp_dir().join(format!("shmflow-doc-age-{}", std::process::id()));
    /// # std::fs::create_dir_all(&dir).unwrap();
    /// use shmflow::meta::{Clock, Kind, Meta, Times};
    /// # let producer = shmflow::Producer::builder("doc/age").dir(&dir).open()?;
    /// let of_old = Times::default().capture_ns(1).clock(Clock::Monotonic);
    /// producer.write_with(b"old", &Meta::new(Kind::Bytes).times(of_old))?;
    /// producer.write(b"of no age")?;
    /// let builder = shmflow::Consumer::builder("doc/age").dir(&dir);
    /// let mut consumer = builder.max_age(std::time::Duration::from_millis(100)).open()?;
    /// assert_eq!(consumer.recv()?.seq(), 2);
    /// # drop((consumer, producer)); std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok::<(), shmflow::Error>(())
    /// ```
    pub fn max_age(self, limit: Duration) -> Self {
        self.filter(Filter::new(move |frame| frame.age().is_none_or(|age| age <= limit)))
    }
}

impl From<MetaError> for Error {
    fn from(error: MetaError) -> Self {
        Self::Meta(error)
    }
}
