//! A slot of shared memory, from the claim to the publication.
#![allow(unsafe_code, reason = "exported names, and C's pointers")]

use std::ffi::c_void;

use ring::meta::Meta;

use crate::args;
use crate::fail::{Failure, guard, guard_or};
use crate::metadata::{self, Metadata};
use crate::status::{SHMFLOW_INVALID_METADATA, Status};

/// A slot to write a frame into. One thread at a time may use it, any thread.
#[derive(Debug)]
pub struct Claim {
    ring: ring::Claim,
    /// The metadata that were set last.
    meta: Meta,
}

impl Claim {
    pub(crate) fn new(ring: ring::Claim) -> Self {
        Self { ring, meta: Meta::default() }
    }

    pub(crate) fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Adds something to the metadata.
    pub(crate) fn add(
        &mut self,
        add: impl FnOnce(Meta) -> Result<Meta, ring::meta::MetaError>,
    ) -> Result<(), Failure> {
        let meta = add(self.meta.clone())?;
        self.ring.set_meta(&meta)?;
        self.meta = meta;
        Ok(())
    }
}

/// The memory to write the frame to: shmflow_claim_length bytes of shared memory, which start at a multiple of 4096 and
/// hold an earlier frame. Valid until the claim is published or abandoned. NULL if claim is NULL.
///
/// # Safety
/// claim is NULL or from shmflow_producer_claim.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_claim_data(claim: *mut Claim) -> *mut c_void {
    guard_or(std::ptr::null_mut(), || {
        // SAFETY: the caller's.
        let claim = unsafe { args::object_mut(claim, "claim") }?;
        Ok(claim.ring.as_mut_ptr().cast())
    })
}

/// Bytes that the frame has. 0 if claim is NULL.
///
/// # Safety
/// claim is NULL or from shmflow_producer_claim.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_claim_length(claim: *const Claim) -> usize {
    // SAFETY: the caller's.
    guard_or(0, || Ok(unsafe { args::object(claim, "claim") }?.ring.len()))
}

/// Bytes that the frame may have, at least as many as were claimed. 0 if claim is NULL.
///
/// # Safety
/// claim is NULL or from shmflow_producer_claim.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_claim_capacity(claim: *const Claim) -> usize {
    // SAFETY: the caller's.
    guard_or(0, || Ok(unsafe { args::object(claim, "claim") }?.ring.capacity()))
}

/// Makes the frame shorter, or longer up to its capacity.
///
/// # Safety
/// claim is from shmflow_producer_claim.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_claim_set_length(claim: *mut Claim, length: usize) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let claim = unsafe { args::object_mut(claim, "claim") }?;
        metadata::check_fit(&claim.meta, length)?;
        Ok(claim.ring.set_len(length)?)
    })
}

/// Sets the metadata of the frame. A layout that does not fit the frame's length is refused: SHMFLOW_INVALID_METADATA.
///
/// # Safety
/// claim is from shmflow_producer_claim; metadata is initialised.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_claim_set_metadata(claim: *mut Claim, metadata: *const Metadata) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (claim, meta) = unsafe { (args::object_mut(claim, "claim")?, metadata::given(metadata)?) };
        let meta = meta.ok_or_else(|| Failure::argument("metadata is NULL"))?;
        metadata::check_fit(&meta, claim.ring.len())?;
        claim.ring.set_meta(&meta)?;
        claim.meta = meta;
        Ok(())
    })
}

/// Sets the metadata of the frame to a block from shmflow_frame_metadata_block: to pass on another frame's.
///
/// # Safety
/// claim is from shmflow_producer_claim; block points to length bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_claim_set_metadata_block(
    claim: *mut Claim,
    block: *const c_void,
    length: usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (claim, block) =
            unsafe { (args::object_mut(claim, "claim")?, args::bytes(block, length, "block")?) };
        let meta = Meta::decode(block)?;
        metadata::check_fit(&meta, claim.ring.len())?;
        claim.ring.set_meta_bytes(block).map_err(|error| match error {
            ring::Error::InvalidArgument { what } => Failure::Said(SHMFLOW_INVALID_METADATA, what),
            other => other.into(),
        })?;
        claim.meta = meta;
        Ok(())
    })
}

/// Publishes the frame. The claim ends, also if this fails. sequence, if not NULL, receives the frame's sequence number:
/// the first of a topic has 1.
///
/// # Safety
/// claim is from shmflow_producer_claim, and not used afterwards; sequence is NULL or points to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_claim_publish(claim: *mut Claim, sequence: *mut u64) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (claim, place) =
            unsafe { (args::taken(claim, "claim")?, args::optional_place(sequence, "sequence")) };
        let number = claim.ring.publish()?.seq();
        place?.map(|place| place.write(number));
        Ok(())
    })
}

/// Releases the slot without publishing it. NULL is ignored.
///
/// # Safety
/// claim is NULL or from shmflow_producer_claim, and not used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_claim_abandon(claim: *mut Claim) {
    guard(|| {
        if !claim.is_null() {
            // SAFETY: the caller's.
            drop(unsafe { args::taken(claim, "claim") }?);
        }
        Ok(())
    });
}
