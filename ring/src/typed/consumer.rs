//! Receiving values.

use std::marker::PhantomData;
use std::ops::Deref;
use std::time::Duration;

use super::{Payload, cast_error, id};
use crate::meta::MetaView;
use crate::{Consumer, ConsumerBuilder, Frame, Result};

/// A [`Consumer`] of frames that are values of `P`: of a [`Message`](super::Message) type, or slices of one. See
/// [the module](super).
#[derive(Debug)]
pub struct TypedConsumer<P: Payload + ?Sized> {
    consumer: Consumer,
    check: Check,
    payload: PhantomData<fn() -> Box<P>>,
}

/// What frames are compared with.
#[derive(Debug)]
struct Check {
    id: String,
    /// Metadata of the frame at hand.
    block: Vec<u8>,
}

impl Check {
    fn new<P: Payload + ?Sized>() -> Self {
        Self { id: P::id(), block: Vec::new() }
    }

    fn frame<P: Payload + ?Sized>(&mut self, frame: Frame, topic: &str) -> Result<TypedFrame<P>> {
        frame.read_meta(&mut self.block);
        let caps = if self.block.is_empty() { None } else { MetaView::parse(&self.block)?.caps() };
        if caps != Some(self.id.as_str()) {
            return Err(id::mismatch(topic, &self.id, caps));
        }
        match cast_error::<P>(&frame, topic) {
            Some(error) => Err(error),
            None => Ok(TypedFrame { frame, payload: PhantomData }),
        }
    }
}

impl<P: Payload + ?Sized> TypedConsumer<P> {
    /// Opens a topic with these settings. The type is what it accepts, as producers see it, whatever the settings say of caps.
    ///
    /// # Errors
    /// [`Error::TypeMismatch`](crate::Error::TypeMismatch) if a producer has declared another type; those of
    /// [`ConsumerBuilder::open`].
    pub fn open(builder: ConsumerBuilder) -> Result<Self> {
        let check = Check::new::<P>();
        let consumer = builder.accepted_caps(&check.id).open()?;
        id::check_producers(consumer.member(), &check.id, u64::MAX)?;
        Ok(Self { consumer, check, payload: PhantomData })
    }

    /// The next value, waiting for it as long as it takes.
    ///
    /// # Errors
    /// As [`Consumer::recv`]. For a frame that is no `P`: [`Error::TypeMismatch`](crate::Error::TypeMismatch) if it says so,
    /// [`Error::Corrupt`](crate::Error::Corrupt) if its length does; [`Error::Meta`](crate::Error::Meta) if what it says cannot be
    /// understood. That frame is dropped, and the next call goes on after it. (Copies lie at pages, too: all are aligned.)
    pub fn recv(&mut self) -> Result<TypedFrame<P>> {
        let frame = self.consumer.recv()?;
        self.check.frame(frame, self.consumer.topic())
    }

    /// The next value, waiting at most so long.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), and [`Error::Timeout`](crate::Error::Timeout).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<TypedFrame<P>> {
        let frame = self.consumer.recv_timeout(timeout)?;
        self.check.frame(frame, self.consumer.topic())
    }

    /// The next value if there is one, as [`Consumer::try_recv`].
    ///
    /// # Errors
    /// As there, and as [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Result<Option<TypedFrame<P>>> {
        let frame = self.consumer.try_recv()?;
        frame.map(|frame| self.check.frame(frame, self.consumer.topic())).transpose()
    }

    /// The consumer, for everything that does not change it.
    #[must_use]
    pub fn consumer(&self) -> &Consumer {
        &self.consumer
    }

    /// The consumer, for everything else.
    pub fn consumer_mut(&mut self) -> &mut Consumer {
        &mut self.consumer
    }

    /// The consumer, whose topic was checked, for [`TypedFrame::new`] with its frames: in async code, say.
    #[must_use]
    pub fn into_inner(self) -> Consumer {
        self.consumer
    }
}

/// A received value: dereferences to it, in place. Clones are the same frame.
#[derive(Debug)]
pub struct TypedFrame<P: Payload + ?Sized> {
    /// Length and address fit `P`, and do not change.
    frame: Frame,
    payload: PhantomData<fn() -> Box<P>>,
}

impl<P: Payload + ?Sized> TypedFrame<P> {
    /// A frame that was received otherwise, of this topic. [`TypedConsumer`] does this for each of its own.
    ///
    /// # Errors
    /// As [`TypedConsumer::recv`], for a frame that is no `P`.
    pub fn new(frame: Frame, topic: &str) -> Result<Self> {
        Check::new::<P>().frame(frame, topic)
    }

    /// The frame, with its sequence number, losses and metadata.
    #[must_use]
    pub fn frame(&self) -> &Frame {
        &self.frame
    }
}

impl<P: Payload + ?Sized> Clone for TypedFrame<P> {
    fn clone(&self) -> Self {
        Self { frame: self.frame.clone(), payload: PhantomData }
    }
}

impl<P: Payload + ?Sized> Deref for TypedFrame<P> {
    type Target = P;

    fn deref(&self) -> &P {
        match P::ref_from_bytes(&self.frame) {
            Ok(value) => value,
            Err(_) => unreachable!("checked when it was received"),
        }
    }
}
