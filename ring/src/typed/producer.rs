//! Publishing values.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use super::{Message, Payload, cast_error, id};
use crate::meta::{EncodedMeta, Meta};
use crate::{Claim, Error, Producer, ProducerBuilder, Published, Result};

/// A [`Producer`] of frames that are values of `P`: of a [`Message`] type, or slices of one. See [the module](super).
#[derive(Debug)]
pub struct TypedProducer<P: Payload + ?Sized> {
    producer: Producer,
    /// Says what the frame is.
    meta: EncodedMeta,
    payload: PhantomData<fn(&P)>,
}

impl<P: Payload + ?Sized> TypedProducer<P> {
    /// Opens a topic with these settings, and declares its type. Slots are made larger when a frame needs it; make room ahead
    /// with [`ProducerBuilder::slot_capacity`], in bytes.
    ///
    /// # Errors
    /// [`Error::TypeMismatch`] if a producer that is there has declared another type; those of [`ProducerBuilder::open`].
    pub fn open(builder: ProducerBuilder) -> Result<Self> {
        let id = P::id();
        let meta = EncodedMeta::new(&Meta { caps: Some(id.clone()), ..Meta::default() })?;
        let producer = builder.declare(&id, meta.len()).open()?;
        // Older ones only: of two that come at the same moment one stays.
        id::check_producers(producer.member(), &id, producer.id().generation)?;
        Ok(Self { producer, meta, payload: PhantomData })
    }

    /// Publishes a copy of `value`; the frame's sequence number.
    ///
    /// # Errors
    /// As [`Producer::write`].
    pub fn write(&self, value: &P) -> Result<u64> {
        let mut claim = self.producer.claim(size_of_val(value))?;
        claim.copy_from(value.as_bytes());
        claim.set_encoded_meta(&self.meta)?;
        Ok(claim.publish()?.seq())
    }

    fn claim_bytes(&self, len: usize) -> Result<TypedClaim<P>> {
        let mut claim = self.producer.claim(len)?;
        claim.set_encoded_meta(&self.meta)?;
        match cast_error::<P>(&claim, self.producer.topic()) {
            Some(error) => Err(error),
            None => Ok(TypedClaim { claim, payload: PhantomData }),
        }
    }

    /// The producer, for everything else. (What is published through it has no type, and is refused by typed consumers.)
    #[must_use]
    pub fn producer(&self) -> &Producer {
        &self.producer
    }
}

impl<T: Message> TypedProducer<T> {
    /// A value to be filled in, straight in shared memory. It is what an earlier frame left there.
    ///
    /// # Errors
    /// As [`Producer::claim`].
    pub fn claim(&self) -> Result<TypedClaim<T>> {
        self.claim_bytes(size_of::<T>())
    }
}

impl<T: Message> TypedProducer<[T]> {
    /// A slice of this many values to be filled in, straight in shared memory. They are what an earlier frame left there.
    ///
    /// # Errors
    /// As [`Producer::claim`]; [`Error::InvalidArgument`] for more than there can be.
    pub fn claim(&self, count: usize) -> Result<TypedClaim<[T]>> {
        let len = count.checked_mul(size_of::<T>()).filter(|&len| isize::try_from(len).is_ok());
        let what = || format!("a slice of {count} values of {} bytes", size_of::<T>());
        self.claim_bytes(len.ok_or_else(|| Error::InvalidArgument { what: what() })?)
    }
}

/// A value in shared memory to be filled in and published. Dropped unpublished, its slot is given back.
#[derive(Debug)]
pub struct TypedClaim<P: Payload + ?Sized> {
    /// Length and address fit `P`, and do not change.
    claim: Claim,
    payload: PhantomData<fn(&P)>,
}

impl<P: Payload + ?Sized> TypedClaim<P> {
    /// Publishes the value.
    ///
    /// # Errors
    /// As [`Claim::publish`].
    pub fn publish(self) -> Result<Published> {
        self.claim.publish()
    }
}

impl<P: Payload + ?Sized> Deref for TypedClaim<P> {
    type Target = P;

    fn deref(&self) -> &P {
        match P::ref_from_bytes(&self.claim) {
            Ok(value) => value,
            Err(_) => unreachable!("checked when it was claimed"),
        }
    }
}

impl<P: Payload + ?Sized> DerefMut for TypedClaim<P> {
    fn deref_mut(&mut self) -> &mut P {
        match P::mut_from_bytes(&mut self.claim) {
            Ok(value) => value,
            Err(_) => unreachable!("checked when it was claimed"),
        }
    }
}
