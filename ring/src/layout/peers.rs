//! The bytes of `peers`: the participants of a topic. It outlives every epoch.

use std::mem::{offset_of, size_of};
use std::sync::atomic::{AtomicU32, AtomicU64};

use super::words::{MAX_SEQ, PARTICIPANTS};

/// `SHMFLPRS`, little-endian.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"SHMFLPRS");

/// Bits of [`Header::flags`].
pub(crate) mod flags {
    /// The files stay when the last participant leaves.
    pub(crate) const PERSISTENT: u64 = 1;
    /// There are consumers that found no bit: they cannot say that they sleep, so that every publication makes the wake-up
    /// call. See `lifecycle/crowd.rs`.
    pub(crate) const OVERCROWDED: u64 = 1 << 1;
    /// A lossless producer was here: whoever frees something looks whether one waits for it. Never cleared.
    pub(crate) const LOSSLESS: u64 = 1 << 2;
}

/// The first page.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) magic: AtomicU64,
    pub(crate) version: AtomicU64,
    pub(crate) flags: AtomicU64,
    /// Not 0: the topic is gone, these files have no names any more.
    pub(crate) removed: AtomicU64,
    /// The newest epoch, once its predecessor is sealed.
    pub(crate) epoch: AtomicU64,
    /// Counts participants that ever joined; each gets its value as generation.
    pub(crate) generation: AtomicU64,
    _pad0: [AtomicU64; 2],

    /// One bit per active participant: the commit of a join, the first step of a leave.
    pub(crate) active: AtomicU64,
    /// One bit per consumer that no lossless producer waits for; written before it is active.
    pub(crate) latest: AtomicU64,
    _pad1: [AtomicU64; 6],

    /// One bit per participant that sleeps, or is about to.
    pub(crate) sleepers: AtomicU64,
    _pad2: [AtomicU64; 7],

    /// Futex word for producers that watch participants join, leave, change their accepted caps, and ask for key frames.
    pub(crate) events: AtomicU32,
    _pad3: AtomicU32,
    /// One bit per producer that watches it.
    pub(crate) watchers: AtomicU64,
    /// Counts requests for a key frame.
    pub(crate) key_requests: AtomicU64,
    _pad4: [AtomicU64; 5],

    /// Low 48 bits: the last producer to go ended the stream before this sequence, or 0. High 16 bits: how often
    /// producers came and went, so that whoever reaps one late does not overwrite what happened since.
    pub(crate) ended: AtomicU64,
    /// The primary (`generation << 8 | id`, id + 1 so that 0 means none), for standby producers.
    pub(crate) primary: AtomicU64,
    /// Producer that excludes others, coded alike.
    pub(crate) exclusive: AtomicU64,
    /// Generation of the last producer to go.
    pub(crate) last_producer: AtomicU64,
    _pad5: [AtomicU64; 4],

    /// Futex word for producers that wait for a slot: a slot was released, a cursor rose, or a consumer left.
    pub(crate) freed: AtomicU32,
    _pad6: AtomicU32,
    /// One bit per producer that waits, or is about to.
    pub(crate) waiters: AtomicU64,
    _pad7: [AtomicU64; 6],

    /// Sequence lock of the description: odd while it is being written.
    pub(crate) description_lock: AtomicU64,
    /// Bytes of the description.
    pub(crate) description_len: AtomicU64,
    _pad8: [AtomicU64; 6],
    /// What the topic shows, for people: UTF-8.
    pub(crate) description: [AtomicU64; DESCRIPTION_BYTES / 8],
}

/// The sequence in [`Header::ended`]; 0 if the last producer to go did not end the stream, or one came.
pub(crate) const fn end_of(word: u64) -> u64 {
    word & MAX_SEQ
}

/// [`Header::ended`] after `word`.
pub(crate) const fn next_end(word: u64, ended: u64) -> u64 {
    (word >> 48).wrapping_add(1) << 48 | (ended & MAX_SEQ)
}

/// One participant.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct Participant {
    /// Generation of the owner; 0 is a free entry.
    pub(crate) generation: AtomicU64,
    /// Process id in its own PID namespace: for display, never for liveness.
    pub(crate) pid: AtomicU64,
    /// When it joined, the machine's CLOCK_MONOTONIC in nanoseconds.
    pub(crate) joined: AtomicU64,
    /// Sequence lock of the accepted caps: odd while it is being written.
    pub(crate) caps_lock: AtomicU64,
    /// Bytes of the accepted caps.
    pub(crate) caps_len: AtomicU64,
    _pad0: [AtomicU64; 3],

    /// UTF-8, padded with zeros.
    pub(crate) name: [AtomicU64; NAME_BYTES / 8],

    /// Consumer: the next sequence it wants. Producer: unused.
    pub(crate) cursor: AtomicU64,
    /// Frames published or received.
    pub(crate) frames: AtomicU64,
    /// Payload bytes published or received.
    pub(crate) bytes: AtomicU64,
    /// Frames lost (consumer) or dropped (producer).
    pub(crate) lost: AtomicU64,
    /// Frames that a consumer got as copies.
    pub(crate) copied: AtomicU64,
    /// The epoch that it reads or writes.
    pub(crate) epoch: AtomicU64,
    /// Producer: its stream ended before this sequence; 0 while it continues.
    pub(crate) ended: AtomicU64,
    /// Producer: rises while it waits for a slot, so that a standby sees that it is not stopped.
    pub(crate) waits: AtomicU64,
}

/// Longest description of a topic.
pub(crate) const DESCRIPTION_BYTES: usize = 1024;
/// Longest name of a participant.
pub(crate) const NAME_BYTES: usize = 64;
/// Longest accepted caps (text) of a consumer.
pub(crate) const CAPS_BYTES: usize = 8192;

/// Offset of the participant table.
pub(crate) const PARTICIPANTS_AT: usize = 4096;
/// Distance between participants.
pub(crate) const PARTICIPANT_STRIDE: usize = size_of::<Participant>();
/// Offset of the accepted caps.
pub(crate) const CAPS_AT: usize = PARTICIPANTS_AT + PARTICIPANTS as usize * PARTICIPANT_STRIDE;
/// Length of the file.
pub(crate) const FILE_LEN: usize = CAPS_AT + PARTICIPANTS as usize * CAPS_BYTES;

const _: () = {
    assert!(size_of::<Header>() == 1472 && size_of::<Header>() <= PARTICIPANTS_AT);
    assert!(offset_of!(Header, removed) == 24);
    assert!(offset_of!(Header, generation) == 40);
    assert!(offset_of!(Header, active) == 64);
    assert!(offset_of!(Header, latest) == 72);
    assert!(offset_of!(Header, sleepers) == 128);
    assert!(offset_of!(Header, events) == 192);
    assert!(offset_of!(Header, watchers) == 200);
    assert!(offset_of!(Header, ended) == 256);
    assert!(offset_of!(Header, exclusive) == 256 + 16);
    assert!(offset_of!(Header, freed) == 320);
    assert!(offset_of!(Header, waiters) == 328);
    assert!(offset_of!(Header, description_lock) == 384);
    assert!(offset_of!(Header, description) == 448);
    assert!(size_of::<Participant>() == 192);
    assert!(offset_of!(Participant, name) == 64);
    assert!(offset_of!(Participant, cursor) == 128);
    assert!(offset_of!(Participant, ended) == 176);
    assert!(offset_of!(Participant, waits) == 184);
    assert!(CAPS_AT.is_multiple_of(8192) && FILE_LEN.is_multiple_of(4096));
};
