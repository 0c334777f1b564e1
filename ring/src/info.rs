//! What can be said of a topic and its participants.

use std::sync::atomic::Ordering::{Acquire, Relaxed};

use crate::layout::peers::WISH_BYTES;
use crate::layout::ring::Shape;
use crate::protocol::Step;
use crate::protocol::step::reached;
use crate::shm::peers::Peers;

/// A participant of a topic. Ids are used again, generations never are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParticipantId {
    /// Its place in the table: 0–7 are producers, 8–63 consumers.
    pub id: u8,
    /// Counts the participants that ever joined.
    pub generation: u64,
}

/// The shape of a topic's ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Geometry {
    /// Counts the shapes that the topic has had, from 1.
    pub epoch: u64,
    /// Slots: depth plus reserve.
    pub slots: u32,
    /// Frames it holds for its consumers.
    pub depth: u32,
    /// Newest frames that stay for late joiners.
    pub history: u32,
    /// Bytes of a slot's payload.
    pub capacity: usize,
    /// Bytes of a slot's metadata.
    pub meta_capacity: usize,
    /// Bytes of shared memory that this epoch takes.
    pub reserved_bytes: u64,
}

impl Geometry {
    pub(crate) fn of(shape: &Shape) -> Self {
        Self {
            epoch: shape.epoch,
            slots: shape.slots.into(),
            depth: shape.depth,
            history: shape.history,
            capacity: usize::try_from(shape.capacity).unwrap_or(usize::MAX),
            meta_capacity: usize::try_from(shape.meta_capacity).unwrap_or(usize::MAX),
            reserved_bytes: shape.offsets().file_len + shape.holds_len(),
        }
    }
}

/// What a consumer would like to receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The consumer.
    pub participant: ParticipantId,
    /// Its name.
    pub name: String,
    /// What it wishes: caps, as GStreamer writes them. From another process; parse it with care.
    pub caps: String,
}

impl Wish {
    /// Reads a participant's wish; `None` without one, or while it is being changed for longer than one would wait.
    pub(crate) fn read(peers: &Peers, id: u8) -> Option<Self> {
        const TRIES: usize = 100;
        let entry = peers.participant(id);
        for _ in 0..TRIES {
            // A sequence lock: odd while its owner writes.
            let before = entry.wish_lock.load(Acquire);
            let len = usize::try_from(entry.wish_len.load(Relaxed)).unwrap_or(usize::MAX).min(WISH_BYTES);
            let generation = entry.generation.load(Relaxed);
            let mut text: Vec<u8> = peers
                .wish_words(id)
                .take(len.div_ceil(8))
                .flat_map(|w| w.load(Relaxed).to_le_bytes())
                .collect();
            text.truncate(len);
            std::sync::atomic::fence(Acquire);
            if before.is_multiple_of(2) && entry.wish_lock.load(Relaxed) == before {
                let caps = String::from_utf8(text).ok().filter(|caps| !caps.is_empty())?;
                return Some(Self {
                    participant: ParticipantId { id, generation },
                    name: peers.name_of(id),
                    caps,
                });
            }
            std::thread::yield_now();
        }
        None
    }

    /// A participant whose wish is not known.
    pub(crate) fn unsaid(peers: &Peers, id: u8) -> Self {
        let generation = peers.participant(id).generation.load(Relaxed);
        Self { participant: ParticipantId { id, generation }, name: peers.name_of(id), caps: String::new() }
    }

    /// Writes the wish of the participant that we are. One writer at a time.
    pub(crate) fn write(peers: &Peers, id: u8, caps: &str) {
        let entry = peers.participant(id);
        let lock = entry.wish_lock.load(Relaxed) | 1;
        entry.wish_lock.store(lock, Relaxed);
        reached(Step::WishBegun);
        std::sync::atomic::fence(std::sync::atomic::Ordering::Release);
        for (word, chunk) in peers.wish_words(id).zip(caps.as_bytes().chunks(8)) {
            let mut bytes = [0; 8];
            if let Some(part) = bytes.get_mut(..chunk.len()) {
                part.copy_from_slice(chunk);
            }
            word.store(u64::from_le_bytes(bytes), Relaxed);
        }
        entry.wish_len.store(caps.len().min(WISH_BYTES) as u64, Relaxed);
        entry.wish_lock.store(lock.wrapping_add(1), std::sync::atomic::Ordering::Release);
        reached(Step::WishWritten);
        peers.notify();
    }
}

/// The name of this process, for people.
pub(crate) fn process_name() -> String {
    std::fs::read_to_string("/proc/self/comm").map(|name| name.trim().to_owned()).unwrap_or_default()
}
