//! Writing frames.
#![allow(unsafe_code, reason = "exported names, and C's pointers")]

use std::ffi::{c_char, c_void};

use ring::CancelToken;

use crate::args::{self, Versioned};
use crate::claim::Claim;
use crate::fail::guard;
use crate::metadata::{self, Metadata};
use crate::options::{self, ProducerOptions};
use crate::status::Status;

/// Writes frames to a topic. Several threads may use one at a time; closing it has to be the last use. With
/// SHMFLOW_OVERFLOW_LOSSLESS, calls that need a slot wait for one; shmflow_producer_cancel ends that.
#[derive(Debug)]
pub struct Producer {
    ring: ring::Producer,
    cancel_token: CancelToken,
}

/// How often a consumer of the topic has asked for a key frame, ever. A producer of an encoded stream looks from time to time,
/// before each frame for example, and has its encoder make one if the number has changed: once in half a second, say,
/// however many ask.
///
/// # Safety
/// producer is open; requests points to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_producer_key_frame_requests(
    producer: *const Producer,
    requests: *mut u64,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (handle, place) =
            unsafe { (args::object(producer, "producer")?, args::place(requests, "requests")?) };
        place.write(handle.ring.key_frame_requests());
        Ok(())
    })
}

/// Statistics of a producer and its topic.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ProducerStats {
    /// Frames published by this producer.
    pub published: u64,
    /// Frames dropped because no slot was free, or by SHMFLOW_OVERFLOW_DROP_NEW.
    pub dropped: u64,
    /// Bytes published, without metadata.
    pub bytes: u64,
    /// Bytes that a frame may have before the ring has to grow.
    pub slot_capacity: u64,
    /// The epoch: counts the geometries that the ring has had, from 1.
    pub epoch: u64,
    /// Bytes of shared memory that the ring takes.
    pub reserved_bytes: u64,
    /// Frames that the ring holds for its consumers.
    pub depth: u32,
    /// Slots: depth plus spare slots.
    pub slots: u32,
    /// Consumers that are alive; read-only consumers are not counted.
    pub consumers: u32,
    /// 1 if this producer's frames are published; 0 while it is a standby (SHMFLOW_MODE_PRIMARY).
    pub is_primary: i32,
    /// With SHMFLOW_OVERFLOW_LOSSLESS: how often a consumer was passed over because it took nothing.
    pub stalls: u64,
    /// How many consumers are passed over now.
    pub stalled_consumers: u32,
    /// Zero.
    pub reserved: u32,
}

// SAFETY: integers, no padding.
unsafe impl Versioned for ProducerStats {
    const LEAST: usize = 80;
}

/// Opens a topic for writing, and creates it if it does not exist. options may be NULL. *producer is NULL unless
/// SHMFLOW_OK is returned.
///
/// # Safety
/// topic is a text, options NULL or initialised, producer points to a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_producer_open(
    topic: *const c_char,
    options: *const ProducerOptions,
    producer: *mut *mut Producer,
) -> Status {
    guard(|| {
        // SAFETY: the caller's, all of it.
        let (place, topic) = unsafe { (args::place(producer, "producer")?, topic) };
        place.write(std::ptr::null_mut());
        // SAFETY: as above.
        let builder = unsafe { options::producer(args::text(topic, "topic")?, options)? };
        let ring = builder.open()?;
        let handle = Box::new(Producer { cancel_token: ring.cancel_token(), ring });
        place.write(Box::into_raw(handle));
        Ok(())
    })
}

/// Leaves the topic. Claims that were not published yet can still be published. NULL is ignored.
///
/// # Safety
/// producer is NULL or from shmflow_producer_open, and not used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_producer_close(producer: *mut Producer) {
    guard(|| {
        if !producer.is_null() {
            // SAFETY: the caller's.
            drop(unsafe { args::taken(producer, "producer") }?);
        }
        Ok(())
    });
}

/// Publishes a copy of length bytes. To write to shared memory without a copy use shmflow_producer_claim. metadata may be
/// NULL: bare bytes. sequence, if not NULL, receives the frame's sequence number.
///
/// # Safety
/// producer is open; data points to length bytes; metadata is NULL or initialised; sequence is NULL or points to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_producer_write(
    producer: *const Producer,
    data: *const c_void,
    length: usize,
    metadata: *const Metadata,
    sequence: *mut u64,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (handle, bytes, meta, place) = unsafe {
            (
                args::object(producer, "producer")?,
                args::bytes(data, length, "data")?,
                metadata::given(metadata)?,
                args::optional_place(sequence, "sequence")?,
            )
        };
        let number = match meta {
            Some(meta) => {
                metadata::check_fit(&meta, bytes.len())?;
                handle.ring.write_with(bytes, &meta)?
            }
            None => handle.ring.write(bytes)?,
        };
        place.map(|place| place.write(number));
        Ok(())
    })
}

/// Claims a slot of shared memory to write a frame of length bytes into. End the claim with shmflow_claim_publish or
/// shmflow_claim_abandon. If the frame is larger than the slots, the ring grows.
///
/// # Safety
/// producer is open; claim points to a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_producer_claim(
    producer: *const Producer,
    length: usize,
    claim: *mut *mut Claim,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let place = unsafe { args::place(claim, "claim") }?;
        place.write(std::ptr::null_mut());
        args::check_len(length, "a frame")?;
        // SAFETY: the caller's.
        let handle = unsafe { args::object(producer, "producer") }?;
        let made = Claim::new(handle.ring.claim(length)?);
        place.write(Box::into_raw(Box::new(made)));
        Ok(())
    })
}

/// Grows the ring in advance to a slot capacity of capacity bytes and to the given depth. Does nothing if it has both.
///
/// # Safety
/// producer is open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_producer_grow(
    producer: *const Producer,
    capacity: usize,
    depth: u32,
) -> Status {
    guard(|| {
        args::check_len(capacity, "a frame")?;
        // SAFETY: the caller's.
        Ok(unsafe { args::object(producer, "producer") }?.ring.grow(capacity, depth)?)
    })
}

/// Grows the room for metadata in advance, to capacity bytes a frame (at most 16 MiB). Does nothing if there is as much.
/// Frames that are claimed afterwards have it.
///
/// # Safety
/// producer is open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_producer_grow_metadata(
    producer: *const Producer,
    capacity: usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        Ok(unsafe { args::object(producer, "producer") }?.ring.grow_meta(capacity)?)
    })
}

/// Ends the stream after the newest frame. Consumers get SHMFLOW_ENDED when they have read every frame and every producer
/// has ended the stream or left. Publishing again revokes it.
///
/// # Safety
/// producer is open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_producer_end(producer: *const Producer) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        unsafe { args::object(producer, "producer") }?.ring.end();
        Ok(())
    })
}

/// Cancels waits for a slot (SHMFLOW_OVERFLOW_LOSSLESS): a call that waits, and every later one that would have to, returns
/// SHMFLOW_CANCELLED until shmflow_producer_cancel_reset; its frame is dropped. May be called by any thread, and in a signal
/// handler.
///
/// # Safety
/// producer is open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_producer_cancel(producer: *const Producer) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        unsafe { args::object(producer, "producer") }?.cancel_token.cancel();
        Ok(())
    })
}

/// Allows waits again after shmflow_producer_cancel.
///
/// # Safety
/// producer is open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_producer_cancel_reset(producer: *const Producer) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        unsafe { args::object(producer, "producer") }?.cancel_token.reset();
        Ok(())
    })
}

/// Statistics of a producer and its topic. Call it as shmflow_producer_get_stats(producer, &stats, sizeof stats).
///
/// # Safety
/// producer is open; stats points to size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_producer_get_stats(
    producer: *const Producer,
    stats: *mut ProducerStats,
    size: usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let handle = unsafe { args::object(producer, "producer") }?;
        // SAFETY: the caller's.
        unsafe { args::write(stats, size, handle.stats(), "stats") }
    })
}

impl Producer {
    fn stats(&self) -> ProducerStats {
        let (done, shape) = (self.ring.stats(), self.ring.geometry());
        ProducerStats {
            published: done.published,
            dropped: done.dropped,
            bytes: done.bytes,
            slot_capacity: shape.slot_capacity as u64,
            epoch: shape.epoch,
            reserved_bytes: shape.reserved_bytes,
            depth: shape.depth,
            slots: shape.slots,
            consumers: u32::try_from(self.ring.consumer_count()).unwrap_or(u32::MAX),
            is_primary: self.ring.try_become_primary().into(),
            stalls: done.stalls,
            stalled_consumers: u32::try_from(self.ring.stalled_consumers().len()).unwrap_or(u32::MAX),
            reserved: 0,
        }
    }
}
