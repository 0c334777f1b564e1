//! Public types that describe a topic and its participants.

use std::sync::atomic::Ordering::{Acquire, Relaxed};

use crate::layout::peers::CAPS_BYTES;
use crate::layout::ring::RingGeometry;
use crate::protocol::FailPoint;
use crate::protocol::fail_points::fail_point;
use crate::shm::participants::ParticipantTable;

/// A participant of a topic. Ids are used again, generations never are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParticipantId {
    /// Its place in the table: 0–7 are producers, 8–63 consumers.
    pub id: u8,
    /// Counts the participants that ever joined.
    pub generation: u64,
}

/// The geometry of a topic's ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Geometry {
    /// Counts the geometries that the topic has had, from 1.
    pub epoch: u64,
    /// Slots: depth plus spare slots.
    pub slots: u32,
    /// Frames it holds for its consumers.
    pub depth: u32,
    /// Newest frames that stay for late joiners.
    pub history: u32,
    /// Bytes of a slot's payload.
    pub slot_capacity: usize,
    /// Bytes of a slot's metadata.
    pub meta_capacity: usize,
    /// Bytes of shared memory that this epoch takes.
    pub reserved_bytes: u64,
}

impl Geometry {
    pub(crate) fn of(geometry: &RingGeometry) -> Self {
        Self {
            epoch: geometry.epoch,
            slots: geometry.slots.into(),
            depth: geometry.depth,
            history: geometry.history,
            slot_capacity: usize::try_from(geometry.slot_capacity).unwrap_or(usize::MAX),
            meta_capacity: usize::try_from(geometry.meta_capacity).unwrap_or(usize::MAX),
            reserved_bytes: geometry.offsets().file_len + geometry.holds_len(),
        }
    }
}

/// A registered consumer, as producers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerInfo {
    /// Its id.
    pub id: ParticipantId,
    /// Its name.
    pub name: String,
    /// The caps that it accepts, as GStreamer writes them; `None` if it has not stated any, or is changing them for longer
    /// than one would wait. From another process: parse them with care.
    pub accepted_caps: Option<String>,
}

impl ConsumerInfo {
    /// Reads a consumer's entry.
    pub(crate) fn read(peers: &ParticipantTable, id: u8) -> Self {
        const TRIES: usize = 100;
        let entry = peers.participant(id);
        for _ in 0..TRIES {
            // A sequence lock: odd while its owner writes.
            let before = entry.caps_lock.load(Acquire);
            let len = usize::try_from(entry.caps_len.load(Relaxed)).unwrap_or(usize::MAX).min(CAPS_BYTES);
            let generation = entry.generation.load(Relaxed);
            let mut text: Vec<u8> = peers
                .caps_words(id)
                .take(len.div_ceil(8))
                .flat_map(|w| w.load(Relaxed).to_le_bytes())
                .collect();
            text.truncate(len);
            std::sync::atomic::fence(Acquire);
            if before.is_multiple_of(2) && entry.caps_lock.load(Relaxed) == before {
                let accepted_caps = String::from_utf8(text).ok().filter(|caps| !caps.is_empty());
                let id = ParticipantId { id, generation };
                return Self { name: peers.name_of(id.id), id, accepted_caps };
            }
            std::thread::yield_now();
        }
        let generation = entry.generation.load(Relaxed);
        Self { id: ParticipantId { id, generation }, name: peers.name_of(id), accepted_caps: None }
    }

    /// Writes the accepted caps of the participant that we are. One writer at a time.
    pub(crate) fn write(peers: &ParticipantTable, id: u8, caps: &str) {
        let entry = peers.participant(id);
        let lock = entry.caps_lock.load(Relaxed) | 1;
        entry.caps_lock.store(lock, Relaxed);
        fail_point(FailPoint::CapsBegun);
        std::sync::atomic::fence(std::sync::atomic::Ordering::Release);
        for (word, chunk) in peers.caps_words(id).zip(caps.as_bytes().chunks(8)) {
            let mut bytes = [0; 8];
            if let Some(part) = bytes.get_mut(..chunk.len()) {
                part.copy_from_slice(chunk);
            }
            word.store(u64::from_le_bytes(bytes), Relaxed);
        }
        entry.caps_len.store(caps.len().min(CAPS_BYTES) as u64, Relaxed);
        entry.caps_lock.store(lock.wrapping_add(1), std::sync::atomic::Ordering::Release);
        fail_point(FailPoint::CapsWritten);
        peers.notify();
    }
}

/// The name of this process, for display.
pub(crate) fn process_name() -> String {
    std::fs::read_to_string("/proc/self/comm").map(|name| name.trim().to_owned()).unwrap_or_default()
}
